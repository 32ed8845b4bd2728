// SPDX-License-Identifier: Apache-2.0
// Causality tokens. A token is a vector, told only once everything it covers is durable here: a
// replica that covers it has seen all that was written and visible here when it was asked for.
// Text: "q1-", the vector in hexadecimal, and four bytes of CRC-32C.
//
// A token comes from a client, so it never makes an incarnation known: one that is not known here
// is simply not covered yet.
#include <string.h>
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/decimal.h"
#include "base/hex.h"
#include "command/handlers.h"

#define TOKEN_PREFIX    "q1-"
#define TOKEN_BYTES_MAX (10 + LIMIT_ORIGINS * (16 + 10) + 4)
#define WAIT_MS_MAX     (10 * 60 * 1000)

static void put_token(struct call *call)
{
    struct buf bytes, text;
    buf_init(&bytes, call->reply->out->heap);
    buf_init(&text, call->reply->out->heap);
    vector_write(replica_vector(call->replica), replica_origins(call->replica), &bytes);
    bytes_put_u32(&bytes, crc32c_extend(0, buf_span(&bytes)));
    buf_put_text(&text, TOKEN_PREFIX);
    hex_put(&text, buf_span(&bytes));
    if (buf_has_failed(&bytes) || buf_has_failed(&text))
        reply_error(call->reply, REPLY_ERROR_OUT_OF_MEMORY);
    else
        reply_bulk(call->reply, buf_span(&text));
    buf_deinit(&bytes);
    buf_deinit(&text);
}

// Everything added before this command is in a commit that began after it was asked for; `later`
// keeps the number of that commit.
int apply_token(struct call *call)
{
    if (call->later == 0)
        call->later = call->server->commits_started;
    if (call->server->commits_done < call->later)
        return COMMAND_E_LATER;
    put_token(call);
    return 0;
}

// The bytes of a token's text, its checksum right; len 0: not a token.
static struct span decode(struct span text, uint8_t to[TOKEN_BYTES_MAX])
{
    const size_t prefix = sizeof TOKEN_PREFIX - 1;
    struct span none = {0};
    if (text.len < prefix + 10 || memcmp(text.ptr, TOKEN_PREFIX, prefix) != 0)
        return none;
    size_t len = (text.len - prefix) / 2;
    if ((text.len - prefix) % 2 || len > TOKEN_BYTES_MAX)
        return none;
    for (size_t i = 0; i < len; i++) {
        int high = hex_value(text.ptr[prefix + 2 * i]);
        int low = hex_value(text.ptr[prefix + 2 * i + 1]);
        if (high < 0 || low < 0)
            return none;
        to[i] = (uint8_t)(high << 4 | low);
    }
    struct span body = span_of(to, len - 4);
    return bytes_read_u32(to + len - 4) == crc32c_extend(0, body) ? body : none;
}

enum coverage { TOKEN_COVERED, TOKEN_NOT_YET, TOKEN_MALFORMED };

static enum coverage coverage_of(const struct call *call, struct span token)
{
    const struct vector *seen = replica_vector(call->replica);
    struct reader reader = reader_of(token);
    enum coverage coverage = TOKEN_COVERED;
    uint64_t count = reader_varint(&reader);
    for (uint64_t i = 0; i < count && !reader.failed; i++) {
        struct incarnation incarnation = {0};
        struct span bytes = reader_bytes(&reader, sizeof incarnation.bytes);
        uint64_t sequence = reader_varint(&reader);
        if (bytes.len == 0)
            break;
        memcpy(incarnation.bytes, bytes.ptr, sizeof incarnation.bytes);
        uint16_t origin = origins_find(replica_origins(call->replica), &incarnation);
        if (origin == ORIGIN_NONE || seen->sequence[origin] < sequence)
            coverage = TOKEN_NOT_YET;
    }
    return reader.failed || reader_left(&reader) ? TOKEN_MALFORMED : coverage;
}

// `later` keeps the deadline.
int apply_wait(struct call *call)
{
    int64_t wait_ms;
    uint8_t bytes[TOKEN_BYTES_MAX];
    struct span token = decode(call->argv[1], bytes);
    enum coverage coverage = token.len ? coverage_of(call, token) : TOKEN_MALFORMED;
    if (coverage == TOKEN_MALFORMED) {
        reply_error(call->reply, REPLY_ERROR_TOKEN);
        return 0;
    }
    if (!decimal_parse(call->argv[2], &wait_ms) || wait_ms < 0 || wait_ms > WAIT_MS_MAX) {
        reply_error(call->reply, REPLY_ERROR_TIMEOUT);
        return 0;
    }
    if (call->later == 0)
        call->later = call->now_ms + (uint64_t)wait_ms + 1;
    bool may_wait = !call->is_nested && !call->server->is_draining;
    if (coverage == TOKEN_NOT_YET && call->now_ms + 1 < call->later && may_wait)
        return COMMAND_E_LATER;
    reply_integer(call->reply, coverage == TOKEN_COVERED);
    return 0;
}
