// SPDX-License-Identifier: Apache-2.0
// The journal over the simulated disk: recovery, torn tails, damage, recycled segments, failed
// syncs, snapshots. Frames are numbers, padded to various lengths, so that what came back is a
// list.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "base/crc32c.h"
#include "journal/format.h"
#include "journal/journal.h"
#include "sim/disk.h"
#include "tests/lib/heap_libc.h"

#define SEGMENT  4096u
#define SEEN_MAX 4096u

struct bench {
    struct heap_libc heap;
    struct disk *disk;
    struct prng prng;
    struct journal *journal;
    uint32_t seen[SEEN_MAX];
    unsigned seen_count;
    int stop; // what on_frame answers
};

static size_t padding_of(uint32_t number)
{
    return number % 97;
}

static int on_frame(void *ctx, struct span frame)
{
    struct bench *bench = ctx;
    assert_true(frame.len >= 4 && bench->seen_count < SEEN_MAX);
    uint32_t number = bytes_read_u32(frame.ptr);
    assert_int_equal(frame.len, 4 + padding_of(number));
    for (size_t i = 4; i < frame.len; i++)
        assert_int_equal(frame.ptr[i], (uint8_t)number);
    bench->seen[bench->seen_count++] = number;
    return bench->stop;
}

static void setup_bench(struct bench *bench, uint64_t seed)
{
    *bench = (struct bench){0};
    heap_libc_init(&bench->heap);
    bench->disk = sim_disk_new(seed);
    prng_init(&bench->prng, seed);
}

static int open_journal(struct bench *bench)
{
    struct journal_options options = {.segment_bytes = SEGMENT, .on_frame = on_frame, .ctx = bench};
    bench->seen_count = 0;
    return journal_open(&bench->journal, bench->disk, &bench->heap.heap, &options);
}

static void close_journal(struct bench *bench)
{
    if (bench->journal)
        journal_close(bench->journal);
    bench->journal = NULL;
    sim_disk_kill(bench->disk);
}

static void teardown_bench(struct bench *bench)
{
    close_journal(bench);
    assert_int_equal(bench->heap.bytes, 0);
    sim_disk_free(bench->disk);
}

static void crash(struct bench *bench)
{
    close_journal(bench);
    sim_disk_crash(bench->disk, &bench->prng);
}

static struct span frame_of(uint32_t number, uint8_t bytes[128])
{
    memset(bytes, (uint8_t)number, 128);
    bytes_write_u32(bytes, number);
    return span_of(bytes, 4 + padding_of(number));
}

static int append(struct bench *bench, uint32_t number)
{
    uint8_t bytes[128];
    return journal_append(bench->journal, frame_of(number, bytes));
}

static int commit(struct bench *bench, uint32_t number)
{
    int fault = append(bench, number);
    return fault ? fault : journal_sync(bench->journal);
}

static int snapshot_put(struct bench *bench, uint32_t number)
{
    uint8_t bytes[128];
    return journal_snapshot_put(bench->journal, frame_of(number, bytes));
}

static void commit_range(struct bench *bench, uint32_t from, uint32_t to)
{
    for (uint32_t number = from; number < to; number++)
        assert_int_equal(commit(bench, number), 0);
}

// What recovery gave is exactly from .. to-1 in order.
static void assert_range(const struct bench *bench, uint32_t from, uint32_t to)
{
    assert_int_equal(bench->seen_count, to - from);
    for (uint32_t i = 0; i < to - from; i++)
        assert_int_equal(bench->seen[i], from + i);
}

static void assert_opens(struct bench *bench, uint32_t from, uint32_t to)
{
    assert_int_equal(open_journal(bench), 0);
    assert_string_equal(journal_error(bench->journal), "");
    assert_range(bench, from, to);
}

static void assert_refused(struct bench *bench, int outcome, const char *text)
{
    assert_int_equal(open_journal(bench), outcome);
    if (!strstr(journal_error(bench->journal), text))
        fail_msg("\"%s\" does not say \"%s\"", journal_error(bench->journal), text);
    assert_true(append(bench, 1) < 0);
    close_journal(bench);
}

// ---- recovery

static void an_empty_directory_becomes_a_log(void **state)
{
    (void)state;
    struct bench bench;
    setup_bench(&bench, 1);
    assert_opens(&bench, 0, 0);
    assert_int_equal(sim_disk_bytes(bench.disk, "log-0000000001").len, SEGMENT);
    close_journal(&bench);
    assert_opens(&bench, 0, 0);
    teardown_bench(&bench);
}

static void what_was_committed_comes_back_in_order(void **state)
{
    (void)state;
    struct bench bench;
    setup_bench(&bench, 1);
    uint32_t next = 0;
    for (unsigned life = 0; life < 8; life++) { // several segments, several generations
        assert_opens(&bench, 0, next);
        commit_range(&bench, next, next + 60);
        next += 60;
        crash(&bench);
    }
    assert_opens(&bench, 0, next);
    teardown_bench(&bench);
}

static void a_frame_larger_than_a_segment_gets_one_of_its_own(void **state)
{
    (void)state;
    struct bench bench;
    static uint8_t big[3 * SEGMENT];
    setup_bench(&bench, 1);
    assert_opens(&bench, 0, 0);
    struct journal_options options = {.segment_bytes = SEGMENT};
    assert_int_equal(journal_append(bench.journal, span_of(big, sizeof big)), 0);
    assert_int_equal(commit(&bench, 7), 0);
    crash(&bench);
    struct journal_report report;
    assert_int_equal(journal_verify(bench.disk, &bench.heap.heap, &options, &report), 0);
    assert_int_equal(report.frames_count, 2);
    assert_int_equal(report.frames_bytes, sizeof big + 4 + padding_of(7));
    teardown_bench(&bench);
}

static void a_frame_beyond_the_limit_is_refused_and_nothing_is_lost(void **state)
{
    (void)state;
    struct bench bench;
    setup_bench(&bench, 1);
    assert_opens(&bench, 0, 0);
    uint8_t byte = 0;
    assert_int_equal(
        journal_append(bench.journal, span_of(&byte, (size_t)JOURNAL_FRAME_BYTES_MAX + 1)), -EFBIG);
    commit_range(&bench, 0, 3);
    crash(&bench);
    assert_opens(&bench, 0, 3);
    teardown_bench(&bench);
}

static void the_caller_can_stop_a_recovery(void **state)
{
    (void)state;
    struct bench bench;
    setup_bench(&bench, 1);
    assert_opens(&bench, 0, 0);
    commit_range(&bench, 0, 3);
    close_journal(&bench);
    bench.stop = 77;
    assert_refused(&bench, 77, "log-0000000001 at byte 64");
    assert_int_equal(bench.seen_count, 1);
    teardown_bench(&bench);
}

// ---- torn tails

// Offset at which the frames end, by reading them as a recovery does.
static uint64_t end_of_frames(struct span file)
{
    uint64_t at = FORMAT_HEAD_BYTES;
    uint32_t number = bytes_read_u32(file.ptr + 12);
    while (at + FORMAT_FRAME_BYTES <= file.len) {
        struct frame_head head = format_read_frame(file.ptr + at);
        uint64_t whole = format_frame_bytes(head.length);
        if (head.number != number || whole > file.len - at ||
            !format_is_intact(span_of(file.ptr + at, (size_t)whole), at))
            break;
        at += whole;
    }
    return at;
}

static void a_tail_torn_at_every_byte_is_cut(void **state)
{
    (void)state;
    struct bench bench;
    setup_bench(&bench, 1);
    assert_opens(&bench, 0, 0);
    commit_range(&bench, 0, 5);
    uint64_t before = end_of_frames(sim_disk_bytes(bench.disk, "log-0000000001"));
    assert_int_equal(append(&bench, 90), 0);
    uint64_t end = end_of_frames(sim_disk_bytes(bench.disk, "log-0000000001"));
    close_journal(&bench);
    struct disk *whole = bench.disk;
    for (uint64_t at = before; at < end; at++) {
        bench.disk = sim_disk_clone(whole);
        // The last byte of the file system's page that is still the old one: everything from `at`
        // on.
        for (uint64_t i = at; i < end; i++)
            sim_disk_flip(bench.disk, "log-0000000001", i,
                          sim_disk_bytes(bench.disk, "log-0000000001").ptr[i]);
        bool is_complete = end_of_frames(sim_disk_bytes(bench.disk, "log-0000000001")) == end;
        assert_int_equal(open_journal(&bench), 0);
        if (is_complete)
            assert_int_equal(bench.seen_count, 6); // only zeros of the padding were "torn"
        else
            assert_range(&bench, 0, 5);
        assert_int_equal(commit(&bench, 200), 0);
        close_journal(&bench);
        assert_int_equal(open_journal(&bench), 0);
        assert_int_equal(bench.seen[bench.seen_count - 1], 200);
        assert_int_equal(bench.seen_count, is_complete ? 7 : 6);
        close_journal(&bench);
        sim_disk_free(bench.disk);
    }
    bench.disk = whole;
    teardown_bench(&bench);
}

static void a_flipped_bit_of_the_last_frame_cuts_it_and_of_an_earlier_one_is_refused(void **state)
{
    (void)state;
    struct bench bench;
    setup_bench(&bench, 1);
    assert_opens(&bench, 0, 0);
    commit_range(&bench, 10, 13);
    uint64_t before = end_of_frames(sim_disk_bytes(bench.disk, "log-0000000001"));
    commit_range(&bench, 13, 14);
    uint64_t end = end_of_frames(sim_disk_bytes(bench.disk, "log-0000000001"));
    close_journal(&bench);
    for (uint64_t at = FORMAT_HEAD_BYTES; at < end; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            sim_disk_flip(bench.disk, "log-0000000001", at, (uint8_t)(1u << bit));
            struct journal_report report;
            struct journal_options options = {0};
            int outcome = journal_verify(bench.disk, &bench.heap.heap, &options, &report);
            assert_int_equal(outcome, at < before ? JOURNAL_E_DAMAGED : 0);
            assert_true(report.frames_count < 4);
            sim_disk_kill(bench.disk);
            sim_disk_flip(bench.disk, "log-0000000001", at, (uint8_t)(1u << bit));
        }
    }
    teardown_bench(&bench);
}

static void frames_behind_a_torn_one_that_were_never_synced_are_cut_with_it(void **state)
{
    (void)state;
    struct bench bench;
    setup_bench(&bench, 1);
    assert_opens(&bench, 0, 0);
    commit_range(&bench, 0, 4);
    uint64_t torn = end_of_frames(sim_disk_bytes(bench.disk, "log-0000000001"));
    for (uint32_t number = 4; number < 8; number++)
        assert_int_equal(append(&bench, number), 0);
    close_journal(&bench);
    sim_disk_flip(bench.disk, "log-0000000001", torn + 25, 1);
    struct journal_report report;
    struct journal_options options = {0};
    assert_int_equal(journal_verify(bench.disk, &bench.heap.heap, &options, &report), 0);
    assert_true(report.cut_bytes > 3 * FORMAT_FRAME_BYTES);
    sim_disk_kill(bench.disk);
    assert_opens(&bench, 0, 4);
    // Frames of exactly the old lengths over them: none of the old ones may come back behind.
    commit_range(&bench, 4, 5);
    crash(&bench);
    assert_opens(&bench, 0, 5);
    teardown_bench(&bench);
}

// A torn frame and an intact one behind it, both never synced; what is written over the torn one
// ends exactly where the intact one begins.
static void what_was_cut_does_not_come_back_behind_shorter_frames(void **state)
{
    (void)state;
    // Frame 28 takes 56 bytes; 125 has the same length; 4 has it with the opening frame before it.
    static const uint32_t over[] = {4, 125};
    for (unsigned i = 0; i < 2; i++) {
        struct bench bench;
        setup_bench(&bench, 1);
        assert_opens(&bench, 0, 0);
        commit_range(&bench, 0, 4);
        close_journal(&bench);
        assert_opens(&bench, 0, 4);
        uint64_t torn = end_of_frames(sim_disk_bytes(bench.disk, "log-0000000001"));
        assert_int_equal(append(&bench, 28), 0);
        assert_int_equal(append(&bench, 29), 0);
        close_journal(&bench);
        sim_disk_flip(bench.disk, "log-0000000001", torn + 25, 1);
        assert_opens(&bench, 0, 4);
        assert_int_equal(commit(&bench, over[i]), 0);
        close_journal(&bench);
        assert_int_equal(open_journal(&bench), 0);
        assert_int_equal(bench.seen_count, 5);
        assert_int_equal(bench.seen[4], over[i]);
        teardown_bench(&bench);
    }
}

static void what_a_power_loss_leaves_is_a_prefix_that_has_all_that_was_synced(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 150; seed++) {
        struct bench bench;
        setup_bench(&bench, seed);
        assert_opens(&bench, 0, 0);
        uint32_t next = 0, synced = 0;
        for (unsigned life = 0; life < 6; life++) {
            for (unsigned i = 0; i < 40; i++) {
                assert_int_equal(append(&bench, next++), 0);
                if (prng_below(&bench.prng, 3) == 0) {
                    assert_int_equal(journal_sync(bench.journal), 0);
                    synced = next;
                }
            }
            crash(&bench);
            assert_int_equal(open_journal(&bench), 0);
            assert_true(bench.seen_count >= synced && bench.seen_count <= next);
            assert_range(&bench, 0, bench.seen_count);
            next = synced = bench.seen_count;
        }
        teardown_bench(&bench);
    }
}

// ---- damage

static void damage_in_an_older_segment_is_named(void **state)
{
    (void)state;
    struct bench bench;
    setup_bench(&bench, 1);
    assert_opens(&bench, 0, 0);
    commit_range(&bench, 0, 150);
    close_journal(&bench);
    uint64_t end = end_of_frames(sim_disk_bytes(bench.disk, "log-0000000001"));
    // Its closing frame: without it the segment's last frames could be missing unnoticed.
    sim_disk_flip(bench.disk, "log-0000000001", end - 4, 1);
    char text[64];
    snprintf(text, sizeof text, "log-0000000001 at byte %llu",
             (unsigned long long)(end - FORMAT_FRAME_BYTES));
    assert_refused(&bench, JOURNAL_E_DAMAGED, text);
    teardown_bench(&bench);
}

static void a_damaged_head_and_a_missing_segment_are_named(void **state)
{
    (void)state;
    struct bench bench;
    setup_bench(&bench, 1);
    assert_opens(&bench, 0, 0);
    commit_range(&bench, 0, 150);
    close_journal(&bench);
    for (uint64_t at = 0; at < FORMAT_HEAD_BYTES; at++) {
        sim_disk_flip(bench.disk, "log-0000000001", at, 0x10);
        assert_refused(&bench, JOURNAL_E_DAMAGED, "log-0000000001 at byte 0");
        sim_disk_flip(bench.disk, "log-0000000001", at, 0x10);
    }
    bench.disk->ops->remove(bench.disk, "log-0000000001");
    assert_refused(&bench, JOURNAL_E_DAMAGED, "log-0000000001 at byte 0: the file is missing");
    teardown_bench(&bench);
}

static void every_flipped_bit_of_a_snapshot_is_refused(void **state)
{
    (void)state;
    struct bench bench;
    setup_bench(&bench, 1);
    assert_opens(&bench, 0, 0);
    commit_range(&bench, 0, 5);
    assert_int_equal(journal_snapshot_begin(bench.journal), 0);
    assert_int_equal(snapshot_put(&bench, 3), 0);
    assert_int_equal(snapshot_put(&bench, 4), 0);
    assert_int_equal(journal_snapshot_end(bench.journal), 0);
    close_journal(&bench);
    size_t len = sim_disk_bytes(bench.disk, "snap-0000000001").len;
    assert_true(len > FORMAT_HEAD_BYTES);
    for (uint64_t bit = 0; bit < 8 * (uint64_t)len; bit++) {
        sim_disk_flip(bench.disk, "snap-0000000001", bit / 8, (uint8_t)(1u << bit % 8));
        assert_refused(&bench, JOURNAL_E_DAMAGED, "snap-0000000001 at byte ");
        sim_disk_flip(bench.disk, "snap-0000000001", bit / 8, (uint8_t)(1u << bit % 8));
    }
    assert_opens(&bench, 3, 5);
    teardown_bench(&bench);
}

static void a_newer_format_is_refused_as_such(void **state)
{
    (void)state;
    struct bench bench;
    setup_bench(&bench, 1);
    assert_opens(&bench, 0, 0);
    close_journal(&bench);
    int file = bench.disk->ops->open(bench.disk, "log-0000000001");
    uint8_t head[FORMAT_HEAD_BYTES];
    memcpy(head, sim_disk_bytes(bench.disk, "log-0000000001").ptr, sizeof head);
    bytes_write_u32(head + 8, FORMAT_VERSION + 1);
    bytes_write_u32(head + sizeof head - 4, crc32c_extend(0, span_of(head, sizeof head - 4)));
    bench.disk->ops->write(bench.disk, file, 0, span_of(head, sizeof head));
    sim_disk_kill(bench.disk);
    assert_refused(&bench, JOURNAL_E_VERSION, "written by a newer version");
    teardown_bench(&bench);
}

// ---- recycling and snapshots

static void take_snapshot(struct bench *bench, uint32_t number)
{
    assert_int_equal(journal_snapshot_begin(bench->journal), 0);
    assert_int_equal(snapshot_put(bench, number), 0);
    assert_int_equal(journal_snapshot_end(bench->journal), 0);
}

static unsigned files_count(struct bench *bench, const char *prefix)
{
    unsigned count = 0;
    for (unsigned number = 1; number < 400; number++) {
        char name[32];
        snprintf(name, sizeof name, "%s%010u", prefix, number);
        count += sim_disk_bytes(bench->disk, name).len > 0;
    }
    return count;
}

static void recycled_segments_never_show_their_old_frames(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct bench bench;
        setup_bench(&bench, seed);
        assert_opens(&bench, 0, 0);
        uint32_t next = 0;
        for (unsigned i = 0; i < 12; i++) {
            commit_range(&bench, next, next + 80);
            next += 80;
            take_snapshot(&bench, next - 1);
            uint32_t more = 1 + (uint32_t)prng_below(&bench.prng, 100);
            commit_range(&bench, next, next + more);
            next += more;
            crash(&bench);
            assert_opens(&bench, next - more - 1, next);
            assert_true(files_count(&bench, "log-") <= 4);
            assert_true(files_count(&bench, "spare-") <= 4);
            assert_int_equal(files_count(&bench, "snap-"), 1);
        }
        teardown_bench(&bench);
    }
}

static void a_snapshot_is_taken_beside_appends(void **state)
{
    (void)state;
    struct bench bench;
    setup_bench(&bench, 1);
    assert_opens(&bench, 0, 0);
    commit_range(&bench, 0, 100);
    assert_true(journal_bytes_since_snapshot(bench.journal) > 2400);
    assert_int_equal(journal_snapshot_begin(bench.journal), 0);
    commit_range(&bench, 100, 160);
    assert_int_equal(snapshot_put(&bench, 99), 0);
    commit_range(&bench, 160, 230);
    assert_int_equal(journal_snapshot_end(bench.journal), 0);
    uint64_t since = journal_bytes_since_snapshot(bench.journal);
    commit_range(&bench, 230, 240);
    assert_true(since > 0 && journal_bytes_since_snapshot(bench.journal) > since);
    crash(&bench);
    assert_opens(&bench, 99, 240);
    assert_true(journal_bytes_since_snapshot(bench.journal) > since);
    teardown_bench(&bench);
}

static void a_crash_or_an_abort_during_a_snapshot_loses_nothing(void **state)
{
    (void)state;
    struct bench bench;
    setup_bench(&bench, 1);
    assert_opens(&bench, 0, 0);
    commit_range(&bench, 0, 50);
    assert_int_equal(journal_snapshot_begin(bench.journal), 0);
    assert_int_equal(snapshot_put(&bench, 49), 0);
    crash(&bench);
    assert_opens(&bench, 0, 50);
    assert_int_equal(sim_disk_bytes(bench.disk, "snap.new").len, 0);
    assert_int_equal(journal_snapshot_begin(bench.journal), 0);
    assert_int_equal(snapshot_put(&bench, 49), 0);
    journal_snapshot_abort(bench.journal);
    commit_range(&bench, 50, 52);
    take_snapshot(&bench, 51);
    crash(&bench);
    assert_opens(&bench, 51, 52);
    teardown_bench(&bench);
}

// ---- faults

static void a_failed_sync_is_final(void **state)
{
    (void)state;
    struct bench bench;
    setup_bench(&bench, 1);
    assert_opens(&bench, 0, 0);
    commit_range(&bench, 0, 3);
    sim_disk_fail_after(bench.disk, 1);
    int fault = commit(&bench, 3);
    assert_int_equal(fault, -EIO);
    sim_disk_fail_after(bench.disk, 1000000); // the disk is well again; the journal is not
    assert_int_equal(commit(&bench, 4), fault);
    assert_int_equal(journal_snapshot_begin(bench.journal), fault);
    assert_string_equal(journal_error(bench.journal),
                        "syncing log-0000000001 failed: Input/output error");
    teardown_bench(&bench);
}

// A process that died of a failed sync leaves clean pages that are not on the platter. The next one
// reads them; what it then says is durable must be.
static void what_is_recovered_after_a_failed_sync_is_made_durable_again(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct bench bench;
        setup_bench(&bench, seed);
        assert_opens(&bench, 0, 0);
        commit_range(&bench, 0, 3);
        sim_disk_fail_after(bench.disk, 1);
        assert_int_equal(commit(&bench, 3), -EIO);
        close_journal(&bench);
        assert_opens(&bench, 0, 4);
        crash(&bench);
        assert_opens(&bench, 0, 4);
        teardown_bench(&bench);
    }
}

// Commits and snapshots with a disk that fails at its n-th change, for every n; then a kill or a
// power loss; whatever was acknowledged is there.
static bool run_until_failure(struct bench *bench, uint32_t *out_acked, uint32_t *out_floor)
{
    *out_acked = *out_floor = 0;
    if (open_journal(bench))
        return false;
    for (uint32_t number = 0; number < 130; number++) {
        if (commit(bench, number))
            return false;
        *out_acked = number + 1;
        if (number % 45 != 44)
            continue;
        *out_floor = number;
        if (journal_snapshot_begin(bench->journal) || snapshot_put(bench, number) ||
            journal_snapshot_end(bench->journal))
            return false;
    }
    return true;
}

static void a_disk_that_fails_at_any_change_loses_nothing_acknowledged(void **state)
{
    (void)state;
    bool is_done = false;
    for (uint64_t n = 0; !is_done; n++) {
        struct bench bench;
        uint32_t acked, floor;
        setup_bench(&bench, n);
        sim_disk_fail_after(bench.disk, n);
        is_done = run_until_failure(&bench, &acked, &floor);
        if (n % 2)
            close_journal(&bench);
        else
            crash(&bench);
        assert_int_equal(open_journal(&bench), 0);
        assert_true(bench.seen_count > 0 || acked == 0);
        uint32_t first = bench.seen_count ? bench.seen[0] : 0;
        uint32_t last = bench.seen_count ? bench.seen[bench.seen_count - 1] + 1 : 0;
        assert_range(&bench, first, last);
        assert_true(first <= floor && last >= acked && last <= acked + 1);
        assert_int_equal(commit(&bench, last), 0);
        crash(&bench);
        assert_int_equal(open_journal(&bench), 0);
        assert_range(&bench, first, last + 1);
        teardown_bench(&bench);
    }
}

static void a_directory_has_one_process(void **state)
{
    (void)state;
    struct bench bench;
    setup_bench(&bench, 1);
    assert_opens(&bench, 0, 0);
    struct journal *first = bench.journal;
    assert_int_equal(open_journal(&bench), JOURNAL_E_BUSY);
    assert_string_equal(journal_error(bench.journal), "another process has this directory open");
    journal_close(bench.journal);
    struct journal_report report;
    struct journal_options options = {0};
    assert_int_equal(journal_verify(bench.disk, &bench.heap.heap, &options, &report),
                     JOURNAL_E_BUSY);
    bench.journal = first;
    commit_range(&bench, 0, 2);
    teardown_bench(&bench);
}

static void running_out_of_memory_anywhere_is_reported_and_loses_nothing(void **state)
{
    (void)state;
    bool is_done = false;
    for (long n = 0; !is_done; n++) {
        struct bench bench;
        setup_bench(&bench, 1);
        assert_opens(&bench, 0, 0);
        commit_range(&bench, 0, 10);
        close_journal(&bench);
        bench.heap.fail_after = n;
        int outcome = open_journal(&bench);
        assert_true(outcome == 0 || outcome == -ENOMEM);
        uint32_t next = 10;
        if (outcome == 0) {
            outcome = commit(&bench, next);
            assert_true(outcome == 0 || outcome == -ENOMEM);
            next += outcome == 0;
            is_done = bench.heap.fail_after >= 0;
        }
        bench.heap.fail_after = -1;
        close_journal(&bench);
        assert_opens(&bench, 0, next);
        teardown_bench(&bench);
    }
}

static void verifying_changes_nothing(void **state)
{
    (void)state;
    struct bench bench;
    setup_bench(&bench, 1);
    assert_opens(&bench, 0, 0);
    commit_range(&bench, 0, 100);
    take_snapshot(&bench, 99);
    commit_range(&bench, 100, 120);
    assert_int_equal(journal_snapshot_begin(bench.journal), 0);
    crash(&bench);
    uint64_t changes = sim_disk_changes(bench.disk);
    struct journal_report report;
    struct journal_options options = {0};
    assert_int_equal(journal_verify(bench.disk, &bench.heap.heap, &options, &report), 0);
    assert_int_equal(sim_disk_changes(bench.disk), changes);
    assert_int_equal(report.snapshots_count, 1);
    assert_int_equal(report.frames_count, 21);
    assert_string_equal(report.error, "");
    teardown_bench(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_directory_becomes_a_log),
        cmocka_unit_test(what_was_committed_comes_back_in_order),
        cmocka_unit_test(a_frame_larger_than_a_segment_gets_one_of_its_own),
        cmocka_unit_test(a_frame_beyond_the_limit_is_refused_and_nothing_is_lost),
        cmocka_unit_test(the_caller_can_stop_a_recovery),
        cmocka_unit_test(a_tail_torn_at_every_byte_is_cut),
        cmocka_unit_test(a_flipped_bit_of_the_last_frame_cuts_it_and_of_an_earlier_one_is_refused),
        cmocka_unit_test(frames_behind_a_torn_one_that_were_never_synced_are_cut_with_it),
        cmocka_unit_test(what_was_cut_does_not_come_back_behind_shorter_frames),
        cmocka_unit_test(what_a_power_loss_leaves_is_a_prefix_that_has_all_that_was_synced),
        cmocka_unit_test(damage_in_an_older_segment_is_named),
        cmocka_unit_test(a_damaged_head_and_a_missing_segment_are_named),
        cmocka_unit_test(every_flipped_bit_of_a_snapshot_is_refused),
        cmocka_unit_test(a_newer_format_is_refused_as_such),
        cmocka_unit_test(recycled_segments_never_show_their_old_frames),
        cmocka_unit_test(a_snapshot_is_taken_beside_appends),
        cmocka_unit_test(a_crash_or_an_abort_during_a_snapshot_loses_nothing),
        cmocka_unit_test(a_failed_sync_is_final),
        cmocka_unit_test(what_is_recovered_after_a_failed_sync_is_made_durable_again),
        cmocka_unit_test(a_disk_that_fails_at_any_change_loses_nothing_acknowledged),
        cmocka_unit_test(a_directory_has_one_process),
        cmocka_unit_test(running_out_of_memory_anywhere_is_reported_and_loses_nothing),
        cmocka_unit_test(verifying_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
