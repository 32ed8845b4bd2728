// SPDX-License-Identifier: Apache-2.0
// The replication brain: handshakes, membership, which peer has what, identity at a start,
// stability. Pure: time comes in the event, chance from a seed, wishes go out as effects. The
// server and the simulator drive the same object.
//
// Two facts carry everything. (1) The driver tells the node of a commit only when it is durable,
// and what the node says of this replica (WELCOME, ACK, MEMBERS, and the feed) is said only then:
// only what is durable here leaves here. (2) A vector moves only at the end of a round, by a
// commit.
//
// A *link* is one connection; the dialer feeds, the listener acknowledges. A *peer* is an address
// to dial. A *member* is an incarnation that counts for stability.
#pragma once
#include "base/prng.h"
#include "crdt/vector.h"
#include "node/effects.h"
#include "wire/peer.h"

#define NODE_TEXT_BYTES     256
#define NODE_MEMBERS_MAX    32
#define NODE_PEERS_MAX      16
#define NODE_LINKS_MAX      64
#define NODE_ROUNDS_FLYING  4 // rounds sent on a link and not acknowledged yet
#define NODE_PING_MS        1000
#define NODE_LINK_SILENT_MS 5000
#define NODE_PROBE_MS       500
#define NODE_HELLO_MS       3000
#define NODE_REDIAL_MIN_MS  100
#define NODE_REDIAL_MAX_MS  2000

struct node_options {
    struct span cluster, name, address; // address: where peers reach this replica
    struct span secret;                 // empty: none
    const struct span *peers;           // addresses to dial
    uint16_t peers_count;
    uint64_t start_wait_ms; // how long a member may stay silent at a start
    uint64_t silence_ms;    // after which a replica's leases are hidden
    uint64_t seed;          // chance: nonces, back-off
    uint64_t boot;          // random, of this process
};

enum link_state {
    LINK_FREE,
    LINK_DIALING,  // out: not connected yet
    LINK_GREETING, // out: waits for GREETING; in: waits for HELLO
    LINK_PROBING,  // in: an earlier link of this incarnation is asked for a sign of life
    LINK_ANSWER,   // in: WELCOME leaves after the next commit
    LINK_WELCOME,  // out: waits for WELCOME
    LINK_RUNNING,
    LINK_CLOSING, // closed by us; waits for LINK_DOWN
};

struct link {
    enum link_state state;
    bool is_dialed;
    bool wants_members; // a MEMBERS message leaves after the next commit
    bool wants_ack;     // the other end has not been told our vector as it is now
    int16_t peer;       // dialed: index in peers, else -1
    int16_t member;     // known after the handshake, else -1
    uint64_t boot;      // of the other end's process
    uint64_t deadline_ms;
    struct vector dropped; // at the other end, as it told ...
    bool is_filled;        // ... and V is past it there
    uint64_t heard_ms;
    uint64_t pinged_ms;
    uint8_t nonce[PEER_NONCE_BYTES];                      // ours
    uint8_t nonce_other[PEER_NONCE_BYTES];                // theirs
    struct incarnation incarnation;                       // of the other end, as it says ...
    char name[NODE_TEXT_BYTES], address[NODE_TEXT_BYTES]; // ... with these; "": not said yet
    // in: feed received
    uint64_t rounds_staged, rounds_done, rounds_acked;
    uint64_t acked_ms;
    // out: feed sent; replica's feed builder keeps these
    uint64_t rounds_sent, rounds_heard;
    struct vector sent; // what the other end has, or will have when the rounds in flight are in
    uint64_t cursor;    // change order: sent up to here
    bool is_cursor_set; // false: a walk, or a mark, must decide where to begin
    bool is_walking;
    bool is_walked;       // to the end of the hash order
    uint64_t walk_cursor; // in the hash order
    size_t walk_sunk;     // keys that are still to be sent once more, whose members a DEL took away
    uint64_t walk_change; // newest change when the walk began
    struct vector walk_upto;
    struct vector walk_from;
    uint64_t changes_sent, bytes_sent;
    // out: delivery of all that is held of former members (bits by index), see retirement.c
    uint32_t delivery;        // under way
    uint32_t delivered;       // the other end has it durably
    uint64_t delivery_change; // once the cursor has passed it ...
    uint64_t delivery_round;  // ... this round carries the last of it; 0: not passed yet
};

// A former incarnation whose history is complete here. What lies above `sequence` is never joined.
struct seal {
    bool is_set;
    uint64_t sequence;
};

struct member {
    uint16_t origin;
    bool is_former;  // superseded by a newer incarnation of its name: refused, and to be sealed
    bool is_durable; // in our journal
    bool is_hidden;  // silent: its leases do not count
    bool is_heard;   // since this start
    bool knows_me;   // has said, durably, that we are a member
    bool is_joined;  // all others had said, durably, to know it, or one whose place it took
    bool is_acked;   // `usable` is set
    uint32_t knows;  // members (by index) it has said, durably, to know
    // of a former one: members (by index) that have said, durably, to refuse it; that have said
    // that what they hold of it is here
    uint32_t refused_by, delivered_by;
    uint64_t boot;     // of the process that said so
    uint64_t own_most; // the highest sequence of its own that it ever told us of
    struct seal told;  // by somebody at whom its history is complete
    uint64_t heard_ms;
    char name[NODE_TEXT_BYTES];
    char address[NODE_TEXT_BYTES];
    struct vector latest; // its newest durable vector
    struct vector usable; // the newest one all of whose own changes up to then we have
};

struct peer {
    char address[NODE_TEXT_BYTES];
    bool is_self;
    bool is_known; // some member has answered at it
    int16_t link;  // -1: none
    uint16_t failures;
    uint64_t dial_ms; // next attempt
};

enum node_state { NODE_NEW, NODE_ASKING, NODE_SERVING, NODE_REFUSED };

struct node {
    enum node_state state;
    bool is_fresh; // the driver: this incarnation is of this start, nobody can have seen it
    bool must_renew;
    bool is_cut_all;
    uint64_t now_ms, started_ms;
    uint64_t start_wait_ms, silence_ms;
    uint64_t boot;
    uint16_t self; // origin of the current incarnation
    uint16_t members_count, peers_count;
    uint32_t answered;         // members (by index) that answered the question
    struct origins *origins;   // borrows; shared with the keyspace's owner
    const struct vector *seen; // borrows: V as it is on disk
    const struct vector *held; // borrows: highest sequence of each origin in any cell
    struct prng prng;
    struct heap *heap;
    char cluster[NODE_TEXT_BYTES], name[NODE_TEXT_BYTES], address[NODE_TEXT_BYTES];
    uint8_t secret[128];
    uint16_t secret_len;
    bool is_members_changed; // to be journaled by the next commit
    char cut_names[NODE_PEERS_MAX][NODE_TEXT_BYTES];
    uint16_t cut_count;
    struct vector stable;
    struct vector dropped;            // see age.c
    bool is_dropped_changed;          // to be journaled by the next commit
    bool was_filled;                  // at the last commit
    struct seal seals[LIMIT_ORIGINS]; // by origin
    uint64_t changes_newest;          // of the change order; the driver keeps it
    struct member members[NODE_MEMBERS_MAX];
    struct peer peers[NODE_PEERS_MAX];
    struct link links[NODE_LINKS_MAX];
};

enum event_type {
    EVENT_START,     // after recovery: members are restored, `self` is set
    EVENT_TICK,      // at least every 100 ms
    EVENT_LINK_UP,   // `link` connected (a dialed one, or one from node_accept)
    EVENT_LINK_DOWN, // `link` is gone
    EVENT_MESSAGE,   // one frame of `link`: `message`, `body`
    EVENT_COMMITTED, // the last commit is durable; links' rounds_done have been raised
};

struct event {
    enum event_type type;
    uint64_t now_ms; // monotonic
    uint32_t link;
    enum peer_type message;
    struct span body;
};

enum { NODE_E_FULL = 1, NODE_E_NAME };

struct node_lent { // the driver's, for the node's life
    struct origins *origins;
    const struct vector *seen; // V as it is on disk
    const struct vector *held; // highest sequence of each origin in any cell
};

// Borrows origins, seen and held for the node's life. 0 or NODE_E_NAME (empty, or longer than
// fits).
int node_init(struct node *node, struct heap *heap, const struct node_lent *lent,
              const struct node_options *options);
// Recovery, before EVENT_START: what the journal holds. NODE_E_FULL.
struct kept_member {
    struct span name, address;
    uint16_t origin;
    bool is_former, is_joined;
};
int node_restore_member(struct node *node, const struct kept_member *kept);
// ... and which former incarnations are closed: they are members no more.
void node_restore_seal(struct node *node, uint16_t origin, uint64_t sequence);
void node_step(struct node *node, const struct event *event, struct effects *effects);
// A connection came in: its link, or NODE_E_FULL (close it).
int node_accept(struct node *node, uint32_t *out_link);
// The replica took a new incarnation (after EFFECT_RENEW).
void node_renewed(struct node *node, uint16_t origin, struct effects *effects);
// ... and with it forgets everything up to node->dropped, V too (after EFFECT_FORGET of `link`).
void node_begin_anew(struct node *node, uint32_t link);

// Drill: cut or heal links with the member or peer of that name ("ALL": every one). False: unknown.
bool node_cut(struct node *node, struct span name, struct effects *effects);
bool node_heal(struct node *node, struct span name, struct effects *effects);
bool node_is_cut(const struct node *node, const char *name);

// Everything up to this vector is causally stable (see stability.c): every member has it
// durably and I have all that each had written when it said so. Recomputed at each commit and tick.
const struct vector *node_stable(const struct node *node);
// Stable also by those who became members since: whoever may still act without knowing it is none
// of the cluster.
bool node_is_everywhere(const struct node *node, uint16_t origin, uint64_t sequence);
// Up to there what is dead is dropped from now on: who is not past it, and holds something, is too
// old to take part as it is (see age.c).
void node_drop_stable(struct node *node);
struct vector node_dropped(const struct node *node); // as others are told
bool node_is_filled(const struct node *node);        // V is past it
// Whether a round of the other end of `link`, whose V was `upto`, may be joined here at V `seen`;
// it is then.
bool node_take(struct node *node, uint32_t link, const struct vector *seen,
               const struct vector *upto);
// What blocks stability: a member's name, "a peer never heard", or NULL.
const char *node_stability_blocker(const struct node *node);
int16_t node_member_of(const struct node *node, uint16_t origin); // -1: not a member
// The running dialed link of a member, or -1.
int node_link_to(const struct node *node, uint16_t member);
