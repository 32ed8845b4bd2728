// SPDX-License-Identifier: Apache-2.0
// quipu backup: a copy of a database's data directory while it is in use, over its own protocol, as
// everything was at one moment.
#include <stdio.h>
#include <string.h>
#include "base/decimal.h"
#include "cli/asker.h"
#include "cli/copy.h"
#include "cli/main.h"
#include "os/heap_system.h"

static const struct option rows[] = {
    {.name = "db", .type = OPTION_ENDPOINT, .initial = "127.0.0.1:7000", .help = "the database"},
    OPTION_ROW_DB_USER,
    OPTION_ROW_DB_PASSWORD,
    OPTION_ROW_CONFIG,
    {0},
};

static const struct command command = {
    .name = "backup",
    .summary = "Copies what a running database has on its disk at this moment into a new directory,"
               "\nchecked. Nobody waits for it. `quipu restore` makes a data directory of it.",
    .arguments = "DIR",
    .options = rows,
};

static int refuse(const char *why)
{
    fprintf(stderr, "quipu backup: %s\n", why);
    return -1;
}

static const struct answer_token *ask(struct asker *asker, const char *word, struct span *arguments,
                                      uint32_t count)
{
    struct span words[5] = {span_text("QUIPU.BACKUP"), span_text(word)};
    for (uint32_t i = 0; i < count; i++)
        words[2 + i] = arguments[i];
    const struct answer_token *answer = asker_ask(asker, words, 2 + count);
    if (!answer)
        refuse(asker->error);
    return answer;
}

struct number_text {
    uint8_t digits[DECIMAL_LEN_MAX];
};

static struct span text_of(struct number_text *text, uint64_t number)
{
    return span_of(text->digits,
                   (size_t)(decimal_write_unsigned(text->digits, number) - text->digits));
}

struct backup {
    struct asker asker;
    struct copy copy;
    uint64_t id;
    struct buf names; // each with a zero behind it
};

// What BEGIN answered, kept: the answers to come take its place.
static int take_list(struct backup *backup)
{
    const struct answer_token *list = ask(&backup->asker, "BEGIN", NULL, 0);
    if (!list)
        return -1;
    if (list->kind != ANSWER_ARRAY || list->count < 3 || list[1].kind != ANSWER_INTEGER)
        return refuse("the answer to QUIPU.BACKUP BEGIN is not one: an older database?");
    backup->id = (uint64_t)list[1].integer;
    for (uint32_t i = 2; i + 1 < list->size; i += 2) {
        buf_put(&backup->names, list[i].text);
        buf_put_byte(&backup->names, 0);
    }
    return buf_has_failed(&backup->names) ? refuse("out of memory") : 0;
}

static int fetch_file(struct backup *backup, const char *name)
{
    struct number_text id, offset;
    if (copy_file_begin(&backup->copy, name))
        return -1;
    for (;;) {
        struct span arguments[] = {text_of(&id, backup->id), span_text(name),
                                   text_of(&offset, backup->copy.offset)};
        const struct answer_token *piece = ask(&backup->asker, "READ", arguments, 3);
        if (!piece)
            return -1;
        if (piece->text.len == 0)
            return copy_file_end(&backup->copy);
        if (copy_put(&backup->copy, piece->text))
            return -1;
    }
}

static int fetch_all(struct backup *backup)
{
    if (take_list(backup))
        return -1;
    backup->copy.is_of_backup = true;
    const char *name = (const char *)backup->names.ptr, *end = name + backup->names.len;
    for (; name < end; name += strlen(name) + 1) {
        if (fetch_file(backup, name))
            return -1;
    }
    struct number_text id;
    struct span argument = text_of(&id, backup->id);
    return ask(&backup->asker, "END", &argument, 1) ? copy_end(&backup->copy) : -1;
}

static int run(const struct options *options)
{
    struct login login;
    struct backup backup = {.asker = {.fd = -1}};
    struct endpoint endpoint = options_endpoint(options, "db");
    buf_init(&backup.names, heap_system());
    if (login_load(&login, options, (struct span){0}))
        return 1;
    int fault = asker_open(&backup.asker, &endpoint, &login)
                    ? refuse(backup.asker.error)
                    : copy_begin(&backup.copy, "backup", options->argument);
    if (!fault)
        fault = fetch_all(&backup);
    if (!fault)
        fprintf(stderr, "quipu backup: %s: %llu files, %llu bytes, whole\n", options->argument,
                (unsigned long long)backup.copy.files, (unsigned long long)backup.copy.bytes);
    copy_abort(&backup.copy);
    asker_close(&backup.asker);
    buf_deinit(&backup.names);
    return fault ? 1 : 0;
}

int backup_main(int argc, char **argv)
{
    return options_run(&command, argc, argv, run);
}
