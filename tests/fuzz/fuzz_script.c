// SPDX-License-Identifier: Apache-2.0
// What scripts are given: any bytes as a command's answer, as JSON, as MessagePack, as packed
// structs, and as a dump of functions. An answer that was understood is written again as an answer
// that is understood; so is a text of JSON; nothing of it ends the state or leaves memory behind.
// The first byte says which.
#include <lauxlib.h>
#include <stdlib.h>
#include "script/functions.h"
#include "tests/lib/heap_libc.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct fixture {
    struct heap_libc heap;
    struct vm *vm;
    struct span bytes;
};

static void demand(bool is_right)
{
    if (!is_right)
        abort();
}

static uint64_t now_us(void *ctx)
{
    (void)ctx;
    return 0;
}

static int as_reply(lua_State *lua)
{
    struct fixture *fixture = lua_touserdata(lua, 1);
    if (!value_push_reply(lua, fixture->bytes))
        return 0;
    for (uint8_t protocol = 2; protocol <= 3; protocol++) {
        struct reply reply = reply_to(&fixture->vm->reply, protocol);
        buf_clear(&fixture->vm->reply);
        lua_pushvalue(lua, -1);
        value_put(lua, &reply, protocol);
        if (!buf_has_failed(&fixture->vm->reply))
            demand(value_push_reply(lua, buf_span(&fixture->vm->reply)));
        lua_pop(lua, 1);
    }
    return 0;
}

// Calls module[function] with the bytes; what comes back, if it does, is given to module[back].
static void there_and_back(lua_State *lua, const char *function, const char *back)
{
    struct fixture *fixture = lua_touserdata(lua, 1);
    lua_getfield(lua, -1, function);
    lua_pushlstring(lua, fixture->bytes.len ? (const char *)fixture->bytes.ptr : "",
                    fixture->bytes.len);
    if (lua_pcall(lua, 1, 1, 0))
        return;
    lua_getfield(lua, -2, back);
    lua_insert(lua, -2);
    if (lua_pcall(lua, 1, 1, 0) || lua_type(lua, -1) != LUA_TSTRING)
        return;
    lua_getfield(lua, 2, function);
    lua_insert(lua, -2);
    if (lua_pcall(lua, 1, 1, 0) == 0)
        return;
    const char *why = lua_tostring(lua, -1); // a key nested too deep was packed as nil
    demand(strstr(why, "memory") || strstr(why, "Bad data format"));
}

static int as_json(lua_State *lua)
{
    json_push(lua);
    there_and_back(lua, "decode", "encode");
    return 0;
}

static int as_msgpack(lua_State *lua)
{
    msgpack_push(lua);
    there_and_back(lua, "unpack", "pack");
    return 0;
}

// The bytes up to the first zero are the format.
static int as_struct(lua_State *lua)
{
    struct fixture *fixture = lua_touserdata(lua, 1);
    lua_pushlstring(lua, fixture->bytes.len ? (const char *)fixture->bytes.ptr : "",
                    fixture->bytes.len);
    struct_push(lua);
    lua_getfield(lua, -1, "unpack");
    lua_pushvalue(lua, 2);
    lua_pushvalue(lua, 2);
    if (lua_pcall(lua, 2, LUA_MULTRET, 0) == 0)
        lua_settop(lua, 3);
    lua_settop(lua, 3);
    lua_getfield(lua, -1, "size");
    lua_pushvalue(lua, 2);
    lua_pcall(lua, 1, 1, 0);
    return 0;
}

static int visit(void *ctx, struct span code)
{
    (void)ctx;
    demand(code.len <= FUNCTIONS_BYTES_MAX);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static lua_CFunction const ways[] = {as_reply, as_json, as_msgpack, as_struct};
    struct fixture fixture = {0};
    if (len == 0)
        return 0;
    heap_libc_init(&fixture.heap);
    struct vm_host host = {.heap = &fixture.heap.heap, .now_us = now_us};
    demand(vm_new(&fixture.vm, &host, false) == 0);
    fixture.bytes = span_of(bytes + 1, len - 1);
    if (bytes[0] % 5 < 4)
        lua_cpcall(fixture.vm->lua, ways[bytes[0] % 5], &fixture);
    else
        functions_undump(&fixture.heap.heap, fixture.bytes, visit, NULL);
    vm_free(fixture.vm);
    demand(fixture.heap.bytes == 0);
    return 0;
}
