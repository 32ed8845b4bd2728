// SPDX-License-Identifier: Apache-2.0
// The claims are kept as the JSON they came in and read again for each key: a key is asked for once
// in a stream's life, and a token is short.
#include "realtime/grant.h"
#include "base/owner.h"
#include "os/clock.h"
#include "realtime/part.h"
#include "wire/url.h"

#define DAY_S 86400

static void on_expired(struct loop_timer *timer)
{
    struct grant *grant = owner_of(timer, struct grant, timer);
    grant->visitor->realtime->gauges.closed_expired++;
    visitor_end(grant->visitor, WEBSOCKET_CODE_EXPIRED, "the token has expired: bring a new one");
}

static const char *explain(int outcome)
{
    switch (outcome) {
    case TOKEN_E_FORM:
        return "the token is no JWT with HS256 and exp";
    case TOKEN_E_KEY:
        return "the token's signature is wrong";
    case TOKEN_E_TIME:
        return "the token has expired, or is not valid yet";
    default:
        return "out of memory, try again later";
    }
}

// A day and more is not waited for by a timer: no stream is kept so long.
static uint64_t left_ms(int64_t expires_s)
{
    int64_t left_s = expires_s + TOKEN_GRACE_S - (int64_t)(clock_wall_ms() / 1000);
    return left_s <= 0 ? 0 : (uint64_t)(left_s < DAY_S ? left_s : DAY_S) * 1000;
}

static const char *refuse(struct realtime *realtime, const char *wrong)
{
    realtime->gauges.tokens_refused++;
    return wrong;
}

const char *grant_take(struct visitor *visitor, struct span token)
{
    struct realtime *realtime = visitor->realtime;
    struct buf claims;
    int64_t expires_s;
    if (!realtime->options->token_keys.count)
        return NULL;
    buf_init(&claims, realtime->heap);
    int outcome = token_check(token, &realtime->options->token_keys,
                              (int64_t)(clock_wall_ms() / 1000), &claims, &expires_s);
    struct grant *grant = outcome ? NULL : heap_alloc(realtime->heap, sizeof(*grant) + claims.len);
    if (grant) {
        *grant = (struct grant){
            .timer.on_due = on_expired, .visitor = visitor, .claims_len = (uint32_t)claims.len};
        memcpy(grant->claims, claims.ptr, claims.len);
        grant_end(visitor);
        visitor->grant = grant;
        loop_timer_set(realtime->loop, &grant->timer,
                       loop_now_ms(realtime->loop) + left_ms(expires_s));
    }
    buf_deinit(&claims);
    return grant ? NULL : refuse(realtime, explain(outcome ? outcome : -ENOMEM));
}

const char *grant_request(struct visitor *visitor, const struct http_request *request)
{
    static const char bearer[] = "Bearer ";
    struct realtime *realtime = visitor->realtime;
    struct span query = request->query, name, value;
    struct span header = request->field[HTTP_FIELD_AUTHORIZATION];
    if (!realtime->options->token_keys.count)
        return NULL;
    if (header.len > strlen(bearer) && span_is_word(span_of(header.ptr, strlen(bearer)), bearer))
        return grant_take(visitor,
                          span_of(header.ptr + strlen(bearer), header.len - strlen(bearer)));
    while (url_next_pair(&query, &name, &value)) {
        if (span_is_equal(name, span_text("token")))
            return grant_take(visitor, value); // has no letter that would be encoded
    }
    return refuse(realtime, "a token is needed: token=... or Authorization: Bearer ...");
}

void grant_end(struct visitor *visitor)
{
    struct grant *grant = visitor->grant;
    if (!grant)
        return;
    visitor->grant = NULL;
    loop_timer_clear(visitor->realtime->loop, &grant->timer);
    heap_free(visitor->realtime->heap, grant, sizeof(*grant) + grant->claims_len);
}

bool grant_allows(struct visitor *visitor, const char *verb, struct span key)
{
    struct realtime *realtime = visitor->realtime;
    if (!realtime->options->token_keys.count)
        return true;
    return visitor->grant &&
           token_allows(span_of(visitor->grant->claims, visitor->grant->claims_len), verb, key,
                        &realtime->answer);
}
