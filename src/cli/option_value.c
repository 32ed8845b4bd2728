// SPDX-License-Identifier: Apache-2.0
// One value of one option: is it one, and if not, what is expected. Nothing is rounded, clamped or
// guessed.
#include "base/decimal.h"
#include "cli/options.h"

static bool is_in_range(const struct option *option, int64_t number)
{
    return number >= option->smallest && number <= option->largest;
}

static bool check_integer(const struct option *option, const char *text, int64_t *out_number)
{
    int64_t number;
    if (!decimal_parse(span_text(text), &number) || !is_in_range(option, number))
        return false;
    *out_number = number;
    return true;
}

static bool check_duration(const struct option *option, const char *text, int64_t *out_number)
{
    static const struct {
        const char *suffix;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"", 1}};
    size_t digits = strspn(text, "0123456789");
    int64_t number;
    if (!decimal_parse(span_of(text, digits), &number))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(text + digits, units[i].suffix) != 0)
            continue;
        if (__builtin_mul_overflow(number, units[i].ms, &number) || !is_in_range(option, number))
            return false;
        *out_number = number;
        return true;
    }
    return false;
}

static bool check_choice(const struct option *option, const char *text, int64_t *out_number)
{
    size_t len = strlen(text);
    int64_t position = 0;
    for (const char *at = option->choices; *at; position++) {
        size_t choice = strcspn(at, "|");
        if (choice == len && memcmp(at, text, len) == 0) {
            *out_number = position;
            return true;
        }
        at += choice + (at[choice] == '|');
    }
    return false;
}

static bool check_flag(const char *text, int64_t *out_number)
{
    bool is_yes = strcmp(text, "yes") == 0;
    if (!is_yes && strcmp(text, "no") != 0)
        return false;
    *out_number = is_yes;
    return true;
}

static bool check_url(const char *text)
{
    struct endpoint endpoint;
    size_t head = strncmp(text, "https://", 8) == 0 ? 8 : 7;
    return (head == 8 || strncmp(text, "http://", 7) == 0) &&
           endpoint_parse(text + head, &endpoint);
}

bool option_check(const struct option *option, const char *text, int64_t *out_number)
{
    struct endpoint endpoint;
    switch (option->type) {
    case OPTION_FLAG:
        return check_flag(text, out_number);
    case OPTION_TEXT:
    case OPTION_PATH:
        return *text != '\0';
    case OPTION_INTEGER:
        return check_integer(option, text, out_number);
    case OPTION_DURATION:
        return check_duration(option, text, out_number);
    case OPTION_ENDPOINT:
        return endpoint_parse(text, &endpoint);
    case OPTION_URL:
        return check_url(text);
    case OPTION_CHOICE:
        return check_choice(option, text, out_number);
    }
    return false;
}

void option_expected(const struct option *option, char *out, size_t out_len)
{
    long long smallest = option->smallest, largest = option->largest;
    switch (option->type) {
    case OPTION_FLAG:
        snprintf(out, out_len, "yes or no");
        break;
    case OPTION_TEXT:
    case OPTION_PATH:
        snprintf(out, out_len, "a text that is not empty");
        break;
    case OPTION_INTEGER:
        snprintf(out, out_len, "an integer from %lld to %lld", smallest, largest);
        break;
    case OPTION_DURATION:
        snprintf(out, out_len, "%lld to %lld milliseconds, or a time like 500ms, 2s, 5m, 1h",
                 smallest, largest);
        break;
    case OPTION_ENDPOINT:
        snprintf(out, out_len, "HOST:PORT, as 127.0.0.1:7000 or [::1]:7000");
        break;
    case OPTION_URL:
        snprintf(out, out_len, "http://HOST:PORT");
        break;
    case OPTION_CHOICE:
        snprintf(out, out_len, "one of %s", option->choices);
        break;
    }
}

const char *option_value_name(const struct option *option)
{
    static const char *const names[] = {
        [OPTION_FLAG] = "",     [OPTION_TEXT] = "TEXT",   [OPTION_PATH] = "PATH",
        [OPTION_INTEGER] = "N", [OPTION_DURATION] = "MS", [OPTION_ENDPOINT] = "HOST:PORT",
        [OPTION_URL] = "URL",
    };
    if (option->value)
        return option->value;
    return option->type == OPTION_CHOICE ? option->choices : names[option->type];
}
