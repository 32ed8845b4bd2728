// SPDX-License-Identifier: Apache-2.0
// The head of an HTTP message, for http.c: scanned line by line as it arrives, read when it is
// whole. Two readings must agree on how the message is framed, this room's own and llhttp's;
// where they do not, the message is refused.
#pragma once
#include "wire/http.h"

enum http_kind { HTTP_KIND_REQUEST, HTTP_KIND_RESPONSE };

enum {
    HTTP_FAULT_LINE_END,
    HTTP_FAULT_START,
    HTTP_FAULT_VERSION_FORM,
    HTTP_FAULT_VERSION,
    HTTP_FAULT_METHOD,
    HTTP_FAULT_TARGET,
    HTTP_FAULT_TARGET_LONG,
    HTTP_FAULT_NAME,
    HTTP_FAULT_VALUE,
    HTTP_FAULT_HEAD_LONG,
    HTTP_FAULT_HEADERS,
    HTTP_FAULT_REPEATED,
    HTTP_FAULT_HOST_MISSING,
    HTTP_FAULT_HOST,
    HTTP_FAULT_LENGTH,
    HTTP_FAULT_LENGTH_AND_CODING,
    HTTP_FAULT_CODING_1_0,
    HTTP_FAULT_CODING,
    HTTP_FAULT_CODING_OTHER,
    HTTP_FAULT_EXPECT,
    HTTP_FAULT_CHUNK,
    HTTP_FAULT_BODY_LARGE,
    HTTP_FAULT_NO_LENGTH,
    HTTP_FAULT_FRAMING,
    HTTP_FAULTS,
};
extern const struct http_fault http_faults[HTTP_FAULTS];

struct http_head {
    struct span start[3]; // method, target, version; or version, status, reason
    struct span headers;
    struct span field[HTTP_FIELDS];
    enum http_method method;
    uint16_t status;
    uint8_t version_minor;
    bool keeps_alive, is_upgrade;
    bool is_chunked;
    bool has_length;
    uint32_t length; // at most HTTP_BODY_BYTES_MAX
};

// Checks further lines. NULL and parser->head_len set: the head is whole, it starts at
// parser->start. NULL and no head_len: more is needed.
const struct http_fault *http_head_scan(struct http_parser *parser, struct span input,
                                        enum http_kind kind);
// Reads a head that was scanned whole, its empty line included.
const struct http_fault *http_head_read(struct span bytes, enum http_kind kind,
                                        struct http_head *out_head);
// The part of `list` before the next comma, without blanks around it; false when none is left.
bool http_next_token(struct span *list, struct span *out_token);
