// SPDX-License-Identifier: Apache-2.0
// Session state and its line in CLIENT LIST.
#include "base/decimal.h"
#include "command/acl.h"
#include "command/transaction.h"

void session_init(struct session *session, uint64_t id, uint64_t now_ms)
{
    *session = (struct session){
        .id = id, .started_ms = now_ms, .active_ms = now_ms, .last = "", .protocol = 2};
}

void session_count_topic(struct session *session, enum topic_kind kind, int difference)
{
    session->topics[kind] += (uint32_t)difference;
    if (kind != TOPIC_MONITOR)
        session->listening += (uint32_t)difference;
}

void session_reset(struct session *session)
{
    session->protocol = 2;
    session->is_no_evict = session->is_no_touch = false;
    session->silence = SILENCE_NONE;
    session->name_len = 0;
}

// Printable, without blanks: it goes into a line of blank-separated fields.
static bool take_text(struct span from, char *to, uint8_t *out_len)
{
    if (from.len > SESSION_TEXT_MAX)
        return false;
    for (size_t i = 0; i < from.len; i++) {
        if (from.ptr[i] < '!' || from.ptr[i] > '~')
            return false;
    }
    if (from.len)
        memcpy(to, from.ptr, from.len);
    *out_len = (uint8_t)from.len;
    return true;
}

bool session_set_name(struct session *session, struct span name)
{
    return take_text(name, session->name, &session->name_len);
}

bool session_set_library(struct session *session, struct span name)
{
    return take_text(name, session->library, &session->library_len);
}

bool session_set_version(struct session *session, struct span version)
{
    return take_text(version, session->version, &session->version_len);
}

static void put_number(struct buf *out, const char *field, uint64_t value)
{
    buf_put_text(out, field);
    decimal_put_unsigned(out, value);
}

static void put_span(struct buf *out, const char *field, struct span value)
{
    buf_put_text(out, field);
    buf_put(out, value);
}

static void put_multi(const struct session *session, struct buf *out)
{
    if (session->is_queueing)
        decimal_put_unsigned(out, session->transaction->count);
    else
        buf_put_text(out, "-1");
}

static void put_lower(struct buf *out, const char *name)
{
    for (const char *at = name; *at; at++)
        buf_put_byte(out, (uint8_t)(*at >= 'A' && *at <= 'Z' ? *at + 32 : *at));
}

// In lower case, as Redis has it.
static void put_last(struct buf *out, const struct session *session)
{
    buf_put_text(out, " cmd=");
    if (!*session->last)
        buf_put_text(out, "NULL");
    put_lower(out, session->last);
    if (session->last_sub && strcmp(session->last_of, session->last) == 0) {
        buf_put_byte(out, '|');
        put_lower(out, session->last_sub);
    }
}

static const char *flags_of(const struct session *session)
{
    if (session->topics[TOPIC_MONITOR])
        return " flags=O";
    return session_is_subscribed(session) ? " flags=P" : " flags=N";
}

static void put_load(const struct session_load *load, struct buf *out)
{
    put_number(out, " qbuf=", load->input_bytes);
    buf_put_text(out, " qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0");
    put_number(out, " obl=", load->output_bytes);
    buf_put_text(out, " oll=0");
    put_number(out, " omem=", load->output_bytes);
    put_number(out, " tot-mem=", load->memory_bytes);
    buf_put_text(out, " events=r");
}

struct span session_user_name(const struct session *session)
{
    return session->user ? acl_user_name(session->user) : span_text("default");
}

void session_put_line(const struct session *session, const struct session_load *load,
                      uint64_t now_ms, struct buf *out)
{
    put_number(out, "id=", session->id);
    put_span(out, " addr=", span_text(session->address));
    put_span(out, " laddr=", span_text(session->local_address));
    put_number(out, " fd=", (uint64_t)load->fd);
    put_span(out, " name=", span_of(session->name, session->name_len));
    put_number(out, " age=", (now_ms - session->started_ms) / 1000);
    put_number(out,
               " idle=", now_ms > session->active_ms ? (now_ms - session->active_ms) / 1000 : 0);
    buf_put_text(out, flags_of(session));
    buf_put_text(out, " db=0");
    put_number(out, " sub=", session->topics[TOPIC_CHANNEL]);
    put_number(out, " psub=", session->topics[TOPIC_PATTERN]);
    put_number(out, " ssub=", session->topics[TOPIC_SHARD]);
    buf_put_text(out, " multi=");
    put_multi(session, out);
    put_load(load, out);
    put_last(out, session);
    put_span(out, " user=", session_user_name(session));
    buf_put_text(out, " redir=-1");
    put_number(out, " resp=", session->protocol);
    put_span(out, " lib-name=", span_of(session->library, session->library_len));
    put_span(out, " lib-ver=", span_of(session->version, session->version_len));
    put_number(out, " tot-cmds=", session->commands_count);
    buf_put_byte(out, '\n');
}
