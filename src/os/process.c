// SPDX-License-Identifier: Apache-2.0
// fork and exec of /proc/self/exe. Between the two only async-signal-safe calls are made: the
// parent may have threads.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "os/clock.h"
#include "os/process.h"

#define EXIT_NOT_STARTED 127
#define WAIT_STEP_MS     10

static void become(pid_t parent, char *const arguments[], int stderr_fd)
{
    sigset_t none;
    sigemptyset(&none);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) // it ended before the line above
        _exit(EXIT_NOT_STARTED);
    setpgid(0, 0);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (stderr_fd >= 0 && dup2(stderr_fd, STDERR_FILENO) < 0)
        _exit(EXIT_NOT_STARTED);
    execv("/proc/self/exe", arguments);
    _exit(EXIT_NOT_STARTED);
}

pid_t process_spawn(char *const arguments[], int stderr_fd)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0)
        become(parent, arguments, stderr_fd);
    return pid;
}

bool process_has_ended(pid_t pid, int *out_status)
{
    return waitpid(pid, out_status, WNOHANG) == pid;
}

bool process_wait(pid_t pid, int timeout_ms, int *out_status)
{
    uint64_t end_ms = clock_monotonic_ms() + (uint64_t)timeout_ms;
    while (!process_has_ended(pid, out_status)) {
        if (clock_monotonic_ms() >= end_ms)
            return false;
        poll(NULL, 0, WAIT_STEP_MS);
    }
    return true;
}

void process_raise_files_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}
