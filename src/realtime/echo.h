// SPDX-License-Identifier: Apache-2.0
// The test build's /echo, over HTTP (any method) and WebSocket, for public conformance suites. The
// release build answers "no such path".
#pragma once
#include "base/span.h"
#include "wire/http.h"

struct visitor;

// What a connection may hold of a message to echo; 0: there is no echo.
uint32_t echo_bytes_max(void);
// True: the request was for the echo and is answered.
bool echo_answer(struct visitor *visitor, const struct http_request *request);
