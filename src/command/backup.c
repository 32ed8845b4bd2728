// SPDX-License-Identifier: Apache-2.0
// QUIPU.BACKUP: the files of a whole data directory, piece by piece, while the database goes on.
#include "base/decimal.h"
#include "command/handlers.h"

static const char gone[] = "ERR no such backup, or it was given up: BEGIN again";

static int refuse(struct call *call, int outcome)
{
    if (outcome == REPLICA_E_BUSY)
        reply_error_text(call->reply, "ERR another backup is under way: wait for its end");
    else if (outcome == REPLICA_E_GONE)
        reply_error_text(call->reply, gone);
    else
        reply_error_text(call->reply, "ERR the files of the journal cannot be read");
    return 0;
}

// [id, name, bytes, name, bytes ...]
int backup_begin(struct call *call)
{
    uint64_t id;
    int outcome = replica_backup_begin(call->replica, &id);
    if (outcome)
        return refuse(call, outcome);
    size_t count = 1, mark = reply_open_array(call->reply);
    reply_integer(call->reply, (int64_t)id);
    for (unsigned i = 0; i < replica_backup_count(call->replica); i++) {
        struct journal_held held;
        if (replica_backup_file(call->replica, i, &held))
            continue; // who reads will miss it in the copy: a segment or the snapshot
        reply_bulk_text(call->reply, held.name);
        reply_integer(call->reply, (int64_t)held.bytes);
        count += 2;
    }
    reply_close_array(call->reply, mark, count);
    return 0;
}

static bool parse_number(struct call *call, uint32_t at, uint64_t *out_number)
{
    int64_t number;
    if (decimal_parse(call->argv[at], &number) && number >= 0) {
        *out_number = (uint64_t)number;
        return true;
    }
    reply_error(call->reply, REPLY_ERROR_NOT_INTEGER);
    return false;
}

// READ id name offset -> bytes, none at the end
int backup_read(struct call *call)
{
    uint64_t id, offset;
    if (!parse_number(call, 2, &id) || !parse_number(call, 4, &offset))
        return 0;
    struct buf bytes;
    buf_init(&bytes, call->reply->out->heap);
    int outcome = replica_backup_read(call->replica, id, call->argv[3], offset, &bytes);
    if (!outcome && buf_has_failed(&bytes))
        reply_out_of_memory(call);
    else if (outcome)
        refuse(call, outcome);
    else
        reply_bulk(call->reply, buf_span(&bytes));
    buf_deinit(&bytes);
    return 0;
}

int backup_end(struct call *call)
{
    uint64_t id;
    if (!parse_number(call, 2, &id))
        return 0;
    int outcome = replica_backup_end(call->replica, id);
    if (outcome)
        return refuse(call, outcome);
    reply_ok(call->reply);
    return 0;
}
