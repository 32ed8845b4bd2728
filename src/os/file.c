// SPDX-License-Identifier: Apache-2.0
// The journal's disk on Linux. A new file is filled with real zeros and synced before it is used:
// then a later fdatasync of what is written into it waits for data only, not for the file system to
// record a new size or that an unwritten extent is written now. Names become durable by fsync of
// the directory.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "os/file.h"

#define FILL_BYTES (256u << 10)
#define READ_BYTES (1u << 20)
#define LOCK_NAME  "lock"

struct file_disk {
    struct disk disk;
    struct heap *heap;
    int directory_fd;
    int lock_fd; // -1: not held
};

static struct file_disk *self_of(struct disk *disk)
{
    return (struct file_disk *)disk;
}

static bool is_name(const char *name)
{
    return *name && *name != '.' && !strchr(name, '/') && strcmp(name, LOCK_NAME) != 0;
}

static int sync_directory(const struct file_disk *self)
{
    return fsync(self->directory_fd) < 0 ? -errno : 0;
}

static int write_all(int file, uint64_t offset, struct span span)
{
    while (span.len) {
        ssize_t written = pwrite(file, span.ptr, span.len, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? -errno : -EIO;
        offset += (uint64_t)written;
        span = span_of(span.ptr + written, span.len - (size_t)written);
    }
    return 0;
}

static int fill(const struct file_disk *self, int file, uint64_t size)
{
    uint8_t *zeros = heap_alloc(self->heap, FILL_BYTES);
    if (!zeros)
        return -ENOMEM;
    memset(zeros, 0, FILL_BYTES);
    int fault = 0;
    for (uint64_t at = 0; at < size && !fault;) {
        uint64_t more = size - at < FILL_BYTES ? size - at : FILL_BYTES;
        fault = write_all(file, at, span_of(zeros, more));
        at += more;
    }
    heap_free(self->heap, zeros, FILL_BYTES);
    return fault;
}

static int disk_create(struct disk *disk, const char *name, uint64_t size)
{
    const struct file_disk *self = self_of(disk);
    if (!is_name(name))
        return -EINVAL;
    int file = openat(self->directory_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (file < 0)
        return -errno;
    int fault = fill(self, file, size);
    if (!fault && fsync(file) < 0)
        fault = -errno;
    if (!fault)
        fault = sync_directory(self);
    if (!fault)
        return file;
    close(file);
    unlinkat(self->directory_fd, name, 0);
    return fault;
}

static int disk_open(struct disk *disk, const char *name)
{
    if (!is_name(name))
        return -EINVAL;
    int file = openat(self_of(disk)->directory_fd, name, O_RDWR | O_CLOEXEC);
    return file < 0 ? -errno : file;
}

static void disk_close(struct disk *disk, int file)
{
    (void)disk;
    close(file);
}

static int disk_write(struct disk *disk, int file, uint64_t offset, struct span span)
{
    (void)disk;
    return write_all(file, offset, span);
}

static int disk_sync(struct disk *disk, int file)
{
    (void)disk;
    return fdatasync(file) < 0 ? -errno : 0;
}

static int disk_read(struct disk *disk, int file, uint64_t offset, size_t len, struct buf *out)
{
    (void)disk;
    while (len) {
        size_t more = len < READ_BYTES ? len : READ_BYTES;
        uint8_t *to = buf_reserve(out, more);
        if (!to)
            return -ENOMEM;
        ssize_t got = pread(file, to, more, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : 0;
        buf_advance(out, (size_t)got);
        offset += (uint64_t)got;
        len -= (size_t)got;
    }
    return 0;
}

static int64_t disk_size(struct disk *disk, int file)
{
    struct stat status;
    (void)disk;
    return fstat(file, &status) < 0 ? -errno : status.st_size;
}

static int disk_rename(struct disk *disk, const char *from, const char *to)
{
    const struct file_disk *self = self_of(disk);
    if (!is_name(from) || !is_name(to))
        return -EINVAL;
    if (renameat(self->directory_fd, from, self->directory_fd, to) < 0)
        return -errno;
    return sync_directory(self);
}

static int disk_remove(struct disk *disk, const char *name)
{
    const struct file_disk *self = self_of(disk);
    if (!is_name(name))
        return -EINVAL;
    if (unlinkat(self->directory_fd, name, 0) < 0)
        return -errno;
    return sync_directory(self);
}

static int disk_list(struct disk *disk, void (*visit)(void *ctx, const char *name), void *ctx)
{
    // An open of its own: a duplicated descriptor would share the reading position.
    int fd = openat(self_of(disk)->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    DIR *directory = fdopendir(fd);
    if (!directory) {
        int fault = -errno;
        close(fd);
        return fault;
    }
    const struct dirent *entry;
    errno = 0;
    while ((entry = readdir(directory))) {
        if (is_name(entry->d_name))
            visit(ctx, entry->d_name);
        errno = 0;
    }
    int fault = -errno;
    closedir(directory);
    return fault;
}

static int disk_lock(struct disk *disk)
{
    struct file_disk *self = self_of(disk);
    if (self->lock_fd >= 0)
        return 0;
    int fd = openat(self->directory_fd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int fault = errno == EWOULDBLOCK ? -EBUSY : -errno;
        close(fd);
        return fault;
    }
    self->lock_fd = fd;
    return 0;
}

static const struct disk_ops ops = {.create = disk_create,
                                    .open = disk_open,
                                    .close = disk_close,
                                    .write = disk_write,
                                    .sync = disk_sync,
                                    .read = disk_read,
                                    .size = disk_size,
                                    .rename = disk_rename,
                                    .remove = disk_remove,
                                    .list = disk_list,
                                    .lock = disk_lock};

static int sync_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    char parent[4096];
    snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - path) + 1 : 1,
             slash ? path : ".");
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int fault = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return fault;
}

// Makes the directory and those above it that are missing, each name durable.
static int make_directory(const char *path)
{
    char part[4096];
    int len = snprintf(part, sizeof part, "%s", path);
    if (len <= 0 || (size_t)len >= sizeof part)
        return -ENAMETOOLONG;
    for (size_t i = 1; i <= (size_t)len; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        part[i] = '\0';
        int fault = mkdir(part, 0750) == 0 ? sync_parent(part) : -errno;
        if (fault && fault != -EEXIST)
            return fault;
        part[i] = path[i];
    }
    return 0;
}

int file_disk_open(struct disk **out_disk, struct heap *heap, const char *directory)
{
    int fault = 0;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        fault = make_directory(directory);
        if (fault)
            return fault;
        fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd < 0)
        return -errno;
    struct file_disk *self = heap_alloc(heap, sizeof *self);
    if (!self) {
        close(fd);
        return -ENOMEM;
    }
    *self = (struct file_disk){.disk.ops = &ops, .heap = heap, .directory_fd = fd, .lock_fd = -1};
    *out_disk = &self->disk;
    return 0;
}

void file_disk_close(struct disk *disk)
{
    struct file_disk *self = self_of(disk);
    if (self->lock_fd >= 0)
        close(self->lock_fd);
    close(self->directory_fd);
    heap_free(self->heap, self, sizeof *self);
}
