// SPDX-License-Identifier: Apache-2.0
// Messages out: a start line, what frames the body, the caller's further lines, the body. Bodies
// are whole when they are written, so a length is told rather than chunks.
#include "base/decimal.h"
#include "wire/http_put.h"
#include "wire/json.h"

static void put_line(struct buf *out, const char *name, const char *value)
{
    buf_put_text(out, name);
    buf_put(out, span_of(": ", 2));
    buf_put_text(out, value);
    buf_put(out, span_of("\r\n", 2));
}

void http_put_header(struct buf *out, const char *name, struct span value)
{
    buf_put_text(out, name);
    buf_put(out, span_of(": ", 2));
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] != '\r' && value.ptr[i] != '\n')
            buf_put_byte(out, value.ptr[i]);
    }
    buf_put(out, span_of("\r\n", 2));
}

static const struct status {
    uint16_t status;
    const char *text;
} statuses[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

const char *http_status_text(uint16_t status)
{
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        if (statuses[i].status == status)
            return statuses[i].text;
    }
    return "";
}

// ---- dates

static void write_two(uint8_t *to, unsigned value)
{
    to[0] = (uint8_t)('0' + value / 10 % 10);
    to[1] = (uint8_t)('0' + value % 10);
}

struct date {
    unsigned year, month, day; // month from 1
};

// The proleptic Gregorian calendar, counted in years that begin in March, so that a leap day is the
// last day of its year.
static struct date date_of(uint64_t days)
{
    uint64_t shifted = days + 719468; // since 0000-03-01
    uint64_t era = shifted / 146097, day_of_era = shifted % 146097;
    uint64_t year =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint64_t day = day_of_era - (365 * year + year / 4 - year / 100);
    uint64_t month = (5 * day + 2) / 153; // 0 is March
    unsigned is_next = month >= 10;
    return (struct date){.year = (unsigned)(era * 400 + year) + is_next,
                         .month = (unsigned)(is_next ? month - 9 : month + 3),
                         .day = (unsigned)(day - (153 * month + 2) / 5) + 1};
}

// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7)
static void put_date(struct buf *out, int64_t time_s)
{
    static const char days[] = "ThuFriSatSunMonTueWed"; // 1970 began on a Thursday
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    uint64_t time = (uint64_t)time_s, day = time / 86400;
    unsigned second = (unsigned)(time % 86400);
    struct date date = date_of(day);
    uint8_t text[] = "Date: ddd, DD mmm YYYY hh:mm:ss GMT\r\n";
    memcpy(text + 6, days + 3 * (day % 7), 3);
    write_two(text + 11, date.day);
    memcpy(text + 14, months + 3 * (date.month - 1), 3);
    write_two(text + 18, date.year / 100);
    write_two(text + 20, date.year);
    write_two(text + 23, second / 3600);
    write_two(text + 26, second / 60 % 60);
    write_two(text + 29, second % 60);
    buf_put(out, span_of(text, sizeof text - 1));
}

// ---- answers

static void put_status_line(struct buf *out, uint16_t status)
{
    if (status == 200) {
        buf_put_text(out, "HTTP/1.1 200 OK\r\n");
        return;
    }
    buf_put_text(out, "HTTP/1.1 ");
    decimal_put_unsigned(out, status);
    buf_put_byte(out, ' ');
    buf_put_text(out, http_status_text(status));
    buf_put_text(out, "\r\n");
}

static void put_length(struct buf *out, size_t len)
{
    buf_put_text(out, "Content-Length: ");
    decimal_put_unsigned(out, len);
    buf_put_text(out, "\r\n");
}

void http_put_answer(struct buf *out, const struct http_answer *answer)
{
    bool is_bodyless = answer->status < 200 || answer->status == 204 || answer->status == 304;
    put_status_line(out, answer->status);
    if (answer->time_s > 0)
        put_date(out, answer->time_s);
    if (answer->content_type)
        put_line(out, "Content-Type", answer->content_type);
    if (!is_bodyless && !answer->is_stream)
        put_length(out, answer->body.len);
    if (answer->is_closing || answer->is_stream)
        buf_put_text(out, "Connection: close\r\n");
    else if (answer->tells_keep_alive)
        buf_put_text(out, "Connection: keep-alive\r\n");
    buf_put(out, answer->headers);
    buf_put_text(out, "\r\n");
    if (!is_bodyless && !answer->is_head)
        buf_put(out, answer->body);
}

void http_put_problem(struct buf *out, const struct http_problem *problem)
{
    struct buf body;
    buf_init(&body, out->heap);
    buf_put_text(&body, "{\"type\":\"about:blank\",\"title\":");
    json_put_text(&body, http_status_text(problem->status));
    buf_put_text(&body, ",\"status\":");
    decimal_put_unsigned(&body, problem->status);
    if (problem->detail) {
        buf_put_text(&body, ",\"detail\":");
        json_put_text(&body, problem->detail);
    }
    buf_put_text(&body, "}\n");
    struct http_answer answer = {.status = problem->status,
                                 .content_type = "application/problem+json",
                                 .headers = problem->headers,
                                 .body = buf_span(&body),
                                 .time_s = problem->time_s,
                                 .is_closing = problem->is_closing,
                                 .tells_keep_alive = problem->tells_keep_alive,
                                 .is_head = problem->is_head};
    http_put_answer(out, &answer);
    out->failed |= buf_has_failed(&body);
    buf_deinit(&body);
}

void http_put_continue(struct buf *out)
{
    buf_put_text(out, "HTTP/1.1 100 Continue\r\n\r\n");
}

// ---- calls

void http_put_call(struct buf *out, const struct http_call *call)
{
    bool has_body = call->body.len > 0 || call->content_type;
    buf_put_text(out, call->method);
    buf_put_byte(out, ' ');
    buf_put(out, call->target);
    buf_put_text(out, " HTTP/1.1\r\n");
    http_put_header(out, "Host", call->host);
    if (call->content_type)
        put_line(out, "Content-Type", call->content_type);
    if (has_body)
        put_length(out, call->body.len);
    buf_put(out, call->headers);
    buf_put_text(out, "\r\n");
    buf_put(out, call->body);
}
