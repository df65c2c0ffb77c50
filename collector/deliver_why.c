// SPDX-License-Identifier: Apache-2.0
#include "collector/deliver_queue.h"

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

// The first item of the group in the queue.
static const struct item *first_of(const struct deliver *d, const struct group *g)
{
    const struct item *it = d->head;
    while (it && it->group != g)
        it = it->next;
    return it;
}

// Where things stand when deliver_take is called as soon as it has something.
struct sight {
    const struct deliver *d;
    int64_t ready_ms; // the receiver may be asked
    size_t slots;     // that are free
};

static int64_t at_of(const struct sight *s, const struct group *g)
{
    return later(deliver_group_due(g), s->ready_ms);
}

// Groups that go before the item it, which goes at at_ms; counted up to the slots there are.
static size_t ahead_of(const struct sight *s, const struct item *it, int64_t at_ms)
{
    const struct group *counted[DELIVER_FLIGHTS_MAX];
    size_t n = 0;
    bool passed = false;
    for (const struct item *o = s->d->head; o && n < s->slots; o = o->next) {
        passed = passed || o == it;
        if (o->group == it->group || o->group->flying)
            continue;
        int64_t at = at_of(s, o->group);
        if (at > at_ms || (at == at_ms && passed))
            continue;
        bool there = false; // a later item of the same group goes when the first has landed
        for (size_t i = 0; i < n && o->group->items > 1; i++)
            there |= counted[i] == o->group;
        if (!there)
            counted[n++] = o->group;
    }
    return n;
}

// A reminder waits until the queue is empty. When that is; INT64_MAX: something has to land first.
static int64_t empty_at(const struct sight *s, size_t *ret_n)
{
    int64_t at = 0;
    *ret_n = 0;
    for (const struct item *o = s->d->head; o; o = o->next) {
        if (++*ret_n > s->slots || o->group->flying || first_of(s->d, o->group) != o)
            return INT64_MAX;
        at = later(at, at_of(s, o->group));
    }
    return at;
}

static int64_t reminder_of(const struct deliver *d, const struct group *g)
{
    return later(g->last_sent_ms + d->o.repeat_ms, g->quiet_until_ms);
}

// Reminders that go before that of g.
static size_t reminders_ahead(const struct sight *s, const struct group *g, size_t max)
{
    size_t at = 0, n = 0, len;
    const void *key;
    void *v;
    bool passed = false;
    int64_t own = reminder_of(s->d, g);
    while (n < max && map_next(&s->d->groups, &at, &key, &len, &v)) {
        const struct group *o = v;
        passed = passed || o == g;
        if (o == g || !o->known.count || o->items)
            continue;
        int64_t due = reminder_of(s->d, o);
        n += due < own || (due == own && !passed);
    }
    return n;
}

static void why_reminder(const struct sight *s, const struct group *g, struct deliver_why *ret)
{
    const struct deliver *d = s->d;
    size_t queued;
    ret->reason = DELIVER_WHY_REPEAT;
    ret->since_ms = g->last_sent_ms;
    if (!g->known.count)
        ret->reason = DELIVER_WHY_NOTHING;
    else if (d->o.repeat_ms <= 0)
        ret->reason = DELIVER_WHY_NO_REPEAT;
    else if (d->hold)
        ret->reason = DELIVER_WHY_HELD;
    else if (deliver_quiet(d, g))
        ret->reason = DELIVER_WHY_QUIET;
    if (ret->reason != DELIVER_WHY_REPEAT)
        return;
    int64_t empty = empty_at(s, &queued);
    int64_t at = later(reminder_of(d, g), s->ready_ms);
    ret->at_ms = at;
    if (empty == INT64_MAX || queued >= s->slots ||
        reminders_ahead(s, g, s->slots - queued) + queued >= s->slots) {
        ret->exact = false;
        return;
    }
    ret->at_ms = later(at, empty);
}

static enum deliver_reason reason_of(
    const struct deliver *d, const struct group *g, int64_t now_ms)
{
    int64_t due = deliver_group_due(g), named = d->named_ms > now_ms ? d->named_ms : 0;
    if (later(due, later(d->retry_at_ms, named)) <= now_ms)
        return DELIVER_WHY_NOW;
    if (named && named >= due && named >= d->retry_at_ms)
        return DELIVER_WHY_RETRY_AFTER;
    if (d->retry_at_ms > now_ms && d->retry_at_ms >= due)
        return DELIVER_WHY_BACK_OFF;
    return g->retry_at_ms > g->not_before_ms ? DELIVER_WHY_REFUSED : DELIVER_WHY_GROUP_WAIT;
}

void deliver_why(const struct deliver *d, const struct labels *labels, int64_t now_ms,
    struct deliver_why *ret)
{
    const struct group *g = deliver_group_find(d, labels);
    struct sight s = {.d = d, .ready_ms = later(now_ms, later(d->retry_at_ms, d->named_ms))};
    size_t flights = d->fails ? 1 : d->o.flights;
    s.slots = flights > d->flying ? flights - d->flying : 0;
    *ret = (struct deliver_why){.reason = DELIVER_WHY_NOTHING,
        .at_ms = INT64_MAX,
        .exact = true,
        .failing_since_ms = d->stats.failing_since_ms,
        .status = d->stats.failing_status};
    if (d->stats.gone) {
        ret->reason = DELIVER_WHY_GONE;
        return;
    }
    if (!g)
        return;
    if (g->flying) {
        ret->reason = DELIVER_WHY_IN_FLIGHT;
        return;
    }
    const struct item *it = g->items ? first_of(d, g) : NULL;
    if (!it) {
        why_reminder(&s, g, ret);
        return;
    }
    ret->reason = reason_of(d, g, now_ms);
    ret->since_ms = it->queued_ms;
    ret->tries = it->tries;
    ret->at_ms = at_of(&s, g);
    if (s.slots == 0 || ahead_of(&s, it, ret->at_ms) >= s.slots) {
        ret->exact = false;
        if (ret->reason == DELIVER_WHY_NOW)
            ret->reason = DELIVER_WHY_TURN;
    }
}
