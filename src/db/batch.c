// SPDX-License-Identifier: Apache-2.0
// A batch: commands of one client that belong to the replica thread, with copies of their arguments
// in one block of memory, and their answers on the way back.
#include <errno.h>
#include "db/private.h"

void batch_list_init(struct batch_list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

void batch_list_put(struct batch_list *list, struct batch *batch)
{
    batch->next = NULL;
    *list->last = batch;
    list->last = &batch->next;
}

struct batch *batch_list_take(struct batch_list *list)
{
    struct batch *batch = list->first;
    if (!batch)
        return NULL;
    list->first = batch->next;
    if (!list->first)
        list->last = &list->first;
    return batch;
}

static size_t size_of(const struct request *requests, uint32_t count)
{
    size_t size = sizeof(struct batch) + count * sizeof(struct posted);
    for (uint32_t i = 0; i < count; i++) {
        size += requests[i].argc * sizeof(struct span);
        for (uint32_t at = 0; at < requests[i].argc; at++)
            size += requests[i].argv[at].len;
    }
    return size;
}

// The block: head, list, all spans, all bytes.
static void fill(struct batch *batch, const struct request *requests, uint32_t count)
{
    struct span *span = (struct span *)&batch->list[count];
    uint32_t spans = 0;
    for (uint32_t i = 0; i < count; i++)
        spans += requests[i].argc;
    uint8_t *bytes = (uint8_t *)(span + spans);
    for (uint32_t i = 0; i < count; i++) {
        batch->list[i] =
            (struct posted){.command = requests[i].command, .argv = span, .argc = requests[i].argc};
        batch->is_durable |= (requests[i].command->flags & COMMAND_DURABLE) != 0;
        for (uint32_t at = 0; at < requests[i].argc; at++) {
            struct span from = requests[i].argv[at];
            if (from.len)
                memcpy(bytes, from.ptr, from.len);
            *span++ = span_of(bytes, from.len);
            bytes += from.len;
        }
    }
}

static void arrive(struct loop_post *post)
{
    committer_take((struct batch *)post);
}

int batch_send(struct client *client, const struct request *requests, uint32_t count)
{
    struct worker *worker = client->worker;
    struct db *db = worker->db;
    size_t size = size_of(requests, count);
    struct batch *batch = heap_alloc(db->heap, size);
    if (!batch)
        return -ENOMEM;
    *batch = (struct batch){.post = {.run = arrive},
                            .client = client,
                            .client_id = client->session.id,
                            .worker = worker,
                            .protocol = client->session.protocol,
                            .is_silent = client->is_silent,
                            .count = count,
                            .size = size};
    buf_init(&batch->reply, db->heap);
    fill(batch, requests, count);
    client_leave(client);
    tally_add(&worker->tallies, TALLY_POSTED, count);
    tally_add(&worker->tallies, TALLY_COMMANDS, count);
    loop_post(db->loop, &batch->post);
    return 0;
}

struct cancel {
    struct loop_post post; // first
    struct db *db;
    uint64_t client_id;
};

static void arrive_cancel(struct loop_post *post)
{
    struct cancel *cancel = (struct cancel *)post;
    struct db *db = cancel->db;
    committer_cancel(&db->committer, cancel->client_id);
    heap_free(db->heap, cancel, sizeof *cancel);
}

void batch_cancel(const struct client *client)
{
    struct db *db = client->worker->db;
    struct cancel *cancel = heap_alloc(db->heap, sizeof *cancel);
    if (!cancel)
        return; // then it is waited for
    *cancel =
        (struct cancel){.post = {.run = arrive_cancel}, .db = db, .client_id = client->session.id};
    loop_post(db->loop, &cancel->post);
}

static void come_home(struct loop_post *post)
{
    struct batch *batch = (struct batch *)post;
    struct client *client = batch->client;
    struct heap *heap = batch->worker->db->heap;
    if (batch->errors)
        tally_add(&batch->worker->tallies, TALLY_ERRORS, batch->errors);
    tally_add(&batch->worker->tallies, TALLY_OUTPUT, batch->reply.len);
    if (buf_has_failed(&batch->reply) && !client->is_gone)
        client_fail(client, -ENOMEM);
    else if (!batch->is_silent)
        client_answer(client, buf_span(&batch->reply), batch->count);
    struct feed *feed = batch->feed;
    buf_deinit(&batch->reply);
    heap_free(heap, batch, batch->size);
    if (feed)
        feed_adopt(client, feed);
    if (client->session.is_queueing) // it was EXEC, whatever became of it
        transaction_end(&client->session);
    client_return(client);
}

void batch_release(struct batch *batch)
{
    batch->post.run = come_home;
    loop_post(batch->worker->loop, &batch->post);
}

void batch_fail(struct batch *batch, const char *failure)
{
    buf_clear(&batch->reply);
    struct reply reply = reply_to(&batch->reply, batch->protocol);
    for (uint32_t i = 0; i < batch->count; i++)
        reply_error_with(&reply, REPLY_ERROR_STOPPED, span_text(failure));
    batch->errors = reply.errors_count;
    batch_release(batch);
}
