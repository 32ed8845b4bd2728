// SPDX-License-Identifier: Apache-2.0
// The peer protocol's codec: what is written is read, every cut waits, every body that is shorter,
// longer or out of bounds is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include "tests/lib/heap_libc.h"
#include "tests/lib/trace.h"
#include "wire/peer.h"

static const struct incarnation first = {"incarnation0001"}, second = {"incarnation0002"};
static const uint8_t nonce[] = "0123456789abcdef", mac[] = "0123456789abcdef0123456789ABCDEF";

struct fixture {
    struct heap_libc heap;
    struct buf stream, body;
    struct origins origins;
    struct vector vector;
};

static void set_up(struct fixture *fixture)
{
    *fixture = (struct fixture){.origins.count = 0};
    heap_libc_init(&fixture->heap);
    buf_init(&fixture->stream, &fixture->heap.heap);
    buf_init(&fixture->body, &fixture->heap.heap);
    uint16_t index;
    origins_obtain(&fixture->origins, &first, &index);
    origins_obtain(&fixture->origins, &second, &index);
    fixture->vector.sequence[0] = 7;
    fixture->vector.sequence[1] = UINT64_MAX;
}

static void tear_down(struct fixture *fixture)
{
    buf_deinit(&fixture->stream);
    buf_deinit(&fixture->body);
    assert_int_equal(fixture->heap.bytes, 0);
}

static struct peer_hello hello_of(uint64_t version)
{
    return (struct peer_hello){.version = version,
                               .nonce = span_of(nonce, PEER_NONCE_BYTES),
                               .cluster = span_text("local"),
                               .name = span_text("r1"),
                               .address = span_text("127.0.0.1:7001"),
                               .incarnation = first,
                               .boot = 5,
                               .is_asking = true};
}

static void put_hello(struct fixture *fixture, size_t mac_len)
{
    struct peer_hello hello = hello_of(PEER_VERSION);
    buf_clear(&fixture->body);
    peer_put_hello_body(&fixture->body, &hello);
    peer_put_signed(&fixture->stream, PEER_HELLO, buf_span(&fixture->body), span_of(mac, mac_len));
}

static void put_welcome(struct fixture *fixture)
{
    struct peer_welcome welcome = {.status = PEER_OK,
                                   .text = span_text("t"),
                                   .cluster = span_text("local"),
                                   .name = span_text("r2"),
                                   .address = span_text("a:1"),
                                   .incarnation = second,
                                   .boot = 9,
                                   .held = 8,
                                   .vector = fixture->vector};
    buf_clear(&fixture->body);
    peer_put_welcome_body(&fixture->body, &welcome, &fixture->origins);
    peer_put_signed(&fixture->stream, PEER_WELCOME, buf_span(&fixture->body),
                    span_of(mac, PEER_MAC_BYTES));
}

static void put_members(struct fixture *fixture)
{
    struct peer_member list[] = {
        {.incarnation = first, .name = span_text("r1"), .address = span_text("a:1")},
        {.incarnation = second,
         .name = span_text("r1"),
         .is_former = true,
         .knows_sender = true,
         .is_delivered = true,
         .is_sealed = true,
         .seal = 300},
    };
    struct peer_members members = {
        .list = list, .count = 2, .is_filled = true, .dropped = fixture->vector};
    peer_put_members(&fixture->stream, &members, &fixture->origins);
}

static void put_feed(struct fixture *fixture)
{
    struct peer_feed *feed = calloc(1, sizeof *feed);
    feed->is_final = true;
    feed->from.sequence[0] = 3;
    feed->upto = fixture->vector;
    size_t mark = peer_open_feed(&fixture->stream, feed, &fixture->origins);
    buf_put_text(&fixture->stream, "units");
    peer_close_feed(&fixture->stream, mark);
    free(feed);
}

static void put_all(struct fixture *fixture)
{
    peer_put_greeting(&fixture->stream, span_of(nonce, PEER_NONCE_BYTES));
    put_hello(fixture, PEER_MAC_BYTES);
    put_welcome(fixture);
    put_members(fixture);
    put_feed(fixture);
    struct peer_ack ack = {.rounds = 300, .vector = fixture->vector};
    peer_put_ack(&fixture->stream, &ack, &fixture->origins);
    peer_put_number(&fixture->stream, PEER_PING, 1);
    peer_put_number(&fixture->stream, PEER_PONG, UINT64_MAX);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    put_all(&fixture);
    assert_true(trace_is(
        &feed_peer, buf_span(&fixture.stream),
        "greeting [0123456789abcdef]\n"
        "hello 3 nonce [0123456789abcdef] cluster [local] name [r1] address [127.0.0.1:7001] "
        "of [incarnation0001\\00] boot 5 asks mac [0123456789abcdef0123456789ABCDEF] signs 66\n"
        "welcome [ok] text [t] cluster [local] name [r2] address [a:1] of "
        "[incarnation0002\\00] boot 9 held 8 at 0:7 1:18446744073709551615 mac "
        "[0123456789abcdef0123456789ABCDEF] signs 92\n"
        "members 2 [r1] at [a:1] of [incarnation0001\\00] [r1] at [] of [incarnation0002\\00] "
        "former knows delivered sealed 300 past 0:7 1:18446744073709551615\n"
        "feed final 0 1 from 0:3 upto 0:7 1:18446744073709551615 units [units]\n"
        "ack 300 at 0:7 1:18446744073709551615\n"
        "ping 1\npong 18446744073709551615\n"));
    buf_clear(&fixture.stream);
    put_hello(&fixture, 0);
    assert_true(trace_is(
        &feed_peer, buf_span(&fixture.stream),
        "hello 3 nonce [0123456789abcdef] cluster [local] name [r1] address [127.0.0.1:7001] "
        "of [incarnation0001\\00] boot 5 asks mac [] signs 66\n"));
    tear_down(&fixture);
}

// Whether a frame whose body is this is understood.
static bool is_understood(struct fixture *fixture, uint8_t type, struct span body)
{
    struct buf trace;
    buf_init(&trace, &fixture->heap.heap);
    buf_clear(&fixture->body);
    bytes_put_u32(&fixture->body, (uint32_t)body.len + 1);
    buf_put_byte(&fixture->body, type);
    buf_put(&fixture->body, body);
    feed_whole(&feed_peer, buf_span(&fixture->body), &trace);
    bool is = trace.len > 0 && !memmem(trace.ptr, trace.len, "refused", 7) &&
              !memmem(trace.ptr, trace.len, "full", 4);
    buf_deinit(&trace);
    return is;
}

static void a_body_of_another_length_is_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    put_all(&fixture);
    buf_put_byte(&fixture.stream, 0); // so that a longer body can be shown
    struct span rest = span_of(fixture.stream.ptr, fixture.stream.len - 1);
    enum peer_type type;
    struct span body;
    size_t used;
    while (rest.len > 0) {
        assert_int_equal(peer_parse(rest, &type, &body, &used), 0);
        assert_true(is_understood(&fixture, type, body));
        size_t fixed = type == PEER_FEED ? body.len - 5 : body.len; // units may be any
        for (size_t len = 0; len < fixed; len++)
            assert_false(is_understood(&fixture, type, span_of(body.ptr, len)));
        if (type != PEER_FEED)
            assert_false(is_understood(&fixture, type, span_of(body.ptr, body.len + 1)));
        rest = span_of(rest.ptr + used, rest.len - used);
    }
    tear_down(&fixture);
}

static void frames_out_of_bounds_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint32_t len;
        uint8_t type;
    } rows[] = {
        {0, PEER_PING},          {PEER_FRAME_BYTES_MAX + 1, PEER_FEED},
        {UINT32_MAX, PEER_FEED}, {9, 0},
        {9, PEER_PONG + 1},      {9, 255},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t head[PEER_HEAD_BYTES];
        bytes_write_u32(head, rows[i].len);
        head[4] = rows[i].type;
        assert_true(trace_is(&feed_peer, span_of(head, sizeof head), "refused\n"));
    }
}

static void hostile_counts_cost_nothing(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    struct buf body;
    buf_init(&body, &fixture.heap.heap);
    bytes_put_varint(&body, UINT64_MAX); // members
    assert_false(is_understood(&fixture, PEER_MEMBERS, buf_span(&body)));
    buf_clear(&body);
    bytes_put_varint(&body, PEER_MEMBERS_MAX + 1);
    assert_false(is_understood(&fixture, PEER_MEMBERS, buf_span(&body)));
    buf_clear(&body);
    buf_put_byte(&body, 0); // a dictionary
    bytes_put_varint(&body, LIMIT_ORIGINS + 1);
    assert_false(is_understood(&fixture, PEER_FEED, buf_span(&body)));
    buf_clear(&body);
    bytes_put_varint(&body, 1); // a vector
    bytes_put_varint(&body, UINT64_MAX);
    assert_false(is_understood(&fixture, PEER_ACK, buf_span(&body)));
    buf_deinit(&body);
    tear_down(&fixture);
}

static void another_version_is_told_before_the_rest_is_read(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    bytes_put_varint(&fixture.body, PEER_VERSION + 1);
    buf_put_text(&fixture.body, "nobody knows what");
    struct peer_hello hello = {0};
    assert_int_equal(peer_parse_hello(buf_span(&fixture.body), &hello), 0);
    assert_int_equal(hello.version, PEER_VERSION + 1);
    tear_down(&fixture);
}

static void a_full_table_of_origins_is_told(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    struct origins *full = calloc(1, sizeof *full);
    for (uint16_t i = 0; i < LIMIT_ORIGINS; i++)
        full->list[i] = (struct incarnation){{(uint8_t)(i + 1), (uint8_t)(i >> 8), 1}};
    full->count = LIMIT_ORIGINS;
    put_feed(&fixture);
    enum peer_type type;
    struct span body;
    size_t used;
    assert_int_equal(peer_parse(buf_span(&fixture.stream), &type, &body, &used), 0);
    struct peer_feed *feed = calloc(1, sizeof *feed);
    assert_int_equal(peer_parse_feed(body, full, feed), PEER_E_FULL);
    free(feed);
    buf_clear(&fixture.stream);
    struct peer_ack ack = {.rounds = 1, .vector = fixture.vector};
    peer_put_ack(&fixture.stream, &ack, &fixture.origins);
    assert_int_equal(peer_parse(buf_span(&fixture.stream), &type, &body, &used), 0);
    assert_int_equal(peer_parse_ack(body, full, &ack), PEER_E_FULL);
    free(full);
    tear_down(&fixture);
}

static void every_status_has_a_text(void **state)
{
    (void)state;
    for (unsigned status = 0; status < PEER_STATUS_COUNT; status++)
        assert_non_null(peer_status_text((enum peer_status)status));
    assert_non_null(peer_status_text((enum peer_status)255));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(a_body_of_another_length_is_refused),
        cmocka_unit_test(frames_out_of_bounds_are_refused),
        cmocka_unit_test(hostile_counts_cost_nothing),
        cmocka_unit_test(another_version_is_told_before_the_rest_is_read),
        cmocka_unit_test(a_full_table_of_origins_is_told),
        cmocka_unit_test(every_status_has_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
