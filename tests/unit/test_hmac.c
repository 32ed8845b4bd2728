// SPDX-License-Identifier: Apache-2.0
// HMAC-SHA-256 against the vectors of RFC 4231, and the text form.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/lib/heap_libc.h"
#include "wire/hmac.h"

static void assert_mac(struct span key, struct span message, const char *hex)
{
    struct heap_libc heap;
    heap_libc_init(&heap);
    struct buf text;
    buf_init(&text, &heap.heap);
    hmac_put_hex(&text, key, message);
    assert_true(span_is_equal(buf_span(&text), span_text(hex)));
    assert_true(hmac_is_hex_of(span_text(hex), key, message));
    buf_deinit(&text);
}

static void known_answers(void **state)
{
    (void)state;
    uint8_t key[131], message[50];
    memset(key, 0x0b, 20);
    assert_mac(span_of(key, 20), span_text("Hi There"),
               "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_mac(span_text("Jefe"), span_text("what do ya want for nothing?"),
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    memset(message, 0xdd, sizeof message);
    assert_mac(span_of(key, 20), span_of(message, sizeof message),
               "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    assert_mac(span_of(key, sizeof key),
               span_text("Test Using Larger Than Block-Size Key - Hash Key First"),
               "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void empty_key_and_message(void **state)
{
    (void)state;
    assert_mac((struct span){0}, (struct span){0},
               "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void equality_sees_every_byte_and_the_length(void **state)
{
    (void)state;
    uint8_t a[HMAC_BYTES] = {0}, b[HMAC_BYTES] = {0};
    assert_true(hmac_is_equal(span_of(a, sizeof a), span_of(b, sizeof b)));
    assert_false(hmac_is_equal(span_of(a, sizeof a), span_of(b, sizeof b - 1)));
    for (size_t i = 0; i < sizeof b; i++) {
        b[i] = 1;
        assert_false(hmac_is_equal(span_of(a, sizeof a), span_of(b, sizeof b)));
        b[i] = 0;
    }
    assert_true(hmac_is_equal((struct span){0}, (struct span){0}));
}

static void hex_of_another_message_is_refused(void **state)
{
    (void)state;
    const char *upper = "5BDCC146BF60754E6A042426089575C75A003F089D2739839DEC58B964EC3843";
    struct span key = span_text("Jefe"), message = span_text("what do ya want for nothing?");
    assert_true(hmac_is_hex_of(span_text(upper), key, message));
    assert_false(hmac_is_hex_of(span_text(upper), key, span_text("what do ya want")));
    assert_false(hmac_is_hex_of(span_text(upper), span_text("jefe"), message));
    assert_false(hmac_is_hex_of(span_of(upper, 63), key, message));
    assert_false(hmac_is_hex_of((struct span){0}, key, message));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(empty_key_and_message),
        cmocka_unit_test(equality_sees_every_byte_and_the_length),
        cmocka_unit_test(hex_of_another_message_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
