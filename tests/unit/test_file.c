// SPDX-License-Identifier: Apache-2.0
// The journal's disk on a real directory.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>
#include <cmocka.h>
#include "os/file.h"
#include "tests/lib/heap_libc.h"

struct place {
    struct heap_libc heap;
    char path[128];
    struct disk *disk;
};

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    heap_libc_init(&place->heap);
    snprintf(place->path, sizeof place->path, "/tmp/quipu-test-file-XXXXXX");
    assert_non_null(mkdtemp(place->path));
    assert_int_equal(file_disk_open(&place->disk, &place->heap.heap, place->path), 0);
    *state = place;
    return 0;
}

static void remove_one(void *ctx, const char *name)
{
    struct place *place = ctx;
    place->disk->ops->remove(place->disk, name);
}

static int teardown(void **state)
{
    struct place *place = *state;
    char path[256];
    place->disk->ops->list(place->disk, remove_one, place);
    file_disk_close(place->disk);
    assert_int_equal(place->heap.bytes, 0);
    snprintf(path, sizeof path, "%s/lock", place->path);
    unlink(path);
    assert_int_equal(rmdir(place->path), 0);
    free(place);
    return 0;
}

static void new_file_is_zeros_on_disk_and_not_made_twice(void **state)
{
    struct place *place = *state;
    const struct disk_ops *ops = place->disk->ops;
    int file = ops->create(place->disk, "segment-1", 300001);
    assert_true(file >= 0);
    assert_int_equal(ops->size(place->disk, file), 300001);
    struct stat status;
    fstat(file, &status);
    assert_true(status.st_blocks * 512 >= 300001); // not sparse
    assert_int_equal(ops->create(place->disk, "segment-1", 1), -EEXIST);
    struct buf out;
    buf_init(&out, &place->heap.heap);
    assert_int_equal(ops->read(place->disk, file, 0, 1u << 20, &out), 0);
    assert_int_equal(out.len, 300001);
    for (size_t i = 0; i < out.len; i++)
        assert_int_equal(out.ptr[i], 0);
    buf_deinit(&out);
    ops->close(place->disk, file);
}

static void what_is_written_is_read_back_by_another_opening(void **state)
{
    struct place *place = *state;
    const struct disk_ops *ops = place->disk->ops;
    int file = ops->create(place->disk, "a", 4096);
    assert_int_equal(ops->write(place->disk, file, 4090, span_text("beyond the end")), 0);
    assert_int_equal(ops->sync(place->disk, file), 0);
    ops->close(place->disk, file);
    assert_int_equal(ops->rename(place->disk, "a", "b"), 0);
    assert_int_equal(ops->open(place->disk, "a"), -ENOENT);
    file = ops->open(place->disk, "b");
    struct buf out;
    buf_init(&out, &place->heap.heap);
    assert_int_equal(ops->read(place->disk, file, 4097, 3, &out), 0);
    assert_true(span_is_equal(buf_span(&out), span_text("the")));
    assert_int_equal(ops->read(place->disk, file, 4100, 100, &out),
                     0); // short: that is where it ends
    assert_true(span_is_equal(buf_span(&out), span_text("the end")));
    buf_deinit(&out);
    ops->close(place->disk, file);
}

static void count_one(void *ctx, const char *name)
{
    assert_string_not_equal(name, "lock");
    ++*(unsigned *)ctx;
}

static void list_shows_files_but_not_the_lock(void **state)
{
    struct place *place = *state;
    const struct disk_ops *ops = place->disk->ops;
    assert_int_equal(ops->lock(place->disk), 0);
    ops->close(place->disk, ops->create(place->disk, "one", 0));
    ops->close(place->disk, ops->create(place->disk, "two", 0));
    for (unsigned i = 0; i < 2; i++) {
        unsigned count = 0;
        assert_int_equal(ops->list(place->disk, count_one, &count), 0);
        assert_int_equal(count, 2);
    }
    assert_int_equal(ops->remove(place->disk, "one"), 0);
    assert_int_equal(ops->remove(place->disk, "one"), -ENOENT);
}

static void names_that_leave_the_directory_are_refused(void **state)
{
    struct place *place = *state;
    const struct disk_ops *ops = place->disk->ops;
    static const char *const names[] = {"", ".", "..", "../a", "a/b", "/etc/passwd", "lock"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(ops->create(place->disk, names[i], 0), -EINVAL);
        assert_int_equal(ops->open(place->disk, names[i]), -EINVAL);
        assert_int_equal(ops->remove(place->disk, names[i]), -EINVAL);
    }
}

static void second_writer_is_told_busy_until_the_first_leaves(void **state)
{
    struct place *place = *state;
    struct disk *second;
    assert_int_equal(place->disk->ops->lock(place->disk), 0);
    assert_int_equal(place->disk->ops->lock(place->disk), 0);
    assert_int_equal(file_disk_open(&second, &place->heap.heap, place->path), 0);
    assert_int_equal(second->ops->lock(second), -EBUSY);
    file_disk_close(place->disk);
    place->disk = second;
    assert_int_equal(second->ops->lock(second), 0);
}

static void missing_directories_are_made_and_other_faults_forwarded(void **state)
{
    struct place *place = *state;
    struct disk *disk;
    char path[256];
    snprintf(path, sizeof path, "%s/x", place->path);
    char deep[300];
    snprintf(deep, sizeof deep, "%s/y/z", path);
    assert_int_equal(file_disk_open(&disk, &place->heap.heap, deep), 0);
    file_disk_close(disk);
    rmdir(deep);
    snprintf(deep, sizeof deep, "%s/y", path);
    rmdir(deep);
    rmdir(path);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(file_disk_open(&disk, &place->heap.heap, path), -ENOTDIR);
    assert_int_equal(file_disk_open(&disk, &place->heap.heap, "/proc/no-such/place"), -ENOENT);
}

static void full_disk_is_reported_and_leaves_no_file(void **state)
{
    struct place *place = *state;
    const struct disk_ops *ops = place->disk->ops;
    struct rlimit before, small;
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 100000;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    int file = ops->create(place->disk, "big", 1u << 20);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(file, -EFBIG);
    assert_int_equal(ops->open(place->disk, "big"), -ENOENT);
}

static void unwritable_directory_is_reported(void **state)
{
    struct place *place = *state;
    if (geteuid() == 0)
        skip(); // root may write anywhere
    chmod(place->path, 0500);
    assert_int_equal(place->disk->ops->create(place->disk, "a", 1), -EACCES);
    assert_int_equal(place->disk->ops->lock(place->disk), -EACCES);
    chmod(place->path, 0700);
}

static void read_without_memory_is_reported(void **state)
{
    struct place *place = *state;
    const struct disk_ops *ops = place->disk->ops;
    int file = ops->create(place->disk, "a", 10);
    struct buf out;
    buf_init(&out, &place->heap.heap);
    place->heap.fail_after = 0;
    assert_int_equal(ops->read(place->disk, file, 0, 10, &out), -ENOMEM);
    place->heap.fail_after = 0;
    assert_int_equal(ops->create(place->disk, "b", 10), -ENOMEM);
    place->heap.fail_after = -1;
    assert_int_equal(ops->open(place->disk, "b"), -ENOENT);
    buf_deinit(&out);
    ops->close(place->disk, file);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(new_file_is_zeros_on_disk_and_not_made_twice),
        T(what_is_written_is_read_back_by_another_opening),
        T(list_shows_files_but_not_the_lock),
        T(names_that_leave_the_directory_are_refused),
        T(second_writer_is_told_busy_until_the_first_leaves),
        T(missing_directories_are_made_and_other_faults_forwarded),
        T(full_disk_is_reported_and_leaves_no_file),
        T(unwritable_directory_is_reported),
        T(read_without_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
