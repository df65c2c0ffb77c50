// SPDX-License-Identifier: Apache-2.0
#include "collector/deliver.h"
#include "base/map.h"
#include "collector/webhook.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

// gcc 12's -fanalyzer loses the sets of facts that groups and items own, and takes them for leaked.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

// One alert as one message shows it. Shared by reference between the queue and what the receiver
// knows.
struct fact {
    unsigned refs;
    uint64_t alert_id, fingerprint;
    bool firing;
    struct labels *labels, *annotations;
    char *generator_url, *group, *file;
    int line;
    double value;
    int64_t starts_at_ms, ends_at_ms, active_at_ms, cause_ms, decided_ms;
};

struct facts {
    struct fact **f;
    size_t n, cap;
};

struct item {
    struct item *next;
    struct group *group;
    struct facts changes; // empty: a repeat
    int64_t queued_ms;
    unsigned tries, refused;
};

struct group {
    struct labels *labels;
    char *key;
    struct facts known;    // firing at the receiver, sorted by fingerprint
    struct item *last;     // newest queued item that is not in flight
    size_t items;          // queued, in flight included
    bool flying;           // its first item is in flight, so the others wait
    int64_t retry_at_ms;   // of its first item, which failed
    int64_t not_before_ms; // group_wait; the group's, so that its items never pass each other
    int64_t last_sent_ms;
    int64_t quiet_until_ms; // nobody was to be reminded of it: looked at again then
};

struct flight {
    struct item *it; // NULL: free; in no list while it is here
    unsigned fails;  // of the receiver when it was sent
    struct buf body, path;
    struct deliver_message message;
    struct deliver_member *changed;
};

struct deliver {
    struct deliver_options o;
    struct map groups; // key -> struct group
    struct item *head, *tail;
    struct flight flights[DELIVER_FLIGHTS_MAX];
    size_t flying;
    bool hold; // no repeats now
    struct deliver_told *told;
    size_t n_told, cap_told;
    unsigned fails; // in a row: tries of a receiver that is away, groups it chokes on
    const struct group *choked;    // the last of these; only compared
    int64_t retry_at_ms, named_ms; // named_ms: by Retry-After
    uint64_t random;
    struct deliver_stats stats;
};

#define QUIET_LOOK_MS 10000
static const int64_t RETRY_MS[] = {0, 500, 1000, 2000, 4000, 5000};

static void fact_unref(struct fact *f)
{
    if (!f || --f->refs)
        return;
    free(f->labels);
    free(f->annotations);
    free(f->generator_url);
    free(f->group);
    free(f->file);
    free(f);
}

static void facts_done(struct facts *s)
{
    for (size_t i = 0; i < s->n; i++)
        fact_unref(s->f[i]);
    free(s->f);
    *s = (struct facts){0};
}

static int facts_room(struct facts *s, size_t more)
{
    if (s->n + more <= s->cap)
        return 0;
    size_t cap = s->cap ? s->cap * 2 : 4;
    while (cap < s->n + more)
        cap *= 2;
    struct fact **f = realloc(s->f, cap * sizeof(*f));
    if (!f)
        return -ENOMEM;
    s->f = f;
    s->cap = cap;
    return 0;
}

// Position of the fingerprint in a sorted set, or where it belongs.
static size_t facts_at(const struct facts *s, uint64_t fingerprint)
{
    size_t lo = 0, hi = s->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (s->f[mid]->fingerprint < fingerprint)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static struct fact *facts_find(const struct facts *s, uint64_t fingerprint)
{
    size_t at = facts_at(s, fingerprint);
    return at < s->n && s->f[at]->fingerprint == fingerprint ? s->f[at] : NULL;
}

// Takes the reference over, also on failure.
static int facts_put(struct facts *s, struct fact *f)
{
    size_t at = facts_at(s, f->fingerprint);
    if (at < s->n && s->f[at]->fingerprint == f->fingerprint) {
        fact_unref(s->f[at]);
        s->f[at] = f;
        return 0;
    }
    if (facts_room(s, 1) < 0) {
        fact_unref(f);
        return -ENOMEM;
    }
    memmove(&s->f[at + 1], &s->f[at], (s->n - at) * sizeof(*s->f));
    s->f[at] = f;
    s->n++;
    return 0;
}

static void facts_remove(struct facts *s, uint64_t fingerprint)
{
    size_t at = facts_at(s, fingerprint);
    if (at == s->n || s->f[at]->fingerprint != fingerprint)
        return;
    fact_unref(s->f[at]);
    memmove(&s->f[at], &s->f[at + 1], (s->n - at - 1) * sizeof(*s->f));
    s->n--;
}

static struct fact *fact_new(const struct deliver *d, const struct notice *n)
{
    struct fact *f = calloc(1, sizeof(*f));
    struct buf url;
    if (!f)
        return NULL;
    buf_init(&url, 4096);
    f->refs = 1;
    f->alert_id = n->alert_id;
    f->fingerprint = n->fingerprint;
    f->firing = n->to == ALERT_FIRING;
    f->labels = labels_dup(&n->labels);
    f->annotations = labels_dup(&n->annotations);
    // An expression too long for a link leaves the link at the front page.
    if (webhook_generator_url(d->o.external_url, n->expr ? n->expr : "", &url) < 0) {
        buf_reset(&url);
        buf_adds(&url, d->o.external_url);
    }
    f->generator_url = strdup(buf_cstr(&url));
    buf_done(&url);
    f->group = strdup(n->group ? n->group : "");
    f->file = strdup(n->file ? n->file : "");
    f->line = n->line;
    f->value = n->value;
    f->starts_at_ms = n->starts_at_ms;
    f->ends_at_ms = n->ends_at_ms;
    f->active_at_ms = n->active_at_ms;
    f->cause_ms = n->cause_ms;
    f->decided_ms = n->decided_ms;
    if (!f->labels || !f->annotations || !f->generator_url || !f->group || !f->file) {
        fact_unref(f);
        return NULL;
    }
    return f;
}

static void group_free(struct group *g)
{
    if (!g)
        return;
    facts_done(&g->known);
    free(g->labels);
    free(g->key);
    free(g);
}

// The group this alert belongs to, made on first use.
static struct group *group_of(struct deliver *d, const struct labels *labels)
{
    struct arena arena;
    struct labels by = {0};
    struct buf key;
    struct group *g = NULL;

    arena_init(&arena, 0);
    buf_init(&key, 1u << 20);
    if (d->o.group_by_all)
        by = *labels;
    else if (!labels_keep(&arena, labels, d->o.group_by, d->o.n_group_by, &by))
        goto out;
    if (webhook_group_key(d->o.route_key, &by, &key) < 0)
        goto out;
    g = map_get(&d->groups, key.data, key.len);
    if (g)
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

// A group nobody is told about any more takes no memory.
static void group_release(struct deliver *d, struct group *g)
{
    if (g->items || g->known.n)
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
    if (!d->o.flights || d->o.flights > DELIVER_FLIGHTS_MAX)
        d->o.flights = d->o.flights ? DELIVER_FLIGHTS_MAX : 1;
    for (size_t i = 0; i < d->o.flights; i++) {
        buf_init(&d->flights[i].body, DELIVER_BODY_MAX);
        buf_init(&d->flights[i].path, DELIVER_PATH_MAX);
    }
    d->random = o->seed | 1;
    return d;
}

static void item_free(struct item *it)
{
    facts_done(&it->changes);
    free(it);
}

void deliver_free(struct deliver *d)
{
    if (!d)
        return;
    for (struct item *it = d->head, *next; it; it = next) {
        next = it->next;
        item_free(it);
    }
    size_t at = 0;
    const void *key;
    size_t len;
    void *g;
    while (map_next(&d->groups, &at, &key, &len, &g))
        group_free(g);
    map_done(&d->groups);
    for (size_t i = 0; i < d->o.flights; i++) {
        if (d->flights[i].it)
            item_free(d->flights[i].it);
        buf_done(&d->flights[i].body);
        buf_done(&d->flights[i].path);
        free(d->flights[i].changed);
    }
    free(d->told);
    free(d);
}

static struct item *item_push(struct deliver *d, struct group *g, int64_t now_ms)
{
    struct item *it = calloc(1, sizeof(*it));
    if (!it)
        return NULL;
    it->group = g;
    it->queued_ms = now_ms;
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
static void learn(struct deliver *d, uint64_t alert_id, enum told told)
{
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
    struct fact *f = fact_new(d, n);
    struct group *g = f ? group_of(d, &n->labels) : NULL;
    if (!g) {
        fact_unref(f);
        return -ENOMEM;
    }
    // Only the group's newest item may take a change in, and only if it says nothing else of
    // this alert: two states of one alert are two messages.
    struct item *it = g->last;
    const struct fact *there = it ? facts_find(&it->changes, f->fingerprint) : NULL;
    if (there && there->firing != f->firing)
        it = NULL;
    if (!it) {
        if (g->items == 0 && g->known.n == 0)
            g->not_before_ms = now_ms + d->o.group_wait_ms;
        it = item_push(d, g, now_ms);
        if (!it) {
            fact_unref(f);
            group_release(d, g);
            return -ENOMEM;
        }
    }
    if (urgent(&n->labels))
        g->not_before_ms = now_ms;
    size_t before = it->changes.n;
    int rc = facts_put(&it->changes, f);
    d->stats.queued += it->changes.n - before;
    return rc;
}

int deliver_add(struct deliver *d, const struct notice *const *n, size_t count, int64_t now_ms)
{
    int rc = 0;
    for (size_t i = 0; i < count; i++) {
        bool fires = n[i]->to == ALERT_FIRING && n[i]->from != ALERT_FIRING;
        bool resolves = n[i]->from == ALERT_FIRING && n[i]->to != ALERT_FIRING;
        if (!fires && !resolves)
            continue;
        if (d->stats.gone || d->stats.queued >= d->o.queue_max) {
            d->stats.alerts_dropped++;
            if (d->stats.gone && resolves)
                learn(d, n[i]->alert_id, TOLD_OVER);
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
    struct notice fires = *n;
    fires.to = ALERT_FIRING;
    fires.ends_at_ms = 0;
    struct fact *f = fact_new(d, &fires);
    struct group *g = f ? group_of(d, &n->labels) : NULL;
    if (!g) {
        fact_unref(f);
        return -ENOMEM;
    }
    if (told_ms > g->last_sent_ms || !g->known.n)
        g->last_sent_ms = told_ms;
    return facts_put(&g->known, f);
}

static int64_t due_of(const struct group *g)
{
    return g->retry_at_ms > g->not_before_ms ? g->retry_at_ms : g->not_before_ms;
}

// The item that is next: the oldest that may go. A group that waits holds back only itself.
static struct item *item_due(const struct deliver *d, int64_t now_ms, struct item **ret_before)
{
    struct item *before = NULL;
    for (struct item *it = d->head; it; before = it, it = it->next) {
        if (!it->group->flying && due_of(it->group) <= now_ms) {
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
        if (g->known.n && !g->items && own < due) {
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

static int64_t ready_ms(const struct deliver *d)
{
    return d->retry_at_ms > d->named_ms ? d->retry_at_ms : d->named_ms;
}

// While it fails one message at a time is tried.
static bool may_fly(const struct deliver *d)
{
    return !d->stats.gone && d->flying < (d->fails ? 1 : d->o.flights);
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
        if (due_of(it->group) < due)
            due = due_of(it->group);
        if (due <= it->queued_ms)
            break; // it is due; usually the first one is
    }
    return due > ready_ms(d) ? due : ready_ms(d);
}

// The delivery key: the same content has the same key, in every run of the program.
static void key_of(const struct deliver *d, const struct group *g,
    const struct webhook_alert *alerts, const int64_t *active_ms, size_t n,
    char ret[static DELIVER_KEY_MAX])
{
    uint64_t a = hash_bytes(g->key, strlen(g->key), 1),
             b = hash_bytes(g->key, strlen(g->key), 2);
    a = hash_bytes(d->o.receiver, strlen(d->o.receiver), a);
    b = hash_bytes(d->o.receiver, strlen(d->o.receiver), b);
    for (size_t i = 0; i < n; i++) {
        uint64_t m[3] = {
            alerts[i].fingerprint, alerts[i].firing ? 1 : 0, (uint64_t)active_ms[i]};
        a = hash_bytes(m, sizeof(m), a);
        b = hash_bytes(m, sizeof(m), b);
    }
    snprintf(ret, DELIVER_KEY_MAX, "%016" PRIx64 "%016" PRIx64, a, b);
}

static void show(
    const struct fact *f, bool firing, struct webhook_alert *ret, int64_t *ret_active)
{
    *ret = (struct webhook_alert){
        .labels = f->labels,
        .annotations = f->annotations,
        .firing = firing,
        .starts_at_ms = f->starts_at_ms,
        .ends_at_ms = f->ends_at_ms,
        .generator_url = f->generator_url,
        .fingerprint = f->fingerprint,
        .value = f->value,
        .active_at_ms = f->active_at_ms,
        .cause_ms = f->cause_ms,
        .decided_ms = f->decided_ms,
        .group = f->group,
        .file = f->file,
        .line = f->line,
    };
    *ret_active = f->active_at_ms;
}

static int make(struct deliver *d, struct flight *f, const struct webhook_message *m)
{
    buf_reset(&f->body);
    buf_reset(&f->path);
    return d->o.make ? d->o.make(d->o.make_ctx, m, &f->body, &f->path)
                     : webhook_body(m, &f->body);
}

// What the receiver knows with the item's changes applied, sorted by fingerprint. The number of
// alerts; 0 = there is nothing to tell; -ENOMEM.
static ssize_t render(struct deliver *d, struct flight *f, const struct item *it)
{
    const struct group *g = it->group;
    size_t max = g->known.n + it->changes.n, n = 0, c = 0, k = 0;
    ssize_t rc = -ENOMEM;
    bool changed = false;
    struct webhook_alert *alerts = calloc(max + 1, sizeof(*alerts));
    int64_t *active = calloc(max + 1, sizeof(*active));
    struct deliver_member *members = calloc(it->changes.n + 1, sizeof(*members));
    if (!alerts || !active || !members)
        goto out;
    f->message = (struct deliver_message){0};
    for (;;) { // both sets are sorted
        const struct fact *known = k < g->known.n ? g->known.f[k] : NULL;
        const struct fact *change = c < it->changes.n ? it->changes.f[c] : NULL;
        if (known && (!change || known->fingerprint < change->fingerprint)) {
            show(known, true, &alerts[n], &active[n]);
            n++;
            k++;
            continue;
        }
        if (!change)
            break;
        bool told = known && known->fingerprint == change->fingerprint;
        k += told;
        c++;
        if (!change->firing && (!told || !d->o.send_resolved))
            continue;
        show(change, change->firing, &alerts[n], &active[n]);
        n++;
        changed = true;
        members[f->message.n_changed++] =
            (struct deliver_member){change->alert_id, change->fingerprint, !change->firing};
        if (change->cause_ms > f->message.cause_ms)
            f->message.cause_ms = change->cause_ms;
        if (change->decided_ms > f->message.decided_ms)
            f->message.decided_ms = change->decided_ms;
    }
    rc = 0;
    if (!changed && it->changes.n)
        goto out;
    key_of(d, g, alerts, active, n, f->message.key);
    struct webhook_message m = {
        .receiver = d->o.receiver,
        .external_url = d->o.external_url,
        .group_key = g->key,
        .delivery_key = f->message.key,
        .group_labels = g->labels,
        .alerts = alerts,
        .n = n,
        .max_alerts = d->o.max_alerts,
    };
    rc = make(d, f, &m);
    // Too large for anybody: as many alerts as surely fit, the rest is counted in the message.
    for (m.max_alerts = n / 2; rc == -EMSGSIZE && m.max_alerts; m.max_alerts /= 2)
        rc = make(d, f, &m);
    if (rc == 0)
        rc = (ssize_t)n;
out:
    free(alerts);
    free(active);
    free(f->changed);
    f->changed = members;
    f->message.changed = members;
    f->message.body = &f->body;
    f->message.path = buf_cstr(&f->path);
    return rc;
}

// An item that is in no list any more. told = the receiver has it, so this is what it knows now.
static void finish(struct deliver *d, struct item *it, bool told, int64_t now_ms)
{
    struct group *g = it->group;
    d->stats.queued -= it->changes.n;
    for (size_t i = 0; i < it->changes.n; i++) {
        struct fact *f = it->changes.f[i];
        if (!f->firing) {
            facts_remove(&g->known, f->fingerprint);
            learn(d, f->alert_id, TOLD_OVER);
        } else if (told) {
            learn(d, f->alert_id, TOLD_FIRING);
            f->refs++;
            facts_put(&g->known, f);
        }
    }
    if (told)
        g->last_sent_ms = now_ms;
    g->items--;
    g->retry_at_ms = 0;
    item_free(it);
    group_release(d, g);
    d->fails = 0;
    d->choked = NULL;
    d->retry_at_ms = 0;
}

static void drop(struct deliver *d, struct item *it, int64_t now_ms)
{
    d->stats.dropped++;
    d->stats.alerts_dropped += it->changes.n;
    finish(d, it, false, now_ms);
}

// What is taken out changes no more.
static void take_out(struct deliver *d, struct item *before, struct item *it)
{
    *(before ? &before->next : &d->head) = it->next;
    if (d->tail == it)
        d->tail = before;
    it->next = NULL;
    if (it->group->last == it)
        it->group->last = NULL;
}

static void put_back(struct deliver *d, struct item *it)
{
    it->next = d->head;
    d->head = it;
    if (!d->tail)
        d->tail = it;
}

static bool quiet(const struct deliver *d, const struct group *g)
{
    for (size_t i = 0; i < g->known.n; i++)
        if (!d->o.quiet || !d->o.quiet(d->o.quiet_ctx, g->known.f[i]->labels))
            return false;
    return true;
}

bool deliver_take(struct deliver *d, int64_t now_ms, struct deliver_message *ret)
{
    struct item *before = NULL, *it;
    struct group *g = NULL;
    if (!may_fly(d) || now_ms < ready_ms(d))
        return false;
    unsigned number = 0;
    while (d->flights[number].it)
        number++;
    struct flight *f = &d->flights[number];
    for (;;) {
        if (!d->head && repeat_due(d, &g) <= now_ms && g) {
            if (quiet(d, g)) {
                g->quiet_until_ms = now_ms + QUIET_LOOK_MS;
                return false;
            }
            if (!item_push(d, g, now_ms))
                return false;
        }
        it = item_due(d, now_ms, &before);
        if (!it)
            return false;
        ssize_t n = render(d, f, it);
        if (n < 0) {
            d->retry_at_ms = now_ms + 1000; // no memory now
            return false;
        }
        take_out(d, before, it);
        if (n > 0)
            break;
        finish(d, it, false, now_ms);
    }
    it->group->flying = true;
    f->it = it;
    f->fails = d->fails;
    d->flying++;
    f->message.flight = number;
    f->message.tries = it->tries;
    *ret = f->message;
    return true;
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

static enum deliver_verdict gone(struct deliver *d, struct item *it, int64_t now_ms)
{
    d->stats.gone = true;
    drop(d, it, now_ms);
    while ((it = d->head)) {
        take_out(d, NULL, it);
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
        finish(d, it, true, now_ms);
        return DELIVER_SENT;
    }
    d->stats.failed++;
    if (!d->stats.failing_since_ms)
        d->stats.failing_since_ms = now_ms;
    if (status == 410)
        return gone(d, it, now_ms);
    it->tries++;
    if (!may_pass(status))
        it->refused++;
    if (d->stats.gone || it->refused >= DELIVER_TRIES_MAX ||
        now_ms - it->queued_ms >= DELIVER_GIVE_UP_MS) {
        drop(d, it, now_ms);
        return DELIVER_DROPPED;
    }
    put_back(d, it);
    back_off(d, f, it, now_ms, status, retry_after_ms);
    return DELIVER_RETRY;
}

void deliver_stats(const struct deliver *d, struct deliver_stats *ret)
{
    *ret = d->stats;
}
