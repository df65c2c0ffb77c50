// SPDX-License-Identifier: Apache-2.0
#include "collector/flap.h"
#include "base/map.h"
#include "base/num.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct key {
    uint64_t rule, fingerprint;
};
// One alert, over its episodes.
struct swinging {
    struct key key;
    struct flap_limit limit;
    bool damped;
    int64_t end_ms;  // of it
    uint64_t since;  // first notice of it
    uint32_t *lanes; // that were told
    size_t n_lanes;
    size_t n, next; // of begun[], a ring of max + 1
    int64_t begun[];
};
struct flaps {
    struct map alerts; // struct key -> struct swinging
    size_t damped;     // how many
};

struct flaps *flaps_new(void)
{
    struct flaps *f = calloc(1, sizeof(*f));
    if (f)
        map_init(&f->alerts);
    return f;
}

static void forget(struct flaps *f, struct swinging *s)
{
    map_del(&f->alerts, &s->key, sizeof(s->key));
    f->damped -= s->damped;
    free(s->lanes);
    free(s);
}

// Forgets those fn says so of. Deleting while walking would lose some.
static void forget_some(
    struct flaps *f, bool (*fn)(const struct swinging *s, const void *ctx), const void *ctx)
{
    struct swinging *batch[256];
    size_t n;
    do {
        size_t it = 0, len;
        const void *key;
        void *value;
        n = 0;
        while (n < sizeof(batch) / sizeof(batch[0]) &&
               map_next(&f->alerts, &it, &key, &len, &value))
            if (fn(value, ctx))
                batch[n++] = value;
        for (size_t i = 0; i < n; i++)
            forget(f, batch[i]);
    } while (n == sizeof(batch) / sizeof(batch[0]));
}

static bool any(const struct swinging *s, const void *ctx)
{
    (void)s;
    (void)ctx;
    return true;
}

void flaps_free(struct flaps *f)
{
    if (!f)
        return;
    forget_some(f, any, NULL);
    map_done(&f->alerts);
    free(f);
}

static bool other_limit(const struct swinging *s, const void *policies)
{
    struct flap_limit now = policies_flap(policies, s->key.rule);
    return now.max != s->limit.max || now.window_ms != s->limit.window_ms;
}

void flaps_limits(struct flaps *f, const struct policies *p)
{
    forget_some(f, other_limit, p);
}

static struct swinging *find(const struct flaps *f, const struct notice *n)
{
    struct key key = {n->rule_identity, n->fingerprint};
    return f->alerts.n ? map_get(&f->alerts, &key, sizeof(key)) : NULL;
}

static bool is_damped(const struct swinging *s, int64_t wall_ms)
{
    return s->damped && wall_ms < s->end_ms && s->end_ms - wall_ms <= s->limit.window_ms;
}

// The i-th newest begin.
static int64_t begin_at(const struct swinging *s, size_t i)
{
    size_t size = s->limit.max + 1;
    return s->begun[(s->next + size - 1 - i) % size];
}

static struct swinging *make(struct flaps *f, const struct notice *n, struct flap_limit limit)
{
    struct swinging *s = f->alerts.n < FLAP_ALERTS_MAX
                             ? calloc(1, sizeof(*s) + (limit.max + 1) * sizeof(s->begun[0]))
                             : NULL;
    if (!s)
        return NULL;
    s->key = (struct key){n->rule_identity, n->fingerprint};
    s->limit = limit;
    if (map_set(&f->alerts, &s->key, sizeof(s->key), s) == 0)
        return s;
    free(s);
    return NULL;
}

static void undamp(struct flaps *f, struct swinging *s)
{
    f->damped -= s->damped;
    s->damped = false;
    s->n_lanes = 0;
}

int64_t flaps_take(struct flaps *f, const struct policies *p, const struct notice *n)
{
    struct flap_limit limit = policies_flap(p, n->rule_identity);
    if (!limit.max || n->to != ALERT_FIRING || n->from == ALERT_FIRING)
        return INT64_MAX;
    struct swinging *s = find(f, n);
    if (!s)
        s = make(f, n, limit);
    if (!s)
        return INT64_MAX;
    if (!is_damped(s, n->decided_ms))
        undamp(f, s);
    size_t size = limit.max + 1;
    s->begun[s->next] = n->decided_ms;
    s->next = (s->next + 1) % size;
    s->n += s->n < size;
    if (!s->damped && s->n == size &&
        n->decided_ms - begin_at(s, limit.max) < limit.window_ms) {
        s->damped = true;
        s->since = n->id;
        f->damped++;
    }
    if (!s->damped)
        return INT64_MAX;
    // Then those that are left of the window are no more than half of max.
    s->end_ms = begin_at(s, limit.max / 2) + limit.window_ms;
    return s->end_ms;
}

bool flaps_damped(const struct flaps *f, const struct notice *n, int64_t wall_ms)
{
    const struct swinging *s = f->damped ? find(f, n) : NULL;
    return s && is_damped(s, wall_ms);
}

static bool knows(const struct swinging *s, uint32_t lane)
{
    for (size_t i = 0; i < s->n_lanes; i++)
        if (s->lanes[i] == lane)
            return true;
    return false;
}

bool flaps_muted(const struct flaps *f, const struct notice *n, uint32_t lane, int64_t wall_ms)
{
    const struct swinging *s = f->damped ? find(f, n) : NULL;
    return s && is_damped(s, wall_ms) && n->id >= s->since && knows(s, lane);
}

struct notice *flaps_said(
    struct flaps *f, const struct notice *n, uint32_t lane, int64_t wall_ms)
{
    struct swinging *s = f->damped ? find(f, n) : NULL;
    if (!s || n->to != ALERT_FIRING || n->id < s->since || !is_damped(s, wall_ms) ||
        knows(s, lane))
        return NULL;
    uint32_t *lanes = realloc(s->lanes, (s->n_lanes + 1) * sizeof(*lanes));
    if (lanes) { // without memory it hears the next begin too
        s->lanes = lanes;
        lanes[s->n_lanes++] = lane;
    }
    char text[160], window[NUM_TEXT_MAX];
    duration_print(s->limit.window_ms, window);
    snprintf(text, sizeof(text),
        "began more than %" PRIu32 " times in %s: nothing more until it is calmer",
        s->limit.max, window);
    return notice_annotated(n, FLAP_ANNOTATION, text);
}

int64_t flaps_next(const struct flaps *f, int64_t wall_ms)
{
    int64_t next = INT64_MAX;
    size_t it = 0, len;
    const void *key;
    void *value;
    while (f->damped && map_next(&f->alerts, &it, &key, &len, &value)) {
        const struct swinging *s = value;
        if (is_damped(s, wall_ms) && s->end_ms < next)
            next = s->end_ms;
    }
    return next;
}

static bool calm(const struct swinging *s, const void *wall_ms)
{
    return begin_at(s, 0) + s->limit.window_ms <= *(const int64_t *)wall_ms;
}

void flaps_sweep(struct flaps *f, int64_t wall_ms)
{
    forget_some(f, calm, &wall_ms);
}
