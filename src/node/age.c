// SPDX-License-Identifier: Apache-2.0
// A directory that is older than what the others have dropped (a restored backup, a cloned volume)
// holds what was deleted since, and nobody has a trace of the deletion left to send it. Nobody
// drops anything that some member has not told, from its disk, to be past; so who is not past it
// now has gone back.
//
// `dropped` says how far what was dead had been dropped by anybody from whom something is here:
// what is held has met every deletion up to there, even where V is behind. Every list of members
// tells it, and goes before the first round, and so does whether V has come that far: who is not
// filled yet speaks of others. Who is told of more by one who is, and holds something of it,
// forgets that much, which the teller has, and comes in again as a joining member does, under a new
// incarnation, since what the old one told no longer holds. Cells of one who is not past it are
// taken only while nobody better is there, and `dropped` falls back to what that one had met.
#include "node/private.h"

struct vector node_dropped(const struct node *node)
{
    struct vector dropped = node->dropped;
    vector_join(&dropped, &node->stable);
    return dropped;
}

bool node_is_filled(const struct node *node)
{
    return vector_is_covering(node->seen, &node->dropped);
}

static void raise(struct node *node, const struct vector *dropped)
{
    node->is_dropped_changed |= vector_join(&node->dropped, dropped);
}

void node_drop_stable(struct node *node)
{
    raise(node, &node->stable);
}

static bool is_past(const struct vector *past, const struct link *link)
{
    return !link->is_filled || vector_is_covering(past, &link->dropped);
}

bool node_take(struct node *node, uint32_t giver, const struct vector *seen,
               const struct vector *upto)
{
    if (vector_is_covering(seen, &node->dropped))
        return true;
    struct vector past = *seen;
    vector_join(&past, upto);
    vector_join(&past, &node->links[giver].dropped);
    for (uint32_t i = 0; i < NODE_LINKS_MAX; i++) {
        if (node->links[i].state == LINK_RUNNING && !is_past(&past, &node->links[i]))
            return false;
    }
    node->is_dropped_changed |= vector_meet(&node->dropped, &past);
    return true;
}

// What the others dropped was written by somebody of whom nothing is here: a new directory, or one
// that was alone so far.
static bool is_unconcerned(const struct node *node, const struct vector *dropped)
{
    for (uint16_t i = 0; i < node->origins->count; i++) {
        if (node->held->sequence[i] && dropped->sequence[i])
            return false;
    }
    return true;
}

bool age_is_too_old(struct node *node, uint32_t index, const struct peer_members *told,
                    struct effects *effects)
{
    struct link *link = &node->links[index];
    struct vector past = *node->seen;
    vector_join(&past, &node->dropped);
    link->dropped = told->dropped;
    link->is_filled = told->is_filled;
    if (vector_is_covering(&past, &told->dropped) || is_unconcerned(node, &told->dropped)) {
        raise(node, &told->dropped);
        return false;
    }
    if (!told->is_filled || node->state == NODE_REFUSED)
        return false;
    effects_put_text(effects, EFFECT_LOG, index,
                     "the directory is older than what %s has deleted since (restored or cloned); "
                     "what all members have is fetched anew, under a new incarnation",
                     link->name);
    effects_put(effects, EFFECT_FORGET, index);
    return true;
}

// Who was told while V was behind hears what it means now.
void age_committed(struct node *node)
{
    bool is_filled = node_is_filled(node);
    if (is_filled && !node->was_filled)
        membership_tell_all(node);
    node->was_filled = is_filled;
}

// What members have told of themselves stays true; what was inferred from V does not.
void node_begin_anew(struct node *node, uint32_t link)
{
    raise(node, &node->links[link].dropped);
    node->stable = (struct vector){0};
    for (uint16_t i = 0; i < node->members_count; i++) {
        struct member *member = &node->members[i];
        member->is_acked = false;
        member->usable = (struct vector){0};
        member->delivered_by = 0;
    }
}
