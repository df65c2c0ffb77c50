// SPDX-License-Identifier: Apache-2.0
#include "tests/conformance/rig.h"
#include "rules/parse.h"
#include "tests/conformance/grammar.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

// Noisy conditions, as alerts have them; what is random comes from grammar.h.
static const char *const CONDITIONS[] = {"g > 50", "g > 20", "up == 0", "d > 2", "d != 0",
    "avg by (k) (g) > 47.1234567", "rate(c[1m]) > 0.7123456", "absent(up{i=\"1\"})",
    "sum(up) < 4", "max_over_time(g[30s]) > 90", "min_over_time(d[15s]) > 0", "pod > 10",
    "count(pod) > 2", "changes(up[2m]) > 1", "g > 30 and on(i) d > 0", "c unless on(i) up == 1",
    "time() - timestamp(slow) > 20", "predict_linear(g[2m], 60) > 57.1234567",
    "increase(c[1m]) == 0",
    "histogram_quantile(0.9137, sum by (le) (rate(h_bucket[1m]))) > 0.61234",
    "g / on(i, k) (d + 3) > 10", "n > 0",
    "label_replace(up == 0, \"who\", \"$1\", \"i\", \"(.)\")"};
static const char *const RECORDED[] = {
    "avg by (k) (g)", "max by (i) (d)", "up == 0", "rate(c[1m])"};
static const char *const OF_RECORDED[] = {"r > 0", "r > 3", "absent(r)", "r offset 20s > 1",
    "count_over_time(r[1m]) > 3", "max(r) > 2"};

static void draft(
    struct rules *rules, const char *name, const char *text, bool alert, bool recorded)
{
    struct drafted *d = &rules->r[rules->n];
    struct parse_error e;
    *d = (struct drafted){.alert = alert, .recorded = recorded};
    snprintf(d->name, sizeof(d->name), "%s", name);
    if (expr_parse(text, strlen(text), &rules->arena, &d->x, &e) != 0)
        abort();
    if (d->x.root->type == TYPE_VECTOR)
        rules->n++;
    else
        expr_done(&d->x);
}

static void write_rule(struct rules *rules, const struct drafted *d)
{
    buf_addf(&rules->yaml, "  - %s: %s\n    expr: '", d->alert ? "alert" : "record", d->name);
    for (const char *c = d->x.text; *c; c++)
        buf_addf(&rules->yaml, *c == '\'' ? "''" : "%c", *c);
    buf_adds(&rules->yaml, "'\n");
    if (!d->alert)
        return;
    buf_addf(&rules->yaml, "    for: %llds\n", (long long)d->for_ms / 1000);
    if (d->keep_ms)
        buf_addf(&rules->yaml, "    keep_firing_for: %llds\n", (long long)d->keep_ms / 1000);
    buf_adds(
        &rules->yaml, "    labels: {severity: page}\n    annotations: {v: '{{ $value }}'}\n");
    buf_addf(&rules->arrival, "- rule: g/%s\n  set: {evaluate: arrival}\n", d->name);
}

void rules_make(struct rules *ret, struct random *r, int64_t grid_ms)
{
    static const int64_t FOR[] = {0, 0, 5000, 10000, 20000, 30000, 60000, 120000, 300000};
    static const int64_t KEEP[] = {0, 0, 10000, 60000};
    struct buf text;
    char name[16];
    *ret = (struct rules){0};
    arena_init(&ret->arena, 0);
    buf_init(&ret->yaml, 1u << 20);
    buf_init(&ret->arrival, 1u << 20);
    buf_init(&text, 65536);
    draft(ret, "r", RANDOM_PICK(r, RECORDED), false, false);
    draft(ret, "R", RANDOM_PICK(r, OF_RECORDED), true, true);
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof(name), "C%d", i);
        draft(ret, name, RANDOM_PICK(r, CONDITIONS), true, false);
    }
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof(name), "X%d", i);
        expression_make(r, 1 + random_below(r, 3), &text);
        draft(ret, name, buf_cstr(&text), true, false);
    }
    buf_done(&text);
    for (size_t i = 0; i < ret->n; i++) {
        ret->r[i].for_ms = RANDOM_PICK(r, FOR);
        ret->r[i].keep_ms = RANDOM_PICK(r, KEEP);
    }
    rules_write(ret, grid_ms);
}

void rules_write(struct rules *rules, int64_t grid_ms)
{
    buf_reset(&rules->yaml);
    buf_reset(&rules->arrival);
    buf_addf(
        &rules->yaml, "groups:\n- name: g\n  interval: %lldms\n  rules:\n", (long long)grid_ms);
    buf_adds(&rules->arrival, "overrides:\n");
    for (size_t i = 0; i < rules->n; i++)
        if (!rules->r[i].left_out)
            write_rule(rules, &rules->r[i]);
}

void rules_done(struct rules *r)
{
    for (size_t i = 0; i < r->n; i++)
        expr_done(&r->r[i].x);
    buf_done(&r->yaml);
    buf_done(&r->arrival);
    arena_done(&r->arena);
}

static struct ruleset *ruleset_of(const struct rules *rules, const char *overrides)
{
    struct diags d;
    struct ruleset *set = ruleset_new();
    diags_init(&d);
    if (!set ||
        ruleset_add(set, "r.yml", (const char *)rules->yaml.data, rules->yaml.len, &d) != 0 ||
        (overrides && ruleset_override(set, "o.yml", overrides, strlen(overrides), &d) != 0) ||
        d.errors)
        abort();
    diags_done(&d);
    return set;
}

void rig_open(struct rig *g, const struct history *h, const struct rules *rules,
    const char *overrides, int64_t grid_ms, bool compat_2_42)
{
    *g = (struct rig){.h = h, .m = memory_source_new()};
    buf_init(&g->log, 64u << 20);
    struct source src = memory_source_interface(g->m);
    struct engine_options o = {
        .compat_2_42 = compat_2_42, .parity = true, .subquery_step_ms = grid_ms};
    g->e = engine_new(&src, &o);
    if (!g->e || engine_load(g->e, ruleset_of(rules, overrides)) != 0)
        abort();
}

void rig_close(struct rig *g)
{
    engine_free(g->e);
    memory_source_free(g->m);
    buf_done(&g->log);
}

void rig_feed(struct rig *g, const struct arrival *a)
{
    const struct series *s = &g->h->series[a->series];
    uint32_t id;
    if (memory_source_series(g->m, &s->labels, &id) != 0 ||
        memory_source_add(g->m, id, s->s[a->sample].t_ms, s->s[a->sample].v, NULL) < 0)
        abort();
    engine_feed(g->e, id, s->s[a->sample].t_ms, false);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void rig_advance(struct rig *g, int64_t now_ms)
{
    if (engine_advance(g->e, now_ms, &g->last) != 0)
        abort();
    // Sorted, and values short: series are born in the order they come in, and sums over them are
    // added up in that order.
    char **line = calloc(g->last.n + 1, sizeof(*line));
    if (!line)
        abort();
    for (size_t i = 0; i < g->last.n; i++) {
        const struct transition *t = &g->last.t[i];
        struct buf text;
        buf_init(&text, 65536);
        buf_addf(&text, "%lld ", (long long)t->at_ms);
        labels_print_flat(t->alert->labels, &text);
        buf_addf(&text, " %s -> %s, active at %lld, %.9g\n", alert_state_name(t->from),
            alert_state_name(t->to), (long long)t->alert->active_at_ms,
            isnan(t->alert->value) ? (double)NAN : t->alert->value);
        line[i] = strdup(buf_cstr(&text));
        if (!line[i])
            abort();
        buf_done(&text);
        g->fired += t->to == ALERT_FIRING;
    }
    qsort(line, g->last.n, sizeof(*line), by_text);
    for (size_t i = 0; i < g->last.n; i++) {
        buf_adds(&g->log, line[i]);
        free(line[i]);
    }
    free(line);
}

struct showing {
    struct arena *arena;
    struct result *ret;
    bool series; // as ALERTS and ALERTS_FOR_STATE, of all; else the labels of those that fire
};

static void show(
    struct showing *s, const struct alert *a, const char *name, const char *state, double v)
{
    struct label pair[40];
    struct labels made;
    struct buf text;
    size_t n = 0;
    for (size_t i = 0; i < a->labels->n && n < 38; i++)
        pair[n++] = a->labels->l[i];
    pair[n++] = (struct label){LABEL_NAME, name};
    pair[n++] = (struct label){"alertstate", state};
    buf_init(&text, 65536);
    if (!labels_make(s->arena, pair, n, &made))
        abort();
    labels_print_flat(&made, &text);
    result_add(s->ret, s->arena, buf_cstr(&text), text.len, v);
    buf_done(&text);
}

static bool show_alert(
    void *ctx, const struct rule_group *g, const struct rule *r, const struct alert *a)
{
    struct showing *s = ctx;
    (void)g;
    (void)r;
    if (a->state == ALERT_INACTIVE)
        return true;
    if (s->series) {
        show(s, a, "ALERTS", alert_state_name(a->state), 1);
        show(s, a, "ALERTS_FOR_STATE", "", (double)a->active_at_ms / 1000);
    } else if (a->state == ALERT_FIRING) {
        show(s, a, "", "", 1);
    }
    return true;
}

struct writing {
    const char *rule;
    struct buf *out;
    bool any;
};

static void write_pairs(const struct labels *l, const char *key, struct buf *out)
{
    buf_addf(out, "%s: {", key);
    for (size_t i = 0; i < l->n; i++) {
        if (!strcmp(l->l[i].name, "alertname"))
            continue;
        buf_addf(out, "%s: '", l->l[i].name);
        for (const char *c = l->l[i].value; *c; c++)
            buf_addf(out, *c == '\'' ? "''" : "%c", *c);
        buf_adds(out, "', ");
    }
    buf_adds(out, "}\n");
}

static bool write_alert(
    void *ctx, const struct rule_group *g, const struct rule *r, const struct alert *a)
{
    struct writing *w = ctx;
    (void)g;
    if (a->state != ALERT_FIRING || strcmp(r->name, w->rule) != 0)
        return true;
    if (!w->any)
        buf_adds(w->out, "        exp_alerts:\n");
    w->any = true;
    write_pairs(a->labels, "          - exp_labels", w->out);
    write_pairs(a->annotations, "            exp_annotations", w->out);
    return true;
}

void rig_write_alerts(
    const struct rig *g, const struct rules *rules, int64_t t_ms, struct buf *out)
{
    for (size_t i = 0; i < rules->n; i++) {
        const struct drafted *d = &rules->r[i];
        struct writing w = {d->name, out, false};
        if (!d->alert || d->recorded || d->left_out ||
            accuracy_of(d->x.root) != ACCURACY_EXACT || expr_extreme(d->x.root))
            continue;
        buf_addf(out, "      - eval_time: %lldms\n        alertname: %s\n", (long long)t_ms,
            d->name);
        engine_each_alert(g->e, write_alert, &w);
    }
}

void rig_alerts(const struct rig *g, struct arena *a, struct result *ret)
{
    struct showing s = {a, ret, true};
    engine_each_alert(g->e, show_alert, &s);
    result_sort(ret);
}

void rig_firing(const struct rig *g, struct arena *a, struct result *ret)
{
    struct showing s = {a, ret, false};
    engine_each_alert(g->e, show_alert, &s);
    result_sort(ret);
}
