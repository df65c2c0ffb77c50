// SPDX-License-Identifier: Apache-2.0
#include "collector/transfers.h"
#include <stdlib.h>
#include <sys/epoll.h>

struct transfers {
    struct loop *loop;
    struct clock clock;
    CURLM *multi;
    struct loop_timer *timer;
    void (*turn)(void *ctx);
    void *ctx;
};

static void on_socket(void *ctx, int fd, uint32_t events)
{
    struct transfers *t = ctx;
    int running, what = 0;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP))
        what |= CURL_CSELECT_IN;
    if (events & EPOLLOUT)
        what |= CURL_CSELECT_OUT;
    if (events & EPOLLERR)
        what |= CURL_CSELECT_ERR;
    curl_multi_socket_action(t->multi, fd, what, &running);
    t->turn(t->ctx);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    struct transfers *t = ctx;
    struct loop_io *io = socket_ctx;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        loop_io_del(io);
        curl_multi_assign(t->multi, fd, NULL);
        return 0;
    }
    uint32_t events =
        (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    if (io)
        return loop_io_mod(io, events) < 0 ? -1 : 0;
    io = loop_io_add(t->loop, fd, events, on_socket, t);
    return io && curl_multi_assign(t->multi, fd, io) == CURLM_OK ? 0 : -1;
}

static int set_timer(CURLM *multi, long timeout_ms, void *ctx)
{
    struct transfers *t = ctx;
    (void)multi;
    if (timeout_ms < 0)
        loop_timer_stop(t->timer);
    else
        loop_timer_set(t->timer, clock_mono_ns(&t->clock) + (int64_t)timeout_ms * NS_PER_MS);
    return 0;
}

static void on_timer(void *ctx, int64_t due_ns, int64_t at_ns)
{
    struct transfers *t = ctx;
    int running;
    (void)due_ns;
    (void)at_ns;
    curl_multi_socket_action(t->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    t->turn(t->ctx);
}

struct transfers *transfers_new(
    struct loop *loop, struct clock clock, void (*turn)(void *ctx), void *ctx)
{
    struct transfers *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    *t = (struct transfers){.loop = loop, .clock = clock, .turn = turn, .ctx = ctx};
    curl_global_init(CURL_GLOBAL_DEFAULT);
    t->multi = curl_multi_init();
    t->timer = loop_timer_new(loop, on_timer, t);
    if (!t->multi || !t->timer) {
        transfers_free(t);
        return NULL;
    }
    curl_multi_setopt(t->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(t->multi, CURLMOPT_SOCKETDATA, t);
    curl_multi_setopt(t->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(t->multi, CURLMOPT_TIMERDATA, t);
    return t;
}

void transfers_free(struct transfers *t)
{
    if (!t)
        return;
    if (t->multi)
        curl_multi_cleanup(t->multi);
    curl_global_cleanup();
    free(t);
}

CURLM *transfers_multi(struct transfers *t)
{
    return t->multi;
}

void transfers_reap(
    struct transfers *t, void (*fn)(void *ctx, CURL *easy, CURLcode code), void *ctx)
{
    int left;
    CURLMsg *m;
    while ((m = curl_multi_info_read(t->multi, &left))) {
        CURLcode code = m->data.result;
        if (m->msg == CURLMSG_DONE)
            fn(ctx, m->easy_handle, code); // m is gone from here on
    }
}
