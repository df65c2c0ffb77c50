// SPDX-License-Identifier: Apache-2.0
// The door to tocsin-agent-netns with a program of the test's behind it, what namespaces are called, and
// how they come and go. The program itself is tested in tests/e2e/29-namespaces.mjs.
#include "agent/config.h"
#include "agent/identity.h"
#include "agent/netns_door.h"
#include "agent/netns_name.h"
#include "agent/netns_watch.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
}

static void names(void)
{
    char dir[300], path[400], name[NETNS_NAME_MAX];
    const struct identity_roots roots = {dir, dir, "/etc/services"};
    struct stat st;

    snprintf(dir, sizeof(dir), "%s", test_tmpdir());
    snprintf(path, sizeof(path), "%s/netns", dir);
    mkdir(path, 0755);
    snprintf(path, sizeof(path), "%s/netns/blue", dir);
    put(path, "");
    CU_ASSERT_EQUAL_FATAL(stat(path, &st), 0);
    netns_name(&roots, dir, st.st_ino, 7, name);
    CU_ASSERT_STRING_EQUAL(name, "blue");
    netns_name(&roots, dir, 4026532281u, 7, name); // no such process
    CU_ASSERT_STRING_EQUAL(name, "4026532281");
    snprintf(path, sizeof(path), "%s/7", dir);
    mkdir(path, 0755);
    snprintf(path, sizeof(path), "%s/7/cgroup", dir);
    put(path, "0::/\n");
    netns_name(&roots, dir, 4026532281u, 7, name);
    CU_ASSERT_STRING_EQUAL(name, "4026532281");
    put(path,
        "0::/system.slice/"
        "docker-3f9c1b2a7d05e6f7a8b9c0d1e2f3a4b5c6d7e8f90123456789abcdef01234567.scope\n");
    netns_name(&roots, dir, 4026532281u, 7, name);
    CU_ASSERT_STRING_EQUAL(name, "3f9c1b2a7d05");
    put(path, "0::/system.slice/shop.service\n");
    netns_name(&roots, "/nowhere", 1, 7, name);
    CU_ASSERT_STRING_EQUAL(name, "shop");
}

static void finds_its_end(void)
{
    static const struct {
        const char *text, *why;
    } CASES[] = {
        {NULL, "not started through tocsin-agent-netns"},
        {"", "not started through tocsin-agent-netns"},
        {"tocsin-agent-netns has not CAP_SYS_ADMIN",
            "tocsin-agent-netns has not CAP_SYS_ADMIN"},
        {"999", "TOCSIN_NETNS=999 is no socket of tocsin-agent-netns"},
        {"-5", "TOCSIN_NETNS=-5 is no socket of tocsin-agent-netns"},
        {"99999999999999999999",
            "TOCSIN_NETNS=99999999999999999999 is no socket of tocsin-agent-netns"},
    };
    struct netns_door d;
    char text[16];
    int pair[2];

    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        if (CASES[i].text)
            setenv(NETNS_WIRE_ENV, CASES[i].text, 1);
        else
            unsetenv(NETNS_WIRE_ENV);
        netns_door_open(&d);
        CU_ASSERT_EQUAL(d.fd, -1);
        CU_ASSERT_STRING_EQUAL(d.why, CASES[i].why);
    }
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    snprintf(text, sizeof(text), "%d", pair[0]);
    setenv(NETNS_WIRE_ENV, text, 1);
    netns_door_open(&d);
    CU_ASSERT_EQUAL(d.fd, pair[0]);
    CU_ASSERT_EQUAL(fcntl(d.fd, F_GETFD), FD_CLOEXEC);
    netns_door_keep(&d);
    CU_ASSERT_EQUAL(fcntl(d.fd, F_GETFD), 0);
    unsetenv(NETNS_WIRE_ENV);
    close(pair[0]);
    close(pair[1]);
}

static void say(int fd, const void *text, size_t len, const int *fds, size_t n)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(16 * sizeof(int))];
    } control = {0};
    struct iovec iov = {(void *)(uintptr_t)text, len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    if (n) {
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(n * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n * sizeof(int));
    }
    CU_ASSERT_EQUAL(sendmsg(fd, &m, 0), (ssize_t)len);
}

static int open_files(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) != -1;
    return n;
}

static void takes_only_answers(void)
{
    struct netns_list list = {.what = NETNS_LIST, .n = 1};
    struct netns_opened opened = {.what = NETNS_OPEN, .inode = 9};
    union netns_answer a;
    int pair[2], fds[NETNS_FDS], six[NETNS_FDS + 1] = {0};

    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    struct netns_door d = {.fd = pair[0]};
    int before = open_files();
    CU_ASSERT_EQUAL(netns_door_receive(&d, 0, &a, fds), -EAGAIN);
    say(pair[1], &list, sizeof(list), NULL, 0);
    CU_ASSERT_EQUAL(netns_door_receive(&d, 0, &a, fds), 0);
    CU_ASSERT_TRUE(a.list.n == 1 && fds[0] == -1);
    list.n = NETNS_MAX + 1;
    say(pair[1], &list, sizeof(list), NULL, 0);
    CU_ASSERT_EQUAL(netns_door_receive(&d, 0, &a, fds), -EBADMSG);
    list.n = 1;
    say(pair[1], &list, sizeof(list) - 1, NULL, 0);
    CU_ASSERT_EQUAL(netns_door_receive(&d, 0, &a, fds), -EBADMSG);
    say(pair[1], &list, sizeof(list), six, 1); // nobody asked for descriptors
    CU_ASSERT_EQUAL(netns_door_receive(&d, 0, &a, fds), -EBADMSG);
    say(pair[1], &opened, sizeof(opened), six, NETNS_FDS - 1);
    CU_ASSERT_TRUE(netns_door_receive(&d, 0, &a, fds) < 0);
    say(pair[1], &opened, sizeof(opened), six, NETNS_FDS + 1);
    CU_ASSERT_TRUE(netns_door_receive(&d, 0, &a, fds) < 0);
    CU_ASSERT_EQUAL(open_files(), before); // none was kept
    say(pair[1], &opened, sizeof(opened), six, NETNS_FDS);
    CU_ASSERT_EQUAL(netns_door_receive(&d, 0, &a, fds), 0);
    CU_ASSERT_EQUAL(open_files(), before + NETNS_FDS);
    netns_door_drop(fds);
    opened.rc = -EPERM;
    say(pair[1], &opened, sizeof(opened), NULL, 0);
    CU_ASSERT_EQUAL(netns_door_receive(&d, 0, &a, fds), 0);
    CU_ASSERT_EQUAL(a.opened.rc, -EPERM);
    close(pair[1]);
    CU_ASSERT_EQUAL(netns_door_receive(&d, 1000, &a, fds), -EPIPE);
    close(pair[0]);
}

// --- namespaces that come and go -----------------------------------------------------------------

struct world {
    struct env env;
    struct netns_door door;
    struct schedule *schedule;
    struct agent_config *config;
    void *part;
    int program; // the other end
    int64_t now;
};

static void on_frame(void *ctx, int64_t wall_ms, int64_t mono_ns, enum schedule_frame why)
{
    (void)ctx;
    (void)wall_ms;
    (void)mono_ns;
    (void)why;
}

static bool world_open(struct world *w)
{
    struct buf problems;
    int pair[2];

    *w = (struct world){0};
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
    w->door.fd = pair[0];
    w->program = pair[1];
    w->env = (struct env){.loop = loop_new(),
        .out = output_new(),
        .clock = clock_system(),
        .proc = test_tmpdir(),
        .sys = test_tmpdir(),
        .cgroup = test_tmpdir(),
        .netns_door = &w->door};
    buf_init(&problems, 4096);
    CU_ASSERT_EQUAL_FATAL(
        config_parse("network_namespaces: {max: 2}\n", 29, "t", &w->config, &problems), 0);
    buf_done(&problems);
    w->schedule = schedule_new(&w->env, on_frame, NULL);
    CU_ASSERT_TRUE(netns_part.wanted(w->config));
    w->part = netns_part.open(&w->env, w->schedule, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w->part);
    CU_ASSERT_EQUAL(netns_part.apply(w->part, w->config), 0);
    schedule_start(w->schedule, 0);
    w->now = clock_mono_ns(&w->env.clock) + 2 * NS_PER_S;
    return true;
}

static void world_close(struct world *w)
{
    netns_part.free(w->part);
    schedule_free(w->schedule);
    output_free(w->env.out);
    loop_free(w->env.loop);
    config_free(w->config);
    close(w->door.fd);
    close(w->program);
}

// Some seconds of ticks; what was asked, 0 = nothing.
static struct netns_ask asked(struct world *w, int seconds)
{
    struct netns_ask a = {0};

    for (int i = 0; i < seconds && recv(w->program, &a, sizeof(a), 0) == -1; i++)
        schedule_run(w->schedule, w->now += NS_PER_S);
    if (!a.what)
        (void)!recv(w->program, &a, sizeof(a), 0);
    return a;
}

static void list(struct world *w, const uint64_t *inodes, uint32_t n)
{
    struct netns_list l = {.what = NETNS_LIST, .n = n, .found = n, .cost_ns = 1000};

    for (uint32_t i = 0; i < n; i++)
        l.entries[i] = (struct netns_entry){.inode = inodes[i], .pid = 7};
    say(w->program, &l, sizeof(l), NULL, 0);
    loop_once(w->env.loop, 1000);
}

// As the program does, but in our own namespace.
static void opened(struct world *w, uint64_t inode, int rc)
{
    struct netns_opened o = {.what = NETNS_OPEN, .inode = inode, .rc = rc};
    int fds[NETNS_FDS];

    for (int i = 0; i < NETNS_FDS; i++)
        fds[i] = i == NETNS_SNMP ? open("/proc/net/snmp", O_RDONLY | O_CLOEXEC)
                                 : socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
                                       NETLINK_SOCK_DIAG);
    say(w->program, &o, sizeof(o), fds, rc == 0 ? NETNS_FDS : 0);
    for (int i = 0; i < NETNS_FDS; i++)
        close(fds[i]);
    loop_once(w->env.loop, 1000);
}

static void come_and_go(void)
{
    static const uint64_t ALL[] = {1001, 1002, 1003};
    struct world w;
    int before = open_files();

    if (!world_open(&w))
        return;
    CU_ASSERT_EQUAL(asked(&w, 4).what, NETNS_LIST);
    CU_ASSERT_EQUAL(asked(&w, 10).what, 0); // one thing at a time
    list(&w, ALL, 3);
    struct netns_ask a = asked(&w, 0);
    CU_ASSERT_TRUE(a.what == NETNS_OPEN && a.inode == 1001 && a.pid == 7);
    opened(&w, 1001, 0);
    CU_ASSERT_EQUAL(schedule_count(w.schedule), 3); // ours, and two in there
    a = asked(&w, 0);
    CU_ASSERT_TRUE(a.what == NETNS_OPEN && a.inode == 1002);
    opened(&w, 1002, -ESTALE);
    CU_ASSERT_EQUAL(schedule_count(w.schedule), 3);
    a = asked(&w, 0);
    CU_ASSERT_EQUAL(a.inode, 1003);
    opened(&w, 1003, 0);
    CU_ASSERT_EQUAL(schedule_count(w.schedule), 5);
    // Two is all the configuration allows: the third is not asked for again.
    CU_ASSERT_EQUAL(asked(&w, 4).what, NETNS_LIST);
    list(&w, ALL, 3);
    CU_ASSERT_EQUAL(asked(&w, 0).what, 0);
    // 1001 is not listed any more: after ten seconds it has ended, and makes room.
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(asked(&w, 4).what, NETNS_LIST);
        list(&w, ALL + 2, 1);
        CU_ASSERT_EQUAL(schedule_count(w.schedule), 5);
    }
    CU_ASSERT_EQUAL(asked(&w, 4).what, NETNS_LIST);
    list(&w, ALL + 1, 2);
    CU_ASSERT_EQUAL(schedule_count(w.schedule), 3);
    CU_ASSERT_EQUAL(asked(&w, 0).inode, 1002);
    // The program ends: what was opened goes on, nothing more is asked.
    close(w.program);
    w.program = open("/dev/null", O_RDWR | O_CLOEXEC);
    loop_once(w.env.loop, 1000);
    CU_ASSERT_FALSE(schedule_at(w.schedule, 0)->available);
    for (int i = 0; i < 100; i++)
        schedule_run(w.schedule, w.now += NS_PER_S);
    CU_ASSERT_EQUAL(schedule_count(w.schedule), 3);
    world_close(&w);
    CU_ASSERT_EQUAL(open_files(), before);
}

// Whatever is missing, nothing is left open, and the next list tries again what was not begun.
static void short_of_memory(void)
{
    static const uint64_t ONE[] = {1001};
    bool hit = true;

    for (int nth = 1; hit && nth < 500; nth++) {
        struct world w;
        int before = open_files();
        if (!world_open(&w))
            return;
        CU_ASSERT_EQUAL(asked(&w, 4).what, NETNS_LIST);
        list(&w, ONE, 1);
        CU_ASSERT_EQUAL(asked(&w, 0).what, NETNS_OPEN);
        oom_fail_at(nth);
        opened(&w, 1001, 0);
        hit = oom_stop();
        for (int i = 0; i < 3; i++)
            schedule_run(w.schedule, w.now += NS_PER_S);
        world_close(&w);
        CU_ASSERT_EQUAL(open_files(), before);
    }
    CU_ASSERT_FALSE(hit);
}

static const struct test TESTS[] = {
    {"a namespace has its name of /run/netns, its container's, or its inode", names},
    {"the door is found in the environment and is not inherited", finds_its_end},
    {"an answer of another form is refused, and its descriptors closed", takes_only_answers},
    {"a namespace is opened with any allocation failing", short_of_memory},
    {"namespaces come, up to the limit, and go when they are not listed", come_and_go},
};

int main(void)
{
    return test_main("netns", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
