// SPDX-License-Identifier: Apache-2.0
// Who is here, key by key: how many streams of this node track a key, and how many publish it.
//
//   GET /v1/topics/{key}   {"key","value","version","epoch","subscribers","publishers"}
//   GET /v1/topics         {"connections","streams","subscriptions","topics",
//                           "top":[{"key","value","subscribers","publishers"},...]}
//
// With token keys a key is shown to who may track it.
#pragma once
#include "base/buf.h"
#include "realtime/board.h"

#define OCCUPANCY_TOP      50
#define OCCUPANCY_FRESH_MS 1000 // a listing is made anew at most so often

struct visitor;
struct http_request;

struct occupancy { // zero it
    struct topic_rank {
        uint64_t count;
        int64_t value;
        uint32_t subscribers, publishers;
        bool has_value;
        uint32_t key_at, key_len; // in keys
    } top[OCCUPANCY_TOP];         // the most occupied first
    size_t count;
    struct buf keys;
    uint64_t made_ms; // 0: never
};

void occupancy_start(struct occupancy *occupancy, struct heap *heap);
void occupancy_stop(struct occupancy *occupancy);
// Into `out`, JSON.
void occupancy_put_node(struct buf *out, struct visitor *visitor);
void occupancy_put_topic(struct buf *out, const struct board *board, struct span key);
