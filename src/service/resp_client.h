// SPDX-License-Identifier: Apache-2.0
// One RESP connection, as a client: commands leave in one write a turn, answers come back in the
// order of the commands, each to the call that asked; pushes of RESP3 go to on_push.
#pragma once
#include "os/stream.h"
#include "os/tcp.h"
#include "wire/answer.h"

struct resp_call { // embedded in whoever asks; the client's until answered
    struct resp_call *next;
    // The answer borrows until it returns. NULL: the connection was lost, and whether the command
    // ran is not known.
    void (*on_answer)(struct resp_call *call, const struct answer_token *answer);
};

struct resp_client;
struct resp_client_ops {
    void (*on_connected)(struct resp_client *client);
    void (*on_push)(struct resp_client *client, const struct answer_token *push);
    // After this every call that waits is answered with NULL.
    void (*on_closed)(struct resp_client *client, int fault);
};

struct resp_client { // embedded in its owner; fields are the client's own
    struct stream stream;
    struct tls *tls; // the owner's to set; NULL: plain
    const struct resp_client_ops *ops;
    struct answer_parser parser;
    struct answer answer;
    struct resp_call *first, **last;
    unsigned waiting;
    uint64_t progress_ms; // the last answer, or when the first of those that wait was sent
    uint64_t sent_ms;
    bool is_open;
};

// Zeroed client. 0 or -errno (then no callback is made). Whoever frees the client calls deinit.
int resp_client_dial(struct resp_client *client, struct loop *loop, const struct endpoint *endpoint,
                     const struct resp_client_ops *ops);
void resp_client_deinit(struct resp_client *client); // closed
// call NULL: the answer comes as a push (SUBSCRIBE).
void resp_client_send(struct resp_client *client, struct resp_call *call, const struct span *argv,
                      uint32_t argc);
void resp_client_abort(struct resp_client *client, int fault); // nothing when it is closed
