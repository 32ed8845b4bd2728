// SPDX-License-Identifier: Apache-2.0
// Bounded counters, by escrow (Balegas et al. 2015): a replica may take away only what it holds
// rights for, so the value never falls below its bound, however many are cut off.
//
// A *creation* is the base entry (the bound) by which a key became a bounded counter, named by its
// origin and sequence. Everything else hangs on it, in children of the key whose sub-key begins
// with that name; a row is what one incarnation wrote there:
//
//   creation                       total: what it put in less what it took out
//   creation, recipient            what it gave to the recipient, an incarnation
//   creation, deceased, 'h'        it is the heir of a closed incarnation
//   creation, 'd'                  how much it was asked for and could not give
//
//   rights(i) = total(i) + given to i - given by i         all of one creation
//
// Each creation is balanced by itself, so DEL ends a creation whole, with all that others took out
// of it or put in at the same time: a part of the rows would not add up. So a row counts as long as
// its creation lives, whatever has been cut of it (the cuts only serve to collect it). Of several
// creations made at once all count, under the newest one's bound. Every row grows in one way only
// or has one writer, so what a replica reckons as its rights is never more than what it has.
//
// An heir takes over what a closed incarnation left. Several may claim it at once; the smallest
// incarnation is the heir, and uses it when its claim is stable: whoever had claimed it without
// knowing of this one is then known here.
#include "base/wide.h"
#include "replica/private.h"

#define EVEN_MS 500 // between looks at whether rights lie where they are used

enum row_kind { ROW_TOTAL, ROW_GIFT, ROW_HEIR, ROW_DEMAND, ROW_UNKNOWN };

#define CREATION_BYTES 24u
#define SUB_BYTES_MAX  (CREATION_BYTES + 17)

struct creation {
    uint16_t origin;
    uint64_t sequence;
};

struct row {
    enum row_kind kind;
    struct creation creation;
    uint16_t party; // recipient or deceased; ORIGIN_NONE: not known here
};

static uint16_t origin_of(const struct replica *replica, const uint8_t *bytes)
{
    struct incarnation incarnation;
    memcpy(incarnation.bytes, bytes, sizeof incarnation.bytes);
    return origins_find(&replica->origins, &incarnation);
}

static struct row row_of(const struct replica *replica, const struct record *child)
{
    struct address address = record_address(child);
    struct span sub = address.sub;
    struct row row = {.kind = ROW_UNKNOWN, .party = ORIGIN_NONE};
    if (address.kind != UNIT_RIGHT || sub.len < CREATION_BYTES)
        return row;
    row.creation.origin = origin_of(replica, sub.ptr);
    row.creation.sequence = bytes_read_u64(sub.ptr + 16);
    size_t more = sub.len - CREATION_BYTES;
    if (row.creation.origin == ORIGIN_NONE)
        return row;
    if (more == 16 || more == 17)
        row.party = origin_of(replica, sub.ptr + CREATION_BYTES);
    row.kind = more == 0                                   ? ROW_TOTAL
               : more == 16                                ? ROW_GIFT
               : more == 17 && sub.ptr[sub.len - 1] == 'h' ? ROW_HEIR
               : more == 1 && sub.ptr[sub.len - 1] == 'd'  ? ROW_DEMAND
                                                           : ROW_UNKNOWN;
    return row;
}

static size_t sub_write(const struct replica *replica, const struct row *row, uint8_t *out)
{
    const struct incarnation *list = replica->origins.list;
    memcpy(out, list[row->creation.origin].bytes, 16);
    bytes_write_u64(out + 16, row->creation.sequence);
    size_t len = CREATION_BYTES;
    if (row->kind == ROW_GIFT || row->kind == ROW_HEIR) {
        memcpy(out + len, list[row->party].bytes, 16);
        len += 16;
    }
    if (row->kind == ROW_HEIR || row->kind == ROW_DEMAND)
        out[len++] = row->kind == ROW_HEIR ? 'h' : 'd';
    return len;
}

static int64_t total_of(const struct cell *cell)
{
    return cell->birth ? cell->total : 0;
}

// ---- creations

static bool is_same(const struct creation *a, const struct creation *b)
{
    return a->origin == b->origin && a->sequence == b->sequence;
}

static bool is_creation(const struct cell *cell)
{
    return cell->type == CELL_BOUNDED && cell->base.sequence != 0;
}

// Those that live, the one whose bound is shown first. Returns how many.
static unsigned creations_of(struct replica *replica, const struct record *key,
                             struct creation *out_list)
{
    const struct unit *unit = cells_read(replica, key);
    const struct cell *shown = unit_shown_base(unit, &replica->origins);
    unsigned count = 0;
    for (uint16_t i = 0; i < unit->count; i++) {
        const struct cell *cell = &unit->cells[i];
        if (!is_creation(cell))
            continue;
        out_list[count++] = (struct creation){cell->origin, cell->base.sequence};
        if (cell == shown) {
            struct creation first = out_list[0];
            out_list[0] = out_list[count - 1];
            out_list[count - 1] = first;
        }
    }
    return count;
}

static bool is_among(const struct creation *list, unsigned count, const struct creation *one)
{
    for (unsigned i = 0; i < count; i++) {
        if (is_same(&list[i], one))
            return true;
    }
    return false;
}

// ---- what the key shows

int64_t bounded_shown(const struct record *key, const struct unit *unit,
                      const struct origins *origins)
{
    if (record_first_child(key))
        return record_noted(key);
    const struct cell *shown = unit_shown_base(unit, origins);
    return shown ? shown->base.value : 0;
}

static wide_signed sum_of(const struct unit *unit)
{
    wide_signed sum = 0;
    for (uint16_t i = 0; i < unit->count; i++)
        sum += total_of(&unit->cells[i]);
    return sum;
}

static int64_t clamp(wide_signed value)
{
    return value > INT64_MAX ? INT64_MAX : value < INT64_MIN ? INT64_MIN : (int64_t)value;
}

// After a change of the key's own cells or of a row.
int bounded_settle(struct replica *replica, struct record *key)
{
    struct creation living[LIMIT_ORIGINS];
    unsigned count = creations_of(replica, key, living);
    const struct cell *base = unit_shown_base(cells_read(replica, key), &replica->origins);
    wide_signed value = base ? base->base.value : 0;
    if (!record_first_child(key))
        return 0;
    for (struct record *child = record_first_child(key); child; child = record_next_child(child)) {
        struct row row = row_of(replica, child);
        if (row.kind == ROW_TOTAL && is_among(living, count, &row.creation))
            value += sum_of(cells_read(replica, child));
    }
    struct unit_view before = cells_view(replica, key);
    record_note(key, clamp(value));
    struct unit_view after = cells_view(replica, key);
    int64_t difference = (int64_t)((uint64_t)after.value - (uint64_t)before.value);
    if (difference == 0)
        return 0;
    int64_t now = record_shift(key, difference);
    keyspace_change_put(replica->keyspace, key);
    note_put(replica, key, (int64_t)((uint64_t)now - (uint64_t)difference), difference, CHANGE_ADD);
    return 0;
}

// ---- rights

struct rights {                     // of one creation
    wide_signed own[LIMIT_ORIGINS]; // by rows alone
    uint16_t heir[LIMIT_ORIGINS];   // of a closed one; ORIGIN_NONE: none
    bool is_settled[LIMIT_ORIGINS]; // the heir's claim is stable
    wide_signed of[LIMIT_ORIGINS];  // with what was inherited
    int64_t total[LIMIT_ORIGINS], demand[LIMIT_ORIGINS];
};

// A gift counts when all that the giver had written by then is here: so is what it was given from,
// and goes to others with what is done with it.
static void take_gift(const struct replica *replica, struct rights *rights, const struct unit *unit,
                      uint16_t recipient)
{
    for (uint16_t i = 0; i < unit->count; i++) {
        const struct cell *cell = &unit->cells[i];
        if (cell->origin == recipient)
            continue;
        rights->own[cell->origin] -= total_of(cell);
        if (recipient != ORIGIN_NONE && cell->sequence <= replica->vector.sequence[cell->origin])
            rights->own[recipient] += total_of(cell);
    }
}

static void take_claims(const struct replica *replica, struct rights *rights,
                        const struct unit *unit, uint16_t deceased)
{
    const struct incarnation *list = replica->origins.list;
    for (uint16_t i = 0; i < unit->count && deceased != ORIGIN_NONE; i++) {
        const struct cell *cell = &unit->cells[i];
        uint16_t before = rights->heir[deceased];
        if (!cell->birth || cell->origin == deceased ||
            (before != ORIGIN_NONE && incarnation_compare(&list[cell->origin], &list[before]) > 0))
            continue;
        rights->heir[deceased] = cell->origin;
        rights->is_settled[deceased] =
            cell->write <= node_stable(&replica->node)->sequence[cell->origin];
    }
}

static void take_row(struct replica *replica, struct rights *rights, const struct row *row,
                     const struct unit *unit)
{
    if (row->kind == ROW_GIFT)
        take_gift(replica, rights, unit, row->party);
    else if (row->kind == ROW_HEIR)
        take_claims(replica, rights, unit, row->party);
    for (uint16_t i = 0; i < unit->count; i++) {
        const struct cell *cell = &unit->cells[i];
        if (row->kind == ROW_TOTAL) {
            rights->own[cell->origin] += total_of(cell);
            rights->total[cell->origin] = total_of(cell);
        } else if (row->kind == ROW_DEMAND) {
            rights->demand[cell->origin] = total_of(cell);
        }
    }
}

// Heirs have heirs.
static uint16_t last_heir(const struct rights *rights, uint16_t origin)
{
    for (unsigned steps = 0; steps < LIMIT_ORIGINS; steps++) {
        uint16_t heir = rights->heir[origin];
        if (heir == ORIGIN_NONE || !rights->is_settled[origin])
            break;
        origin = heir;
    }
    return origin;
}

static void reckon(struct replica *replica, const struct record *key,
                   const struct creation *creation, struct rights *out)
{
    memset(out, 0, sizeof *out);
    for (unsigned i = 0; i < LIMIT_ORIGINS; i++)
        out->heir[i] = ORIGIN_NONE;
    for (struct record *child = record_first_child(key); child; child = record_next_child(child)) {
        struct row row = row_of(replica, child);
        if (row.kind != ROW_UNKNOWN && is_same(&row.creation, creation))
            take_row(replica, out, &row, cells_read(replica, child));
    }
    for (uint16_t i = 0; i < replica->origins.count; i++)
        out->of[last_heir(out, i)] += out->own[i];
}

static int64_t left_of(struct replica *replica, const struct record *key,
                       const struct creation *creation)
{
    struct rights rights;
    reckon(replica, key, creation, &rights);
    wide_signed left = rights.of[replica->self];
    return left > 0 ? clamp(left) : 0;
}

static int64_t left_in_all(struct replica *replica, const struct record *key,
                           const struct creation *living, unsigned count)
{
    wide_signed left = 0;
    for (unsigned i = 0; i < count; i++)
        left += left_of(replica, key, &living[i]);
    return clamp(left);
}

// ---- writing a row

// Our row grows or falls by `amount`; it goes on where it was even if a reset has cut it.
static int write_row(struct replica *replica, struct record *key, const struct row *row,
                     int64_t amount)
{
    uint8_t sub[SUB_BYTES_MAX];
    struct address address = {.kind = UNIT_RIGHT,
                              .key = record_address(key).key,
                              .sub = span_of(sub, sub_write(replica, row, sub))};
    struct record *record = cells_record(replica, &address, CELL_BOUNDED);
    if (!record)
        return -ENOMEM;
    struct unit_view before = cells_view(replica, record);
    struct unit *unit = cells_load(replica, record);
    struct cell *cell = unit ? unit_obtain(unit, replica->self) : NULL;
    if (!cell)
        return -ENOMEM;
    cell->write = cell->sequence = cells_next(replica);
    if (!cell->birth)
        cell->birth = cell->write;
    cell->total += amount;
    cell->type = CELL_BOUNDED;
    int fault = cells_store(replica, record);
    return fault ? fault : cells_settle(replica, record, before, CHANGE_ADD);
}

static bool is_row_in_range(struct replica *replica, const struct record *key,
                            const struct row *row, int64_t amount)
{
    for (struct record *child = record_first_child(key); child; child = record_next_child(child)) {
        struct row other = row_of(replica, child);
        const struct cell *own;
        if (other.kind != row->kind || !is_same(&other.creation, &row->creation) ||
            other.party != row->party || !(own = cells_own(replica, child)))
            continue;
        int64_t total;
        return !__builtin_add_overflow(total_of(own), amount, &total) && total <= LIMIT_TOTAL &&
               total >= -LIMIT_TOTAL;
    }
    return amount <= LIMIT_TOTAL && amount >= -LIMIT_TOTAL;
}

// ---- what clients ask

static struct record *find_key(struct replica *replica, struct span key)
{
    struct address address = {.kind = UNIT_KEY, .key = key};
    return keyspace_find(replica->keyspace, &address, keyspace_hash(replica->keyspace, &address));
}

static bool is_live(const struct record *record)
{
    return record && (record_flags(record) & RECORD_LIVE);
}

int replica_bounded_create(struct replica *replica, struct span key, int64_t bound)
{
    struct address address = {.kind = UNIT_KEY, .key = key};
    struct record *record = cells_record(replica, &address, CELL_BOUNDED);
    if (!record)
        return -ENOMEM;
    if (is_live(record) || (record_flags(record) & RECORD_DIRTY)) {
        if (record_type(record) != CELL_BOUNDED)
            return CHANGE_E_TYPE;
        const struct cell *shown = unit_shown_base(cells_read(replica, record), &replica->origins);
        return shown && shown->base.value == bound ? 0 : CHANGE_E_BOUND;
    }
    record_mark(replica->keyspace, record, 0, 0, CELL_BOUNDED);
    struct unit_view before = cells_view(replica, record);
    struct unit *unit = cells_load(replica, record);
    struct cell *cell = unit ? unit_obtain(unit, replica->self) : NULL;
    if (!cell)
        return -ENOMEM;
    cell->sequence = cells_next(replica);
    cell->type = CELL_BOUNDED;
    cell->base =
        (struct base){.sequence = cell->sequence, .stamp = ++replica->stamp, .value = bound};
    int fault = cells_store(replica, record);
    return fault ? fault : cells_settle(replica, record, before, CHANGE_CREATE);
}

// From creation after creation, as far as we hold rights there.
static int take(struct replica *replica, struct record *key, struct row row, int64_t amount)
{
    struct creation living[LIMIT_ORIGINS];
    unsigned count = creations_of(replica, key, living);
    int fault = 0;
    for (unsigned i = 0; i < count && amount > 0 && !fault; i++) {
        int64_t left = left_of(replica, key, &living[i]);
        int64_t part = left < amount ? left : amount;
        int64_t change = row.kind == ROW_GIFT ? part : -part;
        row.creation = living[i];
        if (part > 0 && !is_row_in_range(replica, key, &row, change))
            fault = CHANGE_E_OVERFLOW;
        else if (part > 0)
            fault = write_row(replica, key, &row, change);
        amount -= part;
    }
    return fault;
}

static void note_demand(struct replica *replica, const struct record *key, int64_t amount)
{
    uint32_t at;
    if (!record_map_find(&replica->escrow.by_record, key, &at))
        return;
    struct escrow_key *entry = &replica->escrow.keys[at];
    if (__builtin_add_overflow(entry->refused, amount, &entry->refused))
        entry->refused = INT64_MAX;
}

int replica_bounded_add(struct replica *replica, struct span key, int64_t amount,
                        int64_t *out_value, int64_t *out_left)
{
    struct record *record = find_key(replica, key);
    struct creation living[LIMIT_ORIGINS];
    if (!is_live(record) || record_type(record) != CELL_BOUNDED)
        return CHANGE_E_TYPE;
    unsigned count = creations_of(replica, record, living);
    struct row row = {.kind = ROW_TOTAL, .creation = living[0], .party = ORIGIN_NONE};
    int64_t value;
    if (count == 0 || __builtin_add_overflow(record_value(record), amount, &value) ||
        !is_row_in_range(replica, record, &row, amount))
        return CHANGE_E_OVERFLOW;
    int fault;
    if (amount >= 0) {
        fault = write_row(replica, record, &row, amount);
    } else {
        *out_left = left_in_all(replica, record, living, count);
        if (*out_left < -amount) {
            note_demand(replica, record, -amount);
            return CHANGE_E_RIGHTS;
        }
        fault = take(replica, record, row, -amount);
    }
    *out_value = record_value(record);
    return fault;
}

// The incarnation under which a replica of that name counts now.
static bool find_replica(const struct replica *replica, struct span name, uint16_t *out_origin)
{
    const struct node *node = &replica->node;
    *out_origin = replica->self;
    if (span_is_equal(name, span_text(node->name)))
        return true;
    for (uint16_t i = 0; i < node->members_count; i++) {
        const struct member *member = &node->members[i];
        *out_origin = member->origin;
        if (!member->is_former && span_is_equal(name, span_text(member->name)))
            return true;
    }
    return false;
}

int replica_bounded_transfer(struct replica *replica, struct span key, int64_t amount,
                             struct span name, int64_t *out_left)
{
    struct record *record = find_key(replica, key);
    struct creation living[LIMIT_ORIGINS];
    struct row row = {.kind = ROW_GIFT};
    if (!is_live(record) || record_type(record) != CELL_BOUNDED)
        return CHANGE_E_TYPE;
    if (!find_replica(replica, name, &row.party))
        return CHANGE_E_REPLICA;
    unsigned count = creations_of(replica, record, living);
    *out_left = left_in_all(replica, record, living, count);
    if (*out_left < amount)
        return CHANGE_E_RIGHTS;
    if (row.party == replica->self)
        return 0; // a gift to oneself is none
    int fault = take(replica, record, row, amount);
    *out_left -= amount;
    return fault;
}

// ---- rows of creations that are no more

// Its creation has been taken away, or cannot come any more.
static bool is_orphan(struct replica *replica, const struct record *child, struct row row)
{
    struct creation living[LIMIT_ORIGINS];
    unsigned count = creations_of(replica, record_parent(child), living);
    return row.kind != ROW_UNKNOWN && !is_among(living, count, &row.creation) &&
           row.creation.sequence <= replica->vector.sequence[row.creation.origin];
}

bool bounded_can_reset(struct replica *replica, const struct record *child)
{
    struct creation living[LIMIT_ORIGINS];
    struct row row = row_of(replica, child);
    unsigned count = creations_of(replica, record_parent(child), living);
    return is_among(living, count, &row.creation) || is_orphan(replica, child, row);
}

// Whoever wrote it takes it away; when that one is gone, or has had the time to, anybody does. (Who
// began anew may hold some that is nowhere else any more: forget.c.)
bool bounded_is_litter(struct replica *replica, const struct record *child)
{
    const struct vector *stable = node_stable(&replica->node);
    if (!(record_flags(child) & RECORD_LIVE) || !is_orphan(replica, child, row_of(replica, child)))
        return false;
    const struct unit *unit = cells_read(replica, child);
    for (uint16_t i = 0; i < unit->count; i++) {
        const struct cell *cell = &unit->cells[i];
        bool is_left = cell->origin == replica->self || replica->node.seals[cell->origin].is_set ||
                       cell->sequence <= stable->sequence[cell->origin];
        if (cell_is_live(cell) && is_left)
            return true;
    }
    return false;
}

// ---- evening out

int bounded_watch(struct replica *replica, const struct record *key)
{
    struct escrow *escrow = &replica->escrow;
    uint32_t at;
    if (record_map_find(&escrow->by_record, key, &at))
        return 0;
    if (escrow->count == escrow->cap) {
        size_t cap = escrow->cap ? escrow->cap * 2 : 8;
        struct escrow_key *keys = heap_resize(replica->heap, escrow->keys,
                                              escrow->cap * sizeof *keys, cap * sizeof *keys);
        if (!keys)
            return -ENOMEM;
        escrow->keys = keys;
        escrow->cap = cap;
    }
    if (record_map_put(&escrow->by_record, key, (uint32_t)escrow->count))
        return -ENOMEM;
    escrow->keys[escrow->count++] = (struct escrow_key){.record = (struct record *)(uintptr_t)key};
    return 0;
}

void bounded_forget(struct replica *replica, const struct record *key)
{
    struct escrow *escrow = &replica->escrow;
    uint32_t at;
    if (!record_map_find(&escrow->by_record, key, &at))
        return;
    record_map_remove(&escrow->by_record, key);
    const struct escrow_key *last = &escrow->keys[--escrow->count];
    if (last == &escrow->keys[at])
        return;
    escrow->keys[at] = *last;
    // Its entry is there already: nothing is allocated.
    record_map_put(&escrow->by_record, last->record, at);
}

struct party { // one that takes part: ourselves, or a member that is linked to us
    uint16_t origin;
    uint16_t place; // of its use in the key's history
    int64_t rights, target;
};

static unsigned parties_of(const struct replica *replica, struct party *out_list)
{
    const struct node *node = &replica->node;
    unsigned count = 0;
    out_list[count++] = (struct party){.origin = replica->self, .place = NODE_MEMBERS_MAX};
    for (uint16_t i = 0; i < node->members_count; i++) {
        const struct member *member = &node->members[i];
        if (!member->is_former && member->origin != replica->self && node_link_to(node, i) >= 0)
            out_list[count++] = (struct party){.origin = member->origin, .place = i};
    }
    return count;
}

// How much each used and was asked for lately: half as much every time.
static int64_t use_of(struct escrow_key *key, const struct party *party,
                      const struct rights *rights)
{
    struct escrow_use *use = &key->use[party->place];
    int64_t total = rights->total[party->origin], demand = rights->demand[party->origin];
    if (use->origin != party->origin)
        *use = (struct escrow_use){.origin = party->origin, .total = total, .demand = demand};
    int64_t used = total < use->total ? use->total - total : 0;
    used += demand > use->demand ? demand - use->demand : 0;
    use->total = total;
    use->demand = demand;
    use->recent = use->recent / 2 + (used < LIMIT_TOTAL / 64 ? used : LIMIT_TOTAL / 64);
    return use->recent;
}

static void set_targets(struct escrow_key *key, const struct rights *rights, struct party *list,
                        unsigned count)
{
    wide_signed all = 0, weights = 0;
    int64_t weight[NODE_MEMBERS_MAX + 1];
    for (unsigned i = 0; i < count; i++) {
        list[i].rights = clamp(rights->of[list[i].origin]);
        all += list[i].rights > 0 ? list[i].rights : 0;
        weight[i] = 1 + use_of(key, &list[i], rights);
        weights += weight[i];
    }
    for (unsigned i = 0; i < count; i++)
        list[i].target = clamp((2 * all * weight[i] + weights) / (2 * weights));
}

// The one who has most to spare gives; among several replicas the same one, as they see it.
static bool is_giver(const struct replica *replica, const struct party *list, unsigned count)
{
    const struct incarnation *names = replica->origins.list;
    int64_t spare = list[0].rights - list[0].target;
    for (unsigned i = 1; i < count; i++) {
        int64_t other = list[i].rights - list[i].target;
        if (other > spare || (other == spare && incarnation_compare(&names[list[i].origin],
                                                                    &names[list[0].origin]) < 0))
            return false;
    }
    return spare > 0;
}

static int give(struct replica *replica, struct record *key, const struct creation *creation,
                const struct party *list, unsigned count)
{
    int64_t spare = list[0].rights - list[0].target;
    int fault = 0;
    for (unsigned i = 1; i < count && spare > 0 && !fault; i++) {
        struct row row = {.kind = ROW_GIFT, .creation = *creation, .party = list[i].origin};
        int64_t wanted = list[i].target - list[i].rights;
        int64_t part = wanted < spare ? wanted : spare;
        if (part <= 0 || 2 * (wide_signed)list[i].rights >= list[i].target ||
            !is_row_in_range(replica, key, &row, part))
            continue;
        fault = write_row(replica, key, &row, part);
        spare -= part;
    }
    return fault;
}

static bool is_claimer(const struct replica *replica, const struct party *list, unsigned count)
{
    const struct incarnation *names = replica->origins.list;
    for (unsigned i = 1; i < count; i++) {
        if (incarnation_compare(&names[list[i].origin], &names[replica->self]) < 0)
            return false;
    }
    return true;
}

// Whether a claim that was ever used is known here: it was stable by then. A directory that has
// gone back does not know that it has before it has heard all members.
static bool can_claim(const struct replica *replica)
{
    return node_is_filled(&replica->node) && !node_stability_blocker(&replica->node);
}

// What closed incarnations left, and nobody has claimed.
static int claim(struct replica *replica, struct record *key, const struct creation *creation,
                 const struct rights *rights)
{
    int fault = 0;
    for (uint16_t i = 0; i < replica->origins.count && !fault; i++) {
        const struct seal *seal = &replica->node.seals[i];
        struct row row = {.kind = ROW_HEIR, .creation = *creation, .party = i};
        if (seal->is_set && replica->vector.sequence[i] >= seal->sequence && rights->of[i] > 0 &&
            rights->heir[i] == ORIGIN_NONE)
            fault = write_row(replica, key, &row, 0);
    }
    return fault;
}

static int even_creation(struct replica *replica, struct escrow_key *key,
                         const struct creation *creation, bool is_first)
{
    struct party list[NODE_MEMBERS_MAX + 1];
    struct rights rights;
    struct record *record = key->record;
    unsigned count = parties_of(replica, list);
    reckon(replica, record, creation, &rights);
    bool is_ours = is_claimer(replica, list, count) && can_claim(replica);
    int fault = is_ours ? claim(replica, record, creation, &rights) : 0;
    if (!is_first || fault) // the history of use is kept for the creation that is added to
        return fault;
    if (key->refused) {
        struct row row = {.kind = ROW_DEMAND, .creation = *creation, .party = ORIGIN_NONE};
        if (is_row_in_range(replica, record, &row, key->refused))
            fault = write_row(replica, record, &row, key->refused);
        key->refused = 0;
    }
    set_targets(key, &rights, list, count);
    if (!fault && count > 1 && is_giver(replica, list, count))
        fault = give(replica, record, creation, list, count);
    return fault;
}

bool bounded_is_due(const struct replica *replica)
{
    return replica->is_serving && replica->escrow.count &&
           replica->now_ms >= replica->escrow.due_ms;
}

int bounded_even(struct replica *replica)
{
    if (!bounded_is_due(replica))
        return 0;
    replica->escrow.due_ms = replica->now_ms + EVEN_MS;
    int fault = 0;
    for (size_t i = 0; i < replica->escrow.count && !fault; i++) {
        struct escrow_key *key = &replica->escrow.keys[i];
        struct creation living[LIMIT_ORIGINS];
        unsigned count = creations_of(replica, key->record, living);
        for (unsigned at = 0; at < count && !fault; at++)
            fault = even_creation(replica, key, &living[at], at == 0);
    }
    return fault;
}

int64_t replica_bounded_left(struct replica *replica, struct span key)
{
    struct creation living[LIMIT_ORIGINS];
    const struct record *record = find_key(replica, key);
    if (!is_live(record) || record_type(record) != CELL_BOUNDED)
        return 0;
    return left_in_all(replica, record, living, creations_of(replica, record, living));
}
