// SPDX-License-Identifier: Apache-2.0
// What the database refuses, as problems of HTTP.
#pragma once
#include "service/exchange.h"

// The database is away.
void fault_away(struct exchange *exchange);
// It answered with this error.
void fault_error(struct exchange *exchange, struct span error);
// Answers when the database did not (NULL) or refused. False: it did, and the exchange waits.
bool fault_is_answered(struct exchange *exchange, const struct answer_token *answer);
