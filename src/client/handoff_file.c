// SPDX-License-Identifier: Apache-2.0
// A client's counters in memory and in one file: "quipu-handoff 1\n", crc32c of the rest, then v
// note length, note, id, finishing, v counters, and for each key, leaving, state
// (crdt/handoff_codec.c). Every write replaces the whole file, so a moment's state is on the disk
// or the one before it.
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/crc32c.h"
#include "base/hash.h"
#include "crdt/handoff.h"
#include <quipu_handoff.h>

#define CLIENT_TIER 1
static const char magic[] = "quipu-handoff 1\n";
#define HEAD_BYTES (sizeof magic - 1 + 4)

struct counter {
    uint8_t *key; // owned
    size_t key_len;
    struct handoff_node node;
    bool is_leaving; // says so until a server has heard it
    bool is_gone;
};

struct quipu_handoff {
    struct heap heap; // first
    char *path;
    struct handoff_id id;
    struct counter *list;
    size_t count, cap;
    uint32_t *slots; // positions in list + 1, by hash
    size_t slots_count;
    uint8_t *note;
    size_t note_len;
    bool is_finishing, is_changed;
    struct buf out;
};

static void *resize(struct heap *heap, void *ptr, size_t size_old, size_t size_new)
{
    (void)heap;
    (void)size_old;
    if (size_new)
        return realloc(ptr, size_new);
    free(ptr);
    return NULL;
}

// ---- counters by key

static uint32_t *slot_of(const struct quipu_handoff *counts, struct span key)
{
    size_t mask = counts->slots_count - 1;
    for (size_t at = (size_t)hash_bytes(key, 7) & mask;; at = (at + 1) & mask) {
        uint32_t *slot = &counts->slots[at];
        const struct counter *counter = *slot ? &counts->list[*slot - 1] : NULL;
        if (!counter || span_is_equal(span_of(counter->key, counter->key_len), key))
            return slot;
    }
}

static struct counter *find(const struct quipu_handoff *counts, struct span key)
{
    const uint32_t *slot = counts->slots_count ? slot_of(counts, key) : NULL;
    return slot && *slot ? &counts->list[*slot - 1] : NULL;
}

static int grow(struct quipu_handoff *counts)
{
    size_t cap = counts->cap ? counts->cap * 2 : 64;
    struct counter *list = realloc(counts->list, cap * sizeof *list);
    if (!list)
        return -ENOMEM;
    counts->list = list;
    uint32_t *slots = calloc(cap * 2, sizeof *slots);
    if (!slots)
        return -ENOMEM;
    free(counts->slots);
    counts->slots = slots;
    counts->slots_count = cap * 2;
    counts->cap = cap;
    for (size_t i = 0; i < counts->count; i++)
        *slot_of(counts, span_of(list[i].key, list[i].key_len)) = (uint32_t)i + 1;
    return 0;
}

static struct counter *obtain(struct quipu_handoff *counts, struct span key)
{
    struct counter *counter = find(counts, key);
    if (counter)
        return counter;
    if (counts->count == counts->cap && grow(counts))
        return NULL;
    uint8_t *copy = malloc(key.len + 1);
    if (!copy)
        return NULL;
    if (key.len)
        memcpy(copy, key.ptr, key.len);
    counter = &counts->list[counts->count];
    *counter = (struct counter){.key = copy, .key_len = key.len};
    handoff_init(&counter->node, &counts->heap, &counts->id, CLIENT_TIER);
    *slot_of(counts, key) = (uint32_t)++counts->count;
    return counter;
}

// ---- the file

static void put_counter(struct buf *out, const struct counter *counter, struct buf *space)
{
    bytes_put_string(out, span_of(counter->key, counter->key_len));
    buf_put_byte(out, (uint8_t)(counter->is_leaving | counter->is_gone << 1));
    buf_clear(space);
    handoff_write(&counter->node, space);
    bytes_put_string(out, buf_span(space));
}

static int write_file(int fd, struct span bytes)
{
    while (bytes.len) {
        ssize_t written = write(fd, bytes.ptr, bytes.len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        bytes = span_of(bytes.ptr + written, bytes.len - (size_t)written);
    }
    return fsync(fd) ? -errno : 0;
}

static int sync_directory_of(char *path)
{
    int fd = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int fault = fsync(fd) ? -errno : 0;
    close(fd);
    return fault;
}

static int replace_file(const char *path, struct span bytes)
{
    char beside[PATH_MAX];
    int len = snprintf(beside, sizeof beside, "%s.new", path);
    if (len < 0 || (size_t)len >= sizeof beside)
        return -ENAMETOOLONG;
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int fault = write_file(fd, bytes);
    close(fd);
    if (!fault && rename(beside, path))
        fault = -errno;
    if (fault) {
        unlink(beside);
        return fault;
    }
    return sync_directory_of(beside);
}

int quipu_handoff_save(struct quipu_handoff *counts)
{
    struct buf out, space;
    if (!counts->is_changed)
        return 0;
    buf_init(&out, &counts->heap);
    buf_init(&space, &counts->heap);
    buf_put_text(&out, magic);
    bytes_put_u32(&out, 0);
    bytes_put_string(&out, span_of(counts->note, counts->note_len));
    buf_put(&out, span_of(counts->id.bytes, sizeof counts->id.bytes));
    buf_put_byte(&out, counts->is_finishing);
    bytes_put_varint(&out, counts->count);
    for (size_t i = 0; i < counts->count; i++)
        put_counter(&out, &counts->list[i], &space);
    int fault = buf_has_failed(&out) || buf_has_failed(&space) ? -ENOMEM : 0;
    if (!fault) {
        struct span rest = span_of(out.ptr + HEAD_BYTES, out.len - HEAD_BYTES);
        bytes_write_u32(out.ptr + HEAD_BYTES - 4, crc32c_extend(0, rest));
        fault = replace_file(counts->path, buf_span(&out));
    }
    buf_deinit(&out);
    buf_deinit(&space);
    counts->is_changed = fault != 0;
    return fault;
}

static int read_counter(struct quipu_handoff *counts, struct reader *reader)
{
    struct span key = reader_string(reader, SIZE_MAX / 2);
    uint8_t flags = reader_u8(reader);
    struct span state = reader_string(reader, SIZE_MAX / 2);
    struct handoff_node node;
    if (reader->failed)
        return QUIPU_HANDOFF_E_FILE;
    int outcome = handoff_read(state, &counts->heap, &node);
    if (outcome)
        return outcome < 0 ? outcome : QUIPU_HANDOFF_E_FILE;
    struct counter *counter = obtain(counts, key);
    if (!counter) {
        handoff_deinit(&node);
        return -ENOMEM;
    }
    handoff_deinit(&counter->node);
    counter->node = node;
    counter->is_leaving = flags & 1;
    counter->is_gone = flags & 2;
    return 0;
}

static int parse_file(struct quipu_handoff *counts, struct span bytes)
{
    if (bytes.len < HEAD_BYTES || memcmp(bytes.ptr, magic, sizeof magic - 1) != 0)
        return QUIPU_HANDOFF_E_FILE;
    struct reader reader = reader_of(span_of(bytes.ptr + HEAD_BYTES, bytes.len - HEAD_BYTES));
    if (bytes_read_u32(bytes.ptr + HEAD_BYTES - 4) !=
        crc32c_extend(0, span_of(reader.at, reader_left(&reader))))
        return QUIPU_HANDOFF_E_FILE;
    struct span note = reader_string(&reader, SIZE_MAX / 2);
    struct span id = reader_bytes(&reader, sizeof counts->id.bytes);
    counts->is_finishing = reader_u8(&reader);
    uint64_t count = reader_varint(&reader);
    if (reader.failed)
        return QUIPU_HANDOFF_E_FILE;
    memcpy(counts->id.bytes, id.ptr, id.len);
    int outcome = quipu_handoff_put_note(counts, note.ptr, note.len);
    for (uint64_t i = 0; i < count && !outcome; i++)
        outcome = read_counter(counts, &reader);
    if (!outcome && reader_left(&reader))
        outcome = QUIPU_HANDOFF_E_FILE;
    counts->is_changed = false;
    return outcome;
}

static int load(struct quipu_handoff *counts)
{
    int fd = open(counts->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct stat stat;
    int outcome = fstat(fd, &stat) ? -errno : 0;
    size_t size = outcome ? 0 : (size_t)stat.st_size, len = 0;
    uint8_t *bytes = outcome ? NULL : malloc(size + 1);
    while (bytes && len < size) {
        ssize_t more = read(fd, bytes + len, size - len);
        if (more < 0 && errno != EINTR)
            outcome = -errno;
        if (more == 0 || outcome)
            break;
        len += more > 0 ? (size_t)more : 0;
    }
    close(fd);
    if (!outcome)
        outcome = bytes ? parse_file(counts, span_of(bytes, len)) : -ENOMEM;
    free(bytes);
    return outcome;
}

int quipu_handoff_open(struct quipu_handoff **out, const char *path)
{
    struct quipu_handoff *counts = calloc(1, sizeof *counts);
    if (!counts)
        return -ENOMEM;
    counts->heap.resize = resize;
    buf_init(&counts->out, &counts->heap);
    counts->path = strdup(path);
    int outcome = counts->path ? load(counts) : -ENOMEM;
    if (outcome == -ENOENT) {
        ssize_t drawn = getrandom(counts->id.bytes, sizeof counts->id.bytes, 0);
        outcome = drawn == sizeof counts->id.bytes ? 0 : -EIO;
        counts->is_changed = true;
    }
    if (outcome)
        quipu_handoff_close(counts);
    else
        *out = counts;
    return outcome;
}

void quipu_handoff_close(struct quipu_handoff *counts)
{
    for (size_t i = 0; i < counts->count; i++) {
        handoff_deinit(&counts->list[i].node);
        free(counts->list[i].key);
    }
    free(counts->list);
    free(counts->slots);
    free(counts->note);
    free(counts->path);
    buf_deinit(&counts->out);
    free(counts);
}

// ---- counting

int quipu_handoff_add(struct quipu_handoff *counts, const void *key, size_t key_len,
                      uint64_t amount)
{
    struct counter *counter = obtain(counts, span_of(key, key_len));
    if (!counter)
        return -ENOMEM;
    if (counter->is_gone || counter->is_leaving) { // it comes back as another
        struct handoff_node fresh;
        struct handoff_id id = counts->id;
        uint64_t mix = hash_bytes(span_of(id.bytes, sizeof id.bytes), counter->node.sck + 1);
        bytes_write_u64(id.bytes, mix);
        if (counter->node.tokens_count)
            return -EBUSY;
        handoff_init(&fresh, &counts->heap, &id, CLIENT_TIER);
        fresh.sck = counter->node.sck + 1;
        handoff_deinit(&counter->node);
        counter->node = fresh;
        counter->is_gone = counter->is_leaving = false;
    }
    counts->is_changed = true;
    counts->is_finishing = false;
    return handoff_add(&counter->node, amount);
}

int quipu_handoff_put_note(struct quipu_handoff *counts, const void *note, size_t len)
{
    uint8_t *copy = malloc(len + 1);
    if (!copy)
        return -ENOMEM;
    if (len)
        memcpy(copy, note, len);
    free(counts->note);
    counts->note = copy;
    counts->note_len = len;
    counts->is_changed = true;
    return 0;
}

const void *quipu_handoff_note(const struct quipu_handoff *counts, size_t *out_len)
{
    *out_len = counts->note_len;
    return counts->note;
}

uint64_t quipu_handoff_held(const struct quipu_handoff *counts, size_t *out_counters)
{
    uint64_t held = 0;
    size_t counters = 0;
    for (size_t i = 0; i < counts->count; i++) {
        const struct handoff_node *node = &counts->list[i].node;
        uint64_t amount = handoff_own(node);
        for (uint32_t at = 0; at < node->tokens_count && !counts->list[i].is_gone; at++)
            amount += node->tokens[at].amount;
        held += amount;
        counters += amount != 0;
    }
    if (out_counters)
        *out_counters = counters;
    return held;
}

// ---- exchanging

static bool has_news(const struct quipu_handoff *counts, const struct counter *counter)
{
    if (counter->is_gone)
        return false;
    return counter->is_leaving || counts->is_finishing || handoff_own(&counter->node) ||
           counter->node.tokens_count;
}

bool quipu_handoff_next(const struct quipu_handoff *counts, size_t *cursor, const void **out_key,
                        size_t *out_key_len)
{
    while (*cursor < counts->count) {
        const struct counter *counter = &counts->list[(*cursor)++];
        if (!has_news(counts, counter))
            continue;
        *out_key = counter->key;
        *out_key_len = counter->key_len;
        return true;
    }
    return false;
}

int quipu_handoff_tell(struct quipu_handoff *counts, const void *key, size_t key_len,
                       const void **out_bytes, size_t *out_len)
{
    const struct counter *counter = find(counts, span_of(key, key_len));
    struct handoff_node message;
    if (!counter || !has_news(counts, counter))
        return QUIPU_HANDOFF_E_NONE;
    if (counts->is_changed)
        return QUIPU_HANDOFF_E_UNSAVED;
    int fault = counter->is_leaving ? handoff_leave(&counter->node, &message)
                                    : handoff_tell_all(&counter->node, &message);
    if (fault)
        return fault;
    buf_clear(&counts->out);
    handoff_write(&message, &counts->out);
    handoff_deinit(&message);
    if (buf_has_failed(&counts->out))
        return -ENOMEM;
    *out_bytes = counts->out.ptr;
    *out_len = counts->out.len;
    return 0;
}

int quipu_handoff_hear(struct quipu_handoff *counts, const void *key, size_t key_len,
                       const void *bytes, size_t len)
{
    struct counter *counter = find(counts, span_of(key, key_len));
    struct handoff_node heard;
    if (!counter || counter->is_gone)
        return 0;
    int outcome = handoff_read(span_of(bytes, len), &counts->heap, &heard);
    if (outcome)
        return outcome < 0 ? outcome : QUIPU_HANDOFF_E_MESSAGE;
    counts->is_changed = true;
    bool was_leaving = counter->is_leaving;
    int fault = was_leaving ? 0 : handoff_merge(&counter->node, &heard, HANDOFF_SAFE);
    if (!fault && was_leaving)
        counter->is_gone = true; // an answer to our leave, or one before it: both are late enough
    else if (!fault && counts->is_finishing)
        counter->is_leaving = handoff_can_leave(&counter->node, &heard);
    handoff_deinit(&heard);
    return fault;
}

void quipu_handoff_finish(struct quipu_handoff *counts)
{
    counts->is_changed |= !counts->is_finishing;
    counts->is_finishing = true;
}
