// SPDX-License-Identifier: Apache-2.0
// What clients say: {"track":[key..]} {"untrack":[key..]} {"publish":[page..]}
// {"unpublish":[page..]} {"token":"..."}, several members in one message too. What is wrong with a
// message is answered with {"error":{"code","message"}} and the connection goes on; words before it
// have been obeyed.
//
// A client that comes back says what it has: {"epoch":"...","track":[["likes",17],"views"]}, and is
// not told the version 17 of likes again, if that is still the newest of this epoch.
#pragma once
#include "base/span.h"

struct visitor;

struct wrong {
    const char *code, *message;
    uint16_t status; // the same as HTTP says it
};

// NULL: done. `told` as in struct subscription.
const struct wrong *talk_track(struct visitor *visitor, struct span key, uint64_t told);
const struct wrong *talk_publish(struct visitor *visitor, struct span page);

void talk_take(struct visitor *visitor, struct span message);
// The visitor ends: it tracks and publishes nothing any more.
void talk_end(struct visitor *visitor);
