// SPDX-License-Identifier: Apache-2.0
// RESP requests and answers as text.
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/decimal.h"
#include "tests/lib/heap_libc.h"
#include "tests/lib/wire_feed.h"
#include "wire/answer.h"
#include "wire/resp.h"

void feed_put_shown(struct buf *trace, struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t byte = bytes.ptr[i];
        if (byte >= ' ' && byte <= '~' && byte != '\\') {
            buf_put_byte(trace, byte);
            continue;
        }
        buf_put_byte(trace, '\\');
        buf_put_byte(trace, (uint8_t) "0123456789abcdef"[byte >> 4]);
        buf_put_byte(trace, (uint8_t) "0123456789abcdef"[byte & 15]);
    }
}

// ---- requests

struct resp_session {
    struct heap_libc heap;
    struct resp_parser parser;
    struct buf unescaped;
    struct span *argv;
    uint32_t argv_max;
};

static void init_resp(void *parser)
{
    struct resp_session *self = parser;
    heap_libc_init(&self->heap);
    buf_init(&self->unescaped, &self->heap.heap);
    self->argv_max = 2; // so that room must be made
    self->argv = calloc(self->argv_max, sizeof *self->argv);
}

static void deinit_resp(void *parser)
{
    struct resp_session *self = parser;
    free(self->argv);
    buf_deinit(&self->unescaped);
    assert(self->heap.bytes == 0);
}

static enum feed_outcome step_resp(void *parser, struct span input, struct buf *trace,
                                   size_t *out_used)
{
    struct resp_session *self = parser;
    struct resp_request request = {
        .argv = self->argv, .argv_max = self->argv_max, .unescaped = &self->unescaped};
    int outcome = resp_parse(&self->parser, input, &request, out_used);
    if (outcome == RESP_E_ROOM) {
        self->argv_max = self->parser.argc;
        self->argv = realloc(self->argv, self->argv_max * sizeof *self->argv);
        request.argv = self->argv;
        request.argv_max = self->argv_max;
        outcome = resp_parse(&self->parser, input, &request, out_used);
    }
    if (outcome == RESP_E_MORE)
        return FEED_MORE;
    if (outcome == RESP_E_PROTOCOL) {
        resp_put_fault(trace, &self->parser);
        buf_put_byte(trace, '\n');
        return FEED_END;
    }
    assert(outcome == 0 && self->parser.at == 0 && self->parser.need == 0);
    for (uint32_t i = 0; i < request.argc; i++) {
        buf_put_text(trace, i ? " [" : "[");
        feed_put_shown(trace, request.argv[i]);
        buf_put_byte(trace, ']');
    }
    buf_put_text(trace, request.argc ? "\n" : "nothing\n");
    return FEED_USED;
}

const struct feed feed_resp = {step_resp, init_resp, deinit_resp, sizeof(struct resp_session)};

// ---- answers

struct answer_session {
    struct answer_parser parser;
    struct answer answer;
};

static void init_answer(void *parser)
{
    struct answer_session *self = parser;
    self->answer.tokens_max = 2;
    self->answer.tokens = calloc(self->answer.tokens_max, sizeof *self->answer.tokens);
}

static void deinit_answer(void *parser)
{
    struct answer_session *self = parser;
    free(self->answer.tokens);
}

static void put_token(struct buf *trace, const struct answer_token *token)
{
    static const char *const marks[] = {"+", "-", ":", "$", "nil", "*", "~",
                                        "%", ">", "#", ",", "(",   "="};
    buf_put_text(trace, marks[token->kind]);
    if (token->count || (token->kind >= ANSWER_ARRAY && token->kind <= ANSWER_PUSH)) {
        decimal_put_unsigned(trace, token->count);
        buf_put_byte(trace, '/');
        decimal_put_unsigned(trace, token->size);
    } else {
        buf_put_byte(trace, '[');
        feed_put_shown(trace, token->text);
        buf_put_byte(trace, ']');
    }
    buf_put_byte(trace, ' ');
}

static enum feed_outcome step_answer(void *parser, struct span input, struct buf *trace,
                                     size_t *out_used)
{
    struct answer_session *self = parser;
    int outcome = answer_parse(&self->parser, input, &self->answer, out_used);
    if (outcome == ANSWER_E_ROOM) {
        self->answer.tokens_max = self->parser.tokens;
        self->answer.tokens =
            realloc(self->answer.tokens, self->parser.tokens * sizeof *self->answer.tokens);
        outcome = answer_parse(&self->parser, input, &self->answer, out_used);
    }
    if (outcome == ANSWER_E_MORE)
        return FEED_MORE;
    if (outcome == ANSWER_E_PROTOCOL) {
        buf_put_text(trace, "refused\n");
        return FEED_END;
    }
    assert(outcome == 0);
    assert(self->answer.tokens[0].size == self->answer.tokens_count);
    for (uint32_t i = 0; i < self->answer.tokens_count; i++)
        put_token(trace, &self->answer.tokens[i]);
    buf_put_byte(trace, '\n');
    return FEED_USED;
}

const struct feed feed_answer = {step_answer, init_answer, deinit_answer,
                                 sizeof(struct answer_session)};
