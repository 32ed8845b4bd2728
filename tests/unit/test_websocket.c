// SPDX-License-Identifier: Apache-2.0
// WebSocket frames and the opening handshake (RFC 6455), however the bytes are cut.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include "tests/lib/heap_libc.h"
#include "tests/lib/trace.h"
#include "wire/websocket.h"

#define FRAMES_MAX 6

struct frame_row {
    uint8_t first;       // FIN, reserved bits, opcode
    const char *payload; // NULL: no further frame
};

struct row {
    struct frame_row frames[FRAMES_MAX];
    const char *trace;
};

// A frame with any first byte, masked.
static void put_frame(struct buf *out, uint8_t first, struct span payload)
{
    size_t mark = out->len;
    websocket_put_masked(out, WEBSOCKET_TEXT, payload, 0xa1b2c3d4);
    out->ptr[mark] = first;
}

static bool is_row(const struct row *row)
{
    struct heap_libc heap;
    heap_libc_init(&heap);
    struct buf stream;
    buf_init(&stream, &heap.heap);
    for (size_t i = 0; i < FRAMES_MAX && row->frames[i].payload; i++)
        put_frame(&stream, row->frames[i].first, span_text(row->frames[i].payload));
    bool is = trace_is(&feed_websocket, buf_span(&stream), row->trace);
    buf_deinit(&stream);
    return is;
}

static void assert_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_true(is_row(&rows[i]));
}

static void messages_are_put_together(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {{{0x81, "hello"}}, "text [hello]\n"},
        {{{0x81, ""}}, "text []\n"},
        {{{0x82, "\x01\xff"}}, "binary [\\01\\ff]\n"},
        {{{0x01, "he"}, {0x00, "ll"}, {0x80, "o"}}, "text [hello]\n"},
        {{{0x01, ""}, {0x00, ""}, {0x80, ""}, {0x81, "x"}}, "text []\ntext [x]\n"},
        {{{0x02, "a"}, {0x89, "p"}, {0x80, "b"}}, "ping [p]\nbinary [ab]\n"},
        {{{0x01, "a"}, {0x8a, ""}, {0x00, "b"}, {0x89, ""}, {0x80, "c"}, {0x81, "d"}},
         "pong []\nping []\ntext [abc]\ntext [d]\n"},
        {{{0x88, ""}, {0x81, "ignored"}}, "close 1005 []\n"},
        {{{0x88, "\x03\xe8"}}, "close 1000 []\n"},
        {{{0x88, "\x0f\xa8slow"}}, "close 4008 [slow]\n"},
        {{{0x01, "a"}, {0x88, "\x03\xe9"}}, "close 1001 []\n"},
    };
    assert_rows(rows, sizeof rows / sizeof rows[0]);
}

static void broken_framing_is_refused(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {{{0xc1, "a"}}, "refused 1002\n"}, // reserved bits
        {{{0xa1, "a"}}, "refused 1002\n"},
        {{{0x91, "a"}}, "refused 1002\n"},
        {{{0x83, "a"}}, "refused 1002\n"}, // opcodes nobody knows
        {{{0x87, ""}}, "refused 1002\n"},
        {{{0x8b, ""}}, "refused 1002\n"},
        {{{0x8f, ""}}, "refused 1002\n"},
        {{{0x09, ""}}, "refused 1002\n"}, // a fragmented control frame
        {{{0x08, ""}}, "refused 1002\n"},
        {{{0x80, "a"}}, "refused 1002\n"}, // a continuation of nothing
        {{{0x00, "a"}}, "refused 1002\n"},
        {{{0x81, "a"}, {0x80, "b"}}, "text [a]\nrefused 1002\n"},
        {{{0x01, "a"}, {0x81, "b"}}, "refused 1002\n"}, // a message within a message
        {{{0x01, "a"}, {0x02, "b"}}, "refused 1002\n"},
        {{{0x88, "\x03"}}, "refused 1002\n"}, // close codes
        {{{0x88, "\x03\xe7"}}, "refused 1002\n"},
        {{{0x88, "\x03\xec"}}, "refused 1002\n"},
        {{{0x88, "\x03\xed"}}, "refused 1002\n"},
        {{{0x88, "\x03\xee"}}, "refused 1002\n"},
        {{{0x88, "\x03\xf7"}}, "refused 1002\n"},
        {{{0x88, "\x07\xd0"}}, "refused 1002\n"},
        {{{0x88, "\x0b\xb7"}}, "refused 1002\n"},
        {{{0x88, "\x13\x88"}}, "refused 1002\n"},
        {{{0x88, "\x03\xe8\xff"}}, "refused 1007\n"},
    };
    assert_rows(rows, sizeof rows / sizeof rows[0]);
}

static void text_must_be_utf8(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {{{0x81, "\xce\xba\xf0\x9f\x98\x80\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf"}},
         "text [\\ce\\ba\\f0\\9f\\98\\80\\ed\\9f\\bf\\ee\\80\\80\\f4\\8f\\bf\\bf]\n"},
        {{{0x01, "\xce"}, {0x80, "\xba"}}, "text [\\ce\\ba]\n"},
        {{{0x01, "\xf0"}, {0x00, "\x9f"}, {0x89, "\xff"}, {0x00, "\x98"}, {0x80, "\x80"}},
         "ping [\\ff]\ntext [\\f0\\9f\\98\\80]\n"},
        {{{0x82, "\xff\xfe"}}, "binary [\\ff\\fe]\n"},
        {{{0x02, "a"}, {0x80, "\xff"}}, "binary [a\\ff]\n"},
        {{{0x81, "a\xff"}}, "refused 1007\n"},
        {{{0x81, "\xce"}}, "refused 1007\n"},
        {{{0x81, "\x80"}}, "refused 1007\n"},
        {{{0x81, "\xc0\xaf"}}, "refused 1007\n"}, // overlong
        {{{0x81, "\xc1\xbf"}}, "refused 1007\n"},
        {{{0x81, "\xe0\x9f\xbf"}}, "refused 1007\n"},
        {{{0x81, "\xf0\x8f\xbf\xbf"}}, "refused 1007\n"},
        {{{0x81, "\xed\xa0\x80"}}, "refused 1007\n"},     // a surrogate
        {{{0x81, "\xf4\x90\x80\x80"}}, "refused 1007\n"}, // above the last point
        {{{0x81, "\xf5\x80\x80\x80"}}, "refused 1007\n"},
        {{{0x01, "\xed"}, {0x00, "\xa0"}, {0x80, "\x80"}}, "refused 1007\n"},
        {{{0x01, "\xce"}, {0x80, ""}}, "refused 1007\n"},
        {{{0x01, "\xff"}, {0x00, "never seen"}}, "refused 1007\n"}, // at once
        {{{0x81, "ok"}, {0x01, "\xce"}, {0x80, "\xba"}, {0x81, "\xba"}},
         "text [ok]\ntext [\\ce\\ba]\nrefused 1007\n"},
    };
    assert_rows(rows, sizeof rows / sizeof rows[0]);
}

static void heads_in_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        const char *server, *client;
    } rows[] = {
        {"\x81\x05hello", 7, "refused 1002\n", "text [hello]\n"},                // unmasked
        {"\x81\x85\0\0\0\0hello", 11, "text [hello]\n", "refused 1002\n"},       // masked
        {"\x81\xfe\0\x05\0\0\0\0hello", 13, "refused 1002\n", "refused 1002\n"}, // padded length
        {"\x82\xff\0\0\0\0\0\0\0\x7e\0\0\0\0", 14, "refused 1002\n", "refused 1002\n"},
        {"\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0", 14, "refused 1002\n", "refused 1002\n"}, // sign bit
        {"\x82\xff\0\0\0\0\0\x01\0\x01\0\0\0\0", 14, "refused 1009\n", "refused 1002\n"},
        {"\x82\x7f\0\0\0\0\0\x01\0\x01", 10, "refused 1002\n", "refused 1009\n"},
        {"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14, "refused 1009\n",
         "refused 1002\n"},
        {"\x89\xfe\0\x7e\0\0\0\0", 8, "refused 1002\n", "refused 1002\n"}, // a long ping
        {"\x89\x7e", 2, "refused 1002\n", "refused 1002\n"},
        {"\x81", 1, "", ""},
        {"\xc1", 1, "refused 1002\n", "refused 1002\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span stream = span_of(rows[i].bytes, rows[i].len);
        assert_true(trace_is(&feed_websocket, stream, rows[i].server));
        assert_true(trace_is(&feed_websocket_client, stream, rows[i].client));
    }
}

struct fixture {
    struct heap_libc heap;
    struct buf stream, scratch, text;
    struct websocket websocket;
};

static void set_up(struct fixture *fixture)
{
    heap_libc_init(&fixture->heap);
    buf_init(&fixture->stream, &fixture->heap.heap);
    buf_init(&fixture->scratch, &fixture->heap.heap);
    buf_init(&fixture->text, &fixture->heap.heap);
    websocket_init(&fixture->websocket, WEBSOCKET_SERVER, &fixture->heap.heap);
}

static void tear_down(struct fixture *fixture)
{
    websocket_deinit(&fixture->websocket);
    buf_deinit(&fixture->stream);
    buf_deinit(&fixture->scratch);
    buf_deinit(&fixture->text);
    assert_int_equal(fixture->heap.bytes, 0);
}

static struct span text_of(struct fixture *fixture, size_t len)
{
    buf_clear(&fixture->text);
    for (size_t i = 0; i < len; i++)
        buf_put_byte(&fixture->text, (uint8_t)('a' + i % 26));
    return buf_span(&fixture->text);
}

static void every_length_goes_round(void **state)
{
    (void)state;
    static const size_t lens[] = {0, 1, 7, 8, 9, 124, 125, 126, 127, 128, 65534, 65535, 65536};
    struct fixture fixture;
    set_up(&fixture);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        struct span text = text_of(&fixture, lens[i]);
        for (int role = WEBSOCKET_SERVER; role <= WEBSOCKET_CLIENT; role++) {
            buf_clear(&fixture.stream);
            if (role == WEBSOCKET_SERVER)
                websocket_put_masked(&fixture.stream, WEBSOCKET_BINARY, text, 0x01020304);
            else
                websocket_put_frame(&fixture.stream, WEBSOCKET_BINARY, text);
            websocket_init(&fixture.websocket, (enum websocket_role)role, &fixture.heap.heap);
            struct websocket_message message;
            size_t used = 0;
            struct span all = buf_span(&fixture.stream);
            assert_int_equal(websocket_parse(&fixture.websocket, span_of(all.ptr, all.len - 1),
                                             &fixture.scratch, &message, &used),
                             WEBSOCKET_E_MORE);
            assert_int_equal(
                websocket_parse(&fixture.websocket, all, &fixture.scratch, &message, &used), 0);
            assert_int_equal(used, all.len);
            assert_int_equal(message.opcode, WEBSOCKET_BINARY);
            assert_true(span_is_equal(message.payload, text));
        }
    }
    tear_down(&fixture);
}

static void a_message_in_fragments_has_the_same_limit(void **state)
{
    (void)state;
    for (size_t past = 0; past < 2; past++) {
        struct fixture fixture;
        set_up(&fixture);
        struct span half = text_of(&fixture, WEBSOCKET_MESSAGE_BYTES_MAX / 2);
        put_frame(&fixture.stream, 0x01, half);
        put_frame(&fixture.stream, 0x00, span_of(half.ptr, half.len));
        put_frame(&fixture.stream, 0x89, span_text("between"));
        put_frame(&fixture.stream, 0x80, span_of("x", past));
        size_t at = 0, used;
        int outcome = 0;
        struct websocket_message message;
        for (int i = 0; i < 4; i++) {
            outcome = websocket_parse(&fixture.websocket,
                                      span_of(fixture.stream.ptr + at, fixture.stream.len - at),
                                      &fixture.scratch, &message, &used);
            if (i < 3)
                at += used;
        }
        assert_int_equal(outcome, past ? WEBSOCKET_E_PROTOCOL : 0);
        if (past)
            assert_int_equal(fixture.websocket.code, WEBSOCKET_CODE_TOO_LARGE);
        else
            assert_int_equal(message.payload.len, WEBSOCKET_MESSAGE_BYTES_MAX);
        tear_down(&fixture);
    }
}

static void nothing_is_held_between_messages(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    assert_true(sizeof fixture.websocket <= 64);
    put_frame(&fixture.stream, 0x01, span_text("a"));
    put_frame(&fixture.stream, 0x80, span_text("b"));
    struct websocket_message message;
    size_t used, at = 0;
    for (int i = 0; i < 2; i++) {
        websocket_parse(&fixture.websocket,
                        span_of(fixture.stream.ptr + at, fixture.stream.len - at), &fixture.scratch,
                        &message, &used);
        at += used;
        assert_true(fixture.websocket.partial.cap > 0);
    }
    assert_true(span_is_equal(message.payload, span_text("ab")));
    assert_int_equal(
        websocket_parse(&fixture.websocket, (struct span){0}, &fixture.scratch, &message, &used),
        WEBSOCKET_E_MORE);
    assert_int_equal(fixture.websocket.partial.cap, 0);
    tear_down(&fixture);
}

static void a_frame_waits_for_memory(void **state)
{
    (void)state;
    static const uint8_t firsts[] = {0x81, 0x01, 0x89};
    for (size_t i = 0; i < 3; i++) {
        struct fixture fixture;
        set_up(&fixture);
        put_frame(&fixture.stream, firsts[i], span_text("text"));
        struct websocket_message message;
        size_t used;
        struct span all = buf_span(&fixture.stream);
        fixture.heap.fail_after = 0;
        assert_int_equal(
            websocket_parse(&fixture.websocket, all, &fixture.scratch, &message, &used), -ENOMEM);
        int outcome = websocket_parse(&fixture.websocket, all, &fixture.scratch, &message, &used);
        assert_int_equal(outcome, firsts[i] == 0x01 ? WEBSOCKET_E_FRAGMENT : 0);
        if (outcome == 0)
            assert_true(span_is_equal(message.payload, span_text("text")));
        tear_down(&fixture);
    }
}

static void a_long_reason_is_cut_between_characters(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    char reason[200] = {0};
    memset(reason, 'x', 122);
    memcpy(reason + 122, "\xc3\xa9 and more", 12);
    websocket_put_close(&fixture.stream, WEBSOCKET_CODE_SLOW, reason);
    assert_int_equal(fixture.stream.ptr[1], 2 + 122);
    buf_clear(&fixture.stream);
    websocket_put_close(&fixture.stream, WEBSOCKET_CODE_GOING_AWAY, "bye");
    assert_true(trace_is(&feed_websocket_client, buf_span(&fixture.stream), "close 1001 [bye]\n"));
    buf_clear(&fixture.stream);
    websocket_put_close(&fixture.stream, WEBSOCKET_CODE_NONE, "");
    assert_true(trace_is(&feed_websocket_client, buf_span(&fixture.stream), "close 1005 []\n"));
    tear_down(&fixture);
}

// ---- the handshake

static void read_request(struct fixture *fixture, const char *text, struct http_request *request)
{
    struct http_parser parser = {0};
    size_t used;
    assert_int_equal(
        http_parse_request(&parser, span_text(text), &fixture->scratch, request, &used), 0);
}

static void the_example_of_the_standard_is_answered(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    struct http_request request;
    read_request(&fixture,
                 "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                 "Origin: http://example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n"
                 "Sec-WebSocket-Version: 13\r\n\r\n",
                 &request);
    assert_int_equal(websocket_check_upgrade(&request), 0);
    assert_true(websocket_offers(&request, "superchat"));
    assert_false(websocket_offers(&request, "super"));
    websocket_put_upgrade(&fixture.stream, &request, "superchat", (struct span){0});
    assert_true(span_is_equal(buf_span(&fixture.stream),
                              span_text("HTTP/1.1 101 Switching Protocols\r\n"
                                        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                                        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                                        "Sec-WebSocket-Protocol: superchat\r\n\r\n")));
    tear_down(&fixture);
}

static void other_requests_are_refused_with_their_status(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint16_t status;
    } rows[] = {
#define UPGRADE "Host: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
#define KEY     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        {"POST / HTTP/1.1\r\n" UPGRADE KEY "Sec-WebSocket-Version: 13\r\n\r\n", 405},
        {"GET / HTTP/1.0\r\n" UPGRADE KEY "Sec-WebSocket-Version: 13\r\n\r\n", 426},
        {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 426},
        {"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n" KEY "\r\n", 426},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\n" KEY "\r\n", 426},
        {"GET / HTTP/1.1\r\n" UPGRADE KEY "\r\n", 400},
        {"GET / HTTP/1.1\r\n" UPGRADE KEY "Sec-WebSocket-Version: 8\r\n\r\n", 426},
        {"GET / HTTP/1.1\r\n" UPGRADE "Sec-WebSocket-Version: 13\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n" UPGRADE
         "Sec-WebSocket-Key: short==\r\nSec-WebSocket-Version: 13\r\n\r\n",
         400},
        {"GET / HTTP/1.1\r\n" UPGRADE
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ-=\r\nSec-WebSocket-Version: 13\r\n\r\n",
         400},
        {"GET / HTTP/1.1\r\n" UPGRADE
         "Sec-WebSocket-Key: dGhlIHNhbXBs!SBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
         400},
    };
    struct fixture fixture;
    set_up(&fixture);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http_request request;
        read_request(&fixture, rows[i].text, &request);
        assert_int_equal(websocket_check_upgrade(&request), rows[i].status);
    }
    tear_down(&fixture);
}

static void both_ends_of_the_handshake_agree(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    struct websocket_call call = {.target = span_text("/v1/stream"),
                                  .host = span_text("127.0.0.1:7004"),
                                  .protocol = "quipu.v1.json",
                                  .nonce = {1, 2, 3, 255}};
    websocket_put_call(&fixture.text, &call);
    buf_put_byte(&fixture.text, 0);
    struct http_request request;
    read_request(&fixture, (const char *)fixture.text.ptr, &request);
    assert_int_equal(websocket_check_upgrade(&request), 0);
    assert_true(websocket_offers(&request, "quipu.v1.json"));
    websocket_put_upgrade(&fixture.stream, &request, NULL, (struct span){0});
    struct http_parser parser = {0};
    struct http_response response;
    size_t used;
    assert_int_equal(
        http_parse_response(&parser, buf_span(&fixture.stream), &fixture.scratch, &response, &used),
        0);
    assert_true(websocket_is_accepted(&response, call.nonce));
    call.nonce[0] ^= 1;
    assert_false(websocket_is_accepted(&response, call.nonce));
    tear_down(&fixture);
}

static void broken_text_is_refused_before_its_frame_is_whole(void **state)
{
    (void)state;
    struct heap_libc heap;
    struct websocket websocket;
    struct websocket_message message;
    struct buf stream, scratch;
    size_t used;
    heap_libc_init(&heap);
    buf_init(&stream, &heap.heap);
    buf_init(&scratch, &heap.heap);
    websocket_init(&websocket, WEBSOCKET_SERVER, &heap.heap);
    put_frame(&stream, 0x81, span_text("so far so good \xf4\x90 and more"));
    size_t head = 6, broken = head + strlen("so far so good \xf4\x90");
    for (size_t len = 1; len < broken; len++)
        assert_int_equal(
            websocket_parse(&websocket, span_of(stream.ptr, len), &scratch, &message, &used),
            WEBSOCKET_E_MORE);
    assert_int_equal(
        websocket_parse(&websocket, span_of(stream.ptr, broken), &scratch, &message, &used),
        WEBSOCKET_E_PROTOCOL);
    assert_int_equal(websocket.code, WEBSOCKET_CODE_NOT_UTF8);
    websocket_deinit(&websocket);
    buf_deinit(&stream);
    buf_deinit(&scratch);
    assert_int_equal(heap.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_text_is_refused_before_its_frame_is_whole),
        cmocka_unit_test(messages_are_put_together),
        cmocka_unit_test(broken_framing_is_refused),
        cmocka_unit_test(text_must_be_utf8),
        cmocka_unit_test(heads_in_bytes),
        cmocka_unit_test(every_length_goes_round),
        cmocka_unit_test(a_message_in_fragments_has_the_same_limit),
        cmocka_unit_test(nothing_is_held_between_messages),
        cmocka_unit_test(a_frame_waits_for_memory),
        cmocka_unit_test(a_long_reason_is_cut_between_characters),
        cmocka_unit_test(the_example_of_the_standard_is_answered),
        cmocka_unit_test(other_requests_are_refused_with_their_status),
        cmocka_unit_test(both_ends_of_the_handshake_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
