// SPDX-License-Identifier: Apache-2.0
// Options from four sources into slots, one a row of the table. Every value said anywhere is
// checked, also one that a stronger source overrides: a broken file is told at once, not on the day
// when the flag is left out.
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include "cli/nearest.h"
#include "cli/options.h"

enum source { SOURCE_INITIAL, SOURCE_FILE, SOURCE_ENVIRONMENT, SOURCE_LINE };

struct saying { // where a value was said: "--threads", "QUIPU_THREADS", "FILE:3: threads"
    enum source source;
    const char *where;
};

static int wrong(struct options *options, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int wrong(struct options *options, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(options->error, sizeof options->error, format, list);
    va_end(list);
    return OPTIONS_E_WRONG;
}

static size_t rows_count(const struct command *command)
{
    size_t count = 0;
    while (command->options[count].name)
        count++;
    assert(count <= OPTIONS_ROWS_MAX);
    return count;
}

static int find_row(const struct command *command, const char *name, size_t len)
{
    for (size_t i = 0; i < rows_count(command); i++) {
        const char *row = command->options[i].name;
        if (strlen(row) == len && memcmp(row, name, len) == 0)
            return (int)i;
    }
    return -1;
}

static int put(struct options *options, size_t row, struct saying saying, const char *text)
{
    const struct option *option = &options->command->options[row];
    struct option_value value = {.text = text};
    if (!option_check(option, text, &value.number)) {
        char expected[120];
        option_expected(option, expected, sizeof expected);
        return wrong(options, "%s \"%.100s\": expected %s", saying.where, text, expected);
    }
    struct option_slot *slot = &options->slots[row];
    if (slot->count && saying.source < slot->source)
        return 0;
    if (saying.source > slot->source || !option->is_repeated)
        slot->count = 0;
    if (slot->count == OPTIONS_VALUES_MAX)
        return wrong(options, "%s: at most %d of them", saying.where, OPTIONS_VALUES_MAX);
    slot->source = saying.source;
    slot->values[slot->count++] = value;
    return 0;
}

static int put_initial(struct options *options)
{
    int outcome = 0;
    for (size_t i = 0; !outcome && options->command->options[i].name; i++) {
        const struct option *option = &options->command->options[i];
        if (option->initial)
            outcome =
                put(options, i, (struct saying){SOURCE_INITIAL, option->name}, option->initial);
    }
    return outcome;
}

// ---- the command line

static int unknown_option(struct options *options, const char *name, size_t len)
{
    struct nearest nearest = nearest_to(span_of(name, len));
    for (size_t i = 0; options->command->options[i].name; i++)
        nearest_consider(&nearest, options->command->options[i].name);
    if (nearest.best)
        return wrong(options, "unknown option --%.*s; did you mean --%s?", (int)len, name,
                     nearest.best);
    return wrong(options, "unknown option --%.*s", (int)len, name);
}

static int put_argument(struct options *options, const char *text)
{
    if (!options->command->arguments || options->argument)
        return wrong(options, "unexpected argument \"%.100s\"", text);
    options->argument = text;
    return 0;
}

static int read_option(struct options *options, int argc, char **argv, int *at)
{
    const char *name = argv[*at] + 2;
    size_t len = strcspn(name, "=");
    int row = find_row(options->command, name, len);
    if (row < 0)
        return unknown_option(options, name, len);
    const struct option *option = &options->command->options[row];
    char where[80];
    snprintf(where, sizeof where, "--%s", option->name);
    const char *text = name[len] == '=' ? name + len + 1 : NULL;
    if (!text && option->type == OPTION_FLAG)
        text = "yes";
    if (!text && *at + 1 == argc)
        return wrong(options, "--%s wants a value: --%s %s", option->name, option->name,
                     option_value_name(option));
    if (!text)
        text = argv[++*at];
    return put(options, (size_t)row, (struct saying){SOURCE_LINE, where}, text);
}

static int read_line(struct options *options, int argc, char **argv)
{
    bool is_rest = false;
    int outcome = 0;
    for (int at = 0; !outcome && at < argc; at++) {
        const char *word = argv[at];
        if (is_rest || word[0] != '-' || word[1] == '\0')
            outcome = put_argument(options, word);
        else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
            outcome = OPTIONS_E_HELP;
        else if (strcmp(word, "--") == 0)
            is_rest = true;
        else if (word[1] == '-')
            outcome = read_option(options, argc, argv, &at);
        else
            outcome = wrong(options, "unknown option %.100s; options begin with two dashes", word);
    }
    return outcome;
}

// ---- the environment

static void environment_name(const struct option *option, char *out, size_t out_len)
{
    snprintf(out, out_len, "QUIPU_%s", option->name);
    for (char *at = out; *at; at++)
        *at = *at == '-' ? '_' : (char)toupper((unsigned char)*at);
}

static const char *find_variable(char **environment, const char *name)
{
    size_t len = strlen(name);
    for (; environment && *environment; environment++) {
        if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=')
            return *environment + len + 1;
    }
    return NULL;
}

static int put_list(struct options *options, size_t row, struct saying saying, const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        return wrong(options, "out of memory");
    options->owned[options->owned_count++] = copy;
    int outcome = 0;
    while (copy && !outcome) {
        char *item = strsep(&copy, " \t");
        if (*item)
            outcome = put(options, row, saying, item);
    }
    return outcome;
}

static int read_environment(struct options *options, char **environment)
{
    int outcome = 0;
    for (size_t i = 0; !outcome && options->command->options[i].name; i++) {
        const struct option *option = &options->command->options[i];
        char name[80];
        environment_name(option, name, sizeof name);
        const char *text = find_variable(environment, name);
        struct saying saying = {SOURCE_ENVIRONMENT, name};
        if (text && *text)
            outcome = option->is_repeated ? put_list(options, i, saying, text)
                                          : put(options, i, saying, text);
    }
    return outcome;
}

// ---- the file

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    char *end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        end--;
    *end = '\0';
    return text;
}

static int read_file_line(struct options *options, const char *path, unsigned number, char *line)
{
    line = trim(line);
    if (*line == '\0' || *line == '#')
        return 0;
    size_t len = strcspn(line, " \t");
    char *text = trim(line + len);
    line[len] = '\0'; // when the name is the whole line, text is its end already
    int row = find_row(options->command, line, len);
    if (row < 0 || strcmp(line, "config") == 0)
        return wrong(options, "%s:%u: unknown option \"%.100s\" (a line is: name value)", path,
                     number, line);
    char where[300];
    snprintf(where, sizeof where, "%.200s:%u: %s", path, number, line);
    if (*text == '\0' && options->command->options[row].type == OPTION_FLAG)
        return put(options, (size_t)row, (struct saying){SOURCE_FILE, where}, "yes");
    return put(options, (size_t)row, (struct saying){SOURCE_FILE, where}, text);
}

static int load_file(struct options *options, const char *path, char **out_text)
{
    FILE *file = fopen(path, "r");
    if (!file)
        return wrong(options, "cannot read the config file %s: %s", path, strerror(errno));
    char *text = calloc(1, OPTIONS_FILE_MAX + 1);
    size_t len = text ? fread(text, 1, OPTIONS_FILE_MAX + 1, file) : 0;
    int fault = ferror(file) ? errno : 0;
    fclose(file);
    if (text && !fault && len <= OPTIONS_FILE_MAX) {
        *out_text = text;
        return 0;
    }
    free(text);
    if (fault || !text)
        return wrong(options, "cannot read the config file %s: %s", path,
                     strerror(text ? fault : ENOMEM));
    return wrong(options, "the config file %s is longer than %d bytes", path, OPTIONS_FILE_MAX);
}

static int read_file(struct options *options)
{
    int row = find_row(options->command, "config", strlen("config"));
    const char *path = row < 0 ? NULL : options_text(options, "config");
    if (!path)
        return 0;
    char *text;
    int outcome = load_file(options, path, &text);
    if (outcome)
        return outcome;
    options->owned[options->owned_count++] = text;
    for (unsigned number = 1; text && !outcome; number++)
        outcome = read_file_line(options, path, number, strsep(&text, "\n"));
    return outcome;
}

// ---- all of them together

static int check_required(struct options *options)
{
    for (size_t i = 0; options->command->options[i].name; i++) {
        const struct option *option = &options->command->options[i];
        if (option->is_required && !options->slots[i].count)
            return wrong(options, "--%s %s is missing", option->name, option_value_name(option));
    }
    if (options->command->arguments && !options->argument)
        return wrong(options, "%s is missing", options->command->arguments);
    return 0;
}

static int check_exposure(struct options *options)
{
    int secret = find_row(options->command, "secret-file", strlen("secret-file"));
    if (secret >= 0 && options->slots[secret].count)
        return 0;
    for (size_t i = 0; options->command->options[i].name; i++) {
        const struct option *option = &options->command->options[i];
        if (!option->is_listening || !options->slots[i].count)
            continue;
        struct endpoint endpoint = options_endpoint(options, option->name);
        if (!endpoint_is_loopback(&endpoint))
            return wrong(options,
                         "--%s %s: other machines reach it, so a secret is needed; make one with "
                         "\"openssl rand -hex 32 > FILE\" and give every part --secret-file FILE",
                         option->name, options_text(options, option->name));
    }
    return 0;
}

int options_parse(struct options *options, const struct command *command, int argc, char **argv,
                  char **environment)
{
    memset(options, 0, sizeof *options);
    options->command = command;
    int outcome = put_initial(options);
    assert(!outcome); // our own table
    outcome = read_line(options, argc, argv);
    if (!outcome)
        outcome = read_environment(options, environment);
    if (!outcome)
        outcome = read_file(options);
    if (!outcome)
        outcome = check_required(options);
    if (!outcome)
        outcome = check_exposure(options);
    return outcome;
}

void options_deinit(struct options *options)
{
    for (unsigned i = 0; i < options->owned_count; i++)
        free(options->owned[i]);
    options->owned_count = 0;
}

int options_run(const struct command *command, int argc, char **argv,
                int (*run)(const struct options *options))
{
    struct options options;
    int status = 2;
    int outcome = options_parse(&options, command, argc, argv, environ);
    if (outcome == 0) {
        status = run(&options);
    } else if (outcome == OPTIONS_E_HELP) {
        options_print_help(command, stdout);
        status = 0;
    } else {
        fprintf(stderr, "quipu %s: %s\n(quipu %s --help lists the options)\n", command->name,
                options.error, command->name);
    }
    options_deinit(&options);
    return status;
}

// ---- help

static void print_row(const struct option *option, FILE *out)
{
    char left[80];
    snprintf(left, sizeof left, "--%s %s", option->name, option_value_name(option));
    fprintf(out, "  %-30s %s", left, option->help);
    if (option->is_required)
        fprintf(out, " (required)");
    else if (option->initial && option->type != OPTION_FLAG)
        fprintf(out, " (%s)", option->initial);
    if (option->is_repeated)
        fprintf(out, "; repeatable");
    fputc('\n', out);
}

void options_print_help(const struct command *command, FILE *out)
{
    const char *arguments = command->arguments;
    fprintf(out, "usage: quipu %s [options]%s%s\n\n%s\n\n", command->name, arguments ? " " : "",
            arguments ? arguments : "", command->summary);
    for (size_t i = 0; command->options[i].name; i++)
        print_row(&command->options[i], out);
    if (command->notes)
        fprintf(out, "\n%s", command->notes);
    if (find_row(command, "config", strlen("config")) >= 0)
        fprintf(out, "\nEach option also from the environment (QUIPU_NAME, dashes as underscores) "
                     "and\nfrom the file of --config; the line wins over the environment, that "
                     "over the file.\nTimes are milliseconds, or 500ms, 2s, 5m, 1h.\n");
}

// ---- getters

static const struct option_slot *slot_of(const struct options *options, const char *name)
{
    int row = find_row(options->command, name, strlen(name));
    assert(row >= 0);
    return &options->slots[row];
}

bool options_has(const struct options *options, const char *name)
{
    return slot_of(options, name)->count > 0;
}

unsigned options_count(const struct options *options, const char *name)
{
    return slot_of(options, name)->count;
}

const char *options_text(const struct options *options, const char *name)
{
    const struct option_slot *slot = slot_of(options, name);
    return slot->count ? slot->values[0].text : NULL;
}

const char *options_text_at(const struct options *options, const char *name, unsigned index)
{
    const struct option_slot *slot = slot_of(options, name);
    assert(index < slot->count);
    return slot->values[index].text;
}

int64_t options_number(const struct options *options, const char *name)
{
    const struct option_slot *slot = slot_of(options, name);
    return slot->count ? slot->values[0].number : 0;
}

struct endpoint options_endpoint(const struct options *options, const char *name)
{
    struct endpoint endpoint;
    bool is_one = endpoint_parse(options_text(options, name), &endpoint);
    assert(is_one); // it was checked when it was read
    (void)is_one;
    return endpoint;
}
