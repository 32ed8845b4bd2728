// SPDX-License-Identifier: Apache-2.0
// What Redis has and quipu does not, and why: a name is answered with its reason instead of
// "unknown command". The reasons are few. A value here is a number or a set that replicas change at
// the same time and then agree on by themselves; what needs one order of all writers, or one moment
// at which nobody writes, has no sound meaning.
#include "command/handlers.h"

static const char text[] =
    "a value is a number that replicas add up; parts of a text have no merge";
static const char bits[] = "a value is a number that replicas add up, not an array of bits";
static const char list[] =
    "there are no lists: two replicas that push at once have no one order; count with INCR, keep "
    "members with SADD";
static const char hash[] =
    "there are no hashes: a field that is counted is a key of its own, INCR user:7:likes";
static const char sorted[] =
    "there are no sorted sets: a score that is counted is a key of its own, INCR score:player";
static const char stream[] =
    "there are no streams: two replicas that append at once have no one order; QUIPU.FEED is the "
    "stream of changes";
static const char geo[] = "there are no places here, only counters, sets and presence";
static const char move[] = "others may be writing to the key at this moment: what they add would "
                           "stay behind under the old "
                           "name, or be counted twice";
static const char condition[] =
    "the condition holds at one replica only: others may have set the key at the same time";
static const char combine[] =
    "the result would be stored as it was here at one moment; read the sets and combine them";
static const char one_database[] = "there is one database, 0";
static const char disk[] =
    "every commit is on the disk by itself and snapshots are written as needed; see INFO "
    "persistence";
static const char leader[] =
    "every replica takes writes, none follows another; a member is added by --peer or QUIPU.MEET";
static const char raw[] =
    "a value has one part of each replica, which a dump of one number would lose; a replica is "
    "copied by joining it";
static const char no_slots[] = "this is not a Redis cluster: every replica has every key";
static const char floats[] = "the sum of floating-point numbers depends on the order, replicas "
                             "would not agree; count in the "
                             "smallest unit, INCRBY";
static const char debug[] = "it is for the developers of Redis";
static const char process[] = "end the process by SIGTERM, which drains";
static const char toy[] = "quipu counts, it does not draw";

static const struct refusal refusals[] = {
    {"APPEND", text},
    {"ASKING", no_slots},
    {"BGREWRITEAOF", disk},
    {"BGSAVE", disk},
    {"BITCOUNT", bits},
    {"BITFIELD", bits},
    {"BITFIELD_RO", bits},
    {"BITOP", bits},
    {"BITPOS", bits},
    {"BLMOVE", list},
    {"BLMPOP", list},
    {"BLPOP", list},
    {"BRPOP", list},
    {"BRPOPLPUSH", list},
    {"BZMPOP", sorted},
    {"BZPOPMAX", sorted},
    {"BZPOPMIN", sorted},
    {"COPY", move},
    {"DEBUG", debug},
    {"DUMP", raw},
    {"FAILOVER", leader},
    {"GEOADD", geo},
    {"GEODIST", geo},
    {"GEOHASH", geo},
    {"GEOPOS", geo},
    {"GEORADIUS", geo},
    {"GEORADIUSBYMEMBER", geo},
    {"GEORADIUSBYMEMBER_RO", geo},
    {"GEORADIUS_RO", geo},
    {"GEOSEARCH", geo},
    {"GEOSEARCHSTORE", geo},
    {"GETBIT", bits},
    {"GETRANGE", text},
    {"HDEL", hash},
    {"HEXISTS", hash},
    {"HGET", hash},
    {"HGETALL", hash},
    {"HINCRBY", hash},
    {"HINCRBYFLOAT", hash},
    {"HKEYS", hash},
    {"HLEN", hash},
    {"HMGET", hash},
    {"HMSET", hash},
    {"HRANDFIELD", hash},
    {"HSCAN", hash},
    {"HSET", hash},
    {"HSETNX", hash},
    {"HSTRLEN", hash},
    {"HVALS", hash},
    {"INCRBYFLOAT", floats},
    {"LASTSAVE", disk},
    {"LCS", text},
    {"LINDEX", list},
    {"LINSERT", list},
    {"LLEN", list},
    {"LMOVE", list},
    {"LMPOP", list},
    {"LOLWUT", toy},
    {"LPOP", list},
    {"LPOS", list},
    {"LPUSH", list},
    {"LPUSHX", list},
    {"LRANGE", list},
    {"LREM", list},
    {"LSET", list},
    {"LTRIM", list},
    {"MIGRATE", raw},
    {"MOVE", one_database},
    {"MSETNX", condition},
    {"PFDEBUG", debug},
    {"PFSELFTEST", debug},
    {"PSYNC", leader},
    {"READWRITE", no_slots},
    {"RENAME", move},
    {"RENAMENX", move},
    {"REPLCONF", leader},
    {"REPLICAOF", leader},
    {"RESTORE", raw},
    {"RESTORE-ASKING", raw},
    {"RPOP", list},
    {"RPOPLPUSH", list},
    {"RPUSH", list},
    {"RPUSHX", list},
    {"SAVE", disk},
    {"SDIFFSTORE", combine},
    {"SETBIT", bits},
    {"SETNX", condition},
    {"SETRANGE", text},
    {"SHUTDOWN", process},
    {"SINTERSTORE", combine},
    {"SLAVEOF", leader},
    {"SORT", list},
    {"SORT_RO", list},
    {"STRLEN", text},
    {"SUBSTR", text},
    {"SUNIONSTORE", combine},
    {"SWAPDB", one_database},
    {"SYNC", leader},
    {"XACK", stream},
    {"XADD", stream},
    {"XAUTOCLAIM", stream},
    {"XCLAIM", stream},
    {"XDEL", stream},
    {"XGROUP", stream},
    {"XINFO", stream},
    {"XLEN", stream},
    {"XPENDING", stream},
    {"XRANGE", stream},
    {"XREAD", stream},
    {"XREADGROUP", stream},
    {"XREVRANGE", stream},
    {"XSETID", stream},
    {"XTRIM", stream},
    {"ZADD", sorted},
    {"ZCARD", sorted},
    {"ZCOUNT", sorted},
    {"ZDIFF", sorted},
    {"ZDIFFSTORE", sorted},
    {"ZINCRBY", sorted},
    {"ZINTER", sorted},
    {"ZINTERCARD", sorted},
    {"ZINTERSTORE", sorted},
    {"ZLEXCOUNT", sorted},
    {"ZMPOP", sorted},
    {"ZMSCORE", sorted},
    {"ZPOPMAX", sorted},
    {"ZPOPMIN", sorted},
    {"ZRANDMEMBER", sorted},
    {"ZRANGE", sorted},
    {"ZRANGEBYLEX", sorted},
    {"ZRANGEBYSCORE", sorted},
    {"ZRANGESTORE", sorted},
    {"ZRANK", sorted},
    {"ZREM", sorted},
    {"ZREMRANGEBYLEX", sorted},
    {"ZREMRANGEBYRANK", sorted},
    {"ZREMRANGEBYSCORE", sorted},
    {"ZREVRANGE", sorted},
    {"ZREVRANGEBYLEX", sorted},
    {"ZREVRANGEBYSCORE", sorted},
    {"ZREVRANK", sorted},
    {"ZSCAN", sorted},
    {"ZSCORE", sorted},
    {"ZUNION", sorted},
    {"ZUNIONSTORE", sorted},
};

unsigned refusal_count(void)
{
    return sizeof refusals / sizeof *refusals;
}

const struct refusal *refusal_at(unsigned i)
{
    return &refusals[i];
}

const char *refusal_of(struct span name)
{
    for (unsigned i = 0; i < refusal_count(); i++) {
        if (span_is_word(name, refusals[i].name))
            return refusals[i].why;
    }
    return NULL;
}
