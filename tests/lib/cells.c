// SPDX-License-Identifier: Apache-2.0
// Equality is by parts, not by bytes: padding and array order say nothing.
#include <inttypes.h>
#include <stdio.h>
#include "tests/lib/cells.h"

static const struct cut *entry_of(const struct cell *cell, uint16_t origin)
{
    for (uint32_t i = 0; i < cell->cuts_count; i++) {
        if (cell->cuts[i].origin == origin)
            return &cell->cuts[i];
    }
    return NULL;
}

static bool is_record_equal(const struct cell *a, const struct cell *b)
{
    if (a->reset != b->reset || a->cuts_count != b->cuts_count)
        return false;
    for (uint32_t i = 0; i < a->cuts_count; i++) {
        const struct cut *x = &a->cuts[i], *y = entry_of(b, x->origin);
        if (!y || x->birth != y->birth || x->write != y->write || x->total != y->total ||
            x->base != y->base)
            return false;
    }
    return true;
}

static bool is_base_equal(const struct base *a, const struct base *b)
{
    return a->sequence == b->sequence && a->cut == b->cut && a->stamp == b->stamp &&
           a->value == b->value;
}

static bool is_cell_equal(const struct cell *a, const struct cell *b)
{
    return a->sequence == b->sequence && a->birth == b->birth && a->write == b->write &&
           a->total == b->total && a->cut_write == b->cut_write && a->cut_total == b->cut_total &&
           a->type == b->type && span_is_equal(cell_content(a), cell_content(b)) &&
           is_base_equal(&a->base, &b->base) && lease_compare(&a->lease, &b->lease) == 0 &&
           is_record_equal(a, b);
}

bool cells_is_equal(const struct unit *a, const struct unit *b)
{
    if (a->count != b->count)
        return false;
    for (uint16_t i = 0; i < a->count; i++) {
        const struct cell *other = unit_find(b, a->cells[i].origin);
        if (!other || !is_cell_equal(&a->cells[i], other))
            return false;
    }
    return true;
}

static void print_cell(const struct cell *cell)
{
    fprintf(stderr, "  o%u s=%" PRIu64 " type=%u life=%" PRIu64 "..%" PRIu64 " T=%" PRId64,
            cell->origin, cell->sequence, cell->type, cell->birth, cell->write, cell->total);
    fprintf(stderr, " cut=%" PRIu64 ":%" PRId64 " base=%" PRIu64 "/%" PRIu64 ":%" PRId64,
            cell->cut_write, cell->cut_total, cell->base.sequence, cell->base.cut,
            cell->base.value);
    fprintf(stderr, " lease=%" PRIu64 ".%" PRIu64 ":%" PRId64 "%s reset=%" PRIu64,
            cell->lease.epoch, cell->lease.sequence, cell->lease.count,
            cell->lease.ended ? " ended" : "", cell->reset);
    for (uint32_t i = 0; i < cell->cuts_count; i++)
        fprintf(stderr, " [o%u %" PRIu64 "..%" PRIu64 ":%" PRId64 " base %" PRIu64 "]",
                cell->cuts[i].origin, cell->cuts[i].birth, cell->cuts[i].write, cell->cuts[i].total,
                cell->cuts[i].base);
    fputc('\n', stderr);
}

void cells_print(const char *title, const struct unit *unit)
{
    fprintf(stderr, "%s: %u cells\n", title, unit->count);
    for (uint16_t i = 0; i < unit->count; i++)
        print_cell(&unit->cells[i]);
}

struct origin_map cells_identity_map(uint16_t count)
{
    struct origin_map map = {.count = count};
    for (uint16_t i = 0; i < count; i++)
        map.local[i] = i;
    return map;
}
