// SPDX-License-Identifier: Apache-2.0
#include "tests/conformance/shrink.h"
#include "rules/element.h"
#include <stdlib.h>
#include <string.h>

struct shrink {
    const struct trial *from;
    enum pair pair;
    char *text;
    bool *series;  // kept
    bool *sample;  // kept, all series' one after the other
    size_t *first; // of a series in sample[]
    bool *moment;
    int tries, tries_max;
};

static bool kept(void *ctx, size_t series, size_t sample)
{
    const struct shrink *s = ctx;
    return s->series[series] && s->sample[s->first[series] + sample];
}

// What is kept, as a trial of its own.
static bool build(struct shrink *s, const char *text, struct history *h, struct trial *ret)
{
    struct moment *m = calloc(s->from->n_t + 1, sizeof(*m));
    size_t n = 0;
    if (!m)
        abort();
    history_subset(s->from->h, h, kept, s);
    trial_init(ret, h);
    ret->compat_2_42 = s->from->compat_2_42;
    ret->silences = s->from->silences;
    bool ok = trial_ask(ret, text);
    for (size_t i = 0; i < s->from->n_t; i++)
        if (s->moment[i])
            m[n++] = s->from->t[i];
    trial_at(ret, m, n);
    free(m);
    return ok;
}

static bool differs(struct shrink *s, const char *text)
{
    struct history h;
    struct trial t;
    struct tally tally = {0};
    s->tries++;
    bool ret = build(s, text, &h, &t) && trial_run(&t, 1u << s->pair, &tally, NULL) > 0;
    trial_done(&t);
    history_done(&h);
    return ret;
}

// Leaves out as many of n things as possible, big pieces first.
static void drop(struct shrink *s, bool *keep, size_t n)
{
    for (size_t piece = n / 2 ? n / 2 : 1;; piece /= 2) {
        for (size_t at = 0; at < n && s->tries < s->tries_max; at += piece) {
            size_t end = at + piece < n ? at + piece : n;
            bool *before = malloc(n), any = false;
            if (!before)
                abort();
            memcpy(before, keep, n);
            for (size_t i = at; i < end; i++) {
                any |= keep[i];
                keep[i] = false;
            }
            if (any && !differs(s, s->text))
                memcpy(keep, before, n);
            free(before);
        }
        if (piece == 1)
            return;
    }
}

// Tries the text with the span of `hole` replaced by the span of `with`.
static bool replace(struct shrink *s, const struct expr *hole, const struct expr *with)
{
    size_t len = strlen(s->text), cut = (size_t)(with->end - with->start);
    char *text = malloc(len + 3);
    if (!text || s->tries >= s->tries_max) {
        free(text);
        return false;
    }
    size_t n = (size_t)hole->start;
    memcpy(text, s->text, n);
    memcpy(text + n, s->text + with->start, cut);
    n += cut;
    strcpy(text + n, s->text + hole->end);
    bool smaller = strlen(text) < len;
    if (!smaller || !differs(s, text)) {
        free(text);
        return false;
    }
    free(s->text);
    s->text = text;
    return true;
}

// One cut anywhere below x: x by something inside it. true = made, the tree is out of date.
static bool cut_with(struct shrink *s, const struct expr *x, const struct expr *inside)
{
    if (!inside)
        return false;
    if (inside != x && inside->type == x->type && replace(s, x, inside))
        return true;
    for (size_t i = 0; i < inside->n_args; i++)
        if (cut_with(s, x, inside->args[i]))
            return true;
    return cut_with(s, x, inside->lhs) || cut_with(s, x, inside->rhs) ||
           cut_with(s, x, inside->param);
}

static bool cut(struct shrink *s, const struct expr *x)
{
    if (!x)
        return false;
    if (cut_with(s, x, x))
        return true;
    for (size_t i = 0; i < x->n_args; i++)
        if (cut(s, x->args[i]))
            return true;
    return cut(s, x->lhs) || cut(s, x->rhs) || cut(s, x->param);
}

static void cut_expression(struct shrink *s)
{
    bool more = true;
    while (more && s->tries < s->tries_max) {
        struct trial t;
        trial_init(&t, s->from->h);
        more = trial_ask(&t, s->text) && cut(s, t.q[0].x.root);
        trial_done(&t);
    }
}

static void print_late(const struct history *h)
{
    for (size_t i = 0; i < h->n; i++)
        for (size_t k = 0; k < h->series[i].n; k++) {
            const struct sample *s = &h->series[i].s[k];
            struct buf name;
            if (s->arrive_ms == s->t_ms)
                continue;
            buf_init(&name, 65536);
            labels_print(&h->series[i].labels, &name);
            printf("# %s: the sample of %lld ms comes in at %lld ms\n", buf_cstr(&name),
                (long long)s->t_ms, (long long)s->arrive_ms);
            buf_done(&name);
        }
}

static void print_sides(const struct trial *t, const struct mismatch *m)
{
    struct buf text;
    buf_init(&text, 1u << 20);
    printf("# %s at %lld ms: %s\n", t->q[m->q].text, (long long)t->t[m->moment].t_ms,
        m->verdict == OTHER_PRESENCE ? "other elements" : "another value");
    for (int k = 0; k < 2; k++) {
        buf_reset(&text);
        result_print(&m->side[k], &text);
        printf("#   %-33s %s\n", EVALUATORS[PAIR_SIDES[m->pair][k]]->name, buf_cstr(&text));
    }
    buf_done(&text);
}

static void print_small(struct shrink *s, const struct mismatch *whole, uint64_t seed)
{
    struct history h;
    struct trial t;
    struct tally tally = {0};
    struct mismatch m;
    struct buf text;
    buf_init(&text, 64u << 20);
    if (build(s, s->text, &h, &t) && trial_run(&t, 1u << s->pair, &tally, &m) > 0) {
        for (size_t i = 0; i < t.n_t; i++)
            t.t[i].oracle = true;
        trial_write(&t, &text);
        printf("# --- seed %llu, %s, after %d tries to make it smaller\n%s",
            (unsigned long long)seed,
            t.compat_2_42 ? "as 2.42"
            : t.silences  ? "as 3.x, with silences"
                          : "as 3.x",
            s->tries, buf_cstr(&text));
        print_late(&h);
        print_sides(&t, &m);
    } else {
        printf("# --- seed %llu: differs only beside the other expressions\n",
            (unsigned long long)seed);
        print_sides(s->from, whole);
    }
    buf_done(&text);
    trial_done(&t);
    history_done(&h);
    fflush(stdout);
}

void shrink_and_print(const struct trial *t, const struct mismatch *m, uint64_t seed)
{
    struct shrink s = {.from = t,
        .pair = m->pair,
        .tries_max = m->pair == PAIR_PROMTOOL ? SHRINK_TRIES : 10 * SHRINK_TRIES};
    size_t total = 0;
    s.text = strdup(t->q[m->q].text);
    s.series = calloc(t->h->n + 1, 1);
    s.first = calloc(t->h->n + 1, sizeof(*s.first));
    s.moment = calloc(t->n_t + 1, 1);
    for (size_t i = 0; s.first && i < t->h->n; i++) {
        s.first[i] = total;
        total += t->h->series[i].n;
    }
    s.sample = calloc(total + 1, 1);
    if (!s.text || !s.series || !s.first || !s.moment || !s.sample)
        abort();
    memset(s.series, 1, t->h->n);
    memset(s.sample, 1, total);
    s.moment[m->moment] = true;
    if (!differs(&s, s.text)) // it takes the times before as well
        memset(s.moment, 1, m->moment + 1);
    if (differs(&s, s.text)) {
        drop(&s, s.series, t->h->n);
        drop(&s, s.moment, m->moment + 1);
        cut_expression(&s);
        drop(&s, s.series, t->h->n);
        drop(&s, s.sample, total);
        cut_expression(&s);
    }
    print_small(&s, m, seed);
    free(s.text);
    free(s.series);
    free(s.first);
    free(s.sample);
    free(s.moment);
}
