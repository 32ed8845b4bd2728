// SPDX-License-Identifier: Apache-2.0
// The password is read from a file, once: the command line and the environment can be seen by
// others.
#include <errno.h>
#include <stdio.h>
#include "cli/login.h"
#include "os/file.h"
#include "os/heap_system.h"
#include "wire/hmac.h"

static int refuse(const struct options *options, const char *why)
{
    fprintf(stderr, "quipu %s: --db-password-file: %s\n", options->command->name, why);
    return -1;
}

static int read_password(struct login *login, const struct options *options, const char *path)
{
    struct buf text;
    buf_init(&text, heap_system());
    int fault = file_read(path, &text, LOGIN_PASSWORD_MAX);
    size_t len = text.len;
    while (len && (text.ptr[len - 1] == '\n' || text.ptr[len - 1] == '\r'))
        len--;
    if (!fault && len)
        memcpy(login->text, text.ptr, len);
    buf_deinit(&text);
    login->password = span_of(login->text, len);
    return fault ? refuse(options, strerror(-fault)) : len ? 0 : refuse(options, "it is empty");
}

static int derive_password(struct login *login, struct span secret)
{
    struct buf digits;
    buf_init(&digits, heap_system());
    hmac_put_hex(&digits, secret, span_text(HMAC_PART_MESSAGE));
    if (!buf_has_failed(&digits))
        memcpy(login->text, digits.ptr, HMAC_HEX_BYTES);
    login->user = span_text(HMAC_PART_USER);
    login->password = span_of(login->text, digits.len);
    login->is_from_secret = true;
    buf_deinit(&digits);
    return 0;
}

int login_load(struct login *login, const struct options *options, struct span secret)
{
    const char *user = options_text(options, "db-user");
    const char *path = options_text(options, "db-password-file");
    *login = (struct login){0};
    if (user && !path)
        return refuse(options, "is missing beside --db-user");
    if (path) {
        login->user = span_text(user ? user : "default");
        return read_password(login, options, path);
    }
    return secret.len ? derive_password(login, secret) : 0;
}
