// SPDX-License-Identifier: Apache-2.0
// The `cjson` module as Redis has it: encode and decode with cjson's rules and settings. Debian has
// lua-cjson; it allocates outside of a script's budget, loses that memory when Lua raises an error
// in between, and ends the process when there is none.
//
// Nesting is bounded by the two depth settings, themselves by DEPTH_MAX, so it recurses.
#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "script/vm.h"

#define DEPTH_MAX 1000

struct settings { // a state's, kept as a userdata
    int encode_depth, decode_depth, precision;
    int sparse_ratio, sparse_safe;
    bool is_sparse_converted, is_invalid_encoded, is_invalid_null, is_invalid_decoded;
    bool is_buffer_kept;
};

static const char key_settings;

static const struct settings initial = {.encode_depth = DEPTH_MAX,
                                        .decode_depth = DEPTH_MAX,
                                        .precision = 14,
                                        .sparse_ratio = 2,
                                        .sparse_safe = 10,
                                        .is_invalid_decoded = true,
                                        .is_buffer_kept = true};

static struct settings *settings_of(lua_State *lua)
{
    lua_pushlightuserdata(lua, (void *)(uintptr_t)&key_settings);
    lua_rawget(lua, LUA_REGISTRYINDEX);
    struct settings *settings = lua_touserdata(lua, -1);
    lua_pop(lua, 1);
    return settings;
}

// ---- encoding

struct encoding {
    lua_State *lua;
    struct vm *vm;
    const struct settings *settings;
    int depth;
};

static void put_string(struct encoding *encoding, int at)
{
    static const char shorts[] = "btn\0fr"; // from 8 on
    size_t len;
    const char *text = lua_tolstring(encoding->lua, at, &len);
    struct buf *out = &encoding->vm->text;
    buf_put_byte(out, '"');
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = (uint8_t)text[i];
        char escape[8];
        if (byte == '"' || byte == '\\' || byte == '/')
            snprintf(escape, sizeof escape, "\\%c", byte);
        else if (byte >= 8 && byte <= 13 && shorts[byte - 8])
            snprintf(escape, sizeof escape, "\\%c", shorts[byte - 8]);
        else if (byte < 32 || byte == 127)
            snprintf(escape, sizeof escape, "\\u%04x", byte);
        else
            escape[0] = '\0';
        if (escape[0])
            buf_put_text(out, escape);
        else
            buf_put_byte(out, byte);
    }
    buf_put_byte(out, '"');
    vm_check_text(encoding->lua, encoding->vm);
}

static void put_number(struct encoding *encoding, lua_Number number)
{
    char text[64];
    if (!isfinite(number)) {
        if (encoding->settings->is_invalid_null) {
            buf_put_text(&encoding->vm->text, "null");
            return;
        }
        if (!encoding->settings->is_invalid_encoded)
            luaL_error(encoding->lua, "Cannot serialise number: must not be NaN or Inf");
        buf_put_text(&encoding->vm->text, isnan(number) ? "nan" : number < 0 ? "-inf" : "inf");
        return;
    }
    snprintf(text, sizeof text, "%.*g", encoding->settings->precision, number);
    buf_put_text(&encoding->vm->text, text);
}

// The largest index of a table that is an array, -1 for one that is an object.
static int array_length(struct encoding *encoding)
{
    lua_State *lua = encoding->lua;
    const struct settings *settings = encoding->settings;
    int largest = 0, count = 0;
    for (lua_pushnil(lua); lua_next(lua, -2); lua_pop(lua, 1)) {
        lua_Number key = lua_type(lua, -2) == LUA_TNUMBER ? lua_tonumber(lua, -2) : 0;
        if (!(key >= 1 && key <= INT32_MAX && floor(key) == key)) {
            lua_pop(lua, 2);
            return -1;
        }
        largest = key > largest ? (int)key : largest;
        count++;
    }
    bool is_sparse = settings->sparse_ratio > 0 && largest > settings->sparse_safe &&
                     largest > (int64_t)count * settings->sparse_ratio;
    if (is_sparse && !settings->is_sparse_converted)
        luaL_error(lua, "Cannot serialise table: excessively sparse array");
    return is_sparse || count == 0 ? -1 : largest;
}

static void put(struct encoding *encoding);

static void put_array(struct encoding *encoding, int length)
{
    struct buf *out = &encoding->vm->text;
    buf_put_byte(out, '[');
    for (int i = 1; i <= length; i++) {
        if (i > 1)
            buf_put_byte(out, ',');
        lua_rawgeti(encoding->lua, -1, i);
        put(encoding);
        lua_pop(encoding->lua, 1);
    }
    buf_put_byte(out, ']');
}

static void put_object(struct encoding *encoding)
{
    lua_State *lua = encoding->lua;
    struct buf *out = &encoding->vm->text;
    bool is_first = true;
    buf_put_byte(out, '{');
    for (lua_pushnil(lua); lua_next(lua, -2); lua_pop(lua, 1)) {
        if (!is_first)
            buf_put_byte(out, ',');
        is_first = false;
        if (lua_type(lua, -2) == LUA_TNUMBER) {
            buf_put_byte(out, '"');
            put_number(encoding, lua_tonumber(lua, -2));
            buf_put_byte(out, '"');
        } else if (lua_type(lua, -2) == LUA_TSTRING) {
            put_string(encoding, -2);
        } else {
            luaL_error(lua, "Cannot serialise table: table key must be a number or string");
        }
        buf_put_byte(out, ':');
        put(encoding);
    }
    buf_put_byte(out, '}');
}

static void put_table(struct encoding *encoding)
{
    lua_State *lua = encoding->lua;
    if (++encoding->depth > encoding->settings->encode_depth || !lua_checkstack(lua, 8))
        luaL_error(lua, "Cannot serialise, excessive depth (%d)", encoding->depth);
    int length = array_length(encoding);
    if (length >= 0)
        put_array(encoding, length);
    else
        put_object(encoding);
    encoding->depth--;
}

// The value on top.
static void put(struct encoding *encoding)
{
    lua_State *lua = encoding->lua;
    switch (lua_type(lua, -1)) {
    case LUA_TSTRING:
        put_string(encoding, -1);
        break;
    case LUA_TNUMBER:
        put_number(encoding, lua_tonumber(lua, -1));
        break;
    case LUA_TBOOLEAN:
        buf_put_text(&encoding->vm->text, lua_toboolean(lua, -1) ? "true" : "false");
        break;
    case LUA_TTABLE:
        put_table(encoding);
        break;
    case LUA_TNIL:
        buf_put_text(&encoding->vm->text, "null");
        break;
    default:
        if (lua_touserdata(lua, -1) || lua_type(lua, -1) != LUA_TLIGHTUSERDATA)
            luaL_error(lua, "Cannot serialise %s: type not supported", luaL_typename(lua, -1));
        buf_put_text(&encoding->vm->text, "null");
    }
    vm_check_text(lua, encoding->vm);
}

static int json_encode(lua_State *lua)
{
    struct encoding encoding = {.lua = lua, .vm = vm_of(lua), .settings = settings_of(lua)};
    luaL_argcheck(lua, lua_gettop(lua) == 1, 1, "expected 1 argument");
    buf_clear(&encoding.vm->text);
    put(&encoding);
    vm_push_text(lua, encoding.vm);
    return 1;
}

// ---- decoding

struct decoding {
    lua_State *lua;
    struct vm *vm;
    const struct settings *settings;
    const char *start, *at, *end; // NUL behind the end
    int depth;
};

static void fail(const struct decoding *decoding, const char *expected)
{
    const char *found = decoding->at >= decoding->end ? "T_END" : "invalid token";
    luaL_error(decoding->lua, "Expected %s but found %s at character %d", expected, found,
               (int)(decoding->at - decoding->start) + 1);
}

static void skip_blanks(struct decoding *decoding)
{
    while (decoding->at < decoding->end && strchr(" \t\r\n", *decoding->at) && *decoding->at)
        decoding->at++;
}

static bool take(struct decoding *decoding, char byte)
{
    skip_blanks(decoding);
    if (decoding->at >= decoding->end || *decoding->at != byte)
        return false;
    decoding->at++;
    return true;
}

static bool take_word(struct decoding *decoding, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(decoding->end - decoding->at) < len || memcmp(decoding->at, word, len) != 0)
        return false;
    decoding->at += len;
    return true;
}

static int hex_of(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit = (char)(digit | 0x20);
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

// Behind "\u". -1: not four digits.
static int take_unit(struct decoding *decoding)
{
    int unit = 0;
    if (decoding->end - decoding->at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_of(decoding->at[i]);
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    decoding->at += 4;
    return unit;
}

static void put_utf8(struct buf *out, uint32_t code)
{
    if (code < 0x80) {
        buf_put_byte(out, (uint8_t)code);
        return;
    }
    if (code < 0x800) {
        buf_put_byte(out, (uint8_t)(0xc0 | code >> 6));
    } else {
        if (code < 0x10000) {
            buf_put_byte(out, (uint8_t)(0xe0 | code >> 12));
        } else {
            buf_put_byte(out, (uint8_t)(0xf0 | code >> 18));
            buf_put_byte(out, (uint8_t)(0x80 | (code >> 12 & 0x3f)));
        }
        buf_put_byte(out, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
    }
    buf_put_byte(out, (uint8_t)(0x80 | (code & 0x3f)));
}

static bool take_unicode(struct decoding *decoding, struct buf *out)
{
    int unit = take_unit(decoding);
    if (unit < 0 || (unit & 0xfc00) == 0xdc00)
        return false;
    uint32_t code = (uint32_t)unit;
    if ((unit & 0xfc00) == 0xd800) {
        if (!take_word(decoding, "\\u"))
            return false;
        int low = take_unit(decoding);
        if (low < 0 || (low & 0xfc00) != 0xdc00)
            return false;
        code = 0x10000 + ((code & 0x3ff) << 10) + ((uint32_t)low & 0x3ff);
    }
    put_utf8(out, code);
    return true;
}

static bool take_escape(struct decoding *decoding, struct buf *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char letter = decoding->at < decoding->end ? *decoding->at++ : '\0';
    if (letter == 'u')
        return take_unicode(decoding, out);
    const char *at = letter ? strchr(from, letter) : NULL;
    if (!at)
        return false;
    buf_put_byte(out, (uint8_t)to[at - from]);
    return true;
}

// Behind the quote; pushes it.
static void take_string(struct decoding *decoding)
{
    struct buf *out = &decoding->vm->text;
    buf_clear(out);
    for (;;) {
        if (decoding->at >= decoding->end)
            fail(decoding, "string end");
        char byte = *decoding->at++;
        if (byte == '"')
            break;
        if (byte != '\\') {
            buf_put_byte(out, (uint8_t)byte);
        } else if (!take_escape(decoding, out)) {
            decoding->at--;
            fail(decoding, "an escape");
        }
    }
    vm_push_text(decoding->lua, decoding->vm);
}

// JSON's grammar of numbers, and with the setting what strtod takes beyond.
static bool take_number(struct decoding *decoding)
{
    const char *at = decoding->at;
    at += *at == '-';
    bool is_plain = *at >= '0' && *at <= '9' && !(at[0] == '0' && (at[1] | 0x20) == 'x');
    bool is_other = decoding->settings->is_invalid_decoded &&
                    (is_plain || *at == '0' || (*at | 0x20) == 'n' || (*at | 0x20) == 'i');
    if (!is_plain && !is_other)
        return false;
    char *end;
    double number = strtod(decoding->at, &end);
    if (end == decoding->at)
        return false;
    decoding->at = end;
    lua_pushnumber(decoding->lua, number);
    return true;
}

static void take_value(struct decoding *decoding);

static void descend(struct decoding *decoding)
{
    if (++decoding->depth > decoding->settings->decode_depth || !lua_checkstack(decoding->lua, 8))
        luaL_error(decoding->lua, "Found too many nested data structures (%d) at character %d",
                   decoding->depth, (int)(decoding->at - decoding->start));
}

static void take_array(struct decoding *decoding)
{
    descend(decoding);
    lua_newtable(decoding->lua);
    if (!take(decoding, ']')) {
        for (int i = 1;; i++) {
            take_value(decoding);
            lua_rawseti(decoding->lua, -2, i);
            if (take(decoding, ']'))
                break;
            if (!take(decoding, ','))
                fail(decoding, "comma or array end");
        }
    }
    decoding->depth--;
}

static void take_object(struct decoding *decoding)
{
    descend(decoding);
    lua_newtable(decoding->lua);
    if (!take(decoding, '}')) {
        do {
            if (!take(decoding, '"'))
                fail(decoding, "object key string");
            take_string(decoding);
            if (!take(decoding, ':'))
                fail(decoding, "colon");
            take_value(decoding);
            lua_rawset(decoding->lua, -3);
        } while (take(decoding, ','));
        if (!take(decoding, '}'))
            fail(decoding, "comma or object end");
    }
    decoding->depth--;
}

static void take_value(struct decoding *decoding)
{
    lua_State *lua = decoding->lua;
    skip_blanks(decoding);
    if (take(decoding, '"'))
        take_string(decoding);
    else if (take(decoding, '['))
        take_array(decoding);
    else if (take(decoding, '{'))
        take_object(decoding);
    else if (take_word(decoding, "true"))
        lua_pushboolean(lua, 1);
    else if (take_word(decoding, "false"))
        lua_pushboolean(lua, 0);
    else if (take_word(decoding, "null"))
        lua_pushlightuserdata(lua, NULL);
    else if (decoding->at >= decoding->end || !take_number(decoding))
        fail(decoding, "value");
}

static int json_decode(lua_State *lua)
{
    size_t len;
    luaL_argcheck(lua, lua_gettop(lua) == 1, 1, "expected 1 argument");
    const char *text = luaL_checklstring(lua, 1, &len);
    struct decoding decoding = {.lua = lua,
                                .vm = vm_of(lua),
                                .settings = settings_of(lua),
                                .start = text,
                                .at = text,
                                .end = text + len};
    take_value(&decoding);
    skip_blanks(&decoding);
    if (decoding.at != decoding.end)
        fail(&decoding, "the end");
    return 1;
}

// ---- settings: each sets when given something, and answers what is set

static int set_depth(lua_State *lua, int *depth)
{
    if (!lua_isnoneornil(lua, 1)) {
        int wanted = luaL_checkint(lua, 1);
        luaL_argcheck(lua, wanted >= 1 && wanted <= DEPTH_MAX, 1,
                      "expected integer from 1 to 1000");
        *depth = wanted;
    }
    lua_pushinteger(lua, *depth);
    return 1;
}

static int json_encode_max_depth(lua_State *lua)
{
    return set_depth(lua, &settings_of(lua)->encode_depth);
}

static int json_decode_max_depth(lua_State *lua)
{
    return set_depth(lua, &settings_of(lua)->decode_depth);
}

static int json_encode_number_precision(lua_State *lua)
{
    struct settings *settings = settings_of(lua);
    if (!lua_isnoneornil(lua, 1)) {
        int wanted = luaL_checkint(lua, 1);
        luaL_argcheck(lua, wanted >= 1 && wanted <= 17, 1, "expected integer from 1 to 17");
        settings->precision = wanted;
    }
    lua_pushinteger(lua, settings->precision);
    return 1;
}

static int json_encode_sparse_array(lua_State *lua)
{
    struct settings *settings = settings_of(lua);
    if (!lua_isnoneornil(lua, 1))
        settings->is_sparse_converted = lua_toboolean(lua, 1);
    int ratio = luaL_optint(lua, 2, settings->sparse_ratio);
    int safe = luaL_optint(lua, 3, settings->sparse_safe);
    luaL_argcheck(lua, ratio >= 0, 2, "expected integer from 0 on");
    luaL_argcheck(lua, safe >= 0, 3, "expected integer from 0 on");
    settings->sparse_ratio = ratio;
    settings->sparse_safe = safe;
    lua_pushboolean(lua, settings->is_sparse_converted);
    lua_pushinteger(lua, ratio);
    lua_pushinteger(lua, safe);
    return 3;
}

static int json_encode_invalid_numbers(lua_State *lua)
{
    struct settings *settings = settings_of(lua);
    if (lua_type(lua, 1) == LUA_TSTRING) {
        luaL_argcheck(lua, strcmp(lua_tostring(lua, 1), "null") == 0, 1, "invalid option");
        settings->is_invalid_null = true;
    } else if (!lua_isnoneornil(lua, 1)) {
        settings->is_invalid_null = false;
        settings->is_invalid_encoded = lua_toboolean(lua, 1);
    }
    if (settings->is_invalid_null)
        lua_pushliteral(lua, "null");
    else
        lua_pushboolean(lua, settings->is_invalid_encoded);
    return 1;
}

static int set_flag(lua_State *lua, bool *flag)
{
    if (!lua_isnoneornil(lua, 1))
        *flag = lua_toboolean(lua, 1);
    lua_pushboolean(lua, *flag);
    return 1;
}

static int json_decode_invalid_numbers(lua_State *lua)
{
    return set_flag(lua, &settings_of(lua)->is_invalid_decoded);
}

// Has no effect: the buffer is the state's, and bounded.
static int json_encode_keep_buffer(lua_State *lua)
{
    return set_flag(lua, &settings_of(lua)->is_buffer_kept);
}

void json_push(lua_State *lua)
{
    static const luaL_Reg functions[] = {{"encode", json_encode},
                                         {"decode", json_decode},
                                         {"encode_max_depth", json_encode_max_depth},
                                         {"decode_max_depth", json_decode_max_depth},
                                         {"encode_number_precision", json_encode_number_precision},
                                         {"encode_sparse_array", json_encode_sparse_array},
                                         {"encode_invalid_numbers", json_encode_invalid_numbers},
                                         {"decode_invalid_numbers", json_decode_invalid_numbers},
                                         {"encode_keep_buffer", json_encode_keep_buffer}};
    lua_pushlightuserdata(lua, (void *)(uintptr_t)&key_settings);
    struct settings *settings = lua_newuserdata(lua, sizeof *settings);
    *settings = initial;
    lua_rawset(lua, LUA_REGISTRYINDEX);
    lua_newtable(lua);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        lua_pushcfunction(lua, functions[i].func);
        lua_setfield(lua, -2, functions[i].name);
    }
    lua_pushlightuserdata(lua, NULL);
    lua_setfield(lua, -2, "null");
    lua_pushliteral(lua, "cjson");
    lua_setfield(lua, -2, "_NAME");
    lua_pushliteral(lua, "2.1.0");
    lua_setfield(lua, -2, "_VERSION");
}
