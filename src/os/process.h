// SPDX-License-Identifier: Apache-2.0
// This process, and the child processes of `quipu up`: this same program with other arguments. A
// child gets SIGTERM when the thread that started it ends, however it ends, so none outlives `up`.
#pragma once
#include <stdbool.h>
#include <sys/types.h>

// Runs this program with `arguments` (NULL-terminated, the first is its name), in a process group
// of its own so that a terminal's Ctrl-C reaches only the parent, with no signal blocked. Call it
// from the main thread. `stderr_fd` becomes the child's stderr; -1: the parent's. pid or -errno.
pid_t process_spawn(char *const arguments[], int stderr_fd);

// Whether the child has ended; out_status as waitpid's. Never waits.
bool process_has_ended(pid_t pid, int *out_status);
// Waits at most `timeout_ms`. False: still there.
bool process_wait(pid_t pid, int timeout_ms, int *out_status);

// Lets this process open as many files as it may: the limit that applies is often 1,024 for no
// better reason than select(). Children inherit it.
void process_raise_files_limit(void);
