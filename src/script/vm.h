// SPDX-License-Identifier: Apache-2.0
// One Lua state in which clients' scripts run: Redis's sandbox, its `redis` table, and a budget of
// time and memory. Eval and functions have one each; it belongs to the replica thread.
//
// What a script sees as globals is a table of its own with nothing in it, whose metatable leads to
// the visible ones; so are the libraries. None of these can be written to, whatever is tried
// (Redis patches Lua for that).
#pragma once
#include <lua.h>
#include "base/buf.h"
#include "command/command.h"

#ifdef QUIPU_TINY
#define VM_MEMORY_MAX (4u << 20)
#define VM_TEXT_MAX   (1u << 20)
#else
#define VM_MEMORY_MAX (64u << 20) // of a state: scripts, what they hold, and its garbage
#define VM_TEXT_MAX   (16u << 20) // of one string made by cjson, cmsgpack, struct; of one answer
#endif
#define VM_UNPACK_MAX 7999

struct vm;
struct vm_run;
struct library;

struct vm_host { // what a state needs of the process
    struct heap *heap;
    const struct command_index *index;
    uint64_t (*now_us)(void *ctx);
    void (*on_log)(void *ctx, int level, struct span message);
    // A script runs for longer than busy-reply-threshold: others are told meanwhile. True: somebody
    // wants it to end (only if it has not written).
    bool (*on_slow)(void *ctx, const struct vm_run *run);
    void (*on_over)(void *ctx); // it has ended
    void *ctx;
};

enum vm_flag { // of a script, from its first line or its registration
    VM_NO_WRITES = 1u << 0,
    VM_ALLOW_OOM = 1u << 1,
    VM_ALLOW_STALE = 1u << 2,
    VM_NO_CLUSTER = 1u << 3,
    VM_ALLOW_CROSS_SLOT = 1u << 4,
    VM_DECLARED = 1u << 5, // it has said its flags
};
bool vm_flag_find(struct span name, uint32_t *out_flag);
extern const char *const vm_flag_names[5]; // by bit

struct vm_run { // one script under way
    struct call *call;
    const char *name; // as errors name it: the SHA1, or the function
    int function;     // reference in the registry
    const struct span *keys, *args;
    uint32_t keys_count, args_count;
    bool is_function, is_read_only;
    // as it goes
    bool has_written, is_slow;
    uint8_t protocol;
    uint64_t begun_us;
};

// 0 or -ENOMEM.
int vm_new(struct vm **out_vm, const struct vm_host *host, bool is_function);
void vm_free(struct vm *vm);
size_t vm_memory(const struct vm *vm);

// Compiles. 0 with a reference to the function; 1 with the error in vm_error; -ENOMEM.
int vm_compile(struct vm *vm, struct span text, int *out_function);
void vm_forget(struct vm *vm, int function);
const char *vm_error(const struct vm *vm);

// Runs, and writes the answer. What it has written before an error stays, as in Redis.
void vm_run(struct vm *vm, struct vm_run *run);

// Runs the top level of a library, which registers its functions in `library` (functions.h). 0, 1
// with the error in vm_error.
int vm_load(struct vm *vm, struct library *library, struct span text, uint64_t time_ms_max);

// ---- between the files of this room

struct vm {
    struct vm_host host;
    lua_State *lua;
    size_t memory_bytes;
    bool is_function; // the state of functions
    struct vm_run *run;
    struct library *loading;
    uint64_t begun_us, limit_us; // limit_us 0: none
    const char *stopped;         // why what runs is to end; NULL
    unsigned runs;
    struct buf text;  // what modules build strings in
    struct buf reply; // of redis.call
    struct span *argv;
    uint32_t argv_cap;
    char error[256];
};
struct vm *vm_of(lua_State *lua);
// Pushes {err = "ERR ..."}; a text that begins with '-' has its own code word.
void vm_push_error(lua_State *lua, const char *text);
int vm_raise(lua_State *lua, const char *text);
// The text that was built, onto the stack; raises when there is too much or no memory.
void vm_push_text(lua_State *lua, struct vm *vm);
void vm_check_text(lua_State *lua, struct vm *vm);

// sandbox.c: on a fresh state, within a protected call
void sandbox_build(lua_State *lua, bool is_function);
int sandbox_xpcall(lua_State *lua);           // for the hook too
void sandbox_set_environment(lua_State *lua); // of the function on top
// The table behind a protected one at `at`, pushed; or nothing and false.
bool sandbox_push_protected(lua_State *lua, int at);
void sandbox_set_global(lua_State *lua, const char *name); // visible; pops the value
// While a library loads, its globals are nothing but a `redis` that registers and logs.
void sandbox_set_loading(lua_State *lua, bool is_loading);

// api.c: the `redis` table, on the stack
void api_push(lua_State *lua, bool is_function);
void api_push_loading(lua_State *lua); // of a library that loads
int api_on_error(lua_State *lua);      // the message handler: adds where it was
// value.c
bool value_push_reply(lua_State *lua, struct span reply);                     // false: malformed
void value_put(lua_State *lua, struct reply *reply, uint8_t script_protocol); // pops
// modules: each pushes its table
void json_push(lua_State *lua);
void msgpack_push(lua_State *lua);
void struct_push(lua_State *lua);
void bit_push(lua_State *lua);
