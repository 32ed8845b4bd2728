// SPDX-License-Identifier: Apache-2.0
// A scripted cluster: the simulator's world in which nothing happens by itself, and a trace of it
// that an operator could read. The simulator's oracle watches here too: a story in which a node
// shows what it must not fails, whatever its trace.
#pragma once
#include "sim/world.h"

enum { LIKES, VIEWS, STOCK, FANS = GHOST_GSET, ADA, BOB, TAGS = GHOST_SET, TAG_ADA, TAG_BOB };

struct story {
    struct world *world;
    struct plan plan;
    struct sim_heap heap;
    struct buf trace;
};

// `nodes` replicas r1, r2 ... that know each other's addresses; none is started.
void story_begin(struct story *story, unsigned nodes);
// Fails the test unless the trace is `expected`, and when the oracle objects.
void story_end(struct story *story, const char *expected);

void story_start(struct story *story, unsigned node); // also after a stop
void story_start_all(struct story *story);
void story_join(struct story *story, unsigned node); // the next one, unknown to the others
void story_kill(struct story *story, unsigned node);
void story_power_off(struct story *story, unsigned node); // nobody is told
void story_cut(struct story *story, unsigned a, unsigned b);
void story_isolate(struct story *story, unsigned node);
void story_heal(struct story *story);
void story_pass(struct story *story, uint64_t ms);

// Each runs in a commit of its own, at once.
void story_add(struct story *story, unsigned node, unsigned unit, int64_t amount);
void story_del(struct story *story, unsigned node, unsigned unit);
void story_set(struct story *story, unsigned node, unsigned unit, int64_t value);
void story_once(struct story *story, unsigned node, unsigned token); // an add with that token
void story_gadd(struct story *story, unsigned node, unsigned unit);

// From now on a message is this long under way, and a millisecond.
void story_delay(struct story *story, uint64_t ms);

// The disk as it is, to be found again by a later start.
void story_keep_disk(struct story *story, unsigned node);
void story_restore_disk(struct story *story, unsigned node);

// Lines of the trace: what everybody shows of a unit; words of the test's own.
void story_show(struct story *story, unsigned unit);
void story_show_records(struct story *story); // how many each holds, shown or not
void story_say(struct story *story, const char *text);
