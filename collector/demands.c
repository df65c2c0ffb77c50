// SPDX-License-Identifier: Apache-2.0
#include "collector/demands.h"
#include "base/num.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BUCKET "_bucket"

struct gather {
    struct demands *d;
    bool arrival; // the rule at hand
    bool no_memory;
    size_t bytes; // of names
};

static const char *keep(struct gather *g, const char *name, size_t len)
{
    if (g->bytes + len > DEMANDS_BYTES_MAX)
        return NULL;
    g->bytes += len;
    const char *copy = arena_strndup(&g->d->arena, name, len);
    g->no_memory |= !copy;
    return copy;
}

static int order(const struct wire_threshold *a, const char *name, double value)
{
    int c = strcmp(a->name, name);
    return c ? c : (a->value > value) - (a->value < value);
}

static void want_threshold(struct gather *g, const char *name, size_t len, double value)
{
    struct demands *d = g->d;
    char text[WIRE_NAME_MAX + 1];
    size_t at = d->n_thresholds;
    if (len == 0 || len > WIRE_NAME_MAX || at == WIRE_DEMANDS_MAX)
        return;
    memcpy(text, name, len);
    text[len] = 0;
    while (at > 0 && order(&d->thresholds[at - 1], text, value) > 0)
        at--;
    if (at > 0 && order(&d->thresholds[at - 1], text, value) == 0)
        return;
    const char *copy = keep(g, text, len);
    if (!copy)
        return;
    memmove(&d->thresholds[at + 1], &d->thresholds[at],
        (d->n_thresholds++ - at) * sizeof(*d->thresholds));
    d->thresholds[at] = (struct wire_threshold){copy, value};
}

static void want_faster(struct gather *g, const char *name)
{
    struct demands *d = g->d;
    size_t at = d->n_faster, len = strlen(name);
    if (len > WIRE_NAME_MAX || at == WIRE_DEMANDS_MAX)
        return;
    while (at > 0 && strcmp(d->faster[at - 1], name) > 0)
        at--;
    if (at > 0 && strcmp(d->faster[at - 1], name) == 0)
        return;
    const char *copy = keep(g, name, len);
    if (!copy)
        return;
    memmove(&d->faster[at + 1], &d->faster[at], (d->n_faster++ - at) * sizeof(*d->faster));
    d->faster[at] = copy;
}

static void selector(struct gather *g, const struct expr *e)
{
    const char *name = e->name;
    double bound = NAN;
    for (size_t i = 0; i < e->n_matchers; i++) {
        const struct matcher *m = &e->matchers[i];
        if (m->op != MATCH_EQ)
            continue;
        if (strcmp(m->name, "__name__") == 0)
            name = m->value;
        else if (strcmp(m->name, "le") == 0 && !num_parse(m->value, strlen(m->value), &bound))
            bound = NAN;
    }
    if (!name)
        return;
    size_t len = strlen(name), tail = strlen(BUCKET);
    if (isfinite(bound) && len > tail && strcmp(name + len - tail, BUCKET) == 0)
        want_threshold(g, name, len - tail, bound);
    if (g->arrival)
        want_faster(g, name);
}

static void walk(struct gather *g, const struct expr *e)
{
    if (!e)
        return;
    if (e->kind == EXPR_SELECTOR)
        selector(g, e);
    walk(g, e->lhs);
    walk(g, e->rhs);
    walk(g, e->param);
    for (size_t i = 0; i < e->n_args; i++)
        walk(g, e->args[i]);
}

struct demands *demands_of(const struct ruleset *set)
{
    struct demands *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    struct gather g = {.d = d};
    arena_init(&d->arena, 4u << 20);
    d->thresholds = arena_alloc(&d->arena, (WIRE_DEMANDS_MAX + 1) * sizeof(*d->thresholds));
    d->faster = arena_alloc(&d->arena, (WIRE_DEMANDS_MAX + 1) * sizeof(*d->faster));
    g.no_memory = !d->thresholds || !d->faster;
    for (size_t i = 0; i < set->n_groups && !g.no_memory; i++)
        for (size_t k = 0; k < set->groups[i].n_rules && !g.no_memory; k++) {
            const struct rule *r = &set->groups[i].rules[k];
            g.arrival = r->evaluate == EVALUATE_ARRIVAL;
            if (!r->disabled)
                walk(&g, r->expr.root);
        }
    if (!g.no_memory)
        return d;
    demands_free(d);
    return NULL;
}

void demands_free(struct demands *d)
{
    if (!d)
        return;
    arena_done(&d->arena);
    free(d);
}
