// SPDX-License-Identifier: Apache-2.0
// Everything that clients and peers can make grow in a database has its limit here, stated by
// `quipu db --limits`; the service and the real-time part have theirs in their rooms. With
// QUIPU_TINY every limit is small, so that the ordinary tests meet each of them.
#pragma once

#ifdef QUIPU_TINY
#define LIMIT_KEY_BYTES     64
#define LIMIT_PATTERN_BYTES 48
#define LIMIT_CHANNEL_BYTES 1024
#define LIMIT_FEEDS         2
#define LIMIT_TOKEN_BYTES   36
#define LIMIT_ORIGINS       8
#define LIMIT_ROUND_BYTES   4096
#define LIMIT_CHANGE_ORDER  64
#define LIMIT_REQUEST_BYTES 8192
#define LIMIT_REQUEST_ARGS  64
#define LIMIT_QUEUED_BYTES  4096
#define LIMIT_OUTPUT_BYTES  65536
#define LIMIT_CLIENTS       64
#define LIMIT_PEERS         4
#define LIMIT_CONTENT_BYTES 256
#define LIMIT_SKETCH_BYTES  24
#define LIMIT_EARLY_BYTES   4096
#define LIMIT_USERS         8
#define LIMIT_USER_RULES    8
#define LIMIT_SELECTORS     8
#define LIMIT_SET_PICK      8
#define LIMIT_BACKUP_BYTES  1024
#else
#define LIMIT_KEY_BYTES     65535    // a key, and a member or owner within one
#define LIMIT_PATTERN_BYTES 1024     // a glob: matching costs its length times the text's
#define LIMIT_FEEDS         256      // connections with QUIPU.FEED
#define LIMIT_CHANNEL_BYTES 131072   // a channel that is published to
#define LIMIT_TOKEN_BYTES   255      // of a client's retry token
#define LIMIT_ORIGINS       256      // incarnations that one replica knows
#define LIMIT_ROUND_BYTES   1048576  // a feed round, about: at least one whole unit
#define LIMIT_CHANGE_ORDER  262144   // changed keys remembered for peers; behind it, a walk
#define LIMIT_REQUEST_BYTES 16777216 // one RESP command, all its arguments
#define LIMIT_REQUEST_ARGS  1048576  // arguments of one RESP command
#define LIMIT_QUEUED_BYTES  16777216 // what MULTI has queued and WATCH remembers
#define LIMIT_OUTPUT_BYTES  33554432 // unsent reply bytes of one client, then it is closed
#define LIMIT_CLIENTS       10000
#define LIMIT_PEERS         8       // other members of a cluster
#define LIMIT_CONTENT_BYTES 4096    // bytes that a cell holds beside its numbers
#define LIMIT_SKETCH_BYTES  512     // a HyperLogLog's registers in one piece; beyond it, in blocks
#define LIMIT_EARLY_BYTES   65536   // one RESP command before AUTH
#define LIMIT_USERS         10000   // of ACL
#define LIMIT_USER_RULES    1024    // key patterns of a user; so channels, commands, passwords
#define LIMIT_SELECTORS     64      // of a user
#define LIMIT_SET_PICK      1048576 // members that SPOP and SRANDMEMBER take at once
#define LIMIT_BACKUP_BYTES  1048576 // of a file of a backup, in one answer
#endif

#define LIMIT_TEXT(limit)    LIMIT_TEXT_OF(limit)
#define LIMIT_TEXT_OF(limit) #limit

#define LIMIT_USER_NAME 255
#define LIMIT_TOTAL     ((int64_t)1 << 59) // an origin's total stays within plus or minus
