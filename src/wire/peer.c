// SPDX-License-Identifier: Apache-2.0
// Codec of the peer protocol. Everything read is bounded before it is believed; a body with bytes
// left over is malformed, so that no two encodings mean the same.
#include <assert.h>
#include "wire/peer.h"

const char *peer_status_text(enum peer_status status)
{
    static const char *const texts[PEER_STATUS_COUNT] = {
        [PEER_OK] = "ok",
        [PEER_REFUSED_VERSION] = "peer protocol version differs",
        [PEER_REFUSED_CLUSTER] = "cluster name differs",
        [PEER_REFUSED_SECRET] = "shared secret differs or is missing",
        [PEER_REFUSED_DUPLICATE] =
            ("this incarnation is alive elsewhere: two processes run one data "
             "directory or a copy of it"),
        [PEER_REFUSED_NAME] = "another live replica has this name",
        [PEER_REFUSED_SELF] = "the address leads back to this replica",
        [PEER_REFUSED_FULL] = "no room for another member",
        [PEER_REFUSED_FORMER] = "a newer incarnation has taken over this replica's name",
    };
    return status < PEER_STATUS_COUNT ? texts[status] : "unknown status";
}

int peer_parse(struct span input, enum peer_type *out_type, struct span *out_body, size_t *out_used)
{
    if (input.len < PEER_HEAD_BYTES)
        return PEER_E_MORE;
    uint32_t len = bytes_read_u32(input.ptr);
    uint8_t type = input.ptr[4];
    if (len == 0 || len > PEER_FRAME_BYTES_MAX || type < PEER_GREETING || type > PEER_PONG)
        return PEER_E_PROTOCOL;
    if (input.len - 4 < len)
        return PEER_E_MORE;
    *out_type = (enum peer_type)type;
    *out_body = span_of(input.ptr + PEER_HEAD_BYTES, len - 1);
    *out_used = 4 + (size_t)len;
    return 0;
}

static int ended(const struct reader *reader)
{
    return reader->failed || reader_left(reader) ? PEER_E_PROTOCOL : 0;
}

static void read_incarnation(struct reader *reader, struct incarnation *out)
{
    struct span bytes = reader_bytes(reader, sizeof out->bytes);
    if (bytes.len)
        memcpy(out->bytes, bytes.ptr, sizeof out->bytes);
}

int peer_parse_greeting(struct span body, struct peer_greeting *out)
{
    struct reader reader = reader_of(body);
    out->version = reader_varint(&reader);
    out->nonce = reader_bytes(&reader, PEER_NONCE_BYTES);
    return ended(&reader);
}

// The mac, with its length byte, is the end of the body; what is before it is signed.
static void read_mac(struct reader *reader, struct span body, struct span *mac,
                     struct span *signed_)
{
    *signed_ = span_of(body.ptr, body.len - reader_left(reader));
    *mac = reader_string(reader, PEER_MAC_BYTES);
    if (mac->len != 0 && mac->len != PEER_MAC_BYTES)
        reader->failed = true;
}

// What people will read in lists and logs.
static bool is_name(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < ' ' || text.ptr[i] == 0x7f)
            return false;
    }
    return text.len > 0;
}

// HOST:PORT, as far as bytes can tell.
static bool is_address(struct span text)
{
    size_t digits = 0;
    while (digits < text.len && (unsigned)text.ptr[text.len - 1 - digits] - '0' <= 9)
        digits++;
    return is_name(text) && digits > 0 && text.len > digits + 1 &&
           text.ptr[text.len - 1 - digits] == ':' && !memchr(text.ptr, ' ', text.len);
}

int peer_parse_hello(struct span body, struct peer_hello *out)
{
    struct reader reader = reader_of(body);
    out->version = reader_varint(&reader);
    if (out->version != PEER_VERSION)
        return reader.failed ? PEER_E_PROTOCOL : 0; // the rest may look different there
    out->nonce = reader_bytes(&reader, PEER_NONCE_BYTES);
    out->cluster = reader_string(&reader, PEER_TEXT_BYTES_MAX);
    out->name = reader_string(&reader, PEER_TEXT_BYTES_MAX);
    out->address = reader_string(&reader, PEER_TEXT_BYTES_MAX);
    read_incarnation(&reader, &out->incarnation);
    out->boot = reader_u64(&reader);
    out->is_asking = reader_u8(&reader) != 0;
    read_mac(&reader, body, &out->mac, &out->signed_);
    if (!is_name(out->name) || !is_address(out->address))
        return PEER_E_PROTOCOL;
    return ended(&reader);
}

static int read_vector(struct reader *reader, struct origins *origins, struct vector *out)
{
    int outcome = vector_read(reader, origins, out);
    return outcome == VECTOR_E_FULL ? PEER_E_FULL : outcome ? PEER_E_PROTOCOL : 0;
}

int peer_parse_welcome(struct span body, struct origins *origins, struct peer_welcome *out)
{
    struct reader reader = reader_of(body);
    uint8_t status = reader_u8(&reader);
    out->status = (enum peer_status)status;
    out->text = reader_string(&reader, PEER_TEXT_BYTES_MAX);
    out->cluster = reader_string(&reader, PEER_TEXT_BYTES_MAX);
    out->name = reader_string(&reader, PEER_TEXT_BYTES_MAX);
    out->address = reader_string(&reader, PEER_TEXT_BYTES_MAX);
    read_incarnation(&reader, &out->incarnation);
    out->boot = reader_u64(&reader);
    out->held = reader_u64(&reader);
    if (reader.failed || status >= PEER_STATUS_COUNT || !is_name(out->name) ||
        !is_address(out->address))
        return PEER_E_PROTOCOL;
    int outcome = read_vector(&reader, origins, &out->vector);
    if (outcome)
        return outcome;
    read_mac(&reader, body, &out->mac, &out->signed_);
    return ended(&reader);
}

static bool read_member(struct reader *reader, struct peer_member *out)
{
    read_incarnation(reader, &out->incarnation);
    out->name = reader_string(reader, PEER_TEXT_BYTES_MAX);
    out->address = reader_string(reader, PEER_TEXT_BYTES_MAX);
    uint8_t flags = reader_u8(reader);
    out->is_former = flags & 1;
    out->knows_sender = flags & 2;
    out->is_delivered = flags & 4;
    out->is_sealed = flags & 8;
    out->seal = out->is_sealed ? reader_varint(reader) : 0;
    return (out->is_sealed || is_name(out->name)) &&
           (out->address.len == 0 || is_address(out->address));
}

int peer_parse_members(struct span body, struct origins *origins, struct peer_members *out)
{
    struct reader reader = reader_of(body);
    uint64_t count = reader_varint(&reader);
    if (reader.failed || count > PEER_MEMBERS_MAX)
        return PEER_E_PROTOCOL;
    for (uint64_t i = 0; i < count; i++) {
        if (!read_member(&reader, &out->list[i]))
            return PEER_E_PROTOCOL;
    }
    out->count = (uint16_t)count;
    out->is_filled = reader_u8(&reader) != 0;
    int outcome = read_vector(&reader, origins, &out->dropped);
    return outcome ? outcome : ended(&reader);
}

int peer_parse_feed(struct span body, struct origins *origins, struct peer_feed *out)
{
    struct reader reader = reader_of(body);
    uint8_t flags = reader_u8(&reader);
    out->is_final = flags & 1;
    out->is_walk = flags & 2;
    out->number = reader_varint(&reader);
    uint64_t count = reader_varint(&reader);
    if (reader.failed || count > LIMIT_ORIGINS)
        return PEER_E_PROTOCOL;
    out->dictionary.count = (uint16_t)count;
    for (uint64_t i = 0; i < count; i++) {
        struct incarnation incarnation = {{0}};
        read_incarnation(&reader, &incarnation);
        if (reader.failed || incarnation_is_zero(&incarnation))
            return PEER_E_PROTOCOL;
        if (origins_obtain(origins, &incarnation, &out->dictionary.local[i]))
            return PEER_E_FULL;
    }
    int outcome = read_vector(&reader, origins, &out->from);
    if (!outcome)
        outcome = read_vector(&reader, origins, &out->upto);
    if (outcome)
        return outcome;
    out->units = span_of(reader.at, reader_left(&reader));
    return 0;
}

int peer_parse_ack(struct span body, struct origins *origins, struct peer_ack *out)
{
    struct reader reader = reader_of(body);
    out->rounds = reader_varint(&reader);
    int outcome = read_vector(&reader, origins, &out->vector);
    return outcome ? outcome : ended(&reader);
}

int peer_parse_number(struct span body, uint64_t *out)
{
    struct reader reader = reader_of(body);
    *out = reader_u64(&reader);
    return ended(&reader);
}

static size_t open_frame(struct buf *out, enum peer_type type)
{
    size_t mark = out->len;
    bytes_put_u32(out, 0);
    buf_put_byte(out, (uint8_t)type);
    return mark;
}

static void close_frame(struct buf *out, size_t mark)
{
    if (buf_has_failed(out))
        return;
    size_t len = out->len - mark - 4;
    assert(len <= PEER_FRAME_BYTES_MAX);
    bytes_write_u32(out->ptr + mark, (uint32_t)len);
}

void peer_put_greeting(struct buf *out, struct span nonce)
{
    size_t mark = open_frame(out, PEER_GREETING);
    bytes_put_varint(out, PEER_VERSION);
    buf_put(out, nonce);
    close_frame(out, mark);
}

void peer_put_hello_body(struct buf *body, const struct peer_hello *hello)
{
    bytes_put_varint(body, hello->version);
    buf_put(body, hello->nonce);
    bytes_put_string(body, hello->cluster);
    bytes_put_string(body, hello->name);
    bytes_put_string(body, hello->address);
    buf_put(body, span_of(hello->incarnation.bytes, 16));
    bytes_put_u64(body, hello->boot);
    buf_put_byte(body, hello->is_asking);
}

void peer_put_welcome_body(struct buf *body, const struct peer_welcome *welcome,
                           const struct origins *origins)
{
    buf_put_byte(body, (uint8_t)welcome->status);
    bytes_put_string(body, welcome->text);
    bytes_put_string(body, welcome->cluster);
    bytes_put_string(body, welcome->name);
    bytes_put_string(body, welcome->address);
    buf_put(body, span_of(welcome->incarnation.bytes, 16));
    bytes_put_u64(body, welcome->boot);
    bytes_put_u64(body, welcome->held);
    vector_write(&welcome->vector, origins, body);
}

void peer_put_signed(struct buf *out, enum peer_type type, struct span body, struct span mac)
{
    size_t mark = open_frame(out, type);
    buf_put(out, body);
    bytes_put_string(out, mac);
    close_frame(out, mark);
}

static void put_member(struct buf *out, const struct peer_member *member)
{
    buf_put(out, span_of(member->incarnation.bytes, 16));
    bytes_put_string(out, member->name);
    bytes_put_string(out, member->address);
    buf_put_byte(out, (uint8_t)(member->is_former | member->knows_sender << 1 |
                                member->is_delivered << 2 | member->is_sealed << 3));
    if (member->is_sealed)
        bytes_put_varint(out, member->seal);
}

void peer_put_members(struct buf *out, const struct peer_members *members,
                      const struct origins *origins)
{
    size_t mark = open_frame(out, PEER_MEMBERS);
    bytes_put_varint(out, members->count);
    for (uint16_t i = 0; i < members->count; i++)
        put_member(out, &members->list[i]);
    buf_put_byte(out, members->is_filled);
    vector_write(&members->dropped, origins, out);
    close_frame(out, mark);
}

void peer_put_ack(struct buf *out, const struct peer_ack *ack, const struct origins *origins)
{
    size_t mark = open_frame(out, PEER_ACK);
    bytes_put_varint(out, ack->rounds);
    vector_write(&ack->vector, origins, out);
    close_frame(out, mark);
}

void peer_put_number(struct buf *out, enum peer_type type, uint64_t number)
{
    size_t mark = open_frame(out, type);
    bytes_put_u64(out, number);
    close_frame(out, mark);
}

size_t peer_open_feed(struct buf *out, const struct peer_feed *feed, const struct origins *origins)
{
    size_t mark = open_frame(out, PEER_FEED);
    buf_put_byte(out, (uint8_t)(feed->is_final | feed->is_walk << 1));
    bytes_put_varint(out, feed->number);
    bytes_put_varint(out, origins->count);
    for (uint16_t i = 0; i < origins->count; i++)
        buf_put(out, span_of(origins->list[i].bytes, 16));
    vector_write(&feed->from, origins, out);
    vector_write(&feed->upto, origins, out);
    return mark;
}

void peer_close_feed(struct buf *out, size_t mark)
{
    close_frame(out, mark);
}
