// SPDX-License-Identifier: Apache-2.0
// The simulated disk itself: what a power loss, a kill and a failed sync leave behind.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "sim/disk.h"

#define SIZE 4096u

static struct disk *new_disk(uint64_t seed, int *out_file)
{
    struct disk *disk = sim_disk_new(seed);
    assert_int_equal(disk->ops->lock(disk), 0);
    *out_file = disk->ops->create(disk, "a", SIZE);
    assert_true(*out_file >= 0);
    return disk;
}

static void fill(struct disk *disk, int file, uint64_t offset, size_t len, uint8_t value)
{
    uint8_t bytes[SIZE];
    memset(bytes, value, sizeof bytes);
    assert_int_equal(disk->ops->write(disk, file, offset, span_of(bytes, len)), 0);
}

static void synced_bytes_survive_a_power_loss(void **state)
{
    (void)state;
    int file;
    struct prng prng;
    struct disk *disk = new_disk(1, &file);
    prng_init(&prng, 1);
    fill(disk, file, 100, 1000, 7);
    assert_int_equal(disk->ops->sync(disk, file), 0);
    sim_disk_crash(disk, &prng);
    struct span bytes = sim_disk_bytes(disk, "a");
    assert_int_equal(bytes.len, SIZE);
    assert_int_equal(bytes.ptr[99], 0);
    assert_int_equal(bytes.ptr[100], 7);
    assert_int_equal(bytes.ptr[1099], 7);
    sim_disk_free(disk);
}

static void a_sector_is_torn_as_a_whole_in_any_of_its_versions(void **state)
{
    (void)state;
    unsigned seen[4] = {0}, reordered = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        int file;
        struct prng prng;
        struct disk *disk = new_disk(seed, &file);
        prng_init(&prng, seed);
        fill(disk, file, 0, SIM_DISK_SECTOR, 1);
        fill(disk, file, 0, SIM_DISK_SECTOR, 2);
        fill(disk, file, SIM_DISK_SECTOR, SIM_DISK_SECTOR, 3);
        sim_disk_crash(disk, &prng);
        struct span bytes = sim_disk_bytes(disk, "a");
        for (unsigned i = 1; i < SIM_DISK_SECTOR; i++)
            assert_int_equal(bytes.ptr[i], bytes.ptr[0]);
        seen[bytes.ptr[0]]++;
        reordered += bytes.ptr[0] == 0 && bytes.ptr[SIM_DISK_SECTOR] == 3;
        sim_disk_free(disk);
    }
    assert_true(seen[0] && seen[1] && seen[2] && reordered);
}

static void a_kill_keeps_the_page_cache_and_gives_the_lock_back(void **state)
{
    (void)state;
    int file;
    struct disk *disk = new_disk(1, &file);
    fill(disk, file, 0, 8, 9);
    assert_int_equal(disk->ops->lock(disk), -EBUSY);
    sim_disk_kill(disk);
    assert_int_equal(disk->ops->lock(disk), 0);
    assert_int_equal(sim_disk_bytes(disk, "a").ptr[7], 9);
    sim_disk_free(disk);
}

static void after_a_failed_sync_a_later_one_does_not_make_it_durable(void **state)
{
    (void)state;
    unsigned lost = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        int file;
        struct prng prng;
        struct disk *disk = new_disk(seed, &file);
        prng_init(&prng, seed);
        fill(disk, file, 0, 8, 9);
        sim_disk_fail_after(disk, 0);
        assert_int_equal(disk->ops->sync(disk, file), -EIO);
        sim_disk_kill(disk);
        file = disk->ops->open(disk, "a");
        assert_int_equal(disk->ops->sync(disk, file), 0);
        assert_int_equal(sim_disk_bytes(disk, "a").ptr[0], 9);
        sim_disk_crash(disk, &prng);
        lost += sim_disk_bytes(disk, "a").ptr[0] == 0;
        sim_disk_free(disk);
    }
    assert_true(lost > 0 && lost < 40);
}

static void failures_go_on_until_the_process_ends(void **state)
{
    (void)state;
    int file;
    struct disk *disk = new_disk(1, &file);
    sim_disk_fail_after(disk, 1);
    fill(disk, file, 0, 8, 9);
    assert_true(disk->ops->sync(disk, file) < 0);
    assert_true(disk->ops->write(disk, file, 0, span_text("x")) < 0);
    assert_true(disk->ops->rename(disk, "a", "b") < 0);
    sim_disk_kill(disk);
    assert_true(sim_disk_bytes(disk, "a").len || sim_disk_bytes(disk, "b").len);
    sim_disk_free(disk);
}

static void a_file_that_grew_without_a_sync_may_be_shorter(void **state)
{
    (void)state;
    unsigned shorter = 0, whole = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct prng prng;
        struct disk *disk = sim_disk_new(seed);
        prng_init(&prng, seed);
        int file = disk->ops->create(disk, "s", 0);
        fill(disk, file, 0, 1024, 5);
        assert_int_equal(disk->ops->size(disk, file), 1024);
        sim_disk_crash(disk, &prng);
        size_t len = sim_disk_bytes(disk, "s").len;
        shorter += len < 1024;
        whole += len == 1024;
        sim_disk_free(disk);
    }
    assert_true(shorter && whole);
}

static void a_clone_is_apart(void **state)
{
    (void)state;
    int file;
    struct disk *disk = new_disk(1, &file);
    fill(disk, file, 0, 8, 1);
    struct disk *clone = sim_disk_clone(disk);
    fill(disk, file, 0, 8, 2);
    assert_int_equal(sim_disk_bytes(clone, "a").ptr[0], 1);
    assert_int_equal(clone->ops->lock(clone), 0);
    sim_disk_free(disk);
    sim_disk_free(clone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(synced_bytes_survive_a_power_loss),
        cmocka_unit_test(a_sector_is_torn_as_a_whole_in_any_of_its_versions),
        cmocka_unit_test(a_kill_keeps_the_page_cache_and_gives_the_lock_back),
        cmocka_unit_test(after_a_failed_sync_a_later_one_does_not_make_it_durable),
        cmocka_unit_test(failures_go_on_until_the_process_ends),
        cmocka_unit_test(a_file_that_grew_without_a_sync_may_be_shorter),
        cmocka_unit_test(a_clone_is_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
