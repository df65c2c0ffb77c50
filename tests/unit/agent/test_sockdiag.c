// SPDX-License-Identifier: Apache-2.0
#include "agent/netlink.h"
#include "agent/sockdiag.h"
#include "tests/lib/run.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>

static size_t attribute(uint8_t *at, uint16_t type, const void *value, uint16_t len)
{
    const uint16_t head[2] = {(uint16_t)(len + 4), type};
    memcpy(at, head, 4);
    memcpy(at + 4, value, len);
    return (len + 4u + 3u) & ~3u;
}

static size_t socket_message(uint8_t *b, uint8_t family, uint16_t info_len)
{
    struct inet_diag_msg m = {.idiag_family = family,
        .idiag_state = SOCKDIAG_ESTABLISHED,
        .idiag_rqueue = 3,
        .idiag_wqueue = 8,
        .idiag_uid = 33,
        .idiag_inode = 777};
    uint8_t info[280];
    uint32_t memory[9] = {[8] = 42};
    uint64_t cgroup = 0x100000002u;

    memset(b, 0, 600);
    m.id.idiag_sport = htons(80);
    m.id.idiag_dport = htons(50000);
    m.id.idiag_cookie[0] = 5;
    m.id.idiag_cookie[1] = 1;
    if (family == AF_INET)
        m.id.idiag_src[0] = htonl(0x7f000001);
    else
        inet_pton(AF_INET6, "::ffff:127.0.0.1", m.id.idiag_src);
    for (size_t i = 0; i < sizeof(info); i++)
        info[i] = (uint8_t)i;
    memcpy(b, &m, sizeof(m));
    size_t n = sizeof(m);
    n += attribute(b + n, 7, memory, sizeof(memory));
    n += attribute(b + n, 21, &cgroup, sizeof(cgroup));
    n += attribute(b + n, 2, info, info_len);
    return n;
}

static void whole(void)
{
    static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
    static const uint8_t families[] = {AF_INET, AF_INET6};
    uint8_t b[600];
    struct sockdiag k;

    for (int i = 0; i < 2; i++) {
        size_t n = socket_message(b, families[i], 280);
        CU_ASSERT_EQUAL_FATAL(sockdiag_parse(b, n, &k), 0);
        CU_ASSERT_EQUAL(k.cookie, 0x100000005u);
        CU_ASSERT_EQUAL(k.cgroup_id, 0x100000002u);
        CU_ASSERT_TRUE(k.local_port == 80 && k.peer_port == 50000);
        CU_ASSERT_EQUAL(sockdiag_local_port(b, n), 80);
        CU_ASSERT_TRUE(k.receive_queue == 3 && k.send_queue == 8 && k.drops == 42);
        CU_ASSERT_EQUAL(memcmp(k.local, mapped, 16), 0);
        CU_ASSERT_TRUE(sockdiag_is_loopback(k.local));
        CU_ASSERT_EQUAL(k.have, SOCKDIAG_HAS_INFO | SOCKDIAG_HAS_BYTES | SOCKDIAG_HAS_SENT |
                                    SOCKDIAG_HAS_DROPS | SOCKDIAG_HAS_CGROUP |
                                    SOCKDIAG_HAS_RATE | SOCKDIAG_HAS_LIMITED);
        CU_ASSERT_EQUAL(k.rtt_us, 0x47464544u); // bytes 68..71
        CU_ASSERT_EQUAL(k.segments_in, 0x8f8e8d8cu);
        CU_ASSERT_EQUAL(k.min_rtt_us, 0x97969594u);
        CU_ASSERT_EQUAL(k.busy_us, 0xafaeadacabaaa9a8u);
        CU_ASSERT_EQUAL(k.window_limited_us, 0xb7b6b5b4b3b2b1b0u);
        CU_ASSERT_EQUAL(k.buffer_limited_us, 0xbfbebdbcbbbab9b8u);
        CU_ASSERT_EQUAL(k.delivery_rate, 0); // byte 7 says: limited by the application
    }
}

// What an older kernel does not send is absent, at every length.
// A FIN came between the two: what was received has it.
static void state_of_the_numbers(void)
{
    uint8_t b[600];
    struct sockdiag s;
    size_t n = socket_message(b, AF_INET, 232);
    size_t info = n - 232;
    CU_ASSERT_EQUAL(sockdiag_parse(b, n, &s), 0);
    uint8_t first = s.state;
    for (unsigned state = 0; state <= SOCKDIAG_STATES; state++) {
        bool known = state > 0 && state < SOCKDIAG_STATES;
        b[info] = (uint8_t)state;
        CU_ASSERT_EQUAL(sockdiag_parse(b, n, &s), 0);
        CU_ASSERT_EQUAL(s.state, known ? state : first);
    }
}

static void shorter_info(void)
{
    uint8_t b[600];
    struct sockdiag k;

    for (uint16_t len = 0; len <= 280; len++) {
        size_t n = socket_message(b, AF_INET, len);
        CU_ASSERT_EQUAL(sockdiag_parse(b, n, &k), 0);
        CU_ASSERT_EQUAL((k.have & SOCKDIAG_HAS_INFO) != 0, len >= 104);
        CU_ASSERT_EQUAL((k.have & SOCKDIAG_HAS_BYTES) != 0, len >= 140);
        CU_ASSERT_EQUAL((k.have & SOCKDIAG_HAS_LIMITED) != 0, len >= 192);
        CU_ASSERT_EQUAL((k.have & SOCKDIAG_HAS_SENT) != 0, len >= 216);
    }
}

static void cut(void)
{
    uint8_t b[600];
    size_t n = socket_message(b, AF_INET, 280);
    struct sockdiag k;

    for (size_t len = 0; len < n; len++) {
        // On the heap, so that a read beyond the end is seen.
        uint8_t *copy = malloc(len ? len : 1);
        CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
        memcpy(copy, b, len);
        int rc = sockdiag_parse(copy, len, &k);
        CU_ASSERT_TRUE(rc == 0 || rc == -EBADMSG);
        if (len < sizeof(struct inet_diag_msg))
            CU_ASSERT_EQUAL(rc, -EBADMSG);
        free(copy);
    }
    b[0] = AF_UNIX;
    CU_ASSERT_EQUAL(sockdiag_parse(b, n, &k), -EBADMSG);
}

static void steps(void)
{
    uint8_t b[64] = {0};
    struct nlmsghdr h[2] = {
        {.nlmsg_len = 20, .nlmsg_type = 20}, {.nlmsg_len = 16, .nlmsg_type = 3}};
    size_t at = 0;
    struct netlink_message m;

    memcpy(b, &h[0], 16);
    memcpy(b + 20, &h[1], 16);
    CU_ASSERT_TRUE(netlink_next(b, 36, &at, &m) && m.type == 20 && m.len == 4);
    CU_ASSERT_TRUE(netlink_next(b, 36, &at, &m) && m.type == 3 && m.len == 0);
    CU_ASSERT_FALSE(netlink_next(b, 36, &at, &m));
    h[0].nlmsg_len = 15; // shorter than itself: would never end
    memcpy(b, &h[0], 16);
    at = 0;
    CU_ASSERT_FALSE(netlink_next(b, 36, &at, &m));
    h[0].nlmsg_len = 37;
    memcpy(b, &h[0], 16);
    CU_ASSERT_FALSE(netlink_next(b, 36, &at, &m));
}

static const struct test TESTS[] = {
    {"a socket is read with all its attributes, in either family", whole},
    {"the state is that of the numbers beside it", state_of_the_numbers},
    {"fields beyond the attribute's length are absent", shorter_info},
    {"a cut message is refused or read as far as it goes", cut},
    {"lengths that cannot be true end a datagram", steps},
};

int main(void)
{
    return test_main("sockdiag", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
