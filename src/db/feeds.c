// SPDX-License-Identifier: Apache-2.0
// QUIPU.FEED: connections that follow what changes. A feed is a cursor on the replica thread and a
// connection on a worker, with one batch that goes to and fro: it comes back once the connection
// has little left unsent, so a slow reader holds one batch and its own output, and what changes
// meanwhile coalesces. Nobody is closed for being slow.
#include <errno.h>
#include "base/owner.h"
#include "db/private.h"

#define FEED_ITEMS      512u
#define FEED_UNSENT_MAX (1u << 18) // above it the connection is looked at again later
#define FEED_LOOK_MS    20
#define FEED_TOKEN_MS   1000 // a vector is told that often though nothing matched

struct feed {
    struct loop_post post; // first; of the batch
    struct loop_post end;  // to the replica thread: the connection has left it
    struct db *db;
    struct worker *worker;
    struct buf batch; // of whoever has the post
    // the replica thread's
    struct feed *next;
    struct follow follow;
    struct buf pattern;
    uint64_t token_ms; // when a vector was told
    uint8_t protocol;
    bool is_out, is_ending;
    // the worker's
    struct client *client; // NULL: it has left
    struct loop_timer timer;
};

static void free_feed(struct feed *feed)
{
    struct heap *heap = feed->db->heap;
    buf_deinit(&feed->batch);
    buf_deinit(&feed->pattern);
    heap_free(heap, feed, sizeof *feed);
}

// ---- the worker

static void on_home(struct loop_post *post);

static void go_home(struct feed *feed)
{
    feed->post.run = on_home;
    loop_post(feed->db->loop, &feed->post);
}

static void go_home_or_wait(struct feed *feed)
{
    struct worker *worker = feed->worker;
    if (feed->client && stream_unsent(&feed->client->stream) > FEED_UNSENT_MAX)
        loop_timer_set(worker->loop, &feed->timer, loop_now_ms(worker->loop) + FEED_LOOK_MS);
    else
        go_home(feed);
}

static void on_look(struct loop_timer *timer)
{
    go_home_or_wait(owner_of(timer, struct feed, timer));
}

static void on_batch(struct loop_post *post)
{
    struct feed *feed = owner_of(post, struct feed, post);
    if (feed->client) {
        stream_send(&feed->client->stream, buf_span(&feed->batch));
        tally_add(&feed->worker->tallies, TALLY_OUTPUT, feed->batch.len);
    }
    go_home_or_wait(feed);
}

static void on_end(struct loop_post *post);

static void end(struct feed *feed)
{
    feed->client = NULL;
    if (loop_timer_is_set(&feed->timer)) {
        loop_timer_clear(feed->worker->loop, &feed->timer);
        go_home(feed);
    }
    feed->end.run = on_end;
    loop_post(feed->db->loop, &feed->end);
}

void feed_adopt(struct client *client, struct feed *feed)
{
    go_home(feed); // it was out until now, so that nothing is told before this
    if (client->is_gone) {
        end(feed);
        return;
    }
    feed->client = client;
    client->feed = feed;
    client->session.is_feeding = true;
    if (feed->protocol == 2)
        client->session.listening++;
}

void feed_leave(struct client *client)
{
    struct feed *feed = client->feed;
    if (!feed)
        return;
    client->feed = NULL;
    if (feed->protocol == 2)
        client->session.listening--;
    client->session.is_feeding = false;
    end(feed);
}

// ---- the replica thread

static void unlink_feed(struct committer *committer, struct feed *feed)
{
    struct feed **at = &committer->feeds;
    while (*at != feed)
        at = &(*at)->next;
    *at = feed->next;
    committer->feeds_count--;
}

static void on_end(struct loop_post *post)
{
    struct feed *feed = owner_of(post, struct feed, end);
    feed->is_ending = true;
    if (feed->is_out)
        return;
    unlink_feed(&feed->db->committer, feed);
    free_feed(feed);
}

static void on_home(struct loop_post *post)
{
    struct feed *feed = owner_of(post, struct feed, post);
    feed->is_out = false;
    if (!feed->is_ending)
        return; // feeds_turn goes on, at the end of this turn
    unlink_feed(&feed->db->committer, feed);
    free_feed(feed);
}

int feed_on(struct server *server, struct session *session, const struct feed_request *request)
{
    struct committer *committer = owner_of(server, struct committer, server);
    struct db *db = committer->db;
    struct batch *batch = committer->running;
    if (committer->feeds_count == LIMIT_FEEDS)
        return HOST_E_FULL;
    struct feed *feed = heap_alloc(db->heap, sizeof *feed);
    if (!feed)
        return -ENOMEM;
    memset(feed, 0, sizeof *feed);
    feed->db = db;
    feed->worker = batch->worker;
    feed->protocol = session->protocol;
    feed->is_out = true; // until feed_adopt
    feed->timer.on_due = on_look;
    buf_init(&feed->batch, db->heap);
    buf_init(&feed->pattern, db->heap);
    buf_put(&feed->pattern, request->pattern);
    if (buf_has_failed(&feed->pattern)) {
        free_feed(feed);
        return -ENOMEM;
    }
    follow_begin(&feed->follow, committer->replica, request->has_since ? &request->since : NULL);
    feed->next = committer->feeds;
    committer->feeds = feed;
    committer->feeds_count++;
    batch->feed = feed;
    return 0;
}

static bool is_token_due(const struct feed *feed, uint64_t now_ms, unsigned count)
{
    return count || now_ms >= feed->token_ms + FEED_TOKEN_MS;
}

static void send_news(struct committer *committer, struct feed *feed)
{
    struct replica *replica = committer->replica;
    uint64_t now_ms = loop_now_ms(committer->loop);
    buf_clear(&feed->batch);
    buf_shrink(&feed->batch, FEED_UNSENT_MAX);
    struct reply reply = reply_to(&feed->batch, feed->protocol);
    struct feed_writer writer = {
        .reply = &reply, .replica = replica, .pattern = buf_span(&feed->pattern)};
    struct follow before = feed->follow;
    bool is_boundary = follow_next(&feed->follow, replica, FEED_ITEMS, feed_put_item, &writer);
    if (is_boundary && is_token_due(feed, now_ms, writer.count)) {
        feed_put_vector(&writer, &feed->follow.known);
        feed->token_ms = now_ms;
    }
    if (buf_has_failed(&feed->batch)) {
        feed->follow = before; // later
        return;
    }
    if (feed->batch.len == 0)
        return;
    feed->is_out = true;
    feed->post.run = on_batch;
    loop_post(feed->worker->loop, &feed->post);
}

void feeds_turn(struct committer *committer)
{
    for (struct feed *feed = committer->feeds; feed; feed = feed->next) {
        if (!feed->is_out && !feed->is_ending && !follow_is_even(&feed->follow, committer->replica))
            send_news(committer, feed);
    }
}

void feeds_free(struct committer *committer)
{
    struct feed *feed = committer->feeds, *next;
    for (; feed; feed = next) {
        next = feed->next;
        free_feed(feed);
    }
    committer->feeds = NULL;
}
