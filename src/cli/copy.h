// SPDX-License-Identifier: Apache-2.0
// A data directory being made: its files are written into DIR.partial, checked as a whole, and only
// then the directory has its name. So a directory that is there is complete.
#pragma once
#include "journal/disk.h"

struct copy {
    const char *command; // for messages
    const char *directory;
    char partial[4200];
    struct disk *disk;
    bool is_of_backup; // nothing may be missing at its end
    int file;
    uint64_t offset, bytes, files;
    uint64_t shown_ms;
};

// Each returns 0, or -1 after a line on stderr.
int copy_begin(struct copy *copy, const char *command, const char *directory);
int copy_file_begin(struct copy *copy, const char *name);
int copy_put(struct copy *copy, struct span bytes);
int copy_file_end(struct copy *copy);
int copy_end(struct copy *copy);    // marks it, checks it, gives it its name
void copy_abort(struct copy *copy); // what is there stays as DIR.partial; also after copy_end
