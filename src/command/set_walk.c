// SPDX-License-Identifier: Apache-2.0
// Answers as long as sets are: SMEMBERS, SRANDMEMBER with a count, and the algebra. What to go
// through is noted at once (pointers only), and told in parts, between which the replica thread
// does its other work: a million members stop nobody. SMEMBERS and SRANDMEMBER are of one moment
// whatever changes meanwhile; of algebra over more than a part, each member's presence in the other
// sets is looked up as its part comes.
#include "base/decimal.h"
#include "command/set.h"
#include "replica/change.h"

#ifdef QUIPU_TINY
#define PART 4u // members, and look-ups of one, at a time
#else
#define PART 8192u
#endif

struct walk;
typedef bool (*walk_keeps)(struct call *call, const struct walk *walk, struct span member);

struct walk {
    struct set_list list;
    uint32_t at;
    uint32_t first, last; // sets in argv, inclusive
    uint32_t key;         // whose members these are
    walk_keeps keeps;     // NULL: all are told
    uint64_t found, limit;
    uint64_t step; // of a part: what a member costs
    bool is_counting;
    bool is_union; // one set after the other
    size_t mark;   // of the answer's head, when the number is known only at the end
};

static struct walk *begin(struct call *call, const struct walk *from)
{
    struct walk *walk = heap_alloc(call->reply->out->heap, sizeof *walk);
    if (!walk) {
        reply_out_of_memory(call);
        return NULL;
    }
    *walk = *from;
    call->later = (uint64_t)(uintptr_t)walk;
    return walk;
}

static int end(struct call *call, struct walk *walk)
{
    if (walk->is_counting)
        reply_integer(call->reply, (int64_t)walk->found);
    else if (walk->keeps)
        reply_close_array(call->reply, walk->mark, walk->found);
    replica_set_list_free(call->replica, &walk->list);
    heap_free(call->reply->out->heap, walk, sizeof *walk);
    call->later = 0;
    return 0;
}

static void tell(struct call *call, struct walk *walk)
{
    struct span member = record_address(walk->list.member[walk->at]).sub;
    if (walk->keeps && !walk->keeps(call, walk, member))
        return;
    walk->found++;
    if (!walk->is_counting)
        reply_bulk(call->reply, member);
}

// A part of it. False: it is at its end.
static bool go_on(struct call *call, struct walk *walk)
{
    for (uint64_t cost = 0; cost < PART && walk->at < walk->list.count; walk->at++) {
        replica_set_list_ahead(&walk->list, walk->at);
        tell(call, walk);
        cost += walk->step;
        if (walk->found == walk->limit)
            return false;
    }
    return walk->at < walk->list.count && !buf_has_failed(call->reply->out);
}

static int open_key(struct call *call, struct walk *walk)
{
    const struct record *record = key_find(call, call->argv[walk->key]);
    if (!record || !set_is_type(record_type(record)))
        return 0; // a union comes to it later: it may be gone, or another thing by then
    return replica_set_list(call->replica, record, &walk->list);
}

static int walk_on(struct call *call)
{
    struct walk *walk = (struct walk *)(uintptr_t)call->later;
    if (go_on(call, walk))
        return COMMAND_E_MORE;
    if (!walk->is_union || walk->key == walk->last || buf_has_failed(call->reply->out))
        return end(call, walk);
    replica_set_list_free(call->replica, &walk->list);
    walk->key++;
    walk->at = 0;
    if (open_key(call, walk))
        call->reply->out->failed = true; // in the middle of an answer: the client is closed
    return COMMAND_E_MORE;
}

int apply_smembers(struct call *call)
{
    if (call->later)
        return walk_on(call);
    struct record *record = key_find(call, call->argv[1]);
    struct walk walk = {.limit = UINT64_MAX, .step = 1};
    if (!set_find(call, record))
        return 0;
    if (record && replica_set_list(call->replica, record, &walk.list))
        return reply_out_of_memory(call);
    reply_set(call->reply, walk.list.count);
    if (walk.list.count == 0)
        return 0;
    if (!begin(call, &walk)) {
        replica_set_list_free(call->replica, &walk.list);
        call->reply->out->failed = true; // behind its head: the client is closed
        return 0;
    }
    return walk_on(call);
}

// ---- SRANDMEMBER key [count]

static int pick_one(struct call *call, const struct record *set)
{
    const struct record *member = set ? replica_set_random(call->replica, set) : NULL;
    if (member)
        reply_bulk(call->reply, record_address(member).sub);
    else
        reply_nil(call->reply);
    return 0;
}

int apply_srandmember(struct call *call)
{
    int64_t count = 0;
    if (call->later)
        return walk_on(call);
    if (call->argc > 3) {
        reply_error(call->reply, REPLY_ERROR_SYNTAX);
        return 0;
    }
    if (call->argc == 3 && (!decimal_parse(call->argv[2], &count) || count > LIMIT_SET_PICK ||
                            count < -(int64_t)LIMIT_SET_PICK)) {
        reply_error_with(call->reply, REPLY_ERROR_NOT_IN_RANGE,
                         span_text("at most " LIMIT_TEXT(LIMIT_SET_PICK) " either way"));
        return 0;
    }
    struct record *set = key_find(call, call->argv[1]);
    struct walk walk = {.limit = UINT64_MAX, .step = 1};
    if (!set_find(call, set))
        return 0;
    if (call->argc == 2)
        return pick_one(call, set);
    if (set && count && replica_set_pick(call->replica, set, count, &walk.list))
        return reply_out_of_memory(call);
    reply_array(call->reply, walk.list.count);
    if (walk.list.count == 0)
        return 0;
    if (!begin(call, &walk)) {
        replica_set_list_free(call->replica, &walk.list);
        call->reply->out->failed = true;
        return 0;
    }
    return walk_on(call);
}

// ---- algebra

static bool is_in_any(struct call *call, const struct walk *walk, uint32_t from, uint32_t to,
                      struct span member)
{
    for (uint32_t i = from; i < to; i++) {
        if (i != walk->key && set_has(call, call->argv[i], member))
            return true;
    }
    return false;
}

static bool keeps_common(struct call *call, const struct walk *walk, struct span member)
{
    for (uint32_t i = walk->first; i <= walk->last; i++) {
        if (i != walk->key && !set_has(call, call->argv[i], member))
            return false;
    }
    return true;
}

static bool keeps_rest(struct call *call, const struct walk *walk, struct span member)
{
    return !is_in_any(call, walk, walk->first, walk->last + 1, member);
}

static bool keeps_new(struct call *call, const struct walk *walk, struct span member)
{
    return !is_in_any(call, walk, walk->first, walk->key, member);
}

// All are sets, or not there. False: the answer is written.
static bool are_sets(struct call *call, const struct walk *walk)
{
    for (uint32_t i = walk->first; i <= walk->last; i++) {
        if (!set_find(call, key_find(call, call->argv[i])))
            return false;
    }
    return true;
}

static uint32_t count_of(const struct call *call, uint32_t key)
{
    const struct record *record = key_find(call, call->argv[key]);
    return record ? record_members_count(record) : 0;
}

static int algebra(struct call *call, const struct walk *from)
{
    struct walk *walk = NULL;
    if (!are_sets(call, from))
        return 0;
    if (!(walk = begin(call, from)))
        return 0;
    walk->step = 1 + walk->last - walk->first;
    if (open_key(call, walk)) {
        heap_free(call->reply->out->heap, walk, sizeof *walk);
        call->later = 0;
        return reply_out_of_memory(call);
    }
    if (!walk->is_counting)
        walk->mark = reply_open_set(call->reply);
    return walk_on(call);
}

static struct walk over_all(const struct call *call, walk_keeps keeps)
{
    return (struct walk){
        .first = 1, .key = 1, .last = call->argc - 1, .keeps = keeps, .limit = UINT64_MAX};
}

static void take_smallest(const struct call *call, struct walk *walk)
{
    for (uint32_t i = walk->first; i <= walk->last; i++) {
        if (count_of(call, i) < count_of(call, walk->key))
            walk->key = i;
    }
}

int apply_sinter(struct call *call)
{
    if (call->later)
        return walk_on(call);
    struct walk walk = over_all(call, keeps_common);
    take_smallest(call, &walk);
    return algebra(call, &walk);
}

int apply_sdiff(struct call *call)
{
    if (call->later)
        return walk_on(call);
    struct walk walk = over_all(call, keeps_rest);
    return algebra(call, &walk);
}

int apply_sunion(struct call *call)
{
    if (call->later)
        return walk_on(call);
    struct walk walk = over_all(call, keeps_new);
    walk.is_union = true;
    return algebra(call, &walk);
}

// SINTERCARD numkeys key ... [LIMIT n]
int apply_sintercard(struct call *call)
{
    uint64_t count, limit = 0;
    if (call->later)
        return walk_on(call);
    if (!decimal_parse_unsigned(call->argv[1], &count) || count == 0) {
        reply_error_text(call->reply, "ERR numkeys should be greater than 0");
        return 0;
    }
    if (count > call->argc - 2) {
        reply_error_text(call->reply, "ERR Number of keys can't be greater than number of args");
        return 0;
    }
    uint32_t at = (uint32_t)count + 2;
    bool has_limit = at + 2 == call->argc && span_is_word(call->argv[at], "LIMIT");
    if (at != call->argc && !has_limit) {
        reply_error(call->reply, REPLY_ERROR_SYNTAX);
        return 0;
    }
    if (has_limit && !decimal_parse_unsigned(call->argv[at + 1], &limit)) {
        reply_error_text(call->reply, "ERR LIMIT can't be negative");
        return 0;
    }
    struct walk walk = {.first = 2,
                        .key = 2,
                        .last = (uint32_t)count + 1,
                        .keeps = keeps_common,
                        .limit = limit ? limit : UINT64_MAX,
                        .is_counting = true};
    take_smallest(call, &walk);
    return algebra(call, &walk);
}
