// SPDX-License-Identifier: Apache-2.0
// Times of life, as commands see them.
#pragma once
#include "command/command.h"

// The wall clock that keys are hidden by: of the replica on its thread, of the host on a worker's.
uint64_t call_clock_ms(const struct call *call);
// Whether the deadline of a RECORD_MORTAL record has passed: then it is hidden.
bool key_is_over(const struct call *call, const struct record *record);
// Whether clients see the record. No clock is read for a key without a deadline.
static inline bool key_is_shown(const struct call *call, const struct record *record)
{
    uint32_t flags = record ? record_flags(record) : 0;
    return (flags & RECORD_LIVE) && (!(flags & RECORD_MORTAL) || !key_is_over(call, record));
}
// Before a command that writes runs on the replica thread: ends those of its keys whose time is
// over. 0 or -ENOMEM.
int command_touch(struct call *call);
