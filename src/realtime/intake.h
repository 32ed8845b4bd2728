// SPDX-License-Identifier: Apache-2.0
// Newer values from the counter service: the bodies of PUT /v1/topics and PUT /v1/topics/{key}.
// Idempotent by (epoch, version): the same PUT twice, late or out of order changes nothing more.
#pragma once
#include "base/span.h"

struct realtime;

struct intake {
    uint64_t applied, stale, untracked;
};

// {"service","epoch","counts":[[key,value|null,version],...]}. Entries before a malformed one have
// been applied when it answers false, with what is wrong.
bool intake_batch(struct realtime *realtime, struct span body, struct intake *out_intake,
                  const char **out_wrong);
// {"epoch","value","version"}. A signature covers the body only, so with a secret the body must say
// the "key" too, or a signed body could be sent to another key's path.
bool intake_one(struct realtime *realtime, struct span key, struct span body,
                struct intake *out_intake, const char **out_wrong);
