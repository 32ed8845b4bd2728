// SPDX-License-Identifier: Apache-2.0
// The ports of `quipu up`: which, what they are for, and whether they are free.
#pragma once

#define PORTS_REGIONS_MAX 9  // a database and its eight peers
#define PORTS_STEP        10 // from a region to the next

enum port { PORT_RESP, PORT_PEERS, PORT_HTTP, PORT_HEARTBEATS, PORT_REALTIME, PORTS };

static inline unsigned port_of(unsigned base, unsigned region, enum port port)
{
    return base + PORTS_STEP * region + port;
}

// 0 when all are free; else the number of those that are not, each named on stderr.
unsigned ports_check(unsigned base, unsigned regions_count);
