// SPDX-License-Identifier: Apache-2.0
// Which handler serves a request: a table of paths and methods.
#pragma once
#include "service/exchange.h"

void routes_serve(struct exchange *exchange, const struct http_request *request);
