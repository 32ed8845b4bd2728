// SPDX-License-Identifier: Apache-2.0
// A plain client of a database for commands that ask one thing after another: it blocks, and gives
// up when the other end says nothing for ASKER_PATIENCE_S.
#pragma once
#include "cli/login.h"
#include "wire/answer.h"

#define ASKER_PATIENCE_S 60

struct asker {
    int fd;
    struct buf out, in;
    struct answer_token *tokens;
    uint32_t tokens_max;
    size_t used; // of `in`, by the last answer
    char error[300];
};

// Connects and logs in. 0, or -1 with asker->error.
int asker_open(struct asker *asker, const struct endpoint *endpoint, const struct login *login);
void asker_close(struct asker *asker); // of a zeroed one too
// The answer to one command: borrows until the next. NULL, with asker->error: no answer, or an
// error.
const struct answer_token *asker_ask(struct asker *asker, const struct span *words, uint32_t count);
