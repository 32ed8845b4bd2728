// SPDX-License-Identifier: Apache-2.0
// permessage-deflate (RFC 7692) over zlib, without context takeover on either side: a message is
// packed and unpacked by itself, so one pair of zlib streams serves every connection of a loop, a
// connection holds nothing, and a packed message may be sent to many.
//
// Our window is 512 bytes, the least that zlib can do: for frames of counts it packs as well as a
// larger one (1,000 entries: 12.5 against 12.3 KB), and it meets any limit that a client may set.
#pragma once
#include "base/buf.h"
#include "wire/http.h"

#define DEFLATE_WINDOW_BITS 9

struct deflate;

// 0 or -ENOMEM. About 300 KiB.
int deflate_new(struct deflate **out_deflate, struct heap *heap);
void deflate_free(struct deflate *deflate); // NULL too

// Appends the payload of a message whose first frame has RSV1. False: no memory.
bool deflate_pack(struct deflate *deflate, struct buf *out, struct span message);

enum { DEFLATE_E_BROKEN = 1, DEFLATE_E_LONG };
// The message in such a payload. 0: *out_message borrows until the next call. DEFLATE_E_BROKEN: no
// DEFLATE data. DEFLATE_E_LONG: more than bytes_max, no more of it was unpacked. -ENOMEM.
int deflate_unpack(struct deflate *deflate, struct span payload, size_t bytes_max,
                   struct span *out_message);

// Appends `text` as a gzip file (RFC 1952), as small as zlib can make it. False: no memory.
bool deflate_gzip(struct buf *out, struct span text);

// The first offer of Sec-WebSocket-Extensions that can be met.
struct deflate_offer {
    bool is_met;
    uint8_t window_bits; // server_max_window_bits, to be told back; 0: not asked for
};
struct deflate_offer deflate_read_offer(const struct http_request *request);
// The answer to it: the header line.
void deflate_put_answer(struct buf *out, const struct deflate_offer *offer);
