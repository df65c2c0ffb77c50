// SPDX-License-Identifier: Apache-2.0
// Echoes on the loopback of a network namespace of our own, where the sysctl is ours to set: by datagram
// and by raw socket, answered, never answered, no route, none permitted. Needs root or user namespaces.
#include "agent/icmp.h"
#include "base/clock.h"
#include "tests/lib/run.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define N 100

static bool put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd != -1 && write(fd, text, strlen(text)) > 0;
    close(fd);
    return ok;
}

static bool permit(const char *range)
{
    return put("/proc/sys/net/ipv4/ping_group_range", range);
}

// Who is not root becomes it in a user namespace of one user.
static bool own_namespaces(void)
{
    char uid[32], gid[32];
    if (unshare(CLONE_NEWNET) == 0)
        return true;
    snprintf(uid, sizeof(uid), "0 %u 1", getuid());
    snprintf(gid, sizeof(gid), "0 %u 1", getgid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 && put("/proc/self/setgroups", "deny") &&
           put("/proc/self/uid_map", uid) && put("/proc/self/gid_map", gid);
}

static bool enter_namespace(void)
{
    struct ifreq lo = {.ifr_name = "lo"};
    if (!own_namespaces())
        return false;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    lo.ifr_flags = IFF_UP | IFF_RUNNING;
    bool ok = ioctl(fd, SIOCSIFFLAGS, &lo) == 0;
    // What is sent there comes back on loopback to nobody: a host that never answers.
    struct rtentry r = {.rt_flags = RTF_UP, .rt_dev = (char[]){"lo"}};
    ((struct sockaddr_in *)&r.rt_dst)->sin_family = AF_INET;
    inet_pton(AF_INET, "198.51.100.0", &((struct sockaddr_in *)&r.rt_dst)->sin_addr);
    ((struct sockaddr_in *)&r.rt_genmask)->sin_family = AF_INET;
    inet_pton(AF_INET, "255.255.255.0", &((struct sockaddr_in *)&r.rt_genmask)->sin_addr);
    ok = ok && ioctl(fd, SIOCADDRT, &r) == 0;
    close(fd);
    return ok;
}

static int n_done, n_failed;
static void on_done(struct icmp_echo *e)
{
    n_done++;
    n_failed += e->error != 0;
}

static int send_to(struct icmp *i, struct icmp_echo *e, const char *address)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    *e = (struct icmp_echo){.done = on_done};
    if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
        return icmp_send(i, e, (struct sockaddr *)&v4, sizeof(v4));
    inet_pton(AF_INET6, address, &v6.sin6_addr);
    return icmp_send(i, e, (struct sockaddr *)&v6, sizeof(v6));
}

static void turn_until_done(struct loop *loop, int n)
{
    struct clock c = clock_system();
    int64_t end = clock_mono_ns(&c) + 10 * NS_PER_S;
    while (n_done < n && clock_mono_ns(&c) < end)
        loop_once(loop, 1000);
    CU_ASSERT_EQUAL(n_done, n);
}

static void echoes_come_back(const char *address)
{
    static struct icmp_echo echoes[N];
    struct loop *loop = loop_new();
    struct icmp *i = icmp_new(loop), *other = icmp_new(loop);
    n_done = n_failed = 0;
    CU_ASSERT_TRUE_FATAL(icmp_usable(i, strchr(address, ':') ? AF_INET6 : AF_INET));
    for (int k = 0; k < N; k++)
        CU_ASSERT_EQUAL(send_to(k % 3 ? i : other, &echoes[k], address), 0);
    icmp_forget(&echoes[7]); // its answer comes, and means nothing
    turn_until_done(loop, N - 1);
    loop_once(loop, 0);
    CU_ASSERT_EQUAL(n_done, N - 1);
    CU_ASSERT_EQUAL(n_failed, 0);
    for (int k = 0; k < N; k++)
        CU_ASSERT_TRUE(k == 7 || (echoes[k].hop_limit == 64 && echoes[k].at_ns > 0));
    icmp_free(i);
    icmp_free(other);
    loop_free(loop);
}

static void an_unanswered_echo_holds_up_no_other(void)
{
    struct icmp_echo lost, good;
    struct loop *loop = loop_new();
    struct icmp *i = icmp_new(loop);
    n_done = n_failed = 0;
    CU_ASSERT_EQUAL(send_to(i, &lost, "198.51.100.7"), 0);
    CU_ASSERT_EQUAL(send_to(i, &good, "127.0.0.1"), 0);
    turn_until_done(loop, 1);
    CU_ASSERT_PTR_NOT_NULL(lost.of);
    CU_ASSERT_PTR_NULL(good.of);
    icmp_forget(&lost);
    icmp_forget(&lost);
    icmp_free(i);
    loop_free(loop);
}

static void no_route_is_known_at_once(void)
{
    struct icmp_echo e;
    struct loop *loop = loop_new();
    struct icmp *i = icmp_new(loop);
    CU_ASSERT_EQUAL(send_to(i, &e, "203.0.113.1"), -ENETUNREACH);
    CU_ASSERT_PTR_NULL(e.of);
    n_done = 0;
    CU_ASSERT_EQUAL(send_to(i, &e, "127.0.0.1"), 0); // and the next one goes out
    turn_until_done(loop, 1);
    icmp_free(i);
    loop_free(loop);
}

// In a process of its own, which gives its privileges away.
static void without_permission_it_is_not_usable(void)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_CAPBSET_DROP, 13 /* CAP_NET_RAW */, 0, 0, 0);
        if (setresuid(65534, 65534, 65534) == -1)
            _exit(2);
        struct loop *loop = loop_new();
        struct icmp *i = icmp_new(loop);
        struct icmp_echo e;
        bool ok = !icmp_usable(i, AF_INET) && !icmp_usable(i, AF_INET6) &&
                  !icmp_allowed(AF_INET) && send_to(i, &e, "127.0.0.1") == -EACCES;
        icmp_free(i);
        loop_free(loop);
        _exit(ok ? 0 : 1);
    }
    int status;
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    // In a user namespace of one user there is nobody else to become.
    CU_ASSERT_TRUE(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 2));
}

static void by_raw_socket(void)
{
    echoes_come_back("127.0.0.1");
    echoes_come_back("::1");
    an_unanswered_echo_holds_up_no_other();
    no_route_is_known_at_once();
}

static void by_datagram_socket(void)
{
    CU_ASSERT_TRUE_FATAL(permit("0 0"));
    echoes_come_back("127.0.0.1");
    echoes_come_back("::1");
    an_unanswered_echo_holds_up_no_other();
    no_route_is_known_at_once();
}

// A new namespace permits nobody: datagram sockets come last.
static const struct test TESTS[] = {
    {"by raw socket: answered, unanswered, no route", by_raw_socket},
    {"without permission it is not usable", without_permission_it_is_not_usable},
    {"by datagram socket: answered, unanswered, no route", by_datagram_socket},
};

int main(void)
{
    if (!enter_namespace()) {
        printf("no network namespace can be made here\n0 passed, 1 failed\n");
        return 1;
    }
    return test_main("icmp", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
