// SPDX-License-Identifier: Apache-2.0
// Small whole files: read at once, and replaced so that a reader, or a crash, finds the old one or
// the new one.
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "os/file.h"

int file_read(const char *path, struct buf *out, size_t max)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : 1;
    size_t begun = out->len;
    while (got > 0 && out->len - begun <= max) {
        uint8_t *to = buf_reserve(out, 4096);
        if (!to) {
            errno = ENOMEM;
            got = -1;
        } else if ((got = read(fd, to, 4096)) > 0) {
            buf_advance(out, (size_t)got);
        }
    }
    int fault = got < 0 ? -errno : out->len - begun > max ? -EFBIG : 0;
    if (fd >= 0)
        close(fd);
    return fault;
}

static int write_all(int fd, struct span text)
{
    while (text.len) {
        ssize_t written = write(fd, text.ptr, text.len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? -errno : -EIO;
        text = span_of(text.ptr + written, text.len - (size_t)written);
    }
    return fsync(fd) < 0 ? -errno : 0;
}

int file_sync_parent(const char *path)
{
    char copy[4096];
    size_t len = strlen(path);
    if (len >= sizeof copy)
        return -ENAMETOOLONG;
    memcpy(copy, path, len + 1);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int fault = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return fault;
}

int file_replace(const char *path, struct span text)
{
    char beside[4096];
    int len = snprintf(beside, sizeof beside, "%s.new-%ld", path, (long)getpid());
    if (len < 0 || (size_t)len >= sizeof beside)
        return -ENAMETOOLONG;
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int fault = write_all(fd, text);
    if (close(fd) < 0 && !fault)
        fault = -errno;
    if (!fault && rename(beside, path) < 0)
        fault = -errno;
    if (fault) {
        unlink(beside);
        return fault;
    }
    return file_sync_parent(path);
}
