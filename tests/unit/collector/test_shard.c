// SPDX-License-Identifier: Apache-2.0
// The shard's thread as the notifier sees it: what is decided together arrives together.
#include "collector/notice.h"
#include "collector/shard.h"
#include "tests/lib/run.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define ALERTS      20
#define PATIENCE_MS 8000

// ALERTS rules that are true from their first tick on.
static struct ruleset *always_true(void)
{
    struct diags d;
    struct buf yaml;
    diags_init(&d);
    buf_init(&yaml, 65536);
    struct ruleset *set = ruleset_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(set);
    buf_adds(&yaml, "groups:\n- name: g\n  rules:\n");
    for (int i = 0; i < ALERTS; i++)
        buf_addf(&yaml, "  - alert: A%d\n    expr: vector(1)\n", i);
    CU_ASSERT_EQUAL_FATAL(ruleset_add(set, "t.yml", buf_cstr(&yaml), yaml.len, &d), 0);
    CU_ASSERT_EQUAL_FATAL(d.errors, 0);
    buf_done(&yaml);
    diags_done(&d);
    return set;
}

static struct shard *open_shard(size_t notices_max)
{
    struct err err = {0};
    struct shard_options o = {.pipeline = {.store = {.retention_ms = 600000,
                                               .series_per_agent = 50,
                                               .series_max = 100}},
        .clock = clock_system(),
        .frames_max = 16,
        .notices_max = notices_max};
    struct shard *s = shard_new(&o, always_true(), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_EQUAL_FATAL(shard_start(s, &err), 0);
    return s;
}

static bool woken(struct ring *r)
{
    struct pollfd p = {.fd = ring_fd(r), .events = POLLIN};
    return poll(&p, 1, PATIENCE_MS) == 1;
}

// Looks as often as it can, so that notices that came one by one would be seen on their own.
static void together(void)
{
    struct shard *s = open_shard(64);
    struct ring *r = shard_notices(s);
    struct clock c = clock_system();
    int64_t until = clock_mono_ns(&c) + PATIENCE_MS * NS_PER_MS;
    size_t n;
    while (!(n = ring_len(r)) && clock_mono_ns(&c) < until)
        ;
    CU_ASSERT_EQUAL(n, ALERTS);
    shard_free(s);
}

// More than the ring holds: the rest follows in order as room comes.
static void more_than_the_ring(void)
{
    struct shard *s = open_shard(8);
    struct ring *r = shard_notices(s);
    uint64_t last = 0;
    for (int got = 0; got < ALERTS;) {
        struct notice *n;
        CU_ASSERT_TRUE_FATAL(woken(r));
        ring_drain_wakeup(r);
        for (; (n = ring_pop(r)); got++) {
            CU_ASSERT_EQUAL(n->id, last + 1);
            last = n->id;
            notice_free(n);
        }
    }
    shard_stop(s);
    CU_ASSERT_PTR_NULL(ring_pop(r));
    shard_free(s);
}

static const struct test TESTS[] = {
    {"what is decided in one advance is seen at once", together},
    {"what the ring does not hold follows in order", more_than_the_ring},
};
int main(void)
{
    return test_main("shard", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
