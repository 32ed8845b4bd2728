// SPDX-License-Identifier: Apache-2.0
// From a struct that is embedded (a timer, a stream, a call) to the one that it is embedded in: how
// a callback finds whose it is.
#pragma once
#include <stddef.h>

#define owner_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
