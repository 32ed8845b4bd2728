// SPDX-License-Identifier: Apache-2.0
// Between the files of the command room: what the table points to. run_* on a worker, apply_* on
// the replica thread.
#pragma once
#include "command/command.h"

// counter.c
int run_incr(struct call *call);
int run_decr(struct call *call);
int run_incrby(struct call *call);
int run_decrby(struct call *call);
int apply_incr(struct call *call);
int apply_decr(struct call *call);
int apply_incrby(struct call *call);
int apply_decrby(struct call *call);
int run_get(struct call *call);
int run_mget(struct call *call);
// GET's answer for a record or NULL; `is_in_array`: what has no number is nil there.
void reply_count(struct call *call, const struct record *record, bool is_in_array);
int apply_mset(struct call *call);

// keys.c
struct record *key_find(const struct call *call, struct span key); // live, or NULL
void reply_out_of_range(struct call *call);        // the value of a RECORD_RANGE record
struct record *key_first(const struct call *call); // of argv[1] by call->hash; live, or NULL
#define KEY_BATCH 32u
struct key_batch { // argv[next] and those after it, in parts; `next` is set by the caller
    uint32_t next, count;
    struct record *record[KEY_BATCH];
};
bool key_batch_next(const struct call *call, struct key_batch *batch); // false: no more
bool key_is_allowed(struct call *call, struct span key);         // false: the error is written
bool pattern_is_allowed(struct call *call, struct span pattern); // likewise
int apply_del(struct call *call);
int run_exists(struct call *call);
int run_type(struct call *call);
int run_dbsize(struct call *call);
// expire.c
int apply_expire(struct call *call);
int apply_pexpire(struct call *call);
int apply_expireat(struct call *call);
int apply_pexpireat(struct call *call);
int apply_persist(struct call *call);
int run_ttl(struct call *call);
int run_pttl(struct call *call);
int run_expiretime(struct call *call);
int run_pexpiretime(struct call *call);
int apply_set(struct call *call);
int apply_getset(struct call *call);
int apply_setex(struct call *call);
int apply_psetex(struct call *call);
int apply_getdel(struct call *call);
int apply_getex(struct call *call);
const char *redis_type_name(enum cell_type type); // as TYPE answers

// scan.c
int run_scan(struct call *call);
int run_keys(struct call *call);
int run_randomkey(struct call *call);

// object.c
int object_encoding(struct call *call);
int object_refcount(struct call *call);
int object_freq(struct call *call);
int object_idletime(struct call *call);
int memory_usage(struct call *call);
int memory_stats(struct call *call);
int memory_doctor(struct call *call);
int memory_purge(struct call *call);
int memory_malloc_stats(struct call *call);

// containers.c: commands whose second word says what
int run_container(struct call *call);
int apply_container(struct call *call);

// backup.c
int backup_begin(struct call *call);
int backup_read(struct call *call);
int backup_end(struct call *call);

// set.c, set_walk.c, set_scan.c
int apply_gadd(struct call *call);
int apply_sadd(struct call *call);
int apply_srem(struct call *call);
int apply_smove(struct call *call);
int apply_spop(struct call *call);
int apply_smembers(struct call *call);
int apply_srandmember(struct call *call);
int apply_sscan(struct call *call);
int apply_sinter(struct call *call);
int apply_sintercard(struct call *call);
int apply_sunion(struct call *call);
int apply_sdiff(struct call *call);
int run_scard(struct call *call);
int run_sismember(struct call *call);
int run_smismember(struct call *call);

// A replica's name by origin; "?" for one whose name is not known.
const char *replica_name_of(const struct call *call, uint16_t origin); // links.c
void put_incarnation(struct call *call, uint16_t origin);              // 32 hexadecimal digits

// handoff.c
int apply_handoff(struct call *call);

// bounded.c
int apply_transfer(struct call *call);
int create_bounded(struct call *call); // QUIPU.CREATE key bounded MIN
void reply_no_rights(struct call *call, int64_t left);

// sketch.c
int apply_pfadd(struct call *call);
int apply_pfcount(struct call *call);
int apply_pfmerge(struct call *call);

// presence.c
int apply_presence_set(struct call *call);
int apply_presence_list(struct call *call);

// pubsub.c
int run_publish(struct call *call);
int run_spublish(struct call *call);
int run_subscribe(struct call *call);
int run_unsubscribe(struct call *call);
int run_ssubscribe(struct call *call);
int run_sunsubscribe(struct call *call);
int run_psubscribe(struct call *call);
int run_punsubscribe(struct call *call);
int run_monitor(struct call *call);
int pubsub_list(struct call *call);
int pubsub_numsub(struct call *call);
int pubsub_numpat(struct call *call);
int pubsub_shard_list(struct call *call);
int pubsub_shardnumsub(struct call *call);
void pubsub_leave_all(struct call *call); // without a word to the client

// connection.c
int run_ping(struct call *call);
int run_echo(struct call *call);
int run_hello(struct call *call);
int run_select(struct call *call);
int run_reset(struct call *call);
int run_quit(struct call *call);

// auth.c
int run_auth(struct call *call);
// The session becomes the user's, or the error is written.
bool auth_enter(struct call *call, struct span user, struct span password);
// Whether the session's user may not run it, with the error written.
bool auth_refuse(struct call *call);

bool acl_refuse_nested(struct call *call); // likewise, within EXEC or a script

// acl_command.c
int acl_cat(struct call *call);
int acl_deluser(struct call *call);
int acl_dryrun(struct call *call);
int acl_genpass(struct call *call);
int acl_getuser(struct call *call);
int acl_list(struct call *call);
int acl_reload(struct call *call);
int acl_log(struct call *call);
int acl_store(struct call *call);
int acl_setuser(struct call *call);
int acl_users(struct call *call);
int acl_whoami(struct call *call);

// client.c
int client_id(struct call *call);
int client_getname(struct call *call);
int client_setname(struct call *call);
int client_setinfo(struct call *call);
int client_info(struct call *call);
int client_list(struct call *call);
int client_kill(struct call *call);
int client_no_evict(struct call *call);
int client_no_touch(struct call *call);
int client_tracking(struct call *call);
int client_trackinginfo(struct call *call);
int client_caching(struct call *call);
int client_reply(struct call *call);
int client_getredir(struct call *call);
int client_unblock(struct call *call);
int client_pause(struct call *call);

// transaction.c
int run_multi(struct call *call);
int run_exec(struct call *call);
int apply_exec(struct call *call);
int run_discard(struct call *call);
int run_watch(struct call *call);
int apply_watch(struct call *call);
int run_unwatch(struct call *call);

// scripting.c
int apply_script(struct call *call);
int script_kill(struct call *call);
int function_kill(struct call *call);
int script_debug(struct call *call);
int function_stats_of_busy(struct call *call);

// server.c
int run_time(struct call *call);
int run_role(struct call *call);
int run_cluster(struct call *call);
int run_module(struct call *call);
int apply_flush(struct call *call);

// describe.c
int command_tell_info(struct call *call);
int command_tell_docs(struct call *call);
int command_tell_list(struct call *call);
int command_tell_keys(struct call *call);
int command_tell_keys_and_flags(struct call *call);
int command_tell_count(struct call *call);

// slowlog.c, latency.c
int slowlog_get(struct call *call);
int slowlog_len(struct call *call);
int slowlog_reset(struct call *call);
int latency_doctor(struct call *call);
int latency_graph(struct call *call);
int latency_histogram(struct call *call);
int latency_history(struct call *call);
int latency_latest(struct call *call);
int latency_reset(struct call *call);

// settings.c
int config_set(struct call *call);
bool config_is_known(struct span name); // config.c

// config.c, info.c
int config_get(struct call *call);
int config_set(struct call *call);
int config_resetstat(struct call *call);
int config_rewrite(struct call *call);
int apply_info(struct call *call);

// advance.c
int apply_advance(struct call *call);

// quipu.c: a key's insides and the whole; links.c: the cluster; token.c: causality
int apply_create(struct call *call);
int apply_inspect(struct call *call);
void inspect_put_cell(struct call *call, const struct cell *cell); // inspect.c
void inspect_put_child(struct call *call);                         // of argv[2] in argv[1]
int apply_digest(struct call *call);
int run_value(struct call *call);
int apply_links(struct call *call);
int apply_link(struct call *call);
int apply_members(struct call *call);
int apply_fresh(struct call *call);
int apply_token(struct call *call);
int apply_wait(struct call *call);
int apply_wait_members(struct call *call);

// feed.c
int run_feed(struct call *call);
int apply_feed(struct call *call);

// A fault of the replica thread's work: only memory can fail there.
static inline int reply_out_of_memory(struct call *call)
{
    reply_error(call->reply, REPLY_ERROR_OUT_OF_MEMORY);
    return 0;
}

// A subcommand that the command does not have, or one with the wrong number of arguments.
int reply_subcommand(struct call *call);
int reply_arity(struct call *call, const char *name);
