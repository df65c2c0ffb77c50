// SPDX-License-Identifier: Apache-2.0
#include "agent/walk.h"
#include "agent/sockdiag.h"
#include <errno.h>
#include <linux/netlink.h>
#include <sys/epoll.h>

static int64_t real_ns(void)
{
    struct clock c = clock_system();
    return clock_mono_ns(&c);
}

static void over(struct walk *w, bool whole)
{
    w->walking = false;
    w->over(w->ctx, whole);
}

// One receive. False when the walk is over or nothing more is there now.
static bool step(struct walk *w)
{
    size_t at = 0;
    struct netlink_message m;
    int n = netlink_receive(&w->netlink);

    if (n == 0)
        return false;
    if (n < 0) {
        if (w->walking)
            over(w, false);
        return false;
    }
    while (netlink_next(w->netlink.chunk, (size_t)n, &at, &m)) {
        if (m.seq != w->netlink.seq || !w->walking)
            continue;
        if (m.flags & NLM_F_DUMP_INTR)
            w->torn = true;
        if (m.type == NLMSG_DONE || m.type == NLMSG_ERROR) {
            over(w, m.type == NLMSG_DONE && !w->torn);
            return false;
        }
        if (sockdiag_is_socket(m.type)) {
            w->seen++;
            w->socket(w->ctx, &m);
        }
    }
    return w->walking;
}

static void slice(struct walk *w, int64_t cpu_begun, int64_t wall_begun)
{
    while (step(w) && real_ns() - wall_begun < WALK_SLICE_NS) {
    }
    int64_t spent = sampler_cpu_begin() - cpu_begun;
    w->cost_ns += spent;
    if (spent > w->longest_ns)
        w->longest_ns = spent;
}

static void on_readable(void *ctx, int fd, uint32_t events)
{
    struct walk *w = ctx;
    int64_t begun = sampler_cpu_begin();

    (void)fd;
    (void)events;
    slice(w, begun, real_ns());
    sampler_cpu_end(w->sampler, begun);
}

int walk_open(struct walk *w, struct sampler *s)
{
    int rc = netns_netlink(s->env->netns, NETNS_WALK, &w->netlink, 0, 0);

    w->sampler = s;
    if (rc < 0)
        return rc;
    w->io = loop_io_add(s->env->loop, w->netlink.fd, EPOLLIN, on_readable, w);
    return w->io ? 0 : -ENOMEM;
}

void walk_close(struct walk *w)
{
    loop_io_del(w->io);
    w->io = NULL;
    netlink_close(&w->netlink);
}

bool walk_can_begin(struct walk *w)
{
    if (w->walking && real_ns() - w->begun_ns >= WALK_PATIENCE_NS)
        over(w, false);
    return !w->walking;
}

void walk_begin(struct walk *w, int64_t cpu_begun, int64_t wall_ns)
{
    uint8_t request[SOCKDIAG_REQUEST_MAX];
    uint16_t type, flags;
    size_t len = sockdiag_request(request, w->states, true, false, &type, &flags);

    w->walking = true;
    w->torn = false;
    w->begun_ns = wall_ns;
    w->seen = 0;
    w->cost_ns = w->longest_ns = 0;
    if (netlink_send(&w->netlink, type, flags, request, len) != 0) {
        over(w, false);
        return;
    }
    slice(w, cpu_begun, wall_ns);
}
