// SPDX-License-Identifier: Apache-2.0
// Counting exactly once from a process that may die, move and retry: the client's side of quipu's
// handoff counters (docs/PROTOCOLS.md, HANDOFF), in libquipu.a. No sockets: whoever uses it carries
// the messages, which may be lost, doubled, late, and go to another replica each time.
//
//   struct quipu_handoff *counts;
//   quipu_handoff_open(&counts, "counts.state");            // goes on where it was left
//   quipu_handoff_add(counts, "likes", 5, 1);
//   quipu_handoff_save(counts);                             // before anything is sent
//   quipu_handoff_tell(counts, "likes", 5, &bytes, &len);   // send: HANDOFF likes bytes
//   quipu_handoff_hear(counts, "likes", 5, answer, len);    // the answer to it
//   ... until nothing is held, then quipu_handoff_finish and a last exchange a counter
//
// The file is written beside, synced and renamed. What was counted is counted once by the servers
// if it was saved, and not at all if it was not. Never go on from an older copy of the file:
// without it, a client starts anew, under another identity.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quipu_handoff;

enum {
    QUIPU_HANDOFF_E_FILE = 1, // not a file of this library, or damaged
    QUIPU_HANDOFF_E_MESSAGE,  // not a message of this version
    QUIPU_HANDOFF_E_UNSAVED,  // quipu_handoff_save comes before
    QUIPU_HANDOFF_E_NONE,     // nothing to say: no such counter, or it is done with
};

// Reads the file, or begins one (written at the first save). 0, an outcome, or -errno.
int quipu_handoff_open(struct quipu_handoff **out, const char *path);
void quipu_handoff_close(struct quipu_handoff *counts); // what is not saved is forgotten

// Counts, in memory. 0 or -ENOMEM.
int quipu_handoff_add(struct quipu_handoff *counts, const void *key, size_t key_len,
                      uint64_t amount);
// Bytes of the caller's that are saved together with the counts: how far an input has been counted.
// 0 or -ENOMEM.
int quipu_handoff_put_note(struct quipu_handoff *counts, const void *note, size_t len);
const void *quipu_handoff_note(const struct quipu_handoff *counts, size_t *out_len);
// Makes the file say what memory says, durably. 0 or -errno (the file is as it was).
int quipu_handoff_save(struct quipu_handoff *counts);

// The counters that have something to say to a server; *cursor is 0 at first. False: no more.
bool quipu_handoff_next(const struct quipu_handoff *counts, size_t *cursor, const void **out_key,
                        size_t *out_key_len);
// What to send for a counter; borrows until the next call. 0, QUIPU_HANDOFF_E_UNSAVED,
// QUIPU_HANDOFF_E_NONE, -ENOMEM.
int quipu_handoff_tell(struct quipu_handoff *counts, const void *key, size_t key_len,
                       const void **out_bytes, size_t *out_len);
// The answer of some server, to any message of ours. 0, QUIPU_HANDOFF_E_MESSAGE, -ENOMEM (hear it
// again).
int quipu_handoff_hear(struct quipu_handoff *counts, const void *key, size_t key_len,
                       const void *bytes, size_t len);

// What no server has taken over for sure, and how many counters hold some of it.
uint64_t quipu_handoff_held(const struct quipu_handoff *counts, size_t *out_counters);
// Nothing will be added any more: each counter takes its leave of the server that it speaks to,
// once all it holds is there, and quipu_handoff_next ends when all have. Undone by
// quipu_handoff_add.
void quipu_handoff_finish(struct quipu_handoff *counts);

#ifdef __cplusplus
}
#endif
