// SPDX-License-Identifier: Apache-2.0
// Which closes reach us, when they are too many, and how many of the connections were seen. The filter
// runs in the kernel, on a pair of sockets of our own.
#include "agent/closes.h"
#include "agent/closes_limit.h"
#include "agent/coverage.h"
#include "agent/sockdiag.h"
#include "tests/lib/run.h"
#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// A message of the destroy multicast.
static size_t message(
    uint8_t b[static 512], uint16_t local, uint16_t peer, uint64_t acked, uint32_t segments)
{
    struct inet_diag_msg m = {.idiag_family = AF_INET, .idiag_state = 7};
    struct nlmsghdr h = {.nlmsg_type = SOCK_DIAG_BY_FAMILY};
    struct nlattr protocol = {.nla_len = NLA_HDRLEN + 1, .nla_type = 10},
                  info = {.nla_len = NLA_HDRLEN + 280, .nla_type = 2};
    size_t at = sizeof(h) + sizeof(m);

    m.id.idiag_sport = htons(local);
    m.id.idiag_dport = htons(peer);
    memset(b, 0, 512);
    memcpy(b + at, &protocol, sizeof(protocol));
    at += 8;
    memcpy(b + at, &info, sizeof(info));
    memcpy(b + at + NLA_HDRLEN + 120, &acked, sizeof(acked));
    memcpy(b + at + NLA_HDRLEN + 136, &segments, sizeof(segments));
    at += NLA_HDRLEN + 280;
    h.nlmsg_len = (uint32_t)at;
    memcpy(b, &h, sizeof(h));
    memcpy(b + sizeof(h), &m, sizeof(m));
    return at;
}

static bool passes(int pair[2], const uint8_t *b, size_t n)
{
    uint8_t got[512];

    CU_ASSERT_EQUAL(send(pair[0], b, n, 0), (ssize_t)n);
    return recv(pair[1], got, sizeof(got), MSG_DONTWAIT) == (ssize_t)n;
}

static void attach(int fd, const uint16_t *ports, size_t n)
{
    struct sock_filter code[CLOSES_FILTER_MAX];
    struct netlink nl = {.fd = fd};

    CU_ASSERT_EQUAL_FATAL(netlink_filter(&nl, code, closes_filter(code, ports, n)), 0);
}

static void filters(void)
{
    uint16_t ports[CLOSES_PORTS_MAX];
    uint8_t b[512] = {0};
    int pair[2];

    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
    for (size_t i = 0; i < CLOSES_PORTS_MAX; i++)
        ports[i] = (uint16_t)(1000 + i);
    for (size_t n = 1; n <= CLOSES_PORTS_MAX; n += CLOSES_PORTS_MAX - 1) {
        attach(pair[1], ports, n);
        CU_ASSERT_TRUE(passes(pair, b, message(b, ports[n - 1], 40000, 501, 5)));
        CU_ASSERT_TRUE(passes(pair, b, message(b, 1000, 40000, 0, 0)));
        CU_ASSERT_FALSE(passes(pair, b, message(b, 1000, 0, 0, 0))); // a listener
        // The client's end of what was connected, acknowledged in either half of the number, and what
        // an abort has cleared.
        CU_ASSERT_FALSE(passes(pair, b, message(b, 40000, 1000, 1, 2)));
        CU_ASSERT_FALSE(passes(pair, b, message(b, 40000, 1000, 1ull << 32, 2)));
        CU_ASSERT_FALSE(passes(pair, b, message(b, 40000, 1000, 0, 0)));
        // Refused, or never answered.
        CU_ASSERT_TRUE(passes(pair, b, message(b, 40000, 1000, 0, 1)));
        CU_ASSERT_FALSE(passes(pair, b, message(b, (uint16_t)(1000 + n), 40000, 7, 7)));
    }
    attach(pair[1], NULL, 0);
    CU_ASSERT_FALSE(passes(pair, b, message(b, 1000, 40000, 501, 5)));
    CU_ASSERT_TRUE(passes(pair, b, message(b, 40000, 1000, 0, 1)));
    attach(pair[1], ports, CLOSES_PORTS_MAX + 1);
    CU_ASSERT_TRUE(passes(pair, b, message(b, 40000, 1000, 501, 5)));
    CU_ASSERT_FALSE(passes(pair, b, message(b, 1000, 0, 0, 0)));
    // Cut short, or without the attribute: not ours, and nothing is read that is not there.
    attach(pair[1], NULL, 0);
    size_t n = message(b, 40000, 1000, 0, 1);
    for (size_t cut = 1; cut < n; cut++)
        CU_ASSERT_FALSE(passes(pair, b, cut) && cut < 16 + 72 + 8 + 4 + 140);
    close(pair[0]);
    close(pair[1]);
}

static void leaves(void)
{
    struct closes_limit l;
    uint64_t opens = 5000000;
    int64_t now = 77 * NS_PER_S;
    int second = 0;

    closes_limit_init(&l, 10000);
    CU_ASSERT_FALSE(closes_limit_step(&l, opens, now)); // what was before us is no rate
    // One second over is a burst, three in a row are too many.
    CU_ASSERT_FALSE(closes_limit_step(&l, opens += 20000, now += NS_PER_S));
    CU_ASSERT_FALSE(closes_limit_step(&l, opens += 10000, now += NS_PER_S));
    CU_ASSERT_FALSE(closes_limit_step(&l, opens += 10001, now += NS_PER_S));
    CU_ASSERT_FALSE(closes_limit_step(&l, opens, now)); // twice in one instant
    CU_ASSERT_TRUE(closes_limit_step(&l, opens += 10001, now += NS_PER_S));
    CU_ASSERT_TRUE(l.over);
    // Back only after ten calm seconds in a row.
    for (int i = 0; i < 9; i++)
        CU_ASSERT_FALSE(closes_limit_step(&l, opens += 4999, now += NS_PER_S));
    CU_ASSERT_FALSE(closes_limit_step(&l, opens += 5000, now += NS_PER_S));
    while (!closes_limit_step(&l, opens += 4999, now += NS_PER_S) && second < 20)
        second++;
    CU_ASSERT_EQUAL(second, 9);
    CU_ASSERT_FALSE(l.over);
    closes_limit_init(&l, 0);
    for (int i = 0; i < 5; i++)
        CU_ASSERT_FALSE(closes_limit_step(&l, opens += 1000000, now += NS_PER_S));
}

static void own_probes(void)
{
    struct closes c = {0};

    CU_ASSERT_FALSE(closes_of_others(&c, 0, 0));
    CU_ASSERT_TRUE(closes_of_others(&c, 0, 1));
    CU_ASSERT_FALSE(closes_of_others(&c, 10, 10));
    CU_ASSERT_TRUE(closes_of_others(&c, 20, 11));
    CU_ASSERT_FALSE(closes_of_others(&c, 30, 5)); // the drain goes on with the rest
    CU_ASSERT_FALSE(closes_of_others(&c, 30, 3));
    CU_ASSERT_FALSE(closes_of_others(&c, 40, 12));
    CU_ASSERT_TRUE(closes_of_others(&c, 50, 11));
    // None of them ever closes: that does not add up to room for all that others do.
    for (uint64_t own = 60; own <= 1050; own += 10)
        CU_ASSERT_FALSE(closes_of_others(&c, own, 0));
    CU_ASSERT_TRUE(closes_of_others(&c, 1060, CLOSES_OWN_OPEN + 11));
}

static void covers(void)
{
    struct coverage c = {0};
    double r = -1;
    int64_t now = 5 * NS_PER_S;
    uint64_t opened = 40, passive = 1000;

    CU_ASSERT_FALSE(coverage_ratio(&c, &r));
    coverage_add(&c, now, opened, passive);
    CU_ASSERT_FALSE(coverage_ratio(&c, &r));
    coverage_add(&c, now + NS_PER_S / 2, opened, passive);
    CU_ASSERT_FALSE(coverage_ratio(&c, &r)); // too soon to tell
    coverage_add(&c, now += NS_PER_S, opened, passive);
    CU_ASSERT_TRUE(coverage_ratio(&c, &r));
    CU_ASSERT_EQUAL(r, 1); // nothing opened, nothing missed
    coverage_add(&c, now += NS_PER_S, opened += 3, passive += 4);
    CU_ASSERT_TRUE(coverage_ratio(&c, &r));
    CU_ASSERT_EQUAL(r, 1); // it may be on its way yet
    coverage_add(&c, now += NS_PER_S, opened, passive);
    CU_ASSERT_TRUE(coverage_ratio(&c, &r));
    CU_ASSERT_EQUAL(r, 0.75);
    coverage_add(&c, now += NS_PER_S, opened += 9, passive += 4); // seen late, not twice
    CU_ASSERT_TRUE(coverage_ratio(&c, &r));
    CU_ASSERT_EQUAL(r, 1);
    // What was missed is told for a minute, then forgotten.
    coverage_add(&c, now += NS_PER_S, opened, passive += 100);
    CU_ASSERT_TRUE(coverage_ratio(&c, &r) && r == 1);
    for (int i = 0; i < COVERAGE_S - 1; i++)
        coverage_add(&c, now += NS_PER_S, opened, passive);
    CU_ASSERT_TRUE(coverage_ratio(&c, &r) && r < 1);
    for (int i = 0; i < 2; i++)
        coverage_add(&c, now += NS_PER_S, opened, passive);
    CU_ASSERT_TRUE(coverage_ratio(&c, &r) && r == 1);
    // Looks far apart, as those of a stretched interval.
    coverage_add(&c, now += 70 * NS_PER_S, opened, passive + 2);
    coverage_add(&c, now += 50 * NS_PER_S, opened + 1, passive + 2);
    CU_ASSERT_TRUE(coverage_ratio(&c, &r) && r == 0.5);
}

static const struct test TESTS[] = {
    {"services' closes and failed connects pass the filter, nothing else", filters},
    {"the multicast is left after two seconds over the limit, and joined after ten calm ones",
        leaves},
    {"what our own probes opened may close without anybody having come", own_probes},
    {"coverage is what was seen of what was opened in the last minute", covers},
};

int main(void)
{
    return test_main("closes", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
