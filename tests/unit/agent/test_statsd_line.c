// SPDX-License-Identifier: Apache-2.0
// What statsd_exporter 0.28 makes of the same lines, written down here as text.
#include "agent/statsd_line.h"
#include "base/buf.h"
#include "tests/lib/run.h"
#include <inttypes.h>
#include <string.h>

static struct buf got;
static uint64_t faults[STATSD_FAULTS];

static void on_sample(void *ctx, const struct statsd_sample *s)
{
    static const char TYPES[] = "cgts";
    const char *at = s->key, *end = s->key + s->key_len;
    (void)ctx;
    buf_addf(&got, "%s%s", got.len ? " " : "", at);
    for (at += strlen(at) + 1; at < end; at += strlen(at) + 1) {
        buf_addf(&got, ",%s=", at);
        at += strlen(at) + 1;
        buf_adds(&got, at);
    }
    buf_addf(&got, " %c", TYPES[s->type]);
    if (s->type == STATSD_SET)
        buf_addf(&got, "%.*s", (int)s->member_len, s->member);
    else
        buf_addf(&got, "%s%.15g", s->relative && s->value >= 0 ? "+" : "", s->value);
    if (s->times != 1)
        buf_addf(&got, "x%" PRIu64, s->times);
}

static const char *read_line(const char *line)
{
    buf_reset(&got);
    memset(faults, 0, sizeof(faults));
    statsd_line(line, strlen(line), faults, on_sample, NULL);
    return buf_cstr(&got);
}

static void check_line(const char *line, const char *want)
{
    const char *is = read_line(line);
    if (strcmp(is, want) != 0) {
        printf("  %s\n  is   %s\n  want %s\n", line, is, want);
        CU_FAIL("another reading");
    }
}

static void check_fault(const char *line, enum statsd_fault f)
{
    check_line(line, "");
    if (faults[f] != 1) {
        printf("  %s: no %s\n", line, statsd_fault_name(f));
        CU_FAIL("another fault");
    }
}

static void types(void)
{
    check_line("foo:2|c", "foo c2");
    check_line("foo:3|g", "foo g3");
    check_line("foo:+3|g", "foo g+3");
    check_line("foo:-3.5|g", "foo g-3.5");
    check_line("foo:200|ms", "foo t0.2");
    check_line("foo:200|h", "foo t200");
    check_line("foo:0.5|d", "foo t0.5");
    check_line("foo:joe|s", "foo sjoe");
    check_line("foo:1e3|c", "foo c1000");
    check_line("foo:0.1|c|@0.1", "foo c1");
    check_line("foo:2|c|@0.2", "foo c10");
    check_line("foo:3|g|@0.2", "foo g3");
    check_line("foo:10|ms|@0.1", "foo t0.01x10");
    check_line("foo:10|h|@0.3", "foo t10x3");
    check_line("foo:10|c|@0", "foo c10");
    check_line("foo:1234567890123456789|c", "foo c1.23456789012346e+18");
}

static void names(void)
{
    check_line("a.b-c/d e:1|c", "a_b_c_d_e c1");
    check_line("99bottles:1|c", "_99bottles c1");
    check_line("caf\xc3\xa9.open:1|c", "caf__open c1");
    check_line("a..b:1|c", "a__b c1");
}

static void tags(void)
{
    check_line("foo:100|c|#tag1:bar,tag2:baz", "foo,tag1=bar,tag2=baz c100");
    check_line("foo:100|c|#b:2,a:1,b:3", "foo,a=1,b=3 c100");
    check_line("foo:100|c|#09digits:0,tag.with.dots:1", "foo,_09digits=0,tag_with_dots=1 c100");
    check_line("foo:100|c|#url:http://x,empty:,novalue,a:b", "foo,a=b,url=http://x c100");
    CU_ASSERT_EQUAL(faults[STATSD_BAD_TAG], 2);
    check_line("foo:100|c|@0.1|#a:1,#b:2", "foo,a=1,b=2 c1000");
    check_line("foo:1|c|#a:1|c:abc|T1656581400", "foo,a=1,container_id=abc c1");
    check_line("foo#a=1,b=2:100|c", "foo,a=1,b=2 c100");
    check_line("foo,a=1,b=2:100|c", "foo,a=1,b=2 c100");
    check_line("foo.[a=1,b=2]test:100|c", "foo_test,a=1,b=2 c100");
    check_line("foo[a=1:100|c", "foo_a_1 c100");
    CU_ASSERT_EQUAL(faults[STATSD_BAD_TAG], 1);
    check_line("foo:1|c|#caf\xc3\xa9:cr\xc3\xa8me", "foo,caf_=cr\xc3\xa8me c1");
}

static void several(void)
{
    check_line("foo:1|c:2|g:3|ms", "foo c1 foo g2 foo t0.003");
    check_line("foo:200|ms|@0.1:5|c", "foo t0.2x10 foo c5");
    check_line("foo:1:2.5:3|ms", "foo t0.001 foo t0.0025 foo t0.003");
    check_line("foo:1:2:3|h|@0.5|#a:b", "foo,a=b t1x2 foo,a=b t2x2 foo,a=b t3x2");
    // Beyond the peer: DogStatsD packs counters and gauges too.
    check_line("foo:1:2|c|@0.5", "foo c2 foo c4");
    check_line("foo:1:x:3|c", "foo c1 foo c3");
    CU_ASSERT_EQUAL(faults[STATSD_BAD_VALUE], 1);
}

static void broken(void)
{
    check_line("", "");
    check_fault("foo", STATSD_MALFORMED_LINE);
    check_fault(":1|c", STATSD_MALFORMED_LINE);
    check_fault("#a=b:1|c", STATSD_MALFORMED_LINE);
    check_fault("fo\xff:1|c", STATSD_MALFORMED_LINE);
    check_fault("foo:1|c|#a:\xff", STATSD_MALFORMED_LINE);
    check_fault("foo:1", STATSD_NO_TYPE);
    check_fault("foo:", STATSD_NO_TYPE);
    check_fault("foo:1|", STATSD_NO_TYPE);
    check_fault("foo:1|q", STATSD_BAD_TYPE);
    check_fault("foo:one|c", STATSD_BAD_VALUE);
    check_fault("foo:|c", STATSD_BAD_VALUE);
    check_fault("foo:nan|g", STATSD_BAD_VALUE);
    check_fault("foo:-1|c", STATSD_NEGATIVE);
    check_fault("foo:-1|ms", STATSD_NEGATIVE);
    check_fault("foo:1|c|", STATSD_BAD_SECTION);
    check_fault("foo:1|c|x", STATSD_BAD_SECTION);
    check_fault("foo:1|c|#a:b|c:", STATSD_BAD_SECTION);
    check_fault("foo:1|c|T", STATSD_BAD_SECTION);
    check_fault("foo:1|c|@0.1|@0.1|@0.1|@0.1|@0.1|@0.1|@0.1", STATSD_BAD_SECTION);
    check_fault("foo,a=b:1|c|#c:d", STATSD_MIXED_TAGS);
    check_fault("_e{5,4}:title|text", STATSD_UNSUPPORTED);
    check_fault("_sc|name|0", STATSD_UNSUPPORTED);
    check_line("foo:1|c|@x", "foo c1");
    CU_ASSERT_EQUAL(faults[STATSD_BAD_RATE], 1);
}

static void too_long(void)
{
    char line[4096];
    memset(line, 'a', sizeof(line));
    memcpy(line + 2000, ":1|c", 5);
    check_fault(line, STATSD_TOO_LONG);
    memcpy(line, "a:1|c|#b:", 9);
    line[1900] = '\0';
    check_fault(line, STATSD_TOO_LONG);
    size_t n = (size_t)snprintf(line, sizeof(line), "a:1|c|#");
    for (int i = 0; i < STATSD_TAGS_MAX + 1; i++)
        n += (size_t)snprintf(line + n, sizeof(line) - n, "%st%d:x", i ? "," : "", i);
    check_fault(line, STATSD_TOO_LONG);
}

static const struct test TESTS[] = {
    {"types, rates and relative gauges", types},
    {"names become Prometheus's", names},
    {"tags of four dialects", tags},
    {"several samples and several values in one line", several},
    {"what is broken is left out and counted by reason", broken},
    {"names and tags have an end", too_long},
};

int main(void)
{
    buf_init(&got, 1u << 16);
    int rc = test_main("statsd_line", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
    buf_done(&got);
    return rc;
}
