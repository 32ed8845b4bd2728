// SPDX-License-Identifier: Apache-2.0
// Everything that the threads of a database share without a lock, beside the keyspace: which
// commits began and which are durable, whether the journal has failed, how many clients there are,
// the workers' running counts, and bells, by which one thread wakes another at most once until it
// has looked.
//
// The promise of strict mode hangs on two numbers. A worker adds, then asks gate_needed(): the
// number after the newest commit that has begun. That commit begins later, so its drain finds the
// addition; when gate_done() has reached it, the addition is on disk.
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "command/host.h"
#include "os/loop.h"

enum bound { // what workers ask of struct bounds
    BOUND_CLIENTS,
    BOUND_FULL, // memory: nothing new
    BOUND_IDLE_MS,
    BOUND_KEEPALIVE_S,
    BOUND_HARD, // of each output_class, from here on
    BOUND_SOFT = BOUND_HARD + 2,
    BOUND_SOFT_MS = BOUND_SOFT + 2,
    BOUNDS = BOUND_SOFT_MS + 2
};

struct gate {
    _Atomic uint64_t started, done;
    atomic_bool has_failed;
    _Atomic uint32_t clients;
    _Atomic uint64_t bound[BOUNDS];
    _Atomic int halt;        // enum gate_halt
    _Atomic uint32_t script; // what runs for long
    pthread_mutex_t lock;
    pthread_cond_t over;
    struct running running; // under the lock
};

void gate_init(struct gate *gate);
void gate_deinit(struct gate *gate);

// The replica thread: the number of the commit that begins now. Before its drain.
uint64_t gate_begin(struct gate *gate);
// ... and that it, with all that was added before it began, is durable.
void gate_finish(struct gate *gate, uint64_t number);
// A worker, after its additions: the commit that will hold them.
uint64_t gate_needed(const struct gate *gate);
uint64_t gate_done(const struct gate *gate);

// The replica thread wants the keyspace for itself, for what is to run in one piece: gate_halt
// returns when every worker stands still, or sleeps and will stand still when it wakes.
enum gate_halt { GATE_OPEN, GATE_HALTED, GATE_BUSY };
void gate_halt(struct gate *gate);
void gate_open(struct gate *gate);
// A worker, wherever it holds no record: stands still while the gate is halted. A load when not.
// GATE_BUSY: a script runs for long, and no key is to be touched.
enum gate_halt gate_pass(struct gate *gate);
// The replica thread, halted, in a script that takes long: workers go on, without keys. True:
// somebody has asked for the script's end. Not once it has written.
bool gate_busy(struct gate *gate, bool is_function, bool has_written);
bool gate_is_function(const struct gate *gate); // what runs
bool gate_is_busy(const struct gate *gate);
void gate_describe(struct gate *gate, const struct running *running); // before gate_busy
bool gate_tell(struct gate *gate, struct running *out_running);       // false: nothing does
int gate_kill(struct gate *gate, bool is_function);                   // a worker: enum script_kill

void gate_fail(struct gate *gate); // for good
bool gate_has_failed(const struct gate *gate);

// False: there are `max` already.
bool gate_enter(struct gate *gate, uint32_t max);
void gate_leave(struct gate *gate);
uint32_t gate_clients(const struct gate *gate);

// Each is a number by itself and orders nothing.
void gate_set_bound(struct gate *gate, enum bound which, uint64_t value);
uint64_t gate_bound(const struct gate *gate, enum bound which);

struct bell {
    struct loop_post post; // first
    struct loop *loop;     // whose thread hears it
    atomic_bool is_rung;
    void (*on_ring)(struct bell *bell);
};
void bell_init(struct bell *bell, struct loop *loop, void (*on_ring)(struct bell *bell));
// Any thread. on_ring runs after this, once for all rings until it began.
void bell_ring(struct bell *bell);

// A worker's counts: only its thread changes them, any thread reads them.
enum tally {
    TALLY_CONNECTIONS,
    TALLY_REJECTED,
    TALLY_COMMANDS,
    TALLY_POSTED,
    TALLY_INPUT,
    TALLY_OUTPUT,
    TALLY_ERRORS,
    TALLY_DELIVERED,
    TALLY_SUBSCRIBERS, // now, not ever
    TALLIES
};
struct tallies {
    _Atomic uint64_t count[TALLIES];
};
void tally_add(struct tallies *tallies, enum tally which, uint64_t amount);
uint64_t tally_read(const struct tallies *tallies, enum tally which);
