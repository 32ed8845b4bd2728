// SPDX-License-Identifier: Apache-2.0
// Any bytes as JSON: a text that is skipped as JSON is walked to its end, written again in one
// form, and that form is JSON which is written again as itself. And any bytes as a string: what is
// written is JSON and reads back, as the same bytes where they are UTF-8.
#include <stdlib.h>
#include "tests/lib/heap_libc.h"
#include "wire/json.h"
#include "wire/json_in.h"
#include "wire/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct fixture {
    struct heap_libc heap;
    struct buf scratch, once, twice;
};

static void demand(bool is_right)
{
    if (!is_right)
        abort();
}

// A value that is no aggregate; numbers and words as they stand.
static void rewrite_scalar(struct json_reader *reader, struct buf *scratch, struct buf *out)
{
    if (json_peek(reader) == JSON_STRING) {
        json_put_string(out, json_string(reader, scratch));
        return;
    }
    const uint8_t *start = reader->at;
    json_skip(reader);
    if (!reader->failed)
        buf_put(out, span_of(start, (size_t)(reader->at - start)));
}

// Writes the text without blanks, its strings in one form. False: it is not JSON.
static bool rewrite(struct span text, struct buf *scratch, struct buf *out)
{
    struct json_reader reader = json_reader_of(text);
    uint8_t closers[JSON_DEPTH_MAX];
    bool is_first = true;
    do {
        enum json_kind kind = json_peek(&reader);
        if (kind == JSON_ARRAY || kind == JSON_OBJECT) {
            json_open(&reader, kind);
            if (reader.failed)
                return false;
            closers[reader.depth - 1] = kind == JSON_ARRAY ? ']' : '}';
            buf_put_byte(out, kind == JSON_ARRAY ? '[' : '{');
            is_first = true;
        } else {
            rewrite_scalar(&reader, scratch, out);
            is_first = false;
        }
        while (!reader.failed && reader.depth > 0 && !json_next(&reader)) {
            if (reader.failed)
                return false;
            buf_put_byte(out, closers[reader.depth]);
            is_first = false;
        }
        if (reader.failed || reader.depth == 0)
            break;
        if (!is_first)
            buf_put_byte(out, ',');
        if (closers[reader.depth - 1] == '}') {
            json_put_string(out, json_name(&reader, scratch));
            buf_put_byte(out, ':');
        }
    } while (!reader.failed);
    return json_is_done(&reader);
}

static void as_text(struct fixture *fixture, struct span text)
{
    struct json_reader reader = json_reader_of(text);
    json_skip(&reader);
    bool is_json = json_is_done(&reader);
    demand(rewrite(text, &fixture->scratch, &fixture->once) == is_json);
    if (!is_json)
        return;
    demand(rewrite(buf_span(&fixture->once), &fixture->scratch, &fixture->twice));
    demand(span_is_equal(buf_span(&fixture->once), buf_span(&fixture->twice)));
}

static void as_string(struct fixture *fixture, struct span bytes)
{
    buf_clear(&fixture->once);
    json_put_string(&fixture->once, bytes);
    struct json_reader reader = json_reader_of(buf_span(&fixture->once));
    struct span read = json_string(&reader, &fixture->scratch);
    demand(json_is_done(&reader) && utf8_is_valid(read));
    if (utf8_is_valid(bytes))
        demand(span_is_equal(read, bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct fixture fixture;
    heap_libc_init(&fixture.heap);
    buf_init(&fixture.scratch, &fixture.heap.heap);
    buf_init(&fixture.once, &fixture.heap.heap);
    buf_init(&fixture.twice, &fixture.heap.heap);
    as_text(&fixture, span_of(bytes, len));
    as_string(&fixture, span_of(bytes, len));
    struct json_reader reader = json_reader_of(span_of(bytes, len));
    json_integer(&reader);
    buf_deinit(&fixture.scratch);
    buf_deinit(&fixture.once);
    buf_deinit(&fixture.twice);
    demand(fixture.heap.bytes == 0);
    return 0;
}
