// SPDX-License-Identifier: Apache-2.0
// The one parser of options. A sub-command is a table of rows; a value comes from the command line
// (--name value, --name=value), else from the environment (QUIPU_NAME, dashes as underscores), else
// from the file of --config (a "name value" a line, # comments), else from the row. Whatever the
// source, a wrong value is refused with the option, the value and what is expected.
//
// Life: options_parse -> getters -> options_deinit. Getters take names of the table; another name
// is a bug and asserted. Texts are borrowed from argv, the environment or the options themselves.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "os/tcp.h"

#define OPTIONS_ROWS_MAX   40
#define OPTIONS_VALUES_MAX 16 // of one repeated option
#define OPTIONS_FILE_MAX   65536

enum option_type {
    OPTION_FLAG,     // --name alone; elsewhere: yes or no
    OPTION_TEXT,     // not empty
    OPTION_PATH,     // not empty
    OPTION_INTEGER,  // smallest .. largest
    OPTION_DURATION, // milliseconds, or 2s, 5m, 1h; smallest .. largest in ms
    OPTION_ENDPOINT, // HOST:PORT
    OPTION_URL,      // http://HOST:PORT
    OPTION_CHOICE,   // one of `choices`, "a|b"
};

struct option { // a table ends with a row without a name
    const char *name;
    enum option_type type;
    const char *value;   // what help calls it; NULL: by type
    const char *initial; // NULL: none
    int64_t smallest, largest;
    const char *choices;
    bool is_repeated; // several times; separated by blanks in the environment
    bool is_required;
    bool is_listening; // others reach it: away from loopback only with a secret
    const char *help;
};

// A number's macro as the text of `initial`.
#define OPTION_INITIAL(number)  OPTION_INITIAL_(number)
#define OPTION_INITIAL_(number) #number

// Rows that most tables share.
#define OPTION_ROW_CONFIG                                                                          \
    {                                                                                              \
        .name = "config", .type = OPTION_PATH, .value = "FILE",                                    \
        .help = "options from a file, a \"name value\" a line"                                     \
    }
#define OPTION_ROW_SECRET                                                                          \
    {                                                                                              \
        .name = "secret-file", .type = OPTION_PATH, .value = "FILE",                               \
        .help = "what the parts prove themselves to each other with"                               \
    }

struct command {
    const char *name;      // "db"
    const char *summary;   // one line
    const char *arguments; // "DIR" when exactly one is wanted, else NULL
    const char *notes;     // after the options in --help, or NULL
    const struct option *options;
};

struct option_value {
    const char *text;
    int64_t number; // of an integer, duration (ms), choice (its position), flag
};

struct option_slot {
    unsigned source; // the larger wins
    unsigned count;
    struct option_value values[OPTIONS_VALUES_MAX];
};

struct options {
    const struct command *command;
    const char *argument;
    struct option_slot slots[OPTIONS_ROWS_MAX];
    char *owned[OPTIONS_ROWS_MAX + 1]; // the config file, lists of the environment
    unsigned owned_count;
    char error[600];
};

enum {
    OPTIONS_E_HELP = 1, // --help or -h was asked for
    OPTIONS_E_WRONG,    // options->error says what, in one line
};

// argv begins after the sub-command's name. `environment` is like environ; NULL: none.
int options_parse(struct options *options, const struct command *command, int argc, char **argv,
                  char **environment);
void options_deinit(struct options *options);
void options_print_help(const struct command *command, FILE *out);

// What a sub-command is made of: parses, runs, returns the exit status. Asked for help it prints
// that (0); wrong options are told on stderr (2).
int options_run(const struct command *command, int argc, char **argv,
                int (*run)(const struct options *options));

bool options_has(const struct options *options, const char *name);
unsigned options_count(const struct options *options, const char *name);
const char *options_text(const struct options *options, const char *name); // NULL: none
const char *options_text_at(const struct options *options, const char *name, unsigned index);
int64_t options_number(const struct options *options, const char *name); // 0: none
struct endpoint options_endpoint(const struct options *options, const char *name);

// ---- option_value.c: one value

bool option_check(const struct option *option, const char *text, int64_t *out_number);
// "an integer from 1 to 64"
void option_expected(const struct option *option, char *out, size_t out_len);
// "MS"; "" for a flag
const char *option_value_name(const struct option *option);
