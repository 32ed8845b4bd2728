// SPDX-License-Identifier: Apache-2.0
// The service's HTTP side against a database that the test plays.
#include "tests/lib/service_world.h"
#include "wire/json_in.h"

static const struct span no_secret = {0};

static void counter_is_read_with_an_etag_and_304_until_it_changes(void **state)
{
    (void)state;
    struct world *world = world_begin(no_secret);
    fake_set(world, span_text("a/b"), "counter", 41);
    const char *answer = ask(world, GET("/v1/counters/a%2Fb"), 1);
    assert_has(answer, "HTTP/1.1 200 ");
    assert_has(answer, "ETag: \"00000000000000aa-1-41\"\r\n");
    assert_has(answer, "Access-Control-Allow-Origin: *\r\n");
    assert_has(answer, "{\"key\":\"a/b\",\"value\":41,\"type\":\"counter\",\"version\":1,"
                       "\"epoch\":\"00000000000000aa\"}");
    answer = ask(world,
                 "GET /a%2Fb/counter HTTP/1.1\r\nHost: x\r\n"
                 "If-None-Match: \"old\", W/\"00000000000000aa-1-41\"\r\n\r\n",
                 1);
    assert_has(answer, "HTTP/1.1 304 ");
    fake_find(world, span_text("a/b"))->value = 42; // its version comes with the commit
    answer = ask(world,
                 "GET /a%2Fb/counter HTTP/1.1\r\nHost: x\r\n"
                 "If-None-Match: \"00000000000000aa-1-41\"\r\n\r\n",
                 1);
    assert_has(answer, "HTTP/1.1 200 ");
    answer = ask(world, "HEAD /a%2Fb/counter HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 9);
    assert_has(answer, "Content-Length: ");
    assert_null(strstr(answer, "{"));
    world_end(world);
}

static void requests_of_one_turn_share_one_command_and_keep_their_order(void **state)
{
    (void)state;
    struct world *world = world_begin(no_secret);
    fake_set(world, span_text("k"), "counter", 7);
    const char *answer = ask(
        world, GET("/v1/counters/k") GET("/livez") GET("/v1/counters/none") GET("/k/counter"), 4);
    assert_int_equal(world->value_commands, 1);
    const char *first = strstr(answer, "\"value\":7");
    const char *second = strstr(answer, "\r\n\r\nok\n");
    const char *third = strstr(answer, "404 ");
    assert_true(first && second && third && first < second && second < third);
    world_end(world);
}

static void pipelined_read_does_not_see_the_write_behind_it(void **state)
{
    (void)state;
    struct world *world = world_begin(no_secret);
    fake_set(world, span_text("k"), "counter", 7);
    const char *answer =
        ask(world,
            GET("/v1/counters/k") WITH_BODY("POST /v1/counters/k/increment", "{\"by\":3}", "8"), 2);
    const char *before = strstr(answer, "\"value\":7");
    const char *after = strstr(answer, "\"value\":10");
    assert_true(before && after && before < after);
    world_end(world);
}

static void more_requests_than_the_pipeline_takes_are_all_answered(void **state)
{
    (void)state;
    struct world *world = world_begin(no_secret);
    enum { COUNT = 3 * SERVICE_PIPELINE_MAX + 1 };
    const struct span request = span_text(GET("/k/counter"));
    char *requests = calloc(COUNT, request.len + 1);
    fake_set(world, span_text("k"), "counter", 1);
    for (unsigned i = 0; i < COUNT; i++)
        memcpy(requests + i * request.len, request.ptr, request.len);
    ask(world, requests, COUNT);
    assert_int_equal(count_answers(world), COUNT);
    free(requests);
    world_end(world);
}

static bool is_paused(struct world *world)
{
    return world->service.door.first && world->service.metrics.requests > 0 &&
           ((const struct stream *)world->service.door.first)->is_paused;
}

static void client_that_does_not_read_is_not_read_either(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    struct world *world = world_begin(no_secret);
    const struct span request = span_text(GET("/openapi.json"));
    char *requests = calloc(COUNT, request.len + 1);
    for (unsigned i = 0; i < COUNT; i++)
        memcpy(requests + i * request.len, request.ptr, request.len);
    client_send(world, requests);
    stream_pause(&world->client);
    run_until(world, is_paused);
    assert_true(world->service.metrics.requests < COUNT);
    stream_resume(&world->client);
    ask(world, "", COUNT);
    assert_int_equal(world->service.metrics.requests, COUNT);
    free(requests);
    world_end(world);
}

static void errors_are_problems_with_the_right_status(void **state)
{
    (void)state;
    static const struct {
        const char *request, *status;
    } rows[] = {
        {GET("/nothing"), " 404 "},
        {GET("/v1/counters"), " 400 "},
        {GET("/v1/counters/"), " 400 "},
        {GET("/v1/counters/%zz"), " 400 "},
        {GET("/v1/counters/a/b/c/d/e"), " 404 "},
        {"PATCH /v1/counters/a HTTP/1.1\r\nHost: x\r\n\r\n", " 405 "},
        {WITH_BODY("POST /v1/counters/a/increment", "{\"by\":1.5}", "10"), " 400 "},
        {WITH_BODY("POST /v1/counters/a/increment", "[1]", "3"), " 400 "},
        {WITH_BODY("POST /v1/counters/a/increment", "{\"by\":1", "7"), " 400 "},
        {WITH_BODY("POST /v1/counters/s/increment", "{\"by\":1}", "8"), " 409 "},
        {WITH_BODY("POST /v1/counters/big/increment", "{\"by\":1}", "8"), " 409 "},
        {WITH_BODY("PUT /a/counter", "{}", "2"), " 400 "},
        {WITH_BODY("PUT /a/counter", "", "0"), " 400 "},
        {WITH_BODY("POST /v1/links", "{\"action\":\"burn\",\"replica\":\"r2\"}", "32"), " 400 "},
        {"POST /v1/counters/a/increment HTTP/1.1\r\nHost: x\r\nIdempotency-Key: \"\"\r\n\r\n",
         " 400 "},
    };
    struct world *world = world_begin(no_secret);
    fake_set(world, span_text("s"), "gset", 3);
    fake_set(world, span_text("big"), "counter", INT64_MAX);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *answer = ask(world, rows[i].request, 1);
        assert_has(answer, rows[i].status);
        assert_has(answer, "application/problem+json");
    }
    assert_has(ask(world, "PATCH /v1/counters/a HTTP/1.1\r\nHost: x\r\n\r\n", 1),
               "Allow: GET, HEAD, DELETE, OPTIONS\r\n");
    assert_null(fake_find(world, span_text("a")));
    world_end(world);
}

#define WITH_KEY(key)                                                                              \
    "POST /v1/counters/a/increment HTTP/1.1\r\nHost: x\r\nIdempotency-Key: " key "\r\n\r\n"

static void a_retry_with_its_idempotency_key_is_a_duplicate(void **state)
{
    (void)state;
    struct world *world = world_begin(no_secret);
    const char *answer = ask(world, WITH_KEY("\"7f3c\""), 1);
    assert_has(answer, "{\"key\":\"a\",\"value\":1,");
    assert_null(strstr(answer, "duplicate"));
    answer = ask(world, WITH_KEY("7f3c"), 1);
    assert_has(answer, "{\"key\":\"a\",\"value\":1,");
    assert_has(answer, ",\"duplicate\":true}");
    assert_has(ask(world, WITH_KEY("another"), 1), "\"value\":2,");
    world_end(world);
}

static void errors_of_the_database_become_statuses(void **state)
{
    (void)state;
    static const struct {
        const char *error, *status;
    } rows[] = {
        {"LOADING quipu is loading its data", " 503 "},
        {"QUIPU this replica takes no writes since its journal failed: x", " 503 "},
        {"QUIPU cutting links is off here: start with --allow-cut", " 403 "},
        {"QUIPU no replica named 'x' is known", " 404 "},
        {"OLDTOKEN the token was made longer ago", " 409 "},
        {"ERR something \"else\"", " 502 "},
    };
    struct world *world = world_begin(no_secret);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        world->fault = rows[i].error;
        assert_has(ask(world, GET("/v1/links"), 1), rows[i].status);
        assert_has(ask(world, GET("/k/counter"), 1), rows[i].status);
        assert_has(ask(world, GET("/v1/counters?key=a&key=b"), 1), rows[i].status);
        assert_has(ask(world, WITH_BODY("POST /v1/counters/k/increment", "", "0"), 1),
                   rows[i].status);
        assert_has(ask(world, "DELETE /v1/counters/k HTTP/1.1\r\nHost: x\r\n\r\n", 1),
                   rows[i].status);
    }
    world_end(world);
}

static void several_counters_come_in_the_order_of_the_keys(void **state)
{
    (void)state;
    struct world *world = world_begin(no_secret);
    fake_set(world, span_text("a b"), "counter", 1);
    fake_set(world, span_text("c"), "presence", 9007199254740993);
    const char *answer = ask(world, GET("/v1/counters?key=c&x=1&key=none&key=a+b"), 1);
    assert_has(answer, "{\"counters\":[{\"key\":\"c\",\"value\":\"9007199254740993\"");
    assert_has(answer, "},{\"key\":\"none\",\"value\":null,\"type\":null,\"version\":null,");
    assert_has(answer, "},{\"key\":\"a b\",\"value\":1,");
    world_end(world);
}

static void too_long_a_request_is_413_and_a_bad_one_closes(void **state)
{
    (void)state;
    struct world *world = world_begin(no_secret);
    const char *answer = ask(
        world,
        "POST /v1/counters/k/increment HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n{", 1);
    assert_has(answer, " 413 ");
    assert_has(answer, "Connection: close");
    world->wanted = 1;
    while (world->is_client_open)
        world_run(world);
    answer = ask(world, "GET / HTTP/1.1\r\n\r\n" GET("/livez"), 2);
    assert_has(answer, " 400 ");
    assert_null(strstr(answer, "ok\n"));
    world_end(world);
}

static bool has_value_command(struct world *world)
{
    return world->service.database.commands.client.waiting > 0;
}

static bool is_down(struct world *world)
{
    return !is_up(world);
}

static void lost_database_answers_503_and_is_sought_again(void **state)
{
    (void)state;
    struct world *world = world_begin(no_secret);
    world->is_holding = true;
    client_send(world, GET("/k/counter") GET("/v1/counters?key=a&key=b"));
    client_send(world, WITH_BODY("POST /v1/counters/k/increment", "", "0"));
    run_until(world, has_value_command);
    world->is_holding = false;
    fake_drop_all(world);
    const char *answer = ask(world, "", 3);
    assert_int_equal(count_answers(world), 3);
    assert_has(answer, "Retry-After: 1\r\n");
    assert_null(strstr(answer, " 200 "));
    run_until(world, is_up);
    assert_has(ask(world, GET("/readyz"), 1), " 200 ");
    assert_int_equal(world->service.metrics.database_sessions, 2);
    world_end(world);
}

static void client_that_leaves_is_not_answered(void **state)
{
    (void)state;
    struct world *world = world_begin(no_secret);
    world->is_holding = true;
    client_send(world, GET("/k/counter") GET("/livez") GET("/v1/counters?key=a&key=b"));
    run_until(world, has_value_command);
    stream_abort(&world->client, 0);
    fake_release(world);
    assert_has(ask(world, GET("/k/counter"), 1), " 404 ");
    world_end(world);
}

static void half_closed_client_gets_its_answers(void **state)
{
    (void)state;
    struct world *world = world_begin(no_secret);
    fake_set(world, span_text("k"), "counter", 7);
    world->is_holding = true;
    client_send(world, GET("/k/counter"));
    run_until(world, has_value_command);
    shutdown(world->client.watch.fd, SHUT_WR);
    fake_release(world);
    const char *answer = ask(world, "", 1);
    assert_has(answer, "\"value\":7");
    assert_has(answer, "Connection: close");
    world_end(world);
}

static void drain_answers_what_is_under_way_then_closes(void **state)
{
    (void)state;
    struct world *world = world_begin(no_secret);
    fake_set(world, span_text("k"), "counter", 7);
    world->is_holding = true;
    client_send(world, GET("/k/counter"));
    run_until(world, has_value_command);
    http_door_drain(&world->service.door);
    fake_release(world);
    const char *answer = ask(world, "", 1);
    assert_has(answer, "\"value\":7");
    assert_has(answer, "Connection: close");
    assert_true(http_door_is_empty(&world->service.door));
    world_end(world);
}

static void document_is_json_and_tells_every_path(void **state)
{
    (void)state;
    static const char *const paths[] = {"/v1/counters/{key}",
                                        "/v1/counters/{key}/increment",
                                        "/v1/counters",
                                        "/{page}/counter",
                                        "/v1/links",
                                        "/livez",
                                        "/readyz",
                                        "/metrics",
                                        "/openapi.json"};
    struct world *world = world_begin(no_secret);
    const char *answer = ask(world, GET("/openapi.json"), 1);
    const char *body = strstr(answer, "\r\n\r\n");
    struct json_reader reader = json_reader_of(span_text(body));
    json_skip(&reader);
    assert_true(json_is_done(&reader));
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char quoted[64];
        snprintf(quoted, sizeof quoted, "\"%s\":{", paths[i]);
        assert_has(body, quoted);
    }
    world_end(world);
}

static void epoch_that_differs_between_connections_is_no_session(void **state)
{
    (void)state;
    struct world *world = world_begin(no_secret);
    fake_drop_all(world);
    run_until(world, is_down);
    snprintf(world->epoch, sizeof world->epoch, "%s", ""); // a database that tells none
    uint64_t sessions = world->service.metrics.database_sessions;
    assert_has(ask(world, GET("/k/counter"), 1), " 503 ");
    snprintf(world->epoch, sizeof world->epoch, "00000000000000bb");
    run_until(world, is_up);
    assert_int_equal(world->service.metrics.database_sessions, sessions + 1);
    assert_string_equal(database_epoch(&world->service.database), "00000000000000bb");
    world_end(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counter_is_read_with_an_etag_and_304_until_it_changes),
        cmocka_unit_test(requests_of_one_turn_share_one_command_and_keep_their_order),
        cmocka_unit_test(pipelined_read_does_not_see_the_write_behind_it),
        cmocka_unit_test(more_requests_than_the_pipeline_takes_are_all_answered),
        cmocka_unit_test(client_that_does_not_read_is_not_read_either),
        cmocka_unit_test(errors_are_problems_with_the_right_status),
        cmocka_unit_test(a_retry_with_its_idempotency_key_is_a_duplicate),
        cmocka_unit_test(errors_of_the_database_become_statuses),
        cmocka_unit_test(several_counters_come_in_the_order_of_the_keys),
        cmocka_unit_test(too_long_a_request_is_413_and_a_bad_one_closes),
        cmocka_unit_test(lost_database_answers_503_and_is_sought_again),
        cmocka_unit_test(client_that_leaves_is_not_answered),
        cmocka_unit_test(half_closed_client_gets_its_answers),
        cmocka_unit_test(drain_answers_what_is_under_way_then_closes),
        cmocka_unit_test(document_is_json_and_tells_every_path),
        cmocka_unit_test(epoch_that_differs_between_connections_is_no_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
