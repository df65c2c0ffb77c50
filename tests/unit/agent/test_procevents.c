// SPDX-License-Identifier: Apache-2.0
#include "agent/procevents.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// A connector message as the kernel writes it: id 1.1, then the event.
static size_t message(uint8_t *b, uint32_t what, uint32_t pid, uint32_t tgid, uint32_t status)
{
    const uint32_t head[] = {1, 1, 0, 0};
    const uint16_t len = 40;
    const uint32_t event[] = {what, 0, 0, 0, pid, tgid, status, 17, 7, 8};

    memset(b, 0, 60);
    memcpy(b, head, sizeof(head));
    memcpy(b + 16, &len, sizeof(len));
    memcpy(b + 20, event, sizeof(event));
    return 60;
}

static void deaths(void)
{
    uint8_t b[64];
    struct service_exit e;
    int error = -1;

    size_t n = message(b, 0x80000000u, 100, 100, 9);
    CU_ASSERT_EQUAL(procevents_parse(b, n, &e, &error), 1);
    CU_ASSERT_TRUE(e.pid == 100 && e.parent == 8 && e.signal == 9 && !e.core && e.code == 0);
    n = message(b, 0x80000000u, 101, 100, 0x80 | 11);
    CU_ASSERT_EQUAL(procevents_parse(b, n, &e, &error), 1);
    CU_ASSERT_TRUE(e.pid == 100 && e.signal == 11 && e.core);
    n = message(b, 0x80000000u, 100, 100, 3 << 8);
    CU_ASSERT_EQUAL(procevents_parse(b, n, &e, &error), 1);
    CU_ASSERT_TRUE(e.signal == 0 && e.code == 3);
    n = message(b, 0x80000000u, 101, 100, 0); // only a thread
    CU_ASSERT_EQUAL(procevents_parse(b, n, &e, &error), 0);
    n = message(b, 1, 100, 100, 0); // a fork
    CU_ASSERT_EQUAL(procevents_parse(b, n, &e, &error), 0);
}

static void answer(void)
{
    uint8_t b[64];
    struct service_exit e;
    int error = -1;

    size_t n = message(b, 0, EPERM, 0, 0);
    CU_ASSERT_EQUAL(procevents_parse(b, n, &e, &error), 2);
    CU_ASSERT_EQUAL(error, EPERM);
    b[0] = 9; // another connector
    CU_ASSERT_EQUAL(procevents_parse(b, n, &e, &error), 0);
}

static void cut(void)
{
    uint8_t b[64];
    struct service_exit e;
    int error;

    message(b, 0x80000000u, 100, 100, 9);
    for (size_t n = 0; n < 60; n++)
        CU_ASSERT_EQUAL(procevents_parse(b, n, &e, &error), -EBADMSG);
}

// The kernel runs the filter on any socket: what is sent through this one comes out or not.
static bool passes(int pair[2], uint32_t what, uint32_t pid, uint32_t tgid, uint32_t status)
{
    uint8_t b[16 + 64] = {0}, got[128];
    size_t n = 16 + message(b + 16, what, pid, tgid, status);

    send(pair[0], b, n, 0); // refused by the filter: -1 on some sockets, and nothing arrives
    return recv(pair[1], got, sizeof(got), MSG_DONTWAIT) == (ssize_t)n;
}

static void put(int fd, const int32_t *owners, size_t n)
{
    struct sock_filter code[PROCEVENTS_FILTER_MAX];
    struct sock_fprog program = {.filter = code};

    program.len = procevents_filter(code, owners, n);
    CU_ASSERT_TRUE(program.len <= PROCEVENTS_FILTER_MAX);
    CU_ASSERT_EQUAL(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)), 0);
}

static void filtered(void)
{
    const uint32_t died = 0x80000000u;
    int32_t owners[PROCEVENTS_OWNERS_MAX];
    int pair[2];

    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair), 0);
    for (int i = 0; i < PROCEVENTS_OWNERS_MAX; i++)
        owners[i] = 70000 + i;
    put(pair[1], owners, PROCEVENTS_OWNERS_MAX);
    CU_ASSERT_TRUE(passes(pair, 0, EPERM, 0, 0));            // the answer
    CU_ASSERT_FALSE(passes(pair, 1, 70000, 70000, 0));       // a fork
    CU_ASSERT_FALSE(passes(pair, 2, 70000, 70000, 0));       // an exec
    CU_ASSERT_TRUE(passes(pair, died, 100, 100, 9));         // anybody's death by a signal
    CU_ASSERT_TRUE(passes(pair, died, 101, 100, 0x80 | 11)); // also told by a thread
    CU_ASSERT_FALSE(passes(pair, died, 100, 100, 0));
    CU_ASSERT_FALSE(passes(pair, died, 100, 100, 1 << 8));
    for (uint32_t i = 0; i < PROCEVENTS_OWNERS_MAX; i++)
        CU_ASSERT_TRUE(passes(pair, died, 70000 + i, 70000 + i, 0));
    CU_ASSERT_TRUE(passes(pair, died, 70000, 70000, 3 << 8));
    CU_ASSERT_FALSE(passes(pair, died, 7, 70000, 0)); // a thread of one
    put(pair[1], NULL, 0);
    CU_ASSERT_FALSE(passes(pair, died, 70000, 70000, 0));
    put(pair[1], owners, PROCEVENTS_OWNERS_MAX + 1); // more than there is room for
    CU_ASSERT_TRUE(passes(pair, died, 100, 100, 0));
    CU_ASSERT_FALSE(passes(pair, died, 101, 100, 0));
    CU_ASSERT_FALSE(passes(pair, 1, 100, 100, 0));
    close(pair[0]);
    close(pair[1]);
}

static const struct test TESTS[] = {
    {"a death has its process, signal, core and code", deaths},
    {"the answer to the subscription is told apart", answer},
    {"a message that is cut is refused", cut},
    {"the kernel lets through deaths by signal and the exits of owners", filtered},
};

int main(void)
{
    return test_main("procevents", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
