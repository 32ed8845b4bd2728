// SPDX-License-Identifier: Apache-2.0
// The hook that runs when the operator names none: what an own one may begin with.
#include "script/script.h"

static const char program[] =
    "local function number(n)\n"
    "  if n == nil then return 'null' end\n"
    "  if type(n) == 'string' then return '\"' .. n .. '\"' end -- beyond 2^53\n"
    "  return string.format('%.0f', n)\n"
    "end\n"
    "\n"
    "function on_change(event)\n"
    "  redis.publish('" SCRIPT_DEFAULT_CHANNEL "' .. event.key,\n"
    "    '{\"key\":' .. quipu.quote(event.key) ..\n"
    "    ',\"type\":\"' .. event.type ..\n"
    "    '\",\"value\":' .. number(event.value) ..\n"
    "    ',\"version\":' .. number(event.version) ..\n"
    "    ',\"op\":\"' .. event.op ..\n"
    "    '\",\"origin\":\"' .. event.origin .. '\"}')\n"
    "end\n";

struct span script_default(void)
{
    return span_of(program, sizeof program - 1);
}
