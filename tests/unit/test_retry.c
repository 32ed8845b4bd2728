// SPDX-License-Identifier: Apache-2.0
// Retry tokens over the CRDT core alone: a few replicas with one counter's cells and its tokens'
// dots, merged in any order, with resets, beside an oracle that remembers every add and what each
// reset has observed. A token that no known reset has observed counts once, another one nothing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "base/prng.h"
#include "crdt/retry.h"
#include "tests/lib/heap_libc.h"
#include "tests/lib/seed.h"

#define NODES  4
#define TOKENS 24
#define ADDS   256
#define STEPS  300

struct add {
    unsigned token;
    uint16_t origin;
    uint64_t sequence;
    int64_t amount;
};

struct replica {
    struct unit key, dots[TOKENS];
    struct vector seen;
    bool knows[ADDS], observed[ADDS];
};

struct crowd {
    struct heap_libc heap;
    struct prng prng;
    struct origins origins;
    struct replica replica[NODES];
    struct add add[ADDS];
    unsigned adds_count, nodes_count;
};

static void crowd_begin(struct crowd *crowd, uint64_t seed)
{
    *crowd = (struct crowd){0};
    heap_libc_init(&crowd->heap);
    prng_init(&crowd->prng, seed);
    crowd->nodes_count = 2 + (unsigned)prng_below(&crowd->prng, NODES - 1);
    for (uint16_t i = 0; i < crowd->nodes_count; i++) {
        struct incarnation incarnation = {{0}};
        uint16_t index;
        bytes_write_u64(incarnation.bytes, prng_next(&crowd->prng));
        assert_int_equal(origins_obtain(&crowd->origins, &incarnation, &index), 0);
        unit_init(&crowd->replica[i].key, &crowd->heap.heap);
        for (unsigned token = 0; token < TOKENS; token++)
            unit_init(&crowd->replica[i].dots[token], &crowd->heap.heap);
    }
}

static void crowd_end(struct crowd *crowd)
{
    for (unsigned i = 0; i < crowd->nodes_count; i++) {
        unit_deinit(&crowd->replica[i].key);
        for (unsigned token = 0; token < TOKENS; token++)
            unit_deinit(&crowd->replica[i].dots[token]);
    }
    assert_int_equal(crowd->heap.bytes, 0);
}

static int64_t shown(const struct crowd *crowd, const struct replica *replica)
{
    uint64_t value = (uint64_t)unit_view(&replica->key, &crowd->origins).value;
    struct retry_key key = {&replica->key, &replica->seen, &crowd->origins, 1000};
    for (unsigned token = 0; token < TOKENS; token++)
        value -= (uint64_t)retry_judge(&replica->dots[token], &key).taken;
    return (int64_t)value;
}

static int64_t right(const struct crowd *crowd, const struct replica *replica)
{
    int64_t sum = 0;
    for (unsigned token = 0; token < TOKENS; token++) {
        const struct add *least = NULL;
        bool is_observed = false;
        for (unsigned i = 0; i < crowd->adds_count; i++) {
            const struct add *add = &crowd->add[i];
            if (add->token != token || !replica->knows[i])
                continue;
            is_observed |= replica->observed[i];
            if (!least || incarnation_compare(&crowd->origins.list[add->origin],
                                              &crowd->origins.list[least->origin]) < 0)
                least = add;
        }
        sum += least && !is_observed ? least->amount : 0;
    }
    return sum;
}

static void add(struct crowd *crowd, uint16_t at)
{
    struct replica *replica = &crowd->replica[at];
    unsigned token = (unsigned)prng_below(&crowd->prng, TOKENS);
    if (replica->dots[token].count || crowd->adds_count == ADDS)
        return; // known: a duplicate
    struct retry_dot dot = {.origin = at,
                            .sequence = ++replica->seen.sequence[at],
                            .amount = 1 + (int64_t)prng_below(&crowd->prng, 5),
                            .made_s = 100 + prng_below(&crowd->prng, 500)};
    cell_add(unit_obtain(&replica->key, at), dot.amount, dot.sequence);
    assert_int_equal(retry_put(&replica->dots[token], &dot), 0);
    replica->knows[crowd->adds_count] = true;
    crowd->add[crowd->adds_count++] = (struct add){token, at, dot.sequence, dot.amount};
}

static void reset(struct crowd *crowd, uint16_t at)
{
    struct replica *replica = &crowd->replica[at];
    if (unit_reset(&replica->key, at, replica->seen.sequence[at] + 1) == UNIT_E_NOTHING)
        return;
    replica->seen.sequence[at]++;
    for (unsigned i = 0; i < crowd->adds_count; i++)
        replica->observed[i] |= replica->knows[i];
}

// The cells of key and tokens in any order, as a walk brings them; the oracle hears of it all.
static void merge(struct crowd *crowd, struct replica *self, const struct replica *other)
{
    unsigned changed, first = (unsigned)prng_below(&crowd->prng, TOKENS + 1);
    if (self == other)
        return;
    for (unsigned i = 0; i <= TOKENS; i++) {
        unsigned at = (first + i) % (TOKENS + 1);
        struct unit *mine = at == TOKENS ? &self->key : &self->dots[at];
        const struct unit *others = at == TOKENS ? &other->key : &other->dots[at];
        assert_int_equal(unit_join(mine, others->cells, others->count, &self->seen, &changed), 0);
    }
    vector_join(&self->seen, &other->seen);
    for (unsigned i = 0; i < crowd->adds_count; i++) {
        self->knows[i] |= other->knows[i];
        self->observed[i] |= other->observed[i];
    }
}

static void step(struct crowd *crowd)
{
    uint16_t at = (uint16_t)prng_below(&crowd->prng, crowd->nodes_count);
    uint64_t what = prng_below(&crowd->prng, 100);
    if (what < 45)
        add(crowd, at);
    else if (what < 52)
        reset(crowd, at);
    else
        merge(crowd, &crowd->replica[prng_below(&crowd->prng, crowd->nodes_count)],
              &crowd->replica[at]);
}

static void whatever_is_retried_where_a_token_counts_once(void **state)
{
    (void)state;
    struct seeds seeds = seeds_of(300);
    for (uint64_t seed = seeds.first; seed < seeds.end; seed++) {
        struct crowd crowd;
        crowd_begin(&crowd, seed);
        for (unsigned i = 0; i < STEPS; i++) {
            step(&crowd);
            for (unsigned node = 0; node < crowd.nodes_count; node++) {
                int64_t value = shown(&crowd, &crowd.replica[node]);
                int64_t must = right(&crowd, &crowd.replica[node]);
                if (value != must)
                    fail_msg("seed %llu: %lld, must be %lld", (unsigned long long)seed,
                             (long long)value, (long long)must);
            }
        }
        crowd_end(&crowd);
    }
}

struct judged {
    struct heap_libc heap;
    struct origins origins;
    struct unit key, dots;
    struct vector seen;
};

static struct retry_judgement judge(const struct judged *judged)
{
    struct retry_key key = {&judged->key, &judged->seen, &judged->origins, 1000};
    return retry_judge(&judged->dots, &key);
}

static void judged_begin(struct judged *judged)
{
    *judged = (struct judged){0};
    heap_libc_init(&judged->heap);
    for (uint8_t i = 0; i < 3; i++) {
        struct incarnation incarnation = {{(uint8_t)(9 - i)}};
        uint16_t index;
        assert_int_equal(origins_obtain(&judged->origins, &incarnation, &index), 0);
    }
    unit_init(&judged->key, &judged->heap.heap);
    unit_init(&judged->dots, &judged->heap.heap);
    for (uint16_t i = 0; i < 2; i++) {
        struct retry_dot dot = {.origin = i, .sequence = 7, .amount = i + 1, .made_s = 5000};
        assert_int_equal(retry_put(&judged->dots, &dot), 0);
        cell_add(unit_obtain(&judged->key, i), 10, 7);
    }
}

static void judged_end(struct judged *judged)
{
    unit_deinit(&judged->key);
    unit_deinit(&judged->dots);
}

static void of_two_adds_the_least_incarnations_stays(void **state)
{
    (void)state;
    struct judged judged;
    judged_begin(&judged);
    struct retry_judgement judgement = judge(&judged);
    assert_int_equal(judgement.taken, 1); // that of the origin with the larger incarnation
    assert_int_equal(judgement.dots, 2);
    assert_false(judgement.has_unseen || judgement.is_all_cut);
    judged_end(&judged);
}

static void once_a_reset_has_observed_one_the_other_is_taken_off(void **state)
{
    (void)state;
    struct judged judged;
    judged_begin(&judged);
    cell_cut(unit_find(&judged.key, 0), &(struct cut){.birth = 7, .write = 7, .total = 10});
    assert_int_equal(judge(&judged).taken, 2);
    assert_false(judge(&judged).is_all_cut);
    cell_cut(unit_find(&judged.key, 1), &(struct cut){.birth = 7, .write = 7, .total = 10});
    assert_int_equal(judge(&judged).taken, 0);
    assert_true(judge(&judged).is_all_cut);
    judged_end(&judged);
}

static void a_dot_whose_add_is_not_here_waits(void **state)
{
    (void)state;
    struct judged judged;
    judged_begin(&judged);
    unit_remove(&judged.key, 0);
    assert_int_equal(judge(&judged).taken, 0);
    assert_true(judge(&judged).has_unseen);
    judged_end(&judged);
}

static void a_dot_whose_add_went_with_its_disk_is_passed_over(void **state)
{
    (void)state;
    struct judged judged;
    judged_begin(&judged);
    unit_remove(&judged.key, 0);
    judged.seen.sequence[0] = 7; // its history is closed
    assert_int_equal(judge(&judged).taken, 0);
    assert_int_equal(judge(&judged).dots, 1);
    judged_end(&judged);
}

static void a_dot_whose_add_is_lost_though_older_ones_are_here_is_passed_over(void **state)
{
    (void)state;
    struct judged judged;
    judged_begin(&judged);
    unit_find(&judged.key, 0)->birth = unit_find(&judged.key, 0)->write = 5;
    assert_true(judge(&judged).has_unseen);
    assert_int_equal(judge(&judged).dots, 2);
    judged.seen.sequence[0] = 7; // its history is closed
    assert_int_equal(judge(&judged).taken, 0);
    assert_int_equal(judge(&judged).dots, 1);
    judged_end(&judged);
}

static void a_dot_from_before_the_window_is_passed_over(void **state)
{
    (void)state;
    struct judged judged;
    judged_begin(&judged);
    struct retry_dot late = {.origin = 1, .sequence = 7, .amount = 2, .made_s = 6000};
    assert_int_equal(retry_put(&judged.dots, &late), 0);
    assert_int_equal(judge(&judged).dots, 2);
    late.made_s = 6001;
    assert_int_equal(retry_put(&judged.dots, &late), 0);
    assert_int_equal(judge(&judged).dots, 1);
    assert_int_equal(judge(&judged).taken, 0);
    judged_end(&judged);
}

static void only_a_uuid_of_version_7_tells_when_it_was_made(void **state)
{
    (void)state;
    static const struct {
        const char *token;
        uint64_t made_ms;
    } rows[] = {
        {"017f22e2-79b0-7cc3-98c4-dc0c0c07398f", 0x017f22e279b0}, // RFC 9562, A.6
        {"017F22E2-79B0-7CC3-B8C4-DC0C0C07398F", 0x017f22e279b0},
        {"017f22e2-79b0-4cc3-98c4-dc0c0c07398f", 0},
        {"017f22e2-79b0-7cc3-c8c4-dc0c0c07398f", 0},
        {"017f22e2179b0-7cc3-98c4-dc0c0c07398f", 0},
        {"017f22e2-79b0-7cc3-98c4-dc0c0c07398", 0},
        {"017f22g2-79b0-7cc3-98c4-dc0c0c07398f", 0},
        {"", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(retry_made_ms(span_text(rows[i].token)), rows[i].made_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_retried_where_a_token_counts_once),
        cmocka_unit_test(of_two_adds_the_least_incarnations_stays),
        cmocka_unit_test(once_a_reset_has_observed_one_the_other_is_taken_off),
        cmocka_unit_test(a_dot_whose_add_is_not_here_waits),
        cmocka_unit_test(a_dot_whose_add_went_with_its_disk_is_passed_over),
        cmocka_unit_test(a_dot_whose_add_is_lost_though_older_ones_are_here_is_passed_over),
        cmocka_unit_test(a_dot_from_before_the_window_is_passed_over),
        cmocka_unit_test(only_a_uuid_of_version_7_tells_when_it_was_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
