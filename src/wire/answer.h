// SPDX-License-Identifier: Apache-2.0
// What a RESP client reads: one answer (RESP2 or RESP3, pushes too) as a flat array of tokens, each
// aggregate before its elements. Streamed aggregates and attributes of RESP3 are refused. As with
// requests the caller keeps incomplete bytes and the parser does not scan them twice.
#pragma once
#include "base/buf.h"

#define ANSWER_DEPTH_MAX      8
#define ANSWER_BULK_BYTES_MAX (512u << 20)
#define ANSWER_COUNT_MAX      (16u << 20) // elements of one aggregate

enum answer_kind {
    ANSWER_SIMPLE,
    ANSWER_ERROR, // simple or bulk
    ANSWER_INTEGER,
    ANSWER_BULK,
    ANSWER_NIL, // RESP3's null, RESP2's nil bulk and nil array
    ANSWER_ARRAY,
    ANSWER_SET,
    ANSWER_MAP,
    ANSWER_PUSH,
    ANSWER_BOOL,
    ANSWER_DOUBLE,
    ANSWER_BIG,      // digits in text
    ANSWER_VERBATIM, // text without its format prefix
};

struct answer_token {
    enum answer_kind kind;
    uint32_t count;   // elements of an aggregate; a map of n pairs has 2n
    uint32_t size;    // tokens in it, this one included: token + token->size is the next sibling
    struct span text; // of everything that is not an aggregate; borrows from the input
    int64_t integer;  // INTEGER, BOOL
    double number;    // DOUBLE
};

struct answer_parser { // kept between calls; zeroed at the start
    size_t at, need;
    size_t seen;     // no line ends before here
    uint32_t tokens; // of the answer; after ANSWER_E_ROOM: how many there are
    uint32_t depth;
    bool is_whole;                   // but there was no room
    uint32_t left[ANSWER_DEPTH_MAX]; // elements still to come, by level
};

struct answer {
    struct answer_token *tokens; // the caller's; tokens[0] is the answer
    uint32_t tokens_max;
    uint32_t tokens_count;
};

enum { ANSWER_E_MORE = 1, ANSWER_E_PROTOCOL, ANSWER_E_ROOM };

// 0: tokens and out_used are set. ANSWER_E_ROOM: whole, but needs parser->tokens tokens.
int answer_parse(struct answer_parser *parser, struct span input, struct answer *answer,
                 size_t *out_used);

// The value of `name` (ASCII, any case) in a map, or in an array of names and values as RESP2 has
// it; NULL when absent.
const struct answer_token *answer_field(const struct answer_token *map, const char *name);
// An INTEGER, or text that is one, as a bulk answer of GET.
bool answer_integer(const struct answer_token *token, int64_t *out_value);
static inline const struct answer_token *answer_next(const struct answer_token *token)
{
    return token + token->size;
}
