// SPDX-License-Identifier: Apache-2.0
// One write(2) a line, so that lines of several threads and processes do not mix. Texts may hold
// bytes that users chose (keys, peers' names): those cannot forge a line or a terminal's controls.
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include "os/clock.h"
#include "os/log.h"

#define LINE_MAX_BYTES 1024

static size_t put_time(char *to, size_t cap)
{
    uint64_t now_ms = clock_wall_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    size_t len = strftime(to, cap, "%Y-%m-%dT%H:%M:%S", &parts);
    int more = snprintf(to + len, cap - len, ".%03uZ ", (unsigned)(now_ms % 1000));
    return len + (size_t)more;
}

static size_t clamp(int len, size_t cap)
{
    if (len < 0)
        return 0;
    return (size_t)len < cap ? (size_t)len : cap - 1;
}

void log_line(const char *part, const char *name, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    size_t cap = sizeof line - 1;
    size_t len = put_time(line, cap);
    const char *space = name && *name ? " " : "";
    int more = snprintf(line + len, cap - len, "quipu %s%s%s: ", part, space, name ? name : "");
    len += clamp(more, cap - len);
    va_list arguments;
    va_start(arguments, format);
    more = vsnprintf(line + len, cap - len, format, arguments);
    va_end(arguments);
    len += clamp(more, cap - len);
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)line[i] < ' ' || line[i] == 127)
            line[i] = '?';
    }
    line[len++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written; // there is nowhere to say that it failed
}
