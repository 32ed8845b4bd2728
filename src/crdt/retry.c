// SPDX-License-Identifier: Apache-2.0
// Dots against the cells of their key. A dot travels beside its key, not in it, so a walk may bring
// the one before the other: a dot whose add is not here does not count yet. Cut lives of a key are
// not collected while it has tokens. So no life, or one that was not written since, where the
// vector covers the dot means that the add is lost: it went with the last disk that had it. Its dot
// is passed over.
#include "crdt/retry.h"
#include "base/hash.h"
#include "base/hex.h"

#define SEED_LOW  0x7175697075746f6bu
#define SEED_HIGH 0x656e2d646967657au

void retry_digest(struct span token, uint8_t out_digest[RETRY_DIGEST_BYTES])
{
    uint8_t high[8];
    bytes_write_u64(out_digest, hash_bytes(token, SEED_LOW));
    bytes_write_u64(high, hash_bytes(token, SEED_HIGH));
    memcpy(out_digest + 8, high, RETRY_DIGEST_BYTES - 8);
}

#define UUID_LEN 36

// xxxxxxxx-xxxx-7xxx-Vxxx-xxxxxxxxxxxx, V one of 8 9 a b: the first 48 bits are milliseconds.
uint64_t retry_made_ms(struct span token)
{
    uint64_t made_ms = 0;
    unsigned digits = 0;
    if (token.len != UUID_LEN)
        return 0;
    for (size_t i = 0; i < UUID_LEN; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        int digit = hex_value(token.ptr[i]);
        if (is_dash != (token.ptr[i] == '-') || (!is_dash && digit < 0))
            return 0;
        if (!is_dash && digits++ < 12)
            made_ms = made_ms << 4 | (uint64_t)digit;
    }
    bool is_version_7 = token.ptr[14] == '7' && (hex_value(token.ptr[19]) & 0xc) == 0x8;
    return is_version_7 ? made_ms : 0;
}

int retry_put(struct unit *dots, const struct retry_dot *dot)
{
    struct cell *cell = unit_obtain(dots, dot->origin);
    if (!cell)
        return -ENOMEM;
    *cell = (struct cell){.origin = dot->origin,
                          .sequence = dot->sequence,
                          .lease = {.epoch = dot->made_s, .count = dot->amount}};
    return 0;
}

uint64_t retry_newest_s(const struct unit *dots)
{
    uint64_t newest_s = 0;
    for (uint16_t i = 0; i < dots->count; i++) {
        if (dots->cells[i].lease.epoch > newest_s)
            newest_s = dots->cells[i].lease.epoch;
    }
    return newest_s;
}

enum dot_state { DOT_LOST, DOT_UNSEEN, DOT_CUT, DOT_COUNTS };

static enum dot_state state_of(const struct cell *dot, const struct retry_key *key)
{
    const struct cell *cell = unit_find(key->cells, dot->origin);
    if (!cell || cell->birth == 0 || dot->sequence > cell->write)
        return dot->sequence <= key->seen->sequence[dot->origin] ? DOT_LOST : DOT_UNSEEN;
    bool is_cut = dot->sequence < cell->birth || dot->sequence <= cell->cut_write;
    return is_cut ? DOT_CUT : DOT_COUNTS;
}

static bool is_less(const struct retry_key *key, const struct cell *a, const struct cell *b)
{
    const struct incarnation *list = key->origins->list;
    return incarnation_compare(&list[a->origin], &list[b->origin]) < 0;
}

struct retry_judgement retry_judge(const struct unit *dots, const struct retry_key *key)
{
    struct retry_judgement judgement = {.is_all_cut = true};
    const struct cell *least = NULL;
    uint64_t newest_s = retry_newest_s(dots), taken = 0;
    bool is_any_cut = false;
    for (uint16_t i = 0; i < dots->count; i++) {
        const struct cell *dot = &dots->cells[i];
        if (dot->lease.epoch + key->window_s < newest_s)
            continue;
        enum dot_state state = state_of(dot, key);
        judgement.has_unseen |= state == DOT_UNSEEN || state == DOT_LOST;
        if (state == DOT_LOST)
            continue;
        judgement.dots++;
        judgement.is_all_cut &= state == DOT_CUT;
        is_any_cut |= state == DOT_CUT;
        if (state != DOT_COUNTS)
            continue;
        taken += (uint64_t)dot->lease.count;
        if (!least || is_less(key, dot, least))
            least = dot;
    }
    if (least && !is_any_cut)
        taken -= (uint64_t)least->lease.count;
    judgement.taken = (int64_t)taken;
    return judgement;
}
