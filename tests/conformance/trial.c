// SPDX-License-Identifier: Apache-2.0
#include "tests/conformance/trial.h"
#include "rules/parse.h"
#include "tests/conformance/judge.h"
#include <stdlib.h>
#include <string.h>

const int PAIR_SIDES[N_PAIRS][2] = {
    [PAIR_PROMTOOL] = {BY_PROMTOOL, BY_BATCH},
    [PAIR_LIVE] = {BY_BATCH, BY_LIVE_BATCH},
    [PAIR_INCREMENTAL] = {BY_LIVE_BATCH, BY_INCREMENTAL},
};

void trial_init(struct trial *t, const struct history *h)
{
    *t = (struct trial){.h = h, .compat_2_42 = true};
    arena_init(&t->arena, 0);
}

bool trial_ask(struct trial *t, const char *text)
{
    struct parse_error e;
    struct question q = {0};
    if (expr_parse(text, strlen(text), &t->arena, &q.x, &e) != 0)
        return false;
    q.text = q.x.text;
    q.accuracy = accuracy_of(q.x.root);
    q.foresees = expr_foresees(q.x.root);
    struct question *grown = realloc(t->q, (t->n_q + 1) * sizeof(*grown));
    if (!grown)
        abort();
    t->q = grown;
    t->q[t->n_q++] = q;
    return true;
}

struct eval_options trial_options(const struct trial *t)
{
    return (struct eval_options){.compat_2_42 = t->compat_2_42,
        .parity = !t->silences,
        .subquery_step_ms = t->step_ms ? t->step_ms : 1000};
}

static int by_time(const void *a, const void *b)
{
    int64_t x = ((const struct moment *)a)->t_ms, y = ((const struct moment *)b)->t_ms;
    return x < y ? -1 : x > y;
}

void trial_at(struct trial *t, const struct moment *m, size_t n)
{
    t->t = arena_alloc(&t->arena, (n + 1) * sizeof(*m));
    if (!t->t)
        abort();
    t->n_t = 0;
    for (size_t i = 0; i < n; i++)
        t->t[t->n_t++] = m[i];
    qsort(t->t, n, sizeof(*m), by_time);
}

void trial_done(struct trial *t)
{
    for (size_t i = 0; i < t->n_q; i++)
        expr_done(&t->q[i].x);
    free(t->q);
    arena_done(&t->arena);
}

struct running {
    struct trial *t;
    void *self[N_EVALUATORS];
    unsigned pairs;
    size_t fed;
    struct tally *tally;
    struct mismatch *ret;
    bool *failed; // by question
    size_t n_failed;
};

// What is left of a difference when all that may be none is taken away.
static enum verdict judge_difference(struct running *r, enum pair p, const struct question *q,
    int64_t t_ms, const struct result *x, const struct result *y, enum verdict v)
{
    double tolerance = accuracy_tolerance(q->accuracy);
    struct judge *j = judge_new(r->t, q, t_ms);
    if (v == OTHER_VALUE && tolerance > 0) {
        v = result_compare(x, y, tolerance, tolerance * judge_largest(j));
        r->tally->cancelled += v == SAME;
    }
    if (v != SAME && q->accuracy == ACCURACY_UNSTABLE && judge_tie(j)) {
        v = SAME;
        r->tally->ties++;
    }
    if (v != SAME && p == PAIR_PROMTOOL && judge_known(j, y->error ? NULL : x->error)) {
        v = SAME;
        r->tally->known++;
    }
    judge_free(j);
    return v;
}

static bool applies(
    const struct running *r, enum pair p, const struct question *q, const struct moment *m)
{
    if (!(r->pairs & 1u << p) || !r->self[PAIR_SIDES[p][0]] || !r->self[PAIR_SIDES[p][1]])
        return false;
    if (p == PAIR_PROMTOOL)
        return m->oracle && r->t->compat_2_42;
    return p != PAIR_LIVE || (!q->foresees && history_settled(r->t->h, m->t_ms));
}

static void compare(struct running *r, enum pair p, size_t qi, size_t mi,
    const struct result *x, const struct result *y)
{
    const struct question *q = &r->t->q[qi];
    int64_t t_ms = r->t->t[mi].t_ms;
    // promtool 2.42 itself fell over a range at negative times, or reached its limit.
    if (p == PAIR_PROMTOOL && x->error &&
        (strstr(x->error, "runtime error") || strstr(x->error, "too many samples"))) {
        r->tally->fell++;
        return;
    }
    // Subqueries in subqueries reach a limit of ours that is far beyond any rule's needs.
    if (p == PAIR_PROMTOOL && y->error && strstr(y->error, " MiB")) {
        r->tally->fell++;
        return;
    }
    double tolerance = accuracy_tolerance(q->accuracy);
    enum verdict v = result_compare(x, y, tolerance, 0);
    if (v != SAME)
        v = judge_difference(r, p, q, t_ms, x, y, v);
    r->tally->evaluations[p][q->accuracy]++;
    r->tally->rows[p] += x->n;
    r->tally->errors[p] += x->error != NULL;
    r->tally->empty[p] += !x->error && !x->n;
    if (v == SAME)
        return;
    r->failed[qi] = true;
    r->tally->wrong++;
    if (r->ret) {
        struct mismatch *m = &r->ret[r->n_failed];
        *m = (struct mismatch){p, qi, mi, v, {{0}, {0}}};
        const struct result *side[2] = {x, y};
        for (int s = 0; s < 2; s++) {
            for (size_t i = 0; i < side[s]->n; i++)
                result_add(&m->side[s], &r->t->arena, side[s]->row[i].labels,
                    strlen(side[s]->row[i].labels), side[s]->row[i].v);
            if (side[s]->error)
                result_error(&m->side[s], &r->t->arena, side[s]->error);
        }
    }
    r->n_failed++;
}

static void ask(struct running *r, size_t q, size_t m, struct arena *scratch)
{
    struct result got[N_EVALUATORS] = {0};
    bool read[N_EVALUATORS] = {false};
    for (int p = 0; p < N_PAIRS && !r->failed[q]; p++) {
        if (!applies(r, p, &r->t->q[q], &r->t->t[m]))
            continue;
        for (int s = 0; s < 2; s++) {
            int e = PAIR_SIDES[p][s];
            if (!read[e])
                EVALUATORS[e]->read(r->self[e], q, m, scratch, &got[e]);
            read[e] = true;
        }
        compare(r, p, q, m, &got[PAIR_SIDES[p][0]], &got[PAIR_SIDES[p][1]]);
    }
}

// At first all speak; then one in four says nothing for longer than the lookback, then another.
static bool is_silent(const struct trial *t, size_t series, size_t moment)
{
    size_t of_60 = t->n_t ? moment * 60 / t->n_t : 0;
    return t->silences && of_60 >= 12 && series % 4 == (of_60 >= 50);
}

static void change_silence(struct running *r, size_t series, size_t moment)
{
    for (int e = 0; e < N_EVALUATORS; e++)
        if (r->self[e] && EVALUATORS[e]->silence)
            EVALUATORS[e]->silence(r->self[e], series, is_silent(r->t, series, moment));
}

size_t trial_run(struct trial *t, unsigned pairs, struct tally *tally, struct mismatch *ret)
{
    struct running r = {.t = t, .pairs = pairs, .tally = tally, .ret = ret};
    struct arena scratch;
    bool used[N_EVALUATORS] = {false};
    arena_init(&scratch, 0);
    r.failed = calloc(t->n_q + 1, sizeof(*r.failed));
    if (!r.failed)
        abort();
    for (int p = 0; p < N_PAIRS; p++)
        if (pairs & 1u << p)
            used[PAIR_SIDES[p][0]] = used[PAIR_SIDES[p][1]] = true;
    for (int e = 0; e < N_EVALUATORS; e++)
        r.self[e] = used[e] && EVALUATORS[e] ? EVALUATORS[e]->open(t) : NULL;
    for (size_t m = 0; m < t->n_t; m++) {
        for (; r.fed < t->h->n_order; r.fed++) {
            const struct arrival *a = &t->h->order[r.fed];
            const struct sample *s = &t->h->series[a->series].s[a->sample];
            if (s->arrive_ms > t->t[m].t_ms)
                break;
            for (int e = 0; e < N_EVALUATORS; e++)
                if (r.self[e] && EVALUATORS[e]->feed && !is_silent(t, a->series, m))
                    EVALUATORS[e]->feed(r.self[e], a->series, s);
        }
        for (size_t i = 0; t->silences && i < t->h->n; i++)
            change_silence(&r, i, m);
        for (size_t q = 0; q < t->n_q; q++) {
            arena_reset(&scratch);
            ask(&r, q, m, &scratch);
        }
    }
    for (int e = 0; e < N_EVALUATORS; e++)
        if (r.self[e])
            EVALUATORS[e]->close(r.self[e]);
    free(r.failed);
    arena_done(&scratch);
    return r.n_failed;
}
