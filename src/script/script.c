// SPDX-License-Identifier: Apache-2.0
// One Lua state, fenced in. What is taken away and why:
//
//   io, os, package, debug, coroutine are not opened; from the base library go whatever loads code
//   or bytecode, reads files, or changes environments (dofile, load, loadfile, loadstring, require,
//   module, setfenv, getfenv, newproxy, collectgarbage, gcinfo, print), from string its dump
//   (bytecode), and unpack takes a bounded range (CVE-2025-46817).
//   The metatable of strings is closed (CVE-2025-46818).
//
// Steps: a hook every STEPS_CHUNK instructions counts; past the budget it fires at each
// instruction, so that no nest of pcall outlives it. One call of a C function is one step, whatever
// it costs: patterns are the operator's own program's to choose.
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/decimal.h"
#include "script/script.h"
#include "script/vm.h"
#include "wire/json.h"

#define STEPS_CHUNK     1000
#define PUBLISH_STEPS   1000 // what a publish costs of the budget
#define UNPACK_MAX      1000
#define QUOTED_KEPT_MAX 65536
#define EXACT_MAX       ((int64_t)1 << 53) // integers beyond it are not exact in Lua

struct script {
    struct heap *heap;
    struct script_options options; // text is not kept
    lua_State *lua;
    size_t memory_bytes;
    uint32_t steps_left;
    unsigned failures_in_row;
    struct buf quoted; // what quipu.quote makes
    struct script_counts counts;
    char error[200];
};

// ---- memory and steps

static void *resize(void *ctx, void *ptr, size_t size_old, size_t size_new)
{
    struct script *script = ctx;
    size_t old = ptr ? size_old : 0;
    if (size_new > old && script->memory_bytes + (size_new - old) > SCRIPT_MEMORY_MAX)
        return NULL;
    void *block = ptr || size_new ? heap_resize(script->heap, ptr, old, size_new) : NULL;
    if (block || size_new == 0)
        script->memory_bytes = script->memory_bytes - old + size_new;
    return block;
}

static struct script *script_of(lua_State *lua)
{
    void *ctx;
    lua_getallocf(lua, &ctx);
    return ctx;
}

static void on_steps(lua_State *lua, lua_Debug *where)
{
    struct script *script = script_of(lua);
    if (script->steps_left > STEPS_CHUNK) {
        script->steps_left -= STEPS_CHUNK;
        return;
    }
    script->steps_left = 0;
    lua_sethook(lua, on_steps, LUA_MASKCOUNT, 1);
    lua_getinfo(lua, "Sl", where);
    lua_pushfstring(lua, "%s:%d: stopped after %d steps", where->short_src, where->currentline,
                    SCRIPT_STEPS_MAX);
    lua_error(lua);
}

static void allow_steps(struct script *script)
{
    script->steps_left = SCRIPT_STEPS_MAX;
    lua_sethook(script->lua, on_steps, LUA_MASKCOUNT, STEPS_CHUNK);
}

// ---- what the program may call

static struct span argument(lua_State *lua, int at)
{
    size_t len;
    const char *text = luaL_checklstring(lua, at, &len);
    return span_of(text, len);
}

static int lua_publish(lua_State *lua)
{
    struct script *script = script_of(lua);
    struct span channel = argument(lua, 1), message = argument(lua, 2);
    script->steps_left -= script->steps_left < PUBLISH_STEPS ? script->steps_left : PUBLISH_STEPS;
    int64_t receivers = script->options.on_publish(script->options.ctx, channel, message);
    lua_pushnumber(lua, (lua_Number)receivers);
    return 1;
}

// redis.log([level,] message)
static int lua_log(lua_State *lua)
{
    struct script *script = script_of(lua);
    script->options.on_log(script->options.ctx, argument(lua, lua_gettop(lua) > 1 ? 2 : 1));
    return 0;
}

static int lua_quote(lua_State *lua)
{
    struct script *script = script_of(lua);
    struct buf *quoted = &script->quoted; // not a local one: an error of Lua's would lose it
    buf_clear(quoted);
    buf_shrink(quoted, QUOTED_KEPT_MAX);
    json_put_string(quoted, argument(lua, 1));
    if (buf_has_failed(quoted))
        return luaL_error(lua, "out of memory");
    lua_pushlstring(lua, (const char *)quoted->ptr, quoted->len);
    return 1;
}

static int lua_unpack(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TTABLE);
    lua_Number first = luaL_optnumber(lua, 2, 1);
    lua_Number last = luaL_optnumber(lua, 3, (lua_Number)lua_objlen(lua, 1));
    if (first > last)
        return 0;
    if (!(last - first < UNPACK_MAX) || first < -2147483647.0 || last > 2147483647.0)
        return luaL_error(lua, "too many results to unpack");
    int from = (int)first, count = (int)(last - first) + 1;
    luaL_checkstack(lua, count, "too many results to unpack");
    for (int i = 0; i < count; i++)
        lua_rawgeti(lua, 1, from + i);
    return count;
}

// ---- the sandbox

static void remove_names(lua_State *lua, const char *table, const char *const *names)
{
    lua_getglobal(lua, table);
    for (; *names; names++) {
        lua_pushnil(lua);
        lua_setfield(lua, -2, *names);
    }
    lua_pop(lua, 1);
}

static void open_library(lua_State *lua, lua_CFunction open, const char *name)
{
    lua_pushcfunction(lua, open);
    lua_pushstring(lua, name);
    lua_call(lua, 1, 0);
}

static void close_string_metatable(lua_State *lua)
{
    lua_pushliteral(lua, "");
    lua_getmetatable(lua, -1);
    lua_pushboolean(lua, 0);
    lua_setfield(lua, -2, "__metatable"); // what getmetatable("") answers
    lua_pop(lua, 2);
}

static int build(lua_State *lua)
{
    static const char *const base[] = {
        "collectgarbage", "dofile",   "gcinfo", "getfenv", "load",    "loadfile",  "loadstring",
        "module",         "newproxy", "print",  "require", "setfenv", "coroutine", NULL};
    static const char *const string[] = {"dump", NULL};
    static const luaL_Reg redis[] = {{"publish", lua_publish}, {"log", lua_log}, {NULL, NULL}};
    static const luaL_Reg quipu[] = {{"quote", lua_quote}, {NULL, NULL}};
    static const char *const levels[] = {"LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING"};
    open_library(lua, luaopen_base, "");
    open_library(lua, luaopen_table, LUA_TABLIBNAME);
    open_library(lua, luaopen_string, LUA_STRLIBNAME);
    open_library(lua, luaopen_math, LUA_MATHLIBNAME);
    remove_names(lua, "_G", base);
    remove_names(lua, "string", string);
    close_string_metatable(lua);
    lua_pushcfunction(lua, lua_unpack);
    lua_setglobal(lua, "unpack");
    lua_pushcfunction(lua, sandbox_xpcall);
    lua_setglobal(lua, "xpcall");
    luaL_register(lua, "redis", redis);
    for (int i = 0; i < 4; i++) {
        lua_pushinteger(lua, i);
        lua_setfield(lua, -2, levels[i]);
    }
    lua_pop(lua, 1);
    luaL_register(lua, "quipu", quipu);
    lua_pop(lua, 1);
    return 0;
}

// ---- running

// Nothing here may allocate in Lua: outside of a protected call that would end the process.
static void take_error(struct script *script)
{
    size_t len;
    bool is_text = lua_type(script->lua, -1) == LUA_TSTRING;
    const char *text = is_text ? lua_tolstring(script->lua, -1, &len) : "an error without text";
    bool is_placed =
        !is_text || strcmp(text, "not enough memory") != 0; // Lua's own, without a place
    snprintf(script->error, sizeof script->error, "%s%s%s", is_placed ? "" : script->options.name,
             is_placed ? "" : ": ", text);
    for (char *at = script->error; *at; at++) {
        if ((unsigned char)*at < ' ')
            *at = ' ';
    }
    lua_settop(script->lua, 0);
    lua_gc(script->lua, LUA_GCCOLLECT, 0); // what filled the memory may be garbage by now
}

// Bytecode, which could do anything, begins with ESC and is refused.
static int load_program(lua_State *lua)
{
    struct script *script = script_of(lua);
    struct span text = script->options.text;
    const char *name = lua_pushfstring(lua, "@%s", script->options.name);
    if (text.len && text.ptr[0] == LUA_SIGNATURE[0])
        return luaL_error(lua, "%s: bytecode is not accepted", script->options.name);
    if (luaL_loadbuffer(lua, (const char *)text.ptr, text.len, name))
        return lua_error(lua);
    lua_call(lua, 0, 0);
    lua_getglobal(lua, "on_change");
    if (!lua_isfunction(lua, -1))
        return luaL_error(lua, "%s: defines no function on_change(event)", script->options.name);
    return 0;
}

int script_new(struct script **out_script, struct heap *heap, const struct script_options *options,
               struct buf *out_error)
{
    struct script *script = heap_alloc(heap, sizeof *script);
    if (!script)
        return -ENOMEM;
    *script = (struct script){.heap = heap, .options = *options};
    buf_init(&script->quoted, heap);
    script->lua = lua_newstate(resize, script);
    if (!script->lua) {
        script_free(script);
        return -ENOMEM;
    }
    int status = lua_cpcall(script->lua, build, NULL);
    allow_steps(script);
    if (!status)
        status = lua_cpcall(script->lua, load_program, NULL);
    if (status) {
        take_error(script);
        buf_put_text(out_error, script->error);
        script_free(script);
        return SCRIPT_E_LOAD;
    }
    lua_settop(script->lua, 0);
    script->options.text = (struct span){0};
    *out_script = script;
    return 0;
}

void script_free(struct script *script)
{
    if (!script)
        return;
    if (script->lua)
        lua_close(script->lua);
    buf_deinit(&script->quoted);
    heap_free(script->heap, script, sizeof *script);
}

static void set_text(lua_State *lua, const char *field, const char *text)
{
    lua_pushstring(lua, text);
    lua_setfield(lua, -2, field);
}

static void set_integer(lua_State *lua, const char *field, int64_t value)
{
    if (value >= -EXACT_MAX && value <= EXACT_MAX) {
        lua_pushnumber(lua, (lua_Number)value);
    } else {
        uint8_t digits[DECIMAL_LEN_MAX];
        lua_pushlstring(lua, (const char *)digits, (size_t)(decimal_write(digits, value) - digits));
    }
    lua_setfield(lua, -2, field);
}

static int call_change(lua_State *lua)
{
    const struct script_event *event = lua_touserdata(lua, 1);
    lua_getglobal(lua, "on_change");
    lua_createtable(lua, 0, 11);
    lua_pushlstring(lua, (const char *)event->key.ptr, event->key.len);
    lua_setfield(lua, -2, "key");
    if (event->member.ptr) {
        lua_pushlstring(lua, (const char *)event->member.ptr, event->member.len);
        lua_setfield(lua, -2, "member");
    }
    set_text(lua, "type", event->type);
    set_text(lua, "op", event->op);
    set_text(lua, "origin", event->origin);
    if (event->is_live)
        set_integer(lua, "value", event->value);
    if (event->has_previous) {
        set_integer(lua, "previous", event->previous);
        set_integer(lua, "amount", event->amount);
    }
    set_integer(lua, "version", (int64_t)event->version);
    set_integer(lua, "time_ms", (int64_t)event->time_ms);
    lua_call(lua, 1, 0);
    return 0;
}

int script_change(struct script *script, const struct script_event *event)
{
    if (script->counts.is_disabled)
        return SCRIPT_E_DISABLED;
    script->counts.calls++;
    allow_steps(script);
    if (lua_cpcall(script->lua, call_change, (void *)(uintptr_t)event) == 0) {
        script->failures_in_row = 0;
        return 0;
    }
    take_error(script);
    script->counts.failures++;
    script->counts.is_disabled = ++script->failures_in_row >= SCRIPT_FAILURES_MAX;
    return SCRIPT_E_FAILED;
}

const char *script_error(const struct script *script)
{
    return script->error;
}

struct script_counts script_counts(const struct script *script)
{
    struct script_counts counts = script->counts;
    counts.memory_bytes = script->memory_bytes;
    return counts;
}
