// SPDX-License-Identifier: Apache-2.0
// JSON read, strictly (RFC 8259), by pulling: the caller knows which value it wants next. No memory
// is needed but for strings with escapes. A reader is sticky: on malformed text, on a value of
// another kind, or deeper than JSON_DEPTH_MAX it fails, and yields zeros and no elements; ask
// json_is_done at the end.
//
//     struct json_reader reader = json_reader_of(body);
//     json_open(&reader, JSON_OBJECT);
//     while (json_next(&reader)) {
//         struct span name = json_name(&reader, &scratch);
//         if (span_is_equal(name, span_text("by")))
//             by = json_integer(&reader);
//         else
//             json_skip(&reader);
//     }
//     if (!json_is_done(&reader)) ...
#pragma once
#include "base/buf.h"

#define JSON_DEPTH_MAX 32

enum json_kind {
    JSON_NONE, // the end, or failed
    JSON_NULL,
    JSON_BOOL,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

struct json_reader {
    const uint8_t *at;
    const uint8_t *end;
    uint32_t objects; // bit d: level d is an object
    uint8_t depth;
    bool is_first; // of the innermost aggregate no element was read
    bool is_due;   // a value was announced by json_next or json_name and is to be read
    bool failed;
};

struct json_reader json_reader_of(struct span text);
// What comes next, without taking it.
enum json_kind json_peek(struct json_reader *reader);
// Enters a JSON_ARRAY or JSON_OBJECT.
void json_open(struct json_reader *reader, enum json_kind kind);
// In the aggregate entered last: true when another element (or member) follows; else leaves it.
bool json_next(struct json_reader *reader);
// The name of a member; its value is next. Spans of strings borrow from the input when they have no
// escapes, else from `scratch`, which is cleared by each call that needs it (without memory for it
// the reader fails). Valid UTF-8.
struct span json_name(struct json_reader *reader, struct buf *scratch);
struct span json_string(struct json_reader *reader, struct buf *scratch);
// An integer without fraction or exponent, or a string that is one (as json_put_integer writes).
int64_t json_integer(struct json_reader *reader);
void json_null(struct json_reader *reader);
void json_skip(struct json_reader *reader); // a value of any kind
// Not failed, everything closed, nothing but blanks left.
bool json_is_done(struct json_reader *reader);
