// SPDX-License-Identifier: Apache-2.0
// Which pages may open a stream. A browser names the page's origin and cannot be made to lie; a
// stream carries no cookie, so this keeps other sites from using a visitor's browser to read counts
// it alone can reach, and from counting visitors of theirs on pages of ours. Pure.
#pragma once
#include "base/span.h"

struct origins {
    const char *const *allowed; // "https://host[:port]", or "*"
    size_t count;
    bool allows_loopback; // pages of this machine, because only this machine is listened to
};

// `origin` with a NULL ptr: no browser, allowed. `host`: what the client called this server.
bool origins_has(const struct origins *origins, struct span origin, struct span host);
