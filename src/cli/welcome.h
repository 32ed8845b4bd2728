// SPDX-License-Identifier: Apache-2.0
// What `quipu up` prints when everything serves: addresses, what to open, what to try.
#pragma once

void welcome_print(unsigned regions_count, unsigned port_base, const char *directory);
