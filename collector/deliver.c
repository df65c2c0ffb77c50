// SPDX-License-Identifier: Apache-2.0
#include "collector/deliver_queue.h"
#include "collector/webhook.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define QUIET_LOOK_MS 10000

static bool fires(const struct notice *n)
{
    return n->to == ALERT_FIRING;
}

static void group_free(struct group *g)
{
    if (!g)
        return;
    notice_set_done(&g->known);
    free(g->labels);
    free(g->key);
    free(g);
}

// What the alerts of its group have in common (in a, or borrowed), and the group's key. False: no memory.
static bool key_of(const struct deliver *d, const struct labels *labels, struct arena *a,
    struct labels *ret_by, struct buf *ret_key)
{
    if (d->o.group_by_all)
        *ret_by = *labels;
    else if (!labels_keep(a, labels, d->o.group_by, d->o.n_group_by, ret_by))
        return false;
    if (webhook_group_key(d->o.route_key, ret_by, ret_key) < 0)
        return false;
    // Who takes groups for incidents must not end one by what was told in another's place.
    if (d->o.fallback_for)
        buf_addf(ret_key, "/fallback:%s", d->o.fallback_for);
    return !ret_key->failed;
}

const struct group *deliver_group_find(const struct deliver *d, const struct labels *labels)
{
    struct arena arena;
    struct labels by = {0};
    struct buf key;
    arena_init(&arena, 0);
    buf_init(&key, 1u << 20);
    const struct group *g =
        key_of(d, labels, &arena, &by, &key) ? map_get(&d->groups, key.data, key.len) : NULL;
    buf_done(&key);
    arena_done(&arena);
    return g;
}

struct group *deliver_group(struct deliver *d, const struct notice *n, bool make)
{
    const struct labels *labels = &n->labels;
    struct arena arena;
    struct labels by = {0};
    struct buf key;
    struct group *g = d->stays.n ? map_get(&d->stays, &n->alert_id, sizeof(n->alert_id)) : NULL;
    if (g)
        return g;
    arena_init(&arena, 0);
    buf_init(&key, 1u << 20);
    if (!key_of(d, labels, &arena, &by, &key))
        goto out;
    g = map_get(&d->groups, key.data, key.len);
    if (g || !make)
        goto out;
    g = calloc(1, sizeof(*g));
    if (!g)
        goto out;
    g->labels = labels_dup(&by);
    g->key = strdup(buf_cstr(&key));
    if (!g->labels || !g->key || map_set(&d->groups, g->key, strlen(g->key), g) < 0) {
        group_free(g);
        g = NULL;
    }
out:
    buf_done(&key);
    arena_done(&arena);
    return g;
}

void deliver_group_release(struct deliver *d, struct group *g)
{
    if (g->items || g->known.count || g->stays)
        return;
    map_del(&d->groups, g->key, strlen(g->key));
    group_free(g);
}

struct deliver *deliver_new(const struct deliver_options *o)
{
    struct deliver *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    d->o = *o;
    if (!d->o.queue_max)
        d->o.queue_max = DELIVER_QUEUE_MAX;
    map_init(&d->groups);
    map_init(&d->stays);
    if (!d->o.flights || d->o.flights > DELIVER_FLIGHTS_MAX)
        d->o.flights = d->o.flights ? DELIVER_FLIGHTS_MAX : 1;
    for (size_t i = 0; i < d->o.flights; i++) {
        buf_init(&d->flights[i].body, DELIVER_BODY_MAX);
        buf_init(&d->flights[i].path, DELIVER_PATH_MAX);
    }
    d->random = o->seed | 1;
    d->late_at_ms = INT64_MAX;
    return d;
}

void deliver_item_free(struct item *it)
{
    notice_set_done(&it->changes);
    free(it);
}

void deliver_free(struct deliver *d)
{
    if (!d)
        return;
    for (struct item *it = d->head, *next; it; it = next) {
        next = it->next;
        deliver_item_free(it);
    }
    size_t at = 0;
    const void *key;
    size_t len;
    void *g;
    while (map_next(&d->groups, &at, &key, &len, &g))
        group_free(g);
    map_done(&d->groups);
    map_done(&d->stays);
    for (size_t i = 0; i < d->o.flights; i++) {
        if (d->flights[i].it)
            deliver_item_free(d->flights[i].it);
        buf_done(&d->flights[i].body);
        buf_done(&d->flights[i].path);
        free(d->flights[i].changed);
    }
    free(d->told);
    free(d->unheard);
    free(d);
}

static struct item *item_push(struct deliver *d, struct group *g, int64_t now_ms)
{
    struct item *it = calloc(1, sizeof(*it));
    if (!it)
        return NULL;
    it->group = g;
    it->queued_ms = now_ms;
    it->due_ms = now_ms > g->not_before_ms ? now_ms : g->not_before_ms;
    if (d->tail)
        d->tail->next = it;
    else
        d->head = it;
    d->tail = it;
    g->last = it;
    g->items++;
    return it;
}

static bool urgent(const struct labels *labels)
{
    const char *s = labels_get(labels, "severity");
    return strcmp(s, "page") == 0 || strcmp(s, "critical") == 0;
}

// Without memory it is not written down: the receiver is told again after a restart.
void deliver_learn(struct deliver *d, uint64_t alert_id, enum told told)
{
    if (told == TOLD_OVER)
        deliver_unstay(d, alert_id);
    if (d->n_told == d->cap_told) {
        size_t cap = d->cap_told ? d->cap_told * 2 : 16;
        struct deliver_told *grown = realloc(d->told, cap * sizeof(*grown));
        if (!grown)
            return;
        d->told = grown;
        d->cap_told = cap;
    }
    d->told[d->n_told++] = (struct deliver_told){alert_id, told};
}

const struct deliver_told *deliver_told(struct deliver *d, size_t *ret_n)
{
    *ret_n = d->n_told;
    d->n_told = 0;
    return d->told;
}

static int add_one(struct deliver *d, const struct notice *n, int64_t now_ms)
{
    struct group *g = deliver_group(d, n, true);
    if (!g)
        return -ENOMEM;
    // Only the group's newest item may take a change in, and only if it says nothing else of
    // this alert: two states of one alert are two messages.
    struct item *it = g->last;
    const struct notice *there = it ? notice_set_find(&it->changes, n->fingerprint) : NULL;
    if (there && fires(there) != fires(n))
        it = NULL;
    if (!it) {
        if (g->items == 0 && g->known.count == 0)
            g->not_before_ms = now_ms + d->o.group_wait_ms;
        it = item_push(d, g, now_ms);
        if (!it) {
            deliver_group_release(d, g);
            return -ENOMEM;
        }
    }
    if (urgent(&n->labels))
        g->not_before_ms = now_ms;
    if (it->due_ms > now_ms)
        it->due_ms = g->not_before_ms;
    deliver_late_begins(d, it);
    size_t before = it->changes.count;
    int rc = notice_set_put(&it->changes, n);
    d->stats.queued += it->changes.count - before;
    return rc;
}

int deliver_add(struct deliver *d, const struct notice *const *n, size_t count, int64_t now_ms)
{
    int rc = 0;
    for (size_t i = 0; i < count; i++) {
        bool begins = fires(n[i]) && n[i]->from != ALERT_FIRING;
        bool resolves = n[i]->from == ALERT_FIRING && !fires(n[i]);
        if (!begins && !resolves)
            continue;
        if (d->retired) {
            if (resolves)
                deliver_forget(d, n[i]);
            continue;
        }
        if (d->stats.gone || d->stats.queued >= d->o.queue_max) {
            d->stats.alerts_dropped++;
            deliver_lose_change(d, n[i]);
            deliver_late_lost(d, n[i]);
            if (d->stats.gone && resolves)
                deliver_learn(d, n[i]->alert_id, TOLD_OVER);
            continue;
        }
        if (add_one(d, n[i], now_ms) < 0) {
            d->stats.alerts_dropped++;
            rc = -ENOMEM;
        }
    }
    return rc;
}

int deliver_known(struct deliver *d, const struct notice *n, int64_t told_ms)
{
    struct group *g = deliver_group(d, n, true);
    if (!g)
        return -ENOMEM;
    if (told_ms > g->last_sent_ms || !g->known.count)
        g->last_sent_ms = told_ms;
    return notice_set_put(&g->known, n);
}

int64_t deliver_group_due(const struct group *g)
{
    return g->retry_at_ms > g->not_before_ms ? g->retry_at_ms : g->not_before_ms;
}

// The item that is next: the oldest that may go. A group that waits holds back only itself.
static struct item *item_due(const struct deliver *d, int64_t now_ms, struct item **ret_before)
{
    struct item *before = NULL;
    for (struct item *it = d->head; it; before = it, it = it->next) {
        if (!it->group->flying && deliver_group_due(it->group) <= now_ms) {
            *ret_before = before;
            return it;
        }
        // With group_wait off, which is the default, the head is due and this loop ends at once.
    }
    return NULL;
}

static int64_t repeat_due(const struct deliver *d, struct group **ret)
{
    int64_t due = INT64_MAX;
    size_t at = 0;
    const void *key;
    size_t len;
    void *v;
    if (d->o.repeat_ms <= 0 || d->hold)
        return due;
    while (map_next(&d->groups, &at, &key, &len, &v)) {
        struct group *g = v;
        int64_t own = g->last_sent_ms + d->o.repeat_ms;
        own = own < g->quiet_until_ms ? g->quiet_until_ms : own;
        if (g->known.count && !g->items && own < due) {
            due = own;
            *ret = g;
        }
    }
    return due;
}

void deliver_hold(struct deliver *d, bool hold)
{
    d->hold = hold;
}

int deliver_heard(struct deliver *d, const struct notice *n, int64_t now_ms)
{
    deliver_learn(d, n->alert_id, TOLD_FIRING);
    return deliver_known(d, n, now_ms);
}

void deliver_back(struct deliver *d)
{
    d->stats.gone = false;
    d->stats.failing_since_ms = 0;
    d->fails = 0;
    d->choked = NULL;
    d->retry_at_ms = 0;
}

void deliver_mark(struct deliver *d, unsigned flight, struct deliver_mark mark)
{
    d->flights[flight].it->mark = mark;
    d->flights[flight].message.mark = mark;
}

int64_t deliver_ready(const struct deliver *d)
{
    return d->retry_at_ms > d->named_ms ? d->retry_at_ms : d->named_ms;
}

// While it fails one message at a time is tried.
static bool may_fly(const struct deliver *d)
{
    return !d->stats.gone && !d->retired && d->flying < (d->fails ? 1 : d->o.flights);
}

int64_t deliver_next(const struct deliver *d)
{
    struct group *g;
    if (!may_fly(d))
        return INT64_MAX;
    int64_t due = d->head ? INT64_MAX : repeat_due(d, &g);
    for (const struct item *it = d->head; it; it = it->next) {
        if (it->group->flying)
            continue;
        if (deliver_group_due(it->group) < due)
            due = deliver_group_due(it->group);
        if (due <= it->queued_ms)
            break; // it is due; usually the first one is
    }
    return due > deliver_ready(d) ? due : deliver_ready(d);
}

bool deliver_quiet(const struct deliver *d, const struct group *g)
{
    for (size_t i = 0; i < g->known.count; i++)
        if (!d->o.quiet || !d->o.quiet(d->o.quiet_ctx, g->known.n[i]))
            return false;
    return true;
}

bool deliver_take(struct deliver *d, int64_t now_ms, struct deliver_message *ret)
{
    struct item *before = NULL, *it;
    struct group *g = NULL;
    if (!may_fly(d) || now_ms < deliver_ready(d))
        return false;
    unsigned number = 0;
    while (d->flights[number].it)
        number++;
    struct flight *f = &d->flights[number];
    for (;;) {
        if (!d->head && repeat_due(d, &g) <= now_ms && g) {
            if (deliver_quiet(d, g)) {
                g->quiet_until_ms = now_ms + QUIET_LOOK_MS;
                return false;
            }
            if (!item_push(d, g, now_ms))
                return false;
        }
        it = item_due(d, now_ms, &before);
        if (!it)
            return false;
        ssize_t n = deliver_render(d, f, it);
        if (n < 0) {
            d->retry_at_ms = now_ms + 1000; // no memory now
            return false;
        }
        deliver_take_out(d, before, it);
        if (n > 0)
            break;
        deliver_finish(d, it, false, now_ms);
    }
    it->group->flying = true;
    f->it = it;
    f->fails = d->fails;
    d->flying++;
    f->message.flight = number;
    f->message.tries = it->tries;
    f->message.mark = it->mark;
    *ret = f->message;
    return true;
}

void deliver_stats(const struct deliver *d, struct deliver_stats *ret)
{
    *ret = d->stats;
}
