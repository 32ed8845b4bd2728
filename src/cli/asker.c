// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include "cli/asker.h"
#include "os/heap_system.h"
#include "wire/resp.h"

#define READ_BYTES   (256u << 10)
#define TOKENS_FIRST 64u

static int fail(struct asker *asker, const char *what, const char *why)
{
    snprintf(asker->error, sizeof asker->error, "%s: %s", what, why);
    return -1;
}

static int connect_any(struct asker *asker, const struct addrinfo *list, const char *text)
{
    struct timeval patience = {.tv_sec = ASKER_PATIENCE_S};
    int fault = ECONNREFUSED;
    for (const struct addrinfo *at = list; at; at = at->ai_next) {
        asker->fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (asker->fd < 0)
            return fail(asker, text, strerror(errno));
        setsockopt(asker->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(asker->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        if (!connect(asker->fd, at->ai_addr, at->ai_addrlen))
            return 0;
        fault = errno;
        close(asker->fd);
        asker->fd = -1;
    }
    return fail(asker, text, strerror(fault));
}

static int dial(struct asker *asker, const struct endpoint *endpoint)
{
    char text[ENDPOINT_TEXT_MAX], port[8];
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM}, *list;
    endpoint_write(endpoint, text);
    snprintf(port, sizeof port, "%u", endpoint->port);
    int fault = getaddrinfo(endpoint->host, port, &wanted, &list);
    if (fault)
        return fail(asker, text, gai_strerror(fault));
    fault = connect_any(asker, list, text);
    freeaddrinfo(list);
    return fault;
}

int asker_open(struct asker *asker, const struct endpoint *endpoint, const struct login *login)
{
    *asker = (struct asker){.fd = -1};
    buf_init(&asker->out, heap_system());
    buf_init(&asker->in, heap_system());
    if (dial(asker, endpoint))
        return -1;
    struct span auth[] = {span_text("AUTH"), login->user, login->password};
    return !login->user.len || asker_ask(asker, auth, 3) ? 0 : -1;
}

void asker_close(struct asker *asker)
{
    struct heap *heap = heap_system();
    if (!asker->out.heap)
        return;
    if (asker->fd >= 0)
        close(asker->fd);
    buf_deinit(&asker->out);
    buf_deinit(&asker->in);
    heap_free(heap, asker->tokens, asker->tokens_max * sizeof *asker->tokens);
    *asker = (struct asker){.fd = -1};
}

static int send_all(struct asker *asker)
{
    for (size_t at = 0; at < asker->out.len;) {
        ssize_t sent = send(asker->fd, asker->out.ptr + at, asker->out.len - at, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return fail(asker, "sending", strerror(errno));
        at += (size_t)sent;
    }
    return 0;
}

static int receive(struct asker *asker)
{
    uint8_t *to = buf_reserve(&asker->in, READ_BYTES);
    if (!to)
        return fail(asker, "the answer", strerror(ENOMEM));
    ssize_t count;
    do {
        count = recv(asker->fd, to, READ_BYTES, 0);
    } while (count < 0 && errno == EINTR);
    if (count > 0) {
        buf_advance(&asker->in, (size_t)count);
        return 0;
    }
    bool is_late = count < 0 && errno == EAGAIN;
    return fail(asker, "the answer",
                count == 0 ? "the connection ended"
                : is_late  ? "nothing came for a minute"
                           : strerror(errno));
}

static int grow_tokens(struct asker *asker, uint32_t need)
{
    uint32_t max = need > TOKENS_FIRST ? need : TOKENS_FIRST;
    struct answer_token *tokens = heap_resize(
        heap_system(), asker->tokens, asker->tokens_max * sizeof *tokens, max * sizeof *tokens);
    if (!tokens)
        return fail(asker, "the answer", strerror(ENOMEM));
    asker->tokens = tokens;
    asker->tokens_max = max;
    return 0;
}

static int take_answer(struct asker *asker)
{
    struct answer_parser parser = {0};
    int outcome = grow_tokens(asker, asker->tokens_max);
    while (!outcome) {
        struct answer answer = {.tokens = asker->tokens, .tokens_max = asker->tokens_max};
        outcome = answer_parse(&parser, buf_span(&asker->in), &answer, &asker->used);
        if (!outcome)
            return 0;
        if (outcome == ANSWER_E_ROOM)
            outcome = grow_tokens(asker, parser.tokens);
        else if (outcome == ANSWER_E_MORE)
            outcome = receive(asker);
        else
            outcome = fail(asker, "the answer", "it is not RESP: is that a database?");
    }
    return outcome;
}

const struct answer_token *asker_ask(struct asker *asker, const struct span *words, uint32_t count)
{
    buf_clear(&asker->out);
    resp_put_command(&asker->out, words, count);
    buf_consume(&asker->in, asker->used);
    asker->used = 0;
    if (buf_has_failed(&asker->out)) {
        fail(asker, "asking", strerror(ENOMEM));
        return NULL;
    }
    if (send_all(asker) || take_answer(asker))
        return NULL;
    if (asker->tokens[0].kind != ANSWER_ERROR)
        return asker->tokens;
    struct span text = asker->tokens[0].text;
    snprintf(asker->error, sizeof asker->error, "the database says: %.*s", (int)text.len,
             (const char *)text.ptr);
    return NULL;
}
