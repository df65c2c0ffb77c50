// SPDX-License-Identifier: Apache-2.0
// One evaluation of one rule: expression, alert states or recorded series, health.
#include "rules/engine_state.h"
#include "rules/eval_node.h"
#include "rules/rule_query.h"
#include <errno.h>

static int record_value(struct engine *e, struct group_state *g, struct rule_state *r,
    const struct vector *v, int64_t t_ms, struct err *err)
{
    static const struct join_key ALL = {.kind = KEY_ALL};
    struct join j;
    size_t n = 0;
    const struct rule *rule = r->rule;
    struct element *out = eval_alloc(e->eval, v->n + 1, sizeof(*out));
    int rc = out ? join_init(e->eval, &j, v->n) : -ENOMEM;
    for (size_t i = 0; rc == 0 && i < v->n; i++) {
        const struct element *el = &v->e[i];
        bool fresh;
        if (el->state == ELEMENT_FILTERED)
            continue;
        size_t room = el->labels.n + g->group->n_labels + rule->n_labels + 1, k = el->labels.n;
        struct label *pair = eval_alloc(e->eval, room, sizeof(*pair));
        if (!pair)
            return -ENOMEM;
        if (k)
            memcpy(pair, el->labels.l, k * sizeof(*pair));
        for (size_t a = 0; a < g->group->n_labels; a++)
            pair[k++] = (struct label){g->group->labels[a].name, g->group->labels[a].text};
        for (size_t a = 0; a < rule->n_labels; a++)
            pair[k++] = (struct label){rule->labels[a].name, rule->labels[a].text};
        pair[k++] = (struct label){LABEL_NAME, rule->name};
        out[n] = *el;
        if (!labels_make(&e->eval->arena, pair, k, &out[n].labels))
            return -ENOMEM;
        // What is written next may move histograms of the source.
        if (el->hist && !(out[n].hist = histogram_copy(&e->eval->arena, el->hist)))
            return -ENOMEM;
        join_put(&j, &ALL, &out[n].labels, (uint32_t)n, &fresh);
        if (fresh) {
            n++;
        } else if (el->state == ELEMENT_VALUE) {
            err_set(err,
                "vector contains metrics with the same labelset after applying rule labels");
            return -EINVAL;
        }
    }
    if (rc < 0)
        return rc;
    if (g->group->limit && n > g->group->limit) {
        err_set(err, "exceeded limit of %zu with %zu series", g->group->limit, n);
        return -EINVAL;
    }
    recorded_begin(&r->recorded);
    for (size_t i = 0; i < n; i++) {
        bool unknown = out[i].state == ELEMENT_NO_DATA;
        int wrote = recorded_write(&r->recorded, &e->src, &out[i].labels, t_ms,
            unknown ? double_from_bits(NAN_ABSENT_BITS) : out[i].value,
            unknown ? NULL : out[i].hist);
        rc = wrote < 0 ? wrote : rc;
    }
    recorded_end(&r->recorded, &e->src, t_ms);
    if (rc == -ENOSPC)
        err_set(err, "the series limit is reached");
    return rc;
}

// Labels of one written series after the other: who records them keeps a copy.
struct scratch {
    struct label *l;
    size_t cap;
};

static void label_put(struct labels *to, struct label *l, const char *name, const char *value)
{
    size_t at = 0;
    while (at < to->n && strcmp(l[at].name, name) < 0)
        at++;
    if (at == to->n || strcmp(l[at].name, name) != 0) {
        memmove(&l[at + 1], &l[at], (to->n - at) * sizeof(*l));
        to->n++;
    }
    l[at] = (struct label){name, value};
}

static int alert_series(struct engine *e, struct scratch *s, const struct alert *a,
    const char *name, enum alert_state state, struct labels *ret)
{
    size_t n = a->labels->n;
    if (n + 2 > s->cap) {
        struct label *l = eval_alloc(e->eval, n + 2, sizeof(*l));
        if (!l)
            return -ENOMEM;
        *s = (struct scratch){l, n + 2};
    }
    memcpy(s->l, a->labels->l, n * sizeof(*s->l));
    *ret = (struct labels){s->l, n};
    label_put(ret, s->l, LABEL_NAME, name);
    if (state != ALERT_INACTIVE)
        label_put(ret, s->l, "alertstate", alert_state_name(state));
    return 0;
}

static int write_alert(struct engine *e, struct rule_state *r, struct scratch *s,
    const struct alert *a, int64_t t_ms)
{
    struct labels l;
    int rc = alert_series(e, s, a, "ALERTS", a->state, &l);
    if (rc == 0)
        rc = recorded_write(&r->recorded, &e->src, &l, t_ms, 1, NULL);
    if (rc == 0)
        rc = alert_series(e, s, a, "ALERTS_FOR_STATE", ALERT_INACTIVE, &l);
    if (rc == 0)
        rc = recorded_write(
            &r->recorded, &e->src, &l, t_ms, (double)(a->active_at_ms / 1000), NULL);
    return rc;
}

// On the grid everything active is written; on arrival only what changed.
static int write_alerts(
    struct engine *e, struct rule_state *r, int64_t t_ms, bool grid, size_t first_transition)
{
    struct scratch s = {0};
    int rc = 0;
    if (grid) {
        recorded_begin(&r->recorded);
        for (size_t i = 0; rc == 0 && i < r->alerts.n; i++)
            rc = write_alert(e, r, &s, &r->alerts.slot[i]->a, t_ms);
        if (rc == 0)
            recorded_end(&r->recorded, &e->src, t_ms);
        return rc;
    }
    for (size_t i = first_transition; rc == 0 && i < e->out.n; i++) {
        const struct transition *t = &e->out.t[i];
        struct labels l;
        if (t->from != ALERT_INACTIVE) {
            rc = alert_series(e, &s, t->alert, "ALERTS", t->from, &l);
            if (rc == 0)
                recorded_stale(&r->recorded, &e->src, &l, t_ms);
        }
        if (rc == 0 && t->to != ALERT_INACTIVE)
            rc = write_alert(e, r, &s, t->alert, t_ms);
    }
    return rc;
}

// Places that are kept for what has nothing now are no elements.
static size_t count_elements(const struct vector *v)
{
    size_t n = 0;
    for (size_t i = 0; i < v->n; i++)
        n += v->e[i].state != ELEMENT_FILTERED || double_bits(v->e[i].value) != NAN_ABSENT_BITS;
    return n;
}

static int read_expression(struct engine *e, struct rule_state *r, struct reading *by,
    int64_t at_ms, struct value *ret, struct err *err)
{
    return by->x ? plan_read(by->clock->plan, by->x, at_ms, ret, err)
                 : eval_instant(e->eval, &r->rule->expr, r->selections, at_ms, ret, err);
}

static int evaluate(struct engine *e, struct group_state *g, struct rule_state *r, int64_t t_ms,
    bool grid, struct err *err)
{
    struct value v;
    struct reading *by = grid ? &r->on_grid : &r->on_arrival;
    int64_t at = t_ms - g->group->query_offset_ms;
    int rc = read_expression(e, r, by, at, &v, err);
    if (rc < 0)
        return rc;
    uint64_t version = by->x ? plan_version(by->x) : 0;
    bool idle = !r->records && !r->alerts.n && !r->recorded.n;
    if (idle && version && version == by->quiet)
        return 0; // it held nothing then, and is the same now
    by->quiet = 0;
    struct element one = {.value = v.scalar,
        .silent = v.silent,
        .state = v.no_data ? ELEMENT_NO_DATA : ELEMENT_VALUE};
    if (v.type == TYPE_SCALAR)
        v.vector = (struct vector){.e = &one, .n = 1, .cap = 1};
    r->elements = count_elements(&v.vector);
    if (r->elements > e->o.elements_max) {
        err_set(
            err, "the result has %zu elements, more than %zu", r->elements, e->o.elements_max);
        return -E2BIG;
    }
    if (r->records)
        return record_value(e, g, r, &v.vector, at, err);
    size_t first = e->out.n;
    struct rule_query query = {.like = e->eval, .t_ms = t_ms};
    struct alert_step step = {.group = g->group,
        .rule = r->rule,
        .t_ms = t_ms,
        .grid = grid,
        .open_tick_ms = grid ? NEVER : g->next_ms,
        .external_url = e->o.external_url,
        .external_labels = e->o.external_labels,
        .query = rule_query_answer,
        .query_ctx = &query,
        .fresh_ms = 2 * g->interval_ms + e->o.grace_ms,
        .last_id = &e->last_alert_id,
        .holds = e->o.holds,
        .holds_ctx = e->o.holds_ctx};
    rc = alert_set_step(&r->alerts, &step, &v.vector, &e->eval->arena, &e->out, err);
    // A failed evaluation writes nothing, unless it dropped alerts (over the limit).
    int wrote = rc < 0 && first == e->out.n ? 0 : write_alerts(e, r, at, grid, first);
    if (wrote == -ENOSPC)
        err_set(err, "the series limit is reached");
    if (rc == 0 && wrote == 0 && !r->alerts.n)
        by->quiet = version;
    return rc < 0 ? rc : wrote;
}

int rule_run(
    struct engine *e, struct group_state *g, struct rule_state *r, int64_t t_ms, bool grid)
{
    struct err err; // half a kilobyte, so not cleared for each rule that has none
    err.msg[0] = '\0';
    int64_t start = e->o.clock ? clock_mono_ns(e->o.clock) : 0;
    eval_reset(e->eval);
    e->writer = r;
    int rc = evaluate(e, g, r, t_ms, grid, &err);
    e->writer = NULL;
    r->failed = rc < 0;
    e->sweep |= r->alerts.n_ended > 0;
    if (rc == -ENOMEM)
        err_set(&err, "out of memory");
    if (rc == -E2BIG)
        err_prefix(&err, "%s/%s", g->group->name, r->rule->name);
    if (rc < 0)
        snprintf(r->error, sizeof(r->error), "%.*s", (int)sizeof(r->error) - 1, err.msg);
    else
        r->error[0] = '\0';
    r->last_ms = t_ms;
    r->evaluations++;
    if (e->o.clock) {
        r->last_ns = clock_mono_ns(e->o.clock) - start;
        r->total_ns += r->last_ns;
    }
    return rc == -ENOMEM ? rc : 0;
}
