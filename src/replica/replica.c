// SPDX-License-Identifier: Apache-2.0
// Opening (recovery), events, and the commit. The order inside a commit is the promise: apply,
// journal, sync, and only then does the node hear of it and speak.
#include <assert.h>
#include "replica/private.h"

#define FRAME_KEPT_BYTES ((size_t)4 << 20)

static void close_all(struct replica *replica)
{
    while (replica->staged_first) {
        struct staged *staged = replica->staged_first;
        replica->staged_first = staged->next;
        heap_free(replica->heap, staged, sizeof *staged + staged->body.len);
    }
    if (replica->journal)
        journal_close(replica->journal);
    effects_deinit(&replica->effects);
    unit_deinit(&replica->scratch);
    unit_deinit(&replica->reading);
    buf_deinit(&replica->frame);
    buf_deinit(&replica->units);
    buf_deinit(&replica->snapshot_frame);
    heap_free(replica->heap, replica->timers, replica->timers_cap * sizeof *replica->timers);
    heap_free(replica->heap, replica->notes, REPLICA_NOTES * sizeof *replica->notes);
    heap_free(replica->heap, replica->stale, replica->stale_cap * sizeof *replica->stale);
    heap_free(replica->heap, replica->sunk, replica->sunk_cap * sizeof *replica->sunk);
    record_map_deinit(&replica->sunk_by_record);
    retry_deinit(replica);
    expiry_deinit(replica);
    record_map_deinit(&replica->timers_by_record);
    record_map_deinit(&replica->notes_by_record);
    record_map_deinit(&replica->sketches);
    record_map_deinit(&replica->handoffs.by_record);
    heap_free(replica->heap, replica->handoffs.list,
              replica->handoffs.cap * sizeof *replica->handoffs.list);
    record_map_deinit(&replica->escrow.by_record);
    heap_free(replica->heap, replica->escrow.keys,
              replica->escrow.cap * sizeof *replica->escrow.keys);
    heap_free(replica->heap, replica->marks, REPLICA_MARKS * sizeof *replica->marks);
    if (replica->keyspace)
        keyspace_free(replica->keyspace);
    heap_free(replica->heap, replica, sizeof *replica);
}

void replica_close(struct replica *replica)
{
    close_all(replica);
}

static void set_sizes(struct replica *replica, const struct replica_options *options)
{
    replica->snapshot_after_bytes =
        options->snapshot_after_bytes ? options->snapshot_after_bytes : (uint64_t)64 << 20;
    replica->round_bytes = options->round_bytes ? options->round_bytes : LIMIT_ROUND_BYTES;
    replica->scan_step = options->scan_step ? options->scan_step : 64;
    handoff_set_up(replica, options->buried_ms);
    replica->sketch_bytes = options->sketch_bytes ? options->sketch_bytes : LIMIT_SKETCH_BYTES;
    replica->token_window_ms = options->token_window_ms ? options->token_window_ms : 86400000;
    replica->clock_skew_ms = options->clock_skew_ms ? options->clock_skew_ms : 60000;
}

static struct replica *alloc(struct heap *heap, const struct replica_options *options)
{
    struct replica *replica = heap_alloc(heap, sizeof *replica);
    if (!replica)
        return NULL;
    *replica = (struct replica){
        .heap = heap, .self = ORIGIN_NONE, .timers_due_ms = UINT64_MAX, .spare = options->spare};
    set_sizes(replica, options);
    prng_init(&replica->prng, prng_mix(options->hash_seed));
    effects_init(&replica->effects, heap);
    unit_init(&replica->scratch, heap);
    unit_init(&replica->reading, heap);
    retry_init(&replica->tokens, heap);
    expiry_init(&replica->mortals, heap);
    record_map_init(&replica->timers_by_record, heap);
    record_map_init(&replica->notes_by_record, heap);
    record_map_init(&replica->sketches, heap);
    record_map_init(&replica->handoffs.by_record, heap);
    record_map_init(&replica->escrow.by_record, heap);
    record_map_init(&replica->sunk_by_record, heap);
    buf_init(&replica->frame, heap);
    buf_init(&replica->units, heap);
    buf_init(&replica->snapshot_frame, heap);
    struct keyspace_options table = {.hash_seed = options->hash_seed};
    replica->keyspace = keyspace_new(heap, &table);
    replica->notes = heap_alloc(heap, REPLICA_NOTES * sizeof *replica->notes);
    replica->marks = heap_alloc(heap, REPLICA_MARKS * sizeof *replica->marks);
    if (!replica->keyspace || !replica->notes || !replica->marks ||
        unit_reserve(&replica->reading, LIMIT_ORIGINS)) {
        close_all(replica);
        return NULL;
    }
    return replica;
}

// Which incarnation to go on under: the directory's, or a fresh one. The directory's earlier one is
// then a former member: unsealed, it keeps everything from being taken for stable.
static int settle_identity(struct replica *replica, const struct replica_options *options)
{
    uint16_t before = replica->self;
    if (before != ORIGIN_NONE && !options->is_new_incarnation)
        return 0;
    if (origins_obtain(&replica->origins, &options->fresh, &replica->self))
        return REPLICA_E_FULL;
    replica->is_frame_needed = replica->node.is_fresh = true;
    if (before == ORIGIN_NONE)
        return 0;
    struct span name = span_text(replica->node.name);
    replica->node.is_members_changed = true;
    struct kept_member former = {.origin = before, .name = name, .is_former = true};
    return node_restore_member(&replica->node, &former) ? REPLICA_E_FULL : 0;
}

static const char *open_error(const struct replica *replica, int outcome)
{
    if (outcome == REPLICA_E_FRAME)
        return "a journal frame with a good checksum does not decode: written by another version?";
    if (outcome == REPLICA_E_FULL)
        return "more incarnations or members in the journal than this build knows room for";
    if (outcome == -ENOMEM)
        return "out of memory while recovering";
    return replica->journal ? journal_error(replica->journal) : "cannot open the journal";
}

// Everything that the directory says. The journal stays open unless it is only read.
static int recover(struct replica *replica, const struct replica_options *options,
                   struct buf *out_error)
{
    struct journal_options journal = {
        .segment_bytes = options->segment_bytes, .on_frame = frame_recover, .ctx = replica};
    struct journal_report report = {0};
    replica->is_recovering = replica->is_unheard = true;
    int outcome = options->is_to_read
                      ? journal_verify(options->disk, replica->heap, &journal, &report)
                      : journal_open(&replica->journal, options->disk, replica->heap, &journal);
    sketches_settle(replica);
    if (!outcome)
        outcome = retry_joined(replica);
    replica->is_recovering = replica->is_unheard = false;
    if (outcome)
        buf_put_text(out_error, report.error[0] ? report.error : open_error(replica, outcome));
    return outcome;
}

int replica_open(struct replica **out_replica, struct heap *heap,
                 const struct replica_options *options, struct buf *out_error)
{
    struct replica *replica = alloc(heap, options);
    if (!replica)
        return -ENOMEM;
    struct node_lent lent = {&replica->origins, &replica->durable, &replica->held};
    int outcome = node_init(&replica->node, heap, &lent, &options->node);
    if (outcome) {
        buf_put_text(out_error, "replica, cluster and addresses need names of 1 to 255 bytes");
        close_all(replica);
        return REPLICA_E_NAME;
    }
    outcome = recover(replica, options, out_error);
    if (!outcome && !options->is_to_read) {
        outcome = settle_identity(replica, options);
        if (outcome)
            buf_put_text(out_error, open_error(replica, outcome));
    }
    if (outcome) {
        close_all(replica);
        return outcome;
    }
    buf_clear(&replica->units); // recovery settles records as a commit does, but logs nothing
    replica->node.self = replica->self;
    replica->told = replica->vector.sequence[replica->self];
    replica->before = replica->durable = replica->vector;
    replica->is_frame_needed = true; // identity and members, before anything is served
    collect_wanted(replica);
    *out_replica = replica;
    return 0;
}

struct keyspace *replica_keyspace(struct replica *replica)
{
    return replica->keyspace;
}

const struct node *replica_node(const struct replica *replica)
{
    return &replica->node;
}

const struct origins *replica_origins(const struct replica *replica)
{
    return &replica->origins;
}

const struct vector *replica_vector(const struct replica *replica)
{
    return &replica->durable;
}

struct effects *replica_effects(struct replica *replica)
{
    return &replica->effects;
}

bool replica_is_serving(const struct replica *replica)
{
    return replica->is_serving;
}

bool replica_is_drained(const struct replica *replica)
{
    return replica->is_drained;
}

bool replica_wants_commit(const struct replica *replica)
{
    return replica->wants_commit;
}

const char *replica_error(const struct replica *replica)
{
    return journal_error(replica->journal);
}

struct replica_counts replica_counts(const struct replica *replica)
{
    return replica->counts;
}

// As random as the one before, which nobody else ever had.
static void next_spare(struct incarnation *spare)
{
    uint64_t high = bytes_read_u64(spare->bytes), low = bytes_read_u64(spare->bytes + 8);
    bytes_write_u64(spare->bytes, prng_mix(high ^ low));
    bytes_write_u64(spare->bytes + 8, prng_mix(low + 1));
}

// False: no room.
static bool renew(struct replica *replica)
{
    uint16_t before = replica->self;
    struct kept_member former = {
        .origin = before, .name = span_text(replica->node.name), .is_former = true};
    if (node_restore_member(&replica->node, &former) ||
        origins_obtain(&replica->origins, &replica->spare, &replica->self)) {
        replica->self = before;
        effects_put_text(&replica->effects, EFFECT_REFUSE, 0,
                         "no room for another incarnation: %d earlier ones are not closed, because "
                         "a member or a configured peer was never reached; bring it up, or leave "
                         "its address out",
                         (int)replica->node.members_count);
        return false;
    }
    next_spare(&replica->spare);
    replica->counts.renewals++;
    replica->told = 0;
    replica->is_frame_needed = true;
    // The earlier incarnation's timers are nobody's now: its leases are a silent origin's.
    lease_forget_all(replica);
    node_renewed(&replica->node, replica->self, &replica->effects);
    return true;
}

// All of a closed incarnation is here. Its leases have nobody left to end them.
static void seal(struct replica *replica, uint16_t origin)
{
    uint64_t end = replica->node.seals[origin].sequence;
    if (replica->vector.sequence[origin] < end)
        replica->vector.sequence[origin] = end;
    replica->is_hidden[origin] = replica->is_hiding_changed = true;
    replica->is_frame_needed = replica->wants_commit = true;
    collect_wanted(replica);
}

// Effects that concern cells are carried out here, in place; the driver skips them.
static void carry_out(struct replica *replica, size_t from, const struct event *event)
{
    for (size_t i = from; i < replica->effects.count; i++) {
        struct effect effect = replica->effects.list[i];
        switch (effect.type) {
        case EFFECT_STAGE:
            join_stage(replica, effect.link, event->body);
            break;
        case EFFECT_FEED:
            feed_link(replica, effect.link);
            break;
        case EFFECT_COMMIT:
            replica->wants_commit = true;
            break;
        case EFFECT_SERVE:
            replica->is_serving = true;
            lease_start(replica);
            break;
        case EFFECT_RENEW:
            renew(replica);
            break;
        case EFFECT_FORGET:
            if (renew(replica))
                forget_begin(replica, effect.link);
            break;
        case EFFECT_SEAL:
            seal(replica, effect.origin);
            break;
        case EFFECT_HIDE:
        case EFFECT_SHOW:
            replica->is_hidden[effect.origin] = effect.type == EFFECT_HIDE;
            replica->is_hiding_changed = replica->wants_commit = true;
            break;
        case EFFECT_CLOSE:
            join_drop(replica, effect.link);
            break;
        case EFFECT_DIAL:
        case EFFECT_SEND:
        case EFFECT_REFUSE:
        case EFFECT_LOG:
            break;
        }
    }
}

static void clear_frame(struct replica *replica)
{
    buf_recycle(&replica->frame, FRAME_KEPT_BYTES);
    buf_recycle(&replica->units, FRAME_KEPT_BYTES);
    replica->units_count = 0;
    replica->own.bytes = 0;
}

// A replica that rests gives its buffers back.
static void rest(struct replica *replica)
{
    if (replica->now_ms < replica->written_ms + REPLICA_REST_MS)
        return;
    clear_frame(replica);
    buf_shrink(&replica->frame, 0);
    buf_shrink(&replica->units, 0);
    buf_shrink(&replica->effects.bytes, 0);
    journal_rest(replica->journal);
}

void replica_event(struct replica *replica, const struct event *event)
{
    size_t from = replica->effects.count;
    replica->now_ms = event->now_ms;
    if (event->type == EVENT_LINK_DOWN)
        join_drop(replica, event->link);
    node_step(&replica->node, event, &replica->effects);
    carry_out(replica, from, event);
    if (event->type == EVENT_TICK) {
        rest(replica);
        backup_tick(replica);
    }
    if (collect_is_due(replica))
        replica->wants_commit = true;
    if (lease_is_due(replica) || bounded_is_due(replica) || handoff_is_due(replica))
        replica->wants_commit = true;
    if (event->type == EVENT_TICK && (retry_is_due(replica) || expiry_is_due(replica)))
        replica->wants_commit = true;
}

int replica_accept(struct replica *replica, uint32_t *out_link)
{
    return node_accept(&replica->node, out_link);
}

void replica_cut(struct replica *replica, struct span name, bool is_cut, bool *out_known)
{
    size_t from = replica->effects.count;
    static const struct event nothing;
    *out_known = is_cut ? node_cut(&replica->node, name, &replica->effects)
                        : node_heal(&replica->node, name, &replica->effects);
    carry_out(replica, from, &nothing);
}

// A commit touches at most half of what the change order holds, so that every link sees its end.
static int drain(struct replica *replica)
{
    replica->cause = CHANGE_LOCAL;
    replica->is_drained = false;
    for (unsigned count = 0; count < LIMIT_CHANGE_ORDER / 2; count++) {
        struct record *record = keyspace_drain(replica->keyspace);
        if (!record) {
            replica->is_drained = keyspace_is_drained(replica->keyspace);
            return 0;
        }
        int fault = cells_absorb(replica, record);
        if (fault)
            return fault;
    }
    replica->wants_commit = true;
    return 0;
}

void replica_catch_up(struct replica *replica)
{
    bool was_drained = replica->is_drained;
    int fault = drain(replica);
    replica->is_drained = was_drained; // by which acknowledgements go
    if (!replica->fault)
        replica->fault = fault;
}

static unsigned frame_parts(const struct replica *replica)
{
    const struct node *node = &replica->node;
    bool is_first = replica->counts.commits == 0;
    bool has_dropped = is_first || node->is_dropped_changed || replica->has_forgotten;
    return (is_first || node->is_members_changed ? FRAME_MEMBERS : 0) |
           (has_dropped ? FRAME_DROPPED : 0) | (replica->has_forgotten ? FRAME_FORGETS : 0);
}

// The frame's head tells V and members as they are at its end, so it is written last, in front of
// the units.
static int close_frame(struct replica *replica)
{
    struct buf *frame = &replica->frame;
    frame_open(replica, frame, frame_parts(replica));
    buf_put(frame, buf_span(&replica->units));
    int fault = buf_has_failed(frame) || buf_has_failed(&replica->units)
                    ? -ENOMEM
                    : journal_append(replica->journal, buf_span(frame));
    replica->counts.frames_bytes += frame->len;
    return fault;
}

// The wall clock, but never backwards: while it is ahead of the wall's it goes at half the pace.
static void set_clock(struct replica *replica, const struct commit_input *input)
{
    if (replica->clock_at_ms && input->now_ms > replica->clock_at_ms)
        replica->clock_ms += (input->now_ms - replica->clock_at_ms) / 2;
    if (replica->clock_ms < input->wall_ms)
        replica->clock_ms = input->wall_ms;
    replica->clock_at_ms = input->now_ms;
}

void replica_reclaim(struct replica *replica)
{
    if (replica->lists_count == 0 && keyspace_reclaim(replica->keyspace))
        replica->wants_commit = true;
}

int replica_commit_apply(struct replica *replica, const struct commit_input *input)
{
    replica_reclaim(replica); // the disk may keep us long until the next time
    replica->now_ms = input->now_ms;
    replica->wants_commit = false;
    set_clock(replica, input);
    if (replica->stamp < replica->clock_ms << 16)
        replica->stamp = replica->clock_ms << 16;
    clear_frame(replica);
    int fault = forget_due(replica);
    replica->own.after = keyspace_change_newest(replica->keyspace);
    replica->fault = 0;
    if (!fault)
        fault = drain(replica);
    if (!fault && input->requests) {
        input->requests(input->ctx, replica);
        fault = replica->fault;
    }
    replica->own.upto = keyspace_change_newest(replica->keyspace);
    replica->own.bytes = replica->units.len;
    replica->own.units = replica->units_count;
    if (!fault)
        fault = join_all(replica);
    if (!fault)
        fault = retry_joined(replica);
    if (!fault)
        fault = lease_expire(replica);
    if (!fault)
        fault = expiry_step(replica);
    if (!fault)
        fault = lease_rehide(replica);
    if (!fault)
        fault = handoff_look(replica);
    if (!fault)
        fault = bounded_even(replica);
    if (!fault)
        fault = members_sweep(replica);
    if (!fault) {
        sketches_settle(replica);
        collect_step(replica);
        retry_step(replica);
    }
    return fault;
}

int replica_commit_sync(struct replica *replica)
{
    struct node *node = &replica->node;
    if (replica->is_frame_needed || node->is_members_changed || node->is_dropped_changed) {
        int fault = close_frame(replica);
        if (!fault)
            fault = journal_sync(replica->journal);
        if (!fault)
            fault = snapshot_step(replica);
        if (fault)
            return fault;
        replica->written_ms = replica->now_ms;
        replica->is_frame_needed = node->is_dropped_changed = replica->has_forgotten = false;
        replica->counts.commits++;
    } else if (replica->is_snapshotting) {
        int fault = snapshot_step(replica);
        if (fault)
            return fault;
    }
    replica->before = replica->durable = replica->vector;
    replica->node.changes_newest = keyspace_change_newest(replica->keyspace);
    feed_mark(replica);
    struct event committed = {.type = EVENT_COMMITTED, .now_ms = replica->now_ms};
    replica_event(replica, &committed);
    replica_reclaim(replica);
    return 0;
}
