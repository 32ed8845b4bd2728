// SPDX-License-Identifier: Apache-2.0
// The keyspace: every address a replica knows, in a table that any thread reads and adds to without
// waiting.
//
// Two kinds of thread. *Workers* find records, read their value and flags, create records and add
// to counters. The one *replica thread* owns everything else: cells, sequences, the change order,
// removal. So a worker changes exactly two words of a record: `value`, which is at every moment
// what GET answers, and `flags`. An INCR is one fetch-add and one load.
//
// What a worker added since the last commit is not written anywhere: it is the difference between
// `value` and the value of the committed cells, and the replica thread takes it at the next drain.
//
// Handshake (Dekker, sequentially consistent): a worker adds, then looks at DIRTY and enqueues the
// record if it was clear; the replica thread clears DIRTY, then reads the value. Either the worker
// sees DIRTY clear and enqueues again, or the drain sees the worker's amount. A record is removed
// by setting DEAD with a compare-and-swap that fails while DIRTY is set; a worker whose add meets
// DEAD finds the key again and adds there.
//
// Reclamation is liburcu's QSBR: each thread registers, announces quiescence once a turn, and goes
// offline while it blocks.
#pragma once
#include <stdatomic.h>
#include "base/heap.h"
#include "crdt/packed.h"

struct keyspace;
struct record;

struct keyspace_options {
    uint64_t hash_seed;
    unsigned shards_count; // power of two; 0: a default
};

// NULL: no memory. Several threads may call the heap at once if several use the keyspace.
struct keyspace *keyspace_new(struct heap *heap, const struct keyspace_options *options);
void keyspace_free(struct keyspace *keyspace); // no other thread may be registered

void keyspace_thread_start(void); // registers the calling thread with QSBR, online
void keyspace_thread_stop(void);
void keyspace_quiesce(void); // no record pointer from before may be used after
void keyspace_offline(void); // before blocking
void keyspace_online(void);
// Returns when every other registered thread has been quiescent, or offline, since the call.
void keyspace_await(void);
// Frees what is unreachable and past its grace period; the replica thread, now and then. True:
// there is more than is freed at once.
bool keyspace_reclaim(struct keyspace *keyspace);

// ---- any thread

uint64_t keyspace_hash(const struct keyspace *keyspace, const struct address *address);
void keyspace_prefetch(const struct keyspace *keyspace, uint64_t hash);        // the table's line
void keyspace_prefetch_record(const struct keyspace *keyspace, uint64_t hash); // then the record's
struct record *keyspace_find(const struct keyspace *keyspace, const struct address *address,
                             uint64_t hash); // NULL: not there
// Found or created (not live, `type` as given). NULL: -ENOMEM.
struct record *keyspace_obtain(struct keyspace *keyspace, const struct address *address,
                               uint64_t hash, enum cell_type type);

enum {
    RECORD_LIVE = 1u << 0,   // exists for clients
    RECORD_DIRTY = 1u << 1,  // workers added since the replica thread last looked
    RECORD_DEAD = 1u << 2,   // removed from the table; only ever set once
    RECORD_MORTAL = 1u << 3, // has a deadline: see keyspace_deadline; adds take the exact way
    RECORD_RANGE = 1u << 4,  // the exact value does not fit 64 bits
    RECORD_NEAR = 1u << 5,   // this origin's total is far out: adds take the exact way
    RECORD_LOST = 1u << 6,   // dirty, but not on the queue: there was no memory for it
    RECORD_QUEUED = 1u << 7, // on the dirty queue, or LOST
};
uint32_t record_flags(const struct record *record);
enum cell_type record_type(const struct record *record);
int64_t record_value(const struct record *record);
struct address record_address(const struct record *record); // borrows until the next quiescence

// The change number at which the record last changed (see the change order), 0: not yet.
uint64_t record_change(const struct record *record);

enum {
    RECORD_E_DEAD = 1, // find it again
    RECORD_E_TYPE,     // not a counter, or a negative amount on a G-counter
    RECORD_E_EXACT,    // near a limit, or what is left of a deleted key of another type: ask the
                       // replica thread (replica_add), which reckons exactly
};
// Adds to a counter and marks it live and dirty. Wait-free. Amounts beyond RECORD_AMOUNT_MAX,
// values beyond RECORD_VALUE_MAX and RECORD_NEAR are RECORD_E_EXACT, so that what workers add
// between two commits can bring no sum near its limit. On an outcome nothing changed. out_value:
// the value right after this add. out_first: nothing was waiting for the replica thread before:
// wake it.
#define RECORD_AMOUNT_MAX ((int64_t)1 << 24)
#define RECORD_VALUE_MAX  ((int64_t)1 << 58)
#define RECORD_NEAR_MIN   ((int64_t)1 << 57) // an own total beyond it is RECORD_NEAR
int keyspace_add(struct keyspace *keyspace, struct record *record, int64_t amount,
                 int64_t *out_value, bool *out_first);

// The same for a record that has a deadline which is not over.
int keyspace_add_mortal(struct keyspace *keyspace, struct record *record, int64_t amount,
                        int64_t *out_value, bool *out_first);
// When a RECORD_MORTAL key ends, in milliseconds of the wall clock. 0: it has no deadline.
#define DEADLINE_NEVER INT64_MAX
int64_t keyspace_deadline(const struct keyspace *keyspace, const struct record *record);

uint64_t keyspace_keys_count(const struct keyspace *keyspace); // live UNIT_KEY records
// One step of a scan: calls `visit` for the records in the next part of the hash order, at least
// `count` unless the end comes; returns the next cursor, 0 at the end. A record present during the
// whole scan is visited at least once, whatever grows meanwhile; at most once unless it was removed
// and made again.
typedef void (*keyspace_visit)(void *ctx, struct record *record);
uint64_t keyspace_scan(const struct keyspace *keyspace, uint64_t cursor, unsigned count,
                       keyspace_visit visit, void *ctx);

// ---- the replica thread only

// The next dirty record with its mark cleared, or NULL: the queue is empty. It prefetches ahead.
struct record *keyspace_drain(struct keyspace *keyspace);
// Whether that last NULL was true: everything that workers had added, when the drain began, has
// been drained. False: a worker has taken a place on the queue and not filled it yet; what others
// added to the same record, or queued behind, waits with it.
bool keyspace_is_drained(const struct keyspace *keyspace);
bool keyspace_is_clean(const struct keyspace *keyspace); // nothing waits for a drain (a hint)
// Takes the mark off between drains: true if workers have added, and what they added is in the
// value that is read from now on. The record stays on the queue; a drain passes over it unless it
// is marked again.
bool record_take_mark(struct record *record);

// Cells rest packed (crdt/packed.h), in the record when they fit there. record_load copies them out
// (`unit` is cleared first); record_store puts them back (`unit` is empty after). -ENOMEM leaves
// the record as it was; record_load's leaves `unit` empty.
int record_load(const struct record *record, struct unit *unit);
// To look at only: without the entries of reset records.
int record_load_brief(const struct record *record, struct unit *unit);
int record_store(struct keyspace *keyspace, struct record *record, struct unit *unit);
bool record_is_bare(const struct record *record); // no cell
bool record_has_news(const struct record *record, const struct vector *known);
// unit_write of them.
unsigned record_write(const struct record *record, const struct vector *known, struct buf *out);
// The common record, for the hot paths. True: it holds one cell, a plain one.
bool record_plain(const struct record *record, struct plain_cell *out_cell);
// In place of all cells. 0 or -ENOMEM.
int record_put_plain(struct keyspace *keyspace, struct record *record,
                     const struct plain_cell *cell);

size_t record_memory(const struct record *record); // its own bytes and its cells', not its members'

// Adds to `value` without marking: what the replica thread changed in the cells. Returns the value
// after.
int64_t record_shift(struct record *record, int64_t difference);
int64_t record_value_now(const struct record *record); // sequentially consistent
// Sets and clears flags and the type; keeps keyspace_keys_count right. LIVE is not cleared while
// the record is DIRTY: then it is the workers' mark. Returns the flags before.
uint32_t record_mark(struct keyspace *keyspace, struct record *record, uint32_t set, uint32_t clear,
                     enum cell_type type);
// Takes the record out of the table if it is neither dirty nor live and its value equals
// `expected`; it is freed after a grace period. False: it is in use again, leave it.
bool keyspace_remove(struct keyspace *keyspace, struct record *record, int64_t expected);

// ---- children (children.c): members and leases belong to their key's record, which exists as long
// as one of them does; only the replica thread obtains them. Any thread may find one. A child is
// live (record_flags) only in its key's generation.
struct record *record_parent(const struct record *record); // NULL for a UNIT_KEY record
bool record_is_parent(const struct record *record);        // has children, or floors
// Live members, and whatever else there is, in an array. The last one takes the place of one that
// goes, so a walk from the end to the beginning meets everything that is there throughout.
uint32_t record_children_count(const struct record *parent);
struct record *record_child_at(const struct record *parent, uint32_t at);
struct record *record_first_child(const struct record *parent);
struct record *record_next_child(const struct record *child);    // of one in the array
uint32_t record_members_count(const struct record *parent);      // live ones
bool record_has_live_child(const struct record *parent);         // of any kind
enum cell_type record_members_type(const struct record *parent); // that they give their key
int64_t record_children_sum(const struct record *parent);        // of values, as told:
void record_children_add(struct record *parent, int64_t difference);
// Room for one more, before record_mark makes a member live. 0 or -ENOMEM.
int record_children_reserve(struct keyspace *keyspace, struct record *parent);
// A number that the replica thread keeps with a record that has children; 0 at first.
int64_t record_noted(const struct record *parent);
void record_note(struct record *parent, int64_t number);
// Retry tokens and deadlines are attached: they keep the key's record too, but are on no list of
// its children, are never live, and count for nothing in it.
bool record_has_tokens(const struct record *parent);

// All live members are stale from here on, in one step: not live, their cells still as they were. 0
// or -ENOMEM. Not when generations have come round to one that is not swept yet: take those first.
int record_release(struct keyspace *keyspace, struct record *parent);
bool record_is_release_due(const struct record *parent); // false: sweep first
bool record_is_stale(const struct record *record);
bool record_has_stale(const struct record *parent);
void record_unstale(struct record *child); // an ordinary one that is not live
// Some stale one, taken as by record_unstale; NULL: no more.
struct record *record_take_stale(struct keyspace *keyspace, struct record *parent);

// Of each origin with lives in members of the key: the highest that was held, and the floor up to
// which they are taken away with the whole set.
struct member_owner {
    uint64_t top, floor;
    uint16_t origin;
};
struct member_owner *record_owners(const struct record *parent, uint16_t *out_count);
// Found or made; NULL: -ENOMEM. Invalidates pointers to owners.
struct member_owner *record_owner(struct keyspace *keyspace, struct record *parent,
                                  uint16_t origin);
// Lets go of what is kept of children when no record of one and no floor is left.
void record_trim_children(struct keyspace *keyspace, struct record *parent);

// The change order: at most LIMIT_CHANGE_ORDER records, each once, by its newest change number
// (1, 2, 3 ... in this process). `keyspace_change_put` gives the record the next.
uint64_t keyspace_change_put(struct keyspace *keyspace, struct record *record);
uint64_t keyspace_change_newest(const struct keyspace *keyspace); // 0: none yet
uint64_t keyspace_change_oldest(const struct keyspace *keyspace); // below it some may be forgotten
// The least number not below `number` that may hold a record: where a loop may begin.
uint64_t keyspace_change_skip(const struct keyspace *keyspace, uint64_t number);
// The record changed at `number`, NULL if it changed again since or is gone.
struct record *keyspace_change_at(const struct keyspace *keyspace, uint64_t number);

struct keyspace_memory {
    uint64_t records_bytes, tables_bytes, order_bytes; // taken from the heap
    uint64_t in_use_bytes; // of all of it: what records that are gone have left is taken again
    uint64_t records_count;
};
struct keyspace_memory keyspace_memory(const struct keyspace *keyspace);
