// SPDX-License-Identifier: Apache-2.0
// quipu count --exactly-once, with the options of quipu count.
#pragma once
#include "cli/options.h"

int count_once(const struct options *options); // the exit status
