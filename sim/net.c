// SPDX-License-Identifier: Apache-2.0
// Connections between simulated nodes: ordered streams of frames with delay, that can be cut one
// way or both, and that misbehave now and then as no TCP does (a frame lost, doubled or overtaken
// inside a living connection), because nothing above may depend on the transport for correctness.
// A connection that misbehaved breaks soon after, as a real one would.
#include <stdlib.h>
#include "sim/world.h"

static uint64_t delay(struct world *world)
{
    if (world->options.plan)
        return 1 + world->plan.delay_ms;
    uint64_t base = world_around(world, world->plan.delay_ms);
    return world_chance(world, world->plan.slow_per_mille) ? base + prng_below(&world->prng, 600)
                                                           : base;
}

static void free_message(struct message *message)
{
    free(message->ghost);
    free(message->upto);
    free(message);
}

static void queue_put(struct queue *queue, struct message *message)
{
    message->next = NULL;
    if (queue->last)
        queue->last->next = message;
    else
        queue->first = message;
    queue->last = message;
}

static struct message *queue_take(struct queue *queue)
{
    struct message *message = queue->first;
    queue->first = message->next;
    if (!queue->first)
        queue->last = NULL;
    return message;
}

static void queue_clear(struct queue *queue)
{
    while (queue->first)
        free_message(queue_take(queue));
}

static bool is_alive(const struct world *world, const struct conn_end *end)
{
    const struct sim_node *node = &world->node[end->node];
    return end->is_open && node->replica && node->boot == end->boot;
}

static void link_event(struct world *world, const struct conn_end *end, enum event_type type)
{
    struct event event = {.type = type, .link = end->link};
    process_event(world, end->node, &event);
}

// One side loses it and is told; the other side still gets what is under way, then its end.
static void close_end(struct world *world, struct conn_end *end)
{
    bool was_alive = is_alive(world, end);
    end->is_open = false;
    if (!was_alive)
        return;
    world->node[end->node].conn_of[end->link] = 0;
    link_event(world, end, EVENT_LINK_DOWN);
}

static void free_conn(struct world *world, struct conn *conn)
{
    for (unsigned side = 0; side < 2; side++) {
        queue_clear(&conn->end[side].queue);
        queue_clear(&conn->end[side].staged);
        free(conn->end[side].walk);
    }
    conn->is_used = false;
    while (world->conns_used && !world->conn[world->conns_used - 1].is_used)
        world->conns_used--;
}

static void open_end(struct world *world, struct conn *conn, unsigned side, uint32_t link)
{
    struct conn_end *end = &conn->end[side];
    struct sim_node *self = &world->node[end->node];
    end->boot = self->boot;
    end->link = link;
    end->is_open = true;
    self->conn_of[link] = (uint16_t)((unsigned)(conn - world->conn) * 2 + side + 1);
}

static void dial(struct world *world, unsigned node, uint32_t link, struct span address)
{
    unsigned at = 0;
    while (at < WORLD_CONNS_MAX && world->conn[at].is_used)
        at++;
    if (at == WORLD_CONNS_MAX)
        abort(); // more connections than the nodes have links for
    if (at >= world->conns_used)
        world->conns_used = at + 1;
    struct conn *conn = &world->conn[at];
    *conn = (struct conn){
        .is_used = true, .connect_ms = world->now_ms + delay(world), .break_ms = WORLD_NEVER};
    conn->end[0].node = node;
    conn->end[1].node = WORLD_NODES_MAX;
    open_end(world, conn, 0, link);
    for (unsigned to = 0; to < world->nodes_count; to++) {
        if (span_is_equal(span_text(world->node[to].address), address))
            conn->end[1].node = to;
    }
}

static struct conn *find(struct world *world, unsigned node, uint32_t link, unsigned *out_side)
{
    unsigned at = world->node[node].conn_of[link];
    if (at == 0)
        return NULL;
    *out_side = (at - 1) % 2;
    return &world->conn[(at - 1) / 2];
}

static struct ghost *copy_ghost(const struct ghost *ghost)
{
    struct ghost *copy = malloc(sizeof *copy);
    if (!copy)
        abort();
    *copy = *ghost;
    return copy;
}

static struct message *make_message(struct world *world, const struct conn_end *from,
                                    struct span bytes)
{
    struct message *message = malloc(sizeof *message + bytes.len);
    if (!message)
        abort();
    *message = (struct message){.deliver_ms = world->now_ms + delay(world), .len = bytes.len};
    memcpy(message->bytes, bytes.ptr, bytes.len);
    if (bytes.ptr[4] != PEER_FEED)
        return message;
    const struct ghost *ghost = &world->node[from->node].ghost;
    message->ghost = copy_ghost(ghost);
    if (bytes.ptr[PEER_HEAD_BYTES] & 1)
        message->upto = copy_ghost(from->walk ? from->walk : ghost);
    return message;
}

// Remembers what a walk's final part will vouch for: what was known when it began.
static void follow_walk(struct world *world, struct conn_end *from, struct span bytes)
{
    if (bytes.ptr[4] == PEER_FEED && (bytes.ptr[PEER_HEAD_BYTES] & 2) && !from->walk)
        from->walk = copy_ghost(&world->node[from->node].ghost);
}

static void end_walk(struct conn_end *from, struct span bytes)
{
    if (bytes.ptr[4] != PEER_FEED || !(bytes.ptr[PEER_HEAD_BYTES] & 1))
        return;
    free(from->walk);
    from->walk = NULL;
}

// The last two messages change places, and keep the times.
static void swap_last(struct queue *queue)
{
    struct message *last = queue->last, *before = queue->first;
    struct message **at = &queue->first;
    while (before->next != last) {
        at = &before->next;
        before = before->next;
    }
    uint64_t deliver_ms = before->deliver_ms;
    before->deliver_ms = last->deliver_ms;
    last->deliver_ms = deliver_ms;
    *at = last;
    last->next = before;
    before->next = NULL;
    queue->last = before;
}

static void send_frame(struct world *world, struct conn *conn, unsigned side, struct span bytes)
{
    struct queue *queue = &conn->end[!side].queue;
    const struct conn_end *from = &conn->end[side];
    bool is_feed = bytes.ptr[4] == PEER_FEED;
    bool is_lossy = is_feed && !world->is_calm && world_chance(world, world->plan.lossy_per_mille);
    if (is_lossy && conn->break_ms == WORLD_NEVER)
        conn->break_ms = world->now_ms + world_around(world, 1000);
    uint64_t how = is_lossy ? prng_below(&world->prng, 3) : 3;
    if (how == 0) {
        world->counts.drops++;
        return;
    }
    struct message *before = queue->last;
    queue_put(queue, make_message(world, from, bytes));
    if (how == 1) {
        world->counts.duplicates++;
        queue_put(queue, make_message(world, from, bytes));
    } else if (how == 2 && before && before->ghost) {
        world->counts.reorders++;
        swap_last(queue);
    }
}

static void carry_send(struct world *world, unsigned node, uint32_t link, struct span bytes)
{
    unsigned side;
    struct conn *conn = find(world, node, link, &side);
    if (!conn || !conn->is_established || !conn->end[!side].is_open)
        return;
    follow_walk(world, &conn->end[side], bytes);
    send_frame(world, conn, side, bytes);
    end_walk(&conn->end[side], bytes);
}

static void carry(struct world *world, unsigned node, struct effect effect)
{
    struct sim_node *self = &world->node[node];
    struct effects *effects = replica_effects(self->replica);
    struct span span = effects_span(effects, &effect);
    unsigned side;
    if (effect.type == EFFECT_DIAL) {
        dial(world, node, effect.link, span);
    } else if (effect.type == EFFECT_SEND) {
        carry_send(world, node, effect.link, span);
    } else if (effect.type == EFFECT_CLOSE) {
        struct conn *conn = find(world, node, effect.link, &side);
        if (conn)
            close_end(world, &conn->end[side]);
    } else if (effect.type == EFFECT_LOG || effect.type == EFFECT_REFUSE) {
        world_note(world, node, "%.*s", (int)span.len, (const char *)span.ptr);
    }
    if (effect.type == EFFECT_REFUSE) {
        world->counts.refusals++;
        self->is_refused = true; // an operator stops it and starts it again
        self->refusals++;
    }
}

void net_carry(struct world *world, unsigned node)
{
    struct sim_node *self = &world->node[node];
    if (!self->replica)
        return;
    struct effects *effects = replica_effects(self->replica);
    if (effects->failed && self->heap.refused == 0)
        world_violate(world, "%s: effects failed without want of memory", self->name);
    for (size_t i = 0; i < effects->count && !effects->failed; i++)
        carry(world, node, effects->list[i]);
    effects_clear(effects);
}

static void establish(struct world *world, struct conn *conn)
{
    struct conn_end *dialer = &conn->end[0], *listener = &conn->end[1];
    if (!is_alive(world, dialer)) {
        dialer->is_open = false;
        return;
    }
    bool is_reached = listener->node < world->nodes_count && world->node[listener->node].replica &&
                      !world->is_cut[dialer->node][listener->node] &&
                      !world->is_cut[listener->node][dialer->node];
    uint32_t link;
    if (!is_reached || replica_accept(world->node[listener->node].replica, &link)) {
        close_end(world, dialer);
        return;
    }
    conn->is_established = true;
    open_end(world, conn, 1, link);
    link_event(world, dialer, EVENT_LINK_UP);
    link_event(world, listener, EVENT_LINK_UP);
}

static void deliver_one(struct world *world, struct conn_end *end, struct message *message)
{
    struct event event = {.type = EVENT_MESSAGE, .link = end->link};
    size_t used;
    if (peer_parse(span_of(message->bytes, message->len), &event.message, &event.body, &used) ||
        used != message->len)
        world_violate(world, "a frame to %s does not parse", world->node[end->node].name);
    world_fold(world, (uint64_t)event.message << 48 ^ (uint64_t)message->len << 8 ^ end->node);
    process_event(world, end->node, &event);
    if (message->ghost)
        queue_put(&end->staged, message);
    else
        free_message(message);
}

static bool is_deliverable(const struct world *world, const struct conn *conn, unsigned side)
{
    const struct conn_end *end = &conn->end[side];
    return end->queue.first && is_alive(world, end) && process_is_running(world, end->node) &&
           !world->is_cut[conn->end[!side].node][end->node];
}

// What is under way through a cut waits, as TCP would retransmit it.
static void deliver_end(struct world *world, struct conn *conn, unsigned side)
{
    struct conn_end *end = &conn->end[side], *other = &conn->end[!side];
    while (is_deliverable(world, conn, side) && end->queue.first->deliver_ms <= world->now_ms) {
        deliver_one(world, end, queue_take(&end->queue));
        net_carry(world, end->node);
    }
    bool is_end_heard = !conn->is_silent && !world->is_cut[other->node][end->node];
    if (!end->queue.first && !other->is_open && end->is_open && is_end_heard)
        close_end(world, end);
}

static void deliver_conn(struct world *world, struct conn *conn)
{
    if (!conn->is_established && conn->connect_ms <= world->now_ms) {
        establish(world, conn);
    } else if (conn->is_established) {
        deliver_end(world, conn, 0);
        deliver_end(world, conn, 1);
    }
    if (conn->break_ms <= world->now_ms) {
        close_end(world, &conn->end[0]);
        close_end(world, &conn->end[1]);
    }
    if (!conn->end[0].is_open && !conn->end[1].is_open)
        free_conn(world, conn);
}

void net_deliver(struct world *world)
{
    for (unsigned i = 0; i < world->conns_used; i++) {
        if (world->conn[i].is_used)
            deliver_conn(world, &world->conn[i]);
    }
    for (unsigned node = 0; node < world->nodes_count; node++)
        net_carry(world, node);
}

uint64_t net_due(const struct world *world)
{
    uint64_t due = WORLD_NEVER;
    for (unsigned i = 0; i < world->conns_used; i++) {
        const struct conn *conn = &world->conn[i];
        if (!conn->is_used)
            continue;
        if (conn->break_ms < due)
            due = conn->break_ms;
        if (!conn->is_established && conn->connect_ms < due)
            due = conn->connect_ms;
        for (unsigned side = 0; conn->is_established && side < 2; side++) {
            if (is_deliverable(world, conn, side) && conn->end[side].queue.first->deliver_ms < due)
                due = conn->end[side].queue.first->deliver_ms;
        }
    }
    return due;
}

void net_process_gone(struct world *world, unsigned node, bool is_silent)
{
    for (unsigned i = 0; i < world->conns_used; i++) {
        struct conn *conn = &world->conn[i];
        for (unsigned side = 0; conn->is_used && side < 2; side++) {
            struct conn_end *end = &conn->end[side];
            if (end->node != node || !end->is_open)
                continue;
            end->is_open = false;
            conn->is_silent |= is_silent;
        }
    }
    memset(world->node[node].conn_of, 0, sizeof world->node[node].conn_of);
}

bool net_break(struct world *world, unsigned at)
{
    struct conn *conn = &world->conn[at];
    if (!conn->is_used || !conn->is_established)
        return false;
    for (unsigned side = 0; side < 2; side++) {
        unsigned node = conn->end[side].node;
        close_end(world, &conn->end[side]);
        net_carry(world, node);
    }
    return true;
}

void net_free(struct world *world)
{
    for (unsigned i = WORLD_CONNS_MAX; i-- > 0;) {
        if (world->conn[i].is_used)
            free_conn(world, &world->conn[i]);
    }
}

// ---- what a joined round teaches the receiver's ghost

// The end of a closed history, for this node: what lies above is not joined.
static uint64_t end_of(const struct world *world, unsigned node, uint8_t incarnation)
{
    const struct replica *replica = world->node[node].replica;
    const struct node *brain = replica_node(replica);
    uint16_t origin = origins_find(replica_origins(replica), &world->log.incarnations[incarnation]);
    bool is_closed = origin != ORIGIN_NONE && brain->seals[origin].is_set;
    return is_closed ? brain->seals[origin].sequence : UINT64_MAX;
}

struct lesson { // a round that `node` joined, read with `origins`
    struct world *world;
    unsigned node;
    const struct message *message;
    struct origins origins;
};

static void learn_cell(struct lesson *lesson, unsigned unit, const struct cell *cell)
{
    struct world *world = lesson->world;
    struct ghost *self = &world->node[lesson->node].ghost;
    const struct incarnation *incarnations = lesson->origins.list;
    uint8_t own = ghost_incarnation(&world->log, &incarnations[cell->origin]);
    if (cell->sequence > end_of(world, lesson->node, own))
        return;
    if (ghost_is_member(unit))
        ghost_hear(self, unit, own,
                   (struct ghost_mark){.seen = cell->write, .cut = cell->cut_write});
    else
        ghost_learn(self, lesson->message->ghost, unit, own);
    if (ghost_is_set(unit) && cell->reset)
        ghost_clear(&world->log, self, unit, own, cell->reset);
    for (uint32_t i = 0; i < cell->cuts_count; i++) {
        const struct cut *cut = &cell->cuts[i];
        uint8_t other = ghost_incarnation(&world->log, &incarnations[cut->origin]);
        ghost_cut(self, unit, other, cut->write > cut->base ? cut->write : cut->base);
    }
}

static void learn_units(struct lesson *lesson, const struct peer_feed *feed)
{
    struct reader reader = reader_of(feed->units);
    struct address address;
    struct unit unit;
    struct sim_heap heap;
    sim_heap_init(&heap);
    unit_init(&unit, &heap.heap);
    while (reader_left(&reader) && unit_read(&reader, &feed->dictionary, &address, &unit) == 0) {
        int index = workload_unit(&address);
        for (uint16_t i = 0; index >= 0 && i < unit.count; i++)
            learn_cell(lesson, (unsigned)index, &unit.cells[i]);
    }
    unit_deinit(&unit);
}

// The token rule: with the vector comes everything that the sender knew when it was at `upto`, also
// what it had collected by then and could not send.
static void learn_all(struct world *world, unsigned node, const struct ghost *sender)
{
    struct sim_node *self = &world->node[node];
    for (unsigned unit = 0; unit < GHOST_UNITS; unit++) {
        for (uint8_t i = 0; i < world->log.incarnations_count; i++) {
            // Nobody tells a node what it wrote itself, not even when it asks how far that goes.
            if (i != self->incarnation && sender->mark[unit][i].seen <= end_of(world, node, i))
                ghost_learn(&self->ghost, sender, unit, i);
        }
    }
}

static void learn(struct world *world, unsigned node, const struct message *message)
{
    struct lesson lesson = {world, node, message, *replica_origins(world->node[node].replica)};
    struct peer_feed feed;
    struct span body = span_of(message->bytes + PEER_HEAD_BYTES, message->len - PEER_HEAD_BYTES);
    if (peer_parse_feed(body, &lesson.origins, &feed) == 0)
        learn_units(&lesson, &feed);
    if (!message->upto)
        return;
    learn_all(world, node, message->upto);
    for (unsigned unit = 0; feed.is_walk && unit < GHOST_UNITS; unit++)
        world->node[node].ghost.is_partial[unit] &= message->upto->is_partial[unit];
}

static void learn_rounds(struct world *world, unsigned node, struct conn_end *end,
                         const struct link *link)
{
    for (; end->rounds_done < link->rounds_done; end->rounds_done++) {
        if (!end->staged.first) {
            world_violate(world, "%s joined a round that it never got", world->node[node].name);
            return;
        }
        struct message *message = queue_take(&end->staged);
        learn(world, node, message);
        free_message(message);
    }
}

// Rounds join in order of arrival; the link's count tells how many of them a commit took. After one
// that was refused the link takes no more.
void net_joined(struct world *world, unsigned node)
{
    const struct node *brain = replica_node(world->node[node].replica);
    for (unsigned i = 0; i < world->conns_used; i++) {
        struct conn_end *end = &world->conn[i].end[1];
        if (world->conn[i].is_used && world->conn[i].is_established && end->node == node &&
            is_alive(world, end))
            learn_rounds(world, node, end, &brain->links[end->link]);
    }
}
