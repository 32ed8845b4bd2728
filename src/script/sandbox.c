// SPDX-License-Identifier: Apache-2.0
// What scripts see of Lua, and that they can change none of it.
//
// A protected table is an empty one whose metatable leads to the real one and refuses writes; the
// registry knows which is which. The metatable shows itself as another protected table, and what
// would go around metatables (rawset, setmetatable, table.insert ...) asks the registry first.
// Redis changes Lua's core for the same; here it is Debian's.
//
// Taken away: io, os, package, debug are not opened; dofile, load, loadfile, loadstring, require,
// module, setfenv, getfenv, newproxy, collectgarbage, gcinfo, print, string.dump. unpack takes a
// bounded range. Random numbers are each state's own.
#include <lauxlib.h>
#include <lualib.h>
#include <math.h>
#include "base/prng.h"
#include "script/vm.h"

static const char readonly[] = "Attempt to modify a readonly table";
static const char key_protected, key_visible, key_environment, key_chance, key_loading; // registry

static void push_registered(lua_State *lua, const char *key)
{
    lua_pushlightuserdata(lua, (void *)(uintptr_t)key);
    lua_rawget(lua, LUA_REGISTRYINDEX);
}

// The value on top; pops it.
static void put_registered(lua_State *lua, const char *key)
{
    lua_pushlightuserdata(lua, (void *)(uintptr_t)key);
    lua_insert(lua, -2);
    lua_rawset(lua, LUA_REGISTRYINDEX);
}

// ---- protected tables

bool sandbox_push_protected(lua_State *lua, int at)
{
    if (!lua_istable(lua, at))
        return false;
    lua_pushvalue(lua, at);
    push_registered(lua, &key_protected);
    lua_insert(lua, -2);
    lua_rawget(lua, -2);
    lua_remove(lua, -2);
    if (lua_istable(lua, -1))
        return true;
    lua_pop(lua, 1);
    return false;
}

static int refuse_write(lua_State *lua)
{
    return luaL_error(lua, "%s", readonly);
}

// In place of the table on top: one that leads to it.
static void protect(lua_State *lua)
{
    lua_newtable(lua); // real, shown
    push_registered(lua, &key_protected);
    lua_pushvalue(lua, -2);
    lua_pushvalue(lua, -4);
    lua_rawset(lua, -3);
    lua_pop(lua, 1);
    lua_createtable(lua, 0, 3); // real, shown, meta
    lua_pushvalue(lua, -3);
    lua_setfield(lua, -2, "__index");
    lua_pushcfunction(lua, refuse_write);
    lua_setfield(lua, -2, "__newindex");
    lua_newtable(lua); // what getmetatable tells: protected too, and empty
    push_registered(lua, &key_protected);
    lua_pushvalue(lua, -2);
    lua_pushvalue(lua, -3);
    lua_rawset(lua, -3);
    lua_pop(lua, 1);
    lua_createtable(lua, 0, 2);
    lua_pushcfunction(lua, refuse_write);
    lua_setfield(lua, -2, "__newindex");
    lua_pushboolean(lua, 0);
    lua_setfield(lua, -2, "__metatable");
    lua_setmetatable(lua, -2);
    lua_setfield(lua, -2, "__metatable");
    lua_setmetatable(lua, -2);
    lua_remove(lua, -2);
}

static void refuse_protected(lua_State *lua)
{
    if (sandbox_push_protected(lua, 1))
        luaL_error(lua, "%s", readonly);
}

// In front of a function that writes to its first argument without asking its metatable.
static int guarded(lua_State *lua)
{
    refuse_protected(lua);
    lua_pushvalue(lua, lua_upvalueindex(1));
    lua_insert(lua, 1);
    lua_call(lua, lua_gettop(lua) - 1, LUA_MULTRET);
    return lua_gettop(lua);
}

// In front of one that reads: it is to read what is behind.
static int seeing_through(lua_State *lua)
{
    if (sandbox_push_protected(lua, 1))
        lua_replace(lua, 1);
    lua_pushvalue(lua, lua_upvalueindex(1));
    lua_insert(lua, 1);
    lua_call(lua, lua_gettop(lua) - 1, LUA_MULTRET);
    return lua_gettop(lua);
}

// The field of the table on top.
static void wrap(lua_State *lua, const char *field, lua_CFunction with)
{
    lua_getfield(lua, -1, field);
    lua_pushcclosure(lua, with, 1);
    lua_setfield(lua, -2, field);
}

// ---- replaced functions

// A protected table is gone through by the `next` that sees through it, any other by Lua's own.
// What is behind is never handed out.
static int lua_pairs(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TTABLE);
    bool is_protected = sandbox_push_protected(lua, 1);
    lua_pushvalue(lua, lua_upvalueindex(is_protected ? 2 : 1));
    lua_pushvalue(lua, 1);
    lua_pushnil(lua);
    return 3;
}

// As Redis's: an error that is a table with a text becomes the text.
static int lua_pcall_text(lua_State *lua)
{
    luaL_checkany(lua, 1);
    int status = lua_pcall(lua, lua_gettop(lua) - 1, LUA_MULTRET, 0);
    if (status && lua_istable(lua, -1)) {
        lua_getfield(lua, -1, "err");
        if (lua_isstring(lua, -1))
            lua_replace(lua, -2);
        else
            lua_pop(lua, 1);
    }
    lua_pushboolean(lua, status == 0);
    lua_insert(lua, 1);
    return lua_gettop(lua);
}

// The handler runs after the unwinding, not within the error as Lua's does: an error of the budget
// is raised in a hook, and what a hook calls is not counted.
int sandbox_xpcall(lua_State *lua)
{
    luaL_checkany(lua, 2);
    lua_settop(lua, 2);
    lua_insert(lua, 1); // handler, function
    int status = lua_pcall(lua, 0, LUA_MULTRET, 0);
    if (status) {
        lua_insert(lua, 1);
        lua_settop(lua, 2);
        lua_insert(lua, 1); // handler, error
        lua_pcall(lua, 1, LUA_MULTRET, 0);
        lua_pushboolean(lua, 0);
        lua_insert(lua, 1);
        return lua_gettop(lua);
    }
    lua_pushboolean(lua, 1);
    lua_replace(lua, 1); // in the handler's place
    return lua_gettop(lua);
}

static int lua_unpack(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TTABLE);
    lua_Number first = luaL_optnumber(lua, 2, 1);
    lua_Number last = luaL_optnumber(lua, 3, (lua_Number)lua_objlen(lua, 1));
    if (first > last)
        return 0;
    if (!(last - first < VM_UNPACK_MAX) || first < -2147483647.0 || last > 2147483647.0)
        return luaL_error(lua, "too many results to unpack");
    int from = (int)first, count = (int)(last - first) + 1;
    if (!lua_checkstack(lua, count))
        return luaL_error(lua, "too many results to unpack");
    for (int i = 0; i < count; i++)
        lua_rawgeti(lua, 1, from + i);
    return count;
}

static struct prng *chance_of(lua_State *lua)
{
    push_registered(lua, &key_chance);
    struct prng *chance = lua_touserdata(lua, -1);
    lua_pop(lua, 1);
    return chance;
}

static int lua_random(lua_State *lua)
{
    lua_Number share = (lua_Number)(prng_next(chance_of(lua)) >> 11) * 0x1p-53;
    int given = lua_gettop(lua);
    if (given == 0) {
        lua_pushnumber(lua, share);
        return 1;
    }
    if (given > 2)
        return luaL_error(lua, "wrong number of arguments");
    lua_Number low = given == 2 ? (lua_Number)luaL_checkint(lua, 1) : 1;
    lua_Number high = (lua_Number)luaL_checkint(lua, given);
    luaL_argcheck(lua, low <= high, given, "interval is empty");
    lua_pushnumber(lua, floor(share * (high - low + 1)) + low);
    return 1;
}

static int lua_randomseed(lua_State *lua)
{
    prng_init(chance_of(lua), (uint64_t)(int64_t)luaL_checkint(lua, 1));
    return 0;
}

// ---- globals

static int refuse_global(lua_State *lua)
{
    const char *name = lua_isstring(lua, 2) ? lua_tostring(lua, 2) : luaL_typename(lua, 2);
    return luaL_error(lua, "Script attempted to access nonexistent global variable '%s'", name);
}

static void open_library(lua_State *lua, lua_CFunction open, const char *name)
{
    lua_pushcfunction(lua, open);
    lua_pushstring(lua, name);
    lua_call(lua, 1, 0);
}

static void remove_fields(lua_State *lua, const char *const *names)
{
    for (; *names; names++) {
        lua_pushnil(lua);
        lua_setfield(lua, -2, *names);
    }
}

static void change_base(lua_State *lua)
{
    static const char *const removed[] = {
        "collectgarbage", "dofile",   "gcinfo", "getfenv", "load",    "loadfile", "loadstring",
        "module",         "newproxy", "print",  "require", "setfenv", NULL};
    remove_fields(lua, removed);
    wrap(lua, "rawset", guarded);
    wrap(lua, "setmetatable", guarded);
    wrap(lua, "rawget", seeing_through);
    lua_getfield(lua, -1, "next");
    lua_insert(lua, -2);
    wrap(lua, "next", seeing_through);
    lua_insert(lua, -2);
    lua_getfield(lua, -2, "next");
    lua_pushcclosure(lua, lua_pairs, 2);
    lua_setfield(lua, -2, "pairs");
    lua_pushcfunction(lua, lua_pcall_text);
    lua_setfield(lua, -2, "pcall");
    lua_pushcfunction(lua, sandbox_xpcall);
    lua_setfield(lua, -2, "xpcall");
    lua_pushcfunction(lua, lua_unpack);
    lua_setfield(lua, -2, "unpack");
}

static void change_libraries(lua_State *lua)
{
    static const char *const dump[] = {"dump", NULL};
    static const char *const writers[] = {"insert", "remove", "sort", "setn", NULL};
    lua_getfield(lua, -1, "string");
    remove_fields(lua, dump);
    lua_pop(lua, 1);
    lua_getfield(lua, -1, "table");
    for (const char *const *name = writers; *name; name++)
        wrap(lua, *name, guarded);
    lua_pop(lua, 1);
    lua_getfield(lua, -1, "math");
    lua_pushcfunction(lua, lua_random);
    lua_setfield(lua, -2, "random");
    lua_pushcfunction(lua, lua_randomseed);
    lua_setfield(lua, -2, "randomseed");
    lua_pop(lua, 1);
}

// Methods of strings lead to the visible library; their metatable is not to be had.
static void close_string_metatable(lua_State *lua)
{
    lua_pushliteral(lua, "");
    lua_getmetatable(lua, -1);
    lua_getfield(lua, -3, "string");
    lua_setfield(lua, -2, "__index");
    lua_newtable(lua);
    protect(lua);
    lua_setfield(lua, -2, "__metatable");
    lua_pop(lua, 2);
}

static void add_modules(lua_State *lua, bool is_function)
{
    static const struct {
        const char *name;
        void (*push)(lua_State *lua);
    } modules[] = {{"cjson", json_push},
                   {"cmsgpack", msgpack_push},
                   {"struct", struct_push},
                   {"bit", bit_push}};
    for (unsigned i = 0; i < 4; i++) {
        modules[i].push(lua);
        lua_setfield(lua, -2, modules[i].name);
    }
    api_push(lua, is_function);
    lua_setfield(lua, -2, "redis");
}

// Every library in the table on top becomes a protected one.
static void protect_libraries(lua_State *lua)
{
    static const char *const names[] = {"string",   "table",  "math", "coroutine", "cjson",
                                        "cmsgpack", "struct", "bit",  "redis",     NULL};
    for (const char *const *name = names; *name; name++) {
        lua_getfield(lua, -1, *name);
        protect(lua);
        lua_setfield(lua, -2, *name);
    }
}

static void make_registry(lua_State *lua)
{
    lua_newtable(lua);
    put_registered(lua, &key_protected);
    struct prng *chance = lua_newuserdata(lua, sizeof *chance);
    prng_init(chance, vm_of(lua)->host.now_us(vm_of(lua)->host.ctx));
    put_registered(lua, &key_chance);
    lua_newtable(lua);
    put_registered(lua, &key_visible);
}

// What is not there is an error, of the table on top.
static void refuse_missing(lua_State *lua)
{
    lua_newtable(lua);
    lua_pushcfunction(lua, refuse_global);
    lua_setfield(lua, -2, "__index");
    lua_setmetatable(lua, -2);
}

// All that the real globals hold goes to the visible ones.
static void fill_visible(lua_State *lua)
{
    push_registered(lua, &key_visible);
    lua_pushnil(lua);
    while (lua_next(lua, LUA_GLOBALSINDEX)) {
        lua_pushvalue(lua, -2);
        lua_insert(lua, -2);
        lua_rawset(lua, -4);
    }
    refuse_missing(lua);
    lua_pushvalue(lua, -1);
    protect(lua);
    lua_pushvalue(lua, -1);
    put_registered(lua, &key_environment);
    lua_setfield(lua, -2, "_G");
    lua_pop(lua, 1);
}

static void fill_loading(lua_State *lua)
{
    lua_newtable(lua);
    refuse_missing(lua);
    api_push_loading(lua);
    refuse_missing(lua);
    protect(lua);
    lua_pushliteral(lua, "redis");
    lua_insert(lua, -2);
    lua_rawset(lua, -3);
    put_registered(lua, &key_loading);
}

void sandbox_set_loading(lua_State *lua, bool is_loading)
{
    push_registered(lua, &key_environment);
    lua_getmetatable(lua, -1);
    push_registered(lua, is_loading ? &key_loading : &key_visible);
    lua_setfield(lua, -2, "__index");
    lua_pop(lua, 2);
}

void sandbox_build(lua_State *lua, bool is_function)
{
    make_registry(lua);
    open_library(lua, luaopen_base, "");
    open_library(lua, luaopen_table, LUA_TABLIBNAME);
    open_library(lua, luaopen_string, LUA_STRLIBNAME);
    open_library(lua, luaopen_math, LUA_MATHLIBNAME);
    lua_pushvalue(lua, LUA_GLOBALSINDEX);
    change_base(lua);
    change_libraries(lua);
    add_modules(lua, is_function);
    protect_libraries(lua);
    close_string_metatable(lua);
    lua_pop(lua, 1);
    fill_visible(lua);
    fill_loading(lua);
}

void sandbox_set_environment(lua_State *lua)
{
    push_registered(lua, &key_environment);
    lua_setfenv(lua, -2);
}

void sandbox_set_global(lua_State *lua, const char *name)
{
    push_registered(lua, &key_visible);
    lua_insert(lua, -2);
    lua_pushstring(lua, name);
    lua_insert(lua, -2);
    lua_rawset(lua, -3);
    lua_pop(lua, 1);
}
