// SPDX-License-Identifier: Apache-2.0
// A cutting is a function from "bytes shown so far" to "bytes to show next".
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include "tests/lib/feed.h"
#include "tests/lib/heap_libc.h"

struct cutting {
    size_t first, further; // piece sizes; 0: all that is left
    struct prng *prng;     // or by chance
};

static size_t next_piece(const struct cutting *cutting, size_t shown, size_t left)
{
    size_t piece = shown == 0 ? cutting->first : cutting->further;
    if (cutting->prng) {
        uint64_t scale = prng_below(cutting->prng, 3);
        piece = 1 + (size_t)prng_below(cutting->prng, scale == 0 ? 3 : scale == 1 ? 40 : 4000);
    }
    return piece == 0 || piece > left ? left : piece;
}

// Steps while messages are whole. False: the parser has ended.
static bool take(const struct feed *feed, void *parser, struct span *unused, struct buf *trace)
{
    for (;;) {
        uint8_t *block = malloc(unused->len ? unused->len : 1);
        if (unused->len)
            memcpy(block, unused->ptr, unused->len);
        size_t used = 0;
        enum feed_outcome outcome = feed->step(parser, span_of(block, unused->len), trace, &used);
        free(block);
        if (outcome != FEED_USED)
            return outcome == FEED_MORE;
        assert(used > 0 && used <= unused->len);
        *unused = span_of(unused->ptr + used, unused->len - used);
        if (unused->len == 0)
            return true;
    }
}

static void run(const struct feed *feed, struct span stream, const struct cutting *cutting,
                struct buf *trace)
{
    void *parser = calloc(1, feed->parser_bytes);
    feed->init(parser);
    struct span unused = span_of(stream.ptr, 0);
    size_t shown = 0;
    bool is_open = true;
    while (is_open && shown < stream.len) {
        size_t piece = next_piece(cutting, shown, stream.len - shown);
        shown += piece;
        unused.len += piece;
        is_open = take(feed, parser, &unused, trace);
    }
    feed->deinit(parser);
    free(parser);
}

void feed_whole(const struct feed *feed, struct span stream, struct buf *trace)
{
    run(feed, stream, &(struct cutting){0}, trace);
}

void feed_cut(const struct feed *feed, struct span stream, size_t at, struct buf *trace)
{
    run(feed, stream, &(struct cutting){.first = at}, trace);
}

void feed_pieces(const struct feed *feed, struct span stream, size_t piece, struct buf *trace)
{
    run(feed, stream, &(struct cutting){.first = piece, .further = piece}, trace);
}

void feed_random(const struct feed *feed, struct span stream, struct prng *prng, struct buf *trace)
{
    run(feed, stream, &(struct cutting){.prng = prng}, trace);
}

static bool is_same(const struct buf *whole, struct buf *trace, const char *how, uint64_t where)
{
    bool same = span_is_equal(buf_span(whole), buf_span(trace));
    if (!same)
        printf("cut %s %llu:\n%.*s--- whole:\n%.*s", how, (unsigned long long)where,
               (int)trace->len, (const char *)trace->ptr, (int)whole->len,
               (const char *)whole->ptr);
    buf_clear(trace);
    return same;
}

bool feed_is_cut_proof(const struct feed *feed, struct span stream, uint64_t seed, unsigned rounds)
{
    struct heap_libc heap;
    heap_libc_init(&heap);
    struct buf whole, trace;
    buf_init(&whole, &heap.heap);
    buf_init(&trace, &heap.heap);
    feed_whole(feed, stream, &whole);
    feed_pieces(feed, stream, 1, &trace);
    bool same = is_same(&whole, &trace, "in pieces of", 1);
    size_t stride = 1 + stream.len / 2000;
    for (size_t at = 1; at < stream.len && same; at += stride) {
        feed_cut(feed, stream, at, &trace);
        same = is_same(&whole, &trace, "at", at);
    }
    struct prng prng;
    prng_init(&prng, seed);
    for (unsigned round = 0; round < rounds && same; round++) {
        feed_random(feed, stream, &prng, &trace);
        same = is_same(&whole, &trace, "by seed", seed);
    }
    buf_deinit(&whole);
    buf_deinit(&trace);
    assert(heap.bytes == 0);
    return same;
}

void feed_agree(const struct feed *feed, struct span stream, uint64_t seed, unsigned rounds)
{
    struct heap_libc heap;
    heap_libc_init(&heap);
    struct buf whole, trace;
    buf_init(&whole, &heap.heap);
    buf_init(&trace, &heap.heap);
    struct prng prng;
    prng_init(&prng, seed);
    feed_whole(feed, stream, &whole);
    bool same = true;
    if (stream.len < 300) {
        feed_pieces(feed, stream, 1, &trace);
        same = is_same(&whole, &trace, "in pieces of", 1);
    }
    for (unsigned round = 0; round < rounds && same; round++) {
        feed_random(feed, stream, &prng, &trace);
        same = is_same(&whole, &trace, "by seed", seed);
    }
    if (!same)
        abort();
    buf_deinit(&whole);
    buf_deinit(&trace);
}
