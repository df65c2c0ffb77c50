// SPDX-License-Identifier: Apache-2.0
// Which rules that are evaluated on arrival a sample touches.
#include "rules/arrival.h"
#include "rules/engine_state.h"
#include <errno.h>
#include <stdlib.h>

static size_t count_selectors(const struct expr *x)
{
    if (!x)
        return 0;
    if (x->kind == EXPR_SELECTOR)
        return 1;
    size_t n = count_selectors(x->lhs) + count_selectors(x->rhs) + count_selectors(x->param);
    for (size_t i = 0; i < x->n_args; i++)
        n += count_selectors(x->args[i]);
    return n;
}

static int join_selectors(
    struct audience *a, struct arrivals *to, struct rule_place by, const struct expr *x)
{
    int rc = 0;
    if (!x)
        return 0;
    if (x->kind == EXPR_SELECTOR) {
        struct arrival_reader *r = &to->reader[to->n_readers];
        *r = (struct arrival_reader){
            .hears = {.m = x->matchers, .n = x->n_matchers, .ids = &r->ids}, .by = by};
        rc = audience_join(a, &r->hears);
        to->n_readers += rc == 0;
        return rc;
    }
    rc = join_selectors(a, to, by, x->lhs);
    if (rc == 0)
        rc = join_selectors(a, to, by, x->rhs);
    if (rc == 0)
        rc = join_selectors(a, to, by, x->param);
    for (size_t i = 0; rc == 0 && i < x->n_args; i++)
        rc = join_selectors(a, to, by, x->args[i]);
    return rc;
}

int arrivals_open(
    struct audience *a, const struct group_state *g, size_t n, struct arrivals *ret)
{
    size_t rules = 0, readers = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < g[i].group->n_rules; k++)
            if (g[i].rules[k].on_arrival_too) {
                rules++;
                readers += count_selectors(g[i].rules[k].rule->expr.root);
            }
    struct arrivals to = {.rule = calloc(rules ? rules : 1, sizeof(*to.rule)),
        .reader = calloc(readers ? readers : 1, sizeof(*to.reader))};
    int rc = to.rule && to.reader ? 0 : -ENOMEM;
    for (size_t i = 0; rc == 0 && i < n; i++)
        for (size_t k = 0; rc == 0 && k < g[i].group->n_rules; k++) {
            struct rule_place by = {(uint32_t)i, (uint32_t)k};
            if (!g[i].rules[k].on_arrival_too)
                continue;
            to.rule[to.n++] = by;
            rc = join_selectors(a, &to, by, g[i].rules[k].rule->expr.root);
        }
    if (rc < 0)
        arrivals_close(a, &to);
    else
        *ret = to;
    return rc;
}

void arrivals_close(struct audience *a, struct arrivals *x)
{
    for (size_t i = 0; i < x->n_readers; i++) {
        audience_leave(a, &x->reader[i].hears);
        free(x->reader[i].ids.id);
    }
    free(x->reader);
    free(x->rule);
    *x = (struct arrivals){0};
}

// --- what is heard -------------------------------------------------------------------------------

static void mark_readers(struct engine *e, uint32_t link, int64_t t_ms, bool event)
{
    for (; link; link = e->audience.link[link].next) {
        const struct arrival_reader *by = arrival_reader_of(e->audience.link[link].by);
        struct group_state *g = &e->groups[by->by.group];
        struct rule_state *r = &g->rules[by->by.rule];
        // What rules write is no news to themselves, and urgent only once at one time, or two of
        // them could go round and round.
        if (r == e->writer)
            continue;
        mark_dirty(g, r, t_ms, event && (!e->writer || r->drained_ms != e->now_ms));
        e->chained |= e->writer && r->dirty_ms != INT64_MIN;
    }
}

void engine_feed(struct engine *e, uint32_t series, int64_t t_ms, bool event)
{
    if (!e->arrivals.n)
        return;
    if (e->arrivals.open && audience_knows(&e->audience, series)) {
        mark_readers(e, audience_heard(&e->audience, series), t_ms, event);
        return;
    }
    // Who reads a series that is new is known when it was offered to all.
    e->chained |= e->writer != NULL;
    audience_heard(&e->audience, series);
    if (e->n_fresh == e->cap_fresh) {
        size_t cap = e->cap_fresh ? e->cap_fresh * 2 : 64;
        struct fresh *grown = realloc(e->fresh, cap * sizeof(*grown));
        if (!grown) {
            e->fresh_lost = true;
            if (t_ms > e->fresh_lost_ms)
                e->fresh_lost_ms = t_ms;
            return;
        }
        e->fresh = grown;
        e->cap_fresh = cap;
    }
    e->fresh[e->n_fresh++] = (struct fresh){series, event, t_ms};
}

// Ids of forgotten series stay where they are, which harms nobody until they are many.
void arrival_forget(struct engine *e)
{
    if (!e->arrivals.n || ++e->forgotten < e->audience.n_links / 2 + 4096)
        return;
    e->forgotten = 0;
    audience_begin(&e->audience);
    e->arrivals.open = false;
}

static int by_id(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static int take_in(struct engine *e, struct arrival_reader *r)
{
    size_t before = r->ids.n;
    struct series_ids *born = &r->hears.born;
    if (!born->n)
        return 0;
    for (size_t i = 0; i < born->n; i++)
        if (!series_ids_add(&r->ids, born->id[i])) {
            r->ids.n = before;
            return -ENOMEM;
        }
    bool younger = !r->hears.mixed && (!before || born->id[0] > r->ids.id[before - 1]);
    born->n = 0;
    r->hears.mixed = false;
    if (younger) {
        audience_link(&e->audience, &r->hears, before);
    } else {
        qsort(r->ids.id, r->ids.n, sizeof(*r->ids.id), by_id);
        audience_relink(&e->audience);
    }
    return 0;
}

static int select_anew(struct engine *e, struct arrival_reader *r)
{
    r->ids.n = 0;
    int rc = e->src.select(e->src.self, r->hears.m, r->hears.n, &r->ids);
    if (rc < 0) {
        r->ids.n = 0;
        return rc;
    }
    r->hears.open = true;
    audience_link(&e->audience, &r->hears, 0);
    return 0;
}

static int readers_refresh(struct engine *e)
{
    struct arrivals *x = &e->arrivals;
    int rc = 0;
    if (x->open && !e->audience.fresh.n && !e->audience.lost)
        return 0;
    x->open = false;
    if (e->audience.lost || audience_meet(&e->audience) < 0)
        audience_begin(&e->audience);
    for (size_t i = 0; rc == 0 && i < x->n_readers; i++)
        rc =
            x->reader[i].hears.open ? take_in(e, &x->reader[i]) : select_anew(e, &x->reader[i]);
    if (rc == 0 && e->audience.lost)
        rc = -ENOMEM;
    x->open = rc == 0;
    return rc;
}

int arrivals_refresh(struct engine *e)
{
    int rc = e->arrivals.n ? readers_refresh(e) : 0;
    if (rc < 0)
        return rc;
    for (size_t i = 0; e->arrivals.n && i < e->n_fresh; i++)
        mark_readers(e, audience_heard(&e->audience, e->fresh[i].id), e->fresh[i].t_ms,
            e->fresh[i].event);
    e->n_fresh = 0;
    for (size_t i = 0; e->fresh_lost && i < e->arrivals.n; i++) {
        struct group_state *g = &e->groups[e->arrivals.rule[i].group];
        mark_dirty(g, &g->rules[e->arrivals.rule[i].rule], e->fresh_lost_ms, true);
    }
    e->fresh_lost = false;
    return 0;
}
