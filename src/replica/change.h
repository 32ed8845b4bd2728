// SPDX-License-Identifier: Apache-2.0
// What clients may ask of the cells, beyond adding to a counter: run inside a commit only, on the
// replica thread. Keys are spans of the caller's.
#pragma once
#include "replica/replica.h"

enum {
    CHANGE_E_TYPE = 1, // the key holds another kind of value
    CHANGE_E_STALE,    // a lease older than the one held: ignored
    CHANGE_E_NO_KEY,   // nothing is known of the key
    CHANGE_E_RIGHTS,   // a bounded counter: what is held here does not suffice; nothing changed
    CHANGE_E_BOUND,    // ... is there with another bound
    CHANGE_E_REPLICA,  // no replica of that name is known
    CHANGE_E_OVERFLOW, // the sum would leave 64 bits, or our total LIMIT_TOTAL; nothing changed
    CHANGE_E_OLD,      // a token made longer ago than the window: it may be forgotten
    CHANGE_E_EARLY,    // a token made later than now
};

// Adds exactly, for what keyspace_add answers RECORD_E_EXACT. out_value: after it. 0, CHANGE_E_TYPE
// (not a counter, or negative on a G-counter), CHANGE_E_OVERFLOW, -ENOMEM.
int replica_add(struct replica *replica, struct span key, int64_t amount, int64_t *out_value);

// INCRBY ... ID: as replica_add, unless something was added under the token here before; then
// out_added is false and out_value the value now. Also CHANGE_E_OLD, CHANGE_E_EARLY.
struct token_request {
    struct span key, token;
    int64_t amount;
};
int replica_add_once(struct replica *replica, const struct token_request *request,
                     int64_t *out_value, bool *out_added);

// Before any write to a key: resets it if its deadline has passed, or what is left of one on a dead
// key. 0 or -ENOMEM.
int replica_touch(struct replica *replica, struct span key);
bool replica_has_deadlines(const struct replica *replica); // false: nothing to touch
uint64_t replica_clock_ms(const struct replica *replica);  // the wall clock, never backwards
// EXPIRE, PERSIST (DEADLINE_NEVER). out_done false: no such key, a condition is not met, or nothing
// to persist. A deadline that has passed ends the key. 0 or -ENOMEM.
enum { EXPIRE_NX = 1, EXPIRE_XX = 2, EXPIRE_GT = 4, EXPIRE_LT = 8 };
struct expire_request {
    struct span key;
    int64_t at_ms;
    unsigned conditions;
};
int replica_expire(struct replica *replica, const struct expire_request *request, bool *out_done);

// DEL: an observed reset. out_was_live: whether there was something. 0 or -ENOMEM.
int replica_delete(struct replica *replica, struct span key, bool *out_was_live);
// SET: an observed reset and a base of `value`. 0, CHANGE_E_TYPE (not a counter), -ENOMEM.
int replica_set(struct replica *replica, struct span key, int64_t value);
int replica_set_keeping(struct replica *replica, struct span key, int64_t value); // its deadline
// QUIPU.CREATE: 0 (also when it is there with this type), CHANGE_E_TYPE, -ENOMEM.
int replica_create(struct replica *replica, struct span key, enum cell_type type);
// QUIPU.CREATE of a bounded counter. 0 (also when it is there with this bound), CHANGE_E_TYPE,
// CHANGE_E_BOUND, -ENOMEM.
int replica_bounded_create(struct replica *replica, struct span key, int64_t bound);
// INCRBY and DECRBY of one that is there; what it takes away must be durable before it is told.
// out_left: of CHANGE_E_RIGHTS, what is left here. 0, CHANGE_E_TYPE (none there), CHANGE_E_RIGHTS,
// CHANGE_E_OVERFLOW, -ENOMEM.
int replica_bounded_add(struct replica *replica, struct span key, int64_t amount,
                        int64_t *out_value, int64_t *out_left);
// QUIPU.TRANSFER of rights to another replica. out_left: here, after it, or of CHANGE_E_RIGHTS. The
// same, and CHANGE_E_REPLICA.
int replica_bounded_transfer(struct replica *replica, struct span key, int64_t amount,
                             struct span name, int64_t *out_left);
// Sets, grow-only or not (members.c). open: the key's record to add to, found or made; `type` is
// what a key becomes that is not there (CELL_GSET, CELL_SET). 0, CHANGE_E_TYPE, -ENOMEM.
int replica_set_open(struct replica *replica, struct span key, enum cell_type type,
                     struct record **out_set);
// SADD of one member, with the same type. 0 or -ENOMEM.
int replica_set_add(struct replica *replica, struct record *set, enum cell_type type,
                    struct span member, bool *out_added);
// SREM of one that replica_set_member found. 0 or -ENOMEM.
int replica_set_remove(struct replica *replica, struct record *member);
// HANDOFF: takes a client's message; out_answer (to deinit) is what is said to it, once durable. 0,
// CHANGE_E_TYPE (also a message of tier 0), CHANGE_E_OVERFLOW, -ENOMEM; on an outcome there is no
// answer, and what was taken in is settled by the message coming again.
struct handoff_node;
int replica_handoff(struct replica *replica, struct span key, const struct handoff_node *message,
                    struct handoff_node *out_answer);
// PFADD: out_changed: a register was raised, or the key is new. 0, CHANGE_E_TYPE, -ENOMEM.
int replica_sketch_add(struct replica *replica, struct span key, const struct span *members,
                       uint32_t count, bool *out_changed);
// PFMERGE: every register of `key` becomes at least as high as the sources'. The same.
int replica_sketch_merge(struct replica *replica, struct span key, const struct span *sources,
                         uint32_t count);
struct lease_request {
    struct span key, owner;
    int64_t count;
    uint32_t ttl_ms;
    uint64_t epoch, sequence; // both 0: the replica numbers them itself
};
// PRESENCE.SET. out_total: the key's presence now. 0, CHANGE_E_TYPE, CHANGE_E_STALE (nothing
// changed), -ENOMEM.
int replica_presence_set(struct replica *replica, const struct lease_request *request,
                         int64_t *out_total);
// The number of the key's newest change, with all that workers have added up to now. 0,
// CHANGE_E_NO_KEY, -ENOMEM.
int replica_version(struct replica *replica, struct span key, uint64_t *out_change);
// Takes in what workers have added since the commit began: whoever runs several commands in one
// piece wants all that they may have seen in this commit. A failure is the commit's.
void replica_catch_up(struct replica *replica);
// FLUSHALL: an observed reset of every key. 0 or -ENOMEM.
int replica_flush(struct replica *replica);

// ---- questions, on the replica thread, at any time

// An order-independent hash of (key, type, value, members) of every live key.
uint64_t replica_digest(struct replica *replica);

int64_t replica_bounded_left(struct replica *replica, struct span key); // rights held here
// PFCOUNT: of several keys, their union. 0 or CHANGE_E_TYPE.
int replica_sketch_count(struct replica *replica, const struct span *keys, uint32_t count,
                         uint64_t *out_count);

struct lease_row {
    struct span owner;
    uint16_t origin;
    int64_t count;
    int64_t ttl_left_ms; // -1: another replica measures it
};
typedef void (*lease_visit)(void *ctx, const struct lease_row *row);
// The leases that count now. False: no such key.
bool replica_presence_list(struct replica *replica, struct span key, lease_visit visit, void *ctx);
// Of a key that shows a set. NULL: not in it; it is empty.
struct record *replica_set_member(struct replica *replica, const struct record *set,
                                  struct span member);
struct record *replica_set_random(struct replica *replica, const struct record *set);
// The members of this moment, in no order; they may be looked at (record_address) until the list is
// freed, between commits too, whatever becomes of them. 0 or -ENOMEM.
struct set_list {
    struct record **member;
    uint32_t count, cap;
};
int replica_set_list(struct replica *replica, const struct record *set, struct set_list *out_list);
// As many, chosen at random: each once at most; -count of them, each maybe again, when negative.
int replica_set_pick(struct replica *replica, const struct record *set, int64_t count,
                     struct set_list *out_list);
void replica_set_list_free(struct replica *replica, struct set_list *list);
void replica_set_list_ahead(const struct set_list *list, uint32_t at); // fetches those behind `at`
// Loads the cells of a key for display. False: nothing known. The caller deinits the unit.
bool replica_inspect(struct replica *replica, struct span key, struct unit *out_unit);
bool replica_inspect_at(struct replica *replica, const struct address *address,
                        struct unit *out_unit);
