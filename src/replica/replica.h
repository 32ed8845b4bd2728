// SPDX-License-Identifier: Apache-2.0
// One replica without threads, sockets or clocks: keyspace, journal and node composed. The server
// (db) and the simulator drive it: they bring events and time, carry its effects out, and call
// commit. Everything here belongs to one thread, the replica thread.
//
// State changes only inside a commit:
//
//   replica_commit_apply   drains what workers added, runs the requests, joins staged rounds, ends
//                          leases; encodes every touched unit into one journal frame
//   replica_commit_sync    makes the frame durable, then tells the node, which acknowledges, feeds
//
// so between commits all cells are durable and may be sent to anybody.
#pragma once
#include "journal/journal.h"
#include "keyspace/keyspace.h"
#include "node/node.h"

struct replica;

enum change_op { CHANGE_ADD, CHANGE_RESET, CHANGE_SET, CHANGE_CREATE, CHANGE_REMOVE, CHANGE_LEASE };
enum change_origin { CHANGE_LOCAL, CHANGE_PEER, CHANGE_EXPIRY };

// One applied change of a key, as the hook sees it. Several changes of a key between two pulls are
// one: `previous` is from before the first, `amount` their sum, `op` and `origin` the last one's.
struct change {
    struct span key;    // borrows until the next commit
    struct span member; // likewise; ptr NULL: several, or the key itself
    enum cell_type type;
    enum change_op op;
    enum change_origin origin;
    bool is_live;
    bool has_previous; // false when too many changes were waiting to remember each
    int64_t value, previous, amount;
    uint64_t version; // this process's change number of the key
};

struct replica_options {
    struct disk *disk;
    struct node_options node;
    struct incarnation fresh; // random: used for an empty directory
    struct incarnation spare; // random: used if the identity must be renewed
    bool is_new_incarnation;  // --new-incarnation
    bool is_to_read;          // only to look at: the directory stays as it is, no event, no commit
    uint64_t hash_seed;
    uint64_t segment_bytes;        // 0: the journal's default
    uint64_t snapshot_after_bytes; // and twice the last snapshot; 0: 64 MiB
    size_t round_bytes;            // of a round to a peer, about; 0: LIMIT_ROUND_BYTES
    size_t sketch_bytes;           // of a sketch in one piece; 0: LIMIT_SKETCH_BYTES
    uint64_t token_window_ms;      // retry tokens: kept so long; 0: a day
    uint64_t clock_skew_ms;        // of the members' wall clocks, at most; 0: a minute
    uint64_t buried_ms;            // departures of handoff clients are remembered; 0: 10 minutes
    unsigned scan_step;            // records that a walk, sweep or snapshot takes at a time; 0: 64
};

// Recovers from the disk. 0, -errno, or a JOURNAL_E_* / REPLICA_E_*; then out_error has one line.
enum { REPLICA_E_NAME = 100, REPLICA_E_FRAME, REPLICA_E_FULL, REPLICA_E_BUSY, REPLICA_E_GONE };
int replica_open(struct replica **out_replica, struct heap *heap,
                 const struct replica_options *options, struct buf *out_error);
void replica_close(struct replica *replica);

struct keyspace *replica_keyspace(struct replica *replica);
const struct node *replica_node(const struct replica *replica);
const struct origins *replica_origins(const struct replica *replica);
const struct vector *replica_vector(const struct replica *replica); // as it is on disk
struct effects *replica_effects(struct replica *replica); // to carry out, then effects_clear

// Passes an event to the node and carries out what concerns cells; the rest is in replica_effects.
void replica_event(struct replica *replica, const struct event *event);
void replica_cut(struct replica *replica, struct span name, bool is_cut, bool *out_known);
int replica_accept(struct replica *replica, uint32_t *out_link);
bool replica_is_serving(const struct replica *replica);
bool replica_wants_commit(const struct replica *replica); // something waits for one

// One commit. `requests` runs the waiting client requests (change.h); may be NULL. apply: 0 or
// -ENOMEM. sync: 0 or -errno, which is final (the journal has failed): stop acknowledging.
struct commit_input {
    uint64_t now_ms;  // monotonic
    uint64_t wall_ms; // for the hybrid clock
    void (*requests)(void *ctx, struct replica *replica);
    void *ctx;
};
int replica_commit_apply(struct replica *replica, const struct commit_input *input);
int replica_commit_sync(struct replica *replica);
// Whether the last apply took in all that workers had added when it began. If not, it is not for
// that commit to acknowledge what they wrote: a later one will.
bool replica_is_drained(const struct replica *replica);
const char *replica_error(const struct replica *replica); // what failed, for the operator

// Gives back what was removed and nobody can still look at; a commit does so too.
void replica_reclaim(struct replica *replica);

// Changes after `cursor` (0 at first) in order, at most `max`; returns how many, moves the cursor.
// When it fell behind the change order, a walk over the keyspace finds the rest: never lost, only
// coalesced.
struct change_cursor {
    uint64_t change;
    uint64_t walk;      // position in the hash order
    uint64_t walk_upto; // change number when the walk began
    uint64_t walk_from;
    bool is_walking;
};
unsigned replica_changes(struct replica *replica, struct change_cursor *cursor,
                         struct change *out_changes, unsigned max);
bool replica_has_changes(const struct replica *replica, const struct change_cursor *cursor);

// Nobody listens: goes to the newest change, what lies before is forgotten.
void replica_changes_skip(struct replica *replica, struct change_cursor *cursor);

// A backup of everything committed up to `begin`, as files of a data directory (backup.c): begin,
// then read each file from 0 until a read appends nothing, then end. REPLICA_E_BUSY: another one is
// under way. REPLICA_E_GONE: not that one (any more), or no such file. -errno is final.
int replica_backup_begin(struct replica *replica, uint64_t *out_id);
unsigned replica_backup_count(const struct replica *replica);
int replica_backup_file(const struct replica *replica, unsigned index,
                        struct journal_held *out_held);
int replica_backup_read(struct replica *replica, uint64_t id, struct span name, uint64_t offset,
                        struct buf *out); // at most LIMIT_BACKUP_BYTES
int replica_backup_end(struct replica *replica, uint64_t id);
bool replica_is_backed_up(const struct replica *replica); // one is under way

struct replica_counts {
    uint64_t commits, frames_bytes, units_joined, units_sent, rounds_sent, rounds_joined, walks;
    uint64_t snapshots, collected, renewals, rounds_refused, tokens_forgotten, expired;
    uint64_t forgettings; // the directory was too old and began anew
};
struct replica_counts replica_counts(const struct replica *replica);

struct token_counts {
    uint64_t tokens, twins; // twins: added under by several leaders
    uint64_t queue_bytes;
};
struct token_counts replica_tokens(const struct replica *replica);
uint64_t replica_deadlines(const struct replica *replica); // keys that have one to come
