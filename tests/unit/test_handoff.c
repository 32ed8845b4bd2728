// SPDX-License-Identifier: Apache-2.0
// Handoff counters: the same histories as tests/handoff/paper.py takes, which is written from the
// paper alone, step by step, message by message, every message by way of its bytes; and what the
// paper's estimate gets wrong.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include "crdt/handoff.h"
#include "tests/lib/heap_libc.h"

#define NODES_MAX    256
#define MESSAGES_MAX 40000
#define WORDS_MAX    400

static struct heap_libc heap;
static struct handoff_node nodes[NODES_MAX];
static bool is_there[NODES_MAX];
static struct buf messages[MESSAGES_MAX];
static unsigned messages_count;

static struct handoff_id id_of(unsigned number)
{
    struct handoff_id id = {{0}};
    id.bytes[14] = (uint8_t)(number >> 8);
    id.bytes[15] = (uint8_t)number;
    return id;
}

static unsigned number_of(const struct handoff_id *id)
{
    return (unsigned)id->bytes[14] << 8 | id->bytes[15];
}

// ---- a node's state in the words of paper.py

struct words {
    char text[WORDS_MAX][64];
    unsigned count;
};

static void put_word(struct words *words, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void put_word(struct words *words, const char *format, ...)
{
    va_list list;
    assert_true(words->count < WORDS_MAX);
    va_start(list, format);
    vsnprintf(words->text[words->count++], sizeof words->text[0], format, list);
    va_end(list);
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void put_lists(struct words *words, const struct handoff_node *node)
{
    for (uint32_t i = 0; i < node->parts_count; i++) {
        if (node->parts[i].amount)
            put_word(words, "p%u=%llu", number_of(&node->parts[i].id),
                     (unsigned long long)node->parts[i].amount);
    }
    for (uint32_t i = 0; i < node->slots_count; i++)
        put_word(words, "s%u:%llu:%llu", number_of(&node->slots[i].source),
                 (unsigned long long)node->slots[i].sck, (unsigned long long)node->slots[i].dck);
    for (uint32_t i = 0; i < node->tokens_count; i++) {
        const struct handoff_token *token = &node->tokens[i];
        put_word(words, "t%u>%u:%llu:%llu=%llu", number_of(&token->source),
                 number_of(&token->destination), (unsigned long long)token->sck,
                 (unsigned long long)token->dck, (unsigned long long)token->amount);
    }
    for (uint32_t i = 0; i < node->departed_count; i++)
        put_word(words, "d%u", number_of(&node->departed[i]));
    for (uint32_t i = 0; i < node->left_count; i++) {
        const struct handoff_token *token = &node->left[i];
        put_word(words, "l%u>%u:%llu:%llu", number_of(&token->source),
                 number_of(&token->destination), (unsigned long long)token->sck,
                 (unsigned long long)token->dck);
    }
}

static void text_of(const struct handoff_node *node, char *out, size_t size)
{
    static struct words words;
    words.count = 0;
    put_lists(&words, node);
    qsort(words.text, words.count, sizeof words.text[0], compare);
    int len = snprintf(out, size, "%llu %llu %llu %llu", (unsigned long long)node->value,
                       (unsigned long long)node->below, (unsigned long long)node->sck,
                       (unsigned long long)node->dck);
    for (unsigned i = 0; i < words.count; i++)
        len += snprintf(out + len, size - (size_t)len, " %s", words.text[i]);
}

// ---- steps

static struct handoff_node read_message(struct span bytes)
{
    struct handoff_node message;
    assert_int_equal(handoff_read(bytes, &heap.heap, &message), 0);
    return message;
}

static void tell(const char *line)
{
    unsigned message, from, to, tier;
    struct handoff_node told;
    assert_int_equal(sscanf(line, "T %u %u %u %u", &message, &from, &to, &tier), 4);
    assert_true(message == messages_count + 1 && message < MESSAGES_MAX);
    struct handoff_id receiver = id_of(to);
    int fault = to ? handoff_tell(&nodes[from], &receiver, (uint8_t)tier, &told)
                   : handoff_tell_all(&nodes[from], &told);
    assert_int_equal(fault, 0);
    messages_count = message;
    buf_init(&messages[message], &heap.heap);
    handoff_write(&told, &messages[message]);
    handoff_deinit(&told);
}

static void merge(unsigned to, unsigned message, enum handoff_estimate estimate)
{
    struct handoff_node heard = read_message(buf_span(&messages[message]));
    assert_int_equal(handoff_merge(&nodes[to], &heard, estimate), 0);
    handoff_deinit(&heard);
}

static void check_leave(const char *line)
{
    unsigned who, message, must;
    assert_int_equal(sscanf(line, "L %u %u %u", &who, &message, &must), 3);
    struct handoff_node heard = read_message(buf_span(&messages[message]));
    assert_int_equal(handoff_can_leave(&nodes[who], &heard), must);
    handoff_deinit(&heard);
}

static void leave(const char *line, enum handoff_estimate estimate)
{
    unsigned who, server;
    struct handoff_node told;
    struct buf bytes;
    assert_int_equal(sscanf(line, "B %u %u", &who, &server), 2);
    assert_int_equal(handoff_leave(&nodes[who], &told), 0);
    buf_init(&bytes, &heap.heap);
    handoff_write(&told, &bytes);
    handoff_deinit(&told);
    struct handoff_node heard = read_message(buf_span(&bytes));
    assert_int_equal(handoff_merge(&nodes[server], &heard, estimate), 0);
    handoff_deinit(&heard);
    buf_deinit(&bytes);
}

static void check_state(const char *line)
{
    static char text[WORDS_MAX * 64];
    unsigned who;
    int at;
    assert_int_equal(sscanf(line, "S %u %n", &who, &at), 1);
    text_of(&nodes[who], text, sizeof text);
    assert_string_equal(text, line + at);
}

static void step(const char *line, enum handoff_estimate estimate)
{
    unsigned a, b;
    switch (line[0]) {
    case 'N': {
        assert_int_equal(sscanf(line, "N %u %u", &a, &b), 2);
        assert_true(a < NODES_MAX);
        struct handoff_id id = id_of(a);
        handoff_init(&nodes[a], &heap.heap, &id, (uint8_t)b);
        is_there[a] = true;
        break;
    }
    case 'I':
        assert_int_equal(sscanf(line, "I %u %u", &a, &b), 2);
        assert_int_equal(handoff_add(&nodes[a], b), 0);
        break;
    case 'T':
        tell(line);
        break;
    case 'M':
        assert_int_equal(sscanf(line, "M %u %u", &a, &b), 2);
        merge(a, b, estimate);
        break;
    case 'L':
        check_leave(line);
        break;
    case 'B':
        leave(line, estimate);
        break;
    case 'D':
        assert_int_equal(sscanf(line, "D %u", &a), 1);
        handoff_deinit(&nodes[a]);
        is_there[a] = false;
        break;
    case 'S':
        check_state(line);
        break;
    default:
        fail_msg("what is %s?", line);
    }
}

struct outcome {
    unsigned total, over, broken, agree, clients, slots;
};

static struct outcome follow(unsigned seed, unsigned steps, enum handoff_estimate estimate,
                             const char *form)
{
    static char line[WORDS_MAX * 64];
    char command[160];
    struct outcome outcome = {0};
    unsigned lines = 0;
    heap_libc_init(&heap);
    snprintf(command, sizeof command, "python3 tests/handoff/paper.py %u %u %s %s", seed, steps,
             estimate == HANDOFF_PUBLISHED ? "published" : "safe", form);
    FILE *paper = popen(command, "r");
    assert_non_null(paper);
    for (messages_count = 0; fgets(line, sizeof line, paper); lines++) {
        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "END %u %u %u %u %u %u", &outcome.total, &outcome.over, &outcome.broken,
                   &outcome.agree, &outcome.clients, &outcome.slots) != 6)
            step(line, estimate);
    }
    assert_int_equal(pclose(paper), 0);
    assert_true(lines > steps / 4);
    for (unsigned i = 0; i < NODES_MAX; i++) {
        if (is_there[i])
            handoff_deinit(&nodes[i]);
        is_there[i] = false;
    }
    for (unsigned i = 1; i <= messages_count; i++)
        buf_deinit(&messages[i]);
    assert_int_equal(heap.bytes, 0);
    assert_int_equal(outcome.broken, 0); // no amount is lost or there twice, at any moment
    assert_true(outcome.total > 0 && outcome.agree && outcome.clients == 0);
    return outcome;
}

static void messages_as_in_the_paper_lead_to_the_same_states(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 12; seed++)
        follow(seed, 500, HANDOFF_PUBLISHED, "full");
    for (unsigned seed = 1; seed <= 12; seed++)
        assert_int_equal(follow(seed, 500, HANDOFF_SAFE, "full").over, 0);
}

static void short_messages_do_too_and_leave_no_slot(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++) {
        struct outcome outcome = follow(seed, 500, HANDOFF_SAFE, "pruned");
        assert_int_equal(outcome.over, 0);
        assert_int_equal(outcome.slots, 0);
    }
}

// Two relays. One counts 3 and says so; the message is under way for long. Meanwhile the server
// takes the 3 over, and the other relay hears of the server's value before the old message comes.
static uint64_t estimate_after_a_late_message(enum handoff_estimate estimate)
{
    struct handoff_node server, one, other, late, message;
    struct handoff_id ids[] = {id_of(1), id_of(2), id_of(3)};
    heap_libc_init(&heap);
    handoff_init(&server, &heap.heap, &ids[0], 0);
    handoff_init(&one, &heap.heap, &ids[1], 1);
    handoff_init(&other, &heap.heap, &ids[2], 1);
    assert_int_equal(handoff_add(&one, 3), 0);
    assert_int_equal(handoff_tell_all(&one, &late), 0);
    for (unsigned i = 0; i < 4; i++) {
        bool is_to_server = i % 2 == 0;
        assert_int_equal(handoff_tell_all(is_to_server ? &one : &server, &message), 0);
        assert_int_equal(handoff_merge(is_to_server ? &server : &one, &message, estimate), 0);
        handoff_deinit(&message);
    }
    assert_int_equal(handoff_tell_all(&server, &message), 0);
    assert_int_equal(handoff_merge(&other, &message, estimate), 0);
    assert_int_equal(other.value, 3);
    assert_int_equal(handoff_merge(&other, &late, estimate), 0);
    uint64_t value = other.value;
    handoff_deinit(&message);
    handoff_deinit(&late);
    handoff_deinit(&server);
    handoff_deinit(&one);
    handoff_deinit(&other);
    assert_int_equal(heap.bytes, 0);
    return value;
}

static void a_late_message_raises_only_the_published_estimate(void **state)
{
    (void)state;
    assert_int_equal(estimate_after_a_late_message(HANDOFF_PUBLISHED), 6); // of 3 that were counted
    assert_int_equal(estimate_after_a_late_message(HANDOFF_SAFE), 3);
}

static void malformed_messages_are_refused(void **state)
{
    struct handoff_node node, message;
    struct handoff_id id = id_of(1);
    struct buf bytes;
    (void)state;
    heap_libc_init(&heap);
    handoff_init(&node, &heap.heap, &id, 1);
    assert_int_equal(handoff_add(&node, 300), 0);
    buf_init(&bytes, &heap.heap);
    assert_int_equal(handoff_tell_all(&node, &message), 0);
    handoff_write(&message, &bytes);
    handoff_deinit(&message);
    for (size_t len = 0; len < bytes.len; len++)
        assert_int_equal(handoff_read(span_of(bytes.ptr, len), &heap.heap, &message),
                         HANDOFF_E_MALFORMED);
    buf_put_byte(&bytes, 0);
    assert_int_equal(handoff_read(buf_span(&bytes), &heap.heap, &message), HANDOFF_E_MALFORMED);
    bytes.len--;
    bytes.ptr[0] = HANDOFF_VERSION + 1;
    assert_int_equal(handoff_read(buf_span(&bytes), &heap.heap, &message), HANDOFF_E_MALFORMED);
    buf_deinit(&bytes);
    handoff_deinit(&node);
    assert_int_equal(heap.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_as_in_the_paper_lead_to_the_same_states),
        cmocka_unit_test(short_messages_do_too_and_leave_no_slot),
        cmocka_unit_test(a_late_message_raises_only_the_published_estimate),
        cmocka_unit_test(malformed_messages_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
