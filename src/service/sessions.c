// SPDX-License-Identifier: Apache-2.0
// The database is asked again and again whether it covers a token, never told to wait: the one
// connection to it serves all requests.
#include "service/sessions.h"
#include "base/owner.h"
#include "service/faults.h"

#define ASK_AGAIN_MS 20

static const char too_late[] =
    "What the token tells of has not arrived in this region yet; try again.";

void session_take(struct exchange *exchange, const struct http_request *request)
{
    struct span headers = request->headers, name, value;
    while (http_next_header(&headers, &name, &value)) {
        if (!span_is_word(name, "quipu-token"))
            continue;
        exchange->session.is_on = true;
        buf_clear(&exchange->token);
        if (!span_is_word(value, "new"))
            buf_put(&exchange->token, value);
    }
}

static void ask(struct exchange *exchange);

static void on_due(struct loop_timer *timer)
{
    ask(owner_of(timer, struct exchange, session.timer));
}

static void on_covered(struct resp_call *call, const struct answer_token *answer)
{
    struct exchange *exchange = owner_of(call, struct exchange, call);
    struct loop *loop = exchange->service->loop;
    if (fault_is_answered(exchange, answer))
        return;
    if (answer->integer)
        exchange->session.go_on(exchange);
    else if (loop_now_ms(loop) >= exchange->session.until_ms)
        exchange_problem(exchange, 503, too_late);
    else
        loop_timer_set(loop, &exchange->session.timer, loop_now_ms(loop) + ASK_AGAIN_MS);
}

static void ask(struct exchange *exchange)
{
    const struct span argv[] = {span_text("QUIPU.WAIT"), buf_span(&exchange->token),
                                span_text("0")};
    exchange->call.on_answer = on_covered;
    if (database_send(&exchange->service->database, &exchange->call, argv, 3))
        fault_away(exchange);
}

void session_wait(struct exchange *exchange, void (*go_on)(struct exchange *exchange))
{
    if (exchange->token.len == 0) {
        go_on(exchange);
        return;
    }
    struct loop *loop = exchange->service->loop;
    exchange->session.go_on = go_on;
    exchange->session.timer.on_due = on_due;
    exchange->session.until_ms = loop_now_ms(loop) + SERVICE_SESSION_WAIT_MS;
    values_flush(&exchange->service->values);
    ask(exchange);
}

static void on_token(struct resp_call *call, const struct answer_token *answer)
{
    struct exchange *exchange = owner_of(call, struct exchange, call);
    if (fault_is_answered(exchange, answer))
        return;
    buf_clear(&exchange->token);
    buf_put(&exchange->token, answer->text);
    exchange->session.go_on_with(exchange, &exchange->session.value);
}

static struct span copy(char *to, size_t size, struct span text)
{
    size_t len = text.len < size ? text.len : size;
    memcpy(to, text.ptr, len);
    return span_of(to, len);
}

void session_cover(struct exchange *exchange, const struct value *value,
                   void (*go_on)(struct exchange *exchange, const struct value *value))
{
    struct exchange_session *session = &exchange->session;
    if (!session->is_on) {
        go_on(exchange, value);
        return;
    }
    session->go_on_with = go_on;
    session->value = *value; // which borrows its texts
    session->value.type = copy(session->type, sizeof session->type, value->type);
    session->value.epoch = copy(session->epoch, sizeof session->epoch, value->epoch);
    session->value.text = (struct span){0};
    const struct span argv[] = {span_text("QUIPU.TOKEN")};
    exchange->call.on_answer = on_token;
    if (database_send(&exchange->service->database, &exchange->call, argv, 1))
        fault_away(exchange);
}
