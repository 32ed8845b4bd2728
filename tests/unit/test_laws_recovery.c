// SPDX-License-Identifier: Apache-2.0
// Recovery as a join: one replica keeps a journal as the replica room does (after each event the
// cells above its vector before it; now and then a snapshot, unit by unit beside running events,
// after which older frames are gone; collections are not logged). Now and then it is started anew
// from its frames joined in any order, and the cluster goes on, watched by the ghost.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include "tests/lib/actors.h"
#include "tests/lib/cells.h"
#include "tests/lib/seed.h"

#define FRAMES_MAX 4096
#define STEPS      600

struct frame {
    struct unit cells;
    unsigned unit;
};

struct log {
    struct frame *frames;
    unsigned count;
    struct vector before;
    bool is_walking;
    unsigned walked, walk_start;
};

static struct actors actors;

static void require(uint64_t seed, bool is_held, const char *what)
{
    if (is_held)
        return;
    print_error("seed %llu: %s\n", (unsigned long long)seed, what);
    seed_print(seed);
    fail();
}

// By way of bytes, in the replica's own numbering.
static void put_frame(struct log *log, unsigned unit, const struct vector *known)
{
    const struct actor *self = &actors.actor[0];
    struct origin_map map = cells_identity_map(self->origins.count);
    struct address address = actors_address(unit), read;
    struct buf bytes;
    buf_init(&bytes, &actors.heap.heap);
    if (unit_write(&self->units[unit], &address, known, &bytes)) {
        struct frame *frame = &log->frames[log->count++];
        struct reader reader = reader_of(buf_span(&bytes));
        assert_true(log->count < FRAMES_MAX);
        frame->unit = unit;
        unit_init(&frame->cells, &actors.heap.heap);
        assert_int_equal(unit_read(&reader, &map, &read, &frame->cells), 0);
    }
    buf_deinit(&bytes);
}

static void drop_frames(struct log *log, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        unit_deinit(&log->frames[i].cells);
    log->count -= count;
    memmove(log->frames, log->frames + count, log->count * sizeof *log->frames);
}

static void walk(struct log *log)
{
    put_frame(log, log->walked++, NULL);
    if (log->walked < ACTORS_UNITS)
        return;
    drop_frames(log, log->walk_start);
    log->is_walking = false;
}

static void log_event(struct log *log)
{
    for (unsigned unit = 0; unit < ACTORS_UNITS; unit++)
        put_frame(log, unit, &log->before);
    log->before = actors.actor[0].vector;
    if (!log->is_walking && prng_below(&actors.prng, 20) == 0) {
        log->is_walking = true;
        log->walked = 0;
        log->walk_start = log->count;
    } else if (log->is_walking && prng_below(&actors.prng, 3) == 0) {
        walk(log);
    }
}

static void restart(const struct log *log)
{
    static const struct vector nothing;
    struct actor *self = &actors.actor[0];
    unsigned order[FRAMES_MAX], changed;
    for (unsigned i = 0; i < log->count; i++) {
        unsigned at = (unsigned)prng_below(&actors.prng, i + 1);
        order[i] = order[at];
        order[at] = i;
    }
    for (unsigned unit = 0; unit < ACTORS_UNITS; unit++)
        unit_clear(&self->units[unit]);
    for (unsigned i = 0; i < log->count; i++) {
        const struct frame *frame = &log->frames[order[i]];
        assert_int_equal(unit_join(&self->units[frame->unit], frame->cells.cells,
                                   frame->cells.count, &nothing, &changed),
                         0);
    }
}

static void a_replica_recovers_from_its_frames_in_any_order(void **state)
{
    (void)state;
    struct seeds seeds = seeds_of(150);
    for (uint64_t seed = seeds.first; seed < seeds.end; seed++) {
        struct log log = {.frames = calloc(FRAMES_MAX, sizeof *log.frames)};
        actors_init(&actors, seed, true);
        for (unsigned i = 0; i < STEPS && !actors.fault[0]; i++) {
            actors_step(&actors);
            log_event(&log);
            if (prng_below(&actors.prng, 25) == 0)
                restart(&log);
        }
        restart(&log);
        actors_heal(&actors);
        require(seed, !actors.fault[0], actors.fault);
        for (unsigned unit = 0; unit < ACTORS_UNITS; unit++) {
            const struct unit *cells = &actors.actor[0].units[unit];
            for (uint16_t i = 0; i < cells->count; i++)
                require(seed, !cells->cells[i].reset && !cell_is_dead(&cells->cells[i]),
                        "what recovery brought back was not collected again");
        }
        drop_frames(&log, log.count);
        free(log.frames);
        actors_deinit(&actors);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replica_recovers_from_its_frames_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
