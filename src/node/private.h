// SPDX-License-Identifier: Apache-2.0
// Between the files of the node room: one function a noun they hand to each other.
#pragma once
#include "node/node.h"

// handshake.c
void handshake_link_up(struct node *node, uint32_t link, struct effects *effects);
void handshake_message(struct node *node, uint32_t link, const struct event *event,
                       struct effects *effects);
void handshake_committed(struct node *node, uint32_t link, struct effects *effects);
void handshake_tick(struct node *node, uint32_t link, struct effects *effects);
// The other end of `link` showed life while somebody of the same identity waits at the door.
void handshake_alive(struct node *node, uint32_t link, struct effects *effects);

// link.c
struct link *link_claim(struct node *node, bool is_dialed, uint32_t *out_link); // NULL: full
void link_close(struct node *node, uint32_t link, struct effects *effects);
void link_close_member(struct node *node, uint16_t member, struct effects *effects);
void link_free(struct node *node, uint32_t link);
void link_dial_due(struct node *node, struct effects *effects);
void link_ping(struct node *node, uint32_t link, struct effects *effects);
void text_set(char to[NODE_TEXT_BYTES], struct span from); // cut to fit
int peer_obtain(struct node *node, struct span address);   // index, -1: full or not an address
bool link_is_open(const struct link *link);

// membership.c
// A process of the member proved itself. A new one starts from its disk, which may be older than
// what the one before had told: that counts no longer.
void member_met(struct node *node, uint16_t index, uint64_t boot);
// Found or made; a new incarnation of a known name makes the older one a former member. -1: full.
int member_obtain(struct node *node, const struct incarnation *incarnation, struct span name,
                  struct span address);
void membership_message(struct node *node, uint32_t link, struct span body,
                        struct effects *effects);
void membership_send(struct node *node, uint32_t link, struct effects *effects);
void membership_tell_all(struct node *node); // after the next commit
void membership_committed(struct node *node);
// May cells flow to this member yet: everybody else has durably known that it is one.
bool membership_may_feed(struct node *node, uint16_t member);
void membership_heard(struct node *node, uint16_t member, struct effects *effects);
void member_drop(struct node *node, uint16_t index); // the last one takes its index
void membership_silence(struct node *node, struct effects *effects);

// retirement.c
void retirement_supersede(struct node *node, uint16_t index, struct effects *effects);
// Where the history of a former one ends; UINT64_MAX: not settled.
uint64_t retirement_end(const struct node *node, const struct incarnation *incarnation);
bool retirement_is_former(const struct node *node, const struct incarnation *incarnation);
// True: something changed.
bool retirement_learn(struct node *node, uint16_t sender, uint16_t index,
                      const struct peer_member *entry);
bool retirement_learn_seal(struct node *node, const struct peer_member *entry,
                           struct effects *effects);
// Closes the links of members that others say are former.
void retirement_close(struct node *node, struct effects *effects);
void retirement_committed(struct node *node, struct effects *effects);
bool retirement_is_delivered(const struct node *node, uint16_t former, uint16_t receiver);

// stability.c
void stability_ack(struct node *node, uint16_t member, const struct vector *vector);
void stability_update(struct node *node);

// age.c
// What the other end of `link` told of what it has dropped. True: we are too old for that, and
// begin anew; all links are closed.
bool age_is_too_old(struct node *node, uint32_t link, const struct peer_members *told,
                    struct effects *effects);
void age_committed(struct node *node);

// question.c
void question_start(struct node *node, struct effects *effects);
void question_refused_former(struct node *node, uint64_t end, struct effects *effects);
// WELCOME says how far the member has seen us, MEMBERS after it whom it knows.
void question_answered(struct node *node, uint16_t member, uint64_t held, struct effects *effects);
void question_listed(struct node *node, uint16_t member, struct effects *effects);
void question_self_found(struct node *node, struct effects *effects); // a peer is we ourselves
void question_tick(struct node *node, struct effects *effects);
