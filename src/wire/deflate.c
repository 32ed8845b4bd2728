// SPDX-License-Identifier: Apache-2.0
// A message is DEFLATE data flushed to a byte, less its last four bytes 00 00 ff ff (RFC 7692
// section 7.2.1). Unpacking stops at the limit, whatever the data goes on to claim.
#include "wire/deflate.h"
#include <errno.h>
#include <zlib.h>
#include "base/decimal.h"
#include "wire/http_put.h"

#define GZIP_WRAPPER    16 // zlib's way to ask for it
#define UNPACK_STEP     4096
#define UNPACKED_KEPT   65536
#define PACK_MEMORY     8 // zlib's memLevel: 128 KiB of hash chains
#define BLOCK_HEAD_SIZE sizeof(size_t) * 2

static const uint8_t flush_mark[] = {0x00, 0x00, 0xff, 0xff};

struct deflate {
    struct heap *heap;
    z_stream pack, unpack;
    struct buf unpacked;
};

// ---- zlib's memory, from the heap, which wants to be told sizes when they are given back

static void *block_alloc(void *ctx, uInt count, uInt size)
{
    size_t bytes = (size_t)count * size + BLOCK_HEAD_SIZE;
    size_t *block = heap_alloc(ctx, bytes);
    if (!block)
        return NULL;
    block[0] = bytes;
    return (uint8_t *)block + BLOCK_HEAD_SIZE;
}

static void block_free(void *ctx, void *address)
{
    size_t *block = (size_t *)(void *)((uint8_t *)address - BLOCK_HEAD_SIZE);
    heap_free(ctx, block, block[0]);
}

int deflate_new(struct deflate **out_deflate, struct heap *heap)
{
    struct deflate *deflate = heap_alloc(heap, sizeof(*deflate));
    if (!deflate)
        return -ENOMEM;
    z_stream stream = {.zalloc = block_alloc, .zfree = block_free, .opaque = heap};
    *deflate = (struct deflate){.heap = heap, .pack = stream, .unpack = stream};
    buf_init(&deflate->unpacked, heap);
    if (deflateInit2(&deflate->pack, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -DEFLATE_WINDOW_BITS,
                     PACK_MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
        goto free_deflate;
    if (inflateInit2(&deflate->unpack, -MAX_WBITS) != Z_OK)
        goto end_pack;
    *out_deflate = deflate;
    return 0;
end_pack:
    deflateEnd(&deflate->pack);
free_deflate:
    heap_free(heap, deflate, sizeof(*deflate));
    return -ENOMEM;
}

void deflate_free(struct deflate *deflate)
{
    if (!deflate)
        return;
    deflateEnd(&deflate->pack);
    inflateEnd(&deflate->unpack);
    buf_deinit(&deflate->unpacked);
    heap_free(deflate->heap, deflate, sizeof(*deflate));
}

bool deflate_pack(struct deflate *self, struct buf *out, struct span message)
{
    z_stream *stream = &self->pack;
    deflateReset(stream);
    size_t room = deflateBound(stream, (uLong)message.len) + 16; // and the flush mark
    uint8_t *to = buf_reserve(out, room);
    if (!to)
        return false;
    stream->next_in = (z_const Bytef *)message.ptr;
    stream->avail_in = (uInt)message.len;
    stream->next_out = to;
    stream->avail_out = (uInt)room;
    if (deflate(stream, Z_SYNC_FLUSH) != Z_OK || stream->avail_in || !stream->avail_out)
        return false;
    buf_advance(out, room - stream->avail_out - sizeof flush_mark);
    return true;
}

bool deflate_gzip(struct buf *out, struct span text)
{
    z_stream stream = {.zalloc = block_alloc, .zfree = block_free, .opaque = out->heap};
    if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, MAX_WBITS + GZIP_WRAPPER, PACK_MEMORY,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    size_t room = deflateBound(&stream, (uLong)text.len);
    uint8_t *to = buf_reserve(out, room);
    stream.next_in = (z_const Bytef *)text.ptr;
    stream.avail_in = (uInt)text.len;
    stream.next_out = to;
    stream.avail_out = (uInt)room;
    bool is_done = to && deflate(&stream, Z_FINISH) == Z_STREAM_END;
    if (is_done)
        buf_advance(out, room - stream.avail_out);
    deflateEnd(&stream);
    return is_done;
}

// Unpacks one piece. 0, also when it is not all used because the data has ended.
static int unpack_piece(struct deflate *deflate, struct span piece, size_t bytes_max)
{
    z_stream *stream = &deflate->unpack;
    struct buf *to = &deflate->unpacked;
    stream->next_in = (z_const Bytef *)piece.ptr;
    stream->avail_in = (uInt)piece.len;
    for (;;) {
        uint8_t *room = buf_reserve(to, UNPACK_STEP);
        if (!room)
            return -ENOMEM;
        stream->next_out = room;
        stream->avail_out = UNPACK_STEP;
        int status = inflate(stream, Z_SYNC_FLUSH);
        buf_advance(to, UNPACK_STEP - stream->avail_out);
        if (to->len > bytes_max)
            return DEFLATE_E_LONG;
        if (status == Z_MEM_ERROR)
            return -ENOMEM;
        if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
            return DEFLATE_E_BROKEN;
        if (status == Z_STREAM_END || stream->avail_out)
            return 0;
    }
}

int deflate_unpack(struct deflate *deflate, struct span payload, size_t bytes_max,
                   struct span *out_message)
{
    inflateReset(&deflate->unpack);
    buf_clear(&deflate->unpacked);
    buf_shrink(&deflate->unpacked, UNPACKED_KEPT);
    int outcome = unpack_piece(deflate, payload, bytes_max);
    if (!outcome && !deflate->unpack.avail_in)
        outcome = unpack_piece(deflate, span_of(flush_mark, sizeof flush_mark), bytes_max);
    if (!outcome)
        *out_message = buf_span(&deflate->unpacked);
    return outcome;
}

// ---- negotiation

// Cuts `text` at the first `mark` outside of quotes: what is before, without blanks.
static struct span cut(struct span *text, char mark)
{
    bool is_quoted = false;
    size_t len = 0;
    for (; len < text->len && (is_quoted || text->ptr[len] != mark); len++)
        is_quoted ^= text->ptr[len] == '"';
    struct span part = span_of(text->ptr, len);
    size_t used = len < text->len ? len + 1 : len;
    *text = span_of(text->ptr + used, text->len - used);
    while (part.len && (part.ptr[0] == ' ' || part.ptr[0] == '\t'))
        part = span_of(part.ptr + 1, part.len - 1);
    while (part.len && (part.ptr[part.len - 1] == ' ' || part.ptr[part.len - 1] == '\t'))
        part.len--;
    return part;
}

// 8 to 15, in quotes or not; 0: anything else.
static uint8_t read_bits(struct span value)
{
    int64_t bits;
    if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
        value = span_of(value.ptr + 1, value.len - 2);
    if (!value.len || value.ptr[0] < '1' || !decimal_parse(value, &bits) || bits < 8 || bits > 15)
        return 0;
    return (uint8_t)bits;
}

// One parameter of an offer; each may stand once. False: the offer cannot be met.
static bool take_parameter(struct span parameter, struct deflate_offer *offer, unsigned *seen)
{
    static const char *const names[] = {"server_no_context_takeover", "client_no_context_takeover",
                                        "server_max_window_bits", "client_max_window_bits"};
    if (!parameter.len)
        return false;
    bool has_value = memchr(parameter.ptr, '=', parameter.len) != NULL;
    struct span name = cut(&parameter, '=');
    for (unsigned i = 0; i < 4; i++) {
        if (!span_is_word(name, names[i]))
            continue;
        if (*seen & 1u << i)
            return false;
        *seen |= 1u << i;
        if (i < 2)
            return !has_value;
        uint8_t bits = has_value ? read_bits(parameter) : 0;
        if (i == 3)
            return !has_value || bits;
        offer->window_bits = bits;
        return bits >= DEFLATE_WINDOW_BITS;
    }
    return false;
}

static bool read_extension(struct span extension, struct deflate_offer *out_offer)
{
    struct deflate_offer offer = {.is_met = true};
    unsigned seen = 0;
    if (!span_is_word(cut(&extension, ';'), "permessage-deflate"))
        return false;
    while (extension.len) {
        if (!take_parameter(cut(&extension, ';'), &offer, &seen))
            return false;
    }
    *out_offer = offer;
    return true;
}

struct deflate_offer deflate_read_offer(const struct http_request *request)
{
    struct deflate_offer offer = {0};
    struct span headers = request->headers, name, value;
    while (!offer.is_met && http_next_header(&headers, &name, &value)) {
        if (!span_is_word(name, "sec-websocket-extensions"))
            continue;
        while (!offer.is_met && value.len)
            read_extension(cut(&value, ','), &offer);
    }
    return offer;
}

void deflate_put_answer(struct buf *out, const struct deflate_offer *offer)
{
    buf_put_text(out, "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
                      "client_no_context_takeover");
    if (offer->window_bits) {
        buf_put_text(out, "; server_max_window_bits=");
        decimal_put_unsigned(out, offer->window_bits);
    }
    buf_put_text(out, "\r\n");
}
