// SPDX-License-Identifier: Apache-2.0
// Publications are a short chain of their publisher; a topic only counts them. The count is always
// the number of publications that point to the topic, so a connection that ends, however it ends,
// leaves no visitor behind.
#include <errno.h>
#include "realtime/pages.h"

static struct publication **find(struct publisher *publisher, const struct topic *topic)
{
    struct publication **at = &publisher->first;
    while (*at && (*at)->topic != topic)
        at = &(*at)->next;
    return at;
}

static struct topic *end_at(struct heap *heap, struct publisher *publisher, struct publication **at)
{
    struct publication *ended = *at;
    struct topic *topic = ended->topic;
    *at = ended->next;
    publisher->pages_count--;
    topic->publishers_count--;
    heap_free(heap, ended, sizeof(*ended));
    return topic;
}

int pages_publish(struct heap *heap, struct publisher *publisher, struct topic *topic)
{
    if (*find(publisher, topic))
        return PAGES_E_ALREADY;
    if (publisher->pages_count == PUBLISHER_PAGES_MAX)
        return PAGES_E_FULL;
    struct publication *fresh = heap_alloc(heap, sizeof(*fresh));
    if (!fresh)
        return -ENOMEM;
    *fresh = (struct publication){.topic = topic, .next = publisher->first};
    publisher->first = fresh;
    publisher->pages_count++;
    topic->publishers_count++;
    return 0;
}

int pages_unpublish(struct heap *heap, struct publisher *publisher, struct topic *topic)
{
    struct publication **at = find(publisher, topic);
    if (!*at)
        return PAGES_E_ALREADY;
    end_at(heap, publisher, at);
    return 0;
}

struct topic *pages_leave(struct heap *heap, struct publisher *publisher)
{
    return publisher->first ? end_at(heap, publisher, &publisher->first) : NULL;
}
