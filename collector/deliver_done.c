// SPDX-License-Identifier: Apache-2.0
#include "collector/deliver_queue.h"
#include <stdlib.h>

// Of the messages that wait when a receiver is gone: more are not kept anyway, and making each of a
// full queue would take seconds.
#define LOST_BODIES_MAX 1000

static const int64_t RETRY_MS[] = {0, 500, 1000, 2000, 4000, 5000};

void deliver_finish(struct deliver *d, struct item *it, bool told, int64_t now_ms)
{
    struct group *g = it->group;
    d->stats.queued -= it->changes.count;
    for (size_t i = 0; i < it->changes.count; i++) {
        const struct notice *n = it->changes.n[i];
        if (n->to != ALERT_FIRING) {
            notice_set_remove(&g->known, n->fingerprint);
            deliver_learn(d, n->alert_id, TOLD_OVER);
        } else if (told) {
            deliver_learn(d, n->alert_id, TOLD_FIRING);
            notice_set_put(&g->known, n);
        }
    }
    if (told)
        g->last_sent_ms = now_ms;
    g->items--;
    g->retry_at_ms = 0;
    deliver_item_free(it);
    deliver_group_release(d, g);
    d->fails = 0;
    d->choked = NULL;
    d->retry_at_ms = 0;
}

static void drop(struct deliver *d, struct item *it, int64_t now_ms)
{
    d->stats.dropped++;
    d->stats.alerts_dropped += it->changes.count;
    for (size_t i = 0; i < it->changes.count; i++)
        deliver_late_lost(d, it->changes.n[i]);
    deliver_finish(d, it, false, now_ms);
}

// What is taken out changes no more.
void deliver_take_out(struct deliver *d, struct item *before, struct item *it)
{
    *(before ? &before->next : &d->head) = it->next;
    if (d->tail == it)
        d->tail = before;
    it->next = NULL;
    if (it->group->last == it)
        it->group->last = NULL;
}

void deliver_put_back(struct deliver *d, struct item *it)
{
    it->next = d->head;
    d->head = it;
    if (!d->tail)
        d->tail = it;
}

static uint64_t random_below(struct deliver *d, uint64_t limit)
{
    d->random ^= d->random << 13;
    d->random ^= d->random >> 7;
    d->random ^= d->random << 17;
    return limit ? d->random % limit : 0;
}

static bool may_pass(int status)
{
    return status == 0 || status >= 500 || status == 408 || status == 425 || status == 429;
}

// It is not about the message: nobody listens, or nobody has time.
static bool is_away(int status)
{
    return status == 0 || status == 429 || (status >= 502 && status <= 504);
}

static int64_t wait_of(struct deliver *d, unsigned tries)
{
    size_t last = sizeof(RETRY_MS) / sizeof(RETRY_MS[0]) - 1;
    return (int64_t)random_below(
        d, (uint64_t)RETRY_MS[tries - 1 < last ? tries - 1 : last] + 1);
}

static enum deliver_verdict gone(
    struct deliver *d, const struct flight *f, struct item *it, int64_t now_ms)
{
    size_t waiting = 0;
    d->stats.gone = true;
    deliver_lose_flight(d, f, DELIVER_LOSS_GONE);
    drop(d, it, now_ms);
    for (it = d->head; it; it = it->next)
        waiting++;
    for (; (it = d->head); waiting--) {
        deliver_lose_item(d, it, waiting <= LOST_BODIES_MAX, DELIVER_LOSS_GONE);
        deliver_take_out(d, NULL, it);
        drop(d, it, now_ms);
    }
    return DELIVER_GONE;
}

// When to try again. Those that flew together and failed together are one failure.
static void back_off(struct deliver *d, const struct flight *f, struct item *it, int64_t now_ms,
    int status, int64_t retry_after_ms)
{
    bool named = retry_after_ms >= 0, choked = !named && !is_away(status);
    if (named) {
        int64_t max = DELIVER_GIVE_UP_MS;
        int64_t until = now_ms + (retry_after_ms < max ? retry_after_ms : max);
        d->named_ms = until > d->named_ms ? until : d->named_ms;
    }
    // What it answers may be meant for this message only: meanwhile the others have their turn. If it
    // chokes on them too it is the receiver, and all wait.
    if (choked)
        it->group->retry_at_ms = now_ms + wait_of(d, it->tries);
    if (d->fails > f->fails || (choked && d->choked == it->group))
        return;
    d->choked = choked ? it->group : NULL;
    d->fails++;
    d->retry_at_ms = named ? 0 : now_ms + wait_of(d, d->fails);
}

enum deliver_verdict deliver_done(
    struct deliver *d, unsigned flight, int64_t now_ms, int status, int64_t retry_after_ms)
{
    struct flight *f = &d->flights[flight];
    struct item *it = f->it;
    f->it = NULL;
    it->group->flying = false;
    d->flying--;
    if (status >= 200 && status < 300) {
        d->stats.sent++;
        d->stats.failing_since_ms = 0;
        d->stats.last_sent_ms = now_ms;
        deliver_finish(d, it, true, now_ms);
        return DELIVER_SENT;
    }
    d->stats.failed++;
    d->stats.failing_status = status;
    if (!d->stats.failing_since_ms)
        d->stats.failing_since_ms = now_ms;
    if (status == 410)
        return gone(d, f, it, now_ms);
    it->tries++;
    if (!may_pass(status))
        it->refused++;
    bool refused = it->refused >= DELIVER_TRIES_MAX;
    if (d->stats.gone || d->retired || refused ||
        now_ms - it->queued_ms >= DELIVER_GIVE_UP_MS) {
        deliver_lose_flight(d, f,
            d->stats.gone || d->retired ? DELIVER_LOSS_GONE
            : refused                   ? DELIVER_LOSS_REFUSED
                                        : DELIVER_LOSS_OLD);
        drop(d, it, now_ms);
        return DELIVER_DROPPED;
    }
    deliver_put_back(d, it);
    back_off(d, f, it, now_ms, status, retry_after_ms);
    return DELIVER_RETRY;
}
