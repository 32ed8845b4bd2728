// SPDX-License-Identifier: Apache-2.0
// Clocks and chance of the operating system.
#pragma once
#include <stddef.h>
#include <stdint.h>

uint64_t clock_monotonic_ms(void);
uint64_t clock_wall_ms(void); // since 1970
uint64_t clock_wall_us(void);
uint64_t clock_monotonic_ns(void);
void random_bytes(void *to, size_t len); // getrandom; ends the process if there is none
