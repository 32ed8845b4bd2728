// SPDX-License-Identifier: Apache-2.0
// Between the files that write INFO: a line at a time.
#pragma once
#include "command/handlers.h"

struct info {
    const struct call *call;
    const struct server *server;
    struct server_counts since; // since the start or CONFIG RESETSTAT
    struct buf *out;
    unsigned links;
};

__attribute__((format(printf, 2, 3))) void info_put(struct info *info, const char *format, ...);

// info_counts.c
void info_commandstats(struct info *info);
void info_errorstats(struct info *info);
void info_latencystats(struct info *info);
