// SPDX-License-Identifier: Apache-2.0
// Retry tokens at this replica: adds that are counted once, what two leaders both counted, and
// forgetting. The value word of a token's record is when its newest dot was made, in seconds; a
// queue holds the records in about that order, so forgetting looks at what is due and at nothing
// else.
//
// A token with one dot is forgotten when every member has the dot and it is older than the window
// and the clock skew together: then no replica takes a token of that age, and none can still hold
// another dot of it. A token with several dots ("twins") is kept until all of them are cut, since
// without them the surplus would show again. Nothing of that is journaled: what a recovery brings
// back is forgotten again.
#include "replica/private.h"

#define FORGET_STEPS 256u  // a commit
#define MARGIN_MS    2000u // dots tell seconds

// ---- the queue

struct token_chunk {
    struct token_chunk *next;
    uint32_t count;
    struct record *list[TOKENS_A_CHUNK];
};

static int queue_put(struct tokens *tokens, struct heap *heap, struct record *record)
{
    struct token_chunk *last = tokens->last;
    if (!last || last->count == TOKENS_A_CHUNK) {
        last = heap_alloc(heap, sizeof *last);
        if (!last)
            return -ENOMEM;
        last->next = NULL;
        last->count = 0;
        if (tokens->last)
            tokens->last->next = last;
        else
            tokens->first = last;
        tokens->last = last;
    }
    last->list[last->count++] = record;
    tokens->count++;
    return 0;
}

static struct record *queue_first(const struct tokens *tokens)
{
    const struct token_chunk *first = tokens->first;
    return first && tokens->first_at < first->count ? first->list[tokens->first_at] : NULL;
}

static void queue_take(struct tokens *tokens, struct heap *heap)
{
    struct token_chunk *first = tokens->first;
    tokens->count--;
    if (++tokens->first_at < first->count)
        return;
    tokens->first = first->next;
    tokens->first_at = 0;
    if (!tokens->first)
        tokens->last = NULL;
    heap_free(heap, first, sizeof *first);
}

// ---- twins

static struct twins *find_twins(const struct replica *replica, const struct record *key)
{
    const struct tokens *tokens = &replica->tokens;
    uint32_t at;
    if (tokens->twins_count == 0 || !record_map_find(&tokens->twins_by_key, key, &at))
        return NULL;
    return &tokens->twins[at];
}

static struct twins *obtain_twins(struct replica *replica, struct record *key)
{
    struct tokens *tokens = &replica->tokens;
    struct twins *twins = find_twins(replica, key);
    if (twins)
        return twins;
    if (tokens->twins_count == tokens->twins_cap) {
        uint32_t cap = tokens->twins_cap ? tokens->twins_cap * 2 : 16;
        twins = heap_resize(replica->heap, tokens->twins, tokens->twins_cap * sizeof *twins,
                            cap * sizeof *twins);
        if (!twins)
            return NULL;
        tokens->twins = twins;
        tokens->twins_cap = cap;
    }
    if (record_map_put(&tokens->twins_by_key, key, tokens->twins_count))
        return NULL;
    twins = &tokens->twins[tokens->twins_count++];
    *twins = (struct twins){.key = key};
    return twins;
}

static int add_twin(struct replica *replica, struct twins *twins, struct record *token)
{
    for (uint32_t i = 0; i < twins->count; i++) {
        if (twins->list[i].token == token)
            return 0;
    }
    if (twins->count == twins->cap) {
        uint32_t cap = twins->cap ? twins->cap * 2 : 2;
        struct twin *list =
            heap_resize(replica->heap, twins->list, twins->cap * sizeof *list, cap * sizeof *list);
        if (!list)
            return -ENOMEM;
        twins->list = list;
        twins->cap = cap;
    }
    twins->list[twins->count++] = (struct twin){.token = token};
    return 0;
}

static void drop_twins(struct replica *replica, struct twins *twins)
{
    struct tokens *tokens = &replica->tokens;
    heap_free(replica->heap, twins->list, twins->cap * sizeof *twins->list);
    tokens->unseen_count -= twins->has_unseen;
    record_map_remove(&tokens->twins_by_key, twins->key);
    const struct twins *last = &tokens->twins[--tokens->twins_count];
    if (twins == last)
        return;
    *twins = *last;
    // Its entry is there already: nothing is allocated.
    record_map_put(&tokens->twins_by_key, twins->key, (uint32_t)(twins - tokens->twins));
}

static void remove_twin(struct replica *replica, const struct record *token)
{
    struct twins *twins = find_twins(replica, record_parent(token));
    for (uint32_t i = 0; twins && i < twins->count; i++) {
        if (twins->list[i].token != token)
            continue;
        twins->list[i] = twins->list[--twins->count];
        if (twins->count == 0)
            drop_twins(replica, twins);
        return;
    }
}

// What decides which dots are cut: the lives of the key's cells and their cuts.
static uint64_t print_of(const struct unit *key)
{
    uint64_t print = 1;
    for (uint16_t i = 0; i < key->count; i++) {
        const struct cell *cell = &key->cells[i];
        print += prng_mix(prng_mix(cell->origin + 1) + cell->birth) ^ prng_mix(cell->cut_write);
    }
    return print;
}

static struct retry_key judge_by(const struct replica *replica)
{
    return (struct retry_key){.cells = &replica->tokens.key,
                              .seen = &replica->vector,
                              .origins = &replica->origins,
                              .window_s = replica->token_window_ms / 1000};
}

// Nothing is left to take off, now or later.
static bool is_over(const struct retry_judgement *judgement)
{
    return judgement->dots < 2 || judgement->is_all_cut;
}

static int reckon(struct replica *replica, struct twins *twins)
{
    struct tokens *tokens = &replica->tokens;
    uint64_t taken = 0;
    bool has_unseen = false;
    if (record_load(twins->key, &tokens->key))
        return -ENOMEM;
    uint64_t print = print_of(&tokens->key);
    if (print == twins->print && !twins->has_unseen)
        return 0;
    for (uint32_t i = 0; i < twins->count; i++) {
        struct twin *twin = &twins->list[i];
        if (record_load(twin->token, &tokens->dots))
            return -ENOMEM;
        struct retry_key key = judge_by(replica);
        struct retry_judgement judgement = retry_judge(&tokens->dots, &key);
        taken += (uint64_t)judgement.taken;
        has_unseen |= judgement.has_unseen;
        if (twin->is_parked && is_over(&judgement))
            twin->is_parked = queue_put(tokens, replica->heap, twin->token) != 0;
    }
    tokens->unseen_count += has_unseen - (unsigned)twins->has_unseen;
    twins->has_unseen = has_unseen;
    twins->taken = (int64_t)taken;
    twins->print = print;
    return 0;
}

int64_t retry_taken(const struct replica *replica, const struct record *key)
{
    const struct twins *twins = find_twins(replica, key);
    return twins ? twins->taken : 0;
}

int retry_key_changed(struct replica *replica, const struct record *key)
{
    struct twins *twins = find_twins(replica, key);
    return twins ? reckon(replica, twins) : 0;
}

// Shows the key anew with what its twins take off now.
static int show_twins(struct replica *replica, struct twins *twins)
{
    struct record *key = twins->key;
    struct unit_view before = cells_view(replica, key);
    int64_t taken = twins->taken;
    int fault = reckon(replica, twins);
    if (fault || twins->taken == taken)
        return fault;
    return cells_show(replica, key, before, CHANGE_ADD);
}

int retry_joined(struct replica *replica)
{
    for (uint32_t i = 0; i < replica->tokens.twins_count && replica->tokens.unseen_count; i++) {
        struct twins *twins = &replica->tokens.twins[i];
        int fault = twins->has_unseen ? show_twins(replica, twins) : 0;
        if (fault)
            return fault;
    }
    return 0;
}

// ---- dots

static int put_time(struct replica *replica, struct record *token, const struct unit *dots)
{
    if (!record_value(token) && queue_put(&replica->tokens, replica->heap, token))
        return -ENOMEM;
    record_shift(token, (int64_t)retry_newest_s(dots) - record_value(token));
    return 0;
}

int retry_settle(struct replica *replica, struct record *token)
{
    int fault = record_load(token, &replica->tokens.dots);
    if (!fault)
        fault = put_time(replica, token, &replica->tokens.dots);
    if (fault)
        return fault;
    keyspace_change_put(replica->keyspace, token);
    fault = cells_log(replica, token);
    if (fault || replica->tokens.dots.count < 2)
        return fault;
    struct twins *twins = obtain_twins(replica, record_parent(token));
    if (!twins || add_twin(replica, twins, token))
        return -ENOMEM;
    twins->print = 0;
    return show_twins(replica, twins);
}

// ---- adding once

// A token of an age that may be forgotten, or from a time to come, says nothing that is known.
static int judge_age(const struct replica *replica, struct span token)
{
    uint64_t made_ms = retry_made_ms(token);
    if (made_ms && made_ms + replica->token_window_ms < replica->clock_ms)
        return CHANGE_E_OLD;
    return made_ms > replica->clock_ms + replica->clock_skew_ms ? CHANGE_E_EARLY : 0;
}

static int64_t value_of_key(const struct record *record)
{
    return record_flags(record) & RECORD_LIVE ? record_value(record) : 0;
}

static int put_dot(struct replica *replica, struct record *token,
                   const struct token_request *request)
{
    uint64_t made_ms = retry_made_ms(request->token);
    struct retry_dot dot = {.origin = replica->self,
                            .sequence = replica->vector.sequence[replica->self],
                            .amount = request->amount,
                            .made_s = (made_ms ? made_ms : replica->clock_ms) / 1000 + 1};
    struct unit *dots = cells_load(replica, token);
    if (!dots || retry_put(dots, &dot))
        return -ENOMEM;
    int fault = cells_store(replica, token);
    return fault ? fault : retry_settle(replica, token);
}

static bool is_known(const struct record *token)
{
    return token && !record_is_bare(token);
}

int replica_add_once(struct replica *replica, const struct token_request *request,
                     int64_t *out_value, bool *out_added)
{
    uint8_t digest[RETRY_DIGEST_BYTES];
    retry_digest(request->token, digest);
    struct address address = {
        .kind = UNIT_TOKEN, .key = request->key, .sub = span_of(digest, sizeof digest)};
    struct record *token =
        keyspace_find(replica->keyspace, &address, keyspace_hash(replica->keyspace, &address));
    if (is_known(token)) {
        *out_added = false;
        *out_value = value_of_key(record_parent(token));
        return 0;
    }
    int outcome = judge_age(replica, request->token);
    if (outcome)
        return outcome;
    token = token ? token : cells_record(replica, &address, CELL_COUNTER);
    if (!token)
        return -ENOMEM;
    outcome = replica_add(replica, request->key, request->amount, out_value);
    if (outcome > 0 && !record_value(token))
        keyspace_remove(replica->keyspace, token, 0);
    *out_added = outcome == 0;
    return outcome ? outcome : put_dot(replica, token, request);
}

// ---- forgetting

// That a dot was stable once is not enough: a member that joined since may have added under its
// token before it heard of the dot.
static bool is_everywhere(const struct replica *replica, const struct unit *dots)
{
    for (uint16_t i = 0; i < dots->count; i++) {
        const struct cell *dot = &dots->cells[i];
        if (!node_is_everywhere(&replica->node, dot->origin, dot->sequence))
            return false;
    }
    return true;
}

// Whether what is loaded may go; a twin that may not is parked.
static bool can_go(struct replica *replica, const struct record *token)
{
    struct tokens *tokens = &replica->tokens;
    struct twins *twins = find_twins(replica, record_parent(token));
    if (!twins || tokens->dots.count < 2)
        return true;
    if (record_load(twins->key, &tokens->key))
        return false;
    struct retry_key by = judge_by(replica);
    struct retry_judgement judgement = retry_judge(&tokens->dots, &by);
    for (uint32_t i = 0; i < twins->count; i++) {
        if (twins->list[i].token == token)
            twins->list[i].is_parked = !is_over(&judgement);
    }
    return is_over(&judgement);
}

// The first of the queue when it is due and stable; its dots are loaded then.
static struct record *next_due(struct replica *replica)
{
    struct record *token = queue_first(&replica->tokens);
    uint64_t kept_ms = replica->token_window_ms + replica->clock_skew_ms + MARGIN_MS;
    uint64_t clock_ms = replica->clock_ms + (replica->now_ms - replica->clock_at_ms);
    if (!token || clock_ms <= (uint64_t)record_value(token) * 1000 + kept_ms ||
        record_load(token, &replica->tokens.dots) || !is_everywhere(replica, &replica->tokens.dots))
        return NULL;
    return token;
}

bool retry_is_due(struct replica *replica)
{
    return replica->is_serving && next_due(replica);
}

static void forget(struct replica *replica, struct record *token)
{
    struct record *key = record_parent(token);
    struct unit *dots = cells_load(replica, token);
    if (!dots)
        return;
    remove_twin(replica, token);
    unit_clear(dots);
    cells_store(replica, token);
    keyspace_remove(replica->keyspace, token, record_value(token));
    replica->counts.collected++;
    replica->counts.tokens_forgotten++;
    collect_key(replica, key);
}

void retry_step(struct replica *replica)
{
    for (unsigned i = 0; i < FORGET_STEPS; i++) {
        struct record *token = replica->is_serving ? next_due(replica) : NULL;
        if (!token)
            return;
        queue_take(&replica->tokens, replica->heap);
        if (can_go(replica, token))
            forget(replica, token);
    }
    replica->wants_commit = true;
}

void retry_init(struct tokens *tokens, struct heap *heap)
{
    record_map_init(&tokens->twins_by_key, heap);
    unit_init(&tokens->dots, heap);
    unit_init(&tokens->key, heap);
}

void retry_deinit(struct replica *replica)
{
    struct tokens *tokens = &replica->tokens;
    while (tokens->first) {
        struct token_chunk *chunk = tokens->first;
        tokens->first = chunk->next;
        heap_free(replica->heap, chunk, sizeof *chunk);
    }
    for (uint32_t i = 0; i < tokens->twins_count; i++)
        heap_free(replica->heap, tokens->twins[i].list,
                  tokens->twins[i].cap * sizeof *tokens->twins[i].list);
    heap_free(replica->heap, tokens->twins, tokens->twins_cap * sizeof *tokens->twins);
    record_map_deinit(&tokens->twins_by_key);
    unit_deinit(&tokens->dots);
    unit_deinit(&tokens->key);
}

struct token_counts replica_tokens(const struct replica *replica)
{
    struct token_counts counts = {.tokens = replica->tokens.count,
                                  .queue_bytes = replica->tokens.count * sizeof(void *)};
    for (uint32_t i = 0; i < replica->tokens.twins_count; i++)
        counts.twins += replica->tokens.twins[i].count;
    return counts;
}
