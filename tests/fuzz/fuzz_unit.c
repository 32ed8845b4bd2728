// SPDX-License-Identifier: Apache-2.0
// Units from a stranger, one after another as in a feed: what is read is written and read again the
// same, and joins into what was read before it, once and for all.
#include <assert.h>
#include "tests/lib/cells.h"
#include "tests/lib/heap_libc.h"

#define ORIGINS 8

static void reread(const struct unit *unit, const struct address *address, struct heap *heap)
{
    struct origin_map map = cells_identity_map(ORIGINS);
    struct address again;
    struct unit copy;
    struct buf bytes;
    unit_init(&copy, heap);
    buf_init(&bytes, heap);
    unsigned written = unit_write(unit, address, NULL, &bytes);
    struct reader reader = reader_of(buf_span(&bytes));
    int outcome = unit_read(&reader, &map, &again, &copy);
    assert(written == unit->count && outcome == 0 && reader_left(&reader) == 0);
    assert(again.kind == address->kind && span_is_equal(again.key, address->key) &&
           span_is_equal(again.sub, address->sub));
    assert(cells_is_equal(unit, &copy));
    unit_deinit(&copy);
    buf_deinit(&bytes);
}

static void join_twice(struct unit *sum, const struct unit *unit)
{
    static const struct vector nothing;
    static const struct origins origins;
    unsigned changed;
    int fault = unit_join(sum, unit->cells, unit->count, &nothing, &changed);
    unit_view(sum, &origins);
    if (!fault)
        fault = unit_join(sum, unit->cells, unit->count, &nothing, &changed);
    assert(fault == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct origin_map map = cells_identity_map(ORIGINS);
    struct reader reader = reader_of(span_of(bytes, len));
    struct heap_libc heap;
    struct address address;
    struct unit unit, sum;
    heap_libc_init(&heap);
    unit_init(&unit, &heap.heap);
    unit_init(&sum, &heap.heap);
    while (reader_left(&reader) && unit_read(&reader, &map, &address, &unit) == 0) {
        reread(&unit, &address, &heap.heap);
        join_twice(&sum, &unit);
    }
    unit_deinit(&unit);
    unit_deinit(&sum);
    assert(heap.bytes == 0);
    return 0;
}
