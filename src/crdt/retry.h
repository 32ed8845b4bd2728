// SPDX-License-Identifier: Apache-2.0
// Retry tokens: an add that says its name is counted once, whichever replicas it is retried at.
// A tokened add is an ordinary add of its leader's contribution and, in the same commit, a dot
// under (key, token): a cell at the add's sequence, whose lease part says the amount (`count`) and
// when the token was made or first seen (`epoch`, in seconds). Leaders that did not know of each
// other both add; where their dots have met, readers take off what is too much:
//
//   taken = sum of the uncut dots - (the amount of the least origin's dot, if none is cut, else 0)
//
// A dot is cut when a reset has observed the add that it stands for. So a token that any reset has
// observed counts nothing any more, one that none has observed counts once.
//
// Whoever adds anew under a token that was forgotten everywhere does so more than a window later.
// Where an old dot is still held, the two must not be taken for one: a dot that is older than the
// newest one by more than the window is passed over, by every replica alike.
#pragma once
#include "crdt/unit.h"

#define RETRY_DIGEST_BYTES 12

// What stands for the client's words under a key, the same at every replica. 96 bits: among 10^7
// tokens of one key two are taken for one with a chance of 1 in 10^15.
void retry_digest(struct span token, uint8_t out_digest[RETRY_DIGEST_BYTES]);

// When a token was made, if it says so: a UUID of version 7 does (RFC 9562). Else 0.
uint64_t retry_made_ms(struct span token);

// One add, in place of what `origin` has there. 0 or -ENOMEM.
struct retry_dot {
    uint16_t origin;
    uint64_t sequence;
    int64_t amount;
    uint64_t made_s;
};
int retry_put(struct unit *dots, const struct retry_dot *dot);
uint64_t retry_newest_s(const struct unit *dots); // 0: no dot

// What a key's cells look like to its tokens.
struct retry_key {
    const struct unit *cells;
    const struct vector *seen; // up to which they are complete
    const struct origins *origins;
    uint64_t window_s;
};
struct retry_judgement {
    int64_t taken;   // modulo 2^64
    unsigned dots;   // that are not passed over
    bool has_unseen; // a dot's add is not here, or not yet: it is left out until it is
    bool is_all_cut;
};
struct retry_judgement retry_judge(const struct unit *dots, const struct retry_key *key);
