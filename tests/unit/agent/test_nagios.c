// SPDX-License-Identifier: Apache-2.0
#include "agent/nagios.h"
#include "tests/lib/run.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static struct {
    struct nagios_value v[8];
    size_t n, bad;
    char text[NAGIOS_TEXT_MAX + 1];
} got;

static void on_value(void *ctx, const struct nagios_value *v)
{
    (void)ctx;
    CU_ASSERT_FATAL(got.n < 8);
    got.v[got.n++] = *v;
}

static const struct nagios_value *read_text(const char *output)
{
    memset(&got, 0, sizeof(got));
    got.bad = nagios_read(output, strlen(output), got.text, on_value, NULL);
    return &got.v[0];
}

static void check_range(const struct nagios_range *r, double low, double high, bool inside)
{
    CU_ASSERT_TRUE(r->given);
    CU_ASSERT_EQUAL(r->low, low);
    CU_ASSERT_EQUAL(r->high, high);
    CU_ASSERT_EQUAL(r->inside, inside);
}

static void test_guideline(void)
{
    // Outputs of plugins of Debian 12 and the examples of the guidelines.
    const struct nagios_value *v =
        read_text("DISK OK - free space: / 3326 MiB (56%);| /=2643MiB;5948;5958;0;5968\n"
                  "/ 15272 MB (77%);\n/boot 68 MB (69%);\n"
                  "/home 69357 MB (27%);\n/var/log 819 MB (84%); | /boot=68MB;88;93;0;98\n"
                  "/home=69357MB;253404;253409;0;253414\n/var/log=818MB;970;975;0;980\n");
    CU_ASSERT_STRING_EQUAL(got.text, "DISK OK - free space: / 3326 MiB (56%);");
    CU_ASSERT_EQUAL(got.n, 4);
    CU_ASSERT_EQUAL(got.bad, 0);
    CU_ASSERT_STRING_EQUAL(v->label, "/");
    CU_ASSERT_EQUAL(v->kind, NAGIOS_BYTES);
    CU_ASSERT_EQUAL(v->value, 2643 * 0x1p20);
    check_range(&v->warning, 0, 5948 * 0x1p20, false);
    check_range(&v->critical, 0, 5958 * 0x1p20, false);
    CU_ASSERT_EQUAL(v->min, 0);
    CU_ASSERT_EQUAL(v->max, 5968 * 0x1p20);
    CU_ASSERT_STRING_EQUAL(got.v[3].label, "/var/log");

    v = read_text("HTTP OK: HTTP/1.1 200 OK - 853 bytes in 0.001 second response time "
                  "|time=0.001210s;;;0.000000;10.000000 size=853B;;;0\n");
    CU_ASSERT_EQUAL(got.n, 2);
    CU_ASSERT_EQUAL(v[0].kind, NAGIOS_SECONDS);
    CU_ASSERT_EQUAL(v[0].value, 0.00121);
    CU_ASSERT_FALSE(v[0].warning.given);
    CU_ASSERT_EQUAL(v[0].max, 10);
    CU_ASSERT_EQUAL(v[1].value, 853);
    CU_ASSERT_TRUE(isnan(v[1].max));
}

static void test_units(void)
{
    const struct nagios_value *v =
        read_text("x|a=250ms b=3us c=45% d=12c e=2KB f=7 g=1.5W h=U");
    static const double WANT[] = {0.25, 3e-6, 0.45, 12, 2048, 7, 1.5};
    static const enum nagios_kind KIND[] = {NAGIOS_SECONDS, NAGIOS_SECONDS, NAGIOS_RATIO,
        NAGIOS_COUNTER, NAGIOS_BYTES, NAGIOS_PLAIN, NAGIOS_PLAIN};
    CU_ASSERT_EQUAL_FATAL(got.n, 8);
    for (size_t i = 0; i < 7; i++) {
        CU_ASSERT_EQUAL(v[i].value, WANT[i]);
        CU_ASSERT_EQUAL(v[i].kind, KIND[i]);
    }
    CU_ASSERT_STRING_EQUAL(v[6].unit, "W");
    CU_ASSERT_TRUE(isnan(v[7].value));
}

static void test_ranges(void)
{
    const struct nagios_value *v =
        read_text("x|a=1;10;10:\nmore text\nand | b=1;~:10;10:20 c=1;@10:20;-5:5 d=5%;80;90");
    CU_ASSERT_EQUAL_FATAL(got.n, 4);
    check_range(&v[0].warning, 0, 10, false);
    check_range(&v[0].critical, 10, INFINITY, false);
    check_range(&v[1].warning, -INFINITY, 10, false);
    check_range(&v[1].critical, 10, 20, false);
    check_range(&v[2].warning, 10, 20, true);
    check_range(&v[2].critical, -5, 5, false);
    check_range(&v[3].warning, 0, 0.8, false);
}

static void test_labels(void)
{
    const struct nagios_value *v =
        read_text("x|'it''s free'=1 'C:\\ %'=2 plain-label_1=3 'a=b'=4");
    CU_ASSERT_EQUAL_FATAL(got.n, 4);
    CU_ASSERT_STRING_EQUAL(v[0].label, "it's free");
    CU_ASSERT_STRING_EQUAL(v[1].label, "C:\\ %");
    CU_ASSERT_STRING_EQUAL(v[2].label, "plain-label_1");
    CU_ASSERT_STRING_EQUAL(v[3].label, "a=b");
}

static void test_broken(void)
{
    read_text("x|=1 a= b=x 'open=5 c d=1..2 \xff=1");
    CU_ASSERT_EQUAL(got.n, 0);
    CU_ASSERT_EQUAL(got.bad, 4); // a quote that is not closed reaches to the end
    read_text("x|a=1e308PB;1e308;1e308;;1e308");
    CU_ASSERT_EQUAL(got.bad, 1);
    read_text("y|a=1 junk b=2;x;y;z;w c=3");
    CU_ASSERT_EQUAL(got.n, 3);
    CU_ASSERT_EQUAL(got.bad, 1);
    CU_ASSERT_FALSE(got.v[1].warning.given);
    read_text("");
    CU_ASSERT_EQUAL(got.n, 0);
    CU_ASSERT_STRING_EQUAL(got.text, "");
    read_text("\x01tab\tend \n");
    CU_ASSERT_STRING_EQUAL(got.text, "?tab?end");
}

static const struct test TESTS[] = {
    {"the examples of the guidelines and of real plugins", test_guideline},
    {"units are scaled to seconds, bytes and ratios", test_units},
    {"ranges, open at either end or inside out", test_ranges},
    {"labels in quotes hold blanks, quotes and equal signs", test_labels},
    {"what cannot be read is left out and counted, the rest stands", test_broken},
};

int main(void)
{
    return test_main("nagios", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
