// SPDX-License-Identifier: Apache-2.0
// A small cluster over the CRDT core alone: three replicas with cells and vectors, messages as
// bytes that may be lost, broken off, doubled, delayed and replayed, acknowledgements, collection.
// Beside each replica stands a ghost: the set of operations it has heard of. What a replica must
// show is computed from that set and from what each reset had heard of, without cells.
#pragma once
#include "base/prng.h"
#include "crdt/unit.h"
#include "tests/lib/heap_libc.h"

#define ACTORS_COUNT       3
#define ACTORS_COUNTERS    3
#define ACTORS_MEMBERS     2
#define ACTORS_LEASES      2
#define ACTORS_BLOCKS      2 // cells with a content
#define ACTORS_UNITS       (ACTORS_COUNTERS + ACTORS_MEMBERS + ACTORS_LEASES + ACTORS_BLOCKS)
#define ACTORS_OPS_MAX     512
#define ACTORS_BAG_MAX     32
#define ACTORS_FAULT_BYTES 256

enum operation_kind { OPERATION_ADD, OPERATION_RESET, OPERATION_SET, OPERATION_LEASE };

struct operation_set {
    uint64_t bits[ACTORS_OPS_MAX / 64];
};

struct operation {
    enum operation_kind kind;
    unsigned unit, actor;
    uint64_t sequence, stamp;
    int64_t amount;
    enum cell_type type;
    struct lease lease;
    struct operation_set observed; // of a reset or a set: what it takes away
};

struct actor {
    struct origins origins; // the same incarnations as everybody's, in another order
    uint16_t origin[ACTORS_COUNT];
    struct vector vector;
    struct unit units[ACTORS_UNITS];
    struct operation_set known;
    uint64_t stamp;
    bool is_hidden[LIMIT_ORIGINS];
    struct vector acked[ACTORS_COUNT], usable[ACTORS_COUNT];
    bool is_usable[ACTORS_COUNT];
};

struct message {
    unsigned from, to;
    struct buf bytes;
    struct vector start, upto; // in the sender's numbering
    struct operation_set known;
};

struct actors {
    struct heap_libc heap;
    struct prng prng;
    bool has_collection;
    struct origins origins; // by actor number
    struct actor actor[ACTORS_COUNT];
    struct operation operations[ACTORS_OPS_MAX];
    unsigned operations_count;
    struct message bag[ACTORS_BAG_MAX];
    unsigned bag_count;
    unsigned collected, replayed;
    char fault[ACTORS_FAULT_BYTES]; // the first thing that was wrong, else empty
};

void actors_init(struct actors *actors, uint64_t seed, bool has_collection);
void actors_deinit(struct actors *actors);
struct address actors_address(unsigned unit);
// One random event, checked. A fault found is in `fault`.
void actors_step(struct actors *actors);
// Everybody hears everything, acknowledges, collects, until nothing moves.
void actors_heal(struct actors *actors);
// Every message still in the bag arrives once more.
void actors_replay(struct actors *actors);
// A unit's cells in the numbering of `actors->origins`, by way of its bytes; `known` may be NULL.
void actors_read(struct actors *actors, unsigned actor, unsigned unit, const struct vector *known,
                 struct unit *out_unit);
