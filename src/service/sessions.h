// SPDX-License-Identifier: Apache-2.0
// Sessions over HTTP: a request with a Quipu-Token sees at least what the token tells of, whichever
// region answers, and its answer has a token that covers the answer too. "new" begins a session.
#pragma once
#include "service/private.h"
#include "wire/http.h"

// Keeps the request's token, if it has one.
void session_take(struct exchange *exchange, const struct http_request *request);
// Goes on once the database has seen what the token tells of; else the exchange is answered 503
// after SERVICE_SESSION_WAIT_MS. At once without a token.
void session_wait(struct exchange *exchange, void (*go_on)(struct exchange *exchange));
// Goes on with the value once exchange->token covers it; at once without a session.
void session_cover(struct exchange *exchange, const struct value *value,
                   void (*go_on)(struct exchange *exchange, const struct value *value));
