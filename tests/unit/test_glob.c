// SPDX-License-Identifier: Apache-2.0
// Globs: each construct, the odd forms that Redis accepts, and the pattern that is costly
// elsewhere.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/glob.h"

struct row {
    const char *pattern, *text;
    bool is_match;
};

static void assert_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool is_match = glob_is_match(span_text(rows[i].pattern), span_text(rows[i].text));
        if (is_match != rows[i].is_match)
            print_error("pattern %s, text %s\n", rows[i].pattern, rows[i].text);
        assert_int_equal(is_match, rows[i].is_match);
    }
}

static void plain_text_matches_itself(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"", "", true},           {"", "a", false},         {"likes", "likes", true},
        {"likes", "like", false}, {"like", "likes", false}, {"a", "A", false},
    };
    assert_rows(rows, sizeof rows / sizeof *rows);
}

static void stars_match_any_run(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"*", "", true},
        {"*", "anything", true},
        {"a*", "a", true},
        {"a*c", "abbbc", true},
        {"a*c", "abbbd", false},
        {"*:likes", "p:likes", true},
        {"*a*b*", "xxaxxbxx", true},
        {"*a*b*", "xxbxxaxx", false},
        {"**", "", true},
        {"a**b", "ab", true},
        {"a*a", "a", false},
        {"*ab", "aab", true},
    };
    assert_rows(rows, sizeof rows / sizeof *rows);
}

static void a_question_mark_is_one_byte(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"?", "a", true},     {"?", "", false},     {"?", "ab", false},
        {"h?t", "hot", true}, {"h?t", "ht", false}, {"*?", "", false},
    };
    assert_rows(rows, sizeof rows / sizeof *rows);
}

static void classes_have_ranges_and_negation(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"h[ae]llo", "hello", true},
        {"h[ae]llo", "hillo", false},
        {"h[^e]llo", "hallo", true},
        {"h[^e]llo", "hello", false},
        {"h[a-c]llo", "hbllo", true},
        {"h[c-a]llo", "hbllo", true},
        {"h[a-c]llo", "hdllo", false},
        {"[-]", "-", true},
        {"[a-]", "^", true},
        {"[\\a-c]", "b", false},
        {"[\\a-c]", "-", true},
        {"[\\]]", "]", true},
        {"[]", "a", false},
        {"[^]", "a", true},
        {"x[ab", "xa", true},
        {"x[", "x", false},
        {"[a-z]*9", "k99", true},
    };
    assert_rows(rows, sizeof rows / sizeof *rows);
}

static void a_backslash_takes_the_next_byte_as_it_is(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"\\*", "*", true},   {"\\*", "a", false},    {"\\?", "?", true},   {"\\?", "a", false},
        {"a\\", "a\\", true}, {"\\[a]", "[a]", true}, {"\\\\", "\\", true}, {"\\a", "a", true},
    };
    assert_rows(rows, sizeof rows / sizeof *rows);
}

static void bytes_of_any_value_match(void **state)
{
    (void)state;
    assert_true(glob_is_match(span_of("a\0?", 3), span_of("a\0\xff", 3)));
    assert_false(glob_is_match(span_of("a\0b", 3), span_of("a\0c", 3)));
}

static void many_stars_stay_cheap(void **state)
{
    (void)state;
    uint8_t pattern[401], text[20000];
    for (size_t i = 0; i < 400; i += 2) {
        pattern[i] = 'a';
        pattern[i + 1] = '*';
    }
    pattern[400] = 'b';
    memset(text, 'a', sizeof text);
    assert_false(glob_is_match(span_of(pattern, sizeof pattern), span_of(text, sizeof text)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text_matches_itself),
        cmocka_unit_test(stars_match_any_run),
        cmocka_unit_test(a_question_mark_is_one_byte),
        cmocka_unit_test(classes_have_ranges_and_negation),
        cmocka_unit_test(a_backslash_takes_the_next_byte_as_it_is),
        cmocka_unit_test(bytes_of_any_value_match),
        cmocka_unit_test(many_stars_stay_cheap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
