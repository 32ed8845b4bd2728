// SPDX-License-Identifier: Apache-2.0
// What an operator asks of a region: how its database is, which keys it has, and whose parts a key
// is made of.
//
//   GET /v1/region                facts of INFO: {"replica","keys","commands",...}
//   GET /v1/keys?match=&cursor=   some keys a call, as SCAN gives them: {"cursor","keys"}
//   GET /v1/counters/{key}/parts  QUIPU.INSPECT: {"type","value","origins"}; of a presence also
//                                 "owners": [[owner,count,replica,ms left],...]
#pragma once
#include "service/exchange.h"

void region_get(struct exchange *exchange, const struct http_request *request);
void region_get_keys(struct exchange *exchange, const struct http_request *request);
void region_get_parts(struct exchange *exchange, const struct http_request *request);
