// SPDX-License-Identifier: Apache-2.0
// Signals on a loop, and children: this program itself, run again with another argument.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "os/process.h"
#include "os/signals.h"

#define GUARD_MS 20000

struct seen {
    struct signals signals;
    struct loop_timer guard;
    struct loop *loop;
    int number;
};

static void on_guard(struct loop_timer *timer)
{
    (void)timer;
    fail_msg("nothing happened for %d ms", GUARD_MS);
}

static void on_signal(struct signals *signals, int number)
{
    struct seen *seen = (struct seen *)signals;
    seen->number = number;
    loop_stop(seen->loop);
}

static void start(struct seen *seen)
{
    *seen = (struct seen){.signals.on_signal = on_signal, .guard.on_due = on_guard};
    assert_int_equal(loop_new(&seen->loop, NULL), 0);
    assert_int_equal(signals_start(&seen->signals, seen->loop), 0);
    loop_timer_set(seen->loop, &seen->guard, loop_now_ms(seen->loop) + GUARD_MS);
}

static void finish(struct seen *seen)
{
    signals_stop(&seen->signals);
    signals_stop(&seen->signals);
    loop_free(seen->loop);
}

static void signal_is_an_event_of_the_loop(void **state)
{
    (void)state;
    struct seen seen;
    start(&seen);
    kill(getpid(), SIGTERM);
    assert_int_equal(loop_run(seen.loop), 0);
    assert_int_equal(seen.number, SIGTERM);
    raise(SIGPIPE); // ignored
    finish(&seen);
}

static void end_of_a_child_is_seen_with_its_status(void **state)
{
    (void)state;
    struct seen seen;
    int status;
    start(&seen);
    char *arguments[] = {"child", "exit-7", NULL};
    pid_t pid = process_spawn(arguments, -1);
    assert_true(pid > 0);
    assert_int_equal(loop_run(seen.loop), 0);
    assert_int_equal(seen.number, SIGCHLD);
    assert_true(process_has_ended(pid, &status));
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    finish(&seen);
}

static void child_has_no_signal_blocked_and_speaks_on_the_given_stderr(void **state)
{
    (void)state;
    struct seen seen;
    int status, ends[2];
    char text[8] = {0};
    start(&seen);
    assert_int_equal(pipe(ends), 0);
    char *arguments[] = {"child", "wait", NULL};
    pid_t pid = process_spawn(arguments, ends[1]);
    close(ends[1]);
    assert_int_equal(read(ends[0], text, sizeof text), 5);
    assert_string_equal(text, "ready");
    assert_false(process_has_ended(pid, &status));
    kill(pid, SIGTERM);
    assert_true(process_wait(pid, GUARD_MS, &status));
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
    close(ends[0]);
    finish(&seen);
}

static void child_does_not_outlive_its_parent(void **state)
{
    (void)state;
    int ends[2];
    char text[8] = {0};
    assert_int_equal(pipe(ends), 0);
    char *arguments[] = {"child", "parent", NULL};
    pid_t pid = process_spawn(arguments, ends[1]);
    close(ends[1]);
    assert_int_equal(read(ends[0], text, sizeof text), 5); // the grandchild is there
    kill(pid, SIGKILL);
    assert_int_equal(read(ends[0], text, sizeof text), 0); // and gone: no writer is left
    int status;
    assert_true(process_wait(pid, GUARD_MS, &status));
    close(ends[0]);
}

static int wait_forever(void)
{
    if (write(STDERR_FILENO, "ready", 5) != 5)
        return 1;
    for (;;)
        pause();
}

static int run_as_child(const char *what)
{
    alarm(60); // if all else fails
    if (strcmp(what, "exit-7") == 0)
        return 7;
    if (strcmp(what, "parent") == 0) {
        char *arguments[] = {"grandchild", "wait", NULL};
        if (process_spawn(arguments, -1) < 0)
            return 1;
        for (;;)
            pause();
    }
    return wait_forever();
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return run_as_child(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signal_is_an_event_of_the_loop),
        cmocka_unit_test(end_of_a_child_is_seen_with_its_status),
        cmocka_unit_test(child_has_no_signal_blocked_and_speaks_on_the_given_stderr),
        cmocka_unit_test(child_does_not_outlive_its_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
