// SPDX-License-Identifier: Apache-2.0
// Between the files of the replica room.
#pragma once
#include "crdt/retry.h"
#include "replica/change.h"
#include "replica/record_map.h"

struct staged { // a round waiting for the next commit
    uint32_t link;
    uint64_t sent_at; // the link's boot: a slot reused meanwhile is another link
    struct span body; // owned
    struct staged *next;
};

struct timer { // a lease of ours that runs
    struct record *record;
    uint64_t deadline_ms;
    uint64_t epoch, sequence; // the owner's newest, refreshes included
    uint32_t ttl_ms;
};

struct note { // what the hook would like to know of a change, until it is pulled
    struct record *record;
    enum change_op op;
    enum change_origin origin;
    int64_t previous, amount;
    const struct record *member; // the only one that changed
    bool has_many;
};

struct escrow_use { // of one replica, as last looked at
    uint16_t origin;
    int64_t total, demand, recent;
};

struct escrow_key { // a bounded counter
    struct record *record;
    int64_t refused; // asked of us and not given, since it was last written down
    struct escrow_use use[NODE_MEMBERS_MAX + 1];
};

struct escrow { // what evening out remembers; nothing of it is kept over a restart
    struct escrow_key *keys;
    size_t count, cap;
    struct record_map by_record;
    uint64_t due_ms;
};

#define TOKENS_A_CHUNK 510u

struct twins { // of one key: the tokens that several leaders have added under
    struct record *key;
    struct twin {
        struct record *token;
        bool is_parked; // its time is over, it is kept until it is cut, and not on the queue
    } * list;
    uint32_t count, cap;
    int64_t taken;  // off the key's value, as it is shown
    uint64_t print; // of the key's cells that it was reckoned with
    bool has_unseen;
};

struct tokens {
    uint64_t count; // on the queue, which holds each token's record once
    struct token_chunk *first, *last;
    uint32_t first_at;
    struct twins *twins;
    uint32_t twins_count, twins_cap;
    uint32_t unseen_count; // of them, with a dot whose add is not here
    struct record_map twins_by_key;
    struct unit dots, key; // to look at
};

struct mortals { // a heap of deadlines
    struct mortal {
        uint64_t due_ms;
        struct record *deadline;
    } * list;
    uint32_t count, cap;
    struct record_map by_record;
};

struct handoff_watch { // a token that is kept, or a departure
    struct record *record;
    uint64_t since_ms;
};

struct handoffs {
    struct handoff_watch *list;
    size_t count, cap;
    struct record_map by_record;
    uint64_t due_ms;
};

#define REPLICA_NOTES   8192
#define REPLICA_REST_MS 1000 // without a commit: buffers are given back

struct replica {
    struct heap *heap;
    struct keyspace *keyspace;
    struct journal *journal;
    struct node node;
    struct effects effects;
    struct origins origins;
    struct vector vector;  // V, with the commit under way
    struct vector before;  // V as of the last commit
    struct vector durable; // what the node may speak of
    struct vector held;    // highest sequence of each origin in any cell
    uint16_t self;
    uint64_t now_ms, written_ms;
    uint64_t stamp; // hybrid logical clock: ms << 16 | counter
    uint64_t told;  // own sequences above it nobody else can know
    struct prng prng;
    uint64_t clock_ms, clock_at_ms; // the wall clock, never backwards, and `now_ms` then
    uint64_t clock_skew_ms, token_window_ms;
    struct tokens tokens;
    struct mortals mortals;
    bool has_deadlines; // or had
    enum change_origin cause;
    bool is_unheard; // nobody pulls changes: nothing is noted for the hook
    bool is_recovering, is_serving, wants_commit, is_hiding_changed, is_frame_needed, has_failed;
    // The next commit forgets; the one under way has (forget.c).
    bool is_forgetting, has_forgotten;
    bool is_drained; // the last drain found the queue's end
    int fault;       // of the commit under way, from within its requests
    bool is_hidden[LIMIT_ORIGINS];
    struct incarnation spare;
    struct buf units; // of the commit under way; after it, of the last one
    unsigned units_count;
    struct {                  // the first part of `units`: what this replica changed itself
        uint64_t after, upto; // change numbers
        size_t bytes;
        unsigned units;
    } own;
    struct buf frame;    // its journal frame, when it closes
    struct unit scratch; // cells on their way out of a record, changed, and back
    struct unit reading; // cells to look at; room for one of every origin
    struct staged *staged_first, *staged_last;
    struct timer *timers;
    size_t timers_count, timers_cap;
    struct record_map timers_by_record;
    uint64_t timers_due_ms; // no lease ends before
    struct note *notes;     // room for REPLICA_NOTES
    struct record_map notes_by_record;
    uint32_t notes_count;
    struct record **sunk; // keys with floors
    size_t sunk_count, sunk_cap;
    struct record_map sunk_by_record;
    struct record **stale; // keys with members that a DEL left behind
    size_t stale_count, stale_cap;
    struct floor floors[LIMIT_ORIGINS]; // of the DEL under way
    uint64_t sweep_cursor;
    uint64_t sweep_left; // dead things seen in the sweep under way
    bool is_sweep_wanted;
    bool is_sweep_forced;       // though nothing more is stable
    unsigned lists_count;       // struct set_list out: removed records are kept
    struct vector sweep_stable; // when the last sweep began
    struct record_map sketches; // keys with blocks that changed: their estimates are to be reckoned
    struct escrow escrow;
    struct handoffs handoffs;
    uint64_t buried_ms;  // how long a departure is remembered
    size_t sketch_bytes; // a list longer than that goes into blocks
    struct mark {        // at change number `change` V was `vector`
        uint64_t change;
        struct vector vector;
    } * marks;
    unsigned marks_count;
    bool is_snapshotting;
    uint64_t snapshot_cursor, snapshot_after_bytes;
    uint64_t snapshot_bytes; // of the last one, or of the one under way
    struct {
        bool is_open;
        uint64_t id, touched_ms;
    } backup;
    size_t round_bytes;
    unsigned scan_step;
    struct buf snapshot_frame;
    struct replica_counts counts;
};

#define REPLICA_MARKS 64

// frame.c: the journal frame's head (dictionary, vector, members) and recovery of a frame
enum { FRAME_MEMBERS = 1, FRAME_DROPPED = 2, FRAME_FORGETS = 4 };
void frame_open(struct replica *replica, struct buf *out, unsigned parts);
int frame_recover(void *ctx, struct span frame);

// cells.c: one record's cells and what clients see of it
uint64_t cells_next(struct replica *replica); // the next sequence of this incarnation
// Marks the record RECORD_NEAR when our total in it is far out, so that adds are reckoned exactly.
void cells_near(struct replica *replica, struct record *record, int64_t total);
// Takes what workers added since the last commit into our cell. 0 or -ENOMEM.
int cells_absorb(struct replica *replica, struct record *record);
// Copies a record's cells into replica->scratch (NULL: -ENOMEM) and puts them back.
struct unit *cells_load(struct replica *replica, struct record *record);
int cells_store(struct replica *replica, struct record *record);
// A record's cells to look at, until the next such call; without the entries of reset records.
const struct unit *cells_read(struct replica *replica, const struct record *record);
const struct cell *cells_own(struct replica *replica, const struct record *record); // or NULL
struct unit_view cells_view(struct replica *replica, struct record *record);
// What the record shows now, as the `before` of a change. It differs from the view of a lease when
// somebody was hidden or is back since; no worker adds to leases, so it is the record's own word.
struct unit_view cells_shown(struct replica *replica, struct record *record);
// After a change of cells that clients may see: value, flags, the parent's value, the change order,
// the frame. `before` is the committed view from before the change.
int cells_settle(struct replica *replica, struct record *record, struct unit_view before,
                 enum change_op op);
// The parent of members or leases shows the sum of its children, unless its own cells show
// something else in their place. `own`: the type that these children stand for (a CELL_SET's may be
// a CELL_GSET's); `difference` is in record_children_sum already.
void cells_settle_parent(struct replica *replica, struct record *parent, enum cell_type own,
                         int64_t difference, enum change_op op);
// The part of it that clients see.
int cells_show(struct replica *replica, struct record *record, struct unit_view before,
               enum change_op op);
// Writes the record's new cells into the frame.
int cells_log(struct replica *replica, struct record *record);
struct record *cells_record(struct replica *replica, const struct address *address,
                            enum cell_type type); // found or made

// sketches.c
// A block of the key changed: its estimate is told at the end of the commit. 0 or -ENOMEM.
int sketches_touch(struct replica *replica, struct record *key);
void sketches_settle(struct replica *replica); // tells them
// What the key shows as a sketch; `unit`: its own cells.
int64_t sketches_shown(const struct record *key, const struct unit *unit);
uint64_t sketches_digest(struct replica *replica, const struct record *record, uint64_t seed);
// members.c
// Before a member's cells are looked at: what a DEL of its set left in them goes. 0 or -ENOMEM.
int members_ready(struct replica *replica, struct record *record);
// The floors of a DEL of the key, whose members are gone after it.
int members_delete(struct replica *replica, struct record *parent, struct floors *out_floors);
// Before a key's unit is joined: the floors that its records bring.
int members_floors(struct replica *replica, const struct address *address,
                   const struct unit *arriving, const struct vector *seen);
// Before a member's unit is joined: what floors here cover leaves it. After: whose lives it has.
int members_filter(struct replica *replica, const struct address *address, struct record *record,
                   struct unit *arriving);
int members_seen(struct replica *replica, struct record *record, const struct unit *arriving);
int members_sweep(struct replica *replica); // a part of what DELs left behind
void members_drop_floors(struct replica *replica, struct record *parent);
void members_forget(struct replica *replica, const struct record *parent); // no floors are left

// bounded.c
int64_t bounded_shown(const struct record *key, const struct unit *unit,
                      const struct origins *origins);
int bounded_settle(struct replica *replica, struct record *key); // its value, after a change
int bounded_watch(struct replica *replica, const struct record *key);
void bounded_forget(struct replica *replica, const struct record *key);
bool bounded_can_reset(struct replica *replica, const struct record *child);
bool bounded_is_litter(struct replica *replica, const struct record *child); // ours to take away
bool bounded_is_due(const struct replica *replica);
int bounded_even(struct replica *replica);

// handoff.c
void handoff_set_up(struct replica *replica, uint64_t buried_ms);
int handoff_watch(struct replica *replica, struct record *child);
void handoff_forget(struct replica *replica, const struct record *child);
bool handoff_is_due(const struct replica *replica);
int handoff_look(struct replica *replica);

// change.c
// replica_add, of a key that becomes `type` if it is not there.
int change_add(struct replica *replica, struct span key, int64_t amount, enum cell_type type,
               int64_t *out_value);
int change_reset(struct replica *replica, struct record *record, enum change_op op);

// forget.c: what EFFECT_FORGET of `link` says. V is void at once, the cells go in the next commit.
void forget_begin(struct replica *replica, uint32_t link);
int forget_due(struct replica *replica);
int forget_cells(struct replica *replica, const struct vector *limits);

// join.c
void join_stage(struct replica *replica, uint32_t link, struct span body);
void join_drop(struct replica *replica, uint32_t link); // what is staged of it
int join_all(struct replica *replica);
void join_raise_held(struct replica *replica, const struct unit *unit);
int join_units(struct replica *replica, struct span units, const struct origin_map *map,
               const struct vector *seen);

// feed.c
void feed_link(struct replica *replica, uint32_t link);
void feed_mark(struct replica *replica); // remembers (change number, V) now and then

// lease.c
int lease_expire(struct replica *replica);
int lease_end(struct replica *replica, struct record *record);
int lease_rehide(struct replica *replica);
void lease_recovered(struct replica *replica, struct record *record);
void lease_start(struct replica *replica);
bool lease_is_due(const struct replica *replica); // a commit would end one
void lease_forget_all(struct replica *replica);
void lease_forget(struct replica *replica, struct record *record);

// change.c
int change_delete(struct replica *replica, struct record *record); // a key's, as it is live

// expiry.c
void expiry_init(struct mortals *mortals, struct heap *heap);
void expiry_deinit(struct replica *replica);
int expiry_settle(struct replica *replica, struct record *deadline); // its entries changed
int expiry_key_died(struct replica *replica, struct record *key);
int expiry_drop(struct replica *replica, struct record *key); // goes with what it was set for
void expiry_forget(struct replica *replica, const struct record *deadline);
// A key's deadline travels with it. The units written.
unsigned expiry_write(struct replica *replica, const struct record *key, const struct vector *known,
                      struct buf *out);
bool expiry_is_over(const struct replica *replica, const struct record *key); // it is hidden
int expiry_step(struct replica *replica);
bool expiry_is_due(struct replica *replica); // a commit would end a key

// retry.c
void retry_init(struct tokens *tokens, struct heap *heap);
void retry_deinit(struct replica *replica);
int64_t retry_taken(const struct replica *replica, const struct record *key); // as it is shown
int retry_key_changed(struct replica *replica, const struct record *key);     // before it is shown
int retry_settle(struct replica *replica, struct record *token);              // its dots changed
int retry_joined(struct replica *replica); // V rose: what was not here may be known to be gone
void retry_step(struct replica *replica);
bool retry_is_due(struct replica *replica); // a commit would forget one

// note.c
void note_put(struct replica *replica, struct record *record, int64_t previous, int64_t amount,
              enum change_op op);
// The change just noted was one member's.
void note_member(struct replica *replica, const struct record *parent, const struct record *member);
void note_forget_member(struct replica *replica, const struct record *member); // it is removed
void note_forget_all(struct replica *replica);
bool note_take(struct replica *replica, const struct record *record, struct note *out_note);

// collect.c, snapshot.c: a bounded step a commit
void collect_step(struct replica *replica);
bool collect_is_due(const struct replica *replica); // a commit would have something to sweep
void collect_wanted(struct replica *replica);
void collect_bare(struct replica *replica, struct record *record); // removes it if it holds nothing
void collect_key(struct replica *replica, struct record *key);     // something of it is gone
int snapshot_step(struct replica *replica);

void backup_tick(struct replica *replica); // backup.c
