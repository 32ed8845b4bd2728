// SPDX-License-Identifier: Apache-2.0
// hiredis against the port in argv[1]: commands, a pipeline, a transaction, a subscription, errors.
// Prints "ok".
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *what, const char *text)
{
    fprintf(stderr, "%s: %s\n", what, text ? text : "no answer");
    exit(1);
}

static void check(redisReply *reply, int type, const char *what)
{
    if (!reply || reply->type != type)
        fail(what, reply ? reply->str : NULL);
}

static void expect_integer(redisContext *context, const char *command, long long expected)
{
    redisReply *reply = redisCommand(context, command);
    check(reply, REDIS_REPLY_INTEGER, command);
    if (reply->integer != expected)
        fail(command, "another number");
    freeReplyObject(reply);
}

static void pipeline(redisContext *context)
{
    redisReply *reply;
    for (int i = 0; i < 1000; i++)
        redisAppendCommand(context, "INCRBY %s %d", "hi:pipe", i);
    long long sum = 0;
    for (int i = 0; i < 1000; i++) {
        if (redisGetReply(context, (void **)&reply) != REDIS_OK)
            fail("pipeline", context->errstr);
        sum += i;
        if (reply->type != REDIS_REPLY_INTEGER || reply->integer != sum)
            fail("pipeline", "another number");
        freeReplyObject(reply);
    }
}

static void subscription(redisContext *context, int port)
{
    redisReply *reply;
    redisContext *listener = redisConnect("127.0.0.1", port);
    if (!listener || listener->err)
        fail("connect", listener ? listener->errstr : NULL);
    reply = redisCommand(listener, "SUBSCRIBE hi:channel");
    check(reply, REDIS_REPLY_ARRAY, "SUBSCRIBE");
    freeReplyObject(reply);
    expect_integer(context, "PUBLISH hi:channel hello", 1);
    if (redisGetReply(listener, (void **)&reply) != REDIS_OK)
        fail("a message", listener->errstr);
    check(reply, REDIS_REPLY_ARRAY, "a message");
    if (reply->elements != 3 || strcmp(reply->element[2]->str, "hello") != 0)
        fail("a message", "another one");
    freeReplyObject(reply);
    redisFree(listener);
}

static void transaction(redisContext *context)
{
    redisReply *reply;
    const char *const commands[] = {"MULTI", "INCR hi:t", "INCRBY hi:t 4", "EXEC"};
    for (int i = 0; i < 4; i++)
        redisAppendCommand(context, commands[i]);
    for (int i = 0; i < 4; i++) {
        if (redisGetReply(context, (void **)&reply) != REDIS_OK)
            fail("EXEC", context->errstr);
        check(reply, i < 3 ? REDIS_REPLY_STATUS : REDIS_REPLY_ARRAY, commands[i]);
        if (i == 3 && reply->element[1]->integer != 5)
            fail("EXEC", "another number");
        freeReplyObject(reply);
    }
}

int main(int argc, char **argv)
{
    int port = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 6379;
    redisContext *context = redisConnect("127.0.0.1", port);
    if (!context || context->err)
        fail("connect", context ? context->errstr : NULL);
    expect_integer(context, "DEL hi:a", 0);
    expect_integer(context, "INCR hi:a", 1);
    expect_integer(context, "DECRBY hi:a 11", -10);
    redisReply *reply = redisCommand(context, "GET %b", "hi:a", (size_t)4);
    check(reply, REDIS_REPLY_STRING, "GET");
    if (strcmp(reply->str, "-10") != 0)
        fail("GET", reply->str);
    freeReplyObject(reply);
    reply = redisCommand(context, "LPUSH hi:list x");
    check(reply, REDIS_REPLY_ERROR, "LPUSH");
    if (!strstr(reply->str, "LPUSH is refused: "))
        fail("LPUSH", reply->str);
    freeReplyObject(reply);
    pipeline(context);
    transaction(context);
    subscription(context, port);
    redisFree(context);
    puts("ok");
    return 0;
}
