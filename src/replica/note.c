// SPDX-License-Identifier: Apache-2.0
// Notes for the hook: operation, amount and previous value of changes that were not pulled yet, in
// a bounded table keyed by record. When it is full a change goes without a note: the hook then
// still gets key, value and version, and is told that the rest was coalesced away.
#include "replica/private.h"

static size_t slot_of(const struct record *record)
{
    return prng_mix((uint64_t)(uintptr_t)record) & (REPLICA_NOTES - 1);
}

static struct note *find(struct replica *replica, const struct record *record)
{
    for (size_t at = slot_of(record);; at = (at + 1) & (REPLICA_NOTES - 1)) {
        struct note *note = &replica->notes[at];
        if (!note->record || note->record == record)
            return note;
    }
}

void note_put(struct replica *replica, struct record *record, int64_t previous, int64_t amount,
              enum change_op op)
{
    if (replica->notes_count >= REPLICA_NOTES / 2)
        return;
    struct note *note = find(replica, record);
    if (!note->record) {
        *note = (struct note){.record = record, .previous = previous};
        replica->notes_count++;
    }
    note->op = op;
    note->origin = replica->cause;
    note->amount = (int64_t)((uint64_t)note->amount + (uint64_t)amount);
}

bool note_take(struct replica *replica, const struct record *record, struct note *out_note)
{
    struct note *note = find(replica, record);
    if (!note->record)
        return false;
    *out_note = *note;
    replica->notes_count--;
    // Backward shift: close the gap so that every probe sequence stays unbroken.
    size_t hole = (size_t)(note - replica->notes);
    for (size_t at = (hole + 1) & (REPLICA_NOTES - 1); replica->notes[at].record;
         at = (at + 1) & (REPLICA_NOTES - 1)) {
        size_t home = slot_of(replica->notes[at].record);
        if (((at - home) & (REPLICA_NOTES - 1)) >= ((at - hole) & (REPLICA_NOTES - 1))) {
            replica->notes[hole] = replica->notes[at];
            hole = at;
        }
    }
    replica->notes[hole].record = NULL;
    return true;
}
