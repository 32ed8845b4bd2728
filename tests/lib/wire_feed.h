// SPDX-License-Identifier: Apache-2.0
// Feeds of the stream parsers of src/wire: what each understood, as text that tests compare and
// that people can read.
#pragma once
#include "tests/lib/feed.h"

extern const struct feed feed_resp;   // "[INCR] [key]", or the fault
extern const struct feed feed_answer; // "*2 $[a] :1"
extern const struct feed feed_http;   // requests
extern const struct feed feed_http_response;
extern const struct feed feed_websocket; // frames to a server
extern const struct feed feed_websocket_client;
extern const struct feed feed_peer;

// Appends bytes with what is not printable as \xx.
void feed_put_shown(struct buf *trace, struct span bytes);
