// SPDX-License-Identifier: Apache-2.0
// Signatures, beside the example of the Standard Webhooks documentation and openssl's command.
#include "collector/sign.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

// The secret, message and signature that the specification's libraries are tested with.
#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define OTHER  "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static void signs_as_the_standard_does(void)
{
    static const char BODY[] = "{\"test\": 2432232314}";
    struct sign_keys k;
    struct err err = {0};
    char text[SIGN_TEXT_MAX];
    CU_ASSERT_EQUAL_FATAL(sign_keys_parse(SECRET, &k, &err), 0);
    CU_ASSERT_EQUAL(
        sign_message(&k, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, BODY, strlen(BODY), text),
        0);
    CU_ASSERT_STRING_EQUAL(text, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    sign_keys_wipe(&k);
    CU_ASSERT_EQUAL(k.n, 0);
}

static void two_live_secrets_sign_both(void)
{
    struct sign_keys k, one;
    struct err err = {0};
    char both[SIGN_TEXT_MAX], first[SIGN_TEXT_MAX];
    CU_ASSERT_EQUAL_FATAL(sign_keys_parse(SECRET "\r\n\n" OTHER, &k, &err), 0);
    CU_ASSERT_EQUAL_FATAL(sign_keys_parse(SECRET, &one, &err), 0);
    CU_ASSERT_EQUAL(k.n, 2);
    CU_ASSERT_EQUAL(k.len[0], 24);
    CU_ASSERT_EQUAL(k.len[1], 32);
    CU_ASSERT_TRUE(k.key[1][0] == 0 && k.key[1][31] == 31);
    CU_ASSERT_EQUAL(sign_message(&k, "id", 1, "b", 1, both), 0);
    CU_ASSERT_EQUAL(sign_message(&one, "id", 1, "b", 1, first), 0);
    CU_ASSERT_EQUAL(strncmp(both, first, strlen(first)), 0);
    CU_ASSERT_EQUAL(strlen(both), 2 * strlen(first) + 1);
}

static void what_is_no_secret_is_refused_without_being_shown(void)
{
    static const char *const BAD[] = {"", "\n", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa", // 23 bytes
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La!aSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwA",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        SECRET "\n" OTHER "\n" SECRET};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct sign_keys k;
        struct err err = {0};
        CU_ASSERT_EQUAL(sign_keys_parse(BAD[i], &k, &err), -EINVAL);
        CU_ASSERT_TRUE(err.msg[0] != '\0');
        CU_ASSERT_PTR_NULL(strstr(err.msg, "MfKQ"));
        CU_ASSERT_EQUAL(k.n, 0);
    }
    struct sign_keys k; // the longest: 64 bytes
    struct err err;
    CU_ASSERT_EQUAL(
        sign_keys_parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqrTwjUPD8ILPZ"
                        "Io2LaLaSwMfKQ9r8GKYqrTwjUPD8ILA==",
            &k, &err),
        0);
    CU_ASSERT_EQUAL(k.len[0], 64);
}

static const struct test TESTS[] = {
    {"signs as the standard does", signs_as_the_standard_does},
    {"two live secrets sign both", two_live_secrets_sign_both},
    {"what is no secret is refused without being shown",
        what_is_no_secret_is_refused_without_being_shown},
};

int main(void)
{
    return test_main("sign", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
