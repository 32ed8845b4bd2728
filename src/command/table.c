// SPDX-License-Identifier: Apache-2.0
// The table, and its index. Names are compared as two words folded to upper case, so a look-up is
// two loads, one multiplication and one compare; nothing is hashed byte by byte.
#include <assert.h>
#include "command/handlers.h"

#define READ      (COMMAND_READ | COMMAND_TIMED)
#define READ_FAST (COMMAND_READ | COMMAND_FAST)
#define ADD       (COMMAND_WRITE | COMMAND_FAST | COMMAND_KEY | COMMAND_COMMIT)
#define CHANGE    (COMMAND_WRITE | COMMAND_COMMIT | COMMAND_TIMED)
#define STALE     (COMMAND_STALE | COMMAND_FAST)
#define NOW       (COMMAND_AT_ONCE | COMMAND_NO_SCRIPT | COMMAND_STALE)
#define SCRIPTED                                                                                   \
    (COMMAND_COMMIT | COMMAND_ATOMIC | COMMAND_SESSION | COMMAND_NO_SCRIPT | COMMAND_TIMED)
#define LISTEN                                                                                     \
    (COMMAND_NO_SCRIPT | COMMAND_PUBSUB | COMMAND_SUBSCRIBED | COMMAND_ALONE | COMMAND_STALE)

// name, arity, first key, last key, step, flags, group, summary, run, apply
static const struct command table[] = {
    {"ACL", -2, 0, 0, 0, COMMAND_NO_SCRIPT | COMMAND_STALE | COMMAND_LONG, "server",
     "Users, and what they may do.", run_container, apply_container},
    {"AUTH", -2, 0, 0, 0, COMMAND_ALLOW_BUSY | COMMAND_NO_SCRIPT | STALE | COMMAND_NO_AUTH,
     "connection", "Authenticates the connection.", run_auth, NULL},
    {"CLIENT", -2, 0, 0, 0, COMMAND_NO_SCRIPT | COMMAND_ADMIN | COMMAND_STALE, "connection",
     "Names, lists and ends connections.", run_container, NULL},
    {"CLUSTER", -2, 0, 0, 0, COMMAND_STALE, "server", "Refuses: this is not a Redis cluster.",
     run_cluster, NULL},
    {"COMMAND", -1, 0, 0, 0, COMMAND_STALE, "server", "Tells what commands there are.",
     run_container, NULL},
    {"CONFIG", -2, 0, 0, 0, COMMAND_NO_SCRIPT | COMMAND_ADMIN | COMMAND_FACTS, "server",
     "Reads and changes settings.", NULL, apply_container},
    {"DBSIZE", 1, 0, 0, 0, READ_FAST, "server", "Returns the number of keys.", run_dbsize, NULL},
    {"DECR", 2, 1, 1, 1, ADD, "counter", "Subtracts one from a counter.", run_decr, apply_decr},
    {"DECRBY", -3, 1, 1, 1, ADD, "counter", "Subtracts from a counter.", run_decrby, apply_decrby},
    {"DEL", -2, 1, -1, 1, CHANGE, "generic", "Resets keys by what has been seen of them here.",
     NULL, apply_del},
    {"DISCARD", 1, 0, 0, 0, COMMAND_ALLOW_BUSY | NOW | COMMAND_FAST, "transactions",
     "Forgets what MULTI has queued.", run_discard, NULL},
    {"ECHO", 2, 0, 0, 0, STALE, "connection", "Returns its argument.", run_echo, NULL},
    {"EVAL", -3, 0, 0, 0, SCRIPTED, "scripting", "Runs a script.", NULL, apply_script},
    {"EVALSHA", -3, 0, 0, 0, SCRIPTED, "scripting", "Runs a script that is known by its SHA-1.",
     NULL, apply_script},
    {"EVALSHA_RO", -3, 0, 0, 0, SCRIPTED | COMMAND_READ, "scripting",
     "Runs a script that only reads, by its SHA-1.", NULL, apply_script},
    {"EVAL_RO", -3, 0, 0, 0, SCRIPTED | COMMAND_READ, "scripting", "Runs a script that only reads.",
     NULL, apply_script},
    {"EXEC", 1, 0, 0, 0, NOW | COMMAND_COMMIT | COMMAND_ATOMIC | COMMAND_SESSION, "transactions",
     "Runs what was queued, in one piece.", run_exec, apply_exec},
    {"EXISTS", -2, 1, -1, 1, READ_FAST, "generic", "Counts the keys that exist.", run_exists, NULL},
    {"EXPIRE", -3, 1, 1, 1, CHANGE, "generic", "Ends a key after seconds.", NULL, apply_expire},
    {"EXPIREAT", -3, 1, 1, 1, CHANGE, "generic", "Ends a key at a time in seconds.", NULL,
     apply_expireat},
    {"EXPIRETIME", 2, 1, 1, 1, READ_FAST | COMMAND_KEY, "generic",
     "Tells when a key ends, in seconds.", run_expiretime, NULL},
    {"FCALL", -3, 0, 0, 0, SCRIPTED, "scripting", "Calls a function.", NULL, apply_script},
    {"FCALL_RO", -3, 0, 0, 0, SCRIPTED | COMMAND_READ, "scripting",
     "Calls a function that only reads.", NULL, apply_script},
    {"FLUSHALL", -1, 0, 0, 0, CHANGE, "server", "Resets every key.", NULL, apply_flush},
    {"FLUSHDB", -1, 0, 0, 0, CHANGE, "server", "Resets every key.", NULL, apply_flush},
    {"FUNCTION", -2, 0, 0, 0, COMMAND_NO_SCRIPT | COMMAND_ALLOW_BUSY, "scripting",
     "Loads, tells and removes libraries of functions.", run_container, apply_container},
    {"GADD", -3, 1, 1, 1, CHANGE, "set", "Adds members to a grow-only set.", NULL, apply_gadd},
    {"GET", 2, 1, 1, 1, READ_FAST | COMMAND_KEY, "counter", "Returns a counter's value.", run_get,
     NULL},
    {"GETDEL", 2, 1, 1, 1, CHANGE, "counter", "Returns a counter's value and resets it.", NULL,
     apply_getdel},
    {"GETEX", -2, 1, 1, 1, CHANGE, "counter", "Returns a counter's value and sets when it ends.",
     NULL, apply_getex},
    {"GETSET", 3, 1, 1, 1, CHANGE, "counter", "Sets a counter and returns what it was.", NULL,
     apply_getset},
    {"HANDOFF", 3, 1, 1, 1, CHANGE | COMMAND_DURABLE, "counter",
     "Exchanges states with a client that counts exactly once.", NULL, apply_handoff},
    {"HELLO", -1, 0, 0, 0, COMMAND_ALLOW_BUSY | COMMAND_NO_SCRIPT | STALE | COMMAND_NO_AUTH,
     "connection", "Chooses the protocol version.", run_hello, NULL},
    {"INCR", 2, 1, 1, 1, ADD, "counter", "Adds one to a counter.", run_incr, apply_incr},
    {"INCRBY", -3, 1, 1, 1, ADD, "counter", "Adds to a counter.", run_incrby, apply_incrby},
    {"INFO", -1, 0, 0, 0, COMMAND_STALE | COMMAND_FACTS, "server", "Tells the state of the server.",
     NULL, apply_info},
    {"KEYS", 2, 0, 0, 0, READ | COMMAND_LONG, "generic", "Returns all keys that match a pattern.",
     run_keys, NULL},
    {"LATENCY", -2, 0, 0, 0, COMMAND_NO_SCRIPT | COMMAND_ADMIN | COMMAND_FACTS, "server",
     "Tells when something took long.", NULL, apply_container},
    {"MEMORY", -2, 2, 2, 1, READ | COMMAND_FACTS, "server", "Tells what memory is used for.",
     run_container, apply_container},
    {"MGET", -2, 1, -1, 1, READ_FAST, "counter", "Returns the values of counters.", run_mget, NULL},
    {"MODULE", -2, 0, 0, 0, COMMAND_NO_SCRIPT | COMMAND_ADMIN, "server",
     "LIST only: there are no modules.", run_module, NULL},
    {"MONITOR", 1, 0, 0, 0, COMMAND_NO_SCRIPT | COMMAND_ADMIN | COMMAND_ALONE, "server",
     "Shows every command of every client as it comes.", run_monitor, NULL},
    {"MSET", -3, 1, -1, 2, CHANGE, "counter", "Resets counters to values, in one commit.", NULL,
     apply_mset},
    {"MULTI", 1, 0, 0, 0, COMMAND_ALLOW_BUSY | NOW | COMMAND_FAST, "transactions",
     "Queues what follows until EXEC.", run_multi, NULL},
    {"OBJECT", -2, 2, 2, 1, READ, "generic", "Tells how keys are held.", run_container, NULL},
    {"PERSIST", 2, 1, 1, 1, CHANGE, "generic", "Takes a key's deadline away.", NULL, apply_persist},
    {"PEXPIRE", -3, 1, 1, 1, CHANGE, "generic", "Ends a key after milliseconds.", NULL,
     apply_pexpire},
    {"PEXPIREAT", -3, 1, 1, 1, CHANGE, "generic", "Ends a key at a time in milliseconds.", NULL,
     apply_pexpireat},
    {"PEXPIRETIME", 2, 1, 1, 1, READ_FAST | COMMAND_KEY, "generic",
     "Tells when a key ends, in milliseconds.", run_pexpiretime, NULL},
    {"PFADD", -2, 1, 1, 1, CHANGE, "hyperloglog", "Adds members to a HyperLogLog.", NULL,
     apply_pfadd},
    {"PFCOUNT", -2, 1, -1, 1, READ, "hyperloglog",
     "Returns about how many different members were added.", NULL, apply_pfcount},
    {"PFMERGE", -2, 1, -1, 1, CHANGE, "hyperloglog", "Merges HyperLogLogs into one.", NULL,
     apply_pfmerge},
    {"PING", -1, 0, 0, 0, STALE | COMMAND_SUBSCRIBED, "connection", "Answers.", run_ping, NULL},
    {"PRESENCE.LIST", 2, 1, 1, 1, READ | COMMAND_LONG, "presence",
     "Returns the owners present under a key.", NULL, apply_presence_list},
    {"PRESENCE.SET", -5, 1, 1, 1, CHANGE, "presence", "Sets an owner's count for a while.", NULL,
     apply_presence_set},
    {"PSETEX", 4, 1, 1, 1, CHANGE, "counter", "Sets a counter that ends after milliseconds.", NULL,
     apply_psetex},
    {"PSUBSCRIBE", -2, 0, 0, 0, LISTEN, "pubsub", "Listens to channels that match patterns.",
     run_psubscribe, NULL},
    {"PTTL", 2, 1, 1, 1, READ_FAST | COMMAND_KEY, "generic",
     "Tells how long a key lives, in milliseconds.", run_pttl, NULL},
    {"PUBLISH", 3, 0, 0, 0, COMMAND_PUBSUB | COMMAND_FAST, "pubsub",
     "Sends a message to a channel of this replica.", run_publish, NULL},
    {"PUBSUB", -2, 0, 0, 0, COMMAND_PUBSUB, "pubsub", "Tells about channels and subscribers.",
     run_container, NULL},
    {"PUNSUBSCRIBE", -1, 0, 0, 0, LISTEN, "pubsub", "Stops listening to patterns.",
     run_punsubscribe, NULL},
    {"QUIPU.ADVANCE", -4, 1, 1, 1, CHANGE | COMMAND_DURABLE, "quipu",
     "Moves a mark and adds to keys in one commit, or does nothing.", NULL, apply_advance},
    {"QUIPU.BACKUP", -2, 0, 0, 0, COMMAND_ADMIN | COMMAND_NO_MULTI | COMMAND_NO_SCRIPT, "quipu",
     "Reads the files of a data directory while it is in use.", NULL, apply_container},
    {"QUIPU.CREATE", -3, 1, 1, 1, CHANGE, "quipu", "Creates a key of a type.", NULL, apply_create},
    {"QUIPU.DIGEST", 1, 0, 0, 0, READ, "quipu", "A hash of all values, equal once converged.", NULL,
     apply_digest},
    {"QUIPU.FEED", -1, 0, 0, 0,
     COMMAND_ADMIN | COMMAND_NO_SCRIPT | COMMAND_SESSION | COMMAND_SUBSCRIBED, "quipu",
     "Follows what changes, from now on or from a token.", run_feed, apply_feed},
    {"QUIPU.FRESH", -1, 1, 1, 1, READ, "quipu", "Tells when each replica was last heard.", NULL,
     apply_fresh},
    {"QUIPU.INSPECT", -2, 1, 1, 1, READ | COMMAND_COMMIT, "quipu",
     "Shows a key's part of each replica.", NULL, apply_inspect},
    {"QUIPU.LINK", 3, 0, 0, 0, COMMAND_ADMIN | COMMAND_NO_MULTI | COMMAND_NO_SCRIPT, "quipu",
     "Cuts and heals links, for drills.", NULL, apply_link},
    {"QUIPU.LINKS", 1, 0, 0, 0, READ, "quipu", "Tells the state of the links to peers.", NULL,
     apply_links},
    {"QUIPU.MEMBERS", 1, 0, 0, 0, READ, "quipu", "Returns the members of the cluster.", NULL,
     apply_members},
    {"QUIPU.TOKEN", 1, 0, 0, 0,
     READ | COMMAND_COMMIT | COMMAND_DURABLE | COMMAND_NO_MULTI | COMMAND_NO_SCRIPT, "quipu",
     "A token for all that was written and seen here until now.", NULL, apply_token},
    {"QUIPU.TRANSFER", 4, 1, 1, 1, CHANGE | COMMAND_DURABLE, "quipu",
     "Gives rights to take from a bounded counter to another replica.", NULL, apply_transfer},
    {"QUIPU.VALUE", -2, 1, -1, 1, READ_FAST, "quipu", "Returns types, values and versions.",
     run_value, NULL},
    {"QUIPU.WAIT", 3, 0, 0, 0, READ, "quipu", "Waits until what a token tells of is seen here.",
     NULL, apply_wait},
    {"QUIT", -1, 0, 0, 0, COMMAND_ALLOW_BUSY | STALE | NOW | COMMAND_SUBSCRIBED | COMMAND_NO_AUTH,
     "connection", "Closes the connection.", run_quit, NULL},
    {"RANDOMKEY", 1, 0, 0, 0, READ, "generic", "Returns some key.", run_randomkey, NULL},
    {"READONLY", 1, 0, 0, 0, STALE, "server", "Refuses: this is not a Redis cluster.", run_cluster,
     NULL},
    {"RESET", 1, 0, 0, 0, COMMAND_ALLOW_BUSY | STALE | NOW | COMMAND_SUBSCRIBED | COMMAND_NO_AUTH,
     "connection", "Makes the connection as it was at its start.", run_reset, NULL},
    {"ROLE", 1, 0, 0, 0, STALE, "server", "Returns master: every replica takes writes.", run_role,
     NULL},
    {"SADD", -3, 1, 1, 1, CHANGE, "set", "Adds members to a set.", NULL, apply_sadd},
    {"SCAN", -2, 0, 0, 0, READ, "generic", "Returns the keys, a part at a time.", run_scan, NULL},
    {"SCARD", 2, 1, 1, 1, READ_FAST | COMMAND_KEY, "set", "Returns the number of members.",
     run_scard, NULL},
    {"SCRIPT", -2, 0, 0, 0, COMMAND_NO_SCRIPT | COMMAND_ALLOW_BUSY, "scripting",
     "Loads, tells and forgets scripts.", run_container, apply_container},
    {"SDIFF", -2, 1, -1, 1, READ | COMMAND_LONG, "set",
     "Returns the members of the first set that no other has.", NULL, apply_sdiff},
    {"SELECT", 2, 0, 0, 0, STALE, "connection", "Accepts 0, the only database.", run_select, NULL},
    {"SET", -3, 1, 1, 1, CHANGE, "counter", "Resets a counter to a value.", NULL, apply_set},
    {"SETEX", 4, 1, 1, 1, CHANGE, "counter", "Sets a counter that ends after seconds.", NULL,
     apply_setex},
    {"SINTER", -2, 1, -1, 1, READ | COMMAND_LONG, "set", "Returns the members that all sets have.",
     NULL, apply_sinter},
    {"SINTERCARD", -3, 0, 0, 0, READ, "set", "Counts the members that all sets have.", NULL,
     apply_sintercard},
    {"SISMEMBER", 3, 1, 1, 1, READ_FAST | COMMAND_KEY, "set", "Tells whether it is a member.",
     run_sismember, NULL},
    {"SLOWLOG", -2, 0, 0, 0, COMMAND_NO_SCRIPT | COMMAND_ADMIN, "server",
     "Tells which commands were slow.", NULL, apply_container},
    {"SMEMBERS", 2, 1, 1, 1, READ | COMMAND_LONG, "set", "Returns all members.", NULL,
     apply_smembers},
    {"SMISMEMBER", -3, 1, 1, 1, READ_FAST | COMMAND_KEY, "set", "Tells which are members.",
     run_smismember, NULL},
    {"SMOVE", 4, 1, 2, 1, CHANGE, "set", "Moves a member from one set to another, in one commit.",
     NULL, apply_smove},
    {"SPOP", -2, 1, 1, 1, CHANGE, "set", "Removes members chosen at random.", NULL, apply_spop},
    {"SPUBLISH", 3, 0, 0, 0, COMMAND_PUBSUB | COMMAND_FAST, "pubsub",
     "Sends a message to a shard channel of this replica.", run_spublish, NULL},
    {"SRANDMEMBER", -2, 1, 1, 1, READ | COMMAND_LONG, "set", "Returns members chosen at random.",
     NULL, apply_srandmember},
    {"SREM", -3, 1, 1, 1, CHANGE, "set", "Removes members by what has been seen of them here.",
     NULL, apply_srem},
    {"SSCAN", -3, 1, 1, 1, READ, "set", "Returns the members, a part at a time.", NULL,
     apply_sscan},
    {"SSUBSCRIBE", -2, 0, 0, 0, LISTEN, "pubsub", "Listens to shard channels.", run_ssubscribe,
     NULL},
    {"SUBSCRIBE", -2, 0, 0, 0, LISTEN, "pubsub", "Listens to channels.", run_subscribe, NULL},
    {"SUNION", -2, 1, -1, 1, READ | COMMAND_LONG, "set", "Returns the members that any set has.",
     NULL, apply_sunion},
    {"SUNSUBSCRIBE", -1, 0, 0, 0, LISTEN, "pubsub", "Stops listening to shard channels.",
     run_sunsubscribe, NULL},
    {"TIME", 1, 0, 0, 0, STALE, "server", "Returns the wall clock.", run_time, NULL},
    {"TOUCH", -2, 1, -1, 1, READ_FAST, "generic", "Counts the keys that exist.", run_exists, NULL},
    {"TTL", 2, 1, 1, 1, READ_FAST | COMMAND_KEY, "generic",
     "Tells how long a key lives, in seconds.", run_ttl, NULL},
    {"TYPE", 2, 1, 1, 1, READ_FAST | COMMAND_KEY, "generic", "Returns the type of a key.", run_type,
     NULL},
    {"UNLINK", -2, 1, -1, 1, CHANGE | COMMAND_FAST, "generic", "As DEL.", NULL, apply_del},
    {"UNSUBSCRIBE", -1, 0, 0, 0, LISTEN, "pubsub", "Stops listening to channels.", run_unsubscribe,
     NULL},
    {"UNWATCH", 1, 0, 0, 0, COMMAND_ALLOW_BUSY | COMMAND_NO_SCRIPT | COMMAND_STALE | COMMAND_FAST,
     "transactions", "Watches nothing any more.", run_unwatch, NULL},
    {"WAIT", 3, 0, 0, 0, COMMAND_READ | COMMAND_COMMIT | COMMAND_NO_SCRIPT, "generic",
     "Waits until members have what was written.", NULL, apply_wait_members},
    {"WATCH", -2, 1, -1, 1, NOW | COMMAND_FAST | COMMAND_COMMIT | COMMAND_SESSION, "transactions",
     "Lets EXEC do nothing if one of the keys changes.", run_watch, apply_watch},
};

unsigned command_count(void)
{
    return sizeof table / sizeof *table;
}

const struct command *command_at(unsigned i)
{
    return &table[i];
}

const struct command *command_named(struct span name)
{
    for (unsigned i = 0; i < command_count(); i++) {
        if (span_is_word(name, table[i].name))
            return &table[i];
    }
    return NULL;
}

// Up to eight bytes as a word, zeros behind them, without a look beyond the end.
static inline uint64_t load(const uint8_t *at, size_t len)
{
    uint64_t word;
    uint32_t first, last;
    if (len >= 8) {
        memcpy(&word, at, 8);
        return word;
    }
    if (len >= 4) {
        memcpy(&first, at, 4);
        memcpy(&last, at + len - 4, 4);
        return first | (uint64_t)last << 8 * (len - 4);
    }
    if (len == 0)
        return 0;
    return at[0] | (uint64_t)at[len / 2] << 8 * (len / 2) | (uint64_t)at[len - 1] << 8 * (len - 1);
}

// ASCII lower case to upper, eight bytes at once.
static inline uint64_t fold(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t seven = word & 0x7f * ones;
    uint64_t is_from_a = seven + (0x80 - 'a') * ones;
    uint64_t is_past_z = seven + (0x7f - 'z') * ones;
    uint64_t is_lower = (is_from_a ^ is_past_z) & ~word & 0x80 * ones;
    return word ^ is_lower >> 2;
}

static inline uint32_t slot_of(uint64_t low, uint64_t high)
{
    return (uint32_t)((low ^ high * 0x9e3779b97f4a7c15u) * 0xd6e8feb86659fd93u >> 54);
}

static inline struct command_slot slot_for(struct span name)
{
    size_t head = name.len < 8 ? name.len : 8;
    return (struct command_slot){.low = fold(load(name.ptr, head)),
                                 .high = fold(load(name.ptr + head, name.len - head)),
                                 .len = name.len};
}

void command_index_init(struct command_index *index)
{
    memset(index, 0, sizeof *index);
    for (unsigned i = 0; i < command_count(); i++) {
        struct span name = span_text(table[i].name);
        assert(name.len <= COMMAND_NAME_MAX);
        struct command_slot entry = slot_for(name);
        entry.command = &table[i];
        uint32_t at = slot_of(entry.low, entry.high);
        while (index->slot[at].command)
            at = (at + 1) % COMMAND_SLOTS;
        index->slot[at] = entry;
    }
}

const struct command *command_find(const struct command_index *index, struct span name)
{
    if (name.len > COMMAND_NAME_MAX)
        return NULL;
    struct command_slot wanted = slot_for(name);
    for (uint32_t at = slot_of(wanted.low, wanted.high);; at = (at + 1) % COMMAND_SLOTS) {
        const struct command_slot *slot = &index->slot[at];
        if (slot->low == wanted.low && slot->high == wanted.high && slot->len == wanted.len)
            return slot->command;
        if (!slot->command)
            return NULL;
    }
}

bool command_takes(const struct command *command, uint32_t argc)
{
    return command->arity >= 0 ? argc == (uint32_t)command->arity
                               : argc >= (uint32_t)-command->arity;
}

// As error texts have it: in lower case.
__attribute__((cold, noinline)) void command_refuse_as(struct call *call,
                                                       enum reply_error_code code)
{
    uint8_t name[COMMAND_NAME_MAX];
    size_t len = strlen(call->command->name);
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = (uint8_t)call->command->name[i];
        name[i] = byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 32) : byte;
    }
    reply_error_with(call->reply, code, span_of(name, len));
}

__attribute__((cold, noinline)) static void refuse_unknown(struct call *call)
{
    const char *why = refusal_of(call->argv[0]);
    if (why)
        reply_error_refused(call->reply, call->argv[0], why);
    else
        reply_error_unknown(call->reply, call->argv, call->argc);
}

bool command_refuse(struct call *call)
{
    const struct command *command = call->command;
    const struct session *session = call->session;
    if (!command) {
        refuse_unknown(call);
        return true;
    }
    if (!command_takes(command, call->argc)) {
        command_refuse_as(call, REPLY_ERROR_ARITY);
        return true;
    }
    if (session && session->is_guarded && auth_refuse(call))
        return true;
    if (call->is_full && bounds_refuse(call))
        return true;
    if (session && session->protocol == 2 && session_is_subscribed(session) &&
        !(command->flags & COMMAND_SUBSCRIBED)) {
        command_refuse_as(call, REPLY_ERROR_NOT_IN_SUBSCRIBE);
        return true;
    }
    return false;
}

int reply_arity(struct call *call, const char *name)
{
    reply_error_with(call->reply, REPLY_ERROR_ARITY, span_text(name));
    return 0;
}

int reply_subcommand(struct call *call)
{
    reply_error_subcommand(call->reply, call->argv[1], call->command->name);
    return 0;
}
