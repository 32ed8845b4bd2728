// SPDX-License-Identifier: Apache-2.0
// Clients' scripts and functions: the cache of scripts, the libraries, and what EVAL, SCRIPT, FCALL
// and FUNCTION do with them. One of them a database, on the replica thread; the update hook has a
// state of its own (script.h).
//
// Functions are this replica's: they are kept in its data directory (on_store) and told to no peer.
// Scripts are kept in memory only, as in Redis.
#pragma once
#include "command/scripting.h"
#include "script/functions.h"

#ifdef QUIPU_TINY
#define ENGINE_EVALED_MAX 16
#define ENGINE_LOADED_MAX 32
#else
#define ENGINE_EVALED_MAX 500   // scripts that only EVAL brought: then the oldest goes
#define ENGINE_LOADED_MAX 10000 // scripts of SCRIPT LOAD
#endif

struct engine;

struct engine_options {
    struct vm_host vm;
    // The dump of all libraries, to be durable on return: 0 or -errno. NULL: kept nowhere.
    int (*on_store)(void *ctx, struct span dump);
};

int engine_new(struct engine **out_engine, const struct engine_options *options); // 0, -ENOMEM
void engine_free(struct engine *engine);
struct scripts *engine_scripts(struct engine *engine);
// What on_store was given last. 0, -ENOMEM, or 1 with a line in out_error.
int engine_restore(struct engine *engine, struct span dump, struct buf *out_error);

struct engine_counts {
    uint64_t scripts, libraries, functions;
    size_t eval_bytes, function_bytes; // of memory
};
struct engine_counts engine_counts(const struct engine *engine);
