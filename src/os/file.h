// SPDX-License-Identifier: Apache-2.0
// The journal's disk on Linux: one directory, made if it is missing, one writer at a time (flock).
#pragma once
#include "base/heap.h"
#include "journal/disk.h"

// 0 or -errno. file_disk_close closes what is open and gives the lock back.
int file_disk_open(struct disk **out_disk, struct heap *heap, const char *directory);
void file_disk_close(struct disk *disk);
