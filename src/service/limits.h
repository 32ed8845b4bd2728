// SPDX-License-Identifier: Apache-2.0
// Everything that clients and real-time nodes can make grow in the service has its limit here. With
// QUIPU_TINY every limit is small, so that the ordinary tests meet each of them.
#pragma once

#ifdef QUIPU_TINY
#define SERVICE_CONNECTIONS_MAX 32
#define SERVICE_PIPELINE_MAX    4
#define SERVICE_BATCH_KEYS_MAX  16
#define SERVICE_PLATFORMS_MAX   4
#define SERVICE_TALLIES_MAX     64
#define SERVICE_SHARES_MAX      128
#define SERVICE_CALLS_MAX       64
#define SERVICE_PUT_COUNTS_MAX  8
#else
#define SERVICE_CONNECTIONS_MAX 10000
#define SERVICE_PIPELINE_MAX    128     // requests of one connection under way; then it is not read
#define SERVICE_BATCH_KEYS_MAX  1000    // keys of one GET /v1/counters
#define SERVICE_PLATFORMS_MAX   1024    // real-time nodes
#define SERVICE_TALLIES_MAX     1000000 // keys that real-time nodes told of
#define SERVICE_SHARES_MAX      2000000 // (node, key) pairs
#define SERVICE_CALLS_MAX       100000  // commands that wait for the database; then 503
#define SERVICE_PUT_COUNTS_MAX  1000    // counts in one PUT
#endif

#define SERVICE_REQUEST_BYTES_MAX (128u << 10) // one HTTP request
#define SERVICE_OUT_BYTES_PAUSE   (256u << 10) // unsent: no further request is read
#define SERVICE_OUT_BYTES_MAX     (32u << 20)  // unsent: the connection is closed

#define SERVICE_SESSION_WAIT_MS 2000 // for what a Quipu-Token tells of
