// SPDX-License-Identifier: Apache-2.0
// The test build only: what is sent to /echo comes back. A WebSocket there returns each message as
// it came, up to a size that conformance suites use; HTTP returns the body with its content type.
// Suites that know no path but / have their bodies echoed there too.
#include "realtime/echo.h"
#ifdef QUIPU_TEST_BUILD
#include "realtime/part.h"
#include "realtime/site.h"

#define ECHO_BYTES_MAX (48u << 20)

uint32_t echo_bytes_max(void)
{
    return ECHO_BYTES_MAX;
}

bool echo_answer(struct visitor *visitor, const struct http_request *request)
{
    bool is_read = request->method == HTTP_METHOD_GET || request->method == HTTP_METHOD_HEAD;
    if (!span_is_equal(request->path, span_text("/echo")) &&
        (is_read || !span_is_equal(request->path, span_text("/"))))
        return false;
    if (request->is_upgrade && websocket_check_upgrade(request) == 0) {
        visitor_upgrade(visitor, request, NULL);
        visitor->mode = VISITOR_ECHO;
        visitor->websocket.message_bytes_max = ECHO_BYTES_MAX / 2;
        return true;
    }
    struct span type = request->field[HTTP_FIELD_CONTENT_TYPE];
    struct buf *headers = &visitor->realtime->answer;
    buf_clear(headers);
    http_put_header(headers, "Content-Type",
                    type.ptr ? type : span_text("application/octet-stream"));
    struct http_answer answer = {
        .status = 200, .headers = buf_span(headers), .body = request->body};
    site_put(visitor, request, &answer);
    return true;
}
#endif
