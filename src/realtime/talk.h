// SPDX-License-Identifier: Apache-2.0
// What clients say: {"track":[key..]} {"untrack":[key..]} {"publish":[page..]}
// {"unpublish":[page..]}, several members in one message too. What is wrong with a message is
// answered with {"error":{"code","message"}} and the connection goes on; words before it have been
// obeyed.
#pragma once
#include "base/span.h"

struct visitor;

void talk_take(struct visitor *visitor, struct span message);
// The visitor ends: it tracks and publishes nothing any more.
void talk_end(struct visitor *visitor);
