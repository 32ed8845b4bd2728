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
#include "command/token.h"

#define TOKEN_PREFIX    "q1-"
#define TOKEN_BYTES_MAX (10 + LIMIT_ORIGINS * (16 + 10) + 4)
#define WAIT_MS_MAX     (10 * 60 * 1000)

void token_write(const struct vector *vector, const struct origins *origins, struct buf *out)
{
    struct buf bytes;
    buf_init(&bytes, out->heap);
    vector_write(vector, origins, &bytes);
    bytes_put_u32(&bytes, crc32c_extend(0, buf_span(&bytes)));
    buf_put_text(out, TOKEN_PREFIX);
    hex_put(out, buf_span(&bytes));
    out->failed |= buf_has_failed(&bytes);
    buf_deinit(&bytes);
}

static void put_token(struct call *call)
{
    struct buf text;
    buf_init(&text, call->reply->out->heap);
    token_write(replica_vector(call->replica), replica_origins(call->replica), &text);
    if (buf_has_failed(&text))
        reply_error(call->reply, REPLY_ERROR_OUT_OF_MEMORY);
    else
        reply_bulk(call->reply, buf_span(&text));
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

bool token_read(struct span text, const struct origins *origins, struct vector *out_vector)
{
    uint8_t bytes[TOKEN_BYTES_MAX];
    struct reader reader = reader_of(decode(text, bytes));
    uint64_t count = reader_varint(&reader);
    memset(out_vector, 0, sizeof *out_vector);
    for (uint64_t i = 0; i < count && !reader.failed; i++) {
        struct incarnation incarnation = {0};
        struct span span = reader_bytes(&reader, sizeof incarnation.bytes);
        uint64_t sequence = reader_varint(&reader);
        if (span.len == 0)
            break;
        memcpy(incarnation.bytes, span.ptr, sizeof incarnation.bytes);
        uint16_t origin = origins_find(origins, &incarnation);
        if (origin != ORIGIN_NONE)
            out_vector->sequence[origin] = sequence;
    }
    return !reader.failed && !reader_left(&reader);
}

// ---- WAIT numreplicas timeout: how many members have, durably, what was written here before it.
// `later` keeps the commit that holds it, then, with WAIT_TARGET, our sequence at that commit.

#define WAIT_TARGET ((uint64_t)1 << 63)

static int64_t members_with(const struct call *call, uint64_t sequence)
{
    const struct node *node = replica_node(call->replica);
    int64_t count = 0;
    for (uint16_t i = 0; i < node->members_count; i++) {
        const struct member *member = &node->members[i];
        count += !member->is_former && member->origin != node->self &&
                 member->latest.sequence[node->self] >= sequence;
    }
    return count;
}

// False: the error is written.
static bool parse_wait(struct call *call, int64_t *out_wanted, int64_t *out_wait_ms)
{
    if (!decimal_parse(call->argv[1], out_wanted)) {
        reply_error(call->reply, REPLY_ERROR_NOT_INTEGER);
        return false;
    }
    if (!decimal_parse(call->argv[2], out_wait_ms) || *out_wait_ms > INT32_MAX) {
        reply_error(call->reply, REPLY_ERROR_TIMEOUT);
        return false;
    }
    if (*out_wait_ms >= 0)
        return true;
    reply_error_text(call->reply, "ERR timeout is negative");
    return false;
}

int apply_wait_members(struct call *call)
{
    int64_t wanted, wait_ms;
    uint64_t own = replica_vector(call->replica)->sequence[replica_node(call->replica)->self];
    if (!parse_wait(call, &wanted, &wait_ms))
        return 0;
    if (call->later == 0) {
        call->later = call->server->commits_started;
        call->until_ms = wait_ms ? call->now_ms + (uint64_t)wait_ms : UINT64_MAX;
    }
    if (!(call->later & WAIT_TARGET) && call->server->commits_done >= call->later)
        call->later = own | WAIT_TARGET;
    bool is_told = (call->later & WAIT_TARGET) != 0;
    int64_t count = is_told ? members_with(call, call->later & ~WAIT_TARGET) : 0;
    bool may_wait = !call->is_nested && !call->server->is_draining;
    if (may_wait && (!is_told || count < wanted) && call->now_ms < call->until_ms)
        return COMMAND_E_LATER;
    reply_integer(call->reply, count);
    return 0;
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
