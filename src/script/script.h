// SPDX-License-Identifier: Apache-2.0
// The hook: one Lua 5.1 program in its own state, called once per applied change. It can compute,
// publish and log, nothing else: no files, no loading of code, no other process. Steps and memory
// are budgeted per call and per state; a call that exceeds them is stopped, the next one runs.
//
// The program sees:  redis.publish(channel, message) -> receivers
//                    redis.log([level,] message)
//                    quipu.quote(bytes) -> a JSON string literal
// and defines        on_change(event), event = { key, type, value, previous, amount, op,
//                    member, origin, version, time_ms }; integers beyond 2^53 are decimal strings,
//                    an unknown or vanished one is nil.
//
// Life: new (runs the program's top level) -> change ... -> free. One thread at a time.
#pragma once
#include "base/buf.h"

#define SCRIPT_STEPS_MAX    1000000u // VM instructions a call
#define SCRIPT_MEMORY_MAX   (16u << 20)
#define SCRIPT_FAILURES_MAX 100 // consecutive; then the hook is off until the next start

struct script;

struct script_event {
    struct span key;
    struct span member; // ptr NULL: nil
    const char *type, *op, *origin;
    bool is_live;      // false: the key is gone, `value` is nil
    bool has_previous; // false: `previous` and `amount` are nil
    int64_t value, previous, amount;
    uint64_t version, time_ms;
};

struct script_options {
    const char *name; // where errors are said to be: a path; borrowed for the script's life
    struct span text;
    int64_t (*on_publish)(void *ctx, struct span channel, struct span message); // receivers
    void (*on_log)(void *ctx, struct span message);
    void *ctx;
};

#define SCRIPT_DEFAULT_CHANNEL "quipu:update:" // and the key: where the default program publishes

// The program used when the operator names none.
struct span script_default(void);

enum {
    SCRIPT_E_LOAD = 1, // does not compile, fails at its top level, defines no on_change
    SCRIPT_E_FAILED,   // an error or an exceeded budget in on_change
    SCRIPT_E_DISABLED, // SCRIPT_FAILURES_MAX in a row: not run any more
};

// 0, SCRIPT_E_LOAD (out_error has one line with file and line), -ENOMEM.
int script_new(struct script **out_script, struct heap *heap, const struct script_options *options,
               struct buf *out_error);
void script_free(struct script *script);

// 0, SCRIPT_E_FAILED (script_error() says why), SCRIPT_E_DISABLED.
int script_change(struct script *script, const struct script_event *event);
// One line: the last failure, with file and line. "" before the first.
const char *script_error(const struct script *script);

struct script_counts {
    uint64_t calls, failures;
    size_t memory_bytes;
    bool is_disabled;
};
struct script_counts script_counts(const struct script *script);
