// SPDX-License-Identifier: Apache-2.0
// Every datagram has one encoding and one meaning: what is left over, an unknown flag, a count that
// does not match or an address with control bytes makes it malformed. Length of a datagram is
// checked by whoever receives it into HEARTBEAT_BYTES_MAX + 1 bytes; longer ones are malformed.
#include <assert.h>
#include "wire/heartbeat.h"
#include "wire/hmac.h"

static const uint8_t magic[4] = {'Q', 'U', 'H', 'B'};

#define KEY_AT         6
#define FLAG_BYE       1
#define FLAG_ROTATION  2
#define ENTRY_OVERHEAD 16 // varint length, varint publishers, flags, rounded up

// The address goes into a Host header and a URL.
static bool is_address(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f)
            return false;
    }
    return true;
}

// ---- writing

static void put(struct heartbeat_writer *writer, const void *from, size_t len)
{
    memcpy(writer->bytes + writer->len, from, len);
    writer->len += len;
}

static void put_u64(struct heartbeat_writer *writer, uint64_t value)
{
    bytes_write_u64(writer->bytes + writer->len, value);
    writer->len += 8;
}

static void put_varint(struct heartbeat_writer *writer, uint64_t value)
{
    uint8_t *end = bytes_write_varint(writer->bytes + writer->len, value);
    writer->len = (size_t)(end - writer->bytes);
}

int heartbeat_begin(struct heartbeat_writer *writer, const struct heartbeat *head,
                    const struct heartbeat_key *key)
{
    if (head->address.len > HEARTBEAT_ADDRESS_BYTES_MAX || !is_address(head->address))
        return HEARTBEAT_E_LONG;
    *writer = (struct heartbeat_writer){.key = key ? *key : (struct heartbeat_key){0}};
    uint8_t flags =
        (uint8_t)((head->is_bye ? FLAG_BYE : 0) | (head->is_rotation ? FLAG_ROTATION : 0));
    uint8_t id = writer->key.secret.len ? writer->key.id : 0;
    put(writer, magic, sizeof magic);
    put(writer, (uint8_t[]){HEARTBEAT_VERSION, flags, id}, 3);
    put_u64(writer, head->node);
    put_u64(writer, head->boot);
    put_u64(writer, head->sequence);
    bytes_write_u32(writer->bytes + writer->len, head->interval_ms);
    writer->len += 4;
    put(writer, (uint8_t[]){(uint8_t)head->address.len}, 1);
    if (head->address.len)
        put(writer, head->address.ptr, head->address.len);
    writer->count_at = writer->len;
    writer->len += 2;
    return 0;
}

int heartbeat_add(struct heartbeat_writer *writer, const struct heartbeat_entry *entry)
{
    if (entry->page.len == 0 || entry->page.len > HEARTBEAT_PAGE_BYTES_MAX)
        return HEARTBEAT_E_LONG;
    size_t end = writer->len + entry->page.len + ENTRY_OVERHEAD + HEARTBEAT_MAC_BYTES;
    if (end > HEARTBEAT_BYTES_MAX)
        return HEARTBEAT_E_FULL;
    put_varint(writer, entry->page.len);
    put(writer, entry->page.ptr, entry->page.len);
    put_varint(writer, entry->publishers);
    put(writer, (uint8_t[]){entry->has_subscribers}, 1);
    writer->count++;
    return 0;
}

struct span heartbeat_end(struct heartbeat_writer *writer)
{
    writer->bytes[writer->count_at] = (uint8_t)writer->count;
    writer->bytes[writer->count_at + 1] = (uint8_t)(writer->count >> 8);
    if (writer->bytes[KEY_AT]) {
        uint8_t mac[HMAC_BYTES];
        hmac_sha256(writer->key.secret, span_of(writer->bytes, writer->len), mac);
        put(writer, mac, HEARTBEAT_MAC_BYTES);
    }
    return span_of(writer->bytes, writer->len);
}

// ---- reading

static const struct heartbeat_key *find_key(const struct heartbeat_key *keys, size_t count,
                                            uint8_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (keys[i].id == id)
            return &keys[i];
    }
    return NULL;
}

// Shortens `datagram` by the mac once that is verified.
static int verify(struct span *datagram, const struct heartbeat_key *keys, size_t keys_count)
{
    uint8_t id = datagram->ptr[KEY_AT];
    if (id == 0)
        return keys_count == 0 ? 0 : HEARTBEAT_E_SECRET;
    const struct heartbeat_key *key = find_key(keys, keys_count, id);
    if (!key)
        return HEARTBEAT_E_SECRET;
    assert(key->secret.len > 0);
    if (datagram->len < KEY_AT + 1 + HEARTBEAT_MAC_BYTES)
        return HEARTBEAT_E_MALFORMED;
    size_t len = datagram->len - HEARTBEAT_MAC_BYTES;
    uint8_t mac[HMAC_BYTES];
    hmac_sha256(key->secret, span_of(datagram->ptr, len), mac);
    if (!hmac_is_equal(span_of(mac, HEARTBEAT_MAC_BYTES),
                       span_of(datagram->ptr + len, HEARTBEAT_MAC_BYTES)))
        return HEARTBEAT_E_SECRET;
    datagram->len = len;
    return 0;
}

// A varint in its shortest form.
static uint64_t read_varint(struct reader *reader)
{
    const uint8_t *start = reader->at;
    uint64_t value = reader_varint(reader);
    if (reader->at - start > 1 && reader->at[-1] == 0)
        reader->failed = true;
    return value;
}

static bool read_entry(struct reader *reader, struct heartbeat_entry *out_entry)
{
    uint64_t len = read_varint(reader);
    if (len > HEARTBEAT_PAGE_BYTES_MAX)
        return false;
    out_entry->page = reader_bytes(reader, (size_t)len);
    out_entry->publishers = read_varint(reader);
    uint8_t flags = reader_u8(reader);
    out_entry->has_subscribers = flags & 1;
    return !reader->failed && out_entry->page.len > 0 && flags <= 1;
}

static int read_body(struct span datagram, struct heartbeat *out)
{
    struct reader reader = reader_of(datagram);
    reader_bytes(&reader, sizeof magic + 1);
    uint8_t flags = reader_u8(&reader);
    reader_u8(&reader); // the key id
    out->is_bye = flags & FLAG_BYE;
    out->is_rotation = flags & FLAG_ROTATION;
    out->node = reader_u64(&reader);
    out->boot = reader_u64(&reader);
    out->sequence = reader_u64(&reader);
    out->interval_ms = reader_u32(&reader);
    out->address = reader_bytes(&reader, reader_u8(&reader));
    out->count = reader_u8(&reader);
    out->count = (uint16_t)(out->count | reader_u8(&reader) << 8);
    if (reader.failed || flags > (FLAG_BYE | FLAG_ROTATION) || !is_address(out->address))
        return HEARTBEAT_E_MALFORMED;
    out->entries = reader;
    for (uint16_t i = 0; i < out->count; i++) {
        struct heartbeat_entry entry;
        if (!read_entry(&reader, &entry))
            return HEARTBEAT_E_MALFORMED;
    }
    return reader_left(&reader) ? HEARTBEAT_E_MALFORMED : 0;
}

int heartbeat_parse(struct span datagram, const struct heartbeat_key *keys, size_t keys_count,
                    struct heartbeat *out_heartbeat)
{
    if (datagram.len <= KEY_AT || datagram.len > HEARTBEAT_BYTES_MAX ||
        memcmp(datagram.ptr, magic, sizeof magic) != 0)
        return HEARTBEAT_E_MALFORMED;
    if (datagram.ptr[sizeof magic] != HEARTBEAT_VERSION)
        return HEARTBEAT_E_VERSION;
    int outcome = verify(&datagram, keys, keys_count);
    if (outcome)
        return outcome;
    struct heartbeat heartbeat;
    outcome = read_body(datagram, &heartbeat);
    if (!outcome)
        *out_heartbeat = heartbeat;
    return outcome;
}

bool heartbeat_next(struct heartbeat *heartbeat, struct heartbeat_entry *out_entry)
{
    return reader_left(&heartbeat->entries) > 0 && read_entry(&heartbeat->entries, out_entry);
}
