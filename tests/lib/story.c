// SPDX-License-Identifier: Apache-2.0
// The script's side of the simulator's world.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "tests/lib/story.h"

void story_begin(struct story *story, unsigned nodes)
{
    *story = (struct story){.world = malloc(sizeof *story->world),
                            .plan = {.nodes_count = nodes,
                                     .is_patient = true,
                                     .commit_ms = 0,
                                     .delay_ms = 0,
                                     .start_wait_ms = 2000,
                                     .silence_ms = 30000}};
    assert_non_null(story->world);
    sim_heap_init(&story->heap);
    buf_init(&story->trace, &story->heap.heap);
    struct world_options options = {.seed = 1, .plan = &story->plan, .trace = &story->trace};
    world_init(story->world, &options);
    for (unsigned node = 0; node < nodes; node++)
        story->world->node[node].is_member = true;
    keyspace_thread_start();
}

void story_end(struct story *story, const char *expected)
{
    struct world *world = story->world;
    buf_put_byte(&story->trace, 0);
    const char *trace = (const char *)story->trace.ptr;
    world_deinit(world);
    keyspace_thread_stop();
    if (world->violation[0])
        fail_msg("the oracle: %s\nafter:\n%s", world->violation, trace);
    assert_string_equal(trace, expected);
    buf_deinit(&story->trace);
    free(world);
}

void story_pass(struct story *story, uint64_t ms)
{
    world_pass(story->world, ms);
}

void story_start(struct story *story, unsigned node)
{
    process_start(story->world, node);
}

void story_start_all(struct story *story)
{
    for (unsigned node = 0; node < story->plan.nodes_count; node++)
        story_start(story, node);
    story_pass(story, 3000);
}

void story_join(struct story *story, unsigned node)
{
    assert_int_equal(node, story->world->nodes_count);
    story->world->nodes_count = node + 1;
    story->world->node[node].is_member = true;
    story_start(story, node);
}

void story_kill(struct story *story, unsigned node)
{
    process_crash(story->world, node, false, false);
    story->world->node[node].restart_ms = WORLD_NEVER;
}

void story_power_off(struct story *story, unsigned node)
{
    process_crash(story->world, node, true, true);
    story->world->node[node].restart_ms = WORLD_NEVER;
}

void story_delay(struct story *story, uint64_t ms)
{
    story->world->plan.delay_ms = ms;
}

void story_cut(struct story *story, unsigned a, unsigned b)
{
    story->world->is_cut[a][b] = story->world->is_cut[b][a] = true;
    world_note(story->world, a, "and %s cannot reach each other", story->world->node[b].name);
}

void story_isolate(struct story *story, unsigned node)
{
    for (unsigned other = 0; other < story->world->nodes_count; other++)
        story->world->is_cut[node][other] = story->world->is_cut[other][node] = other != node;
    world_note(story->world, node, "cannot reach anybody");
}

void story_heal(struct story *story)
{
    memset(story->world->is_cut, 0, sizeof story->world->is_cut);
    story_say(story, "the network is whole again");
}

void story_add(struct story *story, unsigned node, unsigned unit, int64_t amount)
{
    workload_add(story->world, node, unit, amount);
    process_commit(story->world, node);
}

static void run_order(struct story *story, struct order order)
{
    story->world->order = order;
    process_commit(story->world, order.node);
    assert_int_equal(story->world->order.kind, ORDER_NONE); // it was serving
}

void story_del(struct story *story, unsigned node, unsigned unit)
{
    run_order(story, (struct order){.kind = ORDER_DEL, .node = node, .unit = unit});
}

void story_set(struct story *story, unsigned node, unsigned unit, int64_t value)
{
    run_order(story, (struct order){.kind = ORDER_SET, .node = node, .unit = unit, .value = value});
}

void story_gadd(struct story *story, unsigned node, unsigned unit)
{
    run_order(story, (struct order){.kind = ORDER_ADD, .node = node, .unit = unit});
}

void story_once(struct story *story, unsigned node, unsigned token)
{
    run_order(story, (struct order){.kind = ORDER_ONCE, .node = node, .unit = token});
}

void story_keep_disk(struct story *story, unsigned node)
{
    struct sim_node *self = &story->world->node[node];
    assert_int_equal(self->kept_count, 0);
    self->kept[self->kept_count++] = (struct kept){sim_disk_clone(self->disk), self->durable};
    world_note(story->world, node, "is backed up");
}

void story_restore_disk(struct story *story, unsigned node)
{
    struct sim_node *self = &story->world->node[node];
    assert_null(self->replica);
    assert_int_equal(self->kept_count, 1);
    struct kept kept = self->kept[--self->kept_count];
    sim_disk_crash(kept.disk, &story->world->prng);
    sim_disk_free(self->disk);
    self->disk = kept.disk;
    process_disk_replaced(story->world, node, &kept.ghost);
    self->was_restored = true;
    fault_mark_optional(story->world);
    world_note(story->world, node, "finds the backup");
}

void story_say(struct story *story, const char *text)
{
    buf_put_text(&story->trace, "-- ");
    buf_put_text(&story->trace, text);
    buf_put_text(&story->trace, "\n");
}

static void put_value(struct story *story, unsigned node, unsigned unit)
{
    char text[64];
    struct replica *replica = story->world->node[node].replica;
    const struct record *record = replica ? workload_record(replica, unit) : NULL;
    bool is_live = record && (record_flags(record) & RECORD_LIVE);
    snprintf(text, sizeof text, "%s %lld", story->world->node[node].name,
             is_live ? (long long)record_value(record) : 0);
    if (!is_live)
        snprintf(text, sizeof text, "%s %s", story->world->node[node].name,
                 replica ? "nothing" : "down");
    buf_put_text(&story->trace, text);
}

void story_show(struct story *story, unsigned unit)
{
    struct address address = workload_address(unit);
    buf_put_text(&story->trace, "-- ");
    buf_put(&story->trace, address.sub.len ? address.sub : address.key);
    buf_put_text(&story->trace, ":");
    for (unsigned node = 0; node < story->world->nodes_count; node++) {
        if (story->world->node[node].is_member) {
            buf_put_text(&story->trace, node ? ", " : " ");
            put_value(story, node, unit);
        }
    }
    buf_put_text(&story->trace, "\n");
}

static void count_record(void *ctx, struct record *record)
{
    (void)record;
    ++*(uint64_t *)ctx;
}

void story_show_records(struct story *story)
{
    buf_put_text(&story->trace, "-- records:");
    for (unsigned node = 0; node < story->world->nodes_count; node++) {
        char text[64];
        struct replica *replica = story->world->node[node].replica;
        uint64_t count = 0, cursor = 0;
        do {
            cursor = replica ? keyspace_scan(replica_keyspace(replica), cursor, 1000, count_record,
                                             &count)
                             : 0;
        } while (cursor);
        snprintf(text, sizeof text, "%s %s %llu", node ? "," : "", story->world->node[node].name,
                 (unsigned long long)count);
        buf_put_text(&story->trace, text);
    }
    buf_put_text(&story->trace, "\n");
}
