// SPDX-License-Identifier: Apache-2.0
// Handoff counters: exactly-once counting by clients that come, go, and retry anywhere (Almeida,
// Baquero 2013, arXiv 1307.3207). A node of tier 0 keeps amounts for good; one of a higher tier
// holds what it counted until a node of a lower tier has taken it over, by four messages that may
// be lost, doubled and delayed at will: the client's amount makes a *slot* at the server, the slot
// makes a *token* at the client, which holds the amount, the token fills the slot, and the filled
// slot's absence ends the token.
//
// A node is its whole state, and what travels: a message is a part of it that the receiver can use.
// Beside the paper: acknowledgements of settled tokens, so that a message need not carry all slots;
// certificates of departure, so that no slot stays for somebody who will not come back; and an
// estimate among equals that never exceeds what was counted (handoff_merge).
#pragma once
#include "base/bytes.h"

struct handoff_id {
    uint8_t bytes[16];
};

struct handoff_part { // what is kept of a node's amounts
    struct handoff_id id;
    uint64_t amount;
};

struct handoff_slot {
    struct handoff_id source;
    uint64_t sck, dck; // source and destination clocks, which the token must match
};

struct handoff_token {
    struct handoff_id source, destination;
    uint64_t sck, dck;
    uint64_t amount; // 0 where a token is only named
};

struct handoff_debt { // a settled token, to be acknowledged to whoever brought it
    struct handoff_id peer;
    struct handoff_token token;
};

// What a message says of slots: all of the sender's; the one of the receiver, if there is one;
// none. Only of slots that it would have carried, absence says something.
enum handoff_slots { HANDOFF_SLOTS_ALL, HANDOFF_SLOTS_ONE, HANDOFF_SLOTS_NONE };

struct handoff_node {
    struct heap *heap; // borrows
    struct handoff_id id;
    uint8_t tier;
    uint8_t slots_told; // enum handoff_slots, of a message
    uint64_t value, below;
    uint64_t sck, dck;
    struct handoff_part *parts; // one's own; in tier 0 everybody's
    struct handoff_slot *slots;
    struct handoff_token *tokens;
    struct handoff_debt *debts; // from each peer's last message
    struct handoff_token *acks; // in a message: settled at its sender
    struct handoff_id *departed;
    struct handoff_token *left; // of departed sources: tokens that others keep for them
    uint32_t parts_count, slots_count, tokens_count, debts_count, acks_count, departed_count,
        left_count;
};

bool handoff_id_is_equal(const struct handoff_id *a, const struct handoff_id *b);

void handoff_init(struct handoff_node *node, struct heap *heap, const struct handoff_id *id,
                  uint8_t tier);
void handoff_deinit(struct handoff_node *node);
uint64_t handoff_own(const struct handoff_node *node); // counted here and not handed over
// 0 or -ENOMEM.
int handoff_add(struct handoff_node *node, uint64_t amount);

// What `node` says to anybody, or to a node of that id and tier: only what it can use, and which of
// the tokens that its last message brought are settled. out_message is initialized here. 0 or
// -ENOMEM.
int handoff_tell_all(const struct handoff_node *node, struct handoff_node *out_message);
int handoff_tell(const struct handoff_node *node, const struct handoff_id *to, uint8_t tier,
                 struct handoff_node *out_message);

enum handoff_estimate { HANDOFF_SAFE, HANDOFF_PUBLISHED };
// Takes a message in. HANDOFF_PUBLISHED: the estimate of the paper, which a delayed message among
// nodes of one tier raises above what was counted; it is here to be compared. 0 or -ENOMEM (then
// the node may have taken a part; taking the message again completes it).
int handoff_merge(struct handoff_node *node, const struct handoff_node *message,
                  enum handoff_estimate estimate);

// For a server that keeps its state elsewhere and only speaks as a node. 0 or -ENOMEM.
int handoff_acknowledge(struct handoff_node *message, const struct handoff_token *token);
int handoff_put_slot(struct handoff_node *message, const struct handoff_id *source, uint64_t sck,
                     uint64_t dck);
int handoff_put_token(struct handoff_node *message, const struct handoff_token *token);

// Whether a client that counts no more may forget everything: it holds nothing, or all its tokens
// are kept by the node that it has just heard. It then tells that node so, by this:
bool handoff_can_leave(const struct handoff_node *node, const struct handoff_node *heard);
int handoff_leave(const struct handoff_node *node, struct handoff_node *out_message);

// One version of bytes. 0, HANDOFF_E_MALFORMED (also of another version), -ENOMEM; on an outcome
// out_message is not initialized.
#define HANDOFF_VERSION  1
#define HANDOFF_LIST_MAX 4096 // of each kind, in a message
enum { HANDOFF_E_MALFORMED = 1 };
void handoff_write(const struct handoff_node *message, struct buf *out);
int handoff_read(struct span bytes, struct heap *heap, struct handoff_node *out_message);
