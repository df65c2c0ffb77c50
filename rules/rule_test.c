// SPDX-License-Identifier: Apache-2.0
#include "rules/rule_test.h"
#include "base/num.h"
#include "rules/builtin.h"
#include "rules/engine.h"
#include "rules/memory_source.h"
#include "rules/rule_test_file.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESULT_ARENA_MAX        (1u << 30)
#define RULE_TEST_TIMELINES_MAX 64

// One test while it runs.
struct run {
    const struct rule_tests *tests;
    const struct test_group *test;
    const struct rule_test_options *o;
    struct memory_source *memory;
    struct engine *engine;
    struct {
        uint32_t id;
        size_t next; // value that is not there yet
    } * series;
    const struct ruleset *set;
    struct rule_test_result result;
    size_t *first; // per alert case: the first one of the same name
    int64_t tick_ms;
    struct arena *a;
    int rc;
};

static const char *text(struct run *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static const char *text(struct run *r, const char *fmt, ...)
{
    char line[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    const char *copy = arena_strndup(r->a, line, strlen(line));
    if (!copy)
        r->rc = -ENOMEM;
    return copy ? copy : "";
}

static const char *duration(int64_t ms, char ret[static NUM_TEXT_MAX])
{
    ret[duration_print(ms, ret)] = '\0';
    return ret;
}

// --- setting up ----------------------------------------------------------------------------------

static size_t rank(const struct rule_tests *t, const struct rule_group *g)
{
    for (size_t i = 0; i < t->n_order; i++)
        if (!strcmp(t->order[i], g->name))
            return i;
    return 0; // as promtool: those not named come with the first
}

// Stable, so that what is not named keeps the order of files and places.
static void order_groups(const struct rule_tests *t, struct ruleset *set)
{
    for (size_t i = 1; t->n_order && i < set->n_groups; i++) {
        struct rule_group g = set->groups[i];
        size_t k = i, own = rank(t, &g);
        for (; k > 0 && rank(t, &set->groups[k - 1]) > own; k--)
            set->groups[k] = set->groups[k - 1];
        set->groups[k] = g;
    }
}

static int read_rules(const struct rule_test_text *rules, size_t n, struct ruleset *set)
{
    struct diags d;
    int rc = 0;
    bool any = false;
    diags_init(&d);
    for (size_t i = 0; i < n && rc == 0; i++)
        if (ruleset_is_overrides(rules[i].text, rules[i].len))
            any = true;
        else
            rc = ruleset_add(set, rules[i].file, rules[i].text, rules[i].len, &d);
    // Overrides last: what they name must be known by then.
    if (any && rc == 0)
        rc = builtin_add(set, &d);
    for (size_t i = 0; i < n && any && rc == 0; i++)
        if (ruleset_is_overrides(rules[i].text, rules[i].len))
            rc = ruleset_override(set, rules[i].file, rules[i].text, rules[i].len, &d);
    builtin_remove(set);
    diags_done(&d);
    return rc;
}

static int load_rules(struct run *r, const struct rule_test_text *rules, size_t n)
{
    struct ruleset *set = ruleset_new();
    int rc = set ? read_rules(rules, n, set) : -ENOMEM;
    if (rc == 0) {
        order_groups(r->tests, set);
        rc = engine_load(r->engine, set);
    }
    if (rc < 0)
        ruleset_free(set);
    else
        r->set = set;
    return rc;
}

static int add_series(struct run *r)
{
    const struct test_group *t = r->test;
    r->series = arena_alloc(r->a, (t->n_series + 1) * sizeof(*r->series));
    if (!r->series)
        return -ENOMEM;
    for (size_t i = 0; i < t->n_series; i++) {
        int rc = memory_source_series(r->memory, &t->series[i].labels, &r->series[i].id);
        if (rc < 0)
            return rc;
        // A series that stands there twice is the later one.
        for (size_t k = 0; k < i; k++)
            if (r->series[k].id == r->series[i].id)
                r->series[k].next = t->series[k].values.n;
    }
    return 0;
}

static int open_run(struct run *r, const struct rule_test_text *rules, size_t n)
{
    r->memory = memory_source_new();
    if (!r->memory)
        return -ENOMEM;
    memory_source_strict(r->memory);
    struct source src = memory_source_interface(r->memory);
    struct engine_options eo = {.interval_ms = r->tests->interval_ms,
        .subquery_step_ms = r->tests->interval_ms,
        .external_url = r->test->external_url,
        .external_labels = &r->test->external_labels,
        .compat_2_42 = r->o->compat_2_42,
        .parity = true};
    r->engine = engine_new(&src, &eo);
    int rc = r->engine ? load_rules(r, rules, n) : -ENOMEM;
    return rc == 0 ? add_series(r) : rc;
}

static void close_run(struct run *r)
{
    engine_free(r->engine);
    memory_source_free(r->memory);
}

// --- one tick ------------------------------------------------------------------------------------

static int feed(struct run *r)
{
    const struct test_group *t = r->test;
    for (size_t i = 0; i < t->n_series; i++) {
        const struct series_values *v = &t->series[i].values;
        size_t *next = &r->series[i].next;
        for (; *next < v->n && (int64_t)*next * t->interval_ms <= r->tick_ms; (*next)++) {
            const struct series_value *x = &v->v[*next];
            if (x->omitted)
                continue;
            int64_t at = t->start_ms + (int64_t)*next * t->interval_ms;
            int rc = memory_source_add(r->memory, r->series[i].id, at, x->v, x->h);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

static bool see_failed(void *ctx, const struct rule_status *s)
{
    struct run *r = ctx;
    char at[NUM_TEXT_MAX];
    if (strcmp(s->health, "err") != 0)
        return true;
    r->result.error =
        text(r, "rule `%.100s` at %s: %s", s->rule->name, duration(r->tick_ms, at), s->error);
    return false;
}

static void see_refused(struct run *r)
{
    struct labels l;
    struct buf name;
    char at[NUM_TEXT_MAX];
    if (r->result.error || !memory_source_refused(r->memory, &l))
        return;
    buf_init(&name, 400);
    labels_print(&l, &name);
    r->result.error = text(r, "at %s a rule writes %s, which has another sample for that time",
        duration(r->tick_ms, at), buf_cstr(&name));
    buf_done(&name);
}

// --- timelines -----------------------------------------------------------------------------------

static bool add_change(struct run *r, struct rule_test_timeline *l, const struct transition *t)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 4;
        struct rule_test_change *grown = arena_alloc(r->a, cap * sizeof(*grown));
        if (!grown)
            return false;
        if (l->n)
            memcpy(grown, l->changes, l->n * sizeof(*grown));
        l->changes = grown;
        l->cap = cap;
    }
    l->changes[l->n++] = (struct rule_test_change){r->tick_ms, t->to};
    return true;
}

static struct rule_test_timeline *timeline(
    struct run *r, struct rule_test_case *c, const struct labels *l)
{
    for (size_t i = 0; i < c->n_timelines; i++)
        if (labels_equal(&c->timelines[i].labels, l))
            return &c->timelines[i];
    if (c->n_timelines == RULE_TEST_TIMELINES_MAX)
        return NULL;
    if (!c->timelines)
        c->timelines = arena_alloc(r->a, RULE_TEST_TIMELINES_MAX * sizeof(*c->timelines));
    if (!c->timelines)
        return NULL;
    struct rule_test_timeline *t = &c->timelines[c->n_timelines];
    if (!labels_make(r->a, l->l, l->n, &t->labels))
        return NULL;
    c->n_timelines++;
    return t;
}

// Kept with the first case of a name; the others get it at the end.
static void note_transitions(struct run *r, const struct transitions *ts)
{
    for (size_t i = 0; i < ts->n; i++) {
        const struct transition *t = &ts->t[i];
        for (size_t k = 0; k < r->result.n_cases; k++) {
            struct rule_test_case *c = &r->result.cases[k];
            if (c->kind != RULE_TEST_ALERT || r->first[k] != k ||
                strcmp(c->what, t->rule->name))
                continue;
            struct rule_test_timeline *l = timeline(r, c, t->alert->labels);
            if (l && !add_change(r, l, t))
                r->rc = -ENOMEM;
        }
    }
}

// --- alert cases ---------------------------------------------------------------------------------

struct firing {
    struct run *r;
    const char *name;
    struct rule_test_item *items;
    size_t n, cap;
};

static struct rule_test_item *add_item(struct firing *f)
{
    if (f->n == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 8;
        struct rule_test_item *grown = arena_alloc(f->r->a, cap * sizeof(*grown));
        if (!grown)
            return NULL;
        if (f->n)
            memcpy(grown, f->items, f->n * sizeof(*grown));
        f->items = grown;
        f->cap = cap;
    }
    return &f->items[f->n++];
}

// One that came out empty is there all the same to promtool, so it has to be expected.
static bool all_annotations(
    struct run *r, const struct rule *rule, const struct labels *set, struct labels *ret)
{
    struct label *l = arena_alloc(r->a, (rule->n_annotations + 1) * sizeof(*l));
    if (!l)
        return false;
    for (size_t i = 0; i < rule->n_annotations; i++) {
        const char *name = rule->annotations[i].name, *value = labels_get(set, name);
        l[i].name = arena_strndup(r->a, name, strlen(name));
        l[i].value = arena_strndup(r->a, value, strlen(value));
        if (!l[i].name || !l[i].value)
            return false;
    }
    *ret = (struct labels){l, rule->n_annotations};
    return true;
}

static bool see_alert(
    void *ctx, const struct rule_group *g, const struct rule *rule, const struct alert *a)
{
    struct firing *f = ctx;
    (void)g;
    if (a->state != ALERT_FIRING || strcmp(rule->name, f->name) != 0)
        return true;
    struct rule_test_item *x = add_item(f);
    if (!x || !labels_make(f->r->a, a->labels->l, a->labels->n, &x->labels) ||
        !all_annotations(f->r, rule, a->annotations, &x->annotations))
        f->r->rc = -ENOMEM;
    return f->r->rc == 0;
}

static int match(struct run *r, size_t i, struct rule_test_item *got, size_t n)
{
    const struct test_case *t = &r->test->cases[i];
    struct rule_test_case *c = &r->result.cases[i];
    // A copy: matching sorts, and the tests may be run again.
    struct rule_test_item *expected =
        arena_alloc(r->a, (t->n_expected + 1) * sizeof(*expected));
    if (!expected)
        return -ENOMEM;
    if (t->n_expected)
        memcpy(expected, t->expected, t->n_expected * sizeof(*expected));
    c->run = true;
    c->partial = r->o->partial && t->kind == RULE_TEST_ALERT;
    return rule_test_match(c, expected, t->n_expected, got, n, r->tests->fuzzy, r->a);
}

static int check_alerts(struct run *r)
{
    for (size_t i = 0; i < r->result.n_cases; i++) {
        struct rule_test_case *c = &r->result.cases[i];
        if (c->kind != RULE_TEST_ALERT || c->at_ms < r->tick_ms ||
            c->at_ms - r->tick_ms >= r->tests->interval_ms)
            continue;
        struct firing f = {.r = r, .name = c->what};
        engine_each_alert(r->engine, see_alert, &f);
        int rc = r->rc ? r->rc : match(r, i, f.items, f.n);
        if (rc < 0)
            return rc;
    }
    return 0;
}

// --- expressions ---------------------------------------------------------------------------------

static int got_samples(
    struct run *r, const struct value *v, struct rule_test_item **ret, size_t *ret_n)
{
    bool scalar = v->type == TYPE_SCALAR;
    size_t n = 0, room = scalar ? 1 : v->vector.n;
    struct rule_test_item *x = arena_alloc(r->a, (room + 1) * sizeof(*x));
    if (!x)
        return -ENOMEM;
    if (scalar)
        x[n++].value = v->scalar;
    for (size_t i = 0; !scalar && i < v->vector.n; i++) {
        const struct element *e = &v->vector.e[i];
        if (e->state != ELEMENT_VALUE)
            continue;
        x[n].value = e->hist ? 0 : e->value;
        if (e->hist) {
            struct buf out;
            buf_init(&out, 1u << 20);
            series_histogram_print(e->hist, &out);
            x[n].histogram = out.failed ? NULL : arena_strndup(r->a, buf_cstr(&out), out.len);
            buf_done(&out);
            if (!x[n].histogram)
                return -ENOMEM;
        }
        if (!labels_make(r->a, e->labels.l, e->labels.n, &x[n++].labels))
            return -ENOMEM;
    }
    *ret = x;
    *ret_n = n;
    return 0;
}

static int check_exprs(struct run *r)
{
    struct source src = memory_source_interface(r->memory);
    struct eval_options eo = {.subquery_step_ms = r->tests->interval_ms,
        .compat_2_42 = r->o->compat_2_42,
        .parity = true};
    struct eval *e = eval_new(&src, &eo);
    int rc = e ? 0 : -ENOMEM;
    for (size_t i = 0; i < r->result.n_cases && rc == 0; i++) {
        struct rule_test_case *c = &r->result.cases[i];
        struct rule_test_item *got;
        struct value v;
        struct err err = {0};
        size_t n;
        if (c->kind != RULE_TEST_EXPR)
            continue;
        eval_reset(e);
        rc = eval_instant(
            e, &r->test->cases[i].expr, NULL, r->test->start_ms + c->at_ms, &v, &err);
        if (rc == -EINVAL || rc == -E2BIG) {
            c->error = text(r, "%s", err.msg);
            c->run = true;
            rc = 0;
            continue;
        }
        if (rc == 0)
            rc = got_samples(r, &v, &got, &n);
        if (rc == 0)
            rc = match(r, i, got, n);
    }
    eval_free(e);
    return rc;
}

// --- one test ------------------------------------------------------------------------------------

// An alert nobody has: a case that expects nothing of it passes without testing anything.
static void note_unknown(struct run *r, struct rule_test_case *c)
{
    const char *nearest = NULL;
    for (size_t g = 0; g < r->set->n_groups; g++)
        for (size_t k = 0; k < r->set->groups[g].n_rules; k++) {
            const struct rule *rule = &r->set->groups[g].rules[k];
            if (rule->kind != RULE_ALERT)
                continue;
            if (!strcmp(rule->name, c->what))
                return;
            if (!nearest)
                nearest = diag_nearest(c->what, strlen(c->what), &rule->name, 1);
        }
    c->note = nearest ? text(r, "no rule has this name: did you mean %.100s?", nearest)
                      : text(r, "no rule of the rule files has this name");
}

static int prepare(struct run *r)
{
    const struct test_group *t = r->test;
    struct rule_test_result *s = &r->result;
    *s = (struct rule_test_result){
        .name = t->name, .line = t->line, .interval_ms = r->tests->interval_ms};
    s->cases = arena_alloc(r->a, (t->n_cases + 1) * sizeof(*s->cases));
    r->first = arena_alloc(r->a, (t->n_cases + 1) * sizeof(*r->first));
    if (!s->cases || !r->first)
        return -ENOMEM;
    s->n_cases = t->n_cases;
    for (size_t i = 0; i < t->n_cases; i++) {
        const struct test_case *c = &t->cases[i];
        s->cases[i] = (struct rule_test_case){.kind = c->kind,
            .what = c->what,
            .at_ms = c->at_ms,
            .line = c->line,
            .col = c->col,
            .len = c->len};
        s->end_ms = c->at_ms > s->end_ms ? c->at_ms : s->end_ms;
        size_t k = 0;
        while (t->cases[k].kind != c->kind || strcmp(t->cases[k].what, c->what) != 0)
            k++;
        r->first[i] = k;
        if (c->kind == RULE_TEST_ALERT)
            note_unknown(r, &s->cases[i]);
    }
    return r->rc;
}

static int run_ticks(struct run *r)
{
    int rc = 0;
    for (r->tick_ms = 0; rc == 0 && r->tick_ms <= r->result.end_ms;
         r->tick_ms += r->tests->interval_ms) {
        struct transitions ts = {0};
        rc = feed(r);
        if (rc == 0)
            rc = engine_tick(r->engine, r->test->start_ms + r->tick_ms, &ts);
        if (rc < 0)
            return rc;
        note_transitions(r, &ts);
        engine_each_rule(r->engine, see_failed, r);
        see_refused(r);
        if (r->result.error)
            return r->rc;
        rc = r->rc ? r->rc : check_alerts(r);
    }
    return rc;
}

static void finish(struct run *r)
{
    struct rule_test_result *s = &r->result;
    for (size_t i = 0; i < s->n_cases; i++) {
        struct rule_test_case *c = &s->cases[i];
        if (c->kind == RULE_TEST_ALERT) {
            c->timelines = s->cases[r->first[i]].timelines;
            c->n_timelines = s->cases[r->first[i]].n_timelines;
        }
        s->n_failed += !c->passed;
    }
}

static int run_test(struct run *r, const struct rule_test_text *rules, size_t n)
{
    int rc = open_run(r, rules, n);
    if (rc == 0)
        rc = prepare(r);
    if (rc == 0)
        rc = run_ticks(r);
    if (rc == 0 && !r->result.error)
        rc = check_exprs(r);
    if (rc == 0)
        finish(r);
    close_run(r);
    return rc;
}

// A test written for Prometheus 2 often fails for the one reason that a window held one sample more.
static int try_as_2_42(struct run *r, const struct rule_test_text *rules, size_t n)
{
    struct rule_test_options old = *r->o;
    struct run again = {.tests = r->tests, .test = r->test, .o = &old, .a = r->a};
    if (r->o->compat_2_42 || (r->result.n_failed == 0 && !r->result.error))
        return 0;
    old.compat_2_42 = true;
    int rc = run_test(&again, rules, n);
    r->result.passes_as_2_42 = rc == 0 && again.result.n_failed == 0 && !again.result.error;
    return rc;
}

static bool chosen(const struct rule_test_options *o, const struct test_group *t)
{
    struct regex_span span;
    return !o->run || regex_search(o->run, t->name, strlen(t->name), 0, &span, 1);
}

int rule_tests_run(const struct rule_tests *t, const struct rule_test_text *rules, size_t n,
    const struct rule_test_options *o, void (*fn)(void *ctx, const struct rule_test_result *r),
    void *ctx)
{
    struct arena a;
    int rc = 0;
    arena_init(&a, RESULT_ARENA_MAX);
    for (size_t i = 0; i < t->n_tests && rc == 0; i++) {
        struct run r = {.tests = t, .test = &t->tests[i], .o = o, .a = &a};
        if (!chosen(o, r.test))
            continue;
        rc = run_test(&r, rules, n);
        if (rc == 0)
            rc = try_as_2_42(&r, rules, n);
        if (rc == 0)
            fn(ctx, &r.result);
        arena_reset(&a);
    }
    arena_done(&a);
    return rc;
}
