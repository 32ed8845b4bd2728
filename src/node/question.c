// SPDX-License-Identifier: Apache-2.0
// The question at every start that makes an identity safe. A data directory may be older than what
// the cluster has seen of it (a restored backup, a cloned volume); comparing sequences later cannot
// tell, the node may have written past them. So before the first write every member is asked how
// far it has seen this incarnation. All answered and none is above: go on. One above, or one silent
// within start_wait: a new random incarnation, the old one stays as a foreign origin.
//
// A directory that is too old may know too few members, or none. So every configured peer is asked
// too, and an answer is complete only with the answerer's own list of members: who is new in it is
// asked as well. Nobody outside that closure can have got a change of ours, for cells flow to a
// member only once every other member knows it durably.
#include "node/private.h"

static bool is_all_answered(const struct node *node)
{
    for (uint16_t i = 0; i < node->members_count; i++) {
        if (!node->members[i].is_former && !(node->answered & 1u << i))
            return false;
    }
    for (uint16_t i = 0; i < node->peers_count; i++) {
        if (!node->peers[i].is_self && !node->peers[i].is_known)
            return false;
    }
    return true;
}

static void decide(struct node *node, bool must_renew, struct effects *effects)
{
    if (must_renew) {
        effects_put(effects, EFFECT_RENEW, 0);
        return;
    }
    node->state = NODE_SERVING;
    effects_put(effects, EFFECT_SERVE, 0);
    effects_put(effects, EFFECT_COMMIT, 0);
}

void question_start(struct node *node, struct effects *effects)
{
    node->state = NODE_ASKING;
    for (uint16_t i = 0; i < node->members_count; i++)
        node->members[i].heard_ms = node->now_ms;
    if (node->must_renew || node->is_fresh || is_all_answered(node))
        decide(node, node->must_renew, effects);
}

void question_answered(struct node *node, uint16_t member, uint64_t held, struct effects *effects)
{
    if (node->state != NODE_ASKING)
        return;
    if (held > node->seen->sequence[node->self] && !node->must_renew) {
        node->must_renew = true;
        effects_put_text(effects, EFFECT_LOG, 0,
                         "%s has seen this directory's incarnation up to %llu, here it ends at "
                         "%llu: the directory is older than its history (restored or cloned); "
                         "going on under a new incarnation",
                         node->members[member].name, (unsigned long long)held,
                         (unsigned long long)node->seen->sequence[node->self]);
    }
}

void question_listed(struct node *node, uint16_t member, struct effects *effects)
{
    if (node->state != NODE_ASKING)
        return;
    node->answered |= 1u << member;
    if (is_all_answered(node))
        decide(node, node->must_renew, effects);
}

void question_self_found(struct node *node, struct effects *effects)
{
    if (node->state == NODE_ASKING && is_all_answered(node))
        decide(node, node->must_renew, effects);
}

// A newer incarnation has taken over the name. What this directory has is part of a closed history,
// or will be once it is back as another incarnation; if it has more than that, it must not go on.
// It happens to a serving one too: the greeting of an earlier process that was long under way can
// make the others take that one for the newer.
void question_refused_former(struct node *node, uint64_t end, struct effects *effects)
{
    if (node->seen->sequence[node->self] <= end) {
        node->must_renew = true;
        decide(node, true, effects);
        return;
    }
    node->state = NODE_REFUSED;
    effects_put_text(effects, EFFECT_REFUSE, 0,
                     "a newer incarnation of %s has taken over, and the cluster has closed this "
                     "one's history without changes that this directory alone has: keep it aside "
                     "for inspection and start with an empty one",
                     node->name);
}

static void log_silent(struct node *node, const char *name, struct effects *effects)
{
    effects_put_text(effects, EFFECT_LOG, 0,
                     "%s did not answer within %llu ms at this start: going on under a new "
                     "incarnation",
                     name, (unsigned long long)node->start_wait_ms);
}

void question_tick(struct node *node, struct effects *effects)
{
    if (node->state != NODE_ASKING || node->now_ms < node->started_ms + node->start_wait_ms)
        return;
    for (uint16_t i = 0; i < node->members_count; i++) {
        if (!node->members[i].is_former && !(node->answered & 1u << i))
            log_silent(node, node->members[i].name, effects);
    }
    for (uint16_t i = 0; i < node->peers_count; i++) {
        if (!node->peers[i].is_self && !node->peers[i].is_known)
            log_silent(node, node->peers[i].address, effects);
    }
    decide(node, true, effects);
}
