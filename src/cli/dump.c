// SPDX-License-Identifier: Apache-2.0
// quipu dump: what a data directory holds, readable, offline. The directory stays as it is. Keys
// come in no order; `sort` gives them one.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "cli/main.h"
#include "cli/options.h"
#include "os/file.h"
#include "os/heap_system.h"
#include "replica/change.h"

static const struct option rows[] = {
    {.name = "cells",
     .type = OPTION_FLAG,
     .help = "below each key, what each incarnation has written to it"},
    OPTION_ROW_CONFIG,
    {0},
};

static const struct command command = {
    .name = "dump",
    .summary = "Prints every key of a data directory that no database is running with: key, type, "
               "value,\nseparated by tabs; below a set its members. Bytes that cannot be printed "
               "are \\xHH, a backslash is \\\\.",
    .arguments = "DIR",
    .options = rows,
};

struct dump {
    struct replica *replica;
    bool has_cells, is_memory_out;
    uint64_t keys;
};

static void print_bytes(struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t byte = bytes.ptr[i];
        if (byte == '\\')
            fputs("\\\\", stdout);
        else if (byte < 0x20 || byte == 0x7f)
            printf("\\x%02x", byte);
        else
            putchar(byte);
    }
}

static void print_cell(const struct dump *dump, const struct cell *cell)
{
    const struct incarnation *of = &replica_origins(dump->replica)->list[cell->origin];
    printf("\tcell\t");
    for (size_t i = 0; i < sizeof of->bytes; i++)
        printf("%02x", of->bytes[i]);
    printf("\ts=%llu b=%llu w=%llu T=%lld cs=%llu cT=%lld\n", (unsigned long long)cell->sequence,
           (unsigned long long)cell->birth, (unsigned long long)cell->write, (long long)cell->total,
           (unsigned long long)cell->cut_write, (long long)cell->cut_total);
}

static void print_cells(const struct dump *dump, struct span key)
{
    struct unit unit;
    if (replica_inspect(dump->replica, key, &unit)) {
        for (uint16_t i = 0; i < unit.count; i++)
            print_cell(dump, &unit.cells[i]);
    }
    unit_deinit(&unit);
}

static void print_members(struct dump *dump, const struct record *set)
{
    struct set_list list;
    if (replica_set_list(dump->replica, set, &list)) {
        dump->is_memory_out = true;
        return;
    }
    for (uint32_t i = 0; i < list.count; i++) {
        fputs("\tmember\t", stdout);
        print_bytes(record_address(list.member[i]).sub);
        putchar('\n');
    }
    replica_set_list_free(dump->replica, &list);
}

static void visit(void *ctx, struct record *record)
{
    struct dump *dump = ctx;
    if (record_parent(record) || !(record_flags(record) & RECORD_LIVE))
        return;
    struct span key = record_address(record).key;
    print_bytes(key);
    printf("\t%s\t%lld\n", cell_type_name(record_type(record)), (long long)record_value(record));
    if (record_type(record) == CELL_GSET || record_type(record) == CELL_SET)
        print_members(dump, record);
    if (dump->has_cells)
        print_cells(dump, key);
    dump->keys++;
}

static int print_all(struct dump *dump, const char *directory)
{
    uint64_t cursor = 0;
    keyspace_thread_start();
    do {
        cursor = keyspace_scan(replica_keyspace(dump->replica), cursor, 1024, visit, dump);
    } while (cursor && !ferror(stdout) && !dump->is_memory_out);
    keyspace_thread_stop();
    bool has_failed = fflush(stdout) || ferror(stdout);
    if (dump->is_memory_out)
        fprintf(stderr, "quipu dump: %s: out of memory\n", directory);
    else if (has_failed)
        fprintf(stderr, "quipu dump: writing: %s\n", strerror(errno));
    else
        fprintf(stderr, "quipu dump: %s: %llu keys\n", directory, (unsigned long long)dump->keys);
    return has_failed || dump->is_memory_out ? 1 : 0;
}

static int refuse(const char *directory, struct span why)
{
    fprintf(stderr, "quipu dump: %s: %.*s\n", directory, (int)why.len, (const char *)why.ptr);
    return 1;
}

static int dump_disk(struct disk *disk, const struct options *options)
{
    struct dump dump = {.has_cells = options_number(options, "cells")};
    struct replica_options replica = {.disk = disk,
                                      .node = {.cluster = span_text("dump"),
                                               .name = span_text("dump"),
                                               .address = span_text("-")},
                                      .is_to_read = true};
    struct buf error;
    buf_init(&error, heap_system());
    int status = replica_open(&dump.replica, heap_system(), &replica, &error)
                     ? refuse(options->argument, buf_span(&error))
                     : print_all(&dump, options->argument);
    if (dump.replica)
        replica_close(dump.replica);
    buf_deinit(&error);
    return status;
}

static int run(const struct options *options)
{
    struct stat about;
    if (stat(options->argument, &about)) // opening one would make it
        return refuse(options->argument, span_text(strerror(errno)));
    struct disk *disk;
    int fault = file_disk_open(&disk, heap_system(), options->argument);
    if (fault)
        return refuse(options->argument, span_text(strerror(-fault)));
    int status = dump_disk(disk, options);
    file_disk_close(disk);
    return status;
}

int dump_main(int argc, char **argv)
{
    return options_run(&command, argc, argv, run);
}
