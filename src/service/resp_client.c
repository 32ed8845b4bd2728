// SPDX-License-Identifier: Apache-2.0
// Calls are a queue that mirrors what was sent. An answer nobody waits for, or one that is none,
// ends the connection: after that nothing on it can be attributed.
#include <errno.h>
#include "os/heap_system.h"
#include "service/resp_client.h"
#include "wire/resp.h"

#define TOKENS_MIN 64
#define TOKENS_MAX (1u << 20)

static struct resp_client *client_of(struct stream *stream)
{
    return (struct resp_client *)stream;
}

static bool grow_tokens(struct resp_client *client, uint32_t need)
{
    struct answer *answer = &client->answer;
    uint32_t max = answer->tokens_max ? answer->tokens_max : TOKENS_MIN;
    while (max < need)
        max *= 2;
    if (need > TOKENS_MAX)
        return false;
    void *tokens =
        heap_resize(heap_system(), answer->tokens, answer->tokens_max * sizeof *answer->tokens,
                    max * sizeof *answer->tokens);
    if (!tokens)
        return false;
    answer->tokens = tokens;
    answer->tokens_max = max;
    return true;
}

static void give(struct resp_client *client)
{
    const struct answer_token *answer = client->answer.tokens;
    if (answer->kind == ANSWER_PUSH) {
        client->ops->on_push(client, answer);
        return;
    }
    struct resp_call *call = client->first;
    if (!call) {
        stream_close(&client->stream, -EPROTO);
        return;
    }
    client->first = call->next;
    if (!client->first)
        client->last = &client->first;
    client->waiting--;
    client->progress_ms = loop_now_ms(client->stream.loop);
    call->on_answer(call, answer);
}

static size_t on_input(struct stream *stream, struct span input)
{
    struct resp_client *client = client_of(stream);
    size_t at = 0;
    while (at < input.len && client->is_open) {
        size_t used;
        struct span rest = span_of(input.ptr + at, input.len - at);
        int outcome = answer_parse(&client->parser, rest, &client->answer, &used);
        if (outcome == ANSWER_E_ROOM && grow_tokens(client, client->parser.tokens))
            continue;
        if (outcome == ANSWER_E_MORE)
            break;
        if (outcome) {
            stream_close(stream, outcome == ANSWER_E_ROOM ? -ENOMEM : -EPROTO);
            return at;
        }
        at += used;
        give(client);
        if (stream->is_closing)
            break;
    }
    return at;
}

static void on_connected(struct stream *stream)
{
    client_of(stream)->ops->on_connected(client_of(stream));
}

static void on_closed(struct stream *stream, int fault)
{
    struct resp_client *client = client_of(stream);
    client->is_open = false;
    client->ops->on_closed(client, fault ? fault : -ECONNRESET);
    while (client->first) {
        struct resp_call *call = client->first;
        client->first = call->next;
        call->on_answer(call, NULL);
    }
    client->last = &client->first;
    client->waiting = 0;
}

static const struct stream_ops stream_ops = {
    .on_input = on_input, .on_connected = on_connected, .on_closed = on_closed};

int resp_client_dial(struct resp_client *client, struct loop *loop, const struct endpoint *endpoint,
                     const struct resp_client_ops *ops)
{
    client->ops = ops;
    client->last = &client->first;
    client->parser = (struct answer_parser){0};
    client->progress_ms = client->sent_ms = loop_now_ms(loop);
    if (client->answer.tokens_max == 0 && !grow_tokens(client, TOKENS_MIN))
        return -ENOMEM;
    const struct stream_limits limits = {
        .in_max = 64u << 20, .out_max = 64u << 20, .tls = client->tls};
    int fault = stream_dial(&client->stream, loop, endpoint, &stream_ops, &limits);
    client->is_open = fault == 0;
    return fault;
}

void resp_client_deinit(struct resp_client *client)
{
    struct answer *answer = &client->answer;
    heap_free(heap_system(), answer->tokens, answer->tokens_max * sizeof *answer->tokens);
    *answer = (struct answer){0};
}

void resp_client_send(struct resp_client *client, struct resp_call *call, const struct span *argv,
                      uint32_t argc)
{
    resp_put_command(stream_out(&client->stream), argv, argc);
    stream_written(&client->stream);
    client->sent_ms = loop_now_ms(client->stream.loop);
    if (!call)
        return;
    if (!client->first)
        client->progress_ms = client->sent_ms;
    call->next = NULL;
    *client->last = call;
    client->last = &call->next;
    client->waiting++;
}

void resp_client_abort(struct resp_client *client, int fault)
{
    if (client->is_open)
        stream_abort(&client->stream, fault);
}
