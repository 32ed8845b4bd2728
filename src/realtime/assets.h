// SPDX-License-Identifier: Apache-2.0
// The files of web/, in the program: the dashboard and the browser client need nothing installed.
#pragma once
#include "base/span.h"

struct asset {
    const char *path; // as it is asked for
    const char *type;
    bool is_page; // has a policy of what it may load
    const uint8_t *start, *end;
};

#define ASSETS_MAX 20
const struct asset *asset_find(struct span path); // NULL: none
const struct asset *asset_at(size_t index);       // of all, in any order; NULL: no more
size_t asset_index(const struct asset *asset);

static inline struct span asset_bytes(const struct asset *asset)
{
    return span_of(asset->start, (size_t)(asset->end - asset->start));
}
