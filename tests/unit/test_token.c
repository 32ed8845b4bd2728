// SPDX-License-Identifier: Apache-2.0
// Tokens of streams: JSON Web Tokens with HS256, made here by the same steps as any library's.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "tests/lib/heap_libc.h"
#include "wire/hmac.h"
#include "wire/token.h"

#define NOW 1700000000

static const char head[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
static const char claims[] =
    "{\"sub\":\"u1\",\"exp\":1700000060,\"track\":[\"likes:*\",\"a\\u002eb\"],\"publish\":[]}";

static void put_base64url(struct buf *out, struct span bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t bits = 0;
        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (k < left ? bytes.ptr[i + k] : 0);
        for (size_t k = 0; k <= left; k++)
            buf_put_byte(out, (uint8_t)digits[bits >> (18 - 6 * k) & 63]);
    }
}

struct fixture {
    struct heap_libc heap;
    struct buf token, claims, scratch;
    struct token_keys keys;
    int64_t expires_s;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    heap_libc_init(&fixture.heap);
    buf_init(&fixture.token, &fixture.heap.heap);
    buf_init(&fixture.claims, &fixture.heap.heap);
    buf_init(&fixture.scratch, &fixture.heap.heap);
    fixture.keys =
        (struct token_keys){{span_text("the key of before"), span_text("the key of now")}, 2};
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    buf_deinit(&fixture->token);
    buf_deinit(&fixture->claims);
    buf_deinit(&fixture->scratch);
    return fixture->heap.bytes != 0; // a leak
}

static void make(struct fixture *fixture, const char *header, const char *text, const char *key)
{
    uint8_t mac[HMAC_BYTES];
    buf_clear(&fixture->token);
    put_base64url(&fixture->token, span_text(header));
    buf_put_byte(&fixture->token, '.');
    put_base64url(&fixture->token, span_text(text));
    hmac_sha256(span_text(key), buf_span(&fixture->token), mac);
    buf_put_byte(&fixture->token, '.');
    put_base64url(&fixture->token, span_of(mac, sizeof mac));
}

static int check(struct fixture *fixture, int64_t now_s)
{
    return token_check(buf_span(&fixture->token), &fixture->keys, now_s, &fixture->claims,
                       &fixture->expires_s);
}

static void a_token_of_either_key_is_taken(void **state)
{
    struct fixture *fixture = *state;
    make(fixture, head, claims, "the key of now");
    assert_int_equal(check(fixture, NOW), 0);
    assert_int_equal(fixture->expires_s, NOW + 60);
    assert_true(span_is_equal(buf_span(&fixture->claims), span_text(claims)));
    make(fixture, head, claims, "the key of before");
    assert_int_equal(check(fixture, NOW), 0);
    make(fixture, head, claims, "another key");
    assert_int_equal(check(fixture, NOW), TOKEN_E_KEY);
}

static void a_known_token_of_another_library_is_taken(void **state)
{
    struct fixture *fixture = *state; // made by Python's hmac and base64
    buf_put_text(&fixture->token, "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
                                  "eyJleHAiOjE3MDAwMDAwNjAsInRyYWNrIjpbImxpa2VzOioiXX0."
                                  "cEKaikpUNJblqNiNCnm0yr2aGzUpEKPXuBRkWxmL5OE");
    assert_int_equal(check(fixture, NOW), 0);
}

static void no_byte_of_a_token_can_be_changed(void **state)
{
    struct fixture *fixture = *state;
    make(fixture, head, claims, "the key of now");
    for (size_t i = 0; i < fixture->token.len; i++) {
        uint8_t before = fixture->token.ptr[i];
        fixture->token.ptr[i] = before == 'A' ? 'B' : 'A';
        assert_int_not_equal(check(fixture, NOW), 0);
        fixture->token.ptr[i] = before;
    }
    for (size_t len = 0; len < fixture->token.len; len++)
        assert_int_not_equal(token_check(span_of(fixture->token.ptr, len), &fixture->keys, NOW,
                                         &fixture->claims, &fixture->expires_s),
                             0);
}

static void a_token_has_its_time(void **state)
{
    struct fixture *fixture = *state;
    make(fixture, head, claims, "the key of now");
    assert_int_equal(check(fixture, NOW + 60 + TOKEN_GRACE_S - 1), 0);
    assert_int_equal(check(fixture, NOW + 60 + TOKEN_GRACE_S), TOKEN_E_TIME);
    make(fixture, head, "{\"nbf\":1700000000,\"exp\":1700000060}", "the key of now");
    assert_int_equal(check(fixture, NOW - TOKEN_GRACE_S), 0);
    assert_int_equal(check(fixture, NOW - TOKEN_GRACE_S - 1), TOKEN_E_TIME);
}

static void other_algorithms_and_malformed_claims_are_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char *const heads[] = {"{\"alg\":\"none\"}",
                                        "{\"alg\":\"HS512\"}",
                                        "{}",
                                        "[]",
                                        "",
                                        "{\"alg\":\"HS256\",\"crit\":[\"x\"]}",
                                        "{\"alg\":1}"};
    static const char *const texts[] = {
        "{}", "[]", "", "{\"exp\":\"soon\"}", "{\"exp\":1700000060", "{\"exp\":1.5}"};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        make(fixture, heads[i], claims, "the key of now");
        assert_int_equal(check(fixture, NOW), TOKEN_E_FORM);
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        make(fixture, head, texts[i], "the key of now");
        assert_int_equal(check(fixture, NOW), TOKEN_E_FORM);
    }
    static const char *const others[] = {"", ".", "..", "a.b.c", "a.b.c.d", "%.%.%"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        buf_clear(&fixture->token);
        buf_put_text(&fixture->token, others[i]);
        assert_int_not_equal(check(fixture, NOW), 0);
    }
}

static void claims_allow_what_their_patterns_match(void **state)
{
    struct fixture *fixture = *state;
    const struct {
        const char *verb, *key;
        bool is_allowed;
    } rows[] = {
        {"track", "likes:7", true},    {"track", "likes", false}, {"track", "a.b", true},
        {"publish", "likes:7", false}, {"absent", "a", false},    {"track", "", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(token_allows(span_text(claims), rows[i].verb, span_text(rows[i].key),
                                      &fixture->scratch),
                         rows[i].is_allowed);
    static const char *const bad[] = {"{\"track\":\"*\"}", "{\"track\":[1,\"*\"]}",
                                      "{\"track\":[\"*\"]", "{\"track\":null}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(token_allows(span_text(bad[i]), "track", span_text("a"), &fixture->scratch));
}

static void a_failed_allocation_grants_nothing(void **state)
{
    struct fixture *fixture = *state;
    make(fixture, head, claims, "the key of now");
    for (int fail = 0; fail < 20; fail++) {
        buf_deinit(&fixture->claims);
        fixture->heap.fail_after = fail;
        int outcome = check(fixture, NOW);
        bool has_failed = fixture->heap.fail_after < 0;
        fixture->heap.fail_after = -1;
        if (!has_failed) {
            assert_int_equal(outcome, 0);
            return;
        }
        assert_int_not_equal(outcome, 0);
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_token_of_either_key_is_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_known_token_of_another_library_is_taken, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(no_byte_of_a_token_can_be_changed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_token_has_its_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_algorithms_and_malformed_claims_are_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(claims_allow_what_their_patterns_match, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_allocation_grants_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("token", tests, NULL, NULL);
}
