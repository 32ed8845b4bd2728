// SPDX-License-Identifier: Apache-2.0
// Streams fed to parsers in pieces. Each time a step sees everything that is not used yet, in a
// block of exactly that size which is gone afterwards, so that the sanitizers find a byte read past
// the end and a pointer kept too long.
#pragma once
#include "base/buf.h"
#include "base/prng.h"

enum feed_outcome {
    FEED_USED, // out_used bytes were one message; go on
    FEED_MORE, // show it again with more behind it
    FEED_END,  // refused or closed: nothing further is read
};

struct feed {
    // What was understood is appended to `trace`.
    enum feed_outcome (*step)(void *parser, struct span input, struct buf *trace, size_t *out_used);
    void (*init)(void *parser);
    void (*deinit)(void *parser);
    size_t parser_bytes;
};

// The stream whole, cut once, in pieces of `piece` bytes, or in random pieces; a fresh parser each.
void feed_whole(const struct feed *feed, struct span stream, struct buf *trace);
void feed_cut(const struct feed *feed, struct span stream, size_t at, struct buf *trace);
void feed_pieces(const struct feed *feed, struct span stream, size_t piece, struct buf *trace);
void feed_random(const struct feed *feed, struct span stream, struct prng *prng, struct buf *trace);

// Whether every cut in two, single bytes, and `rounds` random cuttings give the trace of the whole.
// On failure the trace that differs is printed beside the right one.
bool feed_is_cut_proof(const struct feed *feed, struct span stream, uint64_t seed, unsigned rounds);

// The same in the time of a fuzzer: single bytes if the stream is short, and `rounds` random
// cuttings; a difference ends the process.
void feed_agree(const struct feed *feed, struct span stream, uint64_t seed, unsigned rounds);
