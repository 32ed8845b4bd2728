// SPDX-License-Identifier: Apache-2.0
// The journal's disk on Linux: one directory, made if it is missing, one writer at a time (flock).
#pragma once
#include "base/heap.h"
#include "journal/disk.h"

// 0 or -errno. file_disk_close closes what is open and gives the lock back.
int file_disk_open(struct disk **out_disk, struct heap *heap, const char *directory);
void file_disk_close(struct disk *disk);

// ---- text_file.c: small files as a whole

// Appends; -EFBIG beyond `max`. 0 or -errno.
int file_read(const char *path, struct buf *out, size_t max);
// The whole file anew, only for its owner to read; the old one stays when it fails. 0 or -errno.
int file_replace(const char *path, struct span text);
// What was renamed to `path` is durable then. 0 or -errno.
int file_sync_parent(const char *path);
