// SPDX-License-Identifier: Apache-2.0
// A batch is the list of calls that one QUIPU.VALUE command answers, in its order.
#include <errno.h>
#include "os/heap_system.h"
#include "service/values.h"

#define BATCH_KEYS_MAX 512

struct batch {
    struct resp_call call;
    struct value_call *first;
};

void values_init(struct values *values, struct database *database)
{
    *values = (struct values){.database = database};
    values->last = &values->first;
}

void values_get(struct values *values, struct value_call *call)
{
    call->next = NULL;
    *values->last = call;
    values->last = &call->next;
    values->count++;
}

static void give_all(struct value_call *call, const struct value *value)
{
    while (call) {
        struct value_call *next = call->next;
        call->on_value(call, value);
        call = next;
    }
}

static struct value read_row(const struct answer_token *row, struct span epoch)
{
    struct value value = {.outcome = VALUE_FAULT,
                          .epoch = epoch,
                          .text = span_text("an answer to QUIPU.VALUE that is none")};
    if (row->kind == ANSWER_NIL) {
        value.outcome = VALUE_MISSING;
        return value;
    }
    if (row->kind == ANSWER_ERROR)
        value.text = row->text;
    if (row->kind != ANSWER_ARRAY || row->count < 3 || row[1].size != 1 || row[2].size != 1)
        return value;
    int64_t version;
    if (!answer_integer(&row[2], &value.value) || !answer_integer(&row[3], &version))
        return value;
    value.type = row[1].text;
    value.version = (uint64_t)version;
    value.outcome = VALUE_HERE;
    return value;
}

static void on_answer(struct resp_call *resp_call, const struct answer_token *answer)
{
    struct batch *batch = (struct batch *)resp_call;
    struct value_call *call = batch->first;
    heap_free(heap_system(), batch, sizeof *batch);
    if (!answer || answer->kind != ANSWER_ARRAY || answer->count == 0) {
        struct value value = {.outcome = answer ? VALUE_FAULT : VALUE_AWAY};
        if (answer)
            value.text = answer->text;
        give_all(call, &value);
        return;
    }
    const struct answer_token *row = answer + 1;
    struct span epoch = row->text;
    for (uint32_t left = answer->count - 1; left && call; left--) {
        struct value_call *next = call->next;
        row = answer_next(row);
        struct value value = read_row(row, epoch);
        call->on_value(call, &value);
        call = next;
    }
    give_all(call, &(struct value){.outcome = VALUE_FAULT, .text = span_text("a short answer")});
}

// Cuts a batch off the front.
static int send_batch(struct values *values)
{
    struct span argv[BATCH_KEYS_MAX + 1] = {span_text("QUIPU.VALUE")};
    uint32_t argc = 1;
    struct batch *batch = heap_alloc(heap_system(), sizeof *batch);
    if (!batch)
        return -ENOMEM;
    *batch = (struct batch){.call.on_answer = on_answer, .first = values->first};
    struct value_call **at = &values->first;
    while (*at && argc <= BATCH_KEYS_MAX) {
        argv[argc++] = (*at)->key;
        at = &(*at)->next;
    }
    struct value_call *rest = *at;
    int fault = database_send(values->database, &batch->call, argv, argc);
    if (fault) {
        heap_free(heap_system(), batch, sizeof *batch);
        return fault;
    }
    *at = NULL;
    values->first = rest;
    if (!rest)
        values->last = &values->first;
    return 0;
}

void values_flush(struct values *values)
{
    int fault = 0;
    while (values->first && !fault)
        fault = send_batch(values);
    values->count = 0;
    struct value_call *call = values->first;
    values->first = NULL;
    values->last = &values->first;
    if (call)
        give_all(call, &(struct value){.outcome = VALUE_AWAY});
}
