// SPDX-License-Identifier: Apache-2.0
// Every build but the test build: there is no echo.
#include "realtime/echo.h"
#ifndef QUIPU_TEST_BUILD

uint32_t echo_bytes_max(void)
{
    return 0;
}

bool echo_answer(struct visitor *visitor, const struct http_request *request)
{
    (void)visitor;
    (void)request;
    return false;
}
#endif
