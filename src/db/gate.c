// SPDX-License-Identifier: Apache-2.0
// The only atomics outside the keyspace; each order says what it pairs with.
#include "db/gate.h"
#include "command/scripting.h"
#include "keyspace/keyspace.h"

enum { SCRIPT_EVAL = 1, SCRIPT_FUNCTION = 2, SCRIPT_WROTE = 4, SCRIPT_KILLED = 8 };

uint64_t gate_begin(struct gate *gate)
{
    // Only this thread writes `started`. The fence pairs with the one in gate_needed(): a worker
    // that still read the number before this one has its additions before this commit's drain.
    uint64_t number = atomic_load_explicit(&gate->started, memory_order_relaxed) + 1;
    atomic_store_explicit(&gate->started, number, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    return number;
}

void gate_finish(struct gate *gate, uint64_t number)
{
    // Release: pairs with gate_done(); who sees the number may tell clients.
    atomic_store_explicit(&gate->done, number, memory_order_release);
}

uint64_t gate_needed(const struct gate *gate)
{
    atomic_thread_fence(memory_order_seq_cst); // see gate_begin()
    return atomic_load_explicit(&gate->started, memory_order_relaxed) + 1;
}

uint64_t gate_done(const struct gate *gate)
{
    return atomic_load_explicit(&gate->done, memory_order_acquire); // see gate_finish()
}

void gate_init(struct gate *gate)
{
    *gate = (struct gate){0};
    pthread_mutex_init(&gate->lock, NULL);
    pthread_cond_init(&gate->over, NULL);
}

void gate_deinit(struct gate *gate)
{
    pthread_cond_destroy(&gate->over);
    pthread_mutex_destroy(&gate->lock);
}

// Each worker either is quiescent after the store, and sees it in gate_pass, which comes right
// after; or it is offline, and sees it when it comes online: liburcu has full barriers at both.
void gate_halt(struct gate *gate)
{
    atomic_store(&gate->script, 0);
    atomic_store(&gate->halt, GATE_HALTED);
    keyspace_await();
}

static void set_halt(struct gate *gate, enum gate_halt halt)
{
    pthread_mutex_lock(&gate->lock);
    // Release: pairs with gate_pass; who passes sees all that was done meanwhile.
    atomic_store_explicit(&gate->halt, halt, memory_order_release);
    pthread_cond_broadcast(&gate->over);
    pthread_mutex_unlock(&gate->lock);
}

void gate_open(struct gate *gate)
{
    set_halt(gate, GATE_OPEN);
}

// That it has written and that it is to end are set in one word, so that only one of them wins.
bool gate_busy(struct gate *gate, bool is_function, bool has_written)
{
    uint32_t now = is_function ? SCRIPT_FUNCTION : SCRIPT_EVAL;
    uint32_t before = atomic_fetch_or(&gate->script, now | (has_written ? SCRIPT_WROTE : 0));
    if (before == 0)
        set_halt(gate, GATE_BUSY);
    return (before & SCRIPT_KILLED) != 0;
}

bool gate_is_busy(const struct gate *gate)
{
    return atomic_load(&gate->script) != 0;
}

void gate_describe(struct gate *gate, const struct running *running)
{
    pthread_mutex_lock(&gate->lock);
    gate->running = *running;
    pthread_mutex_unlock(&gate->lock);
}

bool gate_tell(struct gate *gate, struct running *out_running)
{
    pthread_mutex_lock(&gate->lock);
    bool is_busy = gate_is_busy(gate);
    *out_running = gate->running;
    pthread_mutex_unlock(&gate->lock);
    return is_busy;
}

bool gate_is_function(const struct gate *gate)
{
    return (atomic_load(&gate->script) & SCRIPT_FUNCTION) != 0;
}

int gate_kill(struct gate *gate, bool is_function)
{
    uint32_t script = atomic_load(&gate->script);
    do {
        if (script == 0)
            return KILL_NOT_BUSY;
        if (script & SCRIPT_WROTE)
            return KILL_HAS_WRITTEN;
        if (((script & SCRIPT_FUNCTION) != 0) != is_function)
            return is_function ? KILL_IS_EVAL : KILL_IS_FUNCTION;
    } while (!atomic_compare_exchange_weak(&gate->script, &script, script | SCRIPT_KILLED));
    return KILL_DONE;
}

enum gate_halt gate_pass(struct gate *gate)
{
    int halt;
    while ((halt = atomic_load_explicit(&gate->halt, memory_order_acquire)) == GATE_HALTED) {
        keyspace_offline();
        pthread_mutex_lock(&gate->lock);
        while (atomic_load_explicit(&gate->halt, memory_order_relaxed) == GATE_HALTED)
            pthread_cond_wait(&gate->over, &gate->lock);
        pthread_mutex_unlock(&gate->lock);
        keyspace_online();
    }
    return (enum gate_halt)halt;
}

void gate_fail(struct gate *gate)
{
    // Release, acquire: whoever sees it sees why (server.failure is written before).
    atomic_store_explicit(&gate->has_failed, true, memory_order_release);
}

bool gate_has_failed(const struct gate *gate)
{
    return atomic_load_explicit(&gate->has_failed, memory_order_acquire);
}

bool gate_enter(struct gate *gate, uint32_t max)
{
    // Relaxed: a count, it orders nothing.
    if (atomic_fetch_add_explicit(&gate->clients, 1, memory_order_relaxed) < max)
        return true;
    gate_leave(gate);
    return false;
}

void gate_leave(struct gate *gate)
{
    atomic_fetch_sub_explicit(&gate->clients, 1, memory_order_relaxed);
}

uint32_t gate_clients(const struct gate *gate)
{
    return atomic_load_explicit(&gate->clients, memory_order_relaxed);
}

void gate_set_bound(struct gate *gate, enum bound which, uint64_t value)
{
    atomic_store_explicit(&gate->bound[which], value, memory_order_relaxed);
}

uint64_t gate_bound(const struct gate *gate, enum bound which)
{
    return atomic_load_explicit(&gate->bound[which], memory_order_relaxed);
}

static void hear(struct loop_post *post)
{
    struct bell *bell = (struct bell *)post;
    // Cleared before anything is looked at. Sequentially consistent, with the exchange below: what
    // was written before a ring that found the bell rung is seen by on_ring.
    atomic_store(&bell->is_rung, false);
    atomic_thread_fence(memory_order_seq_cst);
    bell->on_ring(bell);
}

void bell_init(struct bell *bell, struct loop *loop, void (*on_ring)(struct bell *bell))
{
    *bell = (struct bell){.post = {.run = hear}, .loop = loop, .on_ring = on_ring};
}

void bell_ring(struct bell *bell)
{
    if (!atomic_exchange(&bell->is_rung, true))
        loop_post(bell->loop, &bell->post);
}

// One writer, so no read-modify-write; relaxed, a count orders nothing.
void tally_add(struct tallies *tallies, enum tally which, uint64_t amount)
{
    uint64_t count = atomic_load_explicit(&tallies->count[which], memory_order_relaxed);
    atomic_store_explicit(&tallies->count[which], count + amount, memory_order_relaxed);
}

uint64_t tally_read(const struct tallies *tallies, enum tally which)
{
    return atomic_load_explicit(&tallies->count[which], memory_order_relaxed);
}
