// SPDX-License-Identifier: Apache-2.0
// The assembler reads the files when this is compiled, from the root of the tree, where make runs.
// That is outside what the compiler lists as its dependencies: the Makefile names web/ for this
// object.
#include "realtime/assets.h"

#define EMBED(symbol, file)                                                                        \
    __asm__(".pushsection .rodata\n"                                                               \
            ".balign 8\n" #symbol "_start:\n"                                                      \
            ".incbin \"" file "\"\n" #symbol "_end:\n"                                             \
            ".byte 0\n"                                                                            \
            ".popsection\n");                                                                      \
    extern const uint8_t symbol##_start[], symbol##_end[]

EMBED(asset_index, "web/index.html");
EMBED(asset_style, "web/dashboard.css");
EMBED(asset_dashboard, "web/dashboard.js");
EMBED(asset_charts, "web/dashboard-charts.js");
EMBED(asset_health, "web/dashboard-health.js");
EMBED(asset_keys, "web/dashboard-keys.js");
EMBED(asset_map, "web/dashboard-map.js");
EMBED(asset_words, "web/dashboard-words.js");
EMBED(asset_client, "web/quipu.js");
EMBED(asset_module, "web/quipu.mjs");
EMBED(asset_types, "web/quipu.d.ts");
EMBED(asset_icon, "web/icon.svg");

static const char html[] = "text/html; charset=utf-8";
static const char css[] = "text/css; charset=utf-8";
static const char script[] = "text/javascript; charset=utf-8";
static const char text[] = "text/plain; charset=utf-8";
static const char svg[] = "image/svg+xml";

static const struct asset assets[] = {
    {"/", html, true, asset_index_start, asset_index_end},
    {"/index.html", html, true, asset_index_start, asset_index_end},
    {"/dashboard.css", css, false, asset_style_start, asset_style_end},
    {"/dashboard.js", script, false, asset_dashboard_start, asset_dashboard_end},
    {"/dashboard-charts.js", script, false, asset_charts_start, asset_charts_end},
    {"/dashboard-health.js", script, false, asset_health_start, asset_health_end},
    {"/dashboard-keys.js", script, false, asset_keys_start, asset_keys_end},
    {"/dashboard-map.js", script, false, asset_map_start, asset_map_end},
    {"/dashboard-words.js", script, false, asset_words_start, asset_words_end},
    {"/quipu.js", script, false, asset_client_start, asset_client_end},
    {"/quipu.mjs", script, false, asset_module_start, asset_module_end},
    {"/quipu.d.ts", text, false, asset_types_start, asset_types_end},
    {"/icon.svg", svg, false, asset_icon_start, asset_icon_end},
    {"/favicon.ico", svg, false, asset_icon_start, asset_icon_end},
};

#define ASSETS (sizeof(assets) / sizeof(assets[0]))
_Static_assert(ASSETS <= ASSETS_MAX, "what is kept of each has its place");

const struct asset *asset_at(size_t index)
{
    return index < ASSETS ? &assets[index] : NULL;
}

size_t asset_index(const struct asset *asset)
{
    return (size_t)(asset - assets);
}

const struct asset *asset_find(struct span path)
{
    for (size_t i = 0; i < ASSETS; i++) {
        if (span_is_equal(path, span_text(assets[i].path)))
            return &assets[i];
    }
    return NULL;
}
