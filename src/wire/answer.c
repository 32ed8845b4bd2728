// SPDX-License-Identifier: Apache-2.0
// Answers: one walk over the tokens with a small stack of how many elements each open aggregate
// still awaits. The same walk checks (and remembers where it stopped) and, over an answer that is
// whole, fills the tokens in.
#include <stdlib.h>
#include "base/decimal.h"
#include "wire/answer.h"

#define LINE_BYTES_MAX (64u << 10) // of simple strings, errors and numbers

static int more(struct answer_parser *parser, size_t need)
{
    parser->need = need;
    return ANSWER_E_MORE;
}

// The text between the marker at parser->at and its CR LF.
static int read_line(struct answer_parser *parser, struct span input, struct span *out_text,
                     size_t *out_next)
{
    size_t start = parser->at + 1;
    size_t from = start > parser->seen ? start : parser->seen;
    if (from >= input.len)
        return more(parser, input.len + 1);
    const uint8_t *end = memchr(input.ptr + from, '\n', input.len - from);
    size_t len = (end ? (size_t)(end - input.ptr) : input.len) - start;
    if (len > LINE_BYTES_MAX)
        return ANSWER_E_PROTOCOL;
    if (!end) {
        parser->seen = input.len;
        return more(parser, input.len + 1);
    }
    if (len == 0 || end[-1] != '\r' || memchr(input.ptr + start, '\r', len - 1))
        return ANSWER_E_PROTOCOL;
    *out_text = span_of(input.ptr + start, len - 1);
    *out_next = start + len + 1;
    return 0;
}

static bool read_double(struct span text, double *out_number)
{
    char copy[64];
    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    bool is_word = span_is_word(text, "inf") || span_is_word(text, "-inf") ||
                   span_is_word(text, "nan") || span_is_word(text, "-nan");
    for (size_t i = 0; i < text.len && !is_word; i++) {
        if (text.ptr[i] == '\0' || !strchr("0123456789+-.eE", text.ptr[i]))
            return false;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    char *end;
    *out_number = strtod(copy, &end);
    return end == copy + text.len;
}

static const struct shape {
    enum answer_kind kind;
    uint8_t marker;
    bool is_line, is_bulk;
    uint8_t factor; // elements a count announces
} shapes[] = {
    {ANSWER_SIMPLE, '+', true, false, 0},  {ANSWER_ERROR, '-', true, false, 0},
    {ANSWER_INTEGER, ':', true, false, 0}, {ANSWER_NIL, '_', true, false, 0},
    {ANSWER_BOOL, '#', true, false, 0},    {ANSWER_DOUBLE, ',', true, false, 0},
    {ANSWER_BIG, '(', true, false, 0},     {ANSWER_BULK, '$', false, true, 0},
    {ANSWER_ERROR, '!', false, true, 0},   {ANSWER_VERBATIM, '=', false, true, 0},
    {ANSWER_ARRAY, '*', false, false, 1},  {ANSWER_SET, '~', false, false, 1},
    {ANSWER_PUSH, '>', false, false, 1},   {ANSWER_MAP, '%', false, false, 2},
};

static const struct shape *find_shape(uint8_t marker)
{
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        if (shapes[i].marker == marker)
            return &shapes[i];
    }
    return NULL;
}

static bool is_digits(struct span text)
{
    size_t at = text.len && (text.ptr[0] == '-' || text.ptr[0] == '+');
    if (at == text.len)
        return false;
    for (; at < text.len; at++) {
        if (text.ptr[at] < '0' || text.ptr[at] > '9')
            return false;
    }
    return true;
}

// What a line means; false: not what its marker says.
static bool read_scalar(struct answer_token *token)
{
    struct span text = token->text;
    switch (token->kind) {
    case ANSWER_INTEGER:
        return decimal_parse(text, &token->integer);
    case ANSWER_DOUBLE:
        return read_double(text, &token->number);
    case ANSWER_BOOL:
        token->integer = text.len == 1 && text.ptr[0] == 't';
        return text.len == 1 && (text.ptr[0] == 't' || text.ptr[0] == 'f');
    case ANSWER_NIL:
        return text.len == 0;
    case ANSWER_BIG:
        return is_digits(text);
    default:
        return true;
    }
}

static int read_bulk(struct answer_parser *parser, struct span input, size_t next, int64_t len,
                     struct answer_token *token)
{
    if (len > ANSWER_BULK_BYTES_MAX)
        return ANSWER_E_PROTOCOL;
    size_t end = next + (size_t)len;
    if (input.len < end + 2)
        return more(parser, end + 2);
    if (input.ptr[end] != '\r' || input.ptr[end + 1] != '\n')
        return ANSWER_E_PROTOCOL;
    token->text = span_of(input.ptr + next, (size_t)len);
    parser->at = end + 2;
    if (token->kind != ANSWER_VERBATIM)
        return 0;
    if (len < 4 || token->text.ptr[3] != ':')
        return ANSWER_E_PROTOCOL;
    token->text = span_of(token->text.ptr + 4, token->text.len - 4);
    return 0;
}

static int read_token(struct answer_parser *parser, struct span input, struct answer_token *token)
{
    if (parser->at == input.len)
        return more(parser, input.len + 1);
    const struct shape *shape = find_shape(input.ptr[parser->at]);
    if (!shape)
        return ANSWER_E_PROTOCOL;
    *token = (struct answer_token){.kind = shape->kind, .size = 1};
    size_t next;
    int outcome = read_line(parser, input, &token->text, &next);
    if (outcome)
        return outcome;
    if (shape->is_line) {
        parser->at = next;
        return read_scalar(token) ? 0 : ANSWER_E_PROTOCOL;
    }
    int64_t count;
    if (!decimal_parse(token->text, &count) || count < -1)
        return ANSWER_E_PROTOCOL;
    token->text = (struct span){0};
    if (count == -1) { // RESP2's nil
        token->kind = ANSWER_NIL;
        parser->at = next;
        return shape->marker == '$' || shape->marker == '*' ? 0 : ANSWER_E_PROTOCOL;
    }
    if (shape->is_bulk)
        return read_bulk(parser, input, next, count, token);
    if (count > ANSWER_COUNT_MAX)
        return ANSWER_E_PROTOCOL;
    token->count = (uint32_t)count * shape->factor;
    parser->at = next;
    return 0;
}

static int walk(struct answer_parser *parser, struct span input, struct answer *answer)
{
    for (;;) {
        struct answer_token token;
        int outcome = read_token(parser, input, &token);
        if (outcome)
            return outcome;
        if (answer && parser->tokens < answer->tokens_max)
            answer->tokens[parser->tokens] = token;
        parser->tokens++;
        if (parser->depth > 0)
            parser->left[parser->depth - 1]--;
        if (token.count > 0) {
            if (parser->depth == ANSWER_DEPTH_MAX)
                return ANSWER_E_PROTOCOL;
            parser->left[parser->depth++] = token.count;
        }
        while (parser->depth > 0 && parser->left[parser->depth - 1] == 0)
            parser->depth--;
        if (parser->depth == 0)
            return 0;
    }
}

// An aggregate's size is known once its last element's is: from the last token to the first.
static void measure(struct answer *answer)
{
    for (uint32_t i = answer->tokens_count; i-- > 0;) {
        struct answer_token *token = &answer->tokens[i];
        for (uint32_t element = 0; element < token->count; element++)
            token->size += token[token->size].size;
    }
}

int answer_parse(struct answer_parser *parser, struct span input, struct answer *answer,
                 size_t *out_used)
{
    if (input.len < parser->need)
        return ANSWER_E_MORE;
    bool is_whole_here = parser->tokens == 0;
    int outcome = 0;
    if (!parser->is_whole)
        outcome = walk(parser, input, is_whole_here ? answer : NULL);
    if (outcome)
        return outcome;
    parser->is_whole = true;
    if (parser->tokens > answer->tokens_max)
        return ANSWER_E_ROOM;
    if (!is_whole_here) {
        struct answer_parser again = {0};
        walk(&again, input, answer);
    }
    answer->tokens_count = parser->tokens;
    *out_used = parser->at;
    measure(answer);
    *parser = (struct answer_parser){0};
    return 0;
}

static bool is_text(const struct answer_token *token, const char *name)
{
    return (token->kind == ANSWER_BULK || token->kind == ANSWER_SIMPLE) &&
           span_is_word(token->text, name);
}

const struct answer_token *answer_field(const struct answer_token *map, const char *name)
{
    if (map->kind != ANSWER_MAP && map->kind != ANSWER_ARRAY)
        return NULL;
    const struct answer_token *at = map + 1;
    for (uint32_t i = 0; i + 1 < map->count; i += 2) {
        const struct answer_token *value = answer_next(at);
        if (is_text(at, name))
            return value;
        at = answer_next(value);
    }
    return NULL;
}

bool answer_integer(const struct answer_token *token, int64_t *out_value)
{
    if (token->kind == ANSWER_INTEGER) {
        *out_value = token->integer;
        return true;
    }
    bool is_number =
        token->kind == ANSWER_BULK || token->kind == ANSWER_SIMPLE || token->kind == ANSWER_BIG;
    return is_number && decimal_parse(token->text, out_value);
}
