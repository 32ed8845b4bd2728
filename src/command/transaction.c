// SPDX-License-Identifier: Apache-2.0
// MULTI, EXEC, DISCARD, WATCH, UNWATCH, as Redis has them, on one replica: commands are queued at
// the worker, checked as far as their row says; EXEC runs them in one piece on the replica thread,
// in one commit, which is one journal frame and leaves for the peers as one.
//
// What WATCH remembers is the number of a key's newest change. Everything that changes a key gives
// it a new one: clients, peers, scripts, leases that end. Adds that cancel out before a commit has
// seen any of them (INCR, DECR within some milliseconds) are no change to anybody, here neither.
#include "command/handlers.h"
#include "command/scripting.h"
#include "command/transaction.h"
#include "replica/change.h"

static const char too_much[] = "ERR transaction is too large: see quipu db --limits";

// The session's, made when there is none. NULL: the error is written.
static struct transaction *obtain(struct call *call)
{
    struct session *session = call->session;
    if (session->transaction)
        return session->transaction;
    struct heap *heap = call->reply->out->heap;
    struct transaction *transaction = heap_alloc(heap, sizeof *transaction);
    if (!transaction) {
        reply_out_of_memory(call);
        return NULL;
    }
    *transaction = (struct transaction){.heap = heap, .last = &transaction->first};
    session->transaction = transaction;
    return transaction;
}

static void forget_watched(struct transaction *transaction)
{
    while (transaction->watched) {
        struct watched *watched = transaction->watched;
        transaction->watched = watched->next;
        transaction->bytes -= watched->size;
        heap_free(transaction->heap, watched, watched->size);
    }
}

void transaction_end(struct session *session)
{
    struct transaction *transaction = session->transaction;
    session->transaction = NULL;
    session->is_queueing = false;
    if (!transaction)
        return;
    forget_watched(transaction);
    while (transaction->first) {
        struct queued *queued = transaction->first;
        transaction->first = queued->next;
        heap_free(transaction->heap, queued, queued->size);
    }
    heap_free(transaction->heap, transaction, sizeof *transaction);
}

void transaction_abandon(struct session *session)
{
    if (session->is_queueing)
        session->transaction->is_abandoned = true;
}

// A block of the transaction's memory. NULL: past the limit, or none; the error is written.
static void *take_block(struct call *call, size_t size)
{
    struct transaction *transaction = call->session->transaction;
    if (size > LIMIT_QUEUED_BYTES - transaction->bytes) {
        reply_error_text(call->reply, too_much);
        return NULL;
    }
    void *block = heap_alloc(transaction->heap, size);
    if (block)
        transaction->bytes += size;
    else
        reply_out_of_memory(call);
    return block;
}

// ---- queueing

static bool put(struct call *call)
{
    struct transaction *transaction = call->session->transaction;
    size_t size = sizeof(struct queued) + call->argc * sizeof(struct span);
    for (uint32_t i = 0; i < call->argc; i++)
        size += call->argv[i].len;
    struct queued *queued = take_block(call, size);
    if (!queued)
        return false;
    *queued = (struct queued){.command = call->command, .size = size, .argc = call->argc};
    uint8_t *bytes = (uint8_t *)&queued->argv[call->argc];
    for (uint32_t i = 0; i < call->argc; i++) {
        struct span from = call->argv[i];
        if (from.len)
            memcpy(bytes, from.ptr, from.len);
        queued->argv[i] = span_of(bytes, from.len);
        bytes += from.len;
    }
    *transaction->last = queued;
    transaction->last = &queued->next;
    transaction->count++;
    return true;
}

bool transaction_take(struct call *call)
{
    const struct command *command = call->command;
    if (command && (command->flags & COMMAND_AT_ONCE))
        return false;
    bool is_refused = command_refuse(call);
    if (!is_refused && (command->flags & COMMAND_NO_MULTI)) {
        reply_error_text(call->reply, "ERR Command not allowed inside a transaction");
        is_refused = true;
    }
    if (is_refused || !put(call))
        transaction_abandon(call->session);
    else
        reply_simple(call->reply, "QUEUED");
    return true;
}

// ---- the commands

int run_multi(struct call *call)
{
    struct session *session = call->session;
    if (session->is_queueing) {
        reply_error_text(call->reply, "ERR MULTI calls can not be nested");
        return 0;
    }
    struct transaction *transaction = obtain(call);
    if (!transaction)
        return 0;
    transaction->is_open = session->is_queueing = true;
    reply_ok(call->reply);
    return COMMAND_E_BREAK;
}

void transaction_refuse_busy(struct call *call, bool is_function)
{
    bool is_exec = call->command && call->command->run == run_exec;
    transaction_abandon(call->session);
    if (!is_exec || !call->session->is_queueing) {
        reply_busy(call->reply, "", is_function);
        return;
    }
    transaction_end(call->session);
    reply_busy(call->reply, "EXECABORT Transaction discarded because of: ", is_function);
}

int run_discard(struct call *call)
{
    if (!call->session->is_queueing) {
        reply_error_text(call->reply, "ERR DISCARD without MULTI");
        return 0;
    }
    transaction_end(call->session);
    reply_ok(call->reply);
    return COMMAND_E_BREAK;
}

int run_unwatch(struct call *call)
{
    if (call->session->transaction)
        forget_watched(call->session->transaction);
    reply_ok(call->reply);
    return 0;
}

int run_watch(struct call *call)
{
    if (!call->session->is_queueing)
        return obtain(call) ? COMMAND_E_POST : 0;
    reply_error_text(call->reply, "ERR WATCH inside MULTI is not allowed");
    return 0;
}

static bool is_watched(const struct transaction *transaction, struct span key)
{
    for (const struct watched *at = transaction->watched; at; at = at->next) {
        if (span_is_equal(at->key, key))
            return true;
    }
    return false;
}

static bool watch(struct call *call, struct span key)
{
    struct transaction *transaction = call->session->transaction;
    if (is_watched(transaction, key))
        return true;
    struct watched *watched = take_block(call, sizeof *watched + key.len);
    if (!watched)
        return false;
    *watched = (struct watched){.next = transaction->watched, .size = sizeof *watched + key.len};
    uint8_t *bytes = (uint8_t *)(watched + 1);
    if (key.len)
        memcpy(bytes, key.ptr, key.len);
    watched->key = span_of(bytes, key.len);
    transaction->watched = watched;
    int outcome = replica_version(call->replica, key, &watched->change);
    watched->is_there = key_find(call, key) != NULL;
    if (outcome < 0)
        reply_out_of_memory(call);
    return outcome >= 0;
}

int apply_watch(struct call *call)
{
    for (uint32_t i = 1; i < call->argc; i++) {
        if (!watch(call, call->argv[i]))
            return 0;
    }
    reply_ok(call->reply);
    return 0;
}

// What is forgotten of a key that did not exist (its record is collected) is no change.
static bool is_changed(struct call *call, const struct watched *watched)
{
    uint64_t change;
    int outcome = replica_version(call->replica, watched->key, &change);
    if (outcome == CHANGE_E_NO_KEY)
        return watched->is_there;
    return outcome != 0 || change != watched->change;
}

static bool is_any_changed(struct call *call)
{
    const struct transaction *transaction = call->session->transaction;
    for (const struct watched *at = transaction->watched; at; at = at->next) {
        if (is_changed(call, at))
            return true;
    }
    return false;
}

int run_exec(struct call *call)
{
    struct session *session = call->session;
    if (!session->is_queueing) {
        reply_error_text(call->reply, "ERR EXEC without MULTI");
        return 0;
    }
    if (!session->transaction->is_abandoned)
        return COMMAND_E_POST;
    transaction_end(session);
    reply_error_text(call->reply, "EXECABORT Transaction discarded because of previous errors.");
    return COMMAND_E_BREAK;
}

// An answer longer than a client may have unsent is not kept: the client will be closed for it.
static void bound(struct buf *out, size_t begun)
{
    if (out->len < begun || out->len - begun <= LIMIT_OUTPUT_BYTES)
        return;
    buf_clear(out);
    buf_shrink(out, 0);
    out->failed = true;
}

int apply_exec(struct call *call)
{
    const struct transaction *transaction = call->session->transaction;
    size_t begun = call->reply->out->len;
    if (is_any_changed(call)) {
        reply_nil_array(call->reply);
        return 0;
    }
    reply_array(call->reply, transaction->count);
    for (const struct queued *queued = transaction->first; queued; queued = queued->next) {
        struct call inner = *call;
        inner.command = queued->command;
        inner.argv = queued->argv;
        inner.argc = queued->argc;
        command_perform(&inner);
        call->is_durable |= inner.is_durable;
        bound(call->reply->out, begun);
    }
    return 0;
}
