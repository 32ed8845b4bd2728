// SPDX-License-Identifier: Apache-2.0
// CLIENT LIST and CLIENT KILL: a query that visits one worker after the other, each of which looks
// at its own clients, and returns to the one that asked.
#include <errno.h>
#include "db/private.h"

struct tour {
    struct loop_post post; // first
    struct client *client; // who asked; waits
    struct client_query query;
    struct buf lines;
    unsigned at; // the worker it is at, or workers_count: on its way home
};

static void visit_clients(struct tour *tour, struct worker *worker)
{
    struct client_query *query = &tour->query;
    uint64_t now_ms = loop_now_ms(worker->loop);
    for (struct client *client = worker->clients, *next; client; client = next) {
        next = client->next;
        if (!client_query_is_match(query, &client->session))
            continue;
        if (!query->is_kill) {
            struct session_load load;
            client_load(client, &load);
            if (client == tour->client)
                load.input_bytes += query->self_bytes;
            session_put_line(&client->session, &load, now_ms, &tour->lines);
            continue;
        }
        query->killed++;
        if (client == tour->client) // after it has its answer
            client->is_closing = true;
        else
            stream_abort(&client->stream, 0);
    }
}

static void come_home(struct tour *tour)
{
    struct client *client = tour->client;
    struct db *db = client->worker->db;
    struct buf answer;
    buf_init(&answer, db->heap);
    struct reply reply = reply_to(&answer, client->session.protocol);
    client_query_reply(&tour->query, &reply);
    if (!client->is_silent)
        client_answer(client, buf_span(&answer), 1);
    buf_deinit(&answer);
    buf_deinit(&tour->lines);
    heap_free(db->heap, tour, sizeof *tour);
    client_return(client);
}

static void arrive(struct loop_post *post)
{
    struct tour *tour = (struct tour *)post;
    struct db *db = tour->client->worker->db;
    if (tour->at == db->workers_count) {
        come_home(tour);
        return;
    }
    visit_clients(tour, &db->workers[tour->at++]);
    struct worker *next =
        tour->at < db->workers_count ? &db->workers[tour->at] : tour->client->worker;
    loop_post(next->loop, &tour->post);
}

int tour_start(struct client *client, const struct client_query *query)
{
    struct db *db = client->worker->db;
    struct tour *tour = heap_alloc(db->heap, sizeof *tour);
    if (!tour)
        return -ENOMEM;
    *tour = (struct tour){.post = {.run = arrive}, .client = client, .query = *query};
    buf_init(&tour->lines, db->heap);
    tour->query.lines = &tour->lines;
    client_leave(client);
    loop_post(db->workers[0].loop, &tour->post);
    return 0;
}
