// SPDX-License-Identifier: Apache-2.0
// The handlers of counters. The key is in the exchange.
#pragma once
#include "service/exchange.h"

void counters_get(struct exchange *exchange, const struct http_request *request);
void counters_get_many(struct exchange *exchange, const struct http_request *request);
void counters_increment(struct exchange *exchange, const struct http_request *request);
void counters_set(struct exchange *exchange, const struct http_request *request);
void counters_delete(struct exchange *exchange, const struct http_request *request);
