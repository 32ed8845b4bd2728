// SPDX-License-Identifier: Apache-2.0
// Commands whose second word says what: one table of the words, each with its own arity. The
// dispatch, HELP and what COMMAND tells of them come from the rows.
#include "command/handlers.h"

#define ADMIN COMMAND_ADMIN
#define STALE COMMAND_STALE

// command, name, arity, flags, usage, summary, run, apply
static const struct subcommand subcommands[] = {
    {"ACL", "CAT", -2, STALE, "[category]", "Returns the categories, or the commands of one.",
     acl_cat, NULL},
    {"ACL", "DELUSER", -3, ADMIN | STALE, "username [username ...]",
     "Deletes users and ends their connections.", NULL, acl_deluser},
    {"ACL", "DRYRUN", -4, ADMIN | STALE, "username command [argument ...]",
     "Tells whether the user may run the command, without running it.", acl_dryrun, NULL},
    {"ACL", "GENPASS", -2, STALE, "[bits]", "Returns a random password, of 256 bits by default.",
     acl_genpass, NULL},
    {"ACL", "GETUSER", 3, ADMIN | STALE, "username", "Tells what a user may do.", acl_getuser,
     NULL},
    {"ACL", "LIST", 2, ADMIN | STALE, "", "Returns all users as the file has them.", acl_list,
     NULL},
    {"ACL", "LOAD", 2, ADMIN | STALE, "", "Reads the users from the file.", NULL, acl_reload},
    {"ACL", "LOG", -2, ADMIN | STALE, "[count | RESET]", "Returns what was denied.", NULL, acl_log},
    {"ACL", "SAVE", 2, ADMIN | STALE, "", "Writes the users to the file.", NULL, acl_store},
    {"ACL", "SETUSER", -3, ADMIN | STALE, "username [rule ...]", "Makes or changes a user.", NULL,
     acl_setuser},
    {"ACL", "USERS", 2, ADMIN | STALE, "", "Returns the names of all users.", acl_users, NULL},
    {"ACL", "WHOAMI", 2, STALE, "", "Returns the user of this connection.", acl_whoami, NULL},
    {"CLIENT", "CACHING", 3, STALE, "YES|NO", "Refused but without tracking: there is none.",
     client_caching, NULL},
    {"CLIENT", "GETNAME", 2, STALE, "", "Returns the connection's name.", client_getname, NULL},
    {"CLIENT", "GETREDIR", 2, STALE, "", "Returns -1: nothing is tracked.", client_getredir, NULL},
    {"CLIENT", "ID", 2, STALE, "", "Returns the connection's number.", client_id, NULL},
    {"CLIENT", "INFO", 2, STALE, "", "Tells about this connection.", client_info, NULL},
    {"CLIENT", "KILL", -3, ADMIN | STALE,
     "addr:port | [ID id] [TYPE type] [ADDR addr:port] [LADDR addr:port] [USER name] "
     "[SKIPME YES|NO]",
     "Ends connections.", client_kill, NULL},
    {"CLIENT", "LIST", -2, ADMIN | STALE, "[TYPE NORMAL|PUBSUB|MASTER|REPLICA] [ID id ...]",
     "Tells about every connection.", client_list, NULL},
    {"CLIENT", "NO-EVICT", 3, ADMIN | STALE, "ON|OFF", "Is noted: connections are not evicted.",
     client_no_evict, NULL},
    {"CLIENT", "NO-TOUCH", 3, STALE, "ON|OFF", "Is noted: reads leave no trace anyway.",
     client_no_touch, NULL},
    {"CLIENT", "PAUSE", -3, ADMIN | STALE, "timeout", "Is refused: nobody waits for others here.",
     client_pause, NULL},
    {"CLIENT", "REPLY", 3, STALE, "ON|OFF|SKIP", "Answers, or does not, or not the next command.",
     client_reply, NULL},
    {"CLIENT", "SETINFO", 4, STALE, "LIB-NAME|LIB-VER text", "Names the client's library.",
     client_setinfo, NULL},
    {"CLIENT", "SETNAME", 3, STALE, "name", "Names the connection.", client_setname, NULL},
    {"CLIENT", "TRACKING", -3, STALE, "OFF", "Takes only OFF.", client_tracking, NULL},
    {"CLIENT", "TRACKINGINFO", 2, STALE, "", "Tells that tracking is off.", client_trackinginfo,
     NULL},
    {"CLIENT", "UNBLOCK", -3, ADMIN | STALE, "id [TIMEOUT|ERROR]", "Returns 0: none is blocked.",
     client_unblock, NULL},
    {"CLIENT", "UNPAUSE", 2, ADMIN | STALE, "", "Is refused, as PAUSE.", client_pause, NULL},
    {"COMMAND", "COUNT", 2, STALE, "", "Returns the number of commands.", command_tell_count, NULL},
    {"COMMAND", "DOCS", -2, STALE, "[command ...]", "Says what commands do.", command_tell_docs,
     NULL},
    {"COMMAND", "GETKEYS", -3, STALE, "command [argument ...]", "Returns the keys of a command.",
     command_tell_keys, NULL},
    {"COMMAND", "GETKEYSANDFLAGS", -3, STALE, "command [argument ...]",
     "Returns the keys of a command, and what it does to them.", command_tell_keys_and_flags, NULL},
    {"COMMAND", "INFO", -2, STALE, "[command ...]", "Tells arity, flags and keys of commands.",
     command_tell_info, NULL},
    {"COMMAND", "LIST", -2, STALE, "[FILTERBY MODULE name|ACLCAT category|PATTERN glob]",
     "Returns the names of commands.", command_tell_list, NULL},
    {"CONFIG", "GET", -3, ADMIN | STALE, "glob [glob ...]", "Returns settings.", NULL, config_get},
    {"CONFIG", "RESETSTAT", 2, ADMIN | STALE, "", "Counts anew what INFO counts.", NULL,
     config_resetstat},
    {"CONFIG", "REWRITE", 2, ADMIN | STALE, "", "Is refused: there is no file to rewrite.", NULL,
     config_rewrite},
    {"CONFIG", "SET", -4, ADMIN | STALE, "name value [name value ...]", "Changes settings.", NULL,
     config_set},
    {"FUNCTION", "DELETE", 3, COMMAND_WRITE, "library", "Removes a library.", NULL, apply_script},
    {"FUNCTION", "DUMP", 2, 0, "", "Returns all libraries, for RESTORE.", NULL, apply_script},
    {"FUNCTION", "FLUSH", -2, COMMAND_WRITE, "[ASYNC|SYNC]", "Removes all libraries.", NULL,
     apply_script},
    {"FUNCTION", "KILL", 2, 0, "", "Ends the function that runs for long.", function_kill, NULL},
    {"FUNCTION", "LIST", -2, 0, "[LIBRARYNAME glob] [WITHCODE]", "Tells of the libraries.", NULL,
     apply_script},
    {"FUNCTION", "LOAD", -3, COMMAND_WRITE, "[REPLACE] code", "Makes a library.", NULL,
     apply_script},
    {"FUNCTION", "RESTORE", -3, COMMAND_WRITE, "dump [APPEND|REPLACE|FLUSH]",
     "Makes the libraries of a dump.", NULL, apply_script},
    {"FUNCTION", "STATS", 2, 0, "", "Counts libraries and functions.", function_stats_of_busy,
     apply_script},
    {"LATENCY", "DOCTOR", 2, ADMIN | STALE, "", "Says what the noted moments mean.", NULL,
     latency_doctor},
    {"LATENCY", "GRAPH", 3, ADMIN | STALE, "event", "Is refused: see HISTORY.", NULL,
     latency_graph},
    {"LATENCY", "HISTOGRAM", -2, ADMIN | STALE, "[command ...]",
     "Returns how long the commands that are timed took.", NULL, latency_histogram},
    {"LATENCY", "HISTORY", 3, ADMIN | STALE, "event", "Returns the noted moments of an event.",
     NULL, latency_history},
    {"LATENCY", "LATEST", 2, ADMIN | STALE, "", "Returns the newest moment of each event.", NULL,
     latency_latest},
    {"LATENCY", "RESET", -2, ADMIN | STALE, "[event ...]", "Forgets moments.", NULL, latency_reset},
    {"MEMORY", "DOCTOR", 2, COMMAND_READ, "", "Says what stands out in the use of memory.", NULL,
     memory_doctor},
    {"MEMORY", "MALLOC-STATS", 2, COMMAND_READ, "", "Has nothing to tell of libc's allocator.",
     memory_malloc_stats, NULL},
    {"MEMORY", "PURGE", 2, COMMAND_READ, "", "Frees what waits to be freed.", NULL, memory_purge},
    {"MEMORY", "STATS", 2, COMMAND_READ, "", "Tells what memory is used for.", NULL, memory_stats},
    {"MEMORY", "USAGE", -3, COMMAND_READ, "key [SAMPLES count]",
     "Returns the bytes of a key, its members and its share of the table.", NULL, memory_usage},
    {"OBJECT", "ENCODING", 3, COMMAND_READ, "key", "Returns how the key is held.", object_encoding,
     NULL},
    {"OBJECT", "FREQ", 3, COMMAND_READ, "key", "Is refused: reads leave no trace.", object_freq,
     NULL},
    {"OBJECT", "IDLETIME", 3, COMMAND_READ, "key", "Is refused: reads leave no trace.",
     object_idletime, NULL},
    {"OBJECT", "REFCOUNT", 3, COMMAND_READ, "key", "Returns 1: nothing is shared.", object_refcount,
     NULL},
    {"PUBSUB", "CHANNELS", -2, COMMAND_PUBSUB, "[glob]", "Returns the channels with subscribers.",
     pubsub_list, NULL},
    {"PUBSUB", "NUMPAT", 2, COMMAND_PUBSUB, "", "Returns the number of patterns.", pubsub_numpat,
     NULL},
    {"PUBSUB", "NUMSUB", -2, COMMAND_PUBSUB, "[channel ...]", "Counts subscribers of channels.",
     pubsub_numsub, NULL},
    {"PUBSUB", "SHARDCHANNELS", -2, COMMAND_PUBSUB, "[glob]",
     "Returns the shard channels with subscribers.", pubsub_shard_list, NULL},
    {"PUBSUB", "SHARDNUMSUB", -2, COMMAND_PUBSUB, "[channel ...]",
     "Counts subscribers of shard channels.", pubsub_shardnumsub, NULL},
    {"QUIPU.BACKUP", "BEGIN", 2, ADMIN, "", "Holds what is on the disk now; returns its files.",
     NULL, backup_begin},
    {"QUIPU.BACKUP", "END", 3, ADMIN, "id", "Lets go of what was held.", NULL, backup_end},
    {"QUIPU.BACKUP", "READ", 5, ADMIN, "id file offset", "Returns a piece of a file that is held.",
     NULL, backup_read},
    {"SCRIPT", "DEBUG", 3, 0, "NO", "Takes only NO: there is no debugger.", script_debug, NULL},
    {"SCRIPT", "EXISTS", -3, 0, "sha1 [sha1 ...]", "Tells which scripts are known.", NULL,
     apply_script},
    {"SCRIPT", "FLUSH", -2, 0, "[ASYNC|SYNC]", "Forgets all scripts.", NULL, apply_script},
    {"SCRIPT", "KILL", 2, 0, "", "Ends the script that runs for long.", script_kill, NULL},
    {"SCRIPT", "LOAD", 3, 0, "script", "Compiles a script and returns its SHA-1.", NULL,
     apply_script},
    {"SLOWLOG", "GET", -2, ADMIN | STALE, "[count]", "Returns the newest slow commands.", NULL,
     slowlog_get},
    {"SLOWLOG", "LEN", 2, ADMIN | STALE, "", "Counts the slow commands that are kept.", NULL,
     slowlog_len},
    {"SLOWLOG", "RESET", 2, ADMIN | STALE, "", "Forgets the slow commands.", NULL, slowlog_reset},
};

unsigned subcommand_count(void)
{
    return sizeof subcommands / sizeof *subcommands;
}

const struct subcommand *subcommand_at(unsigned i)
{
    return &subcommands[i];
}

static bool is_of(const struct subcommand *sub, const struct command *command)
{
    return strcmp(sub->command, command->name) == 0;
}

static const struct subcommand *find(const struct call *call)
{
    for (unsigned i = 0; i < subcommand_count(); i++) {
        if (is_of(&subcommands[i], call->command) &&
            span_is_word(call->argv[1], subcommands[i].name))
            return &subcommands[i];
    }
    return NULL;
}

static void put_usage(struct call *call, const struct subcommand *sub)
{
    struct buf line;
    buf_init(&line, call->reply->out->heap);
    buf_put_text(&line, sub->name);
    buf_put_text(&line, *sub->usage ? " " : "");
    buf_put_text(&line, sub->usage);
    buf_put_byte(&line, 0);
    if (buf_has_failed(&line))
        call->reply->out->failed = true;
    else
        reply_simple(call->reply, (const char *)line.ptr);
    buf_clear(&line);
    buf_put_text(&line, "    ");
    buf_put_text(&line, sub->summary);
    buf_put_byte(&line, 0);
    if (!buf_has_failed(&line))
        reply_simple(call->reply, (const char *)line.ptr);
    buf_deinit(&line);
}

static void put_title(struct call *call)
{
    struct buf line;
    buf_init(&line, call->reply->out->heap);
    buf_put_text(&line, call->command->name);
    buf_put_text(&line, " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    buf_put_byte(&line, 0);
    if (!buf_has_failed(&line))
        reply_simple(call->reply, (const char *)line.ptr);
    buf_deinit(&line);
}

static void put_help(struct call *call)
{
    size_t count = 0;
    for (unsigned i = 0; i < subcommand_count(); i++)
        count += is_of(&subcommands[i], call->command);
    reply_array(call->reply, 2 * count + 3);
    put_title(call);
    for (unsigned i = 0; i < subcommand_count(); i++) {
        if (is_of(&subcommands[i], call->command))
            put_usage(call, &subcommands[i]);
    }
    reply_simple(call->reply, "HELP");
    reply_simple(call->reply, "    Prints this help.");
}

static bool is_arity_right(const struct subcommand *sub, uint32_t argc)
{
    return sub->arity >= 0 ? argc == (uint32_t)sub->arity : argc >= (uint32_t)-sub->arity;
}

static void refuse_arity(struct call *call, const char *command, const char *sub)
{
    char name[64];
    size_t len = 0;
    for (const char *at = command; *at; at++)
        name[len++] = *at;
    name[len++] = '|';
    for (const char *at = sub; *at && len < sizeof name - 1; at++)
        name[len++] = *at;
    for (size_t i = 0; i < len; i++)
        name[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]);
    reply_error_with(call->reply, REPLY_ERROR_ARITY, span_of(name, len));
}

// The row to go on with, or NULL: the answer is written.
static const struct subcommand *choose(struct call *call)
{
    if (span_is_word(call->argv[1], "HELP")) {
        if (call->argc == 2)
            put_help(call);
        else
            refuse_arity(call, call->command->name, "HELP");
        return NULL;
    }
    const struct subcommand *sub = find(call);
    if (!sub) {
        reply_subcommand(call);
        return NULL;
    }
    if (is_arity_right(sub, call->argc))
        return sub;
    refuse_arity(call, sub->command, sub->name);
    return NULL;
}

int run_container(struct call *call)
{
    if (call->argc == 1) // COMMAND alone
        return command_tell_info(call);
    const struct subcommand *sub = choose(call);
    if (!sub)
        return 0;
    call->session->last_sub = sub->name;
    call->session->last_of = sub->command;
    return sub->run ? sub->run(call) : COMMAND_E_POST;
}

int apply_container(struct call *call)
{
    const struct subcommand *sub = choose(call);
    if (!sub)
        return 0;
    return sub->apply ? sub->apply(call) : sub->run(call); // the latter when nested
}
