// SPDX-License-Identifier: Apache-2.0
// Any bytes as requests and as answers: however they are cut the same is understood, and a request
// that was understood is understood again when a client writes it.
#include <stdlib.h>
#include "base/hash.h"
#include "tests/lib/heap_libc.h"
#include "tests/lib/wire_feed.h"
#include "wire/resp.h"

#define ARGV_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void demand(bool is_right)
{
    if (!is_right)
        abort();
}

static void write_again(const struct resp_request *request, struct heap *heap)
{
    struct buf again;
    buf_init(&again, heap);
    resp_put_command(&again, request->argv, request->argc);
    struct span argv[ARGV_MAX];
    struct resp_request read = {.argv = argv, .argv_max = ARGV_MAX};
    struct resp_parser parser = {0};
    size_t used;
    demand(resp_parse(&parser, buf_span(&again), &read, &used) == 0);
    demand(used == again.len && read.argc == request->argc);
    for (uint32_t i = 0; i < read.argc; i++)
        demand(span_is_equal(argv[i], request->argv[i]));
    buf_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct span stream = span_of(bytes, len);
    uint64_t seed = hash_bytes(stream, 1);
    feed_agree(&feed_resp, stream, seed, 3);
    feed_agree(&feed_answer, stream, seed, 3);

    struct heap_libc heap;
    heap_libc_init(&heap);
    struct buf unescaped;
    buf_init(&unescaped, &heap.heap);
    struct span argv[ARGV_MAX];
    struct resp_request request = {.argv = argv, .argv_max = ARGV_MAX, .unescaped = &unescaped};
    struct resp_parser parser = {0};
    size_t used;
    while (stream.len > 0 && resp_parse(&parser, stream, &request, &used) == 0) {
        demand(used > 0 && used <= stream.len);
        write_again(&request, &heap.heap);
        stream = span_of(stream.ptr + used, stream.len - used);
    }
    buf_deinit(&unescaped);
    return 0;
}
