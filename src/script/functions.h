// SPDX-License-Identifier: Apache-2.0
// Libraries of functions: what FUNCTION LOAD makes of a text, and the form in which all of them are
// dumped, restored and kept (Redis's: RDB opcodes with a version and a CRC-64).
#pragma once
#include "script/vm.h"

#ifdef QUIPU_TINY
#define FUNCTIONS_BYTES_MAX 65536
#define FUNCTIONS_MAX       32
#else
#define FUNCTIONS_BYTES_MAX (8u << 20) // the texts of all libraries
#define FUNCTIONS_MAX       10000      // in all libraries
#endif

struct function {
    struct function *next;
    struct library *library;
    int reference; // in the registry
    uint32_t flags;
    char *name, *description; // owned, with their zeros; description NULL: none
};

struct library {
    struct library *next;
    struct vm *vm;
    struct function *functions, **last;
    unsigned count;
    bool is_restored; // while FUNCTION RESTORE is not done
    size_t name_len;
    struct span code; // with the first line; behind `name` in the same block
    char name[];
};

// What FUNCTION LOAD is given: runs it in `vm`. 0; 1 with the error in vm_error; -ENOMEM.
int library_new(struct library **out_library, struct vm *vm, struct span code);
void library_free(struct library *library);
struct function *library_find(const struct library *library, struct span name);

// redis.register_function
int functions_register(lua_State *lua);

void functions_dump(const struct library *first, struct buf *out);
// Calls `visit` for the text of each library in the payload. 0; 1 when it is not a payload; or what
// visit returns that is not 0.
typedef int (*functions_visit)(void *ctx, struct span code);
bool functions_is_payload(struct span payload);
int functions_undump(struct heap *heap, struct span payload, functions_visit visit, void *ctx);
