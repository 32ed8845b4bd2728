// SPDX-License-Identifier: Apache-2.0
// malloc as a heap.
#pragma once
#include "base/heap.h"

struct heap *heap_system(void);
