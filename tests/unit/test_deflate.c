// SPDX-License-Identifier: Apache-2.0
// permessage-deflate: what is packed is unpacked, by itself and within limits; which offers are met
// (the examples of RFC 7692 among them); and messages in packed frames.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include "base/prng.h"
#include "tests/lib/heap_libc.h"
#include "wire/deflate.h"
#include "wire/websocket.h"

#define BYTES 65536

struct fixture {
    struct heap_libc heap;
    struct deflate *deflate;
    struct buf packed;
    uint8_t text[BYTES];
};

static int set_up(void **state)
{
    static struct fixture fixture;
    heap_libc_init(&fixture.heap);
    assert_int_equal(deflate_new(&fixture.deflate, &fixture.heap.heap), 0);
    buf_init(&fixture.packed, &fixture.heap.heap);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    deflate_free(fixture->deflate);
    buf_deinit(&fixture->packed);
    return fixture->heap.bytes != 0; // a leak
}

static void assert_there_and_back(struct fixture *fixture, struct span text)
{
    struct span back;
    buf_clear(&fixture->packed);
    assert_true(deflate_pack(fixture->deflate, &fixture->packed, text));
    assert_int_equal(deflate_unpack(fixture->deflate, buf_span(&fixture->packed), BYTES, &back), 0);
    assert_true(span_is_equal(back, text));
}

static void what_is_packed_is_unpacked_each_by_itself(void **state)
{
    struct fixture *fixture = *state;
    struct prng prng;
    prng_init(&prng, 1);
    assert_there_and_back(fixture, span_text(""));
    assert_there_and_back(fixture, span_text("Hello"));
    for (int i = 0; i < 200; i++) {
        size_t len = prng_below(&prng, i < 190 ? 300 : BYTES + 1);
        uint64_t letters = 1 + prng_below(&prng, 256);
        for (size_t at = 0; at < len; at++)
            fixture->text[at] = (uint8_t)prng_below(&prng, letters);
        assert_there_and_back(fixture, span_of(fixture->text, len));
    }
}

static void the_examples_of_the_standard_are_understood(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *payload;
        size_t len;
    } hellos[] = {
        {"\xf2\x48\xcd\xc9\xc9\x07\x00", 7},                         // one block
        {"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11},        // not compressed
        {"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8},                     // a final block
        {"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13} // two blocks
    };
    for (size_t i = 0; i < sizeof hellos / sizeof hellos[0]; i++) {
        struct span text;
        assert_int_equal(
            deflate_unpack(fixture->deflate, span_of(hellos[i].payload, hellos[i].len), 5, &text),
            0);
        assert_true(span_is_equal(text, span_text("Hello")));
    }
}

static void a_bomb_is_stopped_at_the_limit(void **state)
{
    struct fixture *fixture = *state;
    struct span text;
    assert_there_and_back(fixture, span_text("zlib has its window now"));
    buf_clear(&fixture->packed);
    memset(fixture->text, 0, BYTES);
    assert_true(deflate_pack(fixture->deflate, &fixture->packed, span_of(fixture->text, BYTES)));
    assert_true(fixture->packed.len < 200);
    size_t before = fixture->heap.bytes;
    assert_int_equal(deflate_unpack(fixture->deflate, buf_span(&fixture->packed), 1000, &text),
                     DEFLATE_E_LONG);
    assert_true(fixture->heap.bytes < before + 2 * 8192);
    assert_int_equal(deflate_unpack(fixture->deflate, buf_span(&fixture->packed), BYTES, &text), 0);
}

static void what_is_no_deflate_data_is_told(void **state)
{
    struct fixture *fixture = *state;
    struct span text;
    assert_int_equal(deflate_unpack(fixture->deflate, span_text("\xff\xff\xff"), BYTES, &text),
                     DEFLATE_E_BROKEN);
    assert_there_and_back(fixture, span_text("and then it goes on"));
}

static void a_gzip_file_is_as_gunzip_has_it(void **state)
{
    struct fixture *fixture = *state;
    memset(fixture->text, 'a', 5000);
    assert_true(deflate_gzip(&fixture->packed, span_of(fixture->text, 5000)));
    assert_true(fixture->packed.len > 18 && fixture->packed.len < 80);
    struct span raw, file = buf_span(&fixture->packed); // a head of 10 bytes, DEFLATE, sum and size
    assert_int_equal(file.ptr[0] << 8 | file.ptr[1], 0x1f8b);
    assert_int_equal(
        deflate_unpack(fixture->deflate, span_of(file.ptr + 10, file.len - 18), BYTES, &raw), 0);
    assert_true(span_is_equal(raw, span_of(fixture->text, 5000)));
}

static void a_failed_allocation_is_told(void **state)
{
    struct fixture *fixture = *state;
    struct deflate *other = NULL;
    for (int fail = 0; fail < 30; fail++) {
        fixture->heap.fail_after = fail;
        int outcome = deflate_new(&other, &fixture->heap.heap);
        fixture->heap.fail_after = -1;
        if (outcome == 0) {
            deflate_free(other);
            return;
        }
        assert_int_equal(outcome, -ENOMEM);
    }
    fail();
}

static void offers_are_met_or_declined(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool is_met;
        uint8_t window_bits;
    } rows[] = {
        {"permessage-deflate", true, 0},
        {"permessage-deflate; client_max_window_bits", true, 0},
        {"permessage-deflate; client_max_window_bits=10", true, 0},
        {"permessage-deflate; client_max_window_bits=\"15\"", true, 0},
        {"Permessage-Deflate ; Server_No_Context_Takeover", true, 0},
        {"permessage-deflate; server_max_window_bits=9", true, 9},
        {"permessage-deflate; server_max_window_bits=15", true, 15},
        {"permessage-deflate; server_max_window_bits=8", false, 0},
        {"permessage-deflate; server_max_window_bits=8, permessage-deflate", true, 0},
        {"x-other; a=\"b, permessage-deflate\", permessage-deflate;server_max_window_bits=\"12\"",
         true, 12},
        {"permessage-deflate; server_max_window_bits", false, 0},
        {"permessage-deflate; server_max_window_bits=16", false, 0},
        {"permessage-deflate; server_max_window_bits=08", false, 0},
        {"permessage-deflate; server_no_context_takeover=1", false, 0},
        {"permessage-deflate; client_no_context_takeover; client_no_context_takeover", false, 0},
        {"permessage-deflate; client_max_window_bits=7", false, 0},
        {"permessage-deflate; unheard_of", false, 0},
        {"permessage-deflate;;", false, 0},
        {"x-webkit-deflate-frame", false, 0},
        {"", false, 0},
        {"=", false, 0},
        {"permessage-deflate; =", false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char headers[200];
        snprintf(headers, sizeof headers, "A: b\r\nSec-WebSocket-Extensions: %s\r\n",
                 rows[i].value);
        struct http_request request = {.headers = span_text(headers)};
        struct deflate_offer offer = deflate_read_offer(&request);
        assert_int_equal(offer.is_met, rows[i].is_met);
        assert_int_equal(offer.window_bits, rows[i].window_bits);
    }
}

static void the_answer_says_what_was_agreed(void **state)
{
    struct fixture *fixture = *state;
    deflate_put_answer(&fixture->packed, &(struct deflate_offer){true, 10});
    assert_true(span_is_equal(
        buf_span(&fixture->packed),
        span_text("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
                  "client_no_context_takeover; server_max_window_bits=10\r\n")));
}

// What a server makes of one message in frames of `step` payload bytes, RSV1 on the first.
static int parse_packed(struct fixture *fixture, struct span payload, size_t step,
                        struct websocket_message *out_message, struct websocket *websocket)
{
    struct buf stream, scratch;
    size_t used, at = 0;
    int outcome = WEBSOCKET_E_MORE;
    buf_init(&stream, &fixture->heap.heap);
    buf_init(&scratch, &fixture->heap.heap);
    do {
        size_t mark = stream.len, left = payload.len - at, len = left < step ? left : step;
        websocket_put_masked(&stream, at ? WEBSOCKET_CONTINUATION : WEBSOCKET_TEXT,
                             span_of(payload.ptr + at, len), 7);
        stream.ptr[mark] =
            (uint8_t)((stream.ptr[mark] & 0x0f) | (at ? 0 : 0x40) | (len == left ? 0x80 : 0));
        at += len;
    } while (at < payload.len);
    for (at = 0; at < stream.len; at += used) {
        outcome = websocket_parse(websocket, span_of(stream.ptr + at, stream.len - at), &scratch,
                                  out_message, &used);
        if (outcome != WEBSOCKET_E_FRAGMENT)
            break;
    }
    buf_deinit(&stream);
    buf_deinit(&scratch);
    return outcome;
}

static void packed_messages_are_read_also_in_fragments(void **state)
{
    struct fixture *fixture = *state;
    struct span text = span_text("{\"track\":[\"likes\",\"likes\",\"likes\",\"likes ☃\"]}");
    struct websocket_message message;
    assert_true(deflate_pack(fixture->deflate, &fixture->packed, text));
    for (size_t step = 1; step <= fixture->packed.len; step++) {
        struct websocket websocket;
        websocket_init(&websocket, WEBSOCKET_SERVER, &fixture->heap.heap);
        websocket.deflate = fixture->deflate;
        assert_int_equal(
            parse_packed(fixture, buf_span(&fixture->packed), step, &message, &websocket), 0);
        assert_int_equal(message.opcode, WEBSOCKET_TEXT);
        assert_true(span_is_equal(message.payload, text));
        websocket_deinit(&websocket);
    }
}

static void bad_packed_messages_end_with_their_codes(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_message message;
    struct websocket websocket;
    memset(fixture->text, 'a', BYTES);
    const struct {
        struct span text;
        bool is_negotiated, is_broken;
        uint16_t code;
    } rows[] = {
        {span_text("x"), false, false, WEBSOCKET_CODE_PROTOCOL},
        {span_text("x"), true, true, WEBSOCKET_CODE_PROTOCOL},
        {span_text("no \xff text"), true, false, WEBSOCKET_CODE_NOT_UTF8},
        {span_of(fixture->text, BYTES), true, false, WEBSOCKET_CODE_TOO_LARGE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        websocket_init(&websocket, WEBSOCKET_SERVER, &fixture->heap.heap);
        websocket.deflate = rows[i].is_negotiated ? fixture->deflate : NULL;
        websocket.message_bytes_max = BYTES - 1;
        buf_clear(&fixture->packed);
        assert_true(deflate_pack(fixture->deflate, &fixture->packed, rows[i].text));
        if (rows[i].is_broken)
            memset(fixture->packed.ptr, 0xff, fixture->packed.len);
        assert_int_equal(
            parse_packed(fixture, buf_span(&fixture->packed), BYTES, &message, &websocket),
            WEBSOCKET_E_PROTOCOL);
        assert_int_equal(websocket.code, rows[i].code);
        websocket_deinit(&websocket);
    }
}

static void a_packed_frame_is_understood_by_a_client(void **state)
{
    struct fixture *fixture = *state;
    struct span text = span_of(fixture->text, 1000);
    struct websocket_message message;
    struct websocket client;
    struct buf scratch;
    size_t used;
    memset(fixture->text, 'a', 1000);
    assert_true(websocket_put_packed(&fixture->packed, fixture->deflate, WEBSOCKET_TEXT, text));
    assert_true(fixture->packed.len < 40);
    assert_int_equal(fixture->packed.ptr[0], 0xc1);
    buf_init(&scratch, &fixture->heap.heap);
    websocket_init(&client, WEBSOCKET_CLIENT, &fixture->heap.heap);
    client.deflate = fixture->deflate;
    assert_int_equal(
        websocket_parse(&client, buf_span(&fixture->packed), &scratch, &message, &used), 0);
    assert_true(span_is_equal(message.payload, text));
    websocket_deinit(&client);
    buf_deinit(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_packed_is_unpacked_each_by_itself, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_examples_of_the_standard_are_understood, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_bomb_is_stopped_at_the_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_deflate_data_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_gzip_file_is_as_gunzip_has_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_allocation_is_told, set_up, tear_down),
        cmocka_unit_test(offers_are_met_or_declined),
        cmocka_unit_test_setup_teardown(the_answer_says_what_was_agreed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(packed_messages_are_read_also_in_fragments, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(bad_packed_messages_end_with_their_codes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_packed_frame_is_understood_by_a_client, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests_name("deflate", tests, NULL, NULL);
}
