// SPDX-License-Identifier: Apache-2.0
// The simulated world: nodes (real replicas over simulated disks), connections with delays, cuts
// and faults, one clock, one seed. Everything random comes from `prng`; every event is folded into
// `trace`, so the same seed gives the same hash.
#pragma once
#include "base/prng.h"
#include "crdt/handoff.h"
#include "replica/change.h"
#include "sim/disk.h"
#include "sim/ghost.h"
#include "sim/heap.h"

#define WORLD_NODES_MAX 5
#define WORLD_CONNS_MAX 256
#define WORLD_OWNERS    3      // of presence leases
#define WORLD_KEEP_MAX  4      // older disks of a node, to be restored
#define TOKENS_SKEW_MS  500000 // more than FAULT_CLOCK makes
#define WORLD_NEVER     UINT64_MAX

struct plan;

struct world_options {
    uint64_t seed;
    uint64_t steps;
    bool is_verbose;         // a readable trace on stdout
    const struct plan *plan; // instead of one drawn: nothing happens by itself then
    struct buf *trace;       // the readable trace without the times; borrows
};

enum fault {
    FAULT_KILL,         // the process dies; the page cache stays
    FAULT_POWER,        // the machine dies, and its peers are told by the network
    FAULT_POWER_SILENT, // ... or are not
    FAULT_KILL_COMMIT,  // in the middle of a commit, before it is durable
    FAULT_DISK,         // writes and syncs fail
    FAULT_MEMORY,       // an allocation fails
    FAULT_RESTORE,      // the next start finds an older disk
    FAULT_WIPE,         // ... or an empty one
    FAULT_RENEW,        // ... or the operator says --new-incarnation
    FAULT_PAUSE,        // the process stands still
    FAULT_CUT,          // two nodes cannot reach each other
    FAULT_CUT_ONE_WAY,
    FAULT_ISOLATE, // one node cannot reach anybody
    FAULT_HEAL,    // one cut is healed
    FAULT_HEAL_ALL,
    FAULT_RESET, // a connection breaks
    FAULT_CLOCK, // the wall clock jumps
    FAULT_DRILL, // the operator cuts or heals links by name
    FAULTS_COUNT,
};

// What a seed draws before the run: which faults and how many, which sizes, which workload.
struct plan {
    unsigned nodes_count, joiners_count; // the last ones join later
    bool is_join_narrow;                 // a joiner reaches one of the others only, at first
    bool has_owners;                     // presence leases
    bool has_clients;                    // of a handoff counter
    bool is_cleared;                     // everything is deleted at the end
    uint64_t commit_ms;                  // longest wait of a change for its commit
    uint64_t delay_ms;
    unsigned slow_per_mille, lossy_per_mille;
    bool is_patient; // a start waits for everybody's answer, so no identity is renewed
    uint64_t start_wait_ms, silence_ms;
    size_t round_bytes;
    unsigned scan_step;
    uint64_t segment_bytes, snapshot_after_bytes;
    uint64_t op_ms, fault_ms; // mean distance of operations, of faults
    unsigned reset_per_mille, set_per_mille, member_per_mille, visit_per_mille; // of commits
    unsigned stock_per_mille;
    unsigned removal_per_mille; // of what is done to members
    size_t sketch_bytes;
    unsigned expire_per_mille;
    unsigned token_per_mille, leap_per_mille; // of commits; of phases
    uint64_t token_window_ms;
    unsigned weight[FAULTS_COUNT];
    unsigned weights_sum;
};

struct heartbeat {
    uint64_t epoch, sequence;
    int64_t count;
    uint32_t ttl_ms;
};

struct owner {
    bool is_beating, is_due;
    unsigned node;            // takes its heartbeats
    uint64_t epoch, sequence; // newest sent
    int64_t count;
    uint32_t ttl_ms;
    uint64_t beat_ms; // next
    struct heartbeat *sent;
    size_t sent_count, sent_cap;
};

struct holding { // what a node has taken of an owner
    bool is_held;
    uint8_t incarnation; // it was then
    uint64_t boot, at_ms;
    struct heartbeat newest;
};

#define WORLD_CLIENTS 3     // of a handoff counter, at a time
#define WORLD_OLD     8     // messages that may be said again
#define WORLD_OLD_MS  20000 // ... for so long; departures are remembered longer

struct client {
    bool is_there, is_leaving, is_answered;
    struct handoff_node node; // as it is in its file
    struct buf answer;        // of the commit under way
};

struct clients {
    struct sim_heap heap;
    struct client list[WORLD_CLIENTS];
    struct buf old[WORLD_OLD];
    uint64_t said_ms[WORLD_OLD];
    uint64_t came, total; // counted
    uint64_t turn_ms;     // next
    struct client *speaker;
    unsigned node; // to which
    bool is_echo;  // it is an old message
    bool is_uncertain;
};

struct stock_creation { // of the bounded counter
    uint8_t incarnation;
    uint64_t sequence;
    int64_t put_in, sold;
};

struct stock_op {
    struct stock_creation creation;
    uint8_t incarnation; // that wrote it
    uint64_t sequence;
    int64_t amount; // put in; negative: sold
    uint64_t node_boot;
    bool is_acked, is_lost;
};

struct stock {
    struct stock_op *list;
    size_t count, cap;
    struct stock_creation *creation;
    size_t creations_count, creations_cap;
    bool is_uncertain;
};

// A client's request that changes more than an amount: runs in the node's next commit.
struct order {
    enum order_kind {
        ORDER_NONE,
        ORDER_DEL,
        ORDER_SET,
        ORDER_ADD,
        ORDER_REMOVE,
        ORDER_ONCE,
        ORDER_EXPIRE
    } kind;
    unsigned node, unit;
    int64_t value;
};

struct message {
    struct message *next;
    uint64_t deliver_ms;
    struct ghost *ghost; // the sender's when it fed; NULL for other messages
    struct ghost *upto;  // of a final round: the sender's when its vector was the round's `upto`
    size_t len;
    uint8_t bytes[];
};

struct queue {
    struct message *first, *last;
};

struct conn_end { // one side of a connection: who, its link, what comes to it
    unsigned node;
    uint64_t boot; // the node's process
    uint32_t link;
    bool is_open; // this side still has the connection
    struct queue queue;
    struct queue staged; // rounds delivered here and not joined yet
    uint64_t rounds_done;
    struct ghost *walk; // this side's when the walk began that it is feeding
};

struct conn {
    bool is_used, is_established;
    bool is_silent; // one end lost its power: the other is not told
    uint64_t connect_ms;
    uint64_t break_ms;      // when it breaks: something was lost in it
    struct conn_end end[2]; // 0 dialer, 1 listener
};

struct kept {
    struct disk *disk;
    struct ghost ghost;
};

struct sim_node {
    char name[8], address[8], cluster[8];
    struct disk *disk;
    struct replica *replica; // NULL: down
    struct sim_heap heap;
    bool is_member;        // takes part yet (joiners start later)
    bool is_refused;       // told not to serve: is stopped and started again
    unsigned refusals;     // of this directory
    bool is_renewal_asked; // the next start has --new-incarnation
    bool is_kill_planned;  // in the next commit
    bool is_serving;
    uint64_t boot;
    uint64_t up_ms;        // since when it serves
    uint64_t committed_ms; // its last commit
    struct holding holding[WORLD_OWNERS];
    uint64_t start_ms;                       // what its monotonic clock counts from
    uint64_t restart_ms, tick_ms, commit_ms; // next; WORLD_NEVER: none
    uint64_t paused_ms;                      // stands still until then
    int64_t clock_off_ms;
    uint8_t incarnation; // in the ghost's log
    uint16_t self;       // the same, as the replica numbers it
    struct ghost ghost, durable;
    struct ghost doubt; // as it is if the commit that failed is on the disk
    bool is_in_doubt;
    size_t stock_acked;        // the same for sales
    bool is_doubt_anew;        // in that commit the directory began anew ...
    uint8_t doubt_self;        // ... as this incarnation
    uint64_t forgettings;      // of this process
    size_t acked[GHOST_UNITS]; // entries of the log before it need no look
    struct kept kept[WORLD_KEEP_MAX];
    unsigned kept_count;
    bool was_restored;
    uint16_t conn_of[NODE_LINKS_MAX]; // conn * 2 + side + 1; 0: none
};

struct world_counts {
    uint64_t adds, resets, sets, members, removals, visits, sales, refused, counted, tokens,
        retries, forgotten, leaps, expiries, expired, heartbeats, commits, restarts, joins,
        renewals, snapshots, walks, collected, drops, duplicates, reorders, refusals, forgettings,
        steps;
    uint64_t faults[FAULTS_COUNT];
};

struct world {
    struct world_options options;
    struct plan plan;
    struct prng prng;
    uint64_t now_ms;
    uint64_t trace;
    unsigned nodes_count; // known to each other; joiners are added
    struct sim_node node[WORLD_NODES_MAX];
    struct conn conn[WORLD_CONNS_MAX];
    unsigned conns_used;                           // those beyond are free
    bool is_cut[WORLD_NODES_MAX][WORLD_NODES_MAX]; // from, to
    bool is_calm;                                  // healing: no more faults, no more operations
    bool is_clearing; // after that: everything is deleted, in the end nothing may be left
    bool is_quiet;    // a phase without operations
    uint64_t op_ms, fault_ms, phase_ms, clear_ms; // next
    struct order order;
    uint64_t leap_ms;                     // all wall clocks have gone so much more
    uint64_t token_made_ms[GHOST_TOKENS]; // by the right time; 0: not yet
    struct owner owner[WORLD_OWNERS];
    struct stock stock;
    struct clients clients;
    struct ghost_log log;
    bool is_closed[GHOST_INCARNATIONS]; // its history, at some node at least
    struct world_counts counts;
    char violation[400]; // "" while all is well
};

void world_init(struct world *world, const struct world_options *options);
void world_deinit(struct world *world);
// Runs the whole scenario. True: no violation.
bool world_run(struct world *world);
// Lets time pass.
void world_pass(struct world *world, uint64_t ms);

// world.c: what the parts share
void world_note(struct world *world, unsigned node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void world_violate(struct world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool world_chance(struct world *world, unsigned per_mille);
void world_fold(struct world *world, uint64_t value); // into the trace
// An amount of time around `mean`, never 0.
uint64_t world_around(struct world *world, uint64_t mean_ms);

// plan.c
void plan_draw(struct plan *plan, struct prng *prng);
void plan_print(const struct plan *plan);
extern const char *const fault_names[FAULTS_COUNT];

// faults.c
void fault_inject(struct world *world);
bool fault_wipe(struct world *world, unsigned node); // it comes back with an empty disk
void fault_mark_optional(struct world *world);       // after disks were replaced
void fault_calm(struct world *world);                // everything heals

// net.c
void net_carry(struct world *world, unsigned node); // a node's effects
void net_deliver(struct world *world);              // what is due
uint64_t net_due(const struct world *world);        // when something is due next
void net_process_gone(struct world *world, unsigned node, bool is_silent);
void net_joined(struct world *world, unsigned node); // ghosts of the rounds a commit joined
bool net_break(struct world *world, unsigned conn);  // both ends lose it
void net_free(struct world *world);

// process.c: a node's life
void process_start(struct world *world, unsigned node);
void process_close(struct world *world, unsigned node); // frees it, its disk untouched
void process_crash(struct world *world, unsigned node, bool is_power_loss, bool is_silent);
// What the old disk alone had is gone; the new one holds `ghost`.
void process_disk_replaced(struct world *world, unsigned node, const struct ghost *ghost);
void process_event(struct world *world, unsigned node, struct event *event); // sets its time
void process_tick(struct world *world, unsigned node);
void process_commit(struct world *world, unsigned node);
bool process_is_running(const struct world *world, unsigned node); // up and not standing still

// workload.c
struct address workload_address(unsigned unit);
struct record *workload_record(struct replica *replica, unsigned unit); // NULL: not there
int workload_unit(const struct address *address);                       // -1: none of ours
void workload_step(struct world *world, unsigned node);
void workload_add(struct world *world, unsigned node, unsigned unit, int64_t amount);
void workload_requests(void *ctx, struct replica *replica);
bool workload_is_cleared(struct world *world); // nothing is left to delete, anywhere
// Our own cell under the unit's address; the zero cell when there is none. Its content is not told.
struct cell workload_own(struct sim_node *self, unsigned unit);
void workload_entry(struct world *world, struct sim_node *self, unsigned unit,
                    struct ghost_entry entry);
struct workload_requests_ctx {
    struct world *world;
    unsigned node;
};

// tokens.c
uint64_t world_wall_ms(const struct world *world); // a clock that is right
struct address tokens_address(unsigned unit);
void tokens_add(struct world *world, unsigned node, unsigned token); // in a commit
bool tokens_may_meet_late(const struct world *world);
void tokens_leap(struct world *world); // so much time passes that tokens are old

// What workers had added to the unit has its sequence now.
void workload_absorbed(struct world *world, struct sim_node *self, unsigned unit);

// deadlines.c
struct address deadlines_address(unsigned unit);
void deadlines_expire(struct world *world, unsigned node, unsigned counter); // in a commit
void deadlines_touch(struct world *world, unsigned node, unsigned unit);     // before a write
void deadlines_dropped(struct world *world, unsigned node, unsigned unit);   // went with its key
void deadlines_follow(struct world *world, unsigned node); // what the node ended by itself
void deadlines_check(struct world *world, unsigned node);
bool deadlines_are_kept(struct world *world); // nothing is there past its time

// owners.c
void owners_init(struct world *world);
void owners_deinit(struct world *world);
uint64_t owners_due(const struct world *world);
void owners_turn(struct world *world);
void owners_silence(struct world *world);
void owners_requests(struct world *world, unsigned node);
void owners_check(struct world *world, unsigned node);
bool owners_are_settled(struct world *world); // all show the newest word of each

// visitors.c
struct address visitors_address(unsigned block);
void visitors_add(struct world *world, unsigned node);
void visitors_check(struct world *world, unsigned node);

// clients.c
void clients_init(struct world *world);
void clients_deinit(struct world *world);
uint64_t clients_due(const struct world *world);
void clients_turn(struct world *world);
void clients_requests(struct world *world, unsigned node);
void clients_check(struct world *world, unsigned node);
bool clients_are_gone(struct world *world);
bool clients_are_settled(struct world *world); // all show what was counted, no trace is left
void clients_clear(struct world *world, unsigned node);
bool clients_are_cleared(struct world *world);

// stock.c
void stock_requests(struct world *world, unsigned node);
void stock_acknowledge(struct world *world, struct sim_node *self);
void stock_serves(struct world *world, const struct sim_node *self, uint64_t end);
void stock_mark_optional(struct world *world);
void stock_clear(struct world *world, unsigned node);
bool stock_is_cleared(struct world *world);
void stock_check(struct world *world, unsigned node);
void stock_check_end(struct world *world, unsigned node);
void stock_deinit(struct world *world);

// checker.c
uint64_t checker_claimed(const struct sim_node *self, const struct incarnation *incarnation);
void checker_node(struct world *world, unsigned node);
// Former members are not closed yet, or closed ones were lost in part.
bool checker_is_held_up(const struct sim_node *self);
bool checker_is_even(struct world *world);      // all show the same and know the same
bool checker_is_collected(struct world *world); // nothing dead is left (or nothing is collectible)
void checker_end(struct world *world);
void checker_print(struct world *world); // every node's cells, for the reader of a trace
