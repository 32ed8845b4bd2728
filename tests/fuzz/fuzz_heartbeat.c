// SPDX-License-Identifier: Apache-2.0
// Any bytes as a heartbeat, as they are and signed with the right secret: what is believed is
// written again as the same bytes, for a datagram has one encoding.
#include <stdlib.h>
#include "wire/heartbeat.h"
#include "wire/hmac.h"

#define KEY_AT 6

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const struct heartbeat_key key = {.id = 3, .secret = {(const uint8_t *)"secret", 6}};

static void demand(bool is_right)
{
    if (!is_right)
        abort();
}

static void write_again(struct span datagram, struct heartbeat *heartbeat,
                        const struct heartbeat_key *with)
{
    struct heartbeat_writer writer;
    demand(heartbeat_begin(&writer, heartbeat, with) == 0);
    struct heartbeat_entry entry;
    unsigned count = 0;
    while (heartbeat_next(heartbeat, &entry)) {
        int outcome = heartbeat_add(&writer, &entry);
        demand(outcome == 0 || outcome == HEARTBEAT_E_FULL);
        if (outcome)
            return; // room for a mac is kept even where none is
        count++;
    }
    demand(count == heartbeat->count);
    demand(span_is_equal(heartbeat_end(&writer), datagram));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct heartbeat heartbeat;
    if (heartbeat_parse(span_of(bytes, len), NULL, 0, &heartbeat) == 0)
        write_again(span_of(bytes, len), &heartbeat, NULL);
    heartbeat_parse(span_of(bytes, len), &key, 1, &heartbeat);

    if (len <= KEY_AT || len > HEARTBEAT_BYTES_MAX)
        return 0;
    uint8_t *copy = malloc(len + HMAC_BYTES), mac[HMAC_BYTES];
    memcpy(copy, bytes, len);
    copy[KEY_AT] = key.id;
    hmac_sha256(key.secret, span_of(copy, len), mac);
    memcpy(copy + len, mac, HEARTBEAT_MAC_BYTES);
    struct span datagram = span_of(copy, len + HEARTBEAT_MAC_BYTES);
    if (heartbeat_parse(datagram, &key, 1, &heartbeat) == 0)
        write_again(datagram, &heartbeat, &key);
    free(copy);
    return 0;
}
