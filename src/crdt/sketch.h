// SPDX-License-Identifier: Apache-2.0
// HyperLogLog: 2^14 registers, each the longest run of zeros seen of the hashes that fall on it,
// and the number of distinct members told from them (standard error 1.04 / sqrt(2^14) = 0.81 %).
//
// Sources: Flajolet, Fusy, Gandouet, Meunier 2007; the estimator without ranges and tables: Ertl
// 2017, "New cardinality estimation algorithms for HyperLogLog sketches", algorithm 6.
//
// Registers as bytes, which is what a cell holds as its content:
//   list    registers that are not 0, in order: v (index - index before - 1) * 64 + rank
//   packed  all SKETCH_BLOCK registers of a block, six bits each, first register lowest
// A whole sketch is a list. A block is whichever is shorter; a list of one is never as long as a
// packed one, so the length tells which it is.
#pragma once
#include "base/bytes.h"

#define SKETCH_REGISTERS    16384u
#define SKETCH_BLOCK        128u // registers of a block
#define SKETCH_BLOCKS       (SKETCH_REGISTERS / SKETCH_BLOCK)
#define SKETCH_PACKED_BYTES (SKETCH_BLOCK * 6 / 8)
#define SKETCH_RANK_MAX     51 // of a hash of 64 bits, of which 14 are the index

struct sketch_hit { // a register and what a member makes of it
    uint16_t index;
    uint8_t rank;
};
struct sketch_hit sketch_hit(struct span member); // the same everywhere

struct sketch { // registers and how many there are of each rank
    uint8_t rank[SKETCH_REGISTERS];
    uint16_t count[SKETCH_RANK_MAX + 1];
};
void sketch_init(struct sketch *sketch);
// Raises one register; lower ranks change nothing.
void sketch_raise(struct sketch *sketch, struct sketch_hit hit);
uint64_t sketch_estimate(const struct sketch *sketch);

// `bytes` are a list or a packed block whose first register is `first`. False: malformed; what came
// before is raised.
bool sketch_join(struct sketch *sketch, struct span bytes, unsigned first);
bool sketch_join_block(struct sketch *sketch, struct span bytes, unsigned first);
// The rank of one register in such bytes, 0 when it is not there.
uint8_t sketch_rank(struct span bytes, unsigned index);
uint8_t sketch_block_rank(struct span bytes, unsigned index); // index within the block

#define SKETCH_LIST_BYTES (SKETCH_BLOCK * 2) // room for the list of a block, packed or not
// Writes the registers [first, first + count) as a list; out needs 3 bytes for each that is not 0.
size_t sketch_write(const struct sketch *sketch, unsigned first, unsigned count, uint8_t *out);
// ... as a block, in its shorter form. `out` has SKETCH_LIST_BYTES.
size_t sketch_write_block(const struct sketch *sketch, unsigned first, uint8_t *out);
