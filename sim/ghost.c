// SPDX-License-Identifier: Apache-2.0
// Plain sums over plain lists: slow, obvious, and independent of the code it judges.
#include <stdlib.h>
#include "sim/ghost.h"

void ghost_log_deinit(struct ghost_log *log)
{
    for (unsigned unit = 0; unit < GHOST_UNITS; unit++)
        free(log->unit[unit].list);
    while (log->clearings) {
        struct ghost_clearing *clearing = log->clearings;
        log->clearings = clearing->next;
        free(clearing);
    }
    *log = (struct ghost_log){0};
}

uint8_t ghost_incarnation(struct ghost_log *log, const struct incarnation *incarnation)
{
    for (uint8_t i = 0; i < log->incarnations_count; i++) {
        if (incarnation_is_equal(&log->incarnations[i], incarnation))
            return i;
    }
    if (log->incarnations_count == GHOST_INCARNATIONS)
        abort(); // the world stops faults that renew identities long before
    log->incarnations[log->incarnations_count] = *incarnation;
    return log->incarnations_count++;
}

void ghost_log_put(struct ghost_log *log, unsigned unit, struct ghost_entry entry)
{
    struct ghost_unit *list = &log->unit[unit];
    if (list->count == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 64;
        list->list = realloc(list->list, list->cap * sizeof *list->list);
        if (!list->list)
            abort();
    }
    list->list[list->count++] = entry;
}

// Of concurrent SETs the later stamp is shown, then the larger incarnation.
static bool is_base_shown(const struct ghost_log *log, const struct ghost_entry *a,
                          const struct ghost_entry *b)
{
    if (!b || a->stamp != b->stamp)
        return !b || a->stamp > b->stamp;
    return incarnation_compare(&log->incarnations[a->incarnation],
                               &log->incarnations[b->incarnation]) > 0;
}

static struct ghost_view view_of_unit(const struct ghost_log *log, const struct ghost *ghost,
                                      unsigned unit)
{
    const struct ghost_unit *list = &log->unit[unit];
    const struct ghost_entry *base = NULL;
    struct ghost_view view = {ghost->is_pending[unit], ghost->pending[unit]};
    for (size_t i = 0; i < list->count; i++) {
        const struct ghost_entry *entry = &list->list[i];
        const struct ghost_mark *mark = &ghost->mark[unit][entry->incarnation];
        if (entry->is_lost || entry->sequence > mark->seen || entry->sequence <= mark->cut)
            continue;
        view.is_live = true;
        if (!entry->is_set)
            view.value += entry->amount;
        else if (is_base_shown(log, entry, base))
            base = entry;
    }
    if (base)
        view.value += base->amount;
    return view;
}

static uint64_t newest_of(const struct ghost_unit *dots, const struct ghost_mark *marks)
{
    uint64_t newest_s = 0;
    for (size_t i = 0; i < dots->count; i++) {
        const struct ghost_entry *dot = &dots->list[i];
        if (!dot->is_lost && dot->sequence <= marks[dot->incarnation].seen && dot->stamp > newest_s)
            newest_s = dot->stamp;
    }
    return newest_s;
}

// That a reset observed the operation went with the cells that a node forgot.
static bool is_cut_forgotten(const struct ghost_mark *mark, uint64_t sequence)
{
    return sequence <= mark->cut && sequence > mark->known;
}

// What of a token's adds is counted in the counter and must not be: all of them when a reset has
// observed one, else all but the one of the least incarnation.
static int64_t surplus(const struct ghost_log *log, const struct ghost *ghost, unsigned token)
{
    const struct ghost_unit *dots = &log->unit[token];
    const struct ghost_mark *known = ghost->mark[token], *counted;
    const struct ghost_entry *least = NULL;
    uint64_t newest_s = newest_of(dots, known);
    bool is_any_cut = false;
    int64_t sum = 0;
    counted = ghost->mark[ghost_counter_of(token)];
    for (size_t i = 0; i < dots->count; i++) {
        const struct ghost_entry *dot = &dots->list[i];
        uint8_t who = dot->incarnation;
        if (dot->is_lost || dot->sequence > known[who].seen || dot->sequence > counted[who].seen ||
            is_cut_forgotten(&counted[who], dot->sequence) ||
            dot->stamp + log->token_window_s < newest_s)
            continue;
        is_any_cut |= dot->sequence <= counted[who].cut;
        if (dot->sequence <= counted[who].cut)
            continue;
        sum += dot->amount;
        if (!least || incarnation_compare(&log->incarnations[who],
                                          &log->incarnations[least->incarnation]) < 0)
            least = dot;
    }
    return least && !is_any_cut ? sum - least->amount : sum;
}

int64_t ghost_longest(const struct ghost_log *log, const struct ghost *ghost, unsigned unit)
{
    const struct ghost_unit *list = &log->unit[unit];
    int64_t longest = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct ghost_entry *entry = &list->list[i];
        const struct ghost_mark *mark = &ghost->mark[unit][entry->incarnation];
        bool is_held =
            !entry->is_lost && entry->sequence <= mark->seen && entry->sequence > mark->cut;
        // Entries of one incarnation are a chain: its last one is all that there is of it.
        for (size_t later = i + 1; later < list->count && is_held; later++)
            is_held = list->list[later].incarnation != entry->incarnation ||
                      list->list[later].is_lost || list->list[later].sequence > mark->seen;
        if (is_held && entry->amount > longest)
            longest = entry->amount;
    }
    return longest;
}

struct ghost_view ghost_view(const struct ghost_log *log, const struct ghost *ghost, unsigned unit)
{
    if (unit >= GHOST_TOKEN)
        return (struct ghost_view){0}; // a token shows nothing by itself
    struct ghost_view view = view_of_unit(log, ghost, unit);
    for (unsigned i = GHOST_TOKEN + unit;
         view.is_live && unit < GHOST_COUNTERS && i < GHOST_DEADLINE; i += GHOST_COUNTERS)
        view.value -= surplus(log, ghost, i);
    if (ghost_is_member(unit))
        view.value = view.is_live;
    for (unsigned i = GHOST_SKETCH + 1; unit == GHOST_SKETCH && i < GHOST_TOKEN; i++)
        view.is_live |= view_of_unit(log, ghost, i).is_live;
    for (unsigned i = unit + 1; ghost_is_set(unit) && i <= unit + GHOST_MEMBERS; i++) {
        struct ghost_view member = view_of_unit(log, ghost, i);
        view.value += member.is_live;
        view.is_live |= member.is_live;
    }
    return view;
}

uint64_t ghost_part(const struct ghost_log *log, const struct ghost *ghost, unsigned unit,
                    uint8_t incarnation)
{
    const struct ghost_unit *list = &log->unit[unit];
    const struct ghost_mark *mark = &ghost->mark[unit][incarnation];
    for (size_t i = list->count; i-- > 0;) { // one incarnation's are in order
        const struct ghost_entry *entry = &list->list[i];
        if (entry->incarnation == incarnation && !entry->is_lost && entry->sequence <= mark->seen)
            return entry->sequence > mark->cut ? entry->content : 0;
    }
    return 0;
}

void ghost_reset(struct ghost *ghost, unsigned unit)
{
    for (uint8_t i = 0; i < GHOST_INCARNATIONS; i++) {
        if (ghost->mark[unit][i].seen > ghost->mark[unit][i].cut)
            ghost_cut(ghost, unit, i, ghost->mark[unit][i].seen);
    }
}

void ghost_learn(struct ghost *self, const struct ghost *sender, unsigned unit, uint8_t incarnation)
{
    struct ghost_mark *mark = &self->mark[unit][incarnation];
    const struct ghost_mark *other = &sender->mark[unit][incarnation];
    if (other->seen > mark->seen)
        mark->seen = other->seen;
    uint64_t known = mark->known > other->known ? mark->known : other->known;
    ghost_cut(self, unit, incarnation, other->cut);
    mark->known = known;
}

void ghost_hear(struct ghost *self, unsigned unit, uint8_t incarnation, struct ghost_mark told)
{
    struct ghost_mark *mark = &self->mark[unit][incarnation];
    if (told.seen > mark->seen)
        mark->seen = told.seen;
    ghost_cut(self, unit, incarnation, told.cut);
}

void ghost_clear(const struct ghost_log *log, struct ghost *self, unsigned set, uint8_t incarnation,
                 uint64_t sequence)
{
    for (const struct ghost_clearing *clearing = log->clearings; clearing;
         clearing = clearing->next) {
        if (clearing->set != set || clearing->incarnation != incarnation ||
            clearing->sequence != sequence)
            continue;
        for (unsigned i = 0; i < GHOST_MEMBERS; i++) {
            for (uint8_t at = 0; at < GHOST_INCARNATIONS; at++)
                ghost_cut(self, set + 1 + i, at, clearing->seen[i][at]);
        }
    }
}

// What is cut here counts as seen: were the operations to come later, they would be dead on
// arrival.
void ghost_cut(struct ghost *self, unsigned unit, uint8_t incarnation, uint64_t upto)
{
    struct ghost_mark *mark = &self->mark[unit][incarnation];
    if (upto > mark->known)
        mark->known = upto;
    if (upto > mark->cut)
        mark->cut = upto;
    if (upto > mark->seen)
        mark->seen = upto;
}

static bool has_base_below(const struct ghost_unit *list, const struct ghost_mark *mark,
                           uint8_t incarnation, uint64_t limit)
{
    uint64_t newest = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct ghost_entry *entry = &list->list[i];
        if (entry->incarnation == incarnation && entry->is_set && !entry->is_lost &&
            entry->sequence <= mark->seen && entry->sequence > mark->cut)
            newest = entry->sequence;
    }
    return newest && newest <= limit;
}

void ghost_forget(const struct ghost_log *log, struct ghost *self, uint8_t incarnation,
                  uint64_t limit)
{
    for (unsigned unit = 0; unit < GHOST_UNITS; unit++) {
        if (unit >= GHOST_TOKEN && unit < GHOST_DEADLINE)
            continue; // what tokens were seen is kept
        struct ghost_mark *mark = &self->mark[unit][incarnation];
        if (mark->seen <= limit) {
            mark->known = 0;
            mark->seen = mark->cut;
        } else {
            self->is_partial[unit] |= has_base_below(&log->unit[unit], mark, incarnation, limit);
        }
    }
}
