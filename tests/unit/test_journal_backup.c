// SPDX-License-Identifier: Apache-2.0
// A directory copied file by file while the journal goes on: the copy is the log as it was when it
// was asked for, whatever is appended, taken a snapshot of or recycled meanwhile.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "base/bytes.h"
#include "journal/journal.h"
#include "sim/disk.h"
#include "tests/lib/heap_libc.h"

struct bench {
    struct heap_libc heap;
    struct disk *disk;
    struct journal *journal;
    struct prng prng;
    uint32_t next; // frames are numbers
    uint32_t seen_first, seen_next;
};

static int on_frame(void *ctx, struct span frame)
{
    struct bench *bench = ctx;
    uint32_t number = bytes_read_u32(frame.ptr);
    if (bench->seen_next == 0)
        bench->seen_first = number;
    else if (number + 1 != bench->seen_next) // the snapshot's frame is logged once more
        assert_int_equal(number, bench->seen_next);
    bench->seen_next = number + 1;
    return 0;
}

static int open_at(struct bench *bench, struct disk *disk, struct journal **out)
{
    struct journal_options options = {.segment_bytes = 1024, .on_frame = on_frame, .ctx = bench};
    bench->seen_first = bench->seen_next = 0;
    return journal_open(out, disk, &bench->heap.heap, &options);
}

static void set_up(struct bench *bench, uint64_t seed)
{
    *bench = (struct bench){.disk = sim_disk_new(seed)};
    heap_libc_init(&bench->heap);
    prng_init(&bench->prng, seed);
    assert_int_equal(open_at(bench, bench->disk, &bench->journal), 0);
}

static void commit(struct bench *bench, unsigned count)
{
    while (count--) {
        uint8_t bytes[40] = {0};
        bytes_write_u32(bytes, bench->next++);
        assert_int_equal(journal_append(bench->journal, span_of(bytes, sizeof bytes)), 0);
        assert_int_equal(journal_sync(bench->journal), 0);
    }
}

// The last number stands for all before it, as a snapshot does.
static void take_snapshot(struct bench *bench)
{
    uint8_t bytes[40] = {0};
    bytes_write_u32(bytes, bench->next - 1);
    assert_int_equal(journal_snapshot_begin(bench->journal), 0);
    assert_int_equal(journal_snapshot_put(bench->journal, span_of(bytes, sizeof bytes)), 0);
    assert_int_equal(journal_snapshot_end(bench->journal), 0);
}

static void go_on(struct bench *bench)
{
    commit(bench, 1 + (unsigned)prng_below(&bench->prng, 40));
    if (prng_below(&bench->prng, 3) == 0)
        take_snapshot(bench);
}

static void copy_file(struct bench *bench, unsigned index, struct disk *target)
{
    struct journal_held held;
    struct buf bytes;
    buf_init(&bytes, &bench->heap.heap);
    assert_int_equal(journal_held_file(bench->journal, index, &held), 0);
    while (bytes.len < held.bytes) {
        go_on(bench);
        assert_int_equal(journal_held_read(bench->journal, index, bytes.len, 300, &bytes), 0);
    }
    int file = target->ops->create(target, held.name, held.bytes);
    assert_true(file >= 0);
    assert_int_equal(target->ops->write(target, file, 0, buf_span(&bytes)), 0);
    assert_int_equal(target->ops->sync(target, file), 0);
    target->ops->close(target, file);
    buf_deinit(&bytes);
}

static unsigned files_count(const struct bench *bench, const char *prefix)
{
    unsigned count = 0;
    for (unsigned number = 1; number < 2000; number++) {
        char name[32];
        snprintf(name, sizeof name, "%s%010u", prefix, number);
        count += sim_disk_bytes(bench->disk, name).len > 0;
    }
    return count;
}

static void tear_down(struct bench *bench)
{
    journal_close(bench->journal);
    assert_int_equal(bench->heap.bytes, 0);
    sim_disk_free(bench->disk);
}

static void a_copy_is_the_log_as_it_was_when_it_was_held(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct bench bench;
        set_up(&bench, seed);
        for (unsigned i = 0; i < seed % 7; i++)
            go_on(&bench);
        commit(&bench, 1);
        assert_int_equal(journal_hold(bench.journal), 0);
        uint32_t upto = bench.next;
        struct disk *target = sim_disk_new(seed);
        for (unsigned i = 0; i < journal_held_count(bench.journal); i++)
            copy_file(&bench, i, target);
        assert_int_equal(journal_release(bench.journal), 0);
        assert_int_equal(journal_held_count(bench.journal), 0);

        struct journal *copy;
        assert_int_equal(open_at(&bench, target, &copy), 0);
        assert_int_equal(bench.seen_next, upto);
        journal_close(copy);
        sim_disk_free(target);
        tear_down(&bench);
    }
}

static void what_was_held_is_recycled_after_the_release(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench, 1);
    commit(&bench, 100);
    take_snapshot(&bench);
    assert_int_equal(journal_hold(bench.journal), 0);
    for (unsigned i = 0; i < 5; i++) {
        commit(&bench, 100);
        take_snapshot(&bench);
    }
    assert_int_equal(files_count(&bench, "snap-"), 6);
    assert_true(files_count(&bench, "log-") > 20);
    assert_int_equal(journal_release(bench.journal), 0);
    assert_int_equal(files_count(&bench, "snap-"), 1);
    assert_true(files_count(&bench, "log-") < 4);
    tear_down(&bench);
}

static void a_crash_while_held_leaves_nothing_behind(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench, 1);
    commit(&bench, 100);
    take_snapshot(&bench);
    assert_int_equal(journal_hold(bench.journal), 0);
    commit(&bench, 100);
    take_snapshot(&bench);
    journal_close(bench.journal);
    sim_disk_crash(bench.disk, &bench.prng);
    assert_int_equal(open_at(&bench, bench.disk, &bench.journal), 0);
    assert_int_equal(bench.seen_first, 199);
    assert_int_equal(bench.seen_next, 200);
    assert_int_equal(files_count(&bench, "snap-"), 1);
    assert_true(files_count(&bench, "log-") < 4);
    tear_down(&bench);
}

static void a_second_hold_takes_the_place_of_the_first(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench, 1);
    commit(&bench, 10);
    assert_int_equal(journal_hold(bench.journal), 0);
    unsigned count = journal_held_count(bench.journal);
    commit(&bench, 100);
    assert_int_equal(journal_hold(bench.journal), 0);
    assert_true(journal_held_count(bench.journal) > count);
    assert_int_equal(journal_release(bench.journal), 0);
    assert_int_equal(journal_release(bench.journal), 0);
    tear_down(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_is_the_log_as_it_was_when_it_was_held),
        cmocka_unit_test(what_was_held_is_recycled_after_the_release),
        cmocka_unit_test(a_crash_while_held_leaves_nothing_behind),
        cmocka_unit_test(a_second_hold_takes_the_place_of_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
