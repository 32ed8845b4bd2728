// SPDX-License-Identifier: Apache-2.0
// The parts of URLs (RFC 3986): percent-encoding, path segments, query pairs, and the http URLs
// that options name other services by.
#pragma once
#include "base/buf.h"

// Appends the decoded text; false (then nothing was appended) on a '%' without two hexadecimal
// digits. The query form also takes '+' for a space.
bool url_put_decoded(struct buf *out, struct span text);
bool url_put_decoded_query(struct buf *out, struct span text);
// Appends with everything but unreserved characters encoded, '/' too: one segment or query value.
void url_put_encoded(struct buf *out, struct span bytes);

// Splits raw "a=1&b&c=": the next pair, still encoded; false when none is left. Empty ones are
// skipped.
bool url_next_pair(struct span *query, struct span *out_name, struct span *out_value);
// Splits raw "/v1/counters/a%2Fb": the next segment without its slash, still encoded; false when
// none is left. "/a/" has the segments "a" and "".
bool url_next_segment(struct span *path, struct span *out_segment);

struct url {
    struct span host; // without the brackets of IPv6
    uint16_t port;    // 80 when not told, or 443
    bool is_tls;      // https
    struct span path; // "/" when empty; with the query
};
// "http://host[:port][/path]", or https, only. Borrows.
bool url_parse(struct span text, struct url *out_url);
