// SPDX-License-Identifier: Apache-2.0
// A supervised child. It is ready when its log says so ("... quipu PART NAME: ready ..."): the same
// line that an operator or a script waits for.
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/owner.h"
#include "cli/part.h"
#include "os/log.h"

void part_argue(struct part_arguments *arguments, const char *format, ...)
{
    char *to = arguments->text + arguments->text_len;
    size_t room = sizeof arguments->text - arguments->text_len;
    va_list list;
    va_start(list, format);
    int len = vsnprintf(to, room, format, list);
    va_end(list);
    assert(len >= 0 && (size_t)len < room && arguments->count < PART_ARGUMENTS_MAX);
    arguments->text_len += (size_t)len + 1;
    arguments->list[arguments->count++] = to;
    arguments->list[arguments->count] = NULL;
}

// ---- what it says

static void say_line(struct part *part, const char *line, size_t len)
{
    static const char ready[] = ": ready";
    if (!part->is_ready && memmem(line, len, ready, strlen(ready))) {
        part->is_ready = part->was_ready = true;
        part->on_ready(part);
        return;
    }
    char out[PART_LINE_MAX + 40];
    int out_len =
        snprintf(out, sizeof out, "%s %-8s | %.*s\n", part->region, part->kind, (int)len, line);
    ssize_t written = write(STDERR_FILENO, out, (size_t)out_len);
    (void)written; // there is nowhere to say that it failed
}

static void say_lines(struct part *part)
{
    char *at = part->line, *end = part->line + part->line_len;
    for (char *line_end; (line_end = memchr(at, '\n', (size_t)(end - at))); at = line_end + 1)
        say_line(part, at, (size_t)(line_end - at));
    part->line_len = (size_t)(end - at);
    memmove(part->line, at, part->line_len);
    if (part->line_len == sizeof part->line) {
        say_line(part, part->line, part->line_len);
        part->line_len = 0;
    }
}

static void close_output(struct part *part)
{
    if (part->output.fd < 0)
        return;
    if (part->line_len)
        say_line(part, part->line, part->line_len);
    part->line_len = 0;
    loop_remove(part->loop, &part->output);
    close(part->output.fd);
    part->output.fd = -1;
}

// False at the end of what it says.
static bool read_output(struct part *part)
{
    for (;;) {
        ssize_t len =
            read(part->output.fd, part->line + part->line_len, sizeof part->line - part->line_len);
        if (len < 0)
            return errno == EAGAIN || errno == EINTR;
        if (len == 0)
            return false;
        part->line_len += (size_t)len;
        say_lines(part);
    }
}

static void on_output(struct watch *watch, uint32_t events)
{
    (void)events;
    struct part *part = owner_of(watch, struct part, output);
    if (!read_output(part))
        close_output(part);
}

// ---- its life

static void on_restart(struct loop_timer *timer)
{
    struct part *part = owner_of(timer, struct part, restart);
    int fault = part_start(part);
    if (fault)
        log_line("up", NULL, "cannot start %s's %s again: %s", part->region, part->kind,
                 strerror(-fault));
}

int part_start(struct part *part)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return -errno;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    part->restart.on_due = on_restart;
    part->output = (struct watch){.fd = ends[0], .on_ready = on_output};
    int fault = loop_add(part->loop, &part->output, EPOLLIN);
    if (fault) {
        close(ends[0]);
        part->output.fd = -1;
    } else {
        part->pid = process_spawn(part->arguments.list, ends[1]);
        fault = part->pid < 0 ? (int)part->pid : 0;
        if (fault) {
            part->pid = 0;
            close_output(part);
        }
    }
    close(ends[1]);
    part->is_ready = false;
    part->started_ms = loop_now_ms(part->loop);
    return fault;
}

void part_stop(struct part *part)
{
    part->is_stopping = true;
    loop_timer_clear(part->loop, &part->restart);
    if (part->pid)
        kill(part->pid, SIGTERM);
}

void part_kill(struct part *part)
{
    part->is_stopping = true;
    loop_timer_clear(part->loop, &part->restart);
    if (part->pid)
        kill(part->pid, SIGKILL);
}

static void describe_end(int status, char *out, size_t out_len)
{
    if (WIFSIGNALED(status))
        snprintf(out, out_len, "killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(out, out_len, "exit status %d", WEXITSTATUS(status));
}

static void restart_later(struct part *part)
{
    uint64_t now_ms = loop_now_ms(part->loop);
    if (now_ms - part->started_ms > PART_STEADY_MS)
        part->failures = 0;
    uint64_t delay_ms = PART_RESTART_MIN_MS << (part->failures < 4 ? part->failures : 4);
    if (delay_ms > PART_RESTART_MAX_MS)
        delay_ms = PART_RESTART_MAX_MS;
    part->failures++;
    char end[80];
    describe_end(part->status, end, sizeof end);
    log_line("up", NULL, "%s's %s ended unasked (%s); starting it again in %llu ms", part->region,
             part->kind, end, (unsigned long long)delay_ms);
    loop_timer_set(part->loop, &part->restart, now_ms + delay_ms);
}

void part_reap(struct part *part)
{
    if (!part->pid || !process_has_ended(part->pid, &part->status))
        return;
    part->pid = 0;
    if (part->output.fd >= 0) {
        read_output(part);
        close_output(part);
    }
    if (part->is_stopping)
        return;
    if (part->was_ready)
        restart_later(part);
    else
        part->on_failed(part);
}
