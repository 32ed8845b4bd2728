// SPDX-License-Identifier: Apache-2.0
// Scripts and functions, as the commands see them: the script room runs EVAL, SCRIPT, FCALL and
// FUNCTION on the replica thread; here is where they are handed to it.
#pragma once
#include "command/command.h"

#define SCRIPT_TIME_MS 100  // script-time-limit, at first
#define SCRIPT_BUSY_MS 5000 // busy-reply-threshold

struct scripts {
    int (*perform)(struct scripts *scripts, struct call *call);
};

// What SCRIPT KILL and FUNCTION KILL may find.
enum script_kill { KILL_DONE, KILL_NOT_BUSY, KILL_HAS_WRITTEN, KILL_IS_EVAL, KILL_IS_FUNCTION };

void reply_function_stats(struct reply *reply, const struct running *running, uint64_t took_ms);

// Whether the command may run while a script takes long; others are told BUSY.
bool command_is_for_busy(const struct call *call);
void reply_busy(struct reply *reply, const char *before, bool is_function);
