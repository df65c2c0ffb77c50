// SPDX-License-Identifier: Apache-2.0
// GET /api/v2/alerts/groups: what fires as the routing tree groups it. Each node of the tree that takes an
// alert has groups of its own; they and their alerts stand in Alertmanager's order, so two looks at the
// same alerts are the same text.
#include "collector/api_v2_alerts.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROUTES_OF_ALERT 64

struct member {
    const struct route *route;
    const struct labels *by; // the group's; in the arena
    size_t alert;
};
struct grouping {
    struct api_listing *l;
    struct arena arena;
    struct api_v2_alert *alert;
    size_t n_alerts, cap_alerts;
    struct member *member;
    size_t n, cap;
    bool failed;
};

// Alertmanager's order of label sets: fewer labels first, then by name and value, where a label that only
// one of the two has puts the other behind it.
static int before(const struct labels *a, const struct labels *b)
{
    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    for (size_t i = 0; i < a->n; i++) { // both sorted by name
        int c = strcmp(a->l[i].name, b->l[i].name);
        if (c)
            return c < 0 ? 1 : -1;
        c = strcmp(a->l[i].value, b->l[i].value);
        if (c)
            return c;
    }
    return 0;
}

static bool has(const struct labels *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->l[i].name, name) == 0)
            return true;
    return false;
}

// Of alerts in a group: by job, then by instance, then by all labels.
static int alert_order(const struct labels *a, const struct labels *b)
{
    static const char *const FIRST[] = {"job", "instance"};
    for (size_t i = 0; i < 2; i++) {
        bool x = has(a, FIRST[i]), y = has(b, FIRST[i]);
        if (x != y)
            return x ? -1 : 1;
        int c = strcmp(labels_get(a, FIRST[i]), labels_get(b, FIRST[i]));
        if (c)
            return c;
    }
    return before(a, b);
}

static int group_order(const struct member *a, const struct member *b)
{
    int c = before(a->by, b->by);
    c = c ? c : strcmp(a->route->receiver, b->route->receiver);
    return c ? c
             : (a->route->number > b->route->number) - (a->route->number < b->route->number);
}

static int compare(const void *x, const void *y, void *ctx)
{
    const struct grouping *g = ctx;
    const struct member *a = x, *b = y;
    int c = group_order(a, b);
    if (c)
        return c;
    const struct notice *p = g->alert[a->alert].notice, *q = g->alert[b->alert].notice;
    c = alert_order(&p->labels, &q->labels);
    return c ? c : (p->alert_id > q->alert_id) - (p->alert_id < q->alert_id);
}

static bool grow(void **list, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return true;
    size_t more = *cap ? *cap * 2 : 64;
    void *grown = realloc(*list, more * size);
    if (!grown)
        return false;
    *list = grown;
    *cap = more;
    return true;
}

static bool add_member(struct grouping *g, const struct route *route, size_t alert)
{
    const struct labels *all = &g->alert[alert].notice->labels;
    struct labels *by = arena_alloc(&g->arena, sizeof(*by));
    if (!by || !grow((void **)&g->member, g->n, &g->cap, sizeof(*g->member)))
        return false;
    *by = *all;
    if (!route->group_by_all &&
        !labels_keep(&g->arena, all, route->group_by, route->n_group_by, by))
        return false;
    g->member[g->n++] = (struct member){route, by, alert};
    return true;
}

static bool collect(void *ctx, const struct ledger_entry *e)
{
    struct grouping *g = ctx;
    const struct route *root = g->l->a->config->route, *taken[ROUTES_OF_ALERT];
    if (e->notice->to != ALERT_FIRING || !root)
        return true;
    struct api_v2_alert a = api_v2_alert_of(g->l, e);
    if (!api_v2_alert_wanted(g->l, &a))
        return true;
    g->failed = !grow((void **)&g->alert, g->n_alerts, &g->cap_alerts, sizeof(*g->alert));
    if (g->failed)
        return false;
    g->alert[g->n_alerts] = a;
    size_t n = route_match(root, &e->notice->labels, taken, ROUTES_OF_ALERT), before_n = g->n;
    for (size_t i = 0; i < n && !g->failed; i++)
        if (api_filter_receiver(g->l->f, taken[i]->receiver))
            g->failed = !add_member(g, taken[i], g->n_alerts);
    g->n_alerts += g->n > before_n;
    return !g->failed;
}

static int by_name(const void *x, const void *y)
{
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

// The receivers of an alert are those of all groups that are shown, once for each.
static void write_alert(const struct grouping *g, size_t alert)
{
    const struct route *taken[ROUTES_OF_ALERT];
    const char *name[ROUTES_OF_ALERT] = {0};
    const struct api_v2_alert *a = &g->alert[alert];
    size_t n = 0, routes = route_match(
                      g->l->a->config->route, &a->notice->labels, taken, ROUTES_OF_ALERT);
    for (size_t i = 0; i < routes; i++)
        if (api_filter_receiver(g->l->f, taken[i]->receiver))
            name[n++] = taken[i]->receiver;
    qsort(name, n, sizeof(name[0]), by_name);
    api_v2_alert_json(g->l, a, name, n);
}

static void write_groups(const struct grouping *g)
{
    struct buf *b = g->l->b;
    buf_addc(b, '[');
    for (size_t i = 0, k; i < g->n; i = k) {
        const struct member *m = &g->member[i];
        buf_adds(b, i ? ",{\"alerts\":[" : "{\"alerts\":[");
        for (k = i; k < g->n && group_order(m, &g->member[k]) == 0; k++) {
            if (k > i)
                buf_addc(b, ',');
            write_alert(g, g->member[k].alert);
        }
        buf_adds(b, "],\"labels\":");
        labels_json(m->by, b);
        buf_adds(b, ",\"receiver\":{\"name\":");
        buf_add_json(b, m->route->receiver, strlen(m->route->receiver));
        buf_adds(b, "}}");
    }
    buf_addc(b, ']');
}

void api_v2_groups(const struct api_v2 *a, struct request *r, int64_t now_ms)
{
    struct api_filter f;
    struct api_listing l = {a, &f, &r->body, now_ms, 0};
    struct grouping g = {.l = &l};
    if (!api_filter_read(r, &f))
        return;
    arena_init(&g.arena, 0);
    ledger_each(a->ledger, collect, &g);
    if (g.failed) {
        api_v2_refuse(r, 503, "out of memory");
    } else {
        if (g.n)
            qsort_r(g.member, g.n, sizeof(*g.member), compare, &g);
        write_groups(&g);
    }
    free(g.alert);
    free(g.member);
    arena_done(&g.arena);
    api_filter_done(&f);
}
