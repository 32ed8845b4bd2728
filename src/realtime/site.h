// SPDX-License-Identifier: Apache-2.0
// What is served over HTTP: the table of paths, and the answers.
#pragma once
#include "base/buf.h"
#include "wire/http.h"
#include "wire/http_put.h"

struct realtime;
struct visitor;

void site_start(struct realtime *realtime); // makes the answers that never change
void site_stop(struct realtime *realtime);

// Answers one request: with a response, or by an upgrade.
void site_answer(struct visitor *visitor, const struct http_request *request);
// Writes the answer with what every one has (date, the fate of the connection).
void site_put(struct visitor *visitor, const struct http_request *request,
              const struct http_answer *answer);
