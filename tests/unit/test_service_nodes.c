// SPDX-License-Identifier: Apache-2.0
// The service's other side: heartbeats into presence, changes out to real-time nodes, against a
// database and a node that the test plays.
#include "tests/lib/service_world.h"
#include "wire/hmac.h"

static const struct span no_secret = {0};

struct beat {
    uint64_t node, boot, sequence;
    const char *page;
    uint64_t publishers;
    bool has_subscribers, is_bye;
    uint32_t interval_ms;
};

static void take(struct world *world, const struct beat *beat)
{
    struct heartbeat_writer writer;
    char address[ENDPOINT_TEXT_MAX];
    struct heartbeat head = {.node = beat->node ? beat->node : 7,
                             .boot = beat->boot ? beat->boot : 1,
                             .sequence = beat->sequence,
                             .interval_ms = beat->interval_ms ? beat->interval_ms : 20000,
                             .is_bye = beat->is_bye,
                             .address = node_address(world, address)};
    struct heartbeat_key key = {.id = 1, .secret = world->options.secret};
    assert_int_equal(heartbeat_begin(&writer, &head, key.secret.len ? &key : NULL), 0);
    struct heartbeat_entry entry = {.publishers = beat->publishers,
                                    .has_subscribers = beat->has_subscribers};
    if (beat->page) {
        entry.page = span_text(beat->page);
        assert_int_equal(heartbeat_add(&writer, &entry), 0);
    }
    heartbeats_take(&world->service.heartbeats, heartbeat_end(&writer));
}

static bool is_quiet(struct world *world)
{
    return world->service.database.commands.client.waiting == 0;
}

// The newest PRESENCE.SET.
static const char *newest_presence(const struct world *world)
{
    return world->presence[(world->presence_commands - 1) % 8];
}

// ---- presence

static void lease_lives_three_intervals_under_the_nodes_name_and_order(void **state)
{
    (void)state;
    struct world *world = world_begin(no_secret);
    take(world, &(struct beat){.node = 0xab,
                               .boot = 9,
                               .sequence = 4,
                               .page = "/p",
                               .publishers = 5,
                               .interval_ms = 1000});
    run_until(world, is_quiet);
    assert_string_equal(newest_presence(world), "/p 00000000000000ab 5 3000 EPOCH 9 SEQ 4");
    world_end(world);
}

static void stale_doubled_and_overtaken_datagrams_are_told_apart_by_key(void **state)
{
    (void)state;
    struct world *world = world_begin(no_secret);
    take(world, &(struct beat){.boot = 2, .sequence = 5, .page = "/p", .publishers = 5});
    take(world, &(struct beat){.boot = 2, .sequence = 5, .page = "/p", .publishers = 50});
    take(world, &(struct beat){.boot = 2, .sequence = 3, .page = "/p", .publishers = 3});
    take(world, &(struct beat){.boot = 1, .sequence = 9, .page = "/p", .publishers = 9});
    run_until(world, is_quiet);
    assert_int_equal(world->presence_commands, 1);
    take(world, &(struct beat){.boot = 2, .sequence = 4, .page = "/q", .publishers = 4});
    run_until(world, is_quiet);
    assert_int_equal(world->presence_commands, 2); // overtaken, but it told of another key
    assert_has(newest_presence(world), "/q 0000000000000007 4 ");
    world_end(world);
}

static void later_boot_ends_what_the_earlier_one_told(void **state)
{
    (void)state;
    struct world *world = world_begin(no_secret);
    take(world, &(struct beat){.boot = 1, .sequence = 5, .page = "/old", .publishers = 5});
    run_until(world, is_quiet);
    take(world, &(struct beat){.boot = 2, .sequence = 1, .page = "/new", .publishers = 1});
    run_until(world, is_quiet);
    assert_int_equal(world->presence_commands, 3);
    assert_has(newest_presence(world), "/old 0000000000000007 0 ");
    assert_int_equal(world->service.metrics.shares_now, 1);
    world_end(world);
}

static void bye_ends_all_at_once_and_a_late_datagram_revives_nothing(void **state)
{
    (void)state;
    struct world *world = world_begin(no_secret);
    take(world, &(struct beat){.sequence = 1, .page = "/a", .publishers = 1});
    take(world, &(struct beat){.sequence = 3, .page = "/b", .publishers = 2});
    run_until(world, is_quiet);
    take(world, &(struct beat){.sequence = 4, .is_bye = true});
    take(world, &(struct beat){.sequence = 2, .page = "/a", .publishers = 1});
    run_until(world, is_quiet);
    assert_int_equal(world->presence_commands, 4);
    assert_has(world->presence[2], " 0 ");
    assert_has(world->presence[3], " 0 ");
    assert_int_equal(world->service.metrics.shares_now, 0);
    assert_int_equal(world->service.metrics.tallies_now, 0);
    world_end(world);
}

static bool is_nobody_left(struct world *world)
{
    return world->service.metrics.platforms_now == 0;
}

static void silent_node_ends_after_three_intervals(void **state)
{
    (void)state;
    struct world *world = world_begin(no_secret);
    take(world, &(struct beat){.sequence = 1,
                               .page = "/a",
                               .publishers = 1,
                               .has_subscribers = true,
                               .interval_ms = 60});
    uint64_t begun_ms = loop_now_ms(world->loop);
    run_until(world, is_nobody_left);
    assert_true(loop_now_ms(world->loop) >= begun_ms + 180);
    assert_int_equal(world->service.metrics.shares_now, 0);
    assert_int_equal(world->presence_commands, 1); // the lease ends by itself
    world_end(world);
}

static void key_without_publishers_is_left_alone(void **state)
{
    (void)state;
    struct world *world = world_begin(no_secret);
    fake_set(world, span_text("likes"), "counter", 3);
    take(world, &(struct beat){.sequence = 1, .page = "likes", .has_subscribers = true});
    run_until(world, is_quiet);
    assert_int_equal(world->presence_commands, 0);
    world_end(world);
}

static void page_of_another_type_is_counted_and_said_once(void **state)
{
    (void)state;
    struct world *world = world_begin(no_secret);
    fake_set(world, span_text("likes"), "counter", 3);
    for (uint64_t i = 1; i <= 3; i++) {
        take(world, &(struct beat){.sequence = i, .page = "likes", .publishers = i});
        run_until(world, is_quiet);
    }
    assert_int_equal(world->service.metrics.presence_refused, 3);
    assert_true(audience_find_tally(&world->service.audience, span_text("likes"))->is_refused);
    world_end(world);
}

static bool is_asked(struct world *world)
{
    return world->service.database.commands.client.waiting > 0;
}

static void slow_database_gets_the_newest_lease_only(void **state)
{
    (void)state;
    struct world *world = world_begin(no_secret);
    world->is_holding = true;
    for (uint64_t i = 1; i <= 50; i++)
        take(world, &(struct beat){.sequence = i, .page = "/p", .publishers = i});
    run_until(world, is_asked);
    fake_release(world);
    run_until(world, is_quiet);
    assert_int_equal(world->presence_commands, 2);
    assert_has(newest_presence(world), " 50 ");
    world_end(world);
}

static bool is_down(struct world *world)
{
    return !is_up(world);
}

static void leases_are_set_again_when_the_database_is_back(void **state)
{
    (void)state;
    struct world *world = world_begin(no_secret);
    take(world, &(struct beat){.sequence = 1, .page = "/p", .publishers = 6});
    run_until(world, is_quiet);
    fake_drop_all(world);
    run_until(world, is_down);
    take(world, &(struct beat){.sequence = 2, .page = "/p", .publishers = 7});
    run_until(world, is_up);
    run_until(world, is_quiet);
    assert_int_equal(world->presence_commands, 2);
    assert_has(newest_presence(world), " 7 ");
    world_end(world);
}

static void limits_drop_what_is_beyond_and_keep_the_rest(void **state)
{
    (void)state;
    struct world *world = world_begin(no_secret);
    for (uint64_t i = 1; i <= SERVICE_PLATFORMS_MAX + 3; i++)
        take(world, &(struct beat){.node = i, .sequence = 1, .page = "/p", .publishers = 1});
    assert_int_equal(world->service.metrics.heartbeats_over_limit, 3);
    assert_int_equal(world->service.metrics.platforms_now, SERVICE_PLATFORMS_MAX);
    run_until(world, is_quiet);
    world_end(world);
}

static void unproven_heartbeats_change_nothing(void **state)
{
    (void)state;
    struct world *world = world_begin(span_text("a secret"));
    world->options.secret = span_text("another one");
    take(world, &(struct beat){.sequence = 1, .page = "/p", .publishers = 1});
    world->options.secret = no_secret;
    take(world, &(struct beat){.sequence = 2, .page = "/p", .publishers = 1});
    heartbeats_take(&world->service.heartbeats, span_text("QUHB"));
    assert_int_equal(world->service.metrics.heartbeats_unproven, 2);
    assert_int_equal(world->service.metrics.heartbeats_malformed, 1);
    assert_int_equal(world->service.metrics.platforms_now, 0);
    world_end(world);
}

// ---- changes

static bool put_41(struct world *world)
{
    return put_has(world, "[[\"k\",41,1]]");
}

static bool put_42(struct world *world)
{
    return put_has(world, "[[\"k\",42,2]]");
}

static bool put_gone(struct world *world)
{
    return put_has(world, "[[\"k\",null,3]]");
}

static struct world *begin_listening(struct span secret)
{
    struct world *world = world_begin(secret);
    fake_set(world, span_text("k"), "counter", 41);
    take(world, &(struct beat){.sequence = 1, .page = "k", .has_subscribers = true});
    run_until(world, put_41);
    return world;
}

static void listener_gets_the_value_first_then_changes(void **state)
{
    (void)state;
    struct world *world = begin_listening(no_secret);
    assert_true(put_has(world, "\"epoch\":\"00000000000000aa\""));
    assert_true(put_has(world, "{\"service\":\""));
    fake_publish(world, "k", "{\"key\":\"k\",\"value\":42,\"version\":2,\"op\":\"add\"}");
    run_until(world, put_42);
    fake_publish(world, "k", "{\"value\":41,\"version\":1}"); // late
    fake_publish(world, "k", "{\"value\":null,\"version\":3}");
    run_until(world, put_gone);
    assert_int_equal(world->puts, 3);
    assert_string_equal(world->signature, "");
    world_end(world);
}

static void request_is_signed_when_there_is_a_secret(void **state)
{
    (void)state;
    struct world *world = begin_listening(span_text("a secret"));
    assert_true(
        hmac_is_hex_of(span_text(world->signature), world->options.secret, buf_span(&world->put)));
    world_end(world);
}

static bool put_500(struct world *world)
{
    return put_has(world, "[[\"k\",500,500]]");
}

static void changes_during_a_request_are_told_once_and_newest(void **state)
{
    (void)state;
    struct world *world = begin_listening(no_secret);
    for (unsigned i = 2; i <= 500; i++) {
        char payload[64];
        snprintf(payload, sizeof payload, "{\"value\":%u,\"version\":%u}", i, i);
        fake_publish(world, "k", payload);
    }
    run_until(world, put_500);
    assert_true(world->puts <= 4);
    world_end(world);
}

static bool is_refused_twice(struct world *world)
{
    return world->service.metrics.puts_failed >= 2;
}

static void refused_request_is_tried_again_with_the_newest_value(void **state)
{
    (void)state;
    struct world *world = begin_listening(no_secret);
    world->node_status = 503;
    fake_publish(world, "k", "{\"value\":42,\"version\":2}");
    run_until(world, is_refused_twice);
    world->node_status = 204;
    fake_publish(world, "k", "{\"value\":null,\"version\":3}");
    run_until(world, put_gone);
    world_end(world);
}

static bool is_reread(struct world *world)
{
    return world->service.metrics.events_malformed == 1 && is_quiet(world);
}

static void event_that_is_not_understood_makes_the_value_be_read(void **state)
{
    (void)state;
    struct world *world = begin_listening(no_secret);
    fake_set(world, span_text("k"), "counter", 42);
    fake_publish(world, "k", "hello");
    run_until(world, is_reread);
    run_until(world, put_42);
    world_end(world);
}

static bool put_new_epoch(struct world *world)
{
    return put_has(world, "\"epoch\":\"00000000000000bb\"") && put_has(world, "[[\"k\",40,1]]");
}

static void new_life_of_the_database_is_subscribed_to_and_told_anew(void **state)
{
    (void)state;
    struct world *world = begin_listening(no_secret);
    unsigned subscribes = world->subscribes;
    snprintf(world->epoch, sizeof world->epoch, "00000000000000bb");
    world->version = 0; // it begins to count again
    fake_set(world, span_text("k"), "counter", 40);
    fake_drop_all(world);
    run_until(world, is_down);
    run_until(world, put_new_epoch);
    assert_int_equal(world->subscribes, subscribes + 1);
    world_end(world);
}

static bool put_missing(struct world *world)
{
    return put_has(world, "[[\"none\",null,0]]");
}

static bool put_born(struct world *world)
{
    return put_has(world, "[[\"none\",1,1]]");
}

static void missing_key_is_told_as_null_until_it_is_there(void **state)
{
    (void)state;
    struct world *world = world_begin(no_secret);
    take(world, &(struct beat){.sequence = 1, .page = "none", .has_subscribers = true});
    run_until(world, put_missing);
    fake_publish(world, "none", "{\"value\":1,\"version\":1}");
    run_until(world, put_born);
    world_end(world);
}

static void node_that_no_longer_listens_is_not_told(void **state)
{
    (void)state;
    struct world *world = begin_listening(no_secret);
    take(world, &(struct beat){.sequence = 2, .page = "k"});
    fake_publish(world, "k", "{\"value\":42,\"version\":2}");
    assert_has(ask(world, GET("/k/counter"), 1), " 200 "); // the event has arrived before that
    assert_int_equal(world->puts, 1);
    take(world, &(struct beat){.sequence = 3, .page = "k", .has_subscribers = true});
    run_until(world, put_42); // known still: at once
    world_end(world);
}

static void node_that_is_gone_takes_its_stream_along(void **state)
{
    (void)state;
    struct world *world = begin_listening(no_secret);
    world->node_status = 503;
    fake_publish(world, "k", "{\"value\":42,\"version\":2}");
    run_until(world, is_refused_twice);
    take(world, &(struct beat){.sequence = 2, .is_bye = true});
    uint64_t failed = world->service.metrics.puts_failed;
    assert_has(ask(world, GET("/livez"), 1), " 200 ");
    assert_int_equal(world->service.metrics.puts_failed, failed);
    world_end(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lease_lives_three_intervals_under_the_nodes_name_and_order),
        cmocka_unit_test(stale_doubled_and_overtaken_datagrams_are_told_apart_by_key),
        cmocka_unit_test(later_boot_ends_what_the_earlier_one_told),
        cmocka_unit_test(bye_ends_all_at_once_and_a_late_datagram_revives_nothing),
        cmocka_unit_test(silent_node_ends_after_three_intervals),
        cmocka_unit_test(key_without_publishers_is_left_alone),
        cmocka_unit_test(page_of_another_type_is_counted_and_said_once),
        cmocka_unit_test(slow_database_gets_the_newest_lease_only),
        cmocka_unit_test(leases_are_set_again_when_the_database_is_back),
        cmocka_unit_test(limits_drop_what_is_beyond_and_keep_the_rest),
        cmocka_unit_test(unproven_heartbeats_change_nothing),
        cmocka_unit_test(listener_gets_the_value_first_then_changes),
        cmocka_unit_test(request_is_signed_when_there_is_a_secret),
        cmocka_unit_test(changes_during_a_request_are_told_once_and_newest),
        cmocka_unit_test(refused_request_is_tried_again_with_the_newest_value),
        cmocka_unit_test(event_that_is_not_understood_makes_the_value_be_read),
        cmocka_unit_test(new_life_of_the_database_is_subscribed_to_and_told_anew),
        cmocka_unit_test(missing_key_is_told_as_null_until_it_is_there),
        cmocka_unit_test(node_that_no_longer_listens_is_not_told),
        cmocka_unit_test(node_that_is_gone_takes_its_stream_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
