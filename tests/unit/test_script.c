// SPDX-License-Identifier: Apache-2.0
// The hook: what it is told, what it can do, and that it can do nothing else.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "script/script.h"
#include "tests/lib/heap_libc.h"

struct fixture {
    struct heap_libc heap;
    struct buf error, published, logged;
    struct script *script;
};

static int64_t on_publish(void *ctx, struct span channel, struct span message)
{
    struct fixture *fixture = ctx;
    buf_put(&fixture->published, channel);
    buf_put_byte(&fixture->published, '|');
    buf_put(&fixture->published, message);
    buf_put_byte(&fixture->published, '\n');
    return 2;
}

static void on_log(void *ctx, struct span message)
{
    struct fixture *fixture = ctx;
    buf_put(&fixture->logged, message);
    buf_put_byte(&fixture->logged, '\n');
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    heap_libc_init(&fixture->heap);
    buf_init(&fixture->error, &fixture->heap.heap);
    buf_init(&fixture->published, &fixture->heap.heap);
    buf_init(&fixture->logged, &fixture->heap.heap);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    script_free(fixture->script);
    buf_deinit(&fixture->error);
    buf_deinit(&fixture->published);
    buf_deinit(&fixture->logged);
    assert_int_equal(fixture->heap.bytes, 0);
    free(fixture);
    return 0;
}

static int load(struct fixture *fixture, struct span text)
{
    struct script_options options = {.name = "hook.lua",
                                     .text = text,
                                     .on_publish = on_publish,
                                     .on_log = on_log,
                                     .ctx = fixture};
    script_free(fixture->script);
    fixture->script = NULL;
    buf_clear(&fixture->error);
    return script_new(&fixture->script, &fixture->heap.heap, &options, &fixture->error);
}

static void load_text(struct fixture *fixture, const char *text)
{
    int outcome = load(fixture, span_text(text));
    if (outcome)
        print_message("%.*s\n", (int)fixture->error.len, (const char *)fixture->error.ptr);
    assert_int_equal(outcome, 0);
}

static void assert_buf(struct buf *buf, const char *expected)
{
    buf_put_byte(buf, 0);
    assert_string_equal((const char *)buf->ptr, expected);
    buf_clear(buf);
}

static const struct script_event plain = {.key = {(const uint8_t *)"k", 1},
                                          .type = "counter",
                                          .op = "add",
                                          .origin = "local",
                                          .is_live = true,
                                          .has_previous = true,
                                          .value = 5,
                                          .previous = 3,
                                          .amount = 2,
                                          .version = 17,
                                          .time_ms = 1700000000000};

static int run(struct fixture *fixture)
{
    return script_change(fixture->script, &plain);
}

// The body of an on_change, run once.
static int run_body(struct fixture *fixture, const char *body)
{
    char text[2000];
    snprintf(text, sizeof text, "function on_change(event)\n%s\nend\n", body);
    load_text(fixture, text);
    return run(fixture);
}

static void the_built_in_program_publishes_json(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, script_default()), 0);
    assert_int_equal(run(fixture), 0);
    assert_buf(&fixture->published,
               "quipu:update:k|{\"key\":\"k\",\"type\":\"counter\",\"value\":5,"
               "\"version\":17,\"op\":\"add\",\"origin\":\"local\"}\n");
    struct script_event gone = plain;
    gone.is_live = false;
    gone.key = span_text("a\"\n");
    assert_int_equal(script_change(fixture->script, &gone), 0);
    assert_buf(&fixture->published,
               "quipu:update:a\"\n|{\"key\":\"a\\\"\\n\",\"type\":\"counter\",\"value\":null,"
               "\"version\":17,\"op\":\"add\",\"origin\":\"local\"}\n");
    struct script_event large = plain;
    large.value = ((int64_t)1 << 53) + 1;
    assert_int_equal(script_change(fixture->script, &large), 0);
    assert_buf(&fixture->published,
               "quipu:update:k|{\"key\":\"k\",\"type\":\"counter\",\"value\":\"9007199254740993\","
               "\"version\":17,\"op\":\"add\",\"origin\":\"local\"}\n");
    large.value = -((int64_t)1 << 53);
    assert_int_equal(script_change(fixture->script, &large), 0);
    assert_non_null(strstr((const char *)fixture->published.ptr, "\"value\":-9007199254740992,"));
}

static void every_field_of_the_event_is_there(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(run_body(fixture, "redis.publish('x', table.concat({event.key, event.type, "
                                       "event.op, event.origin, event.value, event.previous, "
                                       "event.amount, event.version, event.time_ms}, ' '))"),
                     0);
    assert_buf(&fixture->published, "x|k counter add local 5 3 2 17 1700000000000\n");
    struct script_event sparse = plain;
    sparse.is_live = sparse.has_previous = false;
    load_text(fixture, "function on_change(e) redis.publish('x', tostring(e.value) .. "
                       "tostring(e.previous) .. tostring(e.amount)) end");
    assert_int_equal(script_change(fixture->script, &sparse), 0);
    assert_buf(&fixture->published, "x|nilnilnil\n");
}

static void publish_tells_the_receivers_and_log_logs(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(run_body(fixture, "redis.log('plain ' .. redis.publish('a', 'b'))\n"
                                       "redis.log(redis.LOG_WARNING, 'with a level')"),
                     0);
    assert_buf(&fixture->published, "a|b\n");
    assert_buf(&fixture->logged, "plain 2\nwith a level\n");
}

static void a_program_keeps_its_state_between_calls(void **state)
{
    struct fixture *fixture = *state;
    load_text(fixture, "local n = 0\nfunction on_change(e) n = n + 1 redis.publish('n', n) end");
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(run(fixture), 0);
    assert_buf(&fixture->published, "n|1\nn|2\nn|3\n");
}

static void load_errors_name_file_and_line(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, span_text("local x\nx = = 1")), SCRIPT_E_LOAD);
    assert_buf(&fixture->error, "hook.lua:2: unexpected symbol near '='");
    assert_int_equal(load(fixture, span_text("\n\nerror('no')")), SCRIPT_E_LOAD);
    assert_buf(&fixture->error, "hook.lua:3: no");
    assert_int_equal(load(fixture, span_text("x = 1")), SCRIPT_E_LOAD);
    assert_buf(&fixture->error, "hook.lua: defines no function on_change(event)");
    assert_int_equal(load(fixture, span_text("while true do end")), SCRIPT_E_LOAD);
    assert_buf(&fixture->error, "hook.lua:1: stopped after 1000000 steps");
    assert_int_equal(load(fixture, span_of("\033Lua", 4)), SCRIPT_E_LOAD);
    assert_buf(&fixture->error, "hook.lua: bytecode is not accepted");
    assert_int_equal(load(fixture, span_text("setmetatable(_G, {__index = function() error('x') "
                                             "end})")),
                     SCRIPT_E_LOAD);
}

static void run_errors_name_file_and_line(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(run_body(fixture, "\nlocal t = nil\nreturn t.x"), SCRIPT_E_FAILED);
    assert_string_equal(script_error(fixture->script),
                        "hook.lua:4: attempt to index local 't' (a nil value)");
    assert_int_equal(run_body(fixture, "error({})"), SCRIPT_E_FAILED);
    assert_string_equal(script_error(fixture->script), "an error without text");
    assert_int_equal(run_body(fixture, "error('two\\nlines', 0)"), SCRIPT_E_FAILED);
    assert_string_equal(script_error(fixture->script), "two lines");
}

static void endless_programs_are_stopped(void **state)
{
    struct fixture *fixture = *state;
    static const char *const bodies[] = {
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "while true do pcall(error) end",
        "local function f() return f() end f()",
        "repeat redis.publish('a', 'b') until false",
        "for i = 1, 1e18 do local s = i .. '' end",
        "local function f() pcall(f) pcall(f) end f()",
        "local function f() while true do end end xpcall(f, f)",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        assert_int_equal(run_body(fixture, bodies[i]), SCRIPT_E_FAILED);
        buf_clear(&fixture->published);
    }
    assert_int_equal(run_body(fixture, bodies[0]), SCRIPT_E_FAILED);
    assert_string_equal(script_error(fixture->script), "hook.lua:2: stopped after 1000000 steps");
}

static void memory_is_bounded_and_comes_back(void **state)
{
    struct fixture *fixture = *state;
    load_text(fixture, "local n = 0\n"
                       "function on_change(e)\n"
                       "  n = n + 1\n"
                       "  if n > 1 then redis.publish('n', n) return end\n"
                       "  local t = {}\n"
                       "  while true do t[#t + 1] = string.rep('x', 100000) .. #t end\n"
                       "end");
    assert_int_equal(run(fixture), SCRIPT_E_FAILED);
    assert_string_equal(script_error(fixture->script), "hook.lua: not enough memory");
    assert_true(script_counts(fixture->script).memory_bytes < SCRIPT_MEMORY_MAX / 2);
    assert_int_equal(run(fixture), 0);
    assert_buf(&fixture->published, "n|2\n");
    assert_int_equal(run_body(fixture, "return string.rep('x', 1e9)"), SCRIPT_E_FAILED);
}

static void what_reaches_outside_is_not_there(void **state)
{
    struct fixture *fixture = *state;
    static const char *const names[] = {
        "io",       "os",       "package",        "debug",      "coroutine", "dofile",
        "loadfile", "load",     "require",        "loadstring", "module",    "getfenv",
        "setfenv",  "newproxy", "collectgarbage", "gcinfo",     "print",     "string.dump",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char body[100];
        snprintf(body, sizeof body, "if %s ~= nil then error('there') end", names[i]);
        if (run_body(fixture, body))
            print_message("%s is there\n", names[i]);
        assert_int_equal(run(fixture), 0);
    }
    assert_int_equal(run_body(fixture, "getmetatable('').__index = nil"), SCRIPT_E_FAILED);
    assert_int_equal(run_body(fixture, "setmetatable('', {})"), SCRIPT_E_FAILED);
    assert_int_equal(run_body(fixture, "return unpack({}, 1, 2^31)"), SCRIPT_E_FAILED);
    assert_int_equal(run_body(fixture, "return unpack({}, -2^31, 2^31 - 1)"), SCRIPT_E_FAILED);
    assert_int_equal(run_body(fixture, "return unpack({}, 0/0, 5)"), SCRIPT_E_FAILED);
    assert_int_equal(run_body(fixture, "local a, b, c = unpack({1, 2, 3}) assert(c == 3)\n"
                                       "assert(select('#', unpack({}, 5, 4)) == 0)"),
                     0);
}

static void a_hook_that_always_fails_is_turned_off(void **state)
{
    struct fixture *fixture = *state;
    load_text(fixture, "local n = 0\n"
                       "function on_change(e) n = n + 1 if n ~= 50 then error('boom') end end");
    for (unsigned i = 1; i < 50 + SCRIPT_FAILURES_MAX; i++)
        assert_int_equal(run(fixture), i == 50 ? 0 : SCRIPT_E_FAILED);
    assert_false(script_counts(fixture->script).is_disabled);
    assert_int_equal(run(fixture), SCRIPT_E_FAILED);
    assert_true(script_counts(fixture->script).is_disabled);
    assert_int_equal(run(fixture), SCRIPT_E_DISABLED);
    assert_int_equal(script_counts(fixture->script).calls, 50 + SCRIPT_FAILURES_MAX);
    assert_int_equal(script_counts(fixture->script).failures, 49 + SCRIPT_FAILURES_MAX);
}

static void every_failed_allocation_is_survived(void **state)
{
    struct fixture *fixture = *state;
    struct span text = script_default();
    for (long n = 0;; n++) {
        fixture->heap.fail_after = n;
        int outcome = load(fixture, text);
        bool was_reached = fixture->heap.fail_after < 0;
        fixture->heap.fail_after = -1;
        if (!was_reached && outcome == 0)
            break;
        assert_true(outcome == 0 || outcome == -ENOMEM || outcome == SCRIPT_E_LOAD);
    }
    for (long n = 0; n < 40; n++) {
        fixture->heap.fail_after = n;
        int outcome = run(fixture);
        fixture->heap.fail_after = -1;
        assert_true(outcome == 0 || outcome == SCRIPT_E_FAILED);
        assert_int_equal(run(fixture), 0);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_built_in_program_publishes_json),
        TEST(every_field_of_the_event_is_there),
        TEST(publish_tells_the_receivers_and_log_logs),
        TEST(a_program_keeps_its_state_between_calls),
        TEST(load_errors_name_file_and_line),
        TEST(run_errors_name_file_and_line),
        TEST(endless_programs_are_stopped),
        TEST(memory_is_bounded_and_comes_back),
        TEST(what_reaches_outside_is_not_there),
        TEST(a_hook_that_always_fails_is_turned_off),
        TEST(every_failed_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
