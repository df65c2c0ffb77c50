// SPDX-License-Identifier: Apache-2.0
#include "base/loop.h"
#include "base/clock.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

// A round is never so many timers long that what came in waits for them: with 10,000 probes a second
// and 64 events for every due timer, one stall of a second was for ever, since answers were heard
// after their timeouts.
#define EVENTS_PER_ROUND 512
#define TIMERS_PER_ROUND 256
#define NOT_QUEUED       SIZE_MAX

struct loop_io {
    struct loop *loop;
    struct loop_io *prev, *next; // in loop->ios, or next alone in loop->removed
    loop_io_fn *fn;              // NULL once removed
    void *ctx;
    int fd;
};

struct loop_timer {
    struct loop *loop;
    struct loop_timer *prev, *next; // in loop->timers, queued or not
    loop_timer_fn *fn;
    void *ctx;
    int64_t due_ns;
    uint64_t order; // of setting, so that equal times run first come, first served
    size_t at;      // index in the heap, NOT_QUEUED
};

struct loop_signals {
    struct loop_signals *next;
    struct loop_io *io;
    void (*fn)(void *ctx, int sig);
    void *ctx;
    int fd;
};

struct loop {
    int epoll_fd, stop_fd;
    atomic_bool stopping;
    bool coarse; // no epoll_pwait2 here: wait in whole milliseconds
    int64_t now_ns;
    struct loop_io *ios;
    struct loop_io *removed; // freed after the round: events of theirs may be fetched already
    struct loop_io *stop_io;
    struct loop_timer *timers;
    size_t n_timers;
    struct loop_timer **heap; // room for every timer, so that setting one cannot fail
    size_t heap_n, heap_cap;
    uint64_t orders;
    struct loop_signals *signals;
};

static int64_t mono_ns(void)
{
    struct clock c = clock_system();
    return clock_mono_ns(&c);
}

// --- timers: a binary heap by (due, order) -----------------------------------------------------

static bool before(const struct loop_timer *a, const struct loop_timer *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void put(struct loop *l, size_t i, struct loop_timer *t)
{
    l->heap[i] = t;
    t->at = i;
}

static void sift_up(struct loop *l, size_t i)
{
    struct loop_timer *t = l->heap[i];
    for (; i > 0 && before(t, l->heap[(i - 1) / 2]); i = (i - 1) / 2)
        put(l, i, l->heap[(i - 1) / 2]);
    put(l, i, t);
}

static void sift_down(struct loop *l, size_t i)
{
    struct loop_timer *t = l->heap[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= l->heap_n)
            break;
        if (child + 1 < l->heap_n && before(l->heap[child + 1], l->heap[child]))
            child++;
        if (!before(l->heap[child], t))
            break;
        put(l, i, l->heap[child]);
        i = child;
    }
    put(l, i, t);
}

void loop_timer_stop(struct loop_timer *t)
{
    struct loop *l = t->loop;
    size_t i = t->at;
    if (i == NOT_QUEUED)
        return;
    t->at = NOT_QUEUED;
    struct loop_timer *last = l->heap[--l->heap_n];
    if (last == t)
        return;
    put(l, i, last);
    sift_up(l, i);
    sift_down(l, last->at);
}

void loop_timer_set(struct loop_timer *t, int64_t due_ns)
{
    struct loop *l = t->loop;
    loop_timer_stop(t);
    t->due_ns = due_ns;
    t->order = l->orders++;
    put(l, l->heap_n++, t);
    sift_up(l, t->at);
}

struct loop_timer *loop_timer_new(struct loop *l, loop_timer_fn *fn, void *ctx)
{
    if (l->n_timers == l->heap_cap) {
        size_t cap = l->heap_cap ? l->heap_cap * 2 : 8;
        struct loop_timer **heap = realloc(l->heap, cap * sizeof(struct loop_timer *));
        if (!heap)
            return NULL;
        l->heap = heap;
        l->heap_cap = cap;
    }
    struct loop_timer *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    *t = (struct loop_timer){
        .loop = l, .fn = fn, .ctx = ctx, .at = NOT_QUEUED, .next = l->timers};
    if (l->timers)
        l->timers->prev = t;
    l->timers = t;
    l->n_timers++;
    return t;
}

void loop_timer_free(struct loop_timer *t)
{
    if (!t)
        return;
    struct loop *l = t->loop;
    loop_timer_stop(t);
    if (t->prev)
        t->prev->next = t->next;
    else
        l->timers = t->next;
    if (t->next)
        t->next->prev = t->prev;
    l->n_timers--;
    free(t);
}

static void run_timers(struct loop *l)
{
    // Only those set before this round: one that sets itself to a past time must not keep us here.
    uint64_t until = l->orders;
    for (int n = 0; n < TIMERS_PER_ROUND && l->heap_n > 0; n++) {
        struct loop_timer *t = l->heap[0];
        if (t->due_ns > l->now_ns || t->order >= until)
            break;
        int64_t due_ns = t->due_ns;
        loop_timer_stop(t);
        t->fn(t->ctx, due_ns, l->now_ns); // may free t
    }
}

// --- descriptors -------------------------------------------------------------------------------

struct loop_io *loop_io_add(
    struct loop *l, int fd, uint32_t epoll_events, loop_io_fn *fn, void *ctx)
{
    struct loop_io *io = calloc(1, sizeof(*io));
    if (!io)
        return NULL;
    *io = (struct loop_io){.loop = l, .fn = fn, .ctx = ctx, .fd = fd, .next = l->ios};
    struct epoll_event ev = {.events = epoll_events, .data.ptr = io};
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) == -1) {
        free(io);
        return NULL;
    }
    if (l->ios)
        l->ios->prev = io;
    l->ios = io;
    return io;
}

int loop_io_mod(struct loop_io *io, uint32_t epoll_events)
{
    struct epoll_event ev = {.events = epoll_events, .data.ptr = io};
    return epoll_ctl(io->loop->epoll_fd, EPOLL_CTL_MOD, io->fd, &ev) == -1 ? -errno : 0;
}

void loop_io_del(struct loop_io *io)
{
    if (!io || !io->fn)
        return;
    struct loop *l = io->loop;
    // Fails when the caller closed the descriptor first; the kernel has dropped it then.
    epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
    if (io->prev)
        io->prev->next = io->next;
    else
        l->ios = io->next;
    if (io->next)
        io->next->prev = io->prev;
    io->fn = NULL;
    io->next = l->removed;
    l->removed = io;
}

static void free_removed(struct loop *l)
{
    while (l->removed) {
        struct loop_io *io = l->removed;
        l->removed = io->next;
        free(io);
    }
}

// --- the loop ----------------------------------------------------------------------------------

static void on_stop(void *ctx, int fd, uint32_t epoll_events)
{
    (void)ctx;
    (void)epoll_events;
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof(count));
    (void)n;
}

struct loop *loop_new(void)
{
    struct loop *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (l->epoll_fd != -1 && l->stop_fd != -1)
        l->stop_io = loop_io_add(l, l->stop_fd, EPOLLIN, on_stop, l);
    if (!l->stop_io) {
        int saved_errno = errno;
        loop_free(l);
        errno = saved_errno;
        return NULL;
    }
    l->now_ns = mono_ns();
    return l;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    while (l->timers)
        loop_timer_free(l->timers);
    while (l->ios)
        loop_io_del(l->ios);
    free_removed(l);
    while (l->signals) {
        struct loop_signals *s = l->signals;
        l->signals = s->next;
        close(s->fd);
        free(s);
    }
    if (l->stop_fd != -1)
        close(l->stop_fd);
    if (l->epoll_fd != -1)
        close(l->epoll_fd);
    free(l->heap);
    free(l);
}

void loop_stop(struct loop *l)
{
    int saved_errno = errno; // may run in a signal handler
    uint64_t one = 1;
    atomic_store(&l->stopping, true);
    ssize_t n = write(l->stop_fd, &one, sizeof(one));
    (void)n;
    errno = saved_errno;
}

int64_t loop_now_ns(const struct loop *l)
{
    return l->now_ns;
}

// Nanoseconds to wait, -1 = no end.
static int64_t wait_ns(const struct loop *l, int timeout_ms)
{
    int64_t limit = timeout_ms < 0 ? -1 : timeout_ms * NS_PER_MS;
    if (l->heap_n == 0 || limit == 0)
        return limit;
    int64_t now = mono_ns(), due = l->heap[0]->due_ns;
    int64_t left = due <= now ? 0 : due - now;
    return limit >= 0 && limit < left ? limit : left;
}

// epoll_wait counts milliseconds, which is what detection is measured in: too coarse.
static int wait_events(struct loop *l, struct epoll_event *events, int64_t ns)
{
    if (!l->coarse) {
        struct timespec ts = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
        int n = epoll_pwait2(l->epoll_fd, events, EVENTS_PER_ROUND, ns < 0 ? NULL : &ts, NULL);
        if (n >= 0 || (errno != ENOSYS && errno != EPERM))
            return n;
        l->coarse = true; // kernel before 5.11, or a container's filter that does not know it
    }
    int64_t ms = ns < 0 ? -1 : (ns + NS_PER_MS - 1) / NS_PER_MS;
    return epoll_wait(l->epoll_fd, events, EVENTS_PER_ROUND, ms > 3600000 ? 3600000 : (int)ms);
}

int loop_once(struct loop *l, int timeout_ms)
{
    struct epoll_event events[EVENTS_PER_ROUND];
    int n = wait_events(l, events, wait_ns(l, timeout_ms));
    if (n == -1 && errno != EINTR)
        return -errno;
    l->now_ns = mono_ns();
    for (int i = 0; i < n; i++) {
        struct loop_io *io = events[i].data.ptr;
        if (io->fn)
            io->fn(io->ctx, io->fd, events[i].events);
    }
    run_timers(l);
    free_removed(l);
    return 0;
}

int loop_run(struct loop *l)
{
    int rc = 0;
    while (rc == 0 && !atomic_load(&l->stopping))
        rc = loop_once(l, -1);
    atomic_store(&l->stopping, false);
    return rc;
}

static void on_signal(void *ctx, int fd, uint32_t epoll_events)
{
    const struct loop_signals *s = ctx;
    (void)epoll_events;
    // fn may free the loop's other watches but not the loop, so s stays.
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        s->fn(s->ctx, (int)info.ssi_signo);
}

int loop_signals(
    struct loop *l, const int *signals, int n, void (*fn)(void *ctx, int sig), void *ctx)
{
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < n; i++)
        if (sigaddset(&set, signals[i]) == -1)
            return -errno;
    struct loop_signals *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    int rc = -pthread_sigmask(SIG_BLOCK, &set, NULL);
    *s = (struct loop_signals){.fn = fn, .ctx = ctx, .fd = -1};
    if (rc == 0) {
        s->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
        rc = s->fd == -1 ? -errno : 0;
    }
    if (rc == 0) {
        s->io = loop_io_add(l, s->fd, EPOLLIN, on_signal, s);
        rc = s->io ? 0 : -errno;
    }
    if (rc < 0) {
        if (s->fd != -1)
            close(s->fd);
        free(s);
        return rc;
    }
    s->next = l->signals;
    l->signals = s;
    return 0;
}
