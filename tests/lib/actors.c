// SPDX-License-Identifier: Apache-2.0
// Operations follow what the replica room does with cells; the ghost follows the meaning only. A
// message tells the ghost all that the sender knows of the units in it: that it may is what
// key-atomic units, the filter by vector and the absent rule have to justify.
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include "base/wide.h"
#include "tests/lib/actors.h"

static void accuse(struct actors *actors, const char *format, ...)
{
    if (actors->fault[0])
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(actors->fault, sizeof actors->fault, format, args);
    va_end(args);
}

static uint64_t below(struct actors *actors, uint64_t bound)
{
    return prng_below(&actors->prng, bound);
}

static bool chance(struct actors *actors, unsigned percent)
{
    return below(actors, 100) < percent;
}

static enum unit_kind kind_of(unsigned unit)
{
    if (unit < ACTORS_COUNTERS)
        return UNIT_KEY;
    if (unit < ACTORS_COUNTERS + ACTORS_MEMBERS)
        return UNIT_MEMBER;
    return unit < ACTORS_UNITS - ACTORS_BLOCKS ? UNIT_LEASE : UNIT_BLOCK;
}

struct address actors_address(unsigned unit)
{
    static const char *const names[ACTORS_UNITS] = {"likes", "views", "stock", "ada", "bob",
                                                    "web1",  "web2",  "1",     "2"};
    static const char *const keys[] = {
        [UNIT_MEMBER] = "fans", [UNIT_LEASE] = "here", [UNIT_BLOCK] = "met"};
    enum unit_kind kind = kind_of(unit);
    if (kind == UNIT_KEY)
        return (struct address){.kind = kind, .key = span_text(names[unit])};
    return (struct address){
        .kind = kind, .key = span_text(keys[kind]), .sub = span_text(names[unit])};
}

// ---- the ghost

static bool has(const struct operation_set *set, unsigned at)
{
    return set->bits[at / 64] >> (at % 64) & 1;
}

static void put(struct operation_set *set, unsigned at)
{
    set->bits[at / 64] |= (uint64_t)1 << (at % 64);
}

static void unite(struct operation_set *set, const struct operation_set *other)
{
    for (size_t i = 0; i < ACTORS_OPS_MAX / 64; i++)
        set->bits[i] |= other->bits[i];
}

static void unite_unit(const struct actors *actors, struct operation_set *set,
                       const struct operation_set *other, unsigned unit)
{
    for (unsigned i = 0; i < actors->operations_count; i++) {
        if (actors->operations[i].unit == unit && has(other, i))
            put(set, i);
    }
}

static struct operation_set taken_away(const struct actors *actors,
                                       const struct operation_set *known, unsigned unit)
{
    struct operation_set gone = {{0}};
    for (unsigned i = 0; i < actors->operations_count; i++) {
        if (actors->operations[i].unit == unit && has(known, i))
            unite(&gone, &actors->operations[i].observed);
    }
    return gone;
}

static bool is_later_set(const struct actors *actors, const struct operation *a,
                         const struct operation *b)
{
    if (a->stamp != b->stamp)
        return a->stamp > b->stamp;
    return incarnation_compare(&actors->origins.list[a->actor], &actors->origins.list[b->actor]) >
           0;
}

static struct unit_view must_show(const struct actors *actors, const struct operation_set *known,
                                  unsigned unit)
{
    struct operation_set gone = taken_away(actors, known, unit);
    const struct operation *base = NULL;
    struct unit_view view = {.type = CELL_TYPES_COUNT};
    wide_signed sum = 0;
    for (unsigned i = 0; i < actors->operations_count; i++) {
        const struct operation *operation = &actors->operations[i];
        if (operation->unit != unit || !has(known, i) || has(&gone, i) ||
            operation->kind == OPERATION_RESET)
            continue;
        view.is_live = true;
        if (operation->type < view.type)
            view.type = operation->type;
        if (operation->kind == OPERATION_ADD)
            sum += operation->amount;
        else if (!base || is_later_set(actors, operation, base))
            base = operation;
    }
    if (!view.is_live)
        return (struct unit_view){0};
    sum += base ? base->amount : 0;
    view.value = (int64_t)(uint64_t)(wide_unsigned)sum;
    view.is_out_of_range = sum != view.value;
    return view;
}

// The count of the lease that must be shown; *is_live false when none.
static int64_t must_lease(const struct actors *actors, const struct actor *actor, unsigned unit,
                          bool *is_live)
{
    const struct lease *shown = NULL;
    for (unsigned owner = 0; owner < ACTORS_COUNT; owner++) {
        const struct operation *latest = NULL;
        for (unsigned i = 0; i < actors->operations_count; i++) {
            const struct operation *operation = &actors->operations[i];
            if (operation->unit == unit && operation->actor == owner && has(&actor->known, i))
                latest = operation; // operations of one actor are in order
        }
        if (!latest || latest->lease.ended || actor->is_hidden[actor->origin[owner]])
            continue;
        const struct lease *lease = &latest->lease;
        if (!shown || lease->epoch > shown->epoch ||
            (lease->epoch == shown->epoch &&
             (lease->sequence > shown->sequence ||
              (lease->sequence == shown->sequence && lease->count > shown->count))))
            shown = lease;
    }
    *is_live = shown != NULL;
    return shown ? shown->count : 0;
}

// What a cell's content is must follow from its newest write, and goes with its life.
static void write_content(uint64_t sequence, uint8_t *out_bytes)
{
    bytes_write_u64(out_bytes, prng_mix(sequence));
}

static void check_content(struct actors *actors, unsigned number, unsigned unit)
{
    const struct unit *cells = &actors->actor[number].units[unit];
    for (uint16_t i = 0; i < cells->count; i++) {
        const struct cell *cell = &cells->cells[i];
        uint8_t must[8];
        write_content(cell->write, must);
        struct span expected = span_of(must, cell_has_life(cell) ? sizeof must : 0);
        if (!span_is_equal(cell_content(cell), expected))
            accuse(actors, "actor %u unit %u: a content that is not that of %" PRIu64, number, unit,
                   cell->write);
    }
}

static void check_unit(struct actors *actors, unsigned number, unsigned unit)
{
    if (kind_of(unit) == UNIT_BLOCK)
        check_content(actors, number, unit);
    const struct actor *actor = &actors->actor[number];
    if (kind_of(unit) == UNIT_LEASE) {
        bool must_live;
        int64_t count, must = must_lease(actors, actor, unit, &must_live);
        bool is_live = unit_lease_view(&actor->units[unit], actor->is_hidden, &count);
        if (is_live != must_live || count != must)
            accuse(actors, "actor %u unit %u: lease %d:%" PRId64 ", must be %d:%" PRId64, number,
                   unit, is_live, count, must_live, must);
        return;
    }
    struct unit_view view = unit_view(&actor->units[unit], &actor->origins);
    struct unit_view must = must_show(actors, &actor->known, unit);
    if (view.is_live != must.is_live || view.value != must.value || view.type != must.type ||
        view.is_out_of_range != must.is_out_of_range)
        accuse(actors,
               "actor %u unit %u shows %d:%" PRId64 " type %d, must be %d:%" PRId64 " type %d",
               number, unit, view.is_live, view.value, (int)view.type, must.is_live, must.value,
               (int)must.type);
}

static void check(struct actors *actors, unsigned number)
{
    const struct actor *actor = &actors->actor[number];
    for (unsigned unit = 0; unit < ACTORS_UNITS; unit++)
        check_unit(actors, number, unit);
    for (unsigned i = 0; i < actors->operations_count; i++) {
        const struct operation *operation = &actors->operations[i];
        if (operation->sequence <= actor->vector.sequence[actor->origin[operation->actor]] &&
            !has(&actor->known, i))
            accuse(actors, "actor %u claims %" PRIu64 " of actor %u without having it", number,
                   operation->sequence, operation->actor);
    }
}

// ---- operations

static uint64_t next(struct actor *actor, unsigned number)
{
    return ++actor->vector.sequence[actor->origin[number]];
}

static void log_operation(struct actors *actors, struct actor *actor, struct operation operation)
{
    unsigned at = actors->operations_count++;
    if (operation.kind == OPERATION_RESET || operation.kind == OPERATION_SET)
        unite_unit(actors, &operation.observed, &actor->known, operation.unit);
    actors->operations[at] = operation;
    put(&actor->known, at);
}

static int64_t amount_of(struct actors *actors)
{
    static const int64_t large[] = {(int64_t)1 << 56, -((int64_t)1 << 56)};
    if (chance(actors, 2))
        return large[below(actors, 2)];
    return (int64_t)below(actors, 9) - 3;
}

static void add(struct actors *actors, unsigned number, unsigned unit)
{
    struct actor *actor = &actors->actor[number];
    struct unit_view view = unit_view(&actor->units[unit], &actor->origins);
    bool is_member = kind_of(unit) == UNIT_MEMBER, is_block = kind_of(unit) == UNIT_BLOCK;
    if (is_member && view.is_live)
        return; // a second adder's cell is not kept
    enum cell_type type = chance(actors, 30) ? CELL_GCOUNTER : CELL_COUNTER;
    if (view.is_live)
        type = view.type;
    struct cell *cell = unit_obtain(&actor->units[unit], actor->origin[number]);
    if (is_block)
        type = CELL_HLL;
    if (!cell_is_live(cell))
        cell->type = is_member ? CELL_GSET : (uint8_t)type;
    struct operation operation = {.kind = OPERATION_ADD,
                                  .unit = unit,
                                  .actor = number,
                                  .sequence = next(actor, number),
                                  .amount = is_block    ? 0
                                            : is_member ? 1
                                                        : amount_of(actors),
                                  .type = (enum cell_type)cell->type};
    uint8_t content[8];
    write_content(operation.sequence, content);
    if (!is_block)
        cell_add(cell, operation.amount, operation.sequence);
    else if (unit_write_content(&actor->units[unit], cell, operation.sequence,
                                span_of(content, sizeof content)))
        accuse(actors, "actor %u unit %u: a write failed", number, unit);
    log_operation(actors, actor, operation);
}

static void reset(struct actors *actors, unsigned number, unsigned unit)
{
    struct actor *actor = &actors->actor[number];
    if (!unit_view(&actor->units[unit], &actor->origins).is_live) {
        if (unit_reset(&actor->units[unit], actor->origin[number], 1) != UNIT_E_NOTHING)
            accuse(actors, "actor %u unit %u: nothing was there to reset", number, unit);
        return;
    }
    struct operation operation = {
        .kind = OPERATION_RESET, .unit = unit, .actor = number, .sequence = next(actor, number)};
    if (unit_reset(&actor->units[unit], actor->origin[number], operation.sequence))
        accuse(actors, "actor %u unit %u: reset failed", number, unit);
    log_operation(actors, actor, operation);
}

static void set(struct actors *actors, unsigned number, unsigned unit)
{
    struct actor *actor = &actors->actor[number];
    struct unit_view view = unit_view(&actor->units[unit], &actor->origins);
    if (view.is_live && view.type != CELL_COUNTER)
        return;
    actor->stamp += below(actors, 2); // equal stamps meet
    struct operation operation = {.kind = OPERATION_SET,
                                  .unit = unit,
                                  .actor = number,
                                  .sequence = next(actor, number),
                                  .stamp = actor->stamp,
                                  .amount = chance(actors, 5) ? INT64_MAX : amount_of(actors),
                                  .type = CELL_COUNTER};
    if (unit_set(&actor->units[unit], actor->origin[number], operation.sequence, operation.stamp,
                 operation.amount))
        accuse(actors, "actor %u unit %u: set failed", number, unit);
    log_operation(actors, actor, operation);
}

// An owner's numbers may go back: only the order of one replica's own writes is kept.
static void lease(struct actors *actors, unsigned number, unsigned unit)
{
    struct actor *actor = &actors->actor[number];
    struct cell *cell = unit_obtain(&actor->units[unit], actor->origin[number]);
    struct lease lease = {.epoch = 1 + below(actors, 3),
                          .sequence = 1 + below(actors, 20),
                          .count = (int64_t)below(actors, 50),
                          .ttl_ms = 3000};
    if (lease_is_running(&cell->lease) && chance(actors, 40)) {
        lease = cell->lease; // its time is over
        lease.ended = true;
    }
    struct operation operation = {.kind = OPERATION_LEASE,
                                  .unit = unit,
                                  .actor = number,
                                  .sequence = next(actor, number),
                                  .type = CELL_PRESENCE,
                                  .lease = lease};
    cell->type = CELL_PRESENCE;
    cell->sequence = operation.sequence;
    cell->lease = lease;
    log_operation(actors, actor, operation);
}

static void operate(struct actors *actors, unsigned number)
{
    unsigned unit = (unsigned)below(actors, ACTORS_UNITS);
    if (actors->operations_count == ACTORS_OPS_MAX)
        return;
    if (kind_of(unit) == UNIT_LEASE)
        lease(actors, number, unit);
    else if (chance(actors, 30))
        reset(actors, number, unit);
    else if (kind_of(unit) == UNIT_KEY && chance(actors, 20))
        set(actors, number, unit);
    else
        add(actors, number, unit);
}

// ---- messages

static struct vector translated(const struct actor *from, const struct actor *to,
                                const struct vector *vector)
{
    struct vector result = {{0}};
    for (unsigned i = 0; i < ACTORS_COUNT; i++)
        result.sequence[to->origin[i]] = vector->sequence[from->origin[i]];
    return result;
}

static void compose(struct actors *actors, struct message *message, const struct vector *known)
{
    struct actor *from = &actors->actor[message->from];
    buf_init(&message->bytes, &actors->heap.heap);
    message->start = *known;
    message->upto = from->vector;
    message->known = (struct operation_set){{0}};
    for (unsigned unit = 0; unit < ACTORS_UNITS; unit++) {
        struct address address = actors_address(unit);
        if (unit_write(&from->units[unit], &address, known, &message->bytes))
            unite_unit(actors, &message->known, &from->known, unit);
    }
}

static unsigned unit_of(const struct address *address)
{
    for (unsigned unit = 0; unit < ACTORS_UNITS; unit++) {
        struct address ours = actors_address(unit);
        if (ours.kind == address->kind && span_is_equal(ours.key, address->key) &&
            span_is_equal(ours.sub, address->sub))
            return unit;
    }
    return ACTORS_UNITS;
}

// Joins the message's first `units_max` units; whole when that is all of them. Returns what
// changed.
static unsigned deliver(struct actors *actors, const struct message *message, unsigned units_max)
{
    struct actor *to = &actors->actor[message->to];
    const struct actor *from = &actors->actor[message->from];
    struct reader reader = reader_of(buf_span(&message->bytes));
    struct origin_map map = {.count = from->origins.count};
    struct unit arriving;
    unsigned all_changed = 0;
    for (uint16_t i = 0; i < map.count; i++)
        map.local[i] = origins_find(&to->origins, &from->origins.list[i]);
    unit_init(&arriving, &actors->heap.heap);
    for (; units_max && reader_left(&reader); units_max--) {
        struct address address;
        unsigned changed;
        if (unit_read(&reader, &map, &address, &arriving)) {
            accuse(actors, "a message that was written cannot be read");
            break;
        }
        unsigned unit = unit_of(&address);
        if (unit_join(&to->units[unit], arriving.cells, arriving.count, &to->vector, &changed))
            accuse(actors, "a join failed");
        unite_unit(actors, &to->known, &message->known, unit);
        all_changed |= changed;
    }
    unit_deinit(&arriving);
    struct vector start = translated(from, to, &message->start);
    if (reader_left(&reader) == 0 && vector_is_covering(&to->vector, &start)) {
        struct vector upto = translated(from, to, &message->upto);
        upto.sequence[to->origin[message->to]] = 0;
        vector_join(&to->vector, &upto);
    }
    check(actors, message->to);
    return all_changed;
}

static void forget(struct actors *actors, unsigned at)
{
    buf_deinit(&actors->bag[at].bytes);
    actors->bag[at] = actors->bag[--actors->bag_count];
}

static void send(struct actors *actors, unsigned from, unsigned to)
{
    static const struct vector nothing;
    if (actors->bag_count == ACTORS_BAG_MAX)
        forget(actors, (unsigned)below(actors, ACTORS_BAG_MAX));
    struct message *message = &actors->bag[actors->bag_count++];
    *message = (struct message){.from = from, .to = to};
    compose(actors, message, chance(actors, 15) ? &nothing : &actors->actor[from].acked[to]);
}

static void receive(struct actors *actors)
{
    if (actors->bag_count == 0)
        return;
    unsigned at = (unsigned)below(actors, actors->bag_count);
    unsigned units = chance(actors, 25) ? (unsigned)below(actors, 4) : ACTORS_UNITS;
    deliver(actors, &actors->bag[at], units);
    if (chance(actors, 60))
        forget(actors, at);
    else
        actors->replayed++;
}

// ---- stability

static void acknowledge(struct actors *actors, unsigned from, unsigned to)
{
    struct actor *self = &actors->actor[to];
    const struct actor *other = &actors->actor[from];
    struct vector vector = translated(other, self, &other->vector);
    vector_join(&self->acked[from], &vector);
}

static struct vector stable_of(struct actors *actors, unsigned number)
{
    struct actor *self = &actors->actor[number];
    struct vector stable = self->vector, nothing = {{0}};
    for (unsigned other = 0; other < ACTORS_COUNT; other++) {
        uint16_t origin = self->origin[other];
        if (other == number)
            continue;
        if (self->vector.sequence[origin] >= self->acked[other].sequence[origin]) {
            self->usable[other] = self->acked[other];
            self->is_usable[other] = true;
        }
        if (!self->is_usable[other])
            return nothing;
        for (uint16_t i = 0; i < ACTORS_COUNT; i++) {
            if (self->usable[other].sequence[i] < stable.sequence[i])
                stable.sequence[i] = self->usable[other].sequence[i];
        }
    }
    return stable;
}

static bool collect(struct actors *actors, unsigned number)
{
    struct actor *actor = &actors->actor[number];
    struct vector stable = stable_of(actors, number);
    bool is_any = false;
    for (unsigned unit = 0; unit < ACTORS_UNITS; unit++) {
        uint16_t before = actor->units[unit].count;
        is_any |= unit_collect(&actor->units[unit], &stable, &actor->vector);
        actors->collected += before - actor->units[unit].count;
    }
    return is_any;
}

// ---- public

void actors_init(struct actors *actors, uint64_t seed, bool has_collection)
{
    memset(actors, 0, sizeof *actors);
    heap_libc_init(&actors->heap);
    prng_init(&actors->prng, seed);
    actors->has_collection = has_collection;
    for (unsigned i = 0; i < ACTORS_COUNT; i++) {
        struct incarnation incarnation;
        uint16_t index;
        for (size_t at = 0; at < sizeof incarnation.bytes; at++)
            incarnation.bytes[at] = (uint8_t)prng_next(&actors->prng);
        origins_obtain(&actors->origins, &incarnation, &index);
    }
    for (unsigned i = 0; i < ACTORS_COUNT; i++) {
        struct actor *actor = &actors->actor[i];
        for (unsigned at = 0; at < ACTORS_COUNT; at++) {
            unsigned other = (at + i + 1) % ACTORS_COUNT;
            origins_obtain(&actor->origins, &actors->origins.list[other], &actor->origin[other]);
        }
        for (unsigned unit = 0; unit < ACTORS_UNITS; unit++)
            unit_init(&actor->units[unit], &actors->heap.heap);
    }
}

void actors_deinit(struct actors *actors)
{
    while (actors->bag_count)
        forget(actors, 0);
    for (unsigned i = 0; i < ACTORS_COUNT; i++) {
        for (unsigned unit = 0; unit < ACTORS_UNITS; unit++)
            unit_deinit(&actors->actor[i].units[unit]);
    }
    assert(actors->heap.bytes == 0);
}

void actors_step(struct actors *actors)
{
    unsigned one = (unsigned)below(actors, ACTORS_COUNT);
    unsigned other = (one + 1 + (unsigned)below(actors, ACTORS_COUNT - 1)) % ACTORS_COUNT;
    uint64_t draw = below(actors, 100);
    if (draw < 40)
        operate(actors, one);
    else if (draw < 60)
        send(actors, one, other);
    else if (draw < 84)
        receive(actors);
    else if (draw < 92)
        acknowledge(actors, one, other);
    else if (draw < 98 && actors->has_collection)
        collect(actors, one);
    else
        actors->actor[one].is_hidden[actors->actor[one].origin[other]] ^= true;
    check(actors, one);
}

static void exchange(struct actors *actors)
{
    for (unsigned from = 0; from < ACTORS_COUNT; from++) {
        for (unsigned to = 0; to < ACTORS_COUNT; to++) {
            struct message message = {.from = from, .to = to};
            if (from == to)
                continue;
            acknowledge(actors, to, from);
            compose(actors, &message, &actors->actor[from].acked[to]);
            deliver(actors, &message, ACTORS_UNITS);
            buf_deinit(&message.bytes);
        }
    }
}

void actors_heal(struct actors *actors)
{
    bool is_moving = true;
    for (unsigned i = 0; i < ACTORS_COUNT; i++)
        memset(actors->actor[i].is_hidden, 0, sizeof actors->actor[i].is_hidden);
    for (unsigned round = 0; is_moving; round++) {
        exchange(actors);
        exchange(actors);
        is_moving = false;
        for (unsigned i = 0; i < ACTORS_COUNT; i++) {
            if (actors->has_collection)
                is_moving |= collect(actors, i);
            check(actors, i);
        }
        if (round > 10) {
            accuse(actors, "collection does not come to rest");
            return;
        }
    }
}

void actors_replay(struct actors *actors)
{
    for (unsigned i = 0; i < actors->bag_count; i++) {
        if (deliver(actors, &actors->bag[i], ACTORS_UNITS))
            accuse(actors, "an old message changed something");
    }
}

void actors_read(struct actors *actors, unsigned actor, unsigned unit, const struct vector *known,
                 struct unit *out_unit)
{
    const struct actor *self = &actors->actor[actor];
    struct origin_map map = {.count = self->origins.count};
    struct address address = actors_address(unit), read = {0};
    struct buf bytes;
    for (uint16_t i = 0; i < map.count; i++)
        map.local[i] = origins_find(&actors->origins, &self->origins.list[i]);
    buf_init(&bytes, &actors->heap.heap);
    unit_clear(out_unit);
    if (unit_write(&self->units[unit], &address, known, &bytes)) {
        struct reader reader = reader_of(buf_span(&bytes));
        if (unit_read(&reader, &map, &read, out_unit) || reader_left(&reader))
            accuse(actors, "a unit that was written cannot be read");
    }
    buf_deinit(&bytes);
}
