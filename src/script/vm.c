// SPDX-License-Identifier: Apache-2.0
// A state of scripts: its memory, its budget of time, and the protected calls in which everything
// happens. Nothing may allocate in Lua outside of one: that would end the process.
//
// Time: a hook every CHUNK instructions looks at the clock; past the limit it fires at each
// instruction, so that no nest of pcall outlives it. One call of a C function is not interrupted.
#include <errno.h>
#include <lauxlib.h>
#include <stdio.h>
#include "script/vm.h"

#define CHUNK         1000
#define TEXT_KEPT_MAX 65536
#define COLLECT_EVERY 50 // runs
#define ARGV_FIRST    64

const char *const vm_flag_names[5] = {"no-writes", "allow-oom", "allow-stale", "no-cluster",
                                      "allow-cross-slot-keys"};

bool vm_flag_find(struct span name, uint32_t *out_flag)
{
    for (unsigned i = 0; i < 5; i++) {
        if (!span_is_equal(name, span_text(vm_flag_names[i])))
            continue;
        *out_flag = 1u << i;
        return true;
    }
    return false;
}

// ---- memory and time

static void *resize(void *ctx, void *ptr, size_t size_old, size_t size_new)
{
    struct vm *vm = ctx;
    size_t old = ptr ? size_old : 0;
    if (size_new > old && vm->memory_bytes + (size_new - old) > VM_MEMORY_MAX)
        return NULL;
    void *block = ptr || size_new ? heap_resize(vm->host.heap, ptr, old, size_new) : NULL;
    if (block || size_new == 0)
        vm->memory_bytes = vm->memory_bytes - old + size_new;
    return block;
}

struct vm *vm_of(lua_State *lua)
{
    void *ctx;
    lua_getallocf(lua, &ctx);
    return ctx;
}

void vm_push_error(lua_State *lua, const char *text)
{
    lua_createtable(lua, 0, 1);
    if (*text == '-')
        lua_pushstring(lua, text + 1);
    else
        lua_pushfstring(lua, "ERR %s", text);
    lua_setfield(lua, -2, "err");
}

int vm_raise(lua_State *lua, const char *text)
{
    vm_push_error(lua, text);
    return lua_error(lua);
}

// Why what runs may not go on; NULL: it may.
static const char *why_not(struct vm *vm)
{
    struct vm_run *run = vm->run;
    uint64_t used_us = vm->host.now_us(vm->host.ctx) - vm->begun_us;
    if (vm->limit_us && used_us > vm->limit_us)
        return run ? "-ERR the script took longer than script-time-limit allows, and was stopped"
                   : "FUNCTION LOAD timeout";
    if (!run || used_us < (uint64_t)run->call->server->script_busy_ms * 1000)
        return NULL;
    run->is_slow = true;
    if (!vm->host.on_slow(vm->host.ctx, run))
        return NULL;
    return vm->is_function ? "Script killed by user with FUNCTION KILL."
                           : "Script killed by user with SCRIPT KILL.";
}

static void on_count(lua_State *lua, lua_Debug *where)
{
    struct vm *vm = vm_of(lua);
    (void)where;
    if (!vm->stopped)
        vm->stopped = why_not(vm);
    if (!vm->stopped)
        return;
    lua_sethook(lua, on_count, LUA_MASKCOUNT, 1);
    vm_raise(lua, vm->stopped);
}

static void begin(struct vm *vm, uint64_t limit_ms)
{
    vm->stopped = NULL;
    vm->begun_us = vm->host.now_us(vm->host.ctx);
    vm->limit_us = limit_ms * 1000;
    lua_sethook(vm->lua, on_count, LUA_MASKCOUNT, CHUNK);
}

// ---- text

void vm_check_text(lua_State *lua, struct vm *vm)
{
    bool is_too_long = vm->text.len > VM_TEXT_MAX;
    if (!is_too_long && !buf_has_failed(&vm->text))
        return;
    buf_clear(&vm->text);
    buf_shrink(&vm->text, 0);
    luaL_error(lua, is_too_long ? "the result is too long" : "not enough memory");
}

void vm_push_text(lua_State *lua, struct vm *vm)
{
    vm_check_text(lua, vm);
    lua_pushlstring(lua, vm->text.ptr ? (const char *)vm->text.ptr : "", vm->text.len);
}

// ---- life

static int build(lua_State *lua)
{
    sandbox_build(lua, vm_of(lua)->is_function);
    return 0;
}

// What Lua says of a failed call, as one line. Allocates nothing.
static void take_error(struct vm *vm)
{
    lua_State *lua = vm->lua;
    const char *text = "an error without text";
    if (lua_type(lua, -1) == LUA_TSTRING)
        text = lua_tostring(lua, -1);
    snprintf(vm->error, sizeof vm->error, "%s", text);
    lua_settop(lua, 0);
}

int vm_new(struct vm **out_vm, const struct vm_host *host, bool is_function)
{
    struct vm *vm = heap_alloc(host->heap, sizeof *vm);
    if (!vm)
        return -ENOMEM;
    *vm = (struct vm){.host = *host, .is_function = is_function};
    buf_init(&vm->text, host->heap);
    buf_init(&vm->reply, host->heap);
    vm->argv = heap_alloc(host->heap, ARGV_FIRST * sizeof *vm->argv);
    vm->argv_cap = vm->argv ? ARGV_FIRST : 0;
    vm->lua = vm->argv ? lua_newstate(resize, vm) : NULL;
    if (!vm->lua || lua_cpcall(vm->lua, build, NULL)) {
        vm_free(vm);
        return -ENOMEM;
    }
    *out_vm = vm;
    return 0;
}

void vm_free(struct vm *vm)
{
    if (!vm)
        return;
    if (vm->lua)
        lua_close(vm->lua);
    buf_deinit(&vm->text);
    buf_deinit(&vm->reply);
    heap_free(vm->host.heap, vm->argv, vm->argv_cap * sizeof *vm->argv);
    heap_free(vm->host.heap, vm, sizeof *vm);
}

size_t vm_memory(const struct vm *vm)
{
    return vm->memory_bytes;
}

const char *vm_error(const struct vm *vm)
{
    return vm->error;
}

// ---- compiling

// Itself within a protected call: it gives memory back by asking for less.
static int collect_all(lua_State *lua)
{
    lua_gc(lua, LUA_GCCOLLECT, 0);
    return 0;
}

static int collect_some(lua_State *lua)
{
    lua_gc(lua, LUA_GCSTEP, COLLECT_EVERY);
    return 0;
}

struct compile {
    struct span text;
    int function;
};

// Bytecode, which could do anything, begins with ESC and is refused. A first line "#!lua ..." is
// Redis's, not Lua's.
static int load_text(lua_State *lua, struct span text, const char *name)
{
    const uint8_t *line = text.len > 1 && text.ptr[0] == '#' && text.ptr[1] == '!'
                              ? memchr(text.ptr, '\n', text.len)
                              : NULL;
    if (line)
        text = span_of(line, text.len - (size_t)(line - text.ptr));
    if (text.len && text.ptr[0] == LUA_SIGNATURE[0]) {
        lua_pushfstring(lua, "%s: bytecode is not accepted", name + 1);
        return LUA_ERRSYNTAX;
    }
    int status = luaL_loadbuffer(lua, text.len ? (const char *)text.ptr : "", text.len, name);
    if (!status)
        sandbox_set_environment(lua);
    return status;
}

static int compile(lua_State *lua)
{
    struct compile *compile = lua_touserdata(lua, 1);
    if (load_text(lua, compile->text, "@user_script"))
        return lua_error(lua);
    compile->function = luaL_ref(lua, LUA_REGISTRYINDEX);
    return 0;
}

int vm_compile(struct vm *vm, struct span text, int *out_function)
{
    struct compile compile_this = {.text = text};
    int status = lua_cpcall(vm->lua, compile, &compile_this);
    if (status == LUA_ERRMEM) {
        lua_settop(vm->lua, 0);
        lua_cpcall(vm->lua, collect_all, NULL);
        return -ENOMEM;
    }
    if (status) {
        take_error(vm);
        return 1;
    }
    *out_function = compile_this.function;
    return 0;
}

void vm_forget(struct vm *vm, int function)
{
    luaL_unref(vm->lua, LUA_REGISTRYINDEX, function); // sets fields that are there: no memory
}

// ---- running

static void push_list(lua_State *lua, const struct span *list, uint32_t count)
{
    lua_createtable(lua, (int)count, 0);
    for (uint32_t i = 0; i < count; i++) {
        lua_pushlstring(lua, list[i].len ? (const char *)list[i].ptr : "", list[i].len);
        lua_rawseti(lua, -2, (int)i + 1);
    }
}

static struct span text_field(lua_State *lua, const char *field)
{
    size_t len = 0;
    lua_pushstring(lua, field);
    lua_rawget(lua, -2);
    const char *text = lua_isstring(lua, -1) ? lua_tolstring(lua, -1, &len) : NULL;
    lua_pop(lua, 1); // the table holds it
    return span_of(text, text ? len : 0);
}

// The error object on top, as Redis words it.
static void put_error(lua_State *lua, const struct vm_run *run)
{
    struct vm *vm = vm_of(lua);
    buf_clear(&vm->text);
    if (!lua_istable(lua, -1)) {
        const char *text = lua_isstring(lua, -1) ? lua_tostring(lua, -1) : "execution failure";
        buf_put_text(&vm->text, "ERR ");
        buf_put_text(&vm->text, text);
    } else {
        struct span message = text_field(lua, "err"), source = text_field(lua, "source");
        struct span line = text_field(lua, "line");
        if (message.ptr)
            buf_put(&vm->text, message);
        else
            buf_put_text(&vm->text, "ERR unknown error");
        if (source.ptr && line.ptr) {
            buf_put_text(&vm->text, " script: ");
            buf_put_text(&vm->text, run->name);
            buf_put_text(&vm->text, ", on ");
            buf_put(&vm->text, source);
            buf_put_byte(&vm->text, ':');
            buf_put(&vm->text, line);
            buf_put_byte(&vm->text, '.');
        }
    }
    buf_put_byte(&vm->text, 0);
    vm_check_text(lua, vm);
    reply_error_text(run->call->reply, (const char *)vm->text.ptr);
}

static int run_protected(lua_State *lua)
{
    struct vm_run *run = lua_touserdata(lua, 1);
    int given = 0;
    lua_pushcfunction(lua, api_on_error);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, run->function);
    push_list(lua, run->keys, run->keys_count);
    push_list(lua, run->args, run->args_count);
    if (run->is_function) {
        given = 2;
    } else {
        sandbox_set_global(lua, "ARGV");
        sandbox_set_global(lua, "KEYS");
    }
    int status = lua_pcall(lua, given, 1, 2);
    lua_sethook(lua, NULL, 0, 0); // what follows is ours
    if (status)
        put_error(lua, run);
    else
        value_put(lua, run->call->reply, run->protocol);
    return 0;
}

// An answer that could not be written to its end becomes an error.
static void put_failure(struct vm *vm, struct vm_run *run, size_t mark)
{
    struct buf *out = run->call->reply->out;
    take_error(vm);
    if (!buf_has_failed(out) && out->len > mark)
        out->len = mark;
    char text[300];
    snprintf(text, sizeof text, "ERR %s script: %s", vm->error, run->name);
    reply_error_text(run->call->reply, text);
}

static void collect(struct vm *vm)
{
    if (vm->memory_bytes > VM_MEMORY_MAX / 2)
        lua_cpcall(vm->lua, collect_all, NULL);
    else if (++vm->runs % COLLECT_EVERY == 0)
        lua_cpcall(vm->lua, collect_some, NULL);
    lua_settop(vm->lua, 0);
    buf_clear(&vm->text);
    buf_clear(&vm->reply);
    buf_shrink(&vm->text, TEXT_KEPT_MAX);
    buf_shrink(&vm->reply, TEXT_KEPT_MAX);
}

void vm_run(struct vm *vm, struct vm_run *run)
{
    size_t mark = run->call->reply->out->len;
    run->protocol = 2;
    run->is_function = vm->is_function;
    vm->run = run;
    begin(vm, run->call->server->script_time_ms);
    if (lua_cpcall(vm->lua, run_protected, run))
        put_failure(vm, run, mark);
    lua_sethook(vm->lua, NULL, 0, 0);
    lua_settop(vm->lua, 0);
    vm->run = NULL;
    if (run->is_slow)
        vm->host.on_over(vm->host.ctx);
    collect(vm);
}

// ---- libraries

struct load {
    struct span text;
    bool has_failed;
};

// What went wrong, with what kind it is; then the stack may go.
static void take_load_error(lua_State *lua, const char *what)
{
    struct vm *vm = vm_of(lua);
    struct span message = {0};
    if (lua_istable(lua, -1))
        message = text_field(lua, "err");
    else if (lua_isstring(lua, -1))
        message = span_text(lua_tostring(lua, -1));
    snprintf(vm->error, sizeof vm->error, "%s%.*s", what,
             (int)(message.len < 200 ? message.len : 200),
             message.ptr ? (const char *)message.ptr : "");
}

static int load_protected(lua_State *lua)
{
    struct load *load = lua_touserdata(lua, 1);
    load->has_failed = true;
    sandbox_set_loading(lua, true);
    if (load_text(lua, load->text, "@user_function")) {
        take_load_error(lua, "Error compiling function: ");
    } else if (lua_pcall(lua, 0, 0, 0)) {
        lua_sethook(lua, NULL, 0, 0);
        take_load_error(lua, "Error registering functions: ");
    } else {
        load->has_failed = false;
    }
    lua_sethook(lua, NULL, 0, 0);
    sandbox_set_loading(lua, false);
    return 0;
}

int vm_load(struct vm *vm, struct library *library, struct span text, uint64_t time_ms_max)
{
    struct load load = {.text = text};
    vm->loading = library;
    begin(vm, time_ms_max);
    int status = lua_cpcall(vm->lua, load_protected, &load);
    lua_sethook(vm->lua, NULL, 0, 0);
    vm->loading = NULL;
    if (status)
        take_error(vm);
    collect(vm);
    return status || load.has_failed;
}
