// SPDX-License-Identifier: Apache-2.0
// Reads of counts. All that are asked for in one turn leave together, as QUIPU.VALUE commands of
// many keys: one command for fifty requests costs the database about as much as one for one.
#pragma once
#include "service/database.h"

enum value_outcome {
    VALUE_HERE,
    VALUE_MISSING, // no such key
    VALUE_AWAY,    // the database is, or was while it was asked
    VALUE_FAULT,   // it answered with an error: in text
};

struct value {
    enum value_outcome outcome;
    struct span type; // counter, gcounter, gset, presence
    int64_t value;
    uint64_t version;
    struct span epoch; // with HERE and MISSING
    struct span text;
};

struct value_call { // embedded in whoever asks; values' until answered
    struct value_call *next;
    struct span key; // borrows until answered
    void (*on_value)(struct value_call *call, const struct value *value);
};

struct values { // zero it, set database
    struct database *database;
    struct value_call *first, **last;
    unsigned count;
};

void values_init(struct values *values, struct database *database);
// on_value is called later, never before this returns.
void values_get(struct values *values, struct value_call *call);
// Sends what was collected: at the end of each turn, and before a command that must not be seen by
// the reads that were asked for before it.
void values_flush(struct values *values);
