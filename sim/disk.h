// SPDX-License-Identifier: Apache-2.0
// A simulated disk: what the journal asks of one, kept in memory twice, as the page cache shows it
// and as it lies on the platter. A power loss keeps what was synced and, of what was not, any
// sectors (512 bytes) in any version they went through, each sector by its own chance: torn and
// reordered writes. A kill keeps the page cache. After a failed sync the pages count as clean: a
// later sync does not bring them to the platter. Names are durable when the operation returns; one
// that fails may or may not have happened.
#pragma once
#include "base/prng.h"
#include "journal/disk.h"

#define SIM_DISK_SECTOR 512u

struct disk *sim_disk_new(uint64_t seed);
void sim_disk_free(struct disk *disk);
// The same files, locked by nobody, nothing planned to fail.
struct disk *sim_disk_clone(const struct disk *disk);

// The power goes: closes and unlocks everything too.
void sim_disk_crash(struct disk *disk, struct prng *prng);
// The process dies: the page cache stays.
void sim_disk_kill(struct disk *disk);
// The operation after `count` more that change something fails, half done, and so does each later
// one until a crash or kill.
void sim_disk_fail_after(struct disk *disk, uint64_t count);
uint64_t sim_disk_changes(const struct disk *disk); // operations so far that change something

// For tests: a byte of a file, as everybody sees it and on the platter. False: no such byte.
bool sim_disk_flip(struct disk *disk, const char *name, uint64_t offset, uint8_t mask);
// The file as the page cache shows it; borrows until the next change. Empty: no such file.
struct span sim_disk_bytes(const struct disk *disk, const char *name);
