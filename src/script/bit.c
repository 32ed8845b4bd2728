// SPDX-License-Identifier: Apache-2.0
// The `bit` module of Redis (Lua BitOp): operations on 32-bit words. Numbers are taken modulo 2^32
// and results are signed.
#include <lauxlib.h>
#include <math.h>
#include "script/vm.h"

static uint32_t word_at(lua_State *lua, int at)
{
    lua_Number number = luaL_checknumber(lua, at);
    if (!(number > -0x1p63 && number < 0x1p63))
        number = isfinite(number) ? fmod(number, 0x1p32) : 0;
    return (uint32_t)(int64_t)rint(number);
}

static int put_word(lua_State *lua, uint32_t word)
{
    lua_pushnumber(lua, (lua_Number)(int32_t)word);
    return 1;
}

static int bit_tobit(lua_State *lua)
{
    return put_word(lua, word_at(lua, 1));
}

static int bit_bnot(lua_State *lua)
{
    return put_word(lua, ~word_at(lua, 1));
}

static int bit_band(lua_State *lua)
{
    uint32_t word = word_at(lua, 1);
    for (int i = lua_gettop(lua); i > 1; i--)
        word &= word_at(lua, i);
    return put_word(lua, word);
}

static int bit_bor(lua_State *lua)
{
    uint32_t word = word_at(lua, 1);
    for (int i = lua_gettop(lua); i > 1; i--)
        word |= word_at(lua, i);
    return put_word(lua, word);
}

static int bit_bxor(lua_State *lua)
{
    uint32_t word = word_at(lua, 1);
    for (int i = lua_gettop(lua); i > 1; i--)
        word ^= word_at(lua, i);
    return put_word(lua, word);
}

static int bit_lshift(lua_State *lua)
{
    return put_word(lua, word_at(lua, 1) << (word_at(lua, 2) & 31));
}

static int bit_rshift(lua_State *lua)
{
    return put_word(lua, word_at(lua, 1) >> (word_at(lua, 2) & 31));
}

static int bit_arshift(lua_State *lua)
{
    uint32_t word = word_at(lua, 1), count = word_at(lua, 2) & 31;
    uint32_t sign = word >> 31 && count ? ~(UINT32_MAX >> count) : 0;
    return put_word(lua, word >> count | sign);
}

static uint32_t rotated(uint32_t word, uint32_t count)
{
    return word << (count & 31) | word >> (-count & 31);
}

static int bit_rol(lua_State *lua)
{
    return put_word(lua, rotated(word_at(lua, 1), word_at(lua, 2)));
}

static int bit_ror(lua_State *lua)
{
    return put_word(lua, rotated(word_at(lua, 1), 0 - word_at(lua, 2)));
}

static int bit_bswap(lua_State *lua)
{
    return put_word(lua, __builtin_bswap32(word_at(lua, 1)));
}

// Eight digits, or as many as the second argument says; upper case when that is negative.
static int bit_tohex(lua_State *lua)
{
    uint32_t word = word_at(lua, 1);
    int32_t wanted = lua_isnone(lua, 2) ? 8 : (int32_t)word_at(lua, 2);
    const char *digits = wanted < 0 ? "0123456789ABCDEF" : "0123456789abcdef";
    uint32_t count = wanted < 0 ? 0 - (uint32_t)wanted : (uint32_t)wanted;
    char text[8];
    if (count > sizeof text)
        count = sizeof text;
    for (uint32_t i = count; i-- > 0; word >>= 4)
        text[i] = digits[word & 15];
    lua_pushlstring(lua, text, count);
    return 1;
}

void bit_push(lua_State *lua)
{
    static const luaL_Reg functions[] = {
        {"tobit", bit_tobit},   {"bnot", bit_bnot},       {"band", bit_band},
        {"bor", bit_bor},       {"bxor", bit_bxor},       {"lshift", bit_lshift},
        {"rshift", bit_rshift}, {"arshift", bit_arshift}, {"rol", bit_rol},
        {"ror", bit_ror},       {"bswap", bit_bswap},     {"tohex", bit_tohex}};
    lua_newtable(lua);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        lua_pushcfunction(lua, functions[i].func);
        lua_setfield(lua, -2, functions[i].name);
    }
}
