// SPDX-License-Identifier: Apache-2.0
#include "rules/explain.h"
#include "rules/audience.h"
#include "rules/memory_source.h"
#include "rules/parse.h"
#include "rules/slide.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SERIES      100 // made up for each selector
#define BUCKETS     10  // of them for each value of the other labels, where there is `le`
#define SAMPLES_MAX 300
#define LINK_BYTES  (sizeof(struct link) + sizeof(uint32_t))
#define NAMES_MAX   64
#define T0          1000000000000LL

static const char *const LE[BUCKETS] = {
    "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf"};

// What is made up: the selectors of an expression, and the labels it speaks of.
struct trial {
    const struct expr *selector[NAMES_MAX];
    size_t n_selectors;
    const char *label[NAMES_MAX];
    size_t n_labels;
    bool buckets;
    bool made; // every selector has its series
    struct memory_source *m;
    struct arena *a;
};

// --- what an expression speaks of --------------------------------------------------------------

static void add_label(struct trial *t, const char *name)
{
    for (size_t i = 0; i < t->n_labels; i++)
        if (!strcmp(t->label[i], name))
            return;
    if (t->n_labels < NAMES_MAX)
        t->label[t->n_labels++] = name;
}

static bool same_selector(const struct expr *x, const struct expr *y)
{
    bool same = x->n_matchers == y->n_matchers;
    for (size_t i = 0; same && i < x->n_matchers; i++)
        same = x->matchers[i].op == y->matchers[i].op &&
               !strcmp(x->matchers[i].name, y->matchers[i].name) &&
               !strcmp(x->matchers[i].value, y->matchers[i].value);
    return same;
}

static void add_selector(struct trial *t, const struct expr *x)
{
    for (size_t i = 0; i < t->n_selectors; i++)
        if (same_selector(t->selector[i], x))
            return;
    if (t->n_selectors < NAMES_MAX)
        t->selector[t->n_selectors++] = x;
    for (size_t i = 0; i < x->n_matchers; i++)
        add_label(t, x->matchers[i].name);
}

static void look(struct trial *t, const struct expr *x)
{
    if (!x)
        return;
    if (x->kind == EXPR_SELECTOR)
        add_selector(t, x);
    if (x->kind == EXPR_CALL)
        t->buckets |= x->fn->id == FN_HISTOGRAM_QUANTILE;
    for (size_t i = 0; i < x->n_names && !x->without; i++)
        add_label(t, x->names[i]);
    for (size_t i = 0; i < x->n_include; i++)
        add_label(t, x->include[i]);
    look(t, x->lhs);
    look(t, x->rhs);
    look(t, x->param);
    for (size_t i = 0; i < x->n_args; i++)
        look(t, x->args[i]);
}

// --- series that a selector accepts ------------------------------------------------------------

static bool accepts(const struct expr *selector, const char *name, const char *value)
{
    for (size_t i = 0; i < selector->n_matchers; i++)
        if (!strcmp(selector->matchers[i].name, name) &&
            !matcher_value(&selector->matchers[i], value))
            return false;
    return true;
}

// The first alternative of a pattern, read loosely: what it is worth is found by trying it.
static void sketch(const char *pattern, char *to, size_t size)
{
    size_t n = 0;
    for (const char *p = pattern; *p && n + 1 < size; p++) {
        if (*p == '|') // to the end of the group, or of all
            p += strcspn(p, ")");
        if (!*p)
            break;
        bool many = p[0] == '.' && (p[1] == '*' || p[1] == '+');
        if (strchr("()^$?", *p))
            continue;
        if (*p == '[' && p[1]) {
            to[n++] = p[1];
            p += strcspn(p, "]");
            p -= !*p;
        } else if (*p == '\\' && p[1]) {
            to[n++] = *++p;
        } else {
            to[n++] = *p == '.' ? '0' : *p;
        }
        p += many;
        if (*p && (p[1] == '+' || p[1] == '*'))
            p++;
    }
    to[n] = '\0';
}

static const char *value_of(
    struct trial *t, const struct expr *selector, const char *name, size_t i)
{
    char text[256];
    size_t series = t->buckets ? i / BUCKETS : i;
    if (t->buckets && !strcmp(name, "le") && accepts(selector, name, LE[i % BUCKETS]))
        return LE[i % BUCKETS];
    snprintf(text, sizeof(text), "v%zu", series);
    if (strcmp(name, LABEL_NAME) != 0 && accepts(selector, name, text))
        return arena_strndup(t->a, text, strlen(text));
    for (size_t k = 0; k < selector->n_matchers; k++) {
        const struct matcher *m = &selector->matchers[k];
        if (strcmp(m->name, name) != 0)
            continue;
        snprintf(text, sizeof(text), "%s", m->value);
        if (m->op == MATCH_RE)
            sketch(m->value, text, sizeof(text));
        if (accepts(selector, name, text))
            return arena_strndup(t->a, text, strlen(text));
    }
    static const char *const OTHERS[] = {"x", "", "0", "1", "a0", "x_total"};
    for (size_t k = 0; k < sizeof(OTHERS) / sizeof(OTHERS[0]); k++)
        if (accepts(selector, name, OTHERS[k]))
            return OTHERS[k];
    return NULL;
}

static int make_series(struct trial *t, const struct expr *selector, size_t i, uint32_t *ret)
{
    struct label pair[NAMES_MAX + 3];
    struct labels labels;
    size_t n = 0;
    pair[n++] = (struct label){"series", value_of(t, selector, "series", i)};
    pair[n++] = (struct label){"instance", value_of(t, selector, "instance", i)};
    for (size_t k = 0; k < t->n_labels; k++)
        pair[n++] = (struct label){t->label[k], value_of(t, selector, t->label[k], i)};
    if (t->buckets && accepts(selector, "le", LE[i % BUCKETS]))
        pair[n++] = (struct label){"le", LE[i % BUCKETS]};
    if (!selector->name && accepts(selector, LABEL_NAME, "x"))
        pair[n++] = (struct label){LABEL_NAME, "x"};
    for (size_t k = 0; k < n; k++)
        if (!pair[k].value)
            return 0;
    if (!labels_make(t->a, pair, n, &labels))
        return -ENOMEM;
    return memory_source_series(t->m, &labels, ret) < 0 ? -ENOMEM : 1;
}

static int make_samples(struct trial *t, size_t i, int64_t step_ms, int64_t end_ms, size_t n)
{
    int rc = 0;
    for (size_t k = 0; k < SERIES && rc >= 0; k++) {
        uint32_t id;
        rc = make_series(t, t->selector[i], k, &id);
        t->made &= rc > 0;
        for (size_t s = 0; rc > 0 && s < n; s++)
            rc = memory_source_add(t->m, id, end_ms - (int64_t)(n - 1 - s) * step_ms,
                     (double)(s * (k % BUCKETS + 1)), NULL) < 0
                     ? -ENOMEM
                     : 1;
    }
    return rc < 0 ? rc : 0;
}

// --- the plan ----------------------------------------------------------------------------------

static const char *why_anew(const struct expr *x, const char *kind)
{
    const struct expr *param;
    if (!strcmp(kind, "window") && !slide_moves(x->fn->id))
        return "this function reads all samples of its window each time";
    if (strcmp(kind, "timer") != 0)
        return NULL;
    if (x->kind == EXPR_CALL && expr_reads_window(x) &&
        range_operands(x, &param)->kind == EXPR_SUBQUERY)
        return "`@` nails its subquery, or a part of that, to one time";
    return "`@` nails it to one time";
}

struct describing {
    struct explanation *ret;
    struct arena *a;
    size_t bytes; // each node once
    bool failed;
};

static void count_line(void *ctx, const struct plan_line *l)
{
    (void)l;
    ++*(size_t *)ctx;
}

static void take_line(void *ctx, const struct plan_line *l)
{
    struct describing *d = ctx;
    bool again = false;
    for (size_t i = 0; i < d->ret->n; i++)
        again |= !strcmp(d->ret->line[i].text, l->text);
    if (!again)
        d->bytes += l->bytes;
    struct explain_line *to = &d->ret->line[d->ret->n++];
    struct expr_root x;
    struct parse_error why;
    const struct expr *param;
    *to = (struct explain_line){.depth = l->depth,
        .text = arena_strndup(d->a, l->text, strlen(l->text)),
        .kind = l->kind,
        .bytes = l->elements ? (double)l->bytes / (double)l->elements : 0,
        .parts = l->shared_by};
    if (!to->text || expr_parse(l->text, strlen(l->text), d->a, &x, &why) < 0) {
        d->failed = true;
        return;
    }
    to->anew = why_anew(x.root, l->kind);
    if (x.root->kind == EXPR_CALL && expr_reads_window(x.root))
        to->reach_ms = range_operands(x.root, &param)->range_ms;
    d->ret->moves &= !to->anew;
    expr_done(&x);
}

static int describe(
    struct plan *p, struct plan_expr *x, struct arena *a, struct explanation *ret)
{
    size_t n = 0;
    plan_describe(p, x, count_line, &n);
    ret->line = arena_alloc(a, (n + 1) * sizeof(*ret->line));
    ret->moves = true;
    struct describing d = {.ret = ret, .a = a};
    if (!ret->line)
        return -ENOMEM;
    plan_describe(p, x, take_line, &d);
    ret->bytes = (double)d.bytes;
    return d.failed ? -ENOMEM : 0;
}

static int try_out(
    const struct rule *r, int64_t sampling_ms, struct trial *t, struct explanation *ret)
{
    int64_t reach_ms = expr_reach_ms(r->expr.root), step_ms = sampling_ms;
    size_t n = (size_t)(reach_ms / step_ms) + 2;
    if (n > SAMPLES_MAX) {
        n = SAMPLES_MAX;
        step_ms = reach_ms / (SAMPLES_MAX - 2);
    }
    struct source src = memory_source_interface(t->m);
    struct plan *p = plan_new(&src, NULL);
    struct plan_expr *x = NULL;
    int rc = p ? plan_add(p, &r->expr, &x) : -ENOMEM;
    t->made = true;
    for (size_t i = 0; rc == 0 && i < t->n_selectors; i++)
        rc = make_samples(t, i, step_ms, T0, n);
    struct value v;
    struct err err;
    if (rc == 0)
        rc = plan_read(p, x, T0, &v, &err);
    if (rc == -EINVAL || rc == -E2BIG) { // what it says of made-up series does not count
        t->made = false;
        rc = 0;
    }
    if (rc == 0)
        rc = describe(p, x, t->a, ret);
    ret->selectors = t->n_selectors;
    // What is kept beside the nodes: who reads a series.
    double links = (double)(t->n_selectors * SERIES * LINK_BYTES);
    ret->bytes = t->made ? (ret->bytes + links) * 1000 / SERIES : -1;
    if (x)
        plan_remove(p, x);
    plan_free(p);
    return rc;
}

// --- the delay ---------------------------------------------------------------------------------

static void delays(const struct rule_group *g, const struct rule *r,
    const struct explain_options *o, struct explanation *ret)
{
    bool arrival = r->evaluate == EVALUATE_ARRIVAL;
    int64_t every = g->interval_ms ? g->interval_ms : o->interval_ms;
    ret->every_ms = every;
    ret->wait_ms = o->sampling_ms;
    ret->look_ms = arrival ? o->arrival_gap_ms : every;
    // On the grid `for` is over at the first tick at or after it.
    ret->hold_ms = arrival ? r->for_ms : (r->for_ms + every - 1) / every * every;
    ret->offset_ms = g->query_offset_ms;
    ret->late_ms = arrival ? 0 : o->grace_ms;
}

int rule_explain(const struct rule_group *g, const struct rule *r,
    const struct explain_options *o, struct arena *a, struct explanation *ret)
{
    *ret = (struct explanation){0};
    struct trial t = {.m = memory_source_new(), .a = a};
    if (!t.m)
        return -ENOMEM;
    look(&t, r->expr.root);
    int rc = try_out(r, o->sampling_ms, &t, ret);
    memory_source_free(t.m);
    delays(g, r, o, ret);
    return rc;
}
