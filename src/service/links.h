// SPDX-License-Identifier: Apache-2.0
// The handlers of links between replicas: their state, and the drill switch that cuts and heals
// them.
#pragma once
#include "service/exchange.h"

void service_links_get(struct exchange *exchange, const struct http_request *request);
void service_links_post(struct exchange *exchange, const struct http_request *request);
