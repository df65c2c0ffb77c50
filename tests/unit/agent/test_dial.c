// SPDX-License-Identifier: Apache-2.0
// Sockets of our own; the kernel's counting of what is accepted is played by a thread.
#include "agent/dial.h"
#include "agent/pulse.h"
#include "base/clock.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static struct world {
    struct connection_head head;
    struct pulse pulse;
    pthread_t others;
    bool over;
} w;

static void *come(void *arg)
{
    (void)arg;
    while (!__atomic_load_n(&w.over, __ATOMIC_ACQUIRE))
        __atomic_fetch_add(&w.head.accepted, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void open_world(void)
{
    w = (struct world){0};
    pulse_init(&w.pulse, NULL);
    w.pulse.head = &w.head;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&w.others, NULL, come, NULL), 0);
}

static void close_world(void)
{
    __atomic_store_n(&w.over, true, __ATOMIC_RELEASE);
    pthread_join(w.others, NULL);
}

static int listener(struct sockaddr *at, socklen_t *len, socklen_t room)
{
    int fd = socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(bind(fd, at, *len), 0);
    CU_ASSERT_EQUAL_FATAL(listen(fd, 1), 0);
    *len = room;
    getsockname(fd, at, len);
    return fd;
}

// A connection to a path is none that the kernel's program counts.
static void what_others_made_at_a_path_is_theirs(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    socklen_t len = offsetof(struct sockaddr_un, sun_path); // the kernel picks a name
    int server = listener((struct sockaddr *)&at, &len, sizeof(at));
    open_world();
    for (int i = 0; i < 2000; i++) {
        bool is_there = false;
        int fd = dial(&w.pulse, (struct sockaddr *)&at, len, SOCK_STREAM, &is_there);
        CU_ASSERT_TRUE(is_there);
        close(fd);
        // cppcheck-suppress nullPointer ; as in listener.c
        close(accept4(server, NULL, NULL, SOCK_CLOEXEC));
    }
    close_world();
    CU_ASSERT_EQUAL(pulse_own(&w.pulse), 0);
    close(server);
}

static void on_alarm(int sig)
{
    (void)sig;
}

// A full queue keeps a connection waiting; a signal meanwhile does not end it.
static void a_signal_is_no_end(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int server = listener((struct sockaddr *)&at, &len, sizeof(at)), queued[2], wrong = 0;
    struct sigaction act = {.sa_handler = on_alarm};
    struct itimerval often = {.it_interval.tv_usec = 300, .it_value.tv_usec = 300}, never = {0};
    struct clock c = clock_system();
    bool is_there;

    for (int i = 0; i < 2; i++)
        queued[i] = dial(NULL, (struct sockaddr *)&at, len, SOCK_STREAM, &is_there);
    sigaction(SIGALRM, &act, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int64_t end = clock_mono_ns(&c) + NS_PER_S / 2; clock_mono_ns(&c) < end;) {
        int fd = dial(NULL, (struct sockaddr *)&at, len, SOCK_STREAM, &is_there);
        wrong += fd < 0;
        if (fd >= 0)
            close(fd);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    CU_ASSERT_EQUAL(wrong, 0);
    for (int i = 0; i < 2; i++)
        close(queued[i]);
    close(server);
}

static const struct test TESTS[] = {
    {"what others made while a path was connected is theirs",
        what_others_made_at_a_path_is_theirs},
    {"a signal while a connection waits is no end of it", a_signal_is_no_end},
};

int main(void)
{
    return test_main("dial", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
