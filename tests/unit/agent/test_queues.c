// SPDX-License-Identifier: Apache-2.0
// Accept queues of real listeners on loopback. Where netlink is not permitted the test says so.
#include "agent/queues.h"
#include "tests/lib/run.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// As a dump would show it. *port 0: any.
static int listener(uint16_t *port, struct sockdiag *ret)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
        .sin_port = htons(*port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a), cookie_len = sizeof(ret->cookie);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    CU_ASSERT_EQUAL_FATAL(listen(fd, 8), 0);
    getsockname(fd, (struct sockaddr *)&a, &len);
    *port = ntohs(a.sin_port);
    *ret = (struct sockdiag){.family = AF_INET, .state = SOCKDIAG_LISTEN, .local_port = *port};
    ret->local[10] = ret->local[11] = 0xff;
    memcpy(ret->local + 12, &a.sin_addr, 4);
    CU_ASSERT_EQUAL_FATAL(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &ret->cookie, &cookie_len), 0);
    return fd;
}

static void gone_and_back(void)
{
    struct queues q = {0};
    struct netlink nl;
    struct sockdiag view[2], got[QUEUES_MAX];
    uint16_t a = 0, b = 0;

    if (netlink_open(&nl, NETLINK_SOCK_DIAG, 0, 0) != 0) {
        printf("    skipped: no inet_diag\n");
        return;
    }
    int fd_a = listener(&a, &view[0]), fd_b = listener(&b, &view[1]);
    queues_learn(&q, view, 2);
    CU_ASSERT_EQUAL(queues_ask(&q, &nl, got), 0);
    CU_ASSERT_EQUAL(got[0].local_port, a);
    CU_ASSERT_EQUAL(got[1].send_queue, 8);
    close(fd_a);
    CU_ASSERT_EQUAL(queues_ask(&q, &nl, got), -EAGAIN); // one of ours is missing
    queues_gone(&q, a);
    queues_learn(&q, &view[1], 1);
    CU_ASSERT_EQUAL(queues_ask(&q, &nl, got), 0); // nobody is back
    CU_ASSERT_EQUAL(got[0].local_port, b);
    fd_a = listener(&a, &view[0]);
    CU_ASSERT_EQUAL(queues_ask(&q, &nl, got), -EAGAIN); // somebody is
    queues_learn(&q, view, 2);
    CU_ASSERT_EQUAL(q.n_gone, 0);
    CU_ASSERT_EQUAL(queues_ask(&q, &nl, got), 0);
    CU_ASSERT_EQUAL(got[0].cookie, view[0].cookie);
    // Not expected any more: who comes is found by a dump.
    close(fd_a);
    queues_gone(&q, a);
    queues_learn(&q, &view[1], 1);
    queues_gone_forget(&q);
    fd_a = listener(&a, &view[0]);
    CU_ASSERT_EQUAL(queues_ask(&q, &nl, got), 0);
    close(fd_a);
    close(fd_b);
    netlink_close(&nl);
}

static void many_gone(void)
{
    struct queues q = {0};
    struct sockdiag view[QUEUES_MAX];

    for (uint16_t i = 0; i < QUEUES_MAX; i++)
        view[i] = (struct sockdiag){
            .family = AF_INET, .cookie = i + 1u, .local_port = (uint16_t)(100 + i)};
    queues_learn(&q, view, QUEUES_MAX);
    for (uint16_t i = 0; i < QUEUES_MAX; i++)
        queues_gone(&q, (uint16_t)(100 + i));
    CU_ASSERT_EQUAL(q.n_gone, QUEUES_GONE_MAX);
    // The last to go are the likeliest to come back.
    for (size_t i = 0; i < q.n_gone; i++)
        CU_ASSERT_EQUAL(q.gone_ports[i], 100 + QUEUES_MAX - QUEUES_GONE_MAX + i);
    queues_learn(&q, view + QUEUES_MAX - QUEUES_GONE_MAX / 2, QUEUES_GONE_MAX / 2);
    CU_ASSERT_EQUAL(q.n_gone, QUEUES_GONE_MAX / 2);
    for (size_t i = 0; i < q.n_gone; i++)
        CU_ASSERT_EQUAL(q.gone_ports[i], 100 + QUEUES_MAX - QUEUES_GONE_MAX + i);
}

static const struct test TESTS[] = {
    {"who is back at an address it left asks for a dump", gone_and_back},
    {"no more are waited for than there is room for", many_gone},
};

int main(void)
{
    return test_main("queues", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
