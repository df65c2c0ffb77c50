// SPDX-License-Identifier: Apache-2.0
// DNS byte by byte. The messages are written out as RFC 1035 draws them.
#include "agent/dialogue.h"
#include "agent/dns.h"
#include "tests/lib/run.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define ID                   0x1234
#define TEXT(s)              (const uint8_t *)(s), sizeof(s) - 1
#define QUESTION             "\1a\4test\0\0" // and a type of one byte
#define IN                   "\0\1"
#define RECORD               "\xc0\x0c\0" // the name of the question; and a type
#define TTL                  "\0\0\0\x3c"
#define HEAD(flags, answers) "\x12\x34\x81" flags "\0\1\0" answers "\0\0\0\0"

static void a_question_is_packed(void)
{
    static const char WANTED[] =
        "\x12\x34\1\0\0\1\0\0\0\0\0\1" QUESTION "\x1c" IN "\0\0\x29\x04\xd0\0\0\0\0\0\0";
    struct dns_words w = {.name = "a.test", .type = dns_type("aaaa")};
    struct buf b;
    buf_init(&b, 512);
    CU_ASSERT_TRUE(dns_ask(&w, ID, &b));
    CU_ASSERT_EQUAL_FATAL(b.len, sizeof(WANTED) - 1);
    CU_ASSERT_EQUAL(memcmp(b.data, WANTED, b.len), 0);
    w.name = "a..test";
    CU_ASSERT_FALSE(dns_ask(&w, ID, &b));
    buf_done(&b);
}

static const struct answer {
    const char *type, *expected;
    const uint8_t *data;
    size_t len;
    enum dns_sense sense;
    unsigned rcode, of_type;
    bool matched;
} ANSWERS[] = {
    {"A", "192.0.2.1",
        TEXT(HEAD("\x80", "\1") QUESTION "\1" IN RECORD "\1" IN TTL "\0\4\xc0\0\2\1"), DNS_OURS,
        0, 1, true},
    {"A", "192.0.2.2",
        TEXT(HEAD("\x80", "\1") QUESTION "\1" IN RECORD "\1" IN TTL "\0\4\xc0\0\2\1"), DNS_OURS,
        0, 1, false},
    {"A", NULL,
        TEXT(HEAD("\x80", "\2") QUESTION "\1" IN RECORD "\5" IN TTL
                                         "\0\4\1b\xc0\x0c\xc0\x24\0\1" IN TTL "\0\4\xc0\0\2\1"),
        DNS_OURS, 0, 1, true},
    {"AAAA", "2001:db8::1",
        TEXT(HEAD("\x80", "\1") QUESTION "\x1c" IN RECORD "\x1c" IN TTL
                                         "\0\x10\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"),
        DNS_OURS, 0, 1, true},
    {"MX", "10 MAIL.a.test",
        TEXT(HEAD("\x80", "\1") QUESTION "\x0f" IN RECORD "\x0f" IN TTL
                                         "\0\x09\0\x0a\4mail\xc0\x0c"),
        DNS_OURS, 0, 1, true},
    {"SRV", "0 5 5060 a.test",
        TEXT(HEAD("\x80", "\1") QUESTION "\x21" IN RECORD "\x21" IN TTL
                                         "\0\x08\0\0\0\5\x13\xc4\xc0\x0c"),
        DNS_OURS, 0, 1, true},
    {"TXT", "one two",
        TEXT(HEAD("\x80", "\1") QUESTION "\x10" IN RECORD "\x10" IN TTL "\0\x09\4one \3two"),
        DNS_OURS, 0, 1, true},
    {"SOA", "7",
        TEXT(HEAD("\x80", "\1") QUESTION
            "\6" IN RECORD "\6" IN TTL
            "\0\x18\xc0\x0c\xc0\x0c\0\0\0\7\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        DNS_OURS, 0, 1, true},
    {"A", NULL, TEXT(HEAD("\x83", "\0") QUESTION "\1" IN), DNS_OURS, 3, 0, false},
    {"A", NULL, TEXT(HEAD("\x80", "\0") QUESTION "\1" IN), DNS_OURS, 0, 0, false},
    // Somebody else's, a question, what is too short.
    {"A", NULL, TEXT("\x12\x35\x81\x80\0\1\0\0\0\0\0\0" QUESTION "\1" IN), DNS_NOT_OURS, 0, 0,
        false},
    {"A", NULL, TEXT("\x12\x34\1\0\0\1\0\0\0\0\0\0" QUESTION "\1" IN), DNS_NOT_OURS, 0, 0,
        false},
    {"A", NULL, TEXT("\x12\x34\x81"), DNS_NOT_OURS, 0, 0, false},
    // Another name, another type, no question, no end, a name that points at itself, a short address.
    {"A", NULL, TEXT(HEAD("\x80", "\0") "\1b\4test\0\0\1" IN), DNS_BROKEN, 0, 0, false},
    {"A", NULL, TEXT(HEAD("\x80", "\0") QUESTION "\2" IN), DNS_BROKEN, 0, 0, false},
    {"A", NULL, TEXT("\x12\x34\x81\x80\0\0\0\0\0\0\0\0"), DNS_BROKEN, 0, 0, false},
    {"A", NULL, TEXT(HEAD("\x80", "\1") QUESTION "\1" IN RECORD "\1" IN TTL "\0\x40\xc0\0\2\1"),
        DNS_BROKEN, 0, 0, false},
    {"A", NULL,
        TEXT(HEAD("\x80", "\1") QUESTION "\1" IN "\xc0\x18\0\1" IN TTL "\0\4\xc0\0\2\1"),
        DNS_BROKEN, 0, 0, false},
    {"A", NULL, TEXT(HEAD("\x80", "\1") QUESTION "\1" IN RECORD "\1" IN TTL "\0\3\xc0\0\2"),
        DNS_BROKEN, 0, 0, false},
    {"A", NULL, TEXT(HEAD("\x80", "\xff") QUESTION "\1" IN), DNS_BROKEN, 0, 0, false},
};

static void an_answer_is_read(void)
{
    for (size_t i = 0; i < sizeof(ANSWERS) / sizeof(ANSWERS[0]); i++) {
        const struct answer *a = &ANSWERS[i];
        struct dns_words w = {
            .name = "a.test.", .type = dns_type(a->type), .answer = a->expected};
        struct dns_reply r;
        enum dns_sense sense = dns_read(&w, ID, a->data, a->len, &r);
        bool ok = sense == a->sense &&
                  (sense != DNS_OURS || (r.rcode == a->rcode && r.of_type == a->of_type &&
                                            r.matched == a->matched && !r.truncated));
        if (!ok)
            printf("answer %zu: sense %d, rcode %u, %u of type %s, first %s\n", i, sense,
                r.rcode, r.of_type, a->type, r.first);
        CU_ASSERT_TRUE(ok);
        CU_ASSERT_EQUAL(isnan(r.serial), strcmp(a->type, "SOA") != 0);
        // Cut anywhere it is broken or not ours, never read beyond its end (asan looks).
        for (size_t n = 0; sense == DNS_OURS && r.answers && n < a->len; n++) {
            uint8_t cut[128];
            memcpy(cut, a->data, n);
            CU_ASSERT_NOT_EQUAL(dns_read(&w, ID, cut, n, &r), DNS_OURS);
        }
    }
}

// A conversation: what is said to the server first, and what comes of its answer.
static void converse(struct dialogue *d, const struct dns_words *w, bool streamed)
{
    struct dialogue_words words = {.dns = *w};
    dialogue_set(d, &DIALOGUE_DNS, &words, true);
    d->nonce[0] = ID >> 8;
    d->nonce[1] = ID & 255;
    d->streamed = streamed;
    d->kind->begin(d);
    CU_ASSERT_TRUE(d->say.len > DNS_HEADER);
    if (streamed)
        CU_ASSERT_EQUAL(d->say.data[0] << 8 | d->say.data[1], (int)d->say.len - 2);
    buf_reset(&d->say);
}

static void the_verdict_says_what_is_wrong(void)
{
    struct dialogue d = {0};
    struct dns_words w = {.name = "a.test", .type = 1};
    converse(&d, &w, false);
    dialogue_hear(&d, ANSWERS[10].data, ANSWERS[10].len); // of another question
    CU_ASSERT_EQUAL(d.state, DIALOGUE_GOES_ON);
    dialogue_hear(&d, ANSWERS[0].data, ANSWERS[0].len);
    CU_ASSERT_EQUAL(d.state, DIALOGUE_DONE);
    CU_ASSERT_EQUAL(d.values[0], 1);

    converse(&d, &w, false);
    dialogue_hear(&d, ANSWERS[8].data, ANSWERS[8].len);
    CU_ASSERT_EQUAL(d.class, CLASS_STATUS);
    CU_ASSERT_STRING_EQUAL(d.detail, "NXDOMAIN instead of NOERROR");
    converse(&d, &w, false);
    dialogue_hear(&d, ANSWERS[9].data, ANSWERS[9].len);
    CU_ASSERT_EQUAL(d.class, CLASS_CONTENT);
    converse(&d, &w, false);
    dialogue_hear(&d, ANSWERS[13].data, ANSWERS[13].len);
    CU_ASSERT_EQUAL(d.class, CLASS_PROTOCOL);

    w.answer = "192.0.2.2";
    converse(&d, &w, false);
    dialogue_hear(&d, ANSWERS[0].data, ANSWERS[0].len);
    CU_ASSERT_EQUAL(d.class, CLASS_CONTENT);
    CU_ASSERT_STRING_EQUAL(d.detail, "\"192.0.2.1\" instead of \"192.0.2.2\"");

    w.rcode = 3;
    converse(&d, &w, false);
    dialogue_hear(&d, ANSWERS[8].data, ANSWERS[8].len);
    CU_ASSERT_EQUAL(d.state, DIALOGUE_DONE);
    dialogue_done(&d);
}

static void what_does_not_fit_is_asked_again_by_stream(void)
{
    static const char CUT[] = "\x12\x34\x83\x80\0\1\0\0\0\0\0\0" QUESTION "\1" IN;
    struct dialogue d = {0};
    struct dns_words w = {.name = "a.test", .type = 1};
    uint8_t framed[256];
    converse(&d, &w, false);
    dialogue_hear(&d, TEXT(CUT));
    CU_ASSERT_TRUE(d.wants_stream);
    CU_ASSERT_EQUAL(d.state, DIALOGUE_GOES_ON);
    for (size_t piece = 1; piece < 60; piece += 7) {
        size_t len = ANSWERS[0].len + 2, taken = 0;
        framed[0] = 0;
        framed[1] = (uint8_t)ANSWERS[0].len;
        memcpy(framed + 2, ANSWERS[0].data, ANSWERS[0].len);
        converse(&d, &w, true);
        for (size_t n = piece; d.state == DIALOGUE_GOES_ON && taken < len; n += piece)
            taken += dialogue_hear(&d, framed + taken, (n < len ? n : len) - taken);
        CU_ASSERT_EQUAL(d.state, DIALOGUE_DONE);
        CU_ASSERT_EQUAL(taken, len);
    }
    converse(&d, &w, true);
    dialogue_hear(&d, TEXT("\0\4mail"));
    CU_ASSERT_EQUAL(d.class, CLASS_PROTOCOL);
    dialogue_done(&d);
}

static const struct test TESTS[] = {
    {"a question is packed", a_question_is_packed},
    {"an answer is read, or known to be broken or not ours", an_answer_is_read},
    {"the verdict says what is wrong", the_verdict_says_what_is_wrong},
    {"what does not fit is asked again by stream", what_does_not_fit_is_asked_again_by_stream},
};

int main(void)
{
    return test_main("dns", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
