// SPDX-License-Identifier: Apache-2.0
// Notes for the hook: operation, amount and previous value of changes that were not pulled yet, in
// a bounded table keyed by record. When it is full a change goes without a note: the hook then
// still gets key, value and version, and is told that the rest was coalesced away.
#include "replica/private.h"

void note_put(struct replica *replica, struct record *record, int64_t previous, int64_t amount,
              enum change_op op)
{
    uint32_t at;
    if (replica->is_unheard)
        return;
    if (!record_map_find(&replica->notes_by_record, record, &at)) {
        if (replica->notes_count == REPLICA_NOTES ||
            record_map_put(&replica->notes_by_record, record, replica->notes_count))
            return;
        at = replica->notes_count++;
        replica->notes[at] = (struct note){.record = record, .previous = previous};
    }
    struct note *note = &replica->notes[at];
    note->op = op;
    note->origin = replica->cause;
    note->amount = (int64_t)((uint64_t)note->amount + (uint64_t)amount);
}

static struct note *find(const struct replica *replica, const struct record *record)
{
    uint32_t at;
    return record_map_find(&replica->notes_by_record, record, &at) ? &replica->notes[at] : NULL;
}

void note_member(struct replica *replica, const struct record *parent, const struct record *member)
{
    struct note *note = replica->is_unheard ? NULL : find(replica, parent);
    if (!note)
        return;
    note->has_many |= note->member && note->member != member;
    note->member = member;
}

// Its name goes with it.
void note_forget_member(struct replica *replica, const struct record *member)
{
    struct note *note = replica->notes_count ? find(replica, record_parent(member)) : NULL;
    if (note && note->member == member)
        note->has_many = true;
}

bool note_take(struct replica *replica, const struct record *record, struct note *out_note)
{
    uint32_t at;
    if (!record_map_find(&replica->notes_by_record, record, &at))
        return false;
    struct note *note = &replica->notes[at];
    *out_note = *note;
    record_map_remove(&replica->notes_by_record, record);
    const struct note *last = &replica->notes[--replica->notes_count];
    if (note != last) {
        *note = *last;
        // Its entry is there already: nothing is allocated.
        record_map_put(&replica->notes_by_record, note->record, at);
    }
    return true;
}

void note_forget_all(struct replica *replica)
{
    replica->notes_count = 0;
    record_map_clear(&replica->notes_by_record);
}
