// SPDX-License-Identifier: Apache-2.0
#include "collector/mask.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <string.h>

static void there_and_back(void)
{
    static const char BODY[] =
        "{\"routing_key\":\"K3Y!K3Y!\",\"again\":\"xK3Y!K3Y!K3Y!K3Y!y\"}";
    struct buf masked, back;
    buf_init(&masked, 4096);
    buf_init(&back, 4096);
    CU_ASSERT_EQUAL(mask_put(BODY, strlen(BODY), "K3Y!K3Y!", &masked), 0);
    CU_ASSERT_PTR_NULL(strstr(buf_cstr(&masked), "K3Y!"));
    CU_ASSERT_EQUAL(mask_take(masked.data, masked.len, "K3Y!K3Y!", &back), 0);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&back), BODY);
    buf_reset(&back);
    CU_ASSERT_EQUAL(mask_json(masked.data, masked.len, &back), 0);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&back),
        "\"{\\\"routing_key\\\":\\\"***\\\",\\\"again\\\":\\\"x******y\\\"}\"");
    buf_done(&masked);
    buf_done(&back);
}

static void what_cannot_be_told_apart_is_refused(void)
{
    struct buf b;
    buf_init(&b, 64);
    CU_ASSERT_EQUAL(mask_put("a\x1a"
                             "b",
                        3, "secret", &b),
        -EINVAL);
    CU_ASSERT_EQUAL(b.len, 0);
    CU_ASSERT_EQUAL(mask_put("abc", 3, NULL, &b), 0);
    CU_ASSERT_EQUAL(mask_put("abc", 3, "b", &b), 0); // too short to be one
    CU_ASSERT_STRING_EQUAL(buf_cstr(&b), "abcabc");
    CU_ASSERT_EQUAL(mask_put("", 0, "secret", &b), 0);
    buf_done(&b);
    buf_init(&b, 2);
    CU_ASSERT_EQUAL(mask_put("abc", 3, "secret", &b), -EMSGSIZE);
    buf_done(&b);
}

static void hidden_in_place(void)
{
    char text[] = "tokentoken and token, tok";
    mask_hide(text, "token");
    CU_ASSERT_STRING_EQUAL(text, "****** and ***, tok");
    mask_hide(text, NULL);
    mask_hide(text, "");
    mask_hide(text, "tok"); // too short
    CU_ASSERT_STRING_EQUAL(text, "****** and ***, tok");
}

int main(void)
{
    static const struct test TESTS[] = {
        {"a masked text comes back to the byte, and is shown with stars", there_and_back},
        {"a text that has the masking byte is refused", what_cannot_be_told_apart_is_refused},
        {"a secret is hidden in place", hidden_in_place},
    };
    return test_main("mask", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
