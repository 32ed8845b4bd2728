// SPDX-License-Identifier: Apache-2.0
// The ring of prepared requests. A run that crosses the end reads on into the overhang, so a batch
// is always one piece of memory and one send.
#include "cli/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"

#define KEY_FORMAT      "counter:%08u"
#define RING_MIN        4096u
#define RING_MGET_MAX   65536u // of 32 keys each they would fill gigabytes
#define REQUEST_BYTES   72u    // every op but MGET fits
#define MGET_HEAD_BYTES 32u
#define MGET_KEY_BYTES  24u
#define SHUFFLE_SEED    42u
#define FILL_VALUE      "123456" // six digits: no server's table of shared small numbers applies

static const char *const formats[] = {
    // each takes the key's number
    [BENCH_INCR] = "*2\r\n$4\r\nINCR\r\n$16\r\n" KEY_FORMAT "\r\n",
    [BENCH_GET] = "*2\r\n$3\r\nGET\r\n$16\r\n" KEY_FORMAT "\r\n",
    [BENCH_SET] = "*3\r\n$3\r\nSET\r\n$16\r\n" KEY_FORMAT "\r\n$6\r\n" FILL_VALUE "\r\n",
    [BENCH_PING] = "*1\r\n$4\r\nPING\r\n",
    [BENCH_FILL] = "*3\r\n$6\r\nINCRBY\r\n$16\r\n" KEY_FORMAT "\r\n$6\r\n" FILL_VALUE "\r\n",
    [BENCH_SADD] = "*3\r\n$4\r\nSADD\r\n$3\r\nset\r\n$16\r\n" KEY_FORMAT "\r\n",
    [BENCH_SISMEMBER] = "*3\r\n$9\r\nSISMEMBER\r\n$3\r\nset\r\n$16\r\n" KEY_FORMAT "\r\n",
    [BENCH_FILL_SET] = "*3\r\n$4\r\nSADD\r\n$3\r\nset\r\n$16\r\n" KEY_FORMAT "\r\n",
};

bool bench_is_fill(enum bench_op op)
{
    return op == BENCH_FILL || op == BENCH_FILL_SET;
}

static uint32_t *shuffled_keys(uint32_t count, uint32_t keys)
{
    uint32_t *order = malloc(count * sizeof *order);
    if (!order)
        return NULL;
    for (uint32_t i = 0; i < count; i++)
        order[i] = i % keys;
    struct prng prng;
    prng_init(&prng, SHUFFLE_SEED);
    for (uint32_t i = count - 1; i > 0; i--) {
        uint32_t other = (uint32_t)prng_below(&prng, i + 1);
        uint32_t moved = order[i];
        order[i] = order[other];
        order[other] = moved;
    }
    return order;
}

static size_t write_mget(char *to, const uint32_t *order, uint32_t count, uint32_t keys)
{
    size_t len = (size_t)snprintf(to, MGET_HEAD_BYTES, "*%u\r\n$4\r\nMGET\r\n", keys + 1);
    for (uint32_t i = 0; i < keys; i++)
        len += (size_t)snprintf(to + len, MGET_KEY_BYTES + 1, "$16\r\n" KEY_FORMAT "\r\n",
                                order[i % count]);
    return len;
}

bool request_ring_init(struct request_ring *ring, const struct request_options *options)
{
    bool is_mget = options->op == BENCH_MGET;
    uint32_t count = options->keys;
    if (!bench_is_fill(options->op) && count < RING_MIN)
        count = RING_MIN;
    uint32_t *order = shuffled_keys(count, options->keys);
    uint32_t requests = is_mget && count > RING_MGET_MAX ? RING_MGET_MAX : count;
    uint32_t total = requests + options->overhang;
    size_t each = is_mget ? MGET_HEAD_BYTES + options->keys_a_mget * MGET_KEY_BYTES : REQUEST_BYTES;
    *ring = (struct request_ring){.bytes = malloc(total * each),
                                  .offsets = malloc((total + 1u) * sizeof *ring->offsets),
                                  .count = requests,
                                  .overhang = options->overhang};
    if (!order || !ring->bytes || !ring->offsets) {
        free(order);
        request_ring_deinit(ring);
        return false;
    }
    size_t len = 0;
    for (uint32_t i = 0; i < total; i++) {
        ring->offsets[i] = len;
        char *to = (char *)ring->bytes + len;
        uint32_t at = i % requests;
        uint32_t first = is_mget ? (uint32_t)((uint64_t)at * options->keys_a_mget % count) : at;
        if (is_mget)
            len += write_mget(to, order + first, count - first, options->keys_a_mget);
        else
            len += (size_t)snprintf(to, REQUEST_BYTES, formats[options->op], order[at]);
    }
    ring->offsets[total] = len;
    free(order);
    return true;
}

void request_ring_deinit(struct request_ring *ring)
{
    free(ring->bytes);
    free(ring->offsets);
    *ring = (struct request_ring){0};
}

struct span request_ring_run(const struct request_ring *ring, uint32_t at, uint32_t run)
{
    size_t from = ring->offsets[at];
    return span_of(ring->bytes + from, ring->offsets[at + run] - from);
}
