// SPDX-License-Identifier: Apache-2.0
// A reader is a position, a bit per open aggregate, and whether a value is due: that is all the
// state JSON's grammar needs. Nothing recurses; json_skip walks with the same calls as a user.
#include "base/decimal.h"
#include "base/hex.h"
#include "wire/json_in.h"
#include "wire/utf8.h"

struct json_reader json_reader_of(struct span text)
{
    return (struct json_reader){.at = text.ptr, .end = text.ptr + text.len, .is_due = true};
}

static void fail(struct json_reader *reader)
{
    reader->failed = true;
    reader->at = reader->end;
    reader->is_due = false;
}

static void skip_blanks(struct json_reader *reader)
{
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\t' ||
                                        *reader->at == '\n' || *reader->at == '\r'))
        reader->at++;
}

static bool take(struct json_reader *reader, uint8_t byte)
{
    if (reader->at == reader->end || *reader->at != byte)
        return false;
    reader->at++;
    return true;
}

static bool is_in_object(const struct json_reader *reader)
{
    return reader->depth > 0 && (reader->objects >> (reader->depth - 1) & 1);
}

enum json_kind json_peek(struct json_reader *reader)
{
    skip_blanks(reader);
    if (!reader->is_due || reader->at == reader->end)
        return JSON_NONE;
    switch (*reader->at) {
    case 'n':
        return JSON_NULL;
    case 't':
    case 'f':
        return JSON_BOOL;
    case '"':
        return JSON_STRING;
    case '[':
        return JSON_ARRAY;
    case '{':
        return JSON_OBJECT;
    default:
        return *reader->at == '-' || (*reader->at >= '0' && *reader->at <= '9') ? JSON_NUMBER
                                                                                : JSON_NONE;
    }
}

// Takes the value that is due; false (failed) when it is of another kind.
static bool begin(struct json_reader *reader, enum json_kind kind)
{
    bool is_right = json_peek(reader) == kind;
    if (!is_right)
        fail(reader);
    reader->is_due = false;
    return is_right;
}

// ---- aggregates

void json_open(struct json_reader *reader, enum json_kind kind)
{
    if (!begin(reader, kind))
        return;
    if (reader->depth == JSON_DEPTH_MAX) {
        fail(reader);
        return;
    }
    uint32_t bit = (uint32_t)1 << reader->depth++;
    reader->objects = kind == JSON_OBJECT ? reader->objects | bit : reader->objects & ~bit;
    reader->is_first = true;
    reader->at++;
}

bool json_next(struct json_reader *reader)
{
    if (reader->failed || reader->depth == 0 || reader->is_due) {
        fail(reader);
        return false;
    }
    skip_blanks(reader);
    if (take(reader, is_in_object(reader) ? '}' : ']')) {
        reader->depth--;
        reader->is_first = false;
        return false;
    }
    if (reader->at == reader->end || (!reader->is_first && !take(reader, ','))) {
        fail(reader);
        return false;
    }
    reader->is_first = false;
    reader->is_due = !is_in_object(reader); // a member's value is due after its name
    return true;
}

// ---- strings

static bool read_four(const uint8_t **at, const uint8_t *end, uint32_t *out_value)
{
    uint32_t value = 0;
    if (end - *at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(*(*at)++);
        if (digit < 0)
            return false;
        value = value << 4 | (uint32_t)digit;
    }
    *out_value = value;
    return true;
}

// What follows "\u": a code point, of two escapes where it is a surrogate pair.
static bool read_code_point(const uint8_t **at, const uint8_t *end, uint32_t *out_point)
{
    uint32_t high, low;
    if (!read_four(at, end, &high))
        return false;
    if (high < 0xd800 || high > 0xdfff) {
        *out_point = high;
        return true;
    }
    if (high > 0xdbff || end - *at < 2 || (*at)[0] != '\\' || (*at)[1] != 'u')
        return false;
    *at += 2;
    if (!read_four(at, end, &low) || low < 0xdc00 || low > 0xdfff)
        return false;
    *out_point = 0x10000 + ((high - 0xd800) << 10 | (low - 0xdc00));
    return true;
}

static bool read_escape(const uint8_t **at, const uint8_t *end, uint32_t *out_point)
{
    static const char letters[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    uint8_t letter = *(*at)++;
    if (letter == 'u')
        return read_code_point(at, end, out_point);
    const char *found = letter ? strchr(letters, letter) : NULL;
    if (found)
        *out_point = (uint8_t)bytes[found - letters];
    return found != NULL;
}

// Appends what the raw text of a string means; `out` NULL: only checks it.
static bool put_unescaped(struct buf *out, struct span raw)
{
    const uint8_t *at = raw.ptr, *end = raw.ptr + raw.len;
    while (at < end) {
        const uint8_t *escape = memchr(at, '\\', (size_t)(end - at));
        const uint8_t *plain_end = escape ? escape : end;
        if (out)
            buf_put(out, span_of(at, (size_t)(plain_end - at)));
        if (!escape)
            return true;
        at = escape + 1;
        uint32_t point;
        if (!read_escape(&at, end, &point))
            return false;
        if (out)
            utf8_put(out, point);
    }
    return true;
}

// The text between the quotes, as it stands. False: it does not end, or holds a control byte.
static bool read_raw(struct json_reader *reader, struct span *out_raw, bool *out_escaped)
{
    const uint8_t *start = reader->at + 1, *at = start;
    *out_escaped = false;
    while (at < reader->end && *at != '"') {
        if (*at < ' ')
            return false;
        if (*at == '\\') {
            *out_escaped = true;
            at++; // what it escapes may be a quote
            if (at == reader->end || *at < ' ')
                return false;
        }
        at++;
    }
    if (at == reader->end)
        return false;
    *out_raw = span_of(start, (size_t)(at - start));
    reader->at = at + 1;
    return true;
}

static struct span read_string(struct json_reader *reader, struct buf *scratch)
{
    struct span raw;
    bool is_escaped;
    if (!read_raw(reader, &raw, &is_escaped) || !utf8_is_valid(raw)) {
        fail(reader);
        return (struct span){0};
    }
    if (!is_escaped)
        return raw;
    if (scratch)
        buf_clear(scratch);
    if (!put_unescaped(scratch, raw) || (scratch && buf_has_failed(scratch))) {
        fail(reader);
        return (struct span){0};
    }
    return scratch ? buf_span(scratch) : (struct span){0};
}

struct span json_name(struct json_reader *reader, struct buf *scratch)
{
    skip_blanks(reader);
    bool is_here = !reader->failed && is_in_object(reader) && !reader->is_due &&
                   !reader->is_first && reader->at < reader->end && *reader->at == '"';
    if (!is_here) {
        fail(reader);
        return (struct span){0};
    }
    struct span name = read_string(reader, scratch);
    skip_blanks(reader);
    if (reader->failed || !take(reader, ':')) {
        fail(reader);
        return (struct span){0};
    }
    reader->is_due = true;
    return name;
}

struct span json_string(struct json_reader *reader, struct buf *scratch)
{
    return begin(reader, JSON_STRING) ? read_string(reader, scratch) : (struct span){0};
}

// ---- scalars

static size_t digits_len(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *start = at;
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return (size_t)(at - start);
}

// -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)?
static struct span read_number(struct json_reader *reader)
{
    const uint8_t *start = reader->at;
    take(reader, '-');
    size_t whole = digits_len(reader->at, reader->end);
    bool is_right = whole == 1 || (whole > 1 && *reader->at != '0');
    reader->at += whole;
    if (take(reader, '.')) {
        size_t fraction = digits_len(reader->at, reader->end);
        is_right = is_right && fraction > 0;
        reader->at += fraction;
    }
    if (take(reader, 'e') || take(reader, 'E')) {
        if (!take(reader, '+'))
            take(reader, '-');
        size_t exponent = digits_len(reader->at, reader->end);
        is_right = is_right && exponent > 0;
        reader->at += exponent;
    }
    struct span number = span_of(start, (size_t)(reader->at - start));
    if (!is_right)
        fail(reader);
    return number;
}

int64_t json_integer(struct json_reader *reader)
{
    enum json_kind kind = json_peek(reader);
    struct span text = {0};
    if (kind == JSON_STRING)
        text = json_string(reader, NULL);
    else if (begin(reader, JSON_NUMBER))
        text = read_number(reader);
    int64_t value = 0;
    if (!reader->failed && (text.len == 0 || !decimal_parse(text, &value)))
        fail(reader);
    return reader->failed ? 0 : value;
}

static void take_word(struct json_reader *reader, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(reader->end - reader->at) < len || memcmp(reader->at, word, len) != 0)
        fail(reader);
    else
        reader->at += len;
}

static void skip_bool(struct json_reader *reader)
{
    if (begin(reader, JSON_BOOL))
        take_word(reader, *reader->at == 't' ? "true" : "false");
}

void json_null(struct json_reader *reader)
{
    if (begin(reader, JSON_NULL))
        take_word(reader, "null");
}

// ---- anything

static void skip_scalar(struct json_reader *reader, enum json_kind kind)
{
    if (kind == JSON_STRING)
        json_string(reader, NULL);
    else if (kind == JSON_BOOL)
        skip_bool(reader);
    else if (kind == JSON_NULL)
        json_null(reader);
    else if (begin(reader, JSON_NUMBER))
        read_number(reader);
}

void json_skip(struct json_reader *reader)
{
    uint8_t level = reader->depth;
    do {
        enum json_kind kind = json_peek(reader);
        if (kind == JSON_ARRAY || kind == JSON_OBJECT)
            json_open(reader, kind);
        else
            skip_scalar(reader, kind);
        while (!reader->failed && reader->depth > level && !json_next(reader))
            continue;
        if (!reader->failed && reader->depth > level && is_in_object(reader))
            json_name(reader, NULL);
    } while (!reader->failed && reader->depth > level);
}

bool json_is_done(struct json_reader *reader)
{
    skip_blanks(reader);
    return !reader->failed && reader->depth == 0 && !reader->is_due && reader->at == reader->end;
}
