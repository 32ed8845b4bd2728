// SPDX-License-Identifier: Apache-2.0
// Which pages may open a stream.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "realtime/origins.h"

static bool has(const struct origins *origins, const char *origin, const char *host)
{
    return origins_has(origins, origin ? span_text(origin) : span_of(NULL, 0), span_text(host));
}

static void who_names_no_origin_is_no_browser_and_may(void **state)
{
    (void)state;
    assert_true(has(&(struct origins){0}, NULL, "counts.example"));
}

static void pages_of_the_own_host_may_and_others_may_not(void **state)
{
    (void)state;
    const struct origins none = {0};
    assert_true(has(&none, "https://counts.example", "counts.example"));
    assert_true(has(&none, "http://counts.example:8080", "counts.example:8080"));
    assert_false(has(&none, "http://counts.example:8081", "counts.example:8080"));
    assert_false(has(&none, "https://counts.example.evil", "counts.example"));
    assert_false(has(&none, "https://evil.example", "counts.example"));
    assert_false(has(&none, "null", "null"));
    assert_false(has(&none, "", ""));
    assert_false(has(&none, "file://counts.example", "counts.example"));
}

static void listed_pages_may(void **state)
{
    (void)state;
    static const char *const allowed[] = {"https://shop.example", "https://news.example:444"};
    const struct origins listed = {.allowed = allowed, .count = 2};
    assert_true(has(&listed, "https://shop.example", "counts.example"));
    assert_true(has(&listed, "https://news.example:444", "counts.example"));
    assert_false(has(&listed, "http://shop.example", "counts.example"));
    assert_false(has(&listed, "https://news.example", "counts.example"));
}

static void a_star_allows_any(void **state)
{
    (void)state;
    static const char *const allowed[] = {"*"};
    assert_true(has(&(struct origins){.allowed = allowed, .count = 1}, "null", "h"));
}

static void pages_of_this_machine_may_when_only_it_is_listened_to(void **state)
{
    (void)state;
    const struct origins loopback = {.allows_loopback = true};
    const struct origins open = {0};
    static const char *const here[] = {"http://localhost:3000", "http://127.0.0.1:7014",
                                       "http://127.8.9.1", "https://[::1]:9"};
    for (size_t i = 0; i < sizeof(here) / sizeof(here[0]); i++) {
        assert_true(has(&loopback, here[i], "127.0.0.1:7004"));
        assert_false(has(&open, here[i], "127.0.0.1:7004"));
    }
    assert_false(has(&loopback, "http://127.evil.example", "127.0.0.1:7004"));
    assert_false(has(&loopback, "http://localhost.evil.example", "127.0.0.1:7004"));
    assert_false(has(&loopback, "http://[::1].evil.example", "127.0.0.1:7004"));
    assert_false(has(&loopback, "http://127.", "127.0.0.1:7004"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_names_no_origin_is_no_browser_and_may),
        cmocka_unit_test(pages_of_the_own_host_may_and_others_may_not),
        cmocka_unit_test(listed_pages_may),
        cmocka_unit_test(a_star_allows_any),
        cmocka_unit_test(pages_of_this_machine_may_when_only_it_is_listened_to),
    };
    return cmocka_run_group_tests_name("origins", tests, NULL, NULL);
}
