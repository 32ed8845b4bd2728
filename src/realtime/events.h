// SPDX-License-Identifier: Apache-2.0
// Counts without a WebSocket: server-sent events, and where not even those come through, polls.
//
//   GET /v1/stream?track=a&track=b&publish=/p     text/event-stream (HTML standard, 9.2):
//       data: {"c":[["a",42,17]]}                 the frames of the WebSocket
//       id: 9f3c5d:17.4                           the epoch, and the version told of each key
//   GET /v1/poll?track=a&track=b&after=ID         the answer comes when something is newer than ID,
//       {"c":[["a",42,17]],"id":"9f3c5d:17.4"}    or after VISITOR_PING_MS with an empty list
//
// Who comes back says the last id (Last-Event-ID, or after=) with the same keys in the same order,
// and is told what is newer, neither less nor more. Also at another node of the region: versions
// are the database's.
#pragma once
#include "realtime/fanout.h"
#include "wire/http.h"

#ifdef QUIPU_TINY
#define EVENTS_KEYS_MAX 8
#else
#define EVENTS_KEYS_MAX 100 // of one stream or poll: their versions are in each id
#endif
#define EVENTS_RETRY_MS 1000 // an EventSource's wait before it comes back

struct visitor;

// Begins a stream (VISITOR_EVENTS) or a poll (VISITOR_POLL). NULL: begun; else what is wrong,
// and nothing has been written.
struct wrong;
const struct wrong *events_begin(struct visitor *visitor, const struct http_request *request,
                                 int mode);

void events_tell(struct visitor *visitor, const struct fanout_frame *frame);
void events_ping(struct visitor *visitor); // a comment; a poll is answered
// The client is to wait that long before it comes back.
void events_spread(struct visitor *visitor, uint64_t wait_ms);
void events_end(struct visitor *visitor, const char *reason); // what is said at the end
