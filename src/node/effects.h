// SPDX-License-Identifier: Apache-2.0
// What a node wants done. The driver carries effects out in order; its contract: what is to be
// written is durable before any SEND of the same step leaves. Bytes of a SEND are borrowed from
// `bytes` until the list is cleared.
#pragma once
#include "base/buf.h"

enum effect_type {
    EFFECT_DIAL,   // connect link `link` to `text`
    EFFECT_SEND,   // `bytes` on `link`
    EFFECT_CLOSE,  // `link`, after what was sent on it has left
    EFFECT_STAGE,  // join the round in the message just delivered on `link` at the next commit
    EFFECT_FEED,   // `link` is ready for a round: build and send one if there is anything
    EFFECT_COMMIT, // commit soon, even if nothing changed: something waits for it
    EFFECT_SERVE,  // the identity is settled: writes may be accepted
    EFFECT_RENEW,  // take a new incarnation, then carry on; all links are closed
    EFFECT_FORGET, // the same, and drop all that the other end of `link` says was dropped, and V
    EFFECT_SEAL,   // the history of `origin` is complete here: V of it is what is held of it
    EFFECT_REFUSE, // do not serve: `text` says why
    EFFECT_HIDE,   // origin `origin` has been silent too long: hide its leases
    EFFECT_SHOW,   // ... and is back
    EFFECT_LOG,    // one line for the operator: `text`
};

struct effect {
    enum effect_type type;
    uint32_t link;
    uint16_t origin;
    size_t offset, len; // in effects.bytes
};

struct effects {
    struct effect *list;
    size_t count, cap;
    struct buf bytes;
    struct heap *heap;
    bool failed; // -ENOMEM: some effect is missing; the driver must stop
};

void effects_init(struct effects *effects, struct heap *heap);
void effects_deinit(struct effects *effects);
void effects_clear(struct effects *effects);
void effects_put(struct effects *effects, enum effect_type type, uint32_t link);
void effects_put_origin(struct effects *effects, enum effect_type type, uint16_t origin);
// printf-like text for LOG, REFUSE and DIAL; cut at 500 bytes.
void effects_put_text(struct effects *effects, enum effect_type type, uint32_t link,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));
// A SEND whose bytes the caller appends to effects->bytes between open and close.
size_t effects_open_send(struct effects *effects);
void effects_close_send(struct effects *effects, uint32_t link, size_t mark);
static inline struct span effects_span(const struct effects *effects, const struct effect *effect)
{
    return span_of(effects->bytes.ptr + effect->offset, effect->len);
}
