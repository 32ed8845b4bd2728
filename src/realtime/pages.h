// SPDX-License-Identifier: Apache-2.0
// Who is on which page, here: a publisher (a visitor's connection) counts once on each page it has
// published, until it leaves the page or ends. The number of a page is its topic's
// publishers_count; the heartbeats tell it. Pure.
#pragma once
#include "realtime/board.h"

#ifdef QUIPU_TINY
#define PUBLISHER_PAGES_MAX 4
#else
#define PUBLISHER_PAGES_MAX 100
#endif

struct publication {
    struct topic *topic;
    struct publication *next; // of the publisher
};

struct publisher { // embedded in a client; zero it
    struct publication *first;
    uint16_t pages_count;
};

enum pages_outcome {
    PAGES_E_ALREADY = 1, // published already, or not published
    PAGES_E_FULL,        // PUBLISHER_PAGES_MAX
};

// 0, PAGES_E_ALREADY, PAGES_E_FULL, -ENOMEM. O(pages of the publisher).
int pages_publish(struct heap *heap, struct publisher *publisher, struct topic *topic);
int pages_unpublish(struct heap *heap, struct publisher *publisher, struct topic *topic);
// Leaves any one page and returns its topic; NULL when the publisher is on none.
struct topic *pages_leave(struct heap *heap, struct publisher *publisher);
