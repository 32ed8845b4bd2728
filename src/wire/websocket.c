// SPDX-License-Identifier: Apache-2.0
// Frames of RFC 6455 section 5. A frame is judged by its head before its payload is awaited, so a
// frame that will be refused costs no memory. Text is checked as it arrives, so what is broken is
// refused at once and not when its frame or message ends.
#include <errno.h>
#include "wire/websocket.h"

#define FIN         0x80
#define RESERVED    0x70
#define PACKED      0x40 // RSV1, of a message's first frame
#define OPCODE      0x0f
#define MASKED      0x80
#define CONTROL_MAX 125
#define REASON_MAX  123
#define EARLY_BYTES 512 // unmasked at a time, to be looked at before their frame is whole

void websocket_init(struct websocket *websocket, enum websocket_role role, struct heap *heap)
{
    *websocket = (struct websocket){.is_client = role == WEBSOCKET_CLIENT,
                                    .message_bytes_max = WEBSOCKET_MESSAGE_BYTES_MAX};
    buf_init(&websocket->partial, heap);
}

void websocket_deinit(struct websocket *websocket)
{
    buf_deinit(&websocket->partial);
}

static int refuse(struct websocket *websocket, uint16_t code)
{
    websocket->code = code;
    return WEBSOCKET_E_PROTOCOL;
}

// ---- the head of a frame

struct frame {
    bool is_final, is_masked, is_control, is_packed;
    uint8_t opcode;
    uint8_t mask[4];
    size_t head_len;
    uint64_t len;
};

static size_t length_bytes(uint8_t second)
{
    uint8_t len = second & 0x7f;
    return len == 127 ? 8 : len == 126 ? 2 : 0;
}

static uint64_t read_length(const uint8_t *at, size_t count)
{
    uint64_t len = 0;
    for (size_t i = 0; i < count; i++)
        len = len << 8 | at[i];
    return len;
}

// False: the head is not whole. What it says is not judged.
static bool read_head(struct span input, struct frame *frame)
{
    if (input.len < 2)
        return false;
    uint8_t first = input.ptr[0], second = input.ptr[1];
    size_t extended = length_bytes(second);
    frame->is_final = first & FIN;
    frame->is_packed = first & PACKED;
    frame->opcode = first & OPCODE;
    frame->is_control = frame->opcode & 8;
    frame->is_masked = second & MASKED;
    frame->head_len = 2 + extended + (frame->is_masked ? 4 : 0);
    if (input.len < frame->head_len)
        return false;
    frame->len = extended ? read_length(input.ptr + 2, extended) : second & 0x7f;
    if (frame->is_masked)
        memcpy(frame->mask, input.ptr + frame->head_len - 4, 4);
    return true;
}

static bool is_known(uint8_t opcode)
{
    return opcode <= WEBSOCKET_BINARY || (opcode >= WEBSOCKET_CLOSE && opcode <= WEBSOCKET_PONG);
}

// What can be refused by the first two bytes.
static uint16_t judge_start(const struct websocket *websocket, struct span input)
{
    uint8_t first = input.ptr[0], opcode = first & OPCODE;
    bool is_data = opcode == WEBSOCKET_TEXT || opcode == WEBSOCKET_BINARY;
    bool is_control = opcode & 8;
    uint8_t allowed = websocket->deflate && is_data ? PACKED : 0;
    uint8_t reserved = first & RESERVED & (uint8_t)~allowed;
    if (reserved || !is_known(opcode) || (is_control && !(first & FIN)))
        return WEBSOCKET_CODE_PROTOCOL;
    if ((is_data && websocket->opcode) || (opcode == WEBSOCKET_CONTINUATION && !websocket->opcode))
        return WEBSOCKET_CODE_PROTOCOL;
    if (input.len < 2)
        return 0;
    bool is_masked = input.ptr[1] & MASKED;
    if (is_masked == websocket->is_client)
        return WEBSOCKET_CODE_PROTOCOL;
    bool is_long = (input.ptr[1] & 0x7f) > CONTROL_MAX;
    return is_control && is_long ? WEBSOCKET_CODE_PROTOCOL : 0;
}

// Lengths: in the shortest form, within the message's limit.
static uint16_t judge_length(const struct websocket *websocket, const struct frame *frame)
{
    size_t extended = frame->head_len - 2 - (frame->is_masked ? 4 : 0);
    bool is_padded = (extended == 2 && frame->len < 126) || (extended == 8 && frame->len <= 0xffff);
    if (is_padded || frame->len > INT64_MAX)
        return WEBSOCKET_CODE_PROTOCOL;
    size_t before = frame->is_control || !websocket->opcode ? 0 : websocket->partial.len;
    return frame->len > websocket->message_bytes_max - before ? WEBSOCKET_CODE_TOO_LARGE : 0;
}

// ---- payloads

static void unmask(uint8_t *to, const uint8_t *from, size_t len, const uint8_t mask[4])
{
    uint32_t narrow;
    memcpy(&narrow, mask, 4);
    uint64_t wide = (uint64_t)narrow << 32 | narrow, word;
    size_t at = 0;
    for (; len - at >= 8; at += 8) {
        memcpy(&word, from + at, 8);
        word ^= wide;
        memcpy(to + at, &word, 8);
    }
    for (; at < len; at++)
        to[at] = from[at] ^ mask[at & 3];
}

// Appends a frame's payload. False: -ENOMEM.
static bool take_payload(const struct frame *frame, const uint8_t *from, struct buf *to)
{
    if (frame->len == 0)
        return true;
    uint8_t *room = buf_reserve(to, (size_t)frame->len);
    if (!room)
        return false;
    if (frame->is_masked)
        unmask(room, from, (size_t)frame->len, frame->mask);
    else
        memcpy(room, from, (size_t)frame->len);
    buf_advance(to, (size_t)frame->len);
    return true;
}

static bool is_code_valid(uint16_t code)
{
    bool is_registered = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
    return is_registered || (code >= 3000 && code <= 4999);
}

static uint16_t read_close(struct span payload, struct websocket_message *message)
{
    message->code = WEBSOCKET_CODE_NONE;
    if (payload.len == 0)
        return 0;
    if (payload.len == 1)
        return WEBSOCKET_CODE_PROTOCOL;
    message->code = (uint16_t)(payload.ptr[0] << 8 | payload.ptr[1]);
    message->payload = span_of(payload.ptr + 2, payload.len - 2);
    if (!is_code_valid(message->code))
        return WEBSOCKET_CODE_PROTOCOL;
    return utf8_is_valid(message->payload) ? 0 : WEBSOCKET_CODE_NOT_UTF8;
}

static int take_control(struct websocket *websocket, const struct frame *frame, const uint8_t *from,
                        struct buf *scratch, struct websocket_message *out_message)
{
    if (!take_payload(frame, from, scratch))
        return -ENOMEM;
    struct websocket_message message = {.opcode = (enum websocket_opcode)frame->opcode,
                                        .payload = buf_span(scratch)};
    if (frame->opcode == WEBSOCKET_CLOSE) {
        uint16_t code = read_close(message.payload, &message);
        if (code)
            return refuse(websocket, code);
    }
    *out_message = message;
    return 0;
}

// The part of a text frame that is here already. False: it is not UTF-8.
static bool check_early(struct websocket *websocket, const struct frame *frame, struct span payload)
{
    bool is_begin = frame->opcode == WEBSOCKET_TEXT;
    bool is_text = is_begin ? !frame->is_packed
                            : frame->opcode == WEBSOCKET_CONTINUATION &&
                                  websocket->opcode == WEBSOCKET_TEXT && !websocket->is_packed;
    if (!is_text)
        return true;
    if (is_begin && websocket->checked == 0)
        websocket->check = (struct utf8){0};
    while (websocket->checked < payload.len) {
        uint8_t plain[EARLY_BYTES], mask[4];
        size_t at = websocket->checked;
        size_t len = payload.len - at < sizeof plain ? payload.len - at : sizeof plain;
        for (size_t i = 0; i < sizeof mask; i++)
            mask[i] = frame->is_masked ? frame->mask[(at + i) & 3] : 0;
        unmask(plain, payload.ptr + at, len, mask);
        if (!utf8_extend(&websocket->check, span_of(plain, len)))
            return false;
        websocket->checked += (uint32_t)len;
    }
    return true;
}

// Whether the new bytes of a text keep it UTF-8.
static bool extend_text(struct websocket *websocket, struct span piece, bool is_final)
{
    return utf8_extend(&websocket->check, piece) &&
           (!is_final || utf8_is_complete(&websocket->check));
}

// A deflated message is judged when it is whole.
static int unpack(struct websocket *websocket, struct span *payload)
{
    int outcome =
        deflate_unpack(websocket->deflate, *payload, websocket->message_bytes_max, payload);
    if (outcome > 0)
        return refuse(websocket, outcome == DEFLATE_E_LONG ? WEBSOCKET_CODE_TOO_LARGE
                                                           : WEBSOCKET_CODE_PROTOCOL);
    if (outcome == 0 && websocket->opcode == WEBSOCKET_TEXT && !utf8_is_valid(*payload))
        return refuse(websocket, WEBSOCKET_CODE_NOT_UTF8);
    return outcome;
}

static int take_data(struct websocket *websocket, const struct frame *frame, const uint8_t *from,
                     struct buf *scratch, struct websocket_message *out_message)
{
    bool is_whole = frame->is_final && !websocket->opcode;
    struct buf *to = is_whole ? scratch : &websocket->partial;
    size_t before = to->len;
    if (!take_payload(frame, from, to)) {
        to->failed = false;
        return -ENOMEM;
    }
    if (frame->opcode != WEBSOCKET_CONTINUATION) {
        websocket->opcode = frame->opcode;
        websocket->is_packed = frame->is_packed;
        if (websocket->checked == 0)
            websocket->check = (struct utf8){0};
    }
    size_t skipped = websocket->checked;
    struct span piece = frame->len > skipped
                            ? span_of(to->ptr + before + skipped, (size_t)frame->len - skipped)
                            : (struct span){0};
    websocket->checked = 0;
    if (websocket->opcode == WEBSOCKET_TEXT && !websocket->is_packed &&
        !extend_text(websocket, piece, frame->is_final))
        return refuse(websocket, WEBSOCKET_CODE_NOT_UTF8);
    if (!frame->is_final)
        return WEBSOCKET_E_FRAGMENT;
    struct span payload = buf_span(to);
    int outcome = websocket->is_packed ? unpack(websocket, &payload) : 0;
    if (outcome)
        return outcome;
    *out_message = (struct websocket_message){.opcode = (enum websocket_opcode)websocket->opcode,
                                              .payload = payload};
    websocket->opcode = 0;
    websocket->is_given = !is_whole;
    return 0;
}

int websocket_parse(struct websocket *websocket, struct span input, struct buf *scratch,
                    struct websocket_message *out_message, size_t *out_used)
{
    if (websocket->is_given) {
        buf_deinit(&websocket->partial);
        websocket->is_given = false;
    }
    if (input.len == 0)
        return WEBSOCKET_E_MORE;
    uint16_t code = judge_start(websocket, input);
    if (code)
        return refuse(websocket, code);
    struct frame frame;
    if (!read_head(input, &frame))
        return WEBSOCKET_E_MORE;
    code = judge_length(websocket, &frame);
    if (code)
        return refuse(websocket, code);
    struct span here = span_of(input.ptr + frame.head_len, input.len - frame.head_len);
    if (here.len < frame.len)
        return check_early(websocket, &frame, here) ? WEBSOCKET_E_MORE
                                                    : refuse(websocket, WEBSOCKET_CODE_NOT_UTF8);
    buf_clear(scratch);
    const uint8_t *payload = input.ptr + frame.head_len;
    int outcome = frame.is_control ? take_control(websocket, &frame, payload, scratch, out_message)
                                   : take_data(websocket, &frame, payload, scratch, out_message);
    if (outcome == 0 || outcome == WEBSOCKET_E_FRAGMENT)
        *out_used = frame.head_len + (size_t)frame.len;
    return outcome;
}

// ---- frames out

static void put_head(struct buf *out, enum websocket_opcode opcode, size_t len, uint8_t masked)
{
    uint8_t *to = buf_reserve(out, WEBSOCKET_HEAD_BYTES_MAX);
    if (!to)
        return;
    size_t extended = len > 0xffff ? 8 : len > CONTROL_MAX ? 2 : 0;
    to[0] = (uint8_t)(FIN | opcode);
    to[1] = (uint8_t)(masked | (extended == 8 ? 127 : extended == 2 ? 126 : len));
    for (size_t i = 0; i < extended; i++)
        to[2 + i] = (uint8_t)(len >> (8 * (extended - 1 - i)));
    buf_advance(out, 2 + extended);
}

size_t websocket_head_len(size_t frame_len)
{
    return frame_len > 0xffff + 4 ? 10 : frame_len > CONTROL_MAX + 2 ? 4 : 2;
}

void websocket_put_frame(struct buf *out, enum websocket_opcode opcode, struct span payload)
{
    put_head(out, opcode, payload.len, 0);
    buf_put(out, payload);
}

bool websocket_put_packed(struct buf *out, struct deflate *deflate, enum websocket_opcode opcode,
                          struct span payload)
{
    size_t mark = out->len;
    uint8_t *to = buf_reserve(out, WEBSOCKET_HEAD_BYTES_MAX);
    if (!to)
        return false;
    buf_advance(out, WEBSOCKET_HEAD_BYTES_MAX); // for the longest head; the payload moves to it
    if (!deflate_pack(deflate, out, payload)) {
        out->len = mark;
        return false;
    }
    size_t len = out->len - mark - WEBSOCKET_HEAD_BYTES_MAX;
    out->len = mark;
    put_head(out, opcode, len, 0);
    out->ptr[mark] |= PACKED;
    memmove(out->ptr + out->len, out->ptr + mark + WEBSOCKET_HEAD_BYTES_MAX, len);
    buf_advance(out, len);
    return true;
}

// The code big-endian and the reason, cut between characters so that the frame stays UTF-8.
static struct span close_payload(uint8_t to[2 + REASON_MAX], uint16_t code, const char *reason)
{
    size_t len = strlen(reason);
    if (len > REASON_MAX)
        len = REASON_MAX;
    len = utf8_prefix(span_of(reason, len));
    to[0] = (uint8_t)(code >> 8);
    to[1] = (uint8_t)code;
    memcpy(to + 2, reason, len);
    return span_of(to, 2 + len);
}

void websocket_put_close(struct buf *out, uint16_t code, const char *reason)
{
    uint8_t bytes[2 + REASON_MAX];
    if (code == WEBSOCKET_CODE_NONE) {
        websocket_put_frame(out, WEBSOCKET_CLOSE, (struct span){0});
        return;
    }
    websocket_put_frame(out, WEBSOCKET_CLOSE, close_payload(bytes, code, reason));
}

void websocket_put_masked(struct buf *out, enum websocket_opcode opcode, struct span payload,
                          uint32_t mask)
{
    uint8_t key[4];
    memcpy(key, &mask, 4);
    put_head(out, opcode, payload.len, MASKED);
    buf_put(out, span_of(key, 4));
    uint8_t *to = payload.len ? buf_reserve(out, payload.len) : NULL;
    if (!to)
        return;
    unmask(to, payload.ptr, payload.len, key);
    buf_advance(out, payload.len);
}
