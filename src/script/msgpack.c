// SPDX-License-Identifier: Apache-2.0
// The `cmsgpack` module as Redis has it: pack, unpack, unpack_one, unpack_limit. Numbers that are
// whole become integers; a table whose keys are 1 ... n becomes an array; nesting beyond 16 is nil.
#include <lauxlib.h>
#include <math.h>
#include "script/vm.h"

#define PACK_DEPTH_MAX   16
#define UNPACK_DEPTH_MAX 512

// ---- packing

static void put_head(struct buf *out, uint8_t kind, uint64_t value, unsigned bytes)
{
    buf_put_byte(out, kind);
    for (unsigned i = bytes; i-- > 0;)
        buf_put_byte(out, (uint8_t)(value >> 8 * i));
}

static void put_integer(struct buf *out, int64_t value)
{
    uint64_t bits = (uint64_t)value;
    if (value >= 0) {
        if (value <= 127)
            buf_put_byte(out, (uint8_t)value);
        else if (value <= 0xff)
            put_head(out, 0xcc, bits, 1);
        else if (value <= 0xffff)
            put_head(out, 0xcd, bits, 2);
        else if (value <= 0xffffffff)
            put_head(out, 0xce, bits, 4);
        else
            put_head(out, 0xcf, bits, 8);
    } else if (value >= -32) {
        buf_put_byte(out, (uint8_t)value);
    } else if (value >= -128) {
        put_head(out, 0xd0, bits, 1);
    } else if (value >= -32768) {
        put_head(out, 0xd1, bits, 2);
    } else if (value >= INT32_MIN) {
        put_head(out, 0xd2, bits, 4);
    } else {
        put_head(out, 0xd3, bits, 8);
    }
}

static void put_number(struct buf *out, lua_Number number)
{
    float single = (float)number;
    if (number >= -0x1p63 && number < 0x1p63 && floor(number) == number) {
        put_integer(out, (int64_t)number);
    } else if ((double)single == number) {
        uint32_t bits;
        memcpy(&bits, &single, sizeof bits);
        put_head(out, 0xca, bits, 4);
    } else {
        uint64_t bits;
        memcpy(&bits, &number, sizeof bits);
        put_head(out, 0xcb, bits, 8);
    }
}

static void put_string(lua_State *lua, struct buf *out)
{
    size_t len;
    const char *text = lua_tolstring(lua, -1, &len);
    if (len < 32)
        buf_put_byte(out, (uint8_t)(0xa0 | len));
    else if (len <= 0xff)
        put_head(out, 0xd9, len, 1);
    else if (len <= 0xffff)
        put_head(out, 0xda, len, 2);
    else
        put_head(out, 0xdb, len, 4);
    buf_put(out, span_of(text, len));
}

// Whether the keys of the table on top are 1 ... n. out_count: how many there are.
static bool is_array(lua_State *lua, uint32_t *out_count)
{
    bool is_one = true;
    lua_Number largest = 0;
    *out_count = 0;
    for (lua_pushnil(lua); lua_next(lua, -2); lua_pop(lua, 1)) {
        lua_Number key = lua_type(lua, -2) == LUA_TNUMBER ? lua_tonumber(lua, -2) : 0;
        is_one &= key >= 1 && key <= INT32_MAX && floor(key) == key;
        largest = key > largest ? key : largest;
        ++*out_count;
    }
    return is_one && largest == *out_count;
}

static void put_count(struct buf *out, uint32_t count, uint8_t small, uint8_t large)
{
    if (count <= 15)
        buf_put_byte(out, (uint8_t)(small | count));
    else if (count <= 0xffff)
        put_head(out, large, count, 2);
    else
        put_head(out, (uint8_t)(large + 1), count, 4);
}

static void put(lua_State *lua, struct vm *vm, int depth);

static void put_table(lua_State *lua, struct vm *vm, int depth)
{
    uint32_t count;
    luaL_checkstack(lua, 8, "in packing");
    if (is_array(lua, &count)) {
        put_count(&vm->text, count, 0x90, 0xdc);
        for (uint32_t i = 1; i <= count; i++) {
            lua_rawgeti(lua, -1, (int)i);
            put(lua, vm, depth + 1);
        }
        return;
    }
    put_count(&vm->text, count, 0x80, 0xde);
    for (lua_pushnil(lua); lua_next(lua, -2);) {
        lua_pushvalue(lua, -2);
        put(lua, vm, depth + 1);
        put(lua, vm, depth + 1);
    }
}

// The value on top; pops it.
static void put(lua_State *lua, struct vm *vm, int depth)
{
    struct buf *out = &vm->text;
    int type = lua_type(lua, -1);
    if (type == LUA_TSTRING)
        put_string(lua, out);
    else if (type == LUA_TBOOLEAN)
        buf_put_byte(out, lua_toboolean(lua, -1) ? 0xc3 : 0xc2);
    else if (type == LUA_TNUMBER)
        put_number(out, lua_tonumber(lua, -1));
    else if (type == LUA_TTABLE && depth < PACK_DEPTH_MAX)
        put_table(lua, vm, depth);
    else
        buf_put_byte(out, 0xc0);
    lua_pop(lua, 1);
    vm_check_text(lua, vm);
}

static int msgpack_pack(lua_State *lua)
{
    struct vm *vm = vm_of(lua);
    int given = lua_gettop(lua);
    if (given == 0)
        return luaL_argerror(lua, 0, "MessagePack pack needs input.");
    luaL_checkstack(lua, 8, "Too many arguments for MessagePack pack.");
    buf_clear(&vm->text);
    for (int i = 1; i <= given; i++) {
        lua_pushvalue(lua, i);
        put(lua, vm, 0);
    }
    vm_push_text(lua, vm);
    return 1;
}

// ---- unpacking

struct input {
    lua_State *lua;
    const uint8_t *at, *end;
    int depth;
};

static uint64_t take_number(struct input *input, unsigned bytes)
{
    uint64_t value = 0;
    if ((size_t)(input->end - input->at) < bytes)
        luaL_error(input->lua, "Missing bytes in input.");
    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | *input->at++;
    return value;
}

static void push_string(struct input *input, uint64_t len)
{
    if ((uint64_t)(input->end - input->at) < len)
        luaL_error(input->lua, "Missing bytes in input.");
    lua_pushlstring(input->lua, (const char *)input->at, (size_t)len);
    input->at += len;
}

static void push_value(struct input *input);

static void descend(struct input *input)
{
    if (++input->depth > UNPACK_DEPTH_MAX)
        luaL_error(input->lua, "Bad data format in input.");
    luaL_checkstack(input->lua, 8, "in unpacking");
    lua_newtable(input->lua);
}

static void push_array(struct input *input, uint64_t count)
{
    descend(input);
    for (uint64_t i = 1; i <= count; i++) {
        push_value(input);
        lua_rawseti(input->lua, -2, (int)i);
    }
    input->depth--;
}

static void push_map(struct input *input, uint64_t count)
{
    descend(input);
    for (uint64_t i = 0; i < count; i++) {
        push_value(input);
        push_value(input);
        lua_Number key = lua_type(input->lua, -2) == LUA_TNUMBER ? lua_tonumber(input->lua, -2) : 0;
        if (lua_isnil(input->lua, -2) || isnan(key))
            luaL_error(input->lua, "Bad data format in input.");
        lua_rawset(input->lua, -3);
    }
    input->depth--;
}

static void push_float(struct input *input, bool is_double)
{
    if (is_double) {
        uint64_t bits = take_number(input, 8);
        double number;
        memcpy(&number, &bits, sizeof number);
        lua_pushnumber(input->lua, number);
        return;
    }
    uint32_t bits = (uint32_t)take_number(input, 4);
    float number;
    memcpy(&number, &bits, sizeof number);
    lua_pushnumber(input->lua, (lua_Number)number);
}

static void push_signed(struct input *input, unsigned bytes)
{
    uint64_t value = take_number(input, bytes);
    unsigned unused = 64 - 8 * bytes;
    lua_pushnumber(input->lua, (lua_Number)((int64_t)(value << unused) >> unused));
}

// Those with a byte of their own: c0 ... df.
static void push_typed(struct input *input, uint8_t kind)
{
    switch (kind) {
    case 0xc0:
        lua_pushnil(input->lua);
        break;
    case 0xc2:
    case 0xc3:
        lua_pushboolean(input->lua, kind == 0xc3);
        break;
    case 0xc4:
    case 0xc5:
    case 0xc6:
        push_string(input, take_number(input, 1u << (kind - 0xc4)));
        break;
    case 0xca:
    case 0xcb:
        push_float(input, kind == 0xcb);
        break;
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
        lua_pushnumber(input->lua, (lua_Number)take_number(input, 1u << (kind - 0xcc)));
        break;
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
        push_signed(input, 1u << (kind - 0xd0));
        break;
    case 0xd9:
    case 0xda:
    case 0xdb:
        push_string(input, take_number(input, 1u << (kind - 0xd9)));
        break;
    case 0xdc:
    case 0xdd:
        push_array(input, take_number(input, kind == 0xdc ? 2 : 4));
        break;
    case 0xde:
    case 0xdf:
        push_map(input, take_number(input, kind == 0xde ? 2 : 4));
        break;
    default:
        luaL_error(input->lua, "Bad data format in input.");
    }
}

static void push_value(struct input *input)
{
    uint8_t kind = (uint8_t)take_number(input, 1);
    if (kind < 0x80)
        lua_pushnumber(input->lua, kind);
    else if (kind >= 0xe0)
        lua_pushnumber(input->lua, (int8_t)kind);
    else if (kind < 0x90)
        push_map(input, kind & 15);
    else if (kind < 0xa0)
        push_array(input, kind & 15);
    else if (kind < 0xc0)
        push_string(input, kind & 31);
    else
        push_typed(input, kind);
}

// limit 0 and offset 0: everything, without the offset in front.
static int unpack(lua_State *lua, lua_Integer limit, lua_Integer offset)
{
    size_t len;
    const char *text = luaL_checklstring(lua, 1, &len);
    bool is_all = limit == 0 && offset == 0;
    if (offset < 0 || limit < 0)
        return luaL_error(lua, "Invalid request to unpack with offset of %d and limit of %d.",
                          (int)offset, (int)len);
    if ((size_t)offset > len)
        return luaL_error(lua, "Start offset %d greater than input length %d.", (int)offset,
                          (int)len);
    struct input input = {
        .lua = lua, .at = (const uint8_t *)text + offset, .end = (const uint8_t *)text + len};
    int count = 0;
    lua_settop(lua, 1);
    lua_pushnil(lua); // the place of the offset
    while (input.at < input.end && (is_all || count < limit)) {
        luaL_checkstack(lua, 8, "in unpacking");
        push_value(&input);
        count++;
    }
    if (is_all)
        return count;
    size_t at = (size_t)((const char *)input.at - text);
    lua_pushnumber(lua, at == len ? -1 : (lua_Number)at);
    lua_replace(lua, 2);
    return count + 1;
}

static int msgpack_unpack(lua_State *lua)
{
    return unpack(lua, 0, 0);
}

static int msgpack_unpack_one(lua_State *lua)
{
    return unpack(lua, 1, luaL_optinteger(lua, 2, 0));
}

static int msgpack_unpack_limit(lua_State *lua)
{
    lua_Integer limit = luaL_checkinteger(lua, 2);
    return unpack(lua, limit, luaL_optinteger(lua, 3, 0));
}

void msgpack_push(lua_State *lua)
{
    static const luaL_Reg functions[] = {{"pack", msgpack_pack},
                                         {"unpack", msgpack_unpack},
                                         {"unpack_one", msgpack_unpack_one},
                                         {"unpack_limit", msgpack_unpack_limit}};
    lua_newtable(lua);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        lua_pushcfunction(lua, functions[i].func);
        lua_setfield(lua, -2, functions[i].name);
    }
    lua_pushliteral(lua, "cmsgpack");
    lua_setfield(lua, -2, "_NAME");
    lua_pushliteral(lua, "lua-cmsgpack 0.4.0");
    lua_setfield(lua, -2, "_VERSION");
}
