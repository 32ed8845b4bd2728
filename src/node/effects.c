// SPDX-License-Identifier: Apache-2.0
// The list of effects: entries in order, their bytes in one buffer beside it.
#include <stdarg.h>
#include <stdio.h>
#include "node/effects.h"

void effects_init(struct effects *effects, struct heap *heap)
{
    *effects = (struct effects){.heap = heap};
    buf_init(&effects->bytes, heap);
}

void effects_deinit(struct effects *effects)
{
    heap_free(effects->heap, effects->list, effects->cap * sizeof *effects->list);
    buf_deinit(&effects->bytes);
}

void effects_clear(struct effects *effects)
{
    effects->count = 0;
    buf_recycle(&effects->bytes, (size_t)8 << 20);
}

static struct effect *append(struct effects *effects)
{
    if (effects->count == effects->cap) {
        size_t cap = effects->cap ? effects->cap * 2 : 32;
        struct effect *list = heap_resize(effects->heap, effects->list, effects->cap * sizeof *list,
                                          cap * sizeof *list);
        if (!list) {
            effects->failed = true;
            return NULL;
        }
        effects->list = list;
        effects->cap = cap;
    }
    struct effect *effect = &effects->list[effects->count++];
    *effect = (struct effect){0};
    return effect;
}

void effects_put(struct effects *effects, enum effect_type type, uint32_t link)
{
    struct effect *effect = append(effects);
    if (!effect)
        return;
    effect->type = type;
    effect->link = link;
}

void effects_put_origin(struct effects *effects, enum effect_type type, uint16_t origin)
{
    struct effect *effect = append(effects);
    if (!effect)
        return;
    effect->type = type;
    effect->origin = origin;
}

void effects_put_text(struct effects *effects, enum effect_type type, uint32_t link,
                      const char *format, ...)
{
    char text[501];
    va_list list;
    va_start(list, format);
    int len = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    size_t mark = effects->bytes.len;
    buf_put(&effects->bytes, span_of(text, (size_t)len < sizeof text ? (size_t)len : 500));
    struct effect *effect = append(effects);
    if (!effect)
        return;
    *effect = (struct effect){
        .type = type, .link = link, .offset = mark, .len = effects->bytes.len - mark};
}

size_t effects_open_send(struct effects *effects)
{
    return effects->bytes.len;
}

void effects_close_send(struct effects *effects, uint32_t link, size_t mark)
{
    if (buf_has_failed(&effects->bytes)) {
        effects->failed = true;
        return;
    }
    struct effect *effect = append(effects);
    if (!effect)
        return;
    *effect = (struct effect){
        .type = EFFECT_SEND, .link = link, .offset = mark, .len = effects->bytes.len - mark};
}
