// SPDX-License-Identifier: Apache-2.0
// Between the files of set commands.
#pragma once
#include "command/handlers.h"

bool set_is_type(enum cell_type type);
// False: the key holds something else, and the answer is written. `record` may be NULL.
bool set_find(struct call *call, struct record *record);
bool set_has(const struct call *call, struct span key, struct span member);
