// SPDX-License-Identifier: Apache-2.0
// EVAL, SCRIPT, FCALL and FUNCTION: what scripts see and may do, what their answers become, what
// stops them, and that they leave nothing behind.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "script/engine.h"
#include "tests/lib/desk.h"

struct fixture {
    struct desk desk;
    struct engine *engine;
    struct buf logged, stored;
    uint64_t now_us, step_us; // each look at the clock is a step later
    unsigned slow, over;
    int store_fault;
    bool is_killed;
};

static uint64_t now_us(void *ctx)
{
    struct fixture *fixture = ctx;
    return fixture->now_us += fixture->step_us;
}

static void on_log(void *ctx, int level, struct span message)
{
    struct fixture *fixture = ctx;
    buf_put_byte(&fixture->logged, (uint8_t)('0' + level));
    buf_put_byte(&fixture->logged, ' ');
    buf_put(&fixture->logged, message);
    buf_put_byte(&fixture->logged, '\n');
}

static bool on_slow(void *ctx, const struct vm_run *run)
{
    struct fixture *fixture = ctx;
    fixture->slow++;
    return fixture->is_killed && !run->has_written;
}

static void on_over(void *ctx)
{
    ((struct fixture *)ctx)->over++;
}

static int on_store(void *ctx, struct span dump)
{
    struct fixture *fixture = ctx;
    if (fixture->store_fault)
        return fixture->store_fault;
    buf_clear(&fixture->stored);
    buf_put(&fixture->stored, dump);
    return 0;
}

static struct engine_options options_of(struct fixture *fixture)
{
    return (struct engine_options){.vm = {.heap = &fixture->desk.heap.heap,
                                          .index = &fixture->desk.index,
                                          .now_us = now_us,
                                          .on_log = on_log,
                                          .on_slow = on_slow,
                                          .on_over = on_over,
                                          .ctx = fixture},
                                   .on_store = on_store};
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    desk_open(&fixture->desk);
    struct engine_options options = options_of(fixture);
    buf_init(&fixture->logged, &fixture->desk.heap.heap);
    buf_init(&fixture->stored, &fixture->desk.heap.heap);
    assert_int_equal(engine_new(&fixture->engine, &options), 0);
    fixture->desk.server.scripts = engine_scripts(fixture->engine);
    fixture->desk.server.script_busy_ms = UINT32_MAX;
    fixture->desk.server.script_time_ms = 100;
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    engine_free(fixture->engine);
    buf_deinit(&fixture->logged);
    buf_deinit(&fixture->stored);
    desk_close(&fixture->desk);
    free(fixture);
    return 0;
}

// EVAL of the text, no keys.
static const char *eval(struct fixture *fixture, const char *text)
{
    struct span argv[] = {span_text("EVAL"), span_text(text), span_text("0")};
    return desk_run_argv(&fixture->desk, argv, 3);
}

static void assert_eval(struct fixture *fixture, const char *text, const char *expected)
{
    const char *answer = eval(fixture, text);
    if (strcmp(answer, expected) != 0)
        print_message("> %s\n", text);
    assert_string_equal(answer, expected);
}

// Somewhere in the answer.
static void assert_says(struct fixture *fixture, const char *text, const char *expected)
{
    const char *answer = eval(fixture, text);
    if (strstr(answer, expected))
        return;
    print_message("> %s\n", text);
    assert_string_equal(answer, expected);
}

static const char *load(struct fixture *fixture, const char *code)
{
    struct span argv[] = {span_text("FUNCTION"), span_text("LOAD"), span_text(code)};
    return desk_run_argv(&fixture->desk, argv, 3);
}

// ---- values

static void values_become_replies(void **state)
{
    struct fixture *fixture = *state;
    assert_eval(fixture, "return 'a\\r\\nb'", "$4\r\na\r\nb\r\n");
    assert_eval(fixture, "return 3.99", ":3\r\n");
    assert_eval(fixture, "return -3.99", ":-3\r\n");
    assert_eval(fixture, "return 2^53", ":9007199254740992\r\n");
    assert_eval(fixture, "return 1e300", ":-9223372036854775808\r\n");
    assert_eval(fixture, "return 0/0", ":-9223372036854775808\r\n");
    assert_eval(fixture, "return true", ":1\r\n");
    assert_eval(fixture, "return false", "$-1\r\n");
    assert_eval(fixture, "return nil", "$-1\r\n");
    assert_eval(fixture, "return", "$-1\r\n");
    assert_eval(fixture, "return {1, 'x', {2, {}}, nil, 4}",
                "*3\r\n:1\r\n$1\r\nx\r\n*2\r\n:2\r\n*0\r\n");
    assert_eval(fixture, "return {ok = 'fine\\r\\n'}", "+fine  \r\n");
    assert_eval(fixture, "return {err = 'MY way'}", "-MY way\r\n");
    assert_eval(fixture, "return {{err = 'A b'}, {ok = 'c'}}", "*2\r\n-A b\r\n+c\r\n");
    assert_eval(fixture, "return {double = 0.5}", "$3\r\n0.5\r\n");
    assert_eval(fixture, "return {big_number = '123'}", "$3\r\n123\r\n");
    assert_eval(fixture, "return {map = {a = 1}}", "*2\r\n$1\r\na\r\n:1\r\n");
    assert_eval(fixture, "return {set = {[5] = true}}", "*1\r\n:5\r\n");
    assert_eval(fixture, "return {verbatim_string = {format = 'txt', string = 'v'}}",
                "$1\r\nv\r\n");
    assert_eval(fixture, "return {verbatim_string = {format = 'txt'}}", "*0\r\n");
    assert_eval(fixture, "return function() end", "$-1\r\n");
    assert_eval(fixture, "return _G", "*0\r\n");
    assert_eval(fixture, "return setmetatable({}, {__index = function() error('no') end})",
                "*0\r\n");
}

static void values_become_resp3_replies(void **state)
{
    struct fixture *fixture = *state;
    desk_run(&fixture->desk, "HELLO 3");
    assert_eval(fixture, "return false", "_\r\n");
    assert_eval(fixture, "return true", ":1\r\n");
    assert_eval(fixture, "redis.setresp(3) return {true, false}", "*2\r\n#t\r\n#f\r\n");
    assert_eval(fixture, "return {double = 0.5}", ",0.5\r\n");
    assert_eval(fixture, "return {big_number = '12\\r3'}", "(12 3\r\n");
    assert_eval(fixture, "return {map = {a = {set = {b = true}}}}",
                "%1\r\n$1\r\na\r\n~1\r\n$1\r\nb\r\n");
    assert_eval(fixture, "return {verbatim_string = {format = 'mkd', string = 'v'}}",
                "=5\r\nmkd:v\r\n");
    assert_eval(fixture, "return {verbatim_string = {format = 'too long', string = 'v'}}",
                "=5\r\ntxt:v\r\n");
}

static void replies_become_values(void **state)
{
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    desk_run(desk, "GADD s x");
    desk_run(desk, "INCRBY n 7");
    assert_eval(fixture, "return type(redis.call('INCR', 'n'))", "$6\r\nnumber\r\n");
    assert_eval(fixture, "return type(redis.call('GET', 'n'))", "$6\r\nstring\r\n");
    assert_eval(fixture, "return {redis.call('GET', 'none') == false}", "*1\r\n:1\r\n");
    assert_eval(fixture, "return redis.call('SET', 'n', 1).ok", "$2\r\nOK\r\n");
    assert_eval(fixture, "local a = redis.call('MGET', 'n', 'none') return {#a, a[1], a[2]}",
                "*3\r\n:2\r\n$1\r\n1\r\n$-1\r\n");
    assert_eval(fixture, "return redis.pcall('INCR', 's').err",
                "$65\r\nWRONGTYPE Operation against a key holding the wrong kind of value\r\n");
    assert_eval(fixture, "redis.setresp(3) return redis.call('SMEMBERS', 's').set.x and 'is'",
                "$2\r\nis\r\n");
    assert_eval(fixture, "redis.setresp(3) return {redis.call('GET', 'none') == nil}",
                "*1\r\n:1\r\n");
    assert_eval(fixture, "return redis.call('INCRBY', 'n', 2^40)", ":1099511627777\r\n");
}

static void a_deep_answer_ends_in_an_error(void **state)
{
    struct fixture *fixture = *state;
    const char *answer = eval(fixture, "local a = {} a[1] = a return a");
    assert_non_null(strstr(answer, "*1\r\n*1\r\n"));
    assert_non_null(strstr(answer, "-ERR reached lua stack limit\r\n"));
}

// ---- commands

static void keys_and_arguments_are_given(void **state)
{
    struct desk *desk = &((struct fixture *)*state)->desk;
    desk_assert(desk, "EVAL \"return {KEYS[1], KEYS[2], ARGV[1], #KEYS, #ARGV}\" 2 a b c",
                "*5\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n:2\r\n:1\r\n");
    desk_assert(desk, "EVAL \"return 1\" x", "-ERR value is not an integer or out of range\r\n");
    desk_assert(desk, "EVAL \"return 1\" 2 a",
                "-ERR Number of keys can't be greater than number of args\r\n");
    desk_assert(desk, "EVAL \"return 1\" -1", "-ERR Number of keys can't be negative\r\n");
}

static void a_script_is_one_commit(void **state)
{
    struct fixture *fixture = *state;
    unsigned before = fixture->desk.commits;
    assert_eval(fixture,
                "for i = 1, 10 do redis.call('INCR', 'a') redis.call('INCR', 'b') end "
                "return redis.call('MGET', 'a', 'b')",
                "*2\r\n$2\r\n10\r\n$2\r\n10\r\n");
    assert_int_equal(fixture->desk.commits, before + 1);
}

static void what_was_written_before_an_error_stays(void **state)
{
    struct fixture *fixture = *state;
    assert_says(fixture, "redis.call('INCR', 'a') error('boom')",
                "-ERR user_script:1: boom script:");
    desk_assert(&fixture->desk, "GET a", "$1\r\n1\r\n");
}

static void what_may_not_run_in_a_script_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char *const refused[] = {
        "EVAL",
        "MULTI",
        "EXEC",
        "WATCH",
        "SUBSCRIBE",
        "AUTH",
        "HELLO",
        "CLIENT', 'ID",
        "SCRIPT",
        "FUNCTION', 'LIST",
        "CONFIG', 'GET', 'x",
        "RESET",
        "QUIT",
        "FCALL', 'f', '0",
        "QUIPU.TOKEN",
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        char text[100];
        snprintf(text, sizeof text, "return redis.call('%s')", refused[i]);
        const char *answer = eval(fixture, text);
        if (!strstr(answer, "not allowed from script") && !strstr(answer, "Wrong number of args"))
            print_message("%s: %s\n", refused[i], answer);
        assert_true(strstr(answer, "not allowed from script") ||
                    strstr(answer, "Wrong number of args"));
    }
    assert_says(fixture, "redis.call('NOPE')", "-ERR Unknown Redis command called from script");
    assert_says(fixture, "redis.call('LPUSH', 'a', 'b')", "-ERR LPUSH is refused");
    assert_says(fixture, "redis.call('GET')",
                "-ERR Wrong number of args calling Redis command from script");
    assert_says(fixture, "redis.call()", "-ERR Please specify at least one argument");
    assert_says(fixture, "redis.call('GET', {})",
                "-ERR Lua redis lib command arguments must be strings or integers");
}

static void read_only_scripts_do_not_write(void **state)
{
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    desk_run(desk, "INCR n");
    desk_assert(desk, "EVAL_RO \"return redis.call('GET', KEYS[1])\" 1 n", "$1\r\n1\r\n");
    desk_assert_begins(desk, "EVAL_RO \"return redis.call('DEL', KEYS[1])\" 1 n",
                       "-ERR Write commands are not allowed from read-only scripts.");
    assert_says(fixture, "#!lua flags=no-writes\nreturn redis.call('DEL', 'n')",
                "-ERR Write commands are not allowed from read-only scripts.");
    assert_says(fixture, "#!lua flags=nope\nreturn 1",
                "-ERR Unexpected flag in script shebang: nope");
    assert_says(fixture, "#!perl\nreturn 1", "-ERR Unexpected engine in script shebang: #!perl");
    assert_says(fixture, "#!lua name=x\nreturn 1", "-ERR Unknown lua shebang option: name=x");
    assert_says(fixture, "#!lua", "-ERR Invalid script shebang");
    desk_assert(desk, "EVAL_RO \"#!lua\\nreturn 1\" 0",
                "-ERR Can not execute a script with write flag using *_ro command.\r\n");
    desk_assert(desk, "GET n", "$1\r\n1\r\n");
}

static void scripts_run_within_a_transaction(void **state)
{
    struct desk *desk = &((struct fixture *)*state)->desk;
    desk_assert(desk, "MULTI", "+OK\r\n");
    desk_assert(desk, "INCR a", "+QUEUED\r\n");
    desk_assert(desk, "EVAL \"return redis.call('INCR', 'a')\" 0", "+QUEUED\r\n");
    desk_assert(desk, "EXEC", "*2\r\n:1\r\n:2\r\n");
}

// ---- the cache

static void scripts_are_known_by_their_sha1(void **state)
{
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    desk_assert_begins(desk, "EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0", "-NOSCRIPT");
    desk_assert(desk, "SCRIPT LOAD \"return 1\"",
                "$40\r\ne0e1f9fabfc9d4800c877a703b823ac0578ff8db\r\n");
    desk_assert(desk, "EVALSHA E0E1F9FABFC9D4800C877A703B823AC0578FF8DB 0", ":1\r\n");
    desk_assert(desk, "SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db short",
                "*2\r\n:1\r\n:0\r\n");
    desk_assert(desk, "SCRIPT FLUSH", "+OK\r\n");
    desk_assert_begins(desk, "EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0",
                       "-NOSCRIPT No matching script. Please use EVAL.");
    desk_assert(desk, "SCRIPT FLUSH NOW", "-ERR SCRIPT FLUSH only support SYNC|ASYNC option\r\n");
    desk_assert_begins(desk, "SCRIPT LOAD \"return =\"",
                       "-ERR Error compiling script (new function): user_script:1: ");
    desk_assert(desk, "EVALSHA short 0", "-NOSCRIPT No matching script. Please use EVAL.\r\n");
}

static void the_cache_is_bounded_and_keeps_what_was_loaded(void **state)
{
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    char text[60];
    desk_run(desk, "SCRIPT LOAD \"return 'kept'\"");
    for (unsigned i = 0; i < ENGINE_EVALED_MAX + 10; i++) {
        snprintf(text, sizeof text, "return %u", i);
        eval(fixture, text);
        if (i % 5 == 0)
            eval(fixture, "return 0"); // used, so not forgotten
    }
    assert_int_equal(engine_counts(fixture->engine).scripts, ENGINE_EVALED_MAX + 1);
    assert_eval(fixture, "return 'kept'", "$4\r\nkept\r\n");
    assert_int_equal(engine_counts(fixture->engine).scripts, ENGINE_EVALED_MAX + 1);
    for (unsigned i = 0; i < ENGINE_LOADED_MAX; i++) {
        struct span argv[] = {span_text("SCRIPT"), span_text("LOAD"), span_text(text)};
        snprintf(text, sizeof text, "return 'l%u'", i);
        argv[2] = span_text(text);
        desk_run_argv(desk, argv, 3);
    }
    desk_assert(desk, "SCRIPT LOAD \"return 'more'\"",
                "-ERR too many scripts are loaded: SCRIPT FLUSH forgets them\r\n");
}

// ---- the sandbox

static void nothing_that_is_shared_can_be_changed(void **state)
{
    struct fixture *fixture = *state;
    static const char *const attempts[] = {
        "x = 1",
        "_G.x = 1",
        "_G = {}",
        "rawset(_G, 'x', 1)",
        "setmetatable(_G, {})",
        "getmetatable(_G).__index = {}",
        "getmetatable('').__index = {}",
        "string.rep = 1",
        "rawset(string, 'rep', 1)",
        "redis.call = function() end",
        "setmetatable(redis, {})",
        "getmetatable(redis).__newindex = nil",
        "cjson.encode = 1",
        "table.insert(math, 1)",
        "table.sort(table)",
        "table.remove(bit)",
        "KEYS = {}",
        "local f, t = pairs(redis) rawset(t, 'call', 1)",
        "local f, t = pairs(_G) t.print = 1",
        "for k, v in pairs(_G) do if k == 'redis' then v.call = 1 end end",
        "next(_G) rawget(_G, 'math').abs = 1",
    };
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++)
        assert_says(fixture, attempts[i], "Attempt to modify a readonly table");
    assert_eval(fixture, "return {math.abs(-1), string.rep('x', 2), ('y'):rep(2), bit.bor(1, 2)}",
                "*4\r\n:1\r\n$2\r\nxx\r\n$2\r\nyy\r\n:3\r\n");
    assert_eval(fixture, "KEYS[1] = 'mine' return KEYS[1]", "$4\r\nmine\r\n");
    assert_eval(fixture, "return #KEYS", ":0\r\n");
}

static void what_reaches_outside_is_not_there(void **state)
{
    struct fixture *fixture = *state;
    static const char *const names[] = {
        "io",      "os",         "package", "debug",   "dofile",  "loadfile", "load",
        "require", "loadstring", "module",  "getfenv", "setfenv", "newproxy", "collectgarbage",
        "gcinfo",  "print"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char text[60];
        snprintf(text, sizeof text, "return %s", names[i]);
        assert_says(fixture, text, "Script attempted to access nonexistent global variable '");
    }
    assert_eval(fixture, "return {string.dump == nil}", "*1\r\n:1\r\n");
    assert_says(fixture, "\033Lua", "user_script: bytecode is not accepted");
    assert_says(fixture, "return unpack({}, 1, 1e6)", "too many results to unpack");
    assert_says(fixture, "return unpack({}, 1, 2^31)", "too many results to unpack");
    assert_eval(fixture,
                "local t = {} for i = 1, 7000 do t[i] = i end "
                "return select('#', unpack(t))",
                ":7000\r\n");
}

static void errors_tell_where(void **state)
{
    struct fixture *fixture = *state;
    assert_says(fixture, "\n\nerror('boom')", "-ERR user_script:3: boom script: ");
    assert_says(fixture, "\n\nerror('boom')", ", on @user_script:3.\r\n");
    assert_says(fixture, "error({err = 'OWN code'})", "-OWN code script: ");
    assert_says(fixture, "error(nil)", "-ERR nil script: ");
    assert_says(fixture, "error(redis)", "-ERR table script: ");
    assert_says(fixture, "local t = nil return t.x", "attempt to index local 't' (a nil value)");
    assert_eval(fixture, "local ok, e = pcall(redis.call, 'NOPE') return {ok, e}",
                "*2\r\n$-1\r\n$44\r\nERR Unknown Redis command called from script\r\n");
    assert_eval(fixture, "return {xpcall(error, function(e) return 'was ' .. tostring(e) end)}",
                "*2\r\n$-1\r\n$7\r\nwas nil\r\n");
    assert_eval(fixture, "return {xpcall(function() return 1, 2 end, error)}",
                "*3\r\n:1\r\n:1\r\n:2\r\n");
    assert_eval(fixture, "local ok, e = pcall(error, 'x', 0) return e", "$1\r\nx\r\n");
}

static void the_redis_table_has_what_redis_has(void **state)
{
    struct fixture *fixture = *state;
    assert_eval(fixture, "return redis.sha1hex('')",
                "$40\r\nda39a3ee5e6b4b0d3255bfef95601890afd80709\r\n");
    assert_eval(fixture, "return redis.error_reply('MY code')", "-MY code\r\n");
    assert_eval(fixture, "return redis.error_reply('-MY code')", "-MY code\r\n");
    assert_eval(fixture, "return redis.error_reply('single')", "-ERR single\r\n");
    assert_eval(fixture, "return redis.status_reply('fine')", "+fine\r\n");
    assert_eval(fixture, "return redis.status_reply(1)",
                "-ERR wrong number or type of arguments\r\n");
    assert_eval(fixture, "return redis.REDIS_VERSION", "$6\r\n7.0.15\r\n");
    assert_eval(fixture, "return redis.REDIS_VERSION_NUM", ":458767\r\n");
    assert_eval(fixture, "return redis.replicate_commands()", ":1\r\n");
    assert_says(fixture, "redis.set_repl(redis.REPL_NONE)", "takes only REPL_ALL");
    assert_eval(fixture, "redis.set_repl(redis.REPL_ALL)", "$-1\r\n");
    assert_says(fixture, "redis.setresp(4)", "-ERR RESP version must be 2 or 3.");
    assert_eval(fixture, "redis.log(redis.LOG_WARNING, 'one', 2)", "$-1\r\n");
    assert_says(fixture, "redis.log('x')", "-ERR redis.log() requires two arguments or more.");
    assert_says(fixture, "redis.log(9, 'x')", "-ERR Invalid debug level.");
    buf_put_byte(&fixture->logged, 0);
    assert_string_equal((const char *)fixture->logged.ptr, "3 one 2\n");
    assert_eval(fixture,
                "math.randomseed(7) local a = math.random(1000) math.randomseed(7) "
                "return a == math.random(1000)",
                ":1\r\n");
}

// ---- modules

static void json_is_read_and_written(void **state)
{
    struct fixture *fixture = *state;
    assert_eval(fixture, "return cjson.encode({1, 'a\"/\\n\\0', true, cjson.null, 0.5, {}})",
                "$36\r\n[1,\"a\\\"\\/\\n\\u0000\",true,null,0.5,{}]\r\n");
    assert_eval(fixture, "return cjson.encode({k = {[1] = 2}})", "$9\r\n{\"k\":[2]}\r\n");
    assert_eval(
        fixture,
        "local t = cjson.decode('{\"a\": [1, -5e3, null, \"\\\\u00e9\\\\ud83d\\\\ude00\"]}') "
        "return {t.a[1], t.a[2], t.a[3] == cjson.null, t.a[4]}",
        "*4\r\n:1\r\n:-5000\r\n:1\r\n$6\r\n\xc3\xa9\xf0\x9f\x98\x80\r\n");
    static const char *const bad[] = {"",        "[1,",         "{\"a\"}", "[1 2]",
                                      "\"\\x\"", "tru",         "{1: 2}",  "\"open",
                                      "[1]x",    "\"\\ud800\"", "-",       "[,]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct span argv[] = {span_text("EVAL"), span_text("return cjson.decode(ARGV[1])"),
                              span_text("0"), span_text(bad[i])};
        const char *answer = desk_run_argv(&fixture->desk, argv, 4);
        if (!strstr(answer, "-ERR user_script:1: Expected"))
            print_message("%s: %s\n", bad[i], answer);
        assert_non_null(strstr(answer, "Expected"));
    }
    assert_says(fixture, "return cjson.encode({[1] = 1, [100] = 1})", "excessively sparse array");
    assert_says(fixture, "return cjson.encode({[false] = 1})",
                "table key must be a number or string");
    assert_says(fixture, "return cjson.encode(0/0)", "must not be NaN or Inf");
    assert_says(fixture, "return cjson.encode(print == 1)", "nonexistent global");
    assert_says(fixture, "return cjson.encode(function() end)", "type not supported");
    assert_says(fixture, "local a = {} a[1] = a return cjson.encode(a)", "excessive depth");
    assert_says(fixture, "return cjson.decode(('['):rep(2000))", "too many nested data structures");
}

static void msgpack_is_read_and_written(void **state)
{
    struct fixture *fixture = *state;
    assert_eval(fixture, "return cmsgpack.pack(1, -1, 'a', true, {1, 2}, 0.1)",
                "$17\r\n\x01\xff\xa1\x61\xc3\x92\x01\x02\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a\r\n");
    assert_eval(fixture,
                "local t = {s = ('x'):rep(300), n = -2^40, a = {1, {2}}, b = false} "
                "local u = cmsgpack.unpack(cmsgpack.pack(t)) "
                "return {u.s == t.s, u.n == t.n, u.a[2][1], u.b == false}",
                "*4\r\n:1\r\n:1\r\n:2\r\n:1\r\n");
    assert_eval(fixture, "return {cmsgpack.unpack_limit(cmsgpack.pack(1, 2, 3), 2, 0)}",
                "*3\r\n:2\r\n:1\r\n:2\r\n");
    assert_eval(fixture, "return {cmsgpack.unpack_one(cmsgpack.pack(1), 0)}",
                "*2\r\n:-1\r\n:1\r\n");
    assert_says(fixture, "return cmsgpack.unpack('\\146')", "Missing bytes in input.");
    assert_says(fixture, "return cmsgpack.unpack('\\193')", "Bad data format in input.");
    assert_says(fixture, "return cmsgpack.unpack(('\\145'):rep(9999))",
                "Bad data format in input.");
    assert_says(fixture, "return cmsgpack.unpack_limit('x', 1, 9)", "greater than input length");
    assert_says(fixture, "return cmsgpack.pack()", "MessagePack pack needs input.");
}

static void structs_are_packed_and_unpacked(void **state)
{
    struct fixture *fixture = *state;
    assert_eval(fixture, "return struct.pack('>I2<h', 258, -2)", "$4\r\n\x01\x02\xfe\xff\r\n");
    assert_eval(fixture, "return {struct.unpack('>I2<h', '\\1\\2\\254\\255')}",
                "*3\r\n:258\r\n:-2\r\n:5\r\n");
    assert_eval(fixture, "return struct.size('!4bi')", ":8\r\n");
    assert_eval(fixture, "return {struct.unpack('bc0', struct.pack('bc0', 3, 'abc'))}",
                "*2\r\n$3\r\nabc\r\n:5\r\n");
    assert_eval(fixture, "return {struct.unpack('s', 'abc\\0d')}", "*2\r\n$3\r\nabc\r\n:5\r\n");
    assert_eval(fixture, "return {struct.unpack('<d', struct.pack('<d', 8))}",
                "*2\r\n:8\r\n:9\r\n");
    assert_says(fixture, "return struct.pack('i99', 1)", "larger than limit of 32");
    assert_says(fixture, "return struct.pack('i99999999999', 1)", "integral size overflow");
    assert_says(fixture, "return struct.pack('z', 1)", "invalid format option 'z'");
    assert_says(fixture, "return struct.unpack('i', 'x')", "data string too short");
    assert_says(fixture, "return struct.unpack('c0', 'x')", "needs a previous size");
    assert_says(fixture, "return struct.unpack('s', 'x')", "unfinished string in data");
    assert_says(fixture, "return struct.unpack('b', 'x', 9)", "offset must be 1 or greater");
    assert_says(fixture, "return struct.size(('c2147483647'):rep(9))", "size overflow");
}

static void bits_are_words_of_32(void **state)
{
    struct fixture *fixture = *state;
    assert_eval(fixture,
                "return {bit.tobit(2^32 - 1), bit.band(7, 12), bit.bxor(1, 2), "
                "bit.bnot(0), bit.lshift(1, 31), bit.rshift(-1, 28), bit.arshift(-8, 1), "
                "bit.rol(2^31, 1), bit.ror(1, 1), bit.bswap(1)}",
                "*10\r\n:-1\r\n:4\r\n:3\r\n:-1\r\n:-2147483648\r\n:15\r\n:-4\r\n:1\r\n"
                ":-2147483648\r\n:16777216\r\n");
    assert_eval(fixture, "return {bit.tohex(255), bit.tohex(255, -4), bit.tohex(1, 2^31)}",
                "*3\r\n$8\r\n000000ff\r\n$4\r\n00FF\r\n$8\r\n00000001\r\n");
}

// ---- budgets

static void endless_scripts_are_stopped(void **state)
{
    struct fixture *fixture = *state;
    static const char *const texts[] = {
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "while true do pcall(error) end",
        "local function f() return f() end f()",
        "for i = 1, 1e18 do local s = i .. '' end",
        "local function f() pcall(f) pcall(f) end f()",
        "coroutine.wrap(function() while true do pcall(function() while true do end end) end "
        "end)()",
        "xpcall(function() while true do end end, function() while true do end end) "
        "while true do end",
        "table.sort({3, 2, 1}, function() while true do end end)",
        "while true do redis.call('INCR', 'n') end",
        "setmetatable({}, {__index = function() while true do end end}).x = nil "
        "local t = setmetatable({}, {__index = function() while true do end end}) return t.x",
    };
    fixture->step_us = 1000;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_says(fixture, texts[i], "the script took longer than script-time-limit allows");
    fixture->step_us = 0;
    assert_eval(fixture, "return 1", ":1\r\n");
    assert_int_equal(fixture->slow, 0);
}

static void a_slow_script_is_told_of_and_can_be_killed(void **state)
{
    struct fixture *fixture = *state;
    fixture->desk.server.script_time_ms = 0;
    fixture->desk.server.script_busy_ms = 5;
    fixture->step_us = 1000;
    assert_eval(fixture, "for i = 1, 1e5 do end return 1", ":1\r\n");
    assert_true(fixture->slow > 0);
    assert_int_equal(fixture->over, 1);
    fixture->is_killed = true;
    assert_says(fixture, "while true do end", "-ERR Script killed by user with SCRIPT KILL.");
    assert_says(fixture, "pcall(function() while true do end end) while true do end",
                "Script killed by user with SCRIPT KILL.");
    assert_int_equal(fixture->over, 3);
    fixture->desk.server.script_time_ms = 50;
    assert_says(fixture, "redis.call('INCR', 'n') while true do end", "script-time-limit");
}

static void memory_is_bounded_and_comes_back(void **state)
{
    struct fixture *fixture = *state;
    size_t before = engine_counts(fixture->engine).eval_bytes;
    static const char *const texts[] = {
        "local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end",
        "return ('x'):rep(2^30)",
        "local s = 'x' while true do s = s .. s end",
        "local s = ('x'):rep(1e5) local t = {} for i = 1, 1e5 do t[i] = s end "
        "return cjson.encode(t)",
        "local s = ('x'):rep(1e5) local t = {} for i = 1, 1e5 do t[i] = s end "
        "return cmsgpack.pack(t)",
        "local s = ('x'):rep(1e5) local t = {} for i = 1, 1e5 do t[i] = s end return t",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *answer = eval(fixture, texts[i]);
        assert_true(strncmp(answer, "-ERR", 4) == 0);
    }
    assert_eval(fixture, "return 1", ":1\r\n");
    assert_true(engine_counts(fixture->engine).eval_bytes < before + VM_MEMORY_MAX / 2);
}

// ---- functions

#define MINE                                                                                       \
    "#!lua name=mine\n"                                                                            \
    "local function one(keys, args) return redis.call('INCRBY', keys[1], args[1]) end\n"           \
    "redis.register_function('one', one)\n"                                                        \
    "redis.register_function{function_name = 'look', description = 'says',\n"                      \
    "  callback = function(keys) return redis.call('GET', keys[1]) end, flags = {'no-writes'}}\n"

static void functions_are_loaded_and_called(void **state)
{
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    assert_string_equal(load(fixture, MINE), "$4\r\nmine\r\n");
    desk_assert(desk, "FCALL one 1 k 5", ":5\r\n");
    desk_assert(desk, "FCALL ONE 1 k 5", ":10\r\n");
    desk_assert(desk, "FCALL_RO look 1 k", "$2\r\n10\r\n");
    desk_assert(desk, "FCALL_RO one 1 k 5",
                "-ERR Can not execute a script with write flag using *_ro command.\r\n");
    desk_assert(desk, "FCALL none 0", "-ERR Function not found\r\n");
    desk_assert(desk, "FCALL one x", "-ERR Bad number of keys provided\r\n");
    desk_assert(desk, "FUNCTION LIST",
                "*1\r\n*6\r\n$12\r\nlibrary_name\r\n$4\r\nmine\r\n$6\r\nengine\r\n$3\r\nLUA\r\n"
                "$9\r\nfunctions\r\n*2\r\n*6\r\n$4\r\nname\r\n$3\r\none\r\n$11\r\ndescription\r\n"
                "$-1\r\n$5\r\nflags\r\n*0\r\n*6\r\n$4\r\nname\r\n$4\r\nlook\r\n$11\r\n"
                "description\r\n$4\r\nsays\r\n$5\r\nflags\r\n*1\r\n+no-writes\r\n");
    desk_assert(desk, "FUNCTION LIST LIBRARYNAME other*", "*0\r\n");
    assert_non_null(strstr(desk_run(desk, "FUNCTION LIST WITHCODE"), "library_code"));
    desk_assert(desk, "FUNCTION DELETE none", "-ERR Library not found\r\n");
    desk_assert(desk, "FUNCTION DELETE mine", "+OK\r\n");
    desk_assert(desk, "FCALL one 1 k 5", "-ERR Function not found\r\n");
    assert_int_equal(engine_counts(fixture->engine).functions, 0);
}

static void a_bad_library_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *code, *why;
    } bad[] = {
        {"return 1", "Missing library metadata"},
        {"#!lua name=x", "Invalid library metadata"},
        {"#!lua\n", "Library name was not given"},
        {"#!lua name=a name=b\n", "name argument was given multiple times"},
        {"#!lua name=a b=c\n", "Invalid metadata value given: b=c"},
        {"#!lua name=a-b\n", "Library names can only contain letters"},
        {"#!js name=a\n", "Engine 'js' not found"},
        {"#!lua name=a\nreturn =", "Error compiling function: user_function:2:"},
        {"#!lua name=a\nreturn 1", "No functions registered"},
        {"#!lua name=a\nreturn nil .. 'x'",
         "Error registering functions: user_function:2: attempt to concatenate a nil value"},
        {"#!lua name=a\nredis.register_function('f', 1)", "second argument to"},
        {"#!lua name=a\nredis.register_function('f-', function() end)", "names can only contain"},
        {"#!lua name=a\nredis.register_function('f')", "with a single argument is only"},
        {"#!lua name=a\nredis.register_function{function_name='f'}", "must get a callback"},
        {"#!lua name=a\nredis.register_function{callback=function() end}", "function name"},
        {"#!lua name=a\nredis.register_function{x=1}", "unknown argument given"},
        {"#!lua name=a\nredis.register_function{flags={'x'}}", "unknown flag given"},
        {"#!lua name=a\nredis.register_function('f', function() end) "
         "redis.register_function('f', function() end)",
         "Function already exists in the library"},
        {"#!lua name=a\nredis.register_function('one', function() end)",
         "Function one already exists"},
        {"#!lua name=mine\nredis.register_function('two', function() end)",
         "Library 'mine' already exists"},
        {"#!lua name=a\nredis.call('PING')", "nonexistent global variable 'call'"},
        {"#!lua name=a\nx = 1", "Attempt to modify a readonly table"},
        {"#!lua name=a\nreturn math", "nonexistent global variable 'math'"},
    };
    load(fixture, MINE);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *answer = load(fixture, bad[i].code);
        if (!strstr(answer, bad[i].why))
            print_message("%s\n%s\n", bad[i].code, answer);
        assert_non_null(strstr(answer, bad[i].why));
    }
    fixture->step_us = 100000;
    assert_non_null(
        strstr(load(fixture, "#!lua name=a\nwhile true do end"), "FUNCTION LOAD timeout"));
    fixture->step_us = 0;
    desk_assert(&fixture->desk, "FCALL one 1 k 5", ":5\r\n");
    assert_int_equal(engine_counts(fixture->engine).libraries, 1);
}

static void replacing_is_all_or_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    load(fixture, MINE);
    load(fixture, "#!lua name=other\nredis.register_function('two', function() return 2 end)");
    desk_assert_begins(desk,
                       "FUNCTION LOAD REPLACE \"#!lua name=mine\\n"
                       "redis.register_function('two', function() return 3 end)\"",
                       "-ERR Function two already exists");
    desk_assert(desk, "FCALL one 1 k 1", ":1\r\n");
    desk_assert(desk,
                "FUNCTION LOAD REPLACE \"#!lua name=mine\\n"
                "redis.register_function('three', function() return 3 end)\"",
                "$4\r\nmine\r\n");
    desk_assert(desk, "FCALL one 1 k 1", "-ERR Function not found\r\n");
    desk_assert(desk, "FCALL three 0", ":3\r\n");
    desk_assert_begins(desk, "FUNCTION LOAD NOW \"x\"", "-ERR Unknown option given: NOW");
}

static void a_change_that_is_not_durable_does_not_happen(void **state)
{
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    load(fixture, MINE);
    struct buf dump;
    buf_init(&dump, &desk->heap.heap);
    buf_put(&dump, buf_span(&fixture->stored));
    fixture->store_fault = -EIO;
    desk_assert_begins(desk, "FUNCTION FLUSH", "-ERR the functions cannot be kept");
    desk_assert_begins(desk, "FUNCTION DELETE mine", "-ERR the functions cannot be kept");
    desk_assert_begins(desk,
                       "FUNCTION LOAD \"#!lua name=b\\nredis.register_function('b', "
                       "function() end)\"",
                       "-ERR the functions cannot be kept");
    struct span argv[] = {span_text("FUNCTION"), span_text("RESTORE"), buf_span(&dump),
                          span_text("REPLACE")};
    assert_non_null(strstr(desk_run_argv(desk, argv, 4), "-ERR the functions cannot be kept"));
    argv[3] = span_text("FLUSH");
    assert_non_null(strstr(desk_run_argv(desk, argv, 4), "-ERR the functions cannot be kept"));
    fixture->store_fault = 0;
    desk_assert(desk, "FCALL one 1 k 5", ":5\r\n");
    assert_int_equal(engine_counts(fixture->engine).functions, 2);
    buf_deinit(&dump);
}

static void libraries_come_back_from_what_was_stored(void **state)
{
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    struct buf error;
    load(fixture, MINE);
    load(fixture, "#!lua name=a\nredis.register_function('a', function() return 'a' end)");
    struct engine_options options = options_of(fixture);
    engine_free(fixture->engine);
    assert_int_equal(engine_new(&fixture->engine, &options), 0);
    desk->server.scripts = engine_scripts(fixture->engine);
    buf_init(&error, &desk->heap.heap);
    assert_int_equal(engine_restore(fixture->engine, buf_span(&fixture->stored), &error), 0);
    desk_assert(desk, "FCALL one 1 k 5", ":5\r\n");
    desk_assert(desk, "FCALL a 0", "$1\r\na\r\n");
    fixture->stored.ptr[3] ^= 1;
    assert_int_equal(engine_restore(fixture->engine, buf_span(&fixture->stored), &error), 1);
    buf_deinit(&error);
}

// ---- dumps

static const char *restore(struct fixture *fixture, struct span dump, const char *policy)
{
    struct span argv[] = {span_text("FUNCTION"), span_text("RESTORE"), dump, span_text(policy)};
    return desk_run_argv(&fixture->desk, argv, *policy ? 4 : 3);
}

static void a_dump_is_restored_by_its_policy(void **state)
{
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    struct buf dump;
    load(fixture, MINE);
    buf_init(&dump, &desk->heap.heap);
    buf_put(&dump, buf_span(&fixture->stored));
    assert_string_equal(restore(fixture, buf_span(&dump), ""),
                        "-ERR Library mine already exists\r\n");
    assert_string_equal(restore(fixture, buf_span(&dump), "REPLACE"), "+OK\r\n");
    desk_run(desk, "FUNCTION FLUSH");
    load(fixture, "#!lua name=x\nredis.register_function('one', function() return 'x' end)");
    assert_string_equal(restore(fixture, buf_span(&dump), "REPLACE"),
                        "-ERR Function one already exists\r\n");
    desk_assert(desk, "FCALL one 0", "$1\r\nx\r\n");
    assert_string_equal(restore(fixture, buf_span(&dump), "FLUSH"), "+OK\r\n");
    desk_assert(desk, "FCALL one 1 k 5", ":5\r\n");
    assert_int_equal(engine_counts(fixture->engine).libraries, 1);
    assert_string_equal(restore(fixture, buf_span(&dump), "NOW"),
                        "-ERR Wrong restore policy given, value should be either FLUSH, APPEND or "
                        "REPLACE.\r\n");
    dump.ptr[0] ^= 1;
    assert_string_equal(restore(fixture, buf_span(&dump), ""),
                        "-ERR DUMP payload version or checksum are wrong\r\n");
    assert_string_equal(restore(fixture, span_of("short", 5), ""),
                        "-ERR DUMP payload version or checksum are wrong\r\n");
    buf_deinit(&dump);
}

// Of redis-server 7.0.15, which packs: FUNCTION LOAD of a library "z", FUNCTION DUMP.
static void a_dump_of_redis_is_restored(void **state)
{
    struct fixture *fixture = *state;
    static const uint8_t dump[] = {
        0xf5, 0xc3, 0x40, 0x79, 0x40, 0x9d, 0x1f, 0x23, 0x21, 0x6c, 0x75, 0x61, 0x20, 0x6e,
        0x61, 0x6d, 0x65, 0x3d, 0x7a, 0x0a, 0x2d, 0x2d, 0x20, 0x61, 0x20, 0x63, 0x6f, 0x6d,
        0x6d, 0x65, 0x6e, 0x74, 0x20, 0x74, 0x68, 0x61, 0x74, 0x20, 0x69, 0x0d, 0x73, 0x20,
        0x6c, 0x6f, 0x6e, 0x67, 0x20, 0x65, 0x6e, 0x6f, 0x75, 0x67, 0x68, 0x2c, 0xe0, 0x1d,
        0x0c, 0x1f, 0x20, 0x74, 0x6f, 0x20, 0x62, 0x65, 0x20, 0x70, 0x61, 0x63, 0x6b, 0x65,
        0x64, 0x0a, 0x72, 0x65, 0x64, 0x69, 0x73, 0x2e, 0x72, 0x65, 0x67, 0x69, 0x73, 0x74,
        0x65, 0x72, 0x5f, 0x66, 0x75, 0x6e, 0x0b, 0x63, 0x74, 0x69, 0x6f, 0x6e, 0x28, 0x27,
        0x7a, 0x66, 0x27, 0x2c, 0x20, 0xe0, 0x00, 0x0e, 0x0e, 0x29, 0x20, 0x72, 0x65, 0x74,
        0x75, 0x72, 0x6e, 0x20, 0x27, 0x66, 0x72, 0x6f, 0x6d, 0x27, 0x20, 0x71, 0x01, 0x64,
        0x29, 0x0a, 0x00, 0x81, 0x38, 0x8a, 0xe4, 0x87, 0xf9, 0x37, 0x6e,
    };
    assert_string_equal(restore(fixture, span_of(dump, sizeof dump), ""), "+OK\r\n");
    desk_assert(&fixture->desk, "FCALL zf 0", "$4\r\nfrom\r\n");
}

// ---- memory

// Straight to the engine, with the n-th request for memory failing: a commit has requests of its
// own, which end it.
static void perform_failing(struct fixture *fixture, const struct span *argv, uint32_t argc, long n)
{
    struct desk *desk = &fixture->desk;
    struct reply reply = reply_to(&desk->out, 2);
    struct call call = {.command = command_find(&desk->index, argv[0]),
                        .argv = argv,
                        .argc = argc,
                        .reply = &reply,
                        .keyspace = replica_keyspace(desk->replica),
                        .identity = &desk->identity,
                        .session = &desk->session,
                        .host = &desk->host,
                        .replica = desk->replica,
                        .server = &desk->server};
    buf_clear(&desk->out);
    desk->heap.fail_after = n;
    desk->server.scripts->perform(desk->server.scripts, &call);
    desk->heap.fail_after = -1;
}

static void every_failed_allocation_is_survived(void **state)
{
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    static const char *const lines[][4] = {
        {"EVAL", "return {redis.call('GET', KEYS[1]), cjson.encode({1, {a = 2}}), KEYS[1]}", "1",
         "k"},
        {"EVAL", "return cmsgpack.unpack(cmsgpack.pack({1, 'x'}))", "0"},
        {"EVAL", "return pcall(error, {err = 'x'})", "0"},
        {"SCRIPT", "LOAD", "return 99"},
        {"FUNCTION", "LOAD", "REPLACE",
         "#!lua name=f\nredis.register_function('f', function() return 1 end)"},
        {"FCALL", "f", "0"},
        {"FUNCTION", "LIST", "WITHCODE"},
        {"SCRIPT", "FLUSH"},
        {"FUNCTION", "FLUSH"},
    };
    desk->server.script_time_ms = 0;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct span argv[4];
        uint32_t argc = 0;
        while (argc < 4 && lines[i][argc]) {
            argv[argc] = span_text(lines[i][argc]);
            argc++;
        }
        for (long n = 0; n < 150; n++)
            perform_failing(fixture, argv, argc, n);
        perform_failing(fixture, argv, argc, -1);
        assert_true(desk->out.len > 0 && desk->out.ptr[0] != '-');
    }
    assert_eval(fixture, "return 1", ":1\r\n");
    for (long n = 0;; n++) {
        struct engine *engine = NULL;
        struct engine_options options = options_of(fixture);
        desk->heap.fail_after = n;
        int outcome = engine_new(&engine, &options);
        bool was_reached = desk->heap.fail_after < 0;
        desk->heap.fail_after = -1;
        if (outcome == 0)
            engine_free(engine);
        assert_true(outcome == 0 || outcome == -ENOMEM);
        if (!was_reached)
            break;
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(values_become_replies),
        TEST(values_become_resp3_replies),
        TEST(replies_become_values),
        TEST(a_deep_answer_ends_in_an_error),
        TEST(keys_and_arguments_are_given),
        TEST(a_script_is_one_commit),
        TEST(what_was_written_before_an_error_stays),
        TEST(what_may_not_run_in_a_script_is_refused),
        TEST(read_only_scripts_do_not_write),
        TEST(scripts_run_within_a_transaction),
        TEST(scripts_are_known_by_their_sha1),
        TEST(the_cache_is_bounded_and_keeps_what_was_loaded),
        TEST(nothing_that_is_shared_can_be_changed),
        TEST(what_reaches_outside_is_not_there),
        TEST(errors_tell_where),
        TEST(the_redis_table_has_what_redis_has),
        TEST(json_is_read_and_written),
        TEST(msgpack_is_read_and_written),
        TEST(structs_are_packed_and_unpacked),
        TEST(bits_are_words_of_32),
        TEST(endless_scripts_are_stopped),
        TEST(a_slow_script_is_told_of_and_can_be_killed),
        TEST(memory_is_bounded_and_comes_back),
        TEST(functions_are_loaded_and_called),
        TEST(a_bad_library_changes_nothing),
        TEST(replacing_is_all_or_nothing),
        TEST(a_change_that_is_not_durable_does_not_happen),
        TEST(libraries_come_back_from_what_was_stored),
        TEST(a_dump_is_restored_by_its_policy),
        TEST(a_dump_of_redis_is_restored),
        TEST(every_failed_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
