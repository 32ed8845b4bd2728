// SPDX-License-Identifier: Apache-2.0
// What the journal needs of a disk: named files in one directory. Two real implementations: os/file
// (Linux) and sim/disk (which tears and loses what was not synced). All return 0 or -errno; after a
// failed write or sync nothing about the file may be assumed.
#pragma once
#include "base/buf.h"

struct disk {
    const struct disk_ops *ops;
};

struct disk_ops {
    // Handle >= 0, or -errno. `create` makes a new file of `size` written (not sparse) zero bytes,
    // synced, its name too; -EEXIST if there.
    int (*create)(struct disk *disk, const char *name, uint64_t size);
    int (*open)(struct disk *disk, const char *name);
    void (*close)(struct disk *disk, int file);
    int (*write)(struct disk *disk, int file, uint64_t offset, struct span span); // all or -errno
    int (*sync)(struct disk *disk, int file);                                     // data durable
    // Appends up to `len` bytes from `offset` to `out`; short at the end of the file.
    int (*read)(struct disk *disk, int file, uint64_t offset, size_t len, struct buf *out);
    int64_t (*size)(struct disk *disk, int file);
    int (*rename)(struct disk *disk, const char *from, const char *to); // durable on return
    int (*remove)(struct disk *disk, const char *name);                 // durable on return
    int (*list)(struct disk *disk, void (*visit)(void *ctx, const char *name), void *ctx);
    // One writer a directory: 0, or -EBUSY when another process holds it.
    int (*lock)(struct disk *disk);
};
