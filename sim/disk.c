// SPDX-License-Identifier: Apache-2.0
// Files as two byte arrays and a list of writes between them. A driver of its own: it uses malloc
// and gives up by abort() when there is none.
#include <errno.h>
#include <stdlib.h>
#include "sim/disk.h"

#define NAME_BYTES  32
#define FILES_MAX   64
#define HANDLES_MAX 16
#define NEVER       UINT64_MAX

struct write { // not synced yet
    struct write *next;
    uint64_t offset;
    size_t len;
    uint8_t bytes[];
};

struct image {
    uint8_t *ptr;
    size_t len, cap;
};

struct file {
    char name[NAME_BYTES]; // "": free
    struct image cache, platter;
    struct write *first, *last;
};

struct sim_disk {
    struct disk disk;
    struct prng prng; // what a failing operation has done by then
    struct file *files[FILES_MAX];
    struct file *handles[HANDLES_MAX];
    uint64_t changes, fail_at;
    bool is_locked;
};

static void *must(void *ptr)
{
    if (!ptr)
        abort();
    return ptr;
}

static struct sim_disk *of(struct disk *disk)
{
    return (struct sim_disk *)disk;
}

// ---- images and pending writes

static void image_grow(struct image *image, size_t len)
{
    if (len <= image->len)
        return;
    if (len > image->cap) {
        image->cap = len > 2 * image->cap ? len : 2 * image->cap;
        image->ptr = must(realloc(image->ptr, image->cap));
    }
    memset(image->ptr + image->len, 0, len - image->len);
    image->len = len;
}

static void image_put(struct image *image, uint64_t offset, struct span span)
{
    image_grow(image, (size_t)offset + span.len);
    if (span.len)
        memcpy(image->ptr + offset, span.ptr, span.len);
}

static void image_copy(struct image *to, const struct image *from)
{
    to->len = 0;
    image_put(to, 0, span_of(from->ptr, from->len));
}

static void forget_writes(struct file *file)
{
    while (file->first) {
        struct write *next = file->first->next;
        free(file->first);
        file->first = next;
    }
    file->last = NULL;
}

static void remember_write(struct file *file, uint64_t offset, struct span span)
{
    struct write *write = must(malloc(sizeof *write + span.len));
    *write = (struct write){.offset = offset, .len = span.len};
    if (span.len)
        memcpy(write->bytes, span.ptr, span.len);
    if (file->last)
        file->last->next = write;
    else
        file->first = write;
    file->last = write;
}

static struct span overlap(const struct write *write, uint64_t from, uint64_t to, uint64_t *out_at)
{
    uint64_t begin = write->offset > from ? write->offset : from;
    uint64_t end = write->offset + write->len < to ? write->offset + write->len : to;
    if (begin >= end)
        return (struct span){0};
    *out_at = begin;
    return span_of(write->bytes + (begin - write->offset), (size_t)(end - begin));
}

// One sector reaches the platter in some version: the first `versions` of the writes that touched
// it.
static void settle_sector(struct file *file, uint64_t sector, struct prng *prng)
{
    uint64_t from = sector * SIM_DISK_SECTOR, to = from + SIM_DISK_SECTOR, at = 0;
    unsigned touched = 0;
    for (const struct write *write = file->first; write; write = write->next)
        touched += overlap(write, from, to, &at).len > 0;
    uint64_t versions = prng_below(prng, (uint64_t)touched + 1);
    for (const struct write *write = file->first; write && versions; write = write->next) {
        struct span span = overlap(write, from, to, &at);
        if (span.len == 0)
            continue;
        image_put(&file->platter, at, span);
        versions--;
    }
}

// What was not synced reaches the platter in part.
static void settle(struct file *file, struct prng *prng)
{
    uint64_t from = UINT64_MAX, to = 0;
    for (const struct write *write = file->first; write; write = write->next) {
        from = write->offset < from ? write->offset : from;
        to = write->offset + write->len > to ? write->offset + write->len : to;
    }
    for (uint64_t sector = from / SIM_DISK_SECTOR; sector * SIM_DISK_SECTOR < to; sector++)
        settle_sector(file, sector, prng);
    forget_writes(file);
}

// ---- files

static struct file *find(const struct sim_disk *self, const char *name)
{
    for (unsigned i = 0; i < FILES_MAX; i++) {
        if (self->files[i] && strcmp(self->files[i]->name, name) == 0)
            return self->files[i];
    }
    return NULL;
}

static struct file *make(struct sim_disk *self, const char *name)
{
    unsigned i = 0;
    while (i < FILES_MAX && self->files[i])
        i++;
    if (i == FILES_MAX || strlen(name) >= NAME_BYTES)
        abort();
    struct file *file = must(calloc(1, sizeof *file));
    memcpy(file->name, name, strlen(name));
    self->files[i] = file;
    return file;
}

static void unmake(struct sim_disk *self, struct file *file)
{
    for (unsigned i = 0; i < FILES_MAX; i++) {
        if (self->files[i] == file)
            self->files[i] = NULL;
    }
    for (unsigned i = 0; i < HANDLES_MAX; i++) {
        if (self->handles[i] == file)
            self->handles[i] = NULL; // the journal never removes a file that it has open
    }
    forget_writes(file);
    free(file->cache.ptr);
    free(file->platter.ptr);
    free(file);
}

static int open_file(struct sim_disk *self, struct file *file)
{
    for (int i = 0; i < HANDLES_MAX; i++) {
        if (self->handles[i])
            continue;
        self->handles[i] = file;
        return i;
    }
    return -EMFILE;
}

// ---- operations

// Counts a change. True: this one fails, or one before it did.
static bool is_failing(struct sim_disk *self)
{
    return self->changes++ >= self->fail_at;
}

static int fault(struct sim_disk *self)
{
    return prng_below(&self->prng, 3) ? -EIO : -ENOSPC;
}

static bool is_half_done(struct sim_disk *self)
{
    return prng_below(&self->prng, 2);
}

static int op_create(struct disk *disk, const char *name, uint64_t size)
{
    struct sim_disk *self = of(disk);
    bool has_failed = is_failing(self);
    if (find(self, name))
        return -EEXIST;
    if (has_failed && !is_half_done(self))
        return fault(self);
    struct file *file = make(self, name);
    if (has_failed)
        size = prng_below(&self->prng, size + 1);
    image_grow(&file->cache, (size_t)size);
    image_grow(&file->platter, (size_t)size);
    return has_failed ? fault(self) : open_file(self, file);
}

static int op_open(struct disk *disk, const char *name)
{
    struct sim_disk *self = of(disk);
    struct file *file = find(self, name);
    return file ? open_file(self, file) : -ENOENT;
}

static void op_close(struct disk *disk, int handle)
{
    of(disk)->handles[handle] = NULL;
}

static int op_write(struct disk *disk, int handle, uint64_t offset, struct span span)
{
    struct sim_disk *self = of(disk);
    struct file *file = self->handles[handle];
    bool has_failed = is_failing(self);
    if (has_failed)
        span.len = (size_t)prng_below(&self->prng, span.len + 1);
    remember_write(file, offset, span);
    image_put(&file->cache, offset, span);
    return has_failed ? fault(self) : 0;
}

static int op_sync(struct disk *disk, int handle)
{
    struct sim_disk *self = of(disk);
    struct file *file = self->handles[handle];
    if (is_failing(self)) {
        settle(file, &self->prng);
        return -EIO;
    }
    for (const struct write *write = file->first; write; write = write->next)
        image_put(&file->platter, write->offset, span_of(write->bytes, write->len));
    forget_writes(file);
    return 0;
}

static int op_read(struct disk *disk, int handle, uint64_t offset, size_t len, struct buf *out)
{
    const struct image *image = &of(disk)->handles[handle]->cache;
    if (offset >= image->len)
        return 0;
    size_t left = image->len - (size_t)offset;
    buf_put(out, span_of(image->ptr + offset, len < left ? len : left));
    return 0;
}

static int64_t op_size(struct disk *disk, int handle)
{
    return (int64_t)of(disk)->handles[handle]->cache.len;
}

static int op_rename(struct disk *disk, const char *from, const char *to)
{
    struct sim_disk *self = of(disk);
    bool has_failed = is_failing(self);
    struct file *file = find(self, from), *replaced = find(self, to);
    if (!file)
        return -ENOENT;
    if (has_failed && !is_half_done(self))
        return fault(self);
    if (replaced && replaced != file)
        unmake(self, replaced);
    memset(file->name, 0, sizeof file->name);
    memcpy(file->name, to, strlen(to));
    return has_failed ? fault(self) : 0;
}

static int op_remove(struct disk *disk, const char *name)
{
    struct sim_disk *self = of(disk);
    bool has_failed = is_failing(self);
    struct file *file = find(self, name);
    if (!file)
        return -ENOENT;
    if (has_failed && !is_half_done(self))
        return fault(self);
    unmake(self, file);
    return has_failed ? fault(self) : 0;
}

static int op_list(struct disk *disk, void (*visit)(void *ctx, const char *name), void *ctx)
{
    struct sim_disk *self = of(disk);
    for (unsigned i = 0; i < FILES_MAX; i++) {
        if (self->files[i])
            visit(ctx, self->files[i]->name);
    }
    return 0;
}

static int op_lock(struct disk *disk)
{
    struct sim_disk *self = of(disk);
    if (self->is_locked)
        return -EBUSY;
    self->is_locked = true;
    return 0;
}

static const struct disk_ops ops = {.create = op_create,
                                    .open = op_open,
                                    .close = op_close,
                                    .write = op_write,
                                    .sync = op_sync,
                                    .read = op_read,
                                    .size = op_size,
                                    .rename = op_rename,
                                    .remove = op_remove,
                                    .list = op_list,
                                    .lock = op_lock};

// ---- life and faults

struct disk *sim_disk_new(uint64_t seed)
{
    struct sim_disk *self = must(calloc(1, sizeof *self));
    self->disk.ops = &ops;
    self->fail_at = NEVER;
    prng_init(&self->prng, seed);
    return &self->disk;
}

void sim_disk_free(struct disk *disk)
{
    struct sim_disk *self = of(disk);
    for (unsigned i = 0; i < FILES_MAX; i++) {
        if (self->files[i])
            unmake(self, self->files[i]);
    }
    free(self);
}

struct disk *sim_disk_clone(const struct disk *disk)
{
    const struct sim_disk *from = (const struct sim_disk *)disk;
    struct sim_disk *self = of(sim_disk_new(from->prng.state[0]));
    for (unsigned i = 0; i < FILES_MAX; i++) {
        if (!from->files[i])
            continue;
        struct file *file = make(self, from->files[i]->name);
        image_copy(&file->cache, &from->files[i]->cache);
        image_copy(&file->platter, &from->files[i]->platter);
        for (const struct write *write = from->files[i]->first; write; write = write->next)
            remember_write(file, write->offset, span_of(write->bytes, write->len));
    }
    return &self->disk;
}

void sim_disk_kill(struct disk *disk)
{
    struct sim_disk *self = of(disk);
    memset(self->handles, 0, sizeof self->handles);
    self->is_locked = false;
    self->fail_at = NEVER;
}

void sim_disk_crash(struct disk *disk, struct prng *prng)
{
    struct sim_disk *self = of(disk);
    sim_disk_kill(disk);
    for (unsigned i = 0; i < FILES_MAX; i++) {
        if (!self->files[i])
            continue;
        settle(self->files[i], prng);
        image_copy(&self->files[i]->cache, &self->files[i]->platter);
    }
}

void sim_disk_fail_after(struct disk *disk, uint64_t count)
{
    struct sim_disk *self = of(disk);
    self->fail_at = self->changes + count;
}

uint64_t sim_disk_changes(const struct disk *disk)
{
    return ((const struct sim_disk *)disk)->changes;
}

bool sim_disk_flip(struct disk *disk, const char *name, uint64_t offset, uint8_t mask)
{
    struct file *file = find(of(disk), name);
    if (!file || offset >= file->cache.len)
        return false;
    file->cache.ptr[offset] ^= mask;
    if (offset < file->platter.len)
        file->platter.ptr[offset] ^= mask;
    return true;
}

struct span sim_disk_bytes(const struct disk *disk, const char *name)
{
    const struct file *file = find((const struct sim_disk *)disk, name);
    return file ? span_of(file->cache.ptr, file->cache.len) : (struct span){0};
}
