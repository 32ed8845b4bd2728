// SPDX-License-Identifier: Apache-2.0
// One table from the beginning of the database's error text to a status. The text itself, without
// its code word, becomes the problem's detail.
#include <stdio.h>
#include "service/faults.h"

struct row {
    const char *begin;
    uint16_t status;
};

static const struct row rows[] = {
    {"WRONGTYPE", 409},
    {"ERR increment or decrement would overflow", 409},
    {"QUIPU a gcounter only grows", 409},
    {"QUIPU this replica's part of the counter", 409},
    {"OLDTOKEN", 409},
    {"QUIPU not a token", 400},
    {"ERR the token was made later", 400},
    {"ERR value is not an integer", 400},
    {"ERR value is out of range", 400},
    {"ERR key, member or owner is too long", 400},
    {"QUIPU cutting links is off", 403},
    {"QUIPU no replica named", 404},
    {"QUIPU this replica takes no writes", 503},
    {"QUIPU too many changes wait", 503},
    {"READONLY", 503},
    {"LOADING", 503},
    {"OOM", 503},
};

void fault_away(struct exchange *exchange)
{
    exchange_problem(exchange, 503, "The counter database does not answer; try again.");
}

void fault_error(struct exchange *exchange, struct span error)
{
    uint16_t status = 502;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t len = strlen(rows[i].begin);
        if (error.len >= len && memcmp(error.ptr, rows[i].begin, len) == 0) {
            status = rows[i].status;
            break;
        }
    }
    const uint8_t *space = memchr(error.ptr, ' ', error.len);
    size_t skipped = space ? (size_t)(space - error.ptr) + 1 : 0;
    char detail[256];
    snprintf(detail, sizeof detail, "%.*s", (int)(error.len - skipped),
             (const char *)error.ptr + skipped);
    exchange_problem(exchange, status, detail);
}

bool fault_is_answered(struct exchange *exchange, const struct answer_token *answer)
{
    if (answer && answer->kind != ANSWER_ERROR)
        return false;
    if (answer)
        fault_error(exchange, answer->text);
    else
        fault_away(exchange);
    return true;
}
