// SPDX-License-Identifier: Apache-2.0
// SCRAM-SHA-256 by the example of RFC 7677, section 3.
#include "agent/scram.h"
#include "tests/lib/run.h"
#include <string.h>

#define TEXT(s) (const uint8_t *)(s), strlen(s)
#define NONCE   "rOprNGfwEbeRWgbNEkqO"
#define SERVER_FIRST                                                                           \
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define SERVER_FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static void the_standards_example_comes_out(void)
{
    uint8_t signature[SCRAM_SIGNATURE];
    struct buf b;
    buf_init(&b, 1024);
    scram_first("user", NONCE, &b);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&b), "n,,n=user,r=" NONCE);
    buf_reset(&b);
    CU_ASSERT_PTR_NULL(scram_final("user", NONCE, "pencil", TEXT(SERVER_FIRST), &b, signature));
    CU_ASSERT_STRING_EQUAL(buf_cstr(&b),
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    CU_ASSERT_TRUE(scram_proven(TEXT(SERVER_FINAL), signature));
    CU_ASSERT_FALSE(
        scram_proven(TEXT("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), signature));
    CU_ASSERT_FALSE(scram_proven(TEXT("e=other-error"), signature));
    CU_ASSERT_FALSE(scram_proven(TEXT("v=6rri"), signature));
    buf_done(&b);
}

static void a_server_that_means_no_good_is_refused(void)
{
    static const char *const SAID[] = {"", "r",
        "r=", "r=" NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", // nothing of its own
        "r=other%x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",         // a nonce that is not ours
        "r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0",
        "r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=-1",
        "r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4294967295",
        "r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ==", "r=" NONCE "x,s=,i=1",
        "r=" NONCE "x,s=abc,i=1", "r=" NONCE "x,s=!!!!,i=1",
        "r=" NONCE
        "x,s=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA,i=1"};
    for (size_t i = 0; i < sizeof(SAID) / sizeof(SAID[0]); i++) {
        uint8_t signature[SCRAM_SIGNATURE];
        struct buf b;
        buf_init(&b, 1024);
        CU_ASSERT_PTR_NOT_NULL(scram_final("", NONCE, "p", TEXT(SAID[i]), &b, signature));
        CU_ASSERT_EQUAL(b.len, 0);
        buf_done(&b);
    }
}

static const struct test TESTS[] = {
    {"the standard's example comes out", the_standards_example_comes_out},
    {"a server that means no good is refused", a_server_that_means_no_good_is_refused},
};

int main(void)
{
    return test_main("scram", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
