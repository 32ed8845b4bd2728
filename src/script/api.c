// SPDX-License-Identifier: Apache-2.0
// The `redis` table: call and pcall run commands of the table inside the script's commit, the rest
// is small. Texts are Redis's.
#include <lauxlib.h>
#include <stdio.h>
#include "command/transaction.h"
#include "script/functions.h"
#include "script/sha1.h"
#include "script/vm.h"

#define REDIS_VERSION_NUMBER 0x0007000f
#define NUMBER_TEXT          32

// ---- errors

// Where it happened: the innermost function that is not C.
static bool find_place(lua_State *lua, lua_Debug *where)
{
    for (int level = 1; level <= 2; level++) {
        if (!lua_getstack(lua, level, where) || !lua_getinfo(lua, "Sl", where))
            return false;
        if (*where->what != 'C')
            return true;
    }
    return false;
}

int api_on_error(lua_State *lua)
{
    lua_Debug where;
    if (!lua_istable(lua, 1) || sandbox_push_protected(lua, 1)) {
        lua_settop(lua, 1);
        const char *text = lua_isstring(lua, 1) ? lua_tostring(lua, 1) : luaL_typename(lua, 1);
        lua_createtable(lua, 0, 3);
        lua_pushfstring(lua, "ERR %s", text);
        lua_setfield(lua, -2, "err");
    }
    if (find_place(lua, &where)) {
        lua_pushliteral(lua, "source");
        lua_pushstring(lua, where.source);
        lua_rawset(lua, -3);
        lua_pushliteral(lua, "line");
        lua_pushinteger(lua, where.currentline);
        lua_rawset(lua, -3);
    }
    return 1;
}

// ---- redis.call, redis.pcall

static bool room(struct vm *vm, uint32_t count)
{
    if (count <= vm->argv_cap)
        return true;
    struct span *argv =
        heap_resize(vm->host.heap, vm->argv, vm->argv_cap * sizeof *argv, count * sizeof *argv);
    if (!argv)
        return false;
    vm->argv = argv;
    vm->argv_cap = count;
    return true;
}

// The arguments as spans; numbers become text in their place. NULL, or what is wrong.
static const char *take_arguments(lua_State *lua, struct vm *vm, uint32_t *out_argc)
{
    int count = lua_gettop(lua);
    if (count == 0)
        return "Please specify at least one argument for this redis lib call";
    if (!room(vm, (uint32_t)count))
        return "-OOM command not allowed: out of memory";
    for (int i = 1; i <= count; i++) {
        char text[NUMBER_TEXT];
        if (lua_type(lua, i) == LUA_TNUMBER) {
            snprintf(text, sizeof text, "%.17g", lua_tonumber(lua, i));
            lua_pushstring(lua, text);
            lua_replace(lua, i);
        }
        size_t len;
        const char *bytes = lua_type(lua, i) == LUA_TSTRING ? lua_tolstring(lua, i, &len) : NULL;
        if (!bytes)
            return "Lua redis lib command arguments must be strings or integers";
        vm->argv[i - 1] = span_of(bytes, len);
    }
    *out_argc = (uint32_t)count;
    return NULL;
}

// Whether the command may run here. NULL, or why not.
static const char *refusal(struct vm *vm, const struct command *command, uint32_t argc)
{
    struct vm_run *run = vm->run;
    if (!command)
        return "Unknown Redis command called from script";
    if (!command_takes(command, argc))
        return "Wrong number of args calling Redis command from script";
    if (command->flags & COMMAND_NO_SCRIPT)
        return "This Redis command is not allowed from script";
    bool is_write = (command->flags & COMMAND_WRITE) != 0;
    if (is_write && run->is_read_only)
        return "Write commands are not allowed from read-only scripts.";
    if (!is_write)
        return NULL;
    run->has_written = true;
    if (run->is_slow && vm->host.on_slow(vm->host.ctx, run))
        return "Script killed by user."; // it was asked for before this write
    return NULL;
}

// The command's answer is in vm->reply. NULL, or what is wrong.
static const char *perform(struct vm *vm, uint32_t argc)
{
    struct call inner = *vm->run->call;
    struct reply reply = reply_to(&vm->reply, vm->run->protocol);
    inner.command = command_find(vm->host.index, vm->argv[0]);
    inner.argv = vm->argv;
    inner.argc = argc;
    inner.reply = &reply;
    inner.is_nested = inner.is_scripted = true;
    buf_clear(&vm->reply);
    if (!inner.command && refusal_of(vm->argv[0])) {
        command_refuse(&inner); // says why there is none
        return NULL;
    }
    const char *why = refusal(vm, inner.command, argc);
    if (why)
        return why;
    command_perform(&inner);
    vm->run->call->is_durable |= inner.is_durable;
    if (buf_has_failed(&vm->reply))
        return "-OOM command not allowed: out of memory";
    return vm->reply.len > VM_TEXT_MAX ? "the answer is too long for a script" : NULL;
}

static int run_command(lua_State *lua, bool is_raising)
{
    struct vm *vm = vm_of(lua);
    uint32_t argc = 0;
    if (!vm->run)
        return vm_raise(lua, "redis.call/pcall can only be called inside a script invocation");
    const char *why = take_arguments(lua, vm, &argc);
    if (!why)
        why = perform(vm, argc);
    lua_settop(lua, 0);
    bool is_error = why || (vm->reply.len && vm->reply.ptr[0] == '-');
    if (why)
        vm_push_error(lua, why);
    else if (!value_push_reply(lua, buf_span(&vm->reply)))
        return vm_raise(lua, "the command's answer is malformed");
    return is_error && is_raising ? lua_error(lua) : 1;
}

static int redis_call(lua_State *lua)
{
    return run_command(lua, true);
}

static int redis_pcall(lua_State *lua)
{
    return run_command(lua, false);
}

// ---- the small ones

static int redis_sha1hex(lua_State *lua)
{
    char hex[SHA1_HEX + 1];
    size_t len = 0;
    if (lua_gettop(lua) != 1)
        return vm_raise(lua, "wrong number of arguments");
    const char *text = lua_tolstring(lua, 1, &len);
    sha1_hex(span_of(text ? text : "", len), hex);
    lua_pushstring(lua, hex);
    return 1;
}

static bool is_one_string(lua_State *lua)
{
    if (lua_gettop(lua) == 1 && lua_type(lua, 1) == LUA_TSTRING)
        return true;
    vm_push_error(lua, "wrong number or type of arguments");
    return false;
}

static int redis_error_reply(lua_State *lua)
{
    if (!is_one_string(lua))
        return 1;
    const char *text = lua_tostring(lua, 1);
    text += *text == '-';
    lua_createtable(lua, 0, 1);
    if (strchr(text, ' '))
        lua_pushstring(lua, text);
    else
        lua_pushfstring(lua, "ERR %s", text);
    lua_setfield(lua, -2, "err");
    return 1;
}

static int redis_status_reply(lua_State *lua)
{
    if (!is_one_string(lua))
        return 1;
    lua_createtable(lua, 0, 1);
    lua_pushvalue(lua, 1);
    lua_setfield(lua, -2, "ok");
    return 1;
}

static int redis_log(lua_State *lua)
{
    struct vm *vm = vm_of(lua);
    int given = lua_gettop(lua);
    if (given < 2)
        return vm_raise(lua, "redis.log() requires two arguments or more.");
    if (!lua_isnumber(lua, 1))
        return vm_raise(lua, "First argument must be a number (log level).");
    lua_Number level = lua_tonumber(lua, 1);
    if (!(level >= 0 && level <= 3))
        return vm_raise(lua, "Invalid debug level.");
    buf_clear(&vm->text);
    for (int i = 2; i <= given; i++) {
        size_t len;
        const char *text = lua_tolstring(lua, i, &len);
        if (!text)
            continue;
        if (i > 2)
            buf_put_byte(&vm->text, ' ');
        buf_put(&vm->text, span_of(text, len));
    }
    vm_check_text(lua, vm);
    vm->host.on_log(vm->host.ctx, (int)level, buf_span(&vm->text));
    return 0;
}

static int redis_setresp(lua_State *lua)
{
    struct vm *vm = vm_of(lua);
    if (!vm->run)
        return vm_raise(lua, "redis.setresp can only be called inside a script invocation");
    if (lua_gettop(lua) != 1)
        return vm_raise(lua, "redis.setresp() requires one argument.");
    lua_Number version = lua_tonumber(lua, 1);
    if (version != 2 && version != 3)
        return vm_raise(lua, "RESP version must be 2 or 3.");
    vm->run->protocol = (uint8_t)version;
    return 0;
}

// What every script's effects do anyway.
static int redis_replicate_commands(lua_State *lua)
{
    lua_pushboolean(lua, 1);
    return 1;
}

static int redis_set_repl(lua_State *lua)
{
    if (lua_gettop(lua) != 1)
        return vm_raise(lua, "redis.set_repl() requires two arguments.");
    lua_Number flags = lua_tonumber(lua, 1);
    if (!(flags >= 0 && flags <= 3))
        return vm_raise(lua, "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or "
                             "REPL_NONE.");
    if (flags == 3)
        return 0;
    return vm_raise(lua, "redis.set_repl() takes only REPL_ALL: what a script changes is durable "
                         "and reaches every replica");
}

static int redis_breakpoint(lua_State *lua)
{
    lua_pushboolean(lua, 0); // as outside of a debugging session, which there is none
    return 1;
}

static int redis_acl_check_cmd(lua_State *lua)
{
    struct vm *vm = vm_of(lua);
    uint32_t argc = 0;
    if (!vm->run)
        return vm_raise(lua, "redis.acl_check_cmd can only be called inside a script invocation");
    const char *why = take_arguments(lua, vm, &argc);
    if (why)
        return vm_raise(lua, why);
    struct call inner = *vm->run->call;
    inner.command = command_find(vm->host.index, vm->argv[0]);
    inner.argv = vm->argv;
    inner.argc = argc;
    if (!inner.command)
        return vm_raise(lua, "Invalid command passed to redis.acl_check_cmd()");
    lua_pushboolean(lua, !inner.session || !command_is_denied(&inner));
    return 1;
}

// ---- the table

static void put_number(lua_State *lua, const char *field, lua_Number value)
{
    lua_pushnumber(lua, value);
    lua_setfield(lua, -2, field);
}

static void put_functions(lua_State *lua, const luaL_Reg *list)
{
    for (; list->name; list++) {
        lua_pushcfunction(lua, list->func);
        lua_setfield(lua, -2, list->name);
    }
}

static void put_constants(lua_State *lua)
{
    static const char *const levels[] = {"LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING"};
    for (int i = 0; i < 4; i++)
        put_number(lua, levels[i], i);
    put_number(lua, "REDIS_VERSION_NUM", REDIS_VERSION_NUMBER);
    lua_pushliteral(lua, REDIS_VERSION);
    lua_setfield(lua, -2, "REDIS_VERSION");
}

void api_push_loading(lua_State *lua)
{
    static const luaL_Reg functions[] = {
        {"register_function", functions_register}, {"log", redis_log}, {NULL, NULL}};
    lua_newtable(lua);
    put_functions(lua, functions);
    put_constants(lua);
}

void api_push(lua_State *lua, bool is_function)
{
    static const luaL_Reg both[] = {{"call", redis_call},
                                    {"pcall", redis_pcall},
                                    {"log", redis_log},
                                    {"sha1hex", redis_sha1hex},
                                    {"error_reply", redis_error_reply},
                                    {"status_reply", redis_status_reply},
                                    {"setresp", redis_setresp},
                                    {"set_repl", redis_set_repl},
                                    {"acl_check_cmd", redis_acl_check_cmd},
                                    {NULL, NULL}};
    static const luaL_Reg eval[] = {{"replicate_commands", redis_replicate_commands},
                                    {"breakpoint", redis_breakpoint},
                                    {"debug", redis_breakpoint},
                                    {NULL, NULL}};
    lua_newtable(lua);
    put_functions(lua, both);
    if (!is_function)
        put_functions(lua, eval);
    put_constants(lua);
    put_number(lua, "REPL_NONE", 0);
    put_number(lua, "REPL_AOF", 1);
    put_number(lua, "REPL_SLAVE", 2);
    put_number(lua, "REPL_REPLICA", 2);
    put_number(lua, "REPL_ALL", 3);
}
