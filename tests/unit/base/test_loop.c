// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"
#include "base/loop.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct watch {
    struct loop *loop;
    struct loop_io *io, *other;
    struct loop_timer *timer;
    int calls;
    int64_t due_ns, now_ns;
};

static int ready_fd(void)
{
    int fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
    CU_ASSERT_NOT_EQUAL_FATAL(fd, -1);
    return fd;
}

static void count_call(void *ctx, int fd, uint32_t events)
{
    struct watch *w = ctx;
    uint64_t n;
    CU_ASSERT_TRUE(events & EPOLLIN);
    CU_ASSERT_EQUAL(read(fd, &n, sizeof(n)), (ssize_t)sizeof(n));
    w->calls++;
}

static void delivers_ready_descriptors(void)
{
    struct loop *l = loop_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(l);
    struct watch w = {.loop = l};
    int fd = ready_fd();
    w.io = loop_io_add(l, fd, EPOLLIN, count_call, &w);
    CU_ASSERT_PTR_NOT_NULL(w.io);
    CU_ASSERT_PTR_NULL(loop_io_add(l, fd, EPOLLIN, count_call, &w));
    CU_ASSERT_EQUAL(errno, EEXIST);
    CU_ASSERT_EQUAL(loop_once(l, 0), 0);
    CU_ASSERT_EQUAL(loop_once(l, 0), 0);
    CU_ASSERT_EQUAL(w.calls, 1);
    uint64_t one = 1;
    CU_ASSERT_EQUAL(write(fd, &one, sizeof(one)), (ssize_t)sizeof(one));
    CU_ASSERT_EQUAL(loop_io_mod(w.io, 0), 0);
    loop_once(l, 0);
    CU_ASSERT_EQUAL(w.calls, 1);
    loop_io_del(w.io);
    loop_io_del(NULL);
    close(fd);
    loop_free(l);
    loop_free(NULL);
}

static void remove_other(void *ctx, int fd, uint32_t events)
{
    struct watch *w = ctx;
    (void)fd;
    (void)events;
    w->calls++;
    loop_io_del(w->other);
    loop_io_del(w->io);
}

static void a_removed_watch_hears_nothing(void)
{
    struct loop *l = loop_new();
    struct watch a = {.loop = l}, b = {.loop = l};
    int fd_a = ready_fd(), fd_b = ready_fd();
    a.io = loop_io_add(l, fd_a, EPOLLIN, remove_other, &a);
    b.io = loop_io_add(l, fd_b, EPOLLIN, remove_other, &b);
    a.other = b.io;
    b.other = a.io;
    // Both are ready in one round; whichever comes first removes both.
    loop_once(l, 0);
    loop_once(l, 0);
    CU_ASSERT_EQUAL(a.calls + b.calls, 1);
    close(fd_a);
    close(fd_b);
    loop_free(l);
}

#define TIMERS 200
static int fired[TIMERS], n_fired;

static void note_order(void *ctx, int64_t due_ns, int64_t now_ns)
{
    CU_ASSERT_TRUE(now_ns >= due_ns);
    fired[n_fired++] = (int)(intptr_t)ctx;
}

static void timers_run_in_order(void)
{
    struct loop *l = loop_new();
    struct loop_timer *t[TIMERS];
    int64_t due[TIMERS], past = loop_now_ns(l) - NS_PER_S;
    n_fired = 0;
    for (int i = 0; i < TIMERS; i++) {
        t[i] = loop_timer_new(l, note_order, (void *)(intptr_t)i);
        CU_ASSERT_PTR_NOT_NULL_FATAL(t[i]);
        due[i] = past + i * 7919 % 50;
        loop_timer_set(t[i], past + NS_PER_MS - i); // replaced below
    }
    for (int i = 0; i < TIMERS; i++)
        loop_timer_set(t[i], due[i]);
    for (int i = 0; i < TIMERS; i += 3)
        loop_timer_stop(t[i]);
    loop_once(l, 0);
    CU_ASSERT_EQUAL(n_fired, TIMERS - (TIMERS + 2) / 3);
    for (int i = 1; i < n_fired; i++) {
        int a = fired[i - 1], b = fired[i];
        CU_ASSERT_TRUE(due[a] < due[b] || (a < b && due[a] == due[b]));
        CU_ASSERT_NOT_EQUAL(b % 3, 0);
    }
    for (int i = 0; i < TIMERS; i++)
        loop_timer_free(t[i]);
    loop_timer_free(NULL);
    loop_free(l);
}

static void set_again(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct watch *w = ctx;
    w->calls++;
    w->due_ns = due_ns;
    w->now_ns = now_ns;
    loop_timer_set(w->timer, due_ns); // always late
}

static void a_late_timer_runs_once_a_round(void)
{
    struct loop *l = loop_new();
    struct watch w = {.loop = l};
    w.timer = loop_timer_new(l, set_again, &w);
    loop_timer_set(w.timer, 5);
    loop_once(l, -1);
    CU_ASSERT_EQUAL(w.calls, 1);
    CU_ASSERT_EQUAL(w.due_ns, 5);
    CU_ASSERT_EQUAL(w.now_ns, loop_now_ns(l));
    loop_once(l, -1);
    CU_ASSERT_EQUAL(w.calls, 2);
    loop_free(l); // with the timer in it
}

static void count_timer(void *ctx, int64_t due_ns, int64_t now_ns)
{
    (void)due_ns;
    (void)now_ns;
    ++*(int *)ctx;
}

#define DUE 3000

static void many_due_timers_hold_nothing_up(void)
{
    static struct loop_timer *timers[DUE];
    struct loop *l = loop_new();
    struct watch w = {0};
    int ran = 0, fd = ready_fd();
    for (int i = 0; i < DUE; i++) {
        timers[i] = loop_timer_new(l, count_timer, &ran);
        loop_timer_set(timers[i], 1 + i);
    }
    CU_ASSERT_EQUAL(loop_once(l, 0), 0);
    CU_ASSERT_TRUE(ran > 0 && ran < DUE / 2);
    // What comes in now is heard before those that are left.
    CU_ASSERT_PTR_NOT_NULL(loop_io_add(l, fd, EPOLLIN, count_call, &w));
    CU_ASSERT_EQUAL(loop_once(l, -1), 0);
    CU_ASSERT_EQUAL(w.calls, 1);
    CU_ASSERT_TRUE(ran < DUE);
    for (int i = 0; i < 100 && ran < DUE; i++)
        CU_ASSERT_EQUAL(loop_once(l, -1), 0);
    CU_ASSERT_EQUAL(ran, DUE);
    loop_free(l);
    close(fd);
}

static void free_itself(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct watch *w = ctx;
    (void)due_ns;
    (void)now_ns;
    w->calls++;
    loop_timer_free(w->timer);
    loop_stop(w->loop);
}

static void waits_in_parts_of_a_millisecond(void)
{
    struct loop *l = loop_new();
    struct watch w = {.loop = l};
    struct clock c = clock_system();
    int64_t start = clock_mono_ns(&c);
    w.timer = loop_timer_new(l, free_itself, &w);
    loop_timer_set(w.timer, start + 300000);
    CU_ASSERT_EQUAL(loop_run(l), 0);
    CU_ASSERT_EQUAL(w.calls, 1);
    // Never early; how late depends on the machine, so only that is asserted.
    CU_ASSERT_TRUE(clock_mono_ns(&c) - start >= 300000);
    loop_free(l);
}

static void *stop_it(void *arg)
{
    loop_stop(arg);
    return NULL;
}

static void another_thread_stops_it(void)
{
    struct loop *l = loop_new();
    pthread_t t;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&t, NULL, stop_it, l), 0);
    CU_ASSERT_EQUAL(loop_run(l), 0);
    pthread_join(t, NULL);
    loop_stop(l); // before it runs: it returns at once
    CU_ASSERT_EQUAL(loop_run(l), 0);
    loop_free(l);
}

static int last_signal;

static void on_signal(void *ctx, int sig)
{
    last_signal = sig;
    loop_stop(ctx);
}

static void signals_arrive_in_the_loop(void)
{
    static const int SIGNALS[] = {SIGUSR1, SIGUSR2};
    struct loop *l = loop_new();
    CU_ASSERT_EQUAL_FATAL(loop_signals(l, SIGNALS, 2, on_signal, l), 0);
    CU_ASSERT_EQUAL(raise(SIGUSR2), 0);
    CU_ASSERT_EQUAL(loop_run(l), 0);
    CU_ASSERT_EQUAL(last_signal, SIGUSR2);
    static const int WRONG[] = {9999};
    CU_ASSERT_EQUAL(loop_signals(l, WRONG, 1, on_signal, l), -EINVAL);
    loop_free(l);
}

static void failed_allocations(void)
{
    for (int nth = 1;; nth++) {
        static const int SIGNALS[] = {SIGUSR1};
        struct watch w = {0};
        int fd = ready_fd(), rc = -ENOMEM;
        oom_fail_at(nth);
        struct loop *l = loop_new();
        if (l) {
            w.io = loop_io_add(l, fd, EPOLLIN, count_call, &w);
            for (int i = 0; i < 20; i++)
                w.timer = loop_timer_new(l, free_itself, &w);
            rc = loop_signals(l, SIGNALS, 1, on_signal, l);
        }
        bool hit = oom_stop();
        loop_free(l);
        close(fd);
        if (!hit) {
            CU_ASSERT_TRUE(w.io && w.timer && rc == 0);
            CU_ASSERT_TRUE(nth > 25);
            return;
        }
    }
}

static const struct test TESTS[] = {
    {"delivers ready descriptors", delivers_ready_descriptors},
    {"a removed watch hears nothing, not even of this round", a_removed_watch_hears_nothing},
    {"timers run in order of time, then of setting", timers_run_in_order},
    {"a late timer runs once a round", a_late_timer_runs_once_a_round},
    {"many due timers hold nothing up", many_due_timers_hold_nothing_up},
    {"waits in parts of a millisecond and may free the timer", waits_in_parts_of_a_millisecond},
    {"another thread stops it", another_thread_stops_it},
    {"signals arrive in the loop", signals_arrive_in_the_loop},
    {"failed allocations are errors and leak nothing", failed_allocations},
};

int main(void)
{
    return test_main("loop", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
