// SPDX-License-Identifier: Apache-2.0
#include "tests/conformance/history.h"
#include "rules/element.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SERIES_MAX  96
#define SAMPLES_MAX 1024

enum kind { COUNTER, NOISE, SMALL, SWITCH, CONSTANT, NASTY, BUCKET };

struct life {
    enum kind kind;
    int64_t from_ms, to_ms, every_ms;
    bool announced; // ends with a stale marker
    int step;       // BUCKET: how fast
};

static const double EXTREMES[] = {INFINITY, -INFINITY, NAN, 0.0, -0.0, 1, -1, 2.5,
    1.7976931348623157e308, -1.7976931348623157e308, 5e-324, 1e15};

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

static struct series *series_add(struct history *h, const struct label *l, size_t n)
{
    if (h->n == SERIES_MAX)
        abort();
    struct series *s = &h->series[h->n++];
    *s = (struct series){.cap = SAMPLES_MAX};
    s->s = must(arena_alloc(&h->arena, SAMPLES_MAX * sizeof(*s->s)));
    if (!labels_make(&h->arena, l, n, &s->labels))
        abort();
    return s;
}

static void sample_add(
    struct history *h, struct random *r, struct series *s, int64_t t, double v)
{
    int64_t arrive = t;
    if (h->late && random_chance(r, 0.01))
        arrive += (int64_t)(90000 * random_unit(r) * random_unit(r));
    // promtool loads nothing after its last evaluation.
    if (s->n < s->cap && t <= HISTORY_END_MS)
        s->s[s->n++] = (struct sample){t, arrive, v};
}

static double next_value(struct random *r, const struct life *life, double v)
{
    switch (life->kind) {
    case COUNTER:
        return random_chance(r, 0.02)  ? floor(3 * random_unit(r))
               : random_chance(r, 0.1) ? v
                                       : v + floor(10 * random_unit(r));
    case NOISE: return random_chance(r, 0.004) ? (double)NAN : 100 * random_unit(r);
    case SMALL: return random_chance(r, 0.6) ? v : (double)(random_below(r, 9) - 2);
    case SWITCH: return random_chance(r, 0.85) ? v : (double)random_below(r, 2);
    case CONSTANT: return v;
    case NASTY: return RANDOM_PICK(r, EXTREMES);
    case BUCKET: return v + floor(random_unit(r) * life->step);
    }
    return v;
}

// The next slot at about this time: scrapes drift, but promtool knows only multiples of a slot.
static int64_t to_slot(const struct history *h, double t)
{
    return (int64_t)(t / (double)h->slot_ms) * h->slot_ms;
}

static void fill(struct history *h, struct random *r, struct series *s, const struct life *life)
{
    double v = life->kind == CONSTANT ? 1 + random_below(r, 2)
               : life->kind == SWITCH ? 1
                                      : floor(10 * random_unit(r));
    bool drifts = random_chance(r, 0.5);
    int64_t last = -1;
    double phase = drifts ? random_unit(r) * (double)life->every_ms : 0;
    for (double t = (double)life->from_ms + phase; t < (double)life->to_ms;
         t += (double)life->every_ms) {
        double shake = drifts ? 0.2 * (double)life->every_ms * random_unit(r) : 0;
        int64_t at = to_slot(h, t + shake);
        double dice = random_unit(r);
        v = next_value(r, life, isnan(v) ? 0 : v);
        if (at <= last || dice < 0.03)
            continue;
        if (dice < 0.034) // an outage longer than a scrape, sometimes than the lookback
            t += (double)life->every_ms * random_below(r, 80);
        last = at;
        if (dice > 0.992 && life->kind != CONSTANT && life->kind != BUCKET)
            sample_add(h, r, s, at, double_from_bits(NAN_STALE_BITS));
        else
            sample_add(h, r, s, at, v);
    }
    int64_t end = to_slot(h, (double)life->to_ms);
    if (life->announced && end > last)
        sample_add(h, r, s, end, double_from_bits(NAN_STALE_BITS));
}

static void add_pair(struct history *h, struct random *r, const char *name, int i,
    const char *pod, const struct life *life)
{
    char is[2] = {(char)('0' + i), 0};
    struct label l[] = {
        {LABEL_NAME, name}, {"i", is}, {"k", i % 2 ? "odd" : "even"}, {"p", pod}};
    fill(h, r, series_add(h, l, 4), life);
}

// Buckets that go together: one stream of observations, counted into all of them.
static void add_histogram(struct history *h, struct random *r, const char *label, int64_t every)
{
    static const char *const LES[] = {"0.1", "0.5", "1", "5", "+Inf"};
    static const double CHANCE[] = {0.3, 0.6, 0.8, 0.95, 1};
    struct series *bucket[5];
    double count[5] = {0}, sum = 0;
    for (int b = 0; b < 5; b++)
        bucket[b] = series_add(
            h, (struct label[]){{LABEL_NAME, "h_bucket"}, {"h", label}, {"le", LES[b]}}, 3);
    struct series *total =
        series_add(h, (struct label[]){{LABEL_NAME, "h_count"}, {"h", label}}, 2);
    struct series *sums =
        series_add(h, (struct label[]){{LABEL_NAME, "h_sum"}, {"h", label}}, 2);
    for (int64_t t = 0; t < HISTORY_END_MS; t += every) {
        int64_t at = to_slot(h, (double)t);
        if (random_chance(r, 0.01)) {
            sum = 0;
            for (int b = 0; b < 5; b++)
                count[b] = 0;
        }
        for (int n = random_below(r, 6); n > 0; n--) {
            double u = random_unit(r);
            for (int b = 0; b < 5; b++)
                count[b] += u < CHANCE[b];
            sum += floor(16 * u * u) / 4;
        }
        if (random_chance(r, 0.03))
            continue;
        for (int b = 0; b < 5; b++)
            sample_add(h, r, bucket[b], at, count[b]);
        sample_add(h, r, total, at, count[4]);
        sample_add(h, r, sums, at, sum);
    }
}

static void add_families(struct history *h, struct random *r)
{
    static const int64_t EVERY[] = {5000, 5000, 10000, 15000, 3700};
    int64_t every = RANDOM_PICK(r, EVERY), end = HISTORY_END_MS;
    struct life life = {.to_ms = end, .every_ms = every};
    for (int i = 0; i < 5; i++) {
        // Some begin late, some end early, with and without a word.
        life.from_ms = random_chance(r, 0.2) ? (int64_t)(400000 * random_unit(r)) : 0;
        life.to_ms = random_chance(r, 0.2) ? (int64_t)((double)end * random_unit(r)) : end;
        life.announced = life.to_ms < end && random_chance(r, 0.5);
        life.kind = COUNTER;
        add_pair(h, r, "c", i, "", &life);
        life.kind = NOISE;
        add_pair(h, r, "g", i, "", &life);
        life = (struct life){.to_ms = end, .every_ms = every};
        life.kind = SMALL;
        add_pair(h, r, "d", i, "", &life);
        life.kind = SWITCH;
        add_pair(h, r, "up", i, "", &life);
    }
    for (int i = 0; i < 2; i++) {
        life = (struct life){.kind = COUNTER, .to_ms = end, .every_ms = 60000};
        add_pair(h, r, "slow", i, "", &life);
    }
    int64_t born = 0;
    for (int p = 0; p < 8 && born < end; p++) {
        char name[3] = {'p', (char)('0' + p), 0};
        int64_t lives = 20000 + (int64_t)(200000 * random_unit(r));
        life = (struct life){.kind = random_chance(r, 0.5) ? COUNTER : NOISE,
            .from_ms = born,
            .to_ms = born + lives < end ? born + lives : end,
            .every_ms = every,
            .announced = random_chance(r, 0.6)};
        add_pair(h, r, "pod", p % 3, name, &life);
        born += (int64_t)((double)lives * random_unit(r));
    }
    life = (struct life){.kind = CONSTANT, .to_ms = end, .every_ms = every};
    for (int i = 0; i < 2; i++)
        fill(h, r,
            series_add(h,
                (struct label[]){
                    {LABEL_NAME, "info"}, {"k", i ? "odd" : "even"}, {"z", i ? "o" : "e"}},
                3),
            &life);
    life.kind = NASTY;
    for (int i = 0; i < 3; i++) {
        char is[2] = {(char)('0' + i), 0};
        fill(h, r, series_add(h, (struct label[]){{LABEL_NAME, "n"}, {"i", is}}, 2), &life);
    }
    add_histogram(h, r, "x", every);
    add_histogram(h, r, "y", every);
    static const char *const LES[] = {"0.1", "1", "5", "+Inf"};
    life.kind = BUCKET;
    for (int b = 0; b < 4; b++) {
        life.step = 2 * b + 2;
        fill(h, r,
            series_add(
                h, (struct label[]){{LABEL_NAME, "b_bucket"}, {"h", "x"}, {"le", LES[b]}}, 3),
            &life);
    }
}

static int by_arrival(const void *a, const void *b, void *ctx)
{
    const struct history *h = ctx;
    const struct arrival *x = a, *y = b;
    int64_t tx = h->series[x->series].s[x->sample].arrive_ms;
    int64_t ty = h->series[y->series].s[y->sample].arrive_ms;
    if (tx != ty)
        return tx < ty ? -1 : 1;
    if (x->series != y->series)
        return x->series < y->series ? -1 : 1;
    return x->sample < y->sample ? -1 : x->sample > y->sample;
}

void history_sort(struct history *h)
{
    size_t total = 0;
    for (size_t i = 0; i < h->n; i++)
        total += h->series[i].n;
    h->order = must(arena_alloc(&h->arena, (total + 1) * sizeof(*h->order)));
    h->n_order = 0;
    for (size_t i = 0; i < h->n; i++)
        for (size_t k = 0; k < h->series[i].n; k++)
            h->order[h->n_order++] = (struct arrival){(uint32_t)i, (uint32_t)k};
    qsort_r(h->order, h->n_order, sizeof(*h->order), by_arrival, h);
}

static void history_open(struct history *h, int64_t slot_ms)
{
    *h = (struct history){.slot_ms = slot_ms};
    arena_init(&h->arena, 0);
    h->series = must(arena_alloc(&h->arena, SERIES_MAX * sizeof(*h->series)));
}

void history_make(struct history *h, struct random *r)
{
    static const int64_t SLOTS[] = {1000, 1000, 500, 250, 137};
    history_open(h, RANDOM_PICK(r, SLOTS));
    h->late = random_chance(r, 0.8);
    add_families(h, r);
    history_sort(h);
}

void history_done(struct history *h)
{
    arena_done(&h->arena);
}

void history_subset(const struct history *from, struct history *ret,
    bool (*keep)(void *ctx, size_t series, size_t sample), void *ctx)
{
    history_open(ret, from->slot_ms);
    ret->late = from->late;
    for (size_t i = 0; i < from->n; i++) {
        const struct series *s = &from->series[i];
        struct series *copy = NULL;
        for (size_t k = 0; k < s->n; k++) {
            if (!keep(ctx, i, k))
                continue;
            if (!copy)
                copy = series_add(ret, s->labels.l, s->labels.n);
            copy->s[copy->n++] = s->s[k];
        }
    }
    history_sort(ret);
}

bool history_settled(const struct history *h, int64_t t_ms)
{
    for (size_t i = 0; i < h->n; i++)
        for (size_t k = 0; k < h->series[i].n; k++)
            if (h->series[i].s[k].t_ms <= t_ms && h->series[i].s[k].arrive_ms > t_ms)
                return false;
    return true;
}

void labels_print_flat(const struct labels *l, struct buf *out)
{
    buf_addc(out, '{');
    for (size_t i = 0; i < l->n; i++) {
        buf_addf(out, "%s%s=", i ? ", " : "", l->l[i].name);
        label_quote(l->l[i].value, strlen(l->l[i].value), out);
    }
    buf_addc(out, '}');
}
