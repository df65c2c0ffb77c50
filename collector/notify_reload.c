// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"
#include "collector/notify_state.h"
#include "collector/reroute.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RELOAD_WAIT_S 5

void notify_handover_unref(struct handover *h)
{
    if (atomic_fetch_sub(&h->refs, 1) > 1)
        return;
    config_unref(h->config);
    sem_destroy(&h->done);
    free(h);
}

static bool is_source(void *ctx, const struct ledger_entry *e)
{
    inhibitor_take(ctx, e->notice);
    return true;
}

// Whether the lane is still one of the alert's.
static bool repair_goes(void *ctx, const char *id, const struct notice *notice)
{
    const struct notify *n = ctx;
    uint32_t lane[LEDGER_LANES_MAX];
    size_t count = lanes_of(n->lanes, &notice->labels, lane, LEDGER_LANES_MAX);
    for (size_t i = 0; i < count; i++)
        if (strcmp(lane_id(lanes_at(n->lanes, lane[i])), id) == 0)
            return true;
    return false;
}

// All that may fail comes first.
static int change(struct notify *n, struct config *c, struct err *err)
{
    struct inhibitor *inhibitor = inhibitor_new(c->inhibit, c->n_inhibit);
    struct heartbeats *heartbeats = NULL;
    int rc = inhibitor ? 0 : -ENOMEM;
    if (!inhibitor)
        err_set(err, "out of memory");
    else if (n->heartbeats && !(heartbeats = heartbeats_anew(n->heartbeats, c, err)))
        rc = -EINVAL;
    if (rc == 0)
        rc = lanes_prepare(n->lanes, c, err);
    if (rc < 0) {
        heartbeats_close(heartbeats);
        inhibitor_free(inhibitor);
        return rc;
    }
    struct config *before = n->o.config;
    struct reroute r = {.lanes = n->lanes,
        .ledger = n->ledger,
        .now_ms = notify_now_ms(n),
        .ctx = n,
        .learned = notify_learned,
        .owed = notify_owed};
    ledger_each(n->ledger, is_source, inhibitor);
    mutes_inhibitor(n->mutes, inhibitor);
    lanes_commit(n->lanes);
    if (heartbeats)
        heartbeats_replace(&n->heartbeats, heartbeats);
    if (reroute_alerts(&r) < 0)
        log_error("ledger_out_of_memory", "hint=%s", log_q("some alerts stay where they were"));
    lanes_settle(n->lanes);
    if (n->repairs)
        repairs_reroute(n->repairs, repair_goes);
    n->o.config = config_ref(c);
    config_unref(before);
    if (r.moved || r.dropped)
        log_warn("alerts_rerouted", "moved=%zu dropped=%zu hint=%s", r.moved, r.dropped,
            log_q("they waited for a receiver they are no longer routed to"));
    return 0;
}

// Between two drains, when what was decided before is with its lanes.
void notify_take_over(struct notify *n)
{
    struct handover *h = n->handover;
    if (!h || n->held)
        return;
    int waits = HANDOVER_WAITS;
    n->handover = NULL;
    if (atomic_compare_exchange_strong(&h->state, &waits, HANDOVER_TAKEN)) {
        h->rc = change(n, h->config, &h->err);
        sem_post(&h->done);
        notify_recheck(n);
    }
    notify_handover_unref(h);
    // What came meanwhile waits in the ring, and its wake-up is spent.
    while (notify_drain(n))
        ;
}

void notify_on_handovers(void *ctx, int fd, uint32_t events)
{
    struct notify *n = ctx;
    (void)fd;
    (void)events;
    ring_drain_wakeup(n->handovers);
    while (!n->handover && (n->handover = ring_pop(n->handovers)))
        notify_pump(n);
}

static bool wait_done(struct handover *h)
{
    struct timespec until;
    int rc;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += RELOAD_WAIT_S;
    do
        rc = sem_timedwait(&h->done, &until);
    while (rc == -1 && errno == EINTR);
    int waits = HANDOVER_WAITS;
    if (rc == -1 && atomic_compare_exchange_strong(&h->state, &waits, HANDOVER_GIVEN_UP))
        return false;
    while (rc == -1) // it is being taken right now
        rc = sem_wait(&h->done);
    return true;
}

int notify_reload(struct notify *n, struct config *c, struct err *err)
{
    struct handover *h = calloc(1, sizeof(*h));
    if (!h) {
        err_set(err, "out of memory");
        return -ENOMEM;
    }
    h->config = config_ref(c);
    atomic_init(&h->state, HANDOVER_WAITS);
    atomic_init(&h->refs, 2);
    sem_init(&h->done, 0, 0);
    int rc = -ETIMEDOUT;
    if (!ring_push(n->handovers, h)) {
        notify_handover_unref(h);
    } else if (wait_done(h)) {
        rc = h->rc;
        *err = h->err;
    }
    if (rc == -ETIMEDOUT)
        err_set(err, "the notifier did not answer in %d s", RELOAD_WAIT_S);
    notify_handover_unref(h);
    return rc;
}
