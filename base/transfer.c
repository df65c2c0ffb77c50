// SPDX-License-Identifier: Apache-2.0
#include "base/transfer.h"
#include "base/clock.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>

struct transfers {
    CURLM *multi;
    struct loop *loop;
    struct loop_timer *timer;
    void (*turn)(void *ctx);
    void *ctx;
    bool collecting; // inside collect: no second one below it
};

// Results are read after each step; a done callback may start transfers, whose first step then
// comes from curl's timer.
static void collect(struct transfers *m)
{
    CURLMsg *msg;
    int left;
    if (m->collecting)
        return;
    m->collecting = true;
    while ((msg = curl_multi_info_read(m->multi, &left))) {
        if (msg->msg != CURLMSG_DONE)
            continue;
        struct transfer *t = NULL;
        CURL *easy = msg->easy_handle;
        CURLcode result = msg->data.result;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&t);
        curl_multi_remove_handle(m->multi, easy); // msg is gone now
        t->done(t, result);
    }
    m->collecting = false;
    if (m->turn)
        m->turn(m->ctx);
}

static void on_io(void *ctx, int fd, uint32_t events)
{
    struct transfers *m = ctx;
    int running;
    int what = (events & EPOLLIN ? CURL_CSELECT_IN : 0) |
               (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
               (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
    curl_multi_socket_action(m->multi, fd, what, &running);
    collect(m);
}

static void on_timer(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct transfers *m = ctx;
    int running;
    (void)due_ns;
    (void)now_ns;
    curl_multi_socket_action(m->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(m);
}

static int want_io(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    struct transfers *m = ctx;
    struct loop_io *io = socket_ctx;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        loop_io_del(io);
        curl_multi_assign(m->multi, fd, NULL);
        return 0;
    }
    uint32_t events =
        (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    if (io)
        return loop_io_mod(io, events) < 0 ? -1 : 0;
    io = loop_io_add(m->loop, fd, events, on_io, m);
    if (!io)
        return -1; // the transfer fails
    curl_multi_assign(m->multi, fd, io);
    return 0;
}

static int want_timer(CURLM *multi, long timeout_ms, void *ctx)
{
    struct transfers *m = ctx;
    (void)multi;
    if (timeout_ms < 0) {
        loop_timer_stop(m->timer);
        return 0;
    }
    // The real time, not the round's: a due time in the past would fire too early for curl's taste.
    struct clock c = clock_system();
    loop_timer_set(m->timer, clock_mono_ns(&c) + timeout_ms * NS_PER_MS);
    return 0;
}

struct transfers *transfers_new(struct loop *loop, void (*turn)(void *ctx), void *ctx)
{
    struct transfers *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    m->loop = loop;
    m->turn = turn;
    m->ctx = ctx;
    m->timer = loop_timer_new(loop, on_timer, m);
    m->multi = curl_multi_init();
    if (!m->timer || !m->multi) {
        transfers_free(m);
        return NULL;
    }
    curl_multi_setopt(m->multi, CURLMOPT_SOCKETFUNCTION, want_io);
    curl_multi_setopt(m->multi, CURLMOPT_SOCKETDATA, m);
    curl_multi_setopt(m->multi, CURLMOPT_TIMERFUNCTION, want_timer);
    curl_multi_setopt(m->multi, CURLMOPT_TIMERDATA, m);
    return m;
}

void transfers_free(struct transfers *m)
{
    if (!m)
        return;
    if (m->multi)
        curl_multi_cleanup(m->multi);
    loop_timer_free(m->timer);
    free(m);
}

void transfers_keep(struct transfers *m, long connections)
{
    curl_multi_setopt(m->multi, CURLMOPT_MAXCONNECTS, connections);
}

int transfer_start(struct transfers *m, CURL *easy, struct transfer *t)
{
    curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
    return curl_multi_add_handle(m->multi, easy) == CURLM_OK ? 0 : -ENOMEM;
}

void transfer_stop(struct transfers *m, CURL *easy)
{
    if (easy)
        curl_multi_remove_handle(m->multi, easy);
}
