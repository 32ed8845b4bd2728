// SPDX-License-Identifier: Apache-2.0
// Between engine.c (dispatch), eval.c (scripts and their cache) and function.c (libraries).
#pragma once
#include "script/engine.h"
#include "script/sha1.h"

struct cached {                   // one compiled script
    struct cached *next;          // in its bucket
    struct cached *newer, *older; // among those that only EVAL brought
    char sha[SHA1_HEX + 1];
    int function; // reference in the registry
    uint32_t flags;
    bool is_loaded; // by SCRIPT LOAD: stays until FLUSH
};

#define CACHE_BUCKETS 1024u

struct engine {
    struct scripts scripts; // first
    struct engine_options options;
    struct vm *eval, *functions;
    struct cached *bucket[CACHE_BUCKETS];
    struct cached *newest, *oldest;
    uint32_t cached_count, loaded_count;
    struct library *libraries;
    size_t libraries_bytes;
};

// numkeys and what is behind it, of EVAL and FCALL. False: the error is written.
bool engine_take_keys(struct call *call, struct vm_run *run, const char *not_a_number);
// Whether it may run, by its flags. False: the error is written.
bool engine_allows(struct call *call, struct vm_run *run, uint32_t flags);

// eval.c
int eval_perform(struct engine *engine, struct call *call);
int script_load(struct engine *engine, struct call *call);
int script_exists(struct engine *engine, struct call *call);
int script_flush(struct engine *engine, struct call *call);
void cache_clear(struct engine *engine);

// function.c
int fcall_perform(struct engine *engine, struct call *call);
int function_load(struct engine *engine, struct call *call);
int function_delete(struct engine *engine, struct call *call);
int function_flush(struct engine *engine, struct call *call);
int function_list(struct engine *engine, struct call *call);
int function_stats(struct engine *engine, struct call *call);
int function_dump(struct engine *engine, struct call *call);
int function_restore(struct engine *engine, struct call *call);
void libraries_clear(struct engine *engine);
