// SPDX-License-Identifier: Apache-2.0
// The doors to the script room, and what is said while a script runs for long: everybody but who
// would end it hears BUSY, as from Redis.
#include <stdio.h>
#include "command/handlers.h"
#include "command/scripting.h"

int apply_script(struct call *call)
{
    struct scripts *scripts = call->server->scripts;
    if (scripts)
        return scripts->perform(scripts, call);
    reply_error_text(call->reply, "ERR no scripts run here");
    return 0;
}

void reply_busy(struct reply *reply, const char *before, bool is_function)
{
    char text[200];
    snprintf(text, sizeof text,
             "%sBUSY Redis is busy running a script. You can only call %s KILL or SHUTDOWN NOSAVE.",
             before, is_function ? "FUNCTION" : "SCRIPT");
    reply_error_text(reply, text);
}

static int end_script(struct call *call, bool is_function)
{
    static const char has_written[] =
        "UNKILLABLE Sorry the script already executed write commands against the dataset. You can "
        "either wait the script termination or kill the server in a hard way using the SHUTDOWN "
        "NOSAVE command.";
    switch (call->host->ops->kill_script(call->host, is_function)) {
    case KILL_DONE:
        reply_ok(call->reply);
        break;
    case KILL_NOT_BUSY:
        reply_error_text(call->reply, "NOTBUSY No scripts in execution right now.");
        break;
    case KILL_HAS_WRITTEN:
        reply_error_text(call->reply, has_written);
        break;
    case KILL_IS_EVAL:
        reply_busy(call->reply, "", false);
        break;
    case KILL_IS_FUNCTION:
        reply_busy(call->reply, "", true);
        break;
    }
    return 0;
}

int script_kill(struct call *call)
{
    return end_script(call, false);
}

int function_kill(struct call *call)
{
    return end_script(call, true);
}

int script_debug(struct call *call)
{
    if (span_is_word(call->argv[2], "NO"))
        reply_ok(call->reply);
    else
        reply_error_text(call->reply, "ERR there is no debugger of scripts here");
    return 0;
}

bool command_is_for_busy(const struct call *call)
{
    const struct command *command = call->command;
    if (!command || !(command->flags & COMMAND_ALLOW_BUSY))
        return false;
    if (command->run != run_container)
        return true;
    return call->argc == 2 && (span_is_word(call->argv[1], "KILL") ||
                               (command->name[0] == 'F' && span_is_word(call->argv[1], "STATS")));
}

static void put_running(struct reply *reply, const struct running *running, uint64_t took_ms)
{
    reply_map(reply, 3);
    reply_bulk_text(reply, "name");
    reply_bulk_text(reply, running->name);
    reply_bulk_text(reply, "command");
    reply_array(reply, running->words_count);
    for (unsigned i = 0; i < running->words_count; i++)
        reply_bulk(reply, span_of(running->word[i], running->word_len[i]));
    reply_bulk_text(reply, "duration_ms");
    reply_integer(reply, (int64_t)took_ms);
}

void reply_function_stats(struct reply *reply, const struct running *running, uint64_t took_ms)
{
    reply_map(reply, 2);
    reply_bulk_text(reply, "running_script");
    if (running->words_count)
        put_running(reply, running, took_ms);
    else
        reply_nil(reply);
    reply_bulk_text(reply, "engines");
    reply_map(reply, 1);
    reply_bulk_text(reply, "LUA");
    reply_map(reply, 2);
    reply_bulk_text(reply, "libraries_count");
    reply_integer(reply, (int64_t)running->libraries);
    reply_bulk_text(reply, "functions_count");
    reply_integer(reply, (int64_t)running->functions);
}

// While a function runs for long, it is this thread that tells of it.
int function_stats_of_busy(struct call *call)
{
    struct running running;
    if (!call->host->ops->tell_script(call->host, &running))
        return COMMAND_E_POST;
    if (running.is_function)
        reply_function_stats(call->reply, &running, call->now_ms - running.started_ms);
    else
        reply_busy(call->reply, "", false);
    return 0;
}
