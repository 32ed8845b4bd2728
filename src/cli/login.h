// SPDX-License-Identifier: Apache-2.0
// Who a part is to a database: --db-user and the password in --db-password-file, else the user that
// goes with the shared secret.
#pragma once
#include "cli/options.h"

#define LOGIN_PASSWORD_MAX 512

#define OPTION_ROW_DB_USER                                                                         \
    {                                                                                              \
        .name = "db-user", .type = OPTION_TEXT, .value = "NAME",                                   \
        .help = "a user of the database, \"default\" if only a password is given"                  \
    }
#define OPTION_ROW_DB_PASSWORD                                                                     \
    {                                                                                              \
        .name = "db-password-file", .type = OPTION_PATH, .value = "FILE",                          \
        .help = "that user's password"                                                             \
    }

struct login {
    struct span user, password; // user empty: no AUTH is said
    bool is_from_secret;        // a database without the secret does not know it
    char text[LOGIN_PASSWORD_MAX + 2];
};

// `secret` may be empty. 0, or -1 after a line on stderr. The login stays where it is.
int login_load(struct login *login, const struct options *options, struct span secret);
