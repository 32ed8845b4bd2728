// SPDX-License-Identifier: Apache-2.0
// Replies into Lua and back, by Redis's table: nil is false, a status {ok=}, an error {err=}; with
// redis.setresp(3) maps, sets, doubles and the like have a form too. Nesting is kept on Lua's stack
// and in a bounded list here.
#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include "base/decimal.h"
#include "script/vm.h"

#define DEPTH_MAX 128

// ---- a reply, pushed

enum { FRAME_ARRAY, FRAME_MAP, FRAME_SET };

struct frame {
    int kind;
    int64_t left;  // values to come
    int64_t index; // of the last one in an array
};

struct reading {
    lua_State *lua;
    const uint8_t *at, *end;
    struct frame frame[DEPTH_MAX];
    int depth;
};

// One line without its end. False: there is none.
static bool take_line(struct reading *reading, struct span *out_line)
{
    size_t left = (size_t)(reading->end - reading->at);
    const uint8_t *end = left ? memchr(reading->at, '\r', left) : NULL;
    if (!end || end + 1 == reading->end || end[1] != '\n')
        return false;
    *out_line = span_of(reading->at, (size_t)(end - reading->at));
    reading->at = end + 2;
    return true;
}

static bool take_bytes(struct reading *reading, int64_t len, struct span *out_bytes)
{
    if (len < 0 || reading->end - reading->at < len + 2)
        return false;
    *out_bytes = span_of(reading->at, (size_t)len);
    reading->at += len + 2;
    return true;
}

static void push_span(lua_State *lua, struct span text)
{
    lua_pushlstring(lua, text.len ? (const char *)text.ptr : "", text.len);
}

// {field = text}
static void push_field(lua_State *lua, const char *field, struct span text)
{
    lua_createtable(lua, 0, 1);
    push_span(lua, text);
    lua_setfield(lua, -2, field);
}

static bool push_double(struct reading *reading, struct span line)
{
    char text[64];
    if (line.len >= sizeof text)
        return false;
    memcpy(text, line.ptr, line.len);
    text[line.len] = '\0';
    lua_createtable(reading->lua, 0, 1);
    lua_pushnumber(reading->lua, strtod(text, NULL));
    lua_setfield(reading->lua, -2, "double");
    return true;
}

static bool push_bulk(struct reading *reading, int64_t len)
{
    struct span bytes;
    if (len == -1) {
        lua_pushboolean(reading->lua, 0);
        return true;
    }
    if (!take_bytes(reading, len, &bytes))
        return false;
    push_span(reading->lua, bytes);
    return true;
}

static bool push_verbatim(struct reading *reading, int64_t len)
{
    struct span bytes;
    lua_State *lua = reading->lua;
    if (len < 4 || !take_bytes(reading, len, &bytes))
        return false;
    lua_createtable(lua, 0, 1);
    push_field(lua, "format", span_of(bytes.ptr, 3));
    push_span(lua, span_of(bytes.ptr + 4, bytes.len - 4));
    lua_setfield(lua, -2, "string");
    lua_setfield(lua, -2, "verbatim_string");
    return true;
}

static bool push_aggregate(struct reading *reading, char kind, int64_t count)
{
    lua_State *lua = reading->lua;
    bool is_map = kind == '%', is_set = kind == '~';
    if (count == -1 && kind == '*') {
        lua_pushboolean(lua, 0);
        return true;
    }
    if (count < 0 || count > INT32_MAX || reading->depth == DEPTH_MAX)
        return false;
    luaL_checkstack(lua, 8, "too deep a reply");
    lua_newtable(lua);
    if (is_map || is_set)
        lua_newtable(lua);
    reading->frame[reading->depth++] = (struct frame){.kind = is_map   ? FRAME_MAP
                                                              : is_set ? FRAME_SET
                                                                       : FRAME_ARRAY,
                                                      .left = is_map ? 2 * count : count};
    return true;
}

// The next value, or the beginning of an aggregate. False: malformed.
static bool push_next(struct reading *reading, bool *out_is_open)
{
    struct span line;
    int64_t number = 0;
    lua_State *lua = reading->lua;
    *out_is_open = false;
    if (reading->at == reading->end)
        return false;
    char kind = (char)*reading->at++;
    if (!take_line(reading, &line))
        return false;
    if (memchr(":$*%~>=", kind, 7) && !decimal_parse(line, &number))
        return false;
    switch (kind) {
    case '+':
        push_field(lua, "ok", line);
        return true;
    case '-':
        push_field(lua, "err", line);
        return true;
    case ':':
        lua_pushnumber(lua, (lua_Number)number);
        return true;
    case '$':
        return push_bulk(reading, number);
    case '_':
        lua_pushnil(lua);
        return true;
    case '#':
        lua_pushboolean(lua, line.len == 1 && line.ptr[0] == 't');
        return true;
    case ',':
        return push_double(reading, line);
    case '(':
        push_field(lua, "big_number", line);
        return true;
    case '=':
        return push_verbatim(reading, number);
    case '*':
    case '%':
    case '~':
    case '>':
        *out_is_open = !(kind == '*' && number == -1);
        return push_aggregate(reading, kind, number);
    default:
        return false;
    }
}

// What no table takes as a key.
static bool is_no_key(lua_State *lua, int at)
{
    return lua_isnil(lua, at) || (lua_type(lua, at) == LUA_TNUMBER && isnan(lua_tonumber(lua, at)));
}

// The value on top goes into the innermost aggregate.
static void attach(struct reading *reading)
{
    lua_State *lua = reading->lua;
    struct frame *frame = &reading->frame[reading->depth - 1];
    frame->left--;
    if (frame->kind == FRAME_ARRAY) {
        lua_rawseti(lua, -2, (int)++frame->index);
    } else if (frame->kind == FRAME_SET) {
        if (is_no_key(lua, -1)) {
            lua_pop(lua, 1);
            return;
        }
        lua_pushboolean(lua, 1);
        lua_rawset(lua, -3);
    } else if (frame->left % 2 == 0) { // a value; its key lies below
        if (is_no_key(lua, -2))
            lua_pop(lua, 2);
        else
            lua_rawset(lua, -3);
    }
}

// Those that are complete become values of what they are in.
static void close_complete(struct reading *reading)
{
    while (reading->depth && reading->frame[reading->depth - 1].left == 0) {
        int kind = reading->frame[--reading->depth].kind;
        if (kind != FRAME_ARRAY)
            lua_setfield(reading->lua, -2, kind == FRAME_MAP ? "map" : "set");
        if (reading->depth)
            attach(reading);
    }
}

bool value_push_reply(lua_State *lua, struct span reply)
{
    struct reading reading = {.lua = lua, .at = reply.ptr, .end = reply.ptr + reply.len};
    do {
        bool is_open;
        if (!push_next(&reading, &is_open))
            return false;
        if (!is_open && reading.depth)
            attach(&reading);
        close_complete(&reading);
    } while (reading.depth);
    return true;
}

// ---- a value, written

struct writing {
    lua_State *lua;
    struct reply *reply;
    uint8_t protocol; // the script's own
    struct {
        int kind;
        int index;
        bool is_at_value;
    } frame[DEPTH_MAX];
    int depth;
};

static struct span span_at(lua_State *lua, int at)
{
    size_t len;
    const char *text = lua_tolstring(lua, at, &len);
    return span_of(text, len);
}

// One line, whatever the bytes are.
static void put_line(struct buf *out, char kind, struct span text)
{
    buf_put_byte(out, (uint8_t)kind);
    for (size_t i = 0; i < text.len; i++)
        buf_put_byte(out, text.ptr[i] == '\r' || text.ptr[i] == '\n' ? ' ' : text.ptr[i]);
    buf_put_text(out, "\r\n");
}

static int64_t integer_of(lua_Number number)
{
    return number >= -0x1p63 && number < 0x1p63 ? (int64_t)number : INT64_MIN;
}

// The field of the table on top, if it is of this type; then on top.
static bool push_typed(lua_State *lua, const char *field, int type)
{
    lua_pushstring(lua, field);
    lua_rawget(lua, -2);
    if (lua_type(lua, -1) == type)
        return true;
    lua_pop(lua, 1);
    return false;
}

static void put_big_number(struct writing *writing)
{
    struct span text = span_at(writing->lua, -1);
    if (writing->reply->protocol >= 3)
        put_line(writing->reply->out, '(', text);
    else
        reply_bulk(writing->reply, text);
}

// {format=, string=} on top. False: it is not that.
static bool put_verbatim(struct writing *writing)
{
    lua_State *lua = writing->lua;
    char format[4] = "txt";
    if (!push_typed(lua, "string", LUA_TSTRING))
        return false;
    lua_insert(lua, -2);
    bool is_there = push_typed(lua, "format", LUA_TSTRING);
    if (is_there) {
        struct span given = span_at(lua, -1);
        if (given.len == 3 && !memchr(given.ptr, '\n', 3) && !memchr(given.ptr, '\r', 3) &&
            !memchr(given.ptr, '\0', 3))
            memcpy(format, given.ptr, 3);
        lua_pop(lua, 1);
        reply_verbatim(writing->reply, format, span_at(lua, -2));
    }
    lua_remove(lua, -2);
    return is_there;
}

static void put_error(struct writing *writing)
{
    reply_error_text(writing->reply, lua_tostring(writing->lua, -1));
}

// A table that stands for one value. True: written.
static bool put_single(struct writing *writing)
{
    lua_State *lua = writing->lua;
    bool is_put = true;
    if (push_typed(lua, "err", LUA_TSTRING))
        put_error(writing);
    else if (push_typed(lua, "ok", LUA_TSTRING))
        put_line(writing->reply->out, '+', span_at(lua, -1));
    else if (push_typed(lua, "double", LUA_TNUMBER))
        reply_double(writing->reply, lua_tonumber(lua, -1));
    else if (push_typed(lua, "big_number", LUA_TSTRING))
        put_big_number(writing);
    else if (push_typed(lua, "verbatim_string", LUA_TTABLE))
        is_put = put_verbatim(writing);
    else
        return false;
    lua_pop(lua, 1);
    return is_put;
}

static size_t count_of(lua_State *lua, int kind)
{
    size_t count = 0;
    if (kind == FRAME_ARRAY) {
        for (int i = 1;; i++) {
            lua_rawgeti(lua, -1, i);
            bool is_end = lua_isnil(lua, -1);
            lua_pop(lua, 1);
            if (is_end)
                return count;
            count++;
        }
    }
    for (lua_pushnil(lua); lua_next(lua, -2); lua_pop(lua, 1))
        count++;
    return count;
}

// The table on top stays there, as what the new frame goes through.
static void open_table(struct writing *writing)
{
    lua_State *lua = writing->lua;
    int kind = FRAME_ARRAY;
    if (writing->depth == DEPTH_MAX || !lua_checkstack(lua, 8)) {
        reply_error_text(writing->reply, "ERR reached lua stack limit");
        lua_pop(lua, 1);
        return;
    }
    if (push_typed(lua, "map", LUA_TTABLE))
        kind = FRAME_MAP;
    else if (push_typed(lua, "set", LUA_TTABLE))
        kind = FRAME_SET;
    if (kind != FRAME_ARRAY)
        lua_remove(lua, -2);
    size_t count = count_of(lua, kind);
    if (kind == FRAME_MAP)
        reply_map(writing->reply, count);
    else if (kind == FRAME_SET)
        reply_set(writing->reply, count);
    else
        reply_array(writing->reply, count);
    if (kind != FRAME_ARRAY)
        lua_pushnil(lua); // where lua_next begins
    writing->frame[writing->depth].kind = kind;
    writing->frame[writing->depth].index = 0;
    writing->frame[writing->depth].is_at_value = false;
    writing->depth++;
}

// The value on top: written and popped, or a frame opened for it.
static void put_value(struct writing *writing)
{
    lua_State *lua = writing->lua;
    struct reply *reply = writing->reply;
    switch (lua_type(lua, -1)) {
    case LUA_TSTRING:
        reply_bulk(reply, span_at(lua, -1));
        break;
    case LUA_TNUMBER:
        reply_integer(reply, integer_of(lua_tonumber(lua, -1)));
        break;
    case LUA_TBOOLEAN:
        if (writing->protocol >= 3)
            reply_bool(reply, lua_toboolean(lua, -1));
        else if (lua_toboolean(lua, -1))
            reply_integer(reply, 1);
        else
            reply_nil(reply);
        break;
    case LUA_TTABLE:
        if (put_single(writing))
            break;
        open_table(writing);
        return;
    default:
        reply_nil(reply);
    }
    lua_pop(lua, 1);
}

// The next value of the innermost frame, or its end.
static void step(struct writing *writing)
{
    lua_State *lua = writing->lua;
    int depth = writing->depth - 1;
    if (writing->frame[depth].kind == FRAME_ARRAY) {
        lua_rawgeti(lua, -1, ++writing->frame[depth].index);
        if (!lua_isnil(lua, -1)) {
            put_value(writing);
            return;
        }
        lua_pop(lua, 2);
        writing->depth--;
        return;
    }
    if (writing->frame[depth].is_at_value) { // key, value: the key stays for lua_next
        writing->frame[depth].is_at_value = false;
        put_value(writing);
        return;
    }
    if (!lua_next(lua, -2)) {
        lua_pop(lua, 1);
        writing->depth--;
        return;
    }
    if (writing->frame[depth].kind == FRAME_SET)
        lua_pop(lua, 1);
    else
        writing->frame[depth].is_at_value = true;
    lua_pushvalue(lua, writing->frame[depth].kind == FRAME_SET ? -1 : -2);
    put_value(writing);
}

void value_put(lua_State *lua, struct reply *reply, uint8_t script_protocol)
{
    struct writing writing = {.lua = lua, .reply = reply, .protocol = script_protocol};
    size_t mark = reply->out->len;
    luaL_checkstack(lua, 8, "no room for the answer");
    put_value(&writing);
    while (writing.depth) {
        step(&writing);
        if (reply->out->len - mark > LIMIT_OUTPUT_BYTES)
            luaL_error(lua, "the answer is too long");
    }
}
