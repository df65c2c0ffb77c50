// SPDX-License-Identifier: Apache-2.0
// Runs the nodes of a template: the values in them are of rules/template.c.
#include "rules/template_node.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RUN_ARENA_MAX (8u << 20)
#define EXPLORE_STEPS 100000

// One more node or turn. An exploration that takes too long has seen enough.
static bool step(struct tmpl_run *r)
{
    if (r->explore)
        return ++r->steps <= EXPLORE_STEPS;
    return ++r->steps <= TMPL_STEPS_MAX
               ? true
               : tmpl_fail_large(r, "more than %d steps", TMPL_STEPS_MAX);
}

static bool run_list(struct tmpl_run *r, const struct tmpl_node *n, struct buf *out);

// Gives the result to the variables of the pipe: of two the first is the key.
static void keep(struct tmpl_run *r, const struct tmpl_pipe *p, const struct tmpl_value *key,
    const struct tmpl_value *v)
{
    for (int i = 0; i < p->n_slots; i++)
        r->vars[p->slot[i]] = key && i == 0 && p->n_slots == 2 ? *key : *v;
}

// The i-th of what range goes over, and its key unless that is NULL; false: there are no more.
static bool nth(struct tmpl_run *r, const struct tmpl_value *of, size_t i,
    struct tmpl_value *key, struct tmpl_value *ret)
{
    if (key)
        *key = (struct tmpl_value){.kind = TV_INT, .i = (int64_t)i};
    if (of->kind == TV_LABELS && of->labels && i < of->labels->n) {
        if (key)
            *key = tmpl_text(of->labels->l[i].name);
        *ret = tmpl_text(of->labels->l[i].value);
        return true;
    }
    if (of->kind == TV_LABELS || of->kind == TV_NIL || i >= of->len)
        return false;
    if (of->kind == TV_DICT && key)
        *key = of->args[2 * i];
    if (of->kind == TV_DICT || of->kind == TV_ITEMS || of->kind == TV_ALERTS) {
        *ret = of->kind == TV_DICT ? of->args[2 * i + 1]
               : of->kind == TV_ITEMS
                   ? of->args[i]
                   : (struct tmpl_value){.kind = TV_ALERT, .alert = of->alerts[i]};
        return true;
    }
    if (of->kind == TV_ARGS && key) {
        char name[32];
        int len = snprintf(name, sizeof(name), "arg%zu", i);
        if (!tmpl_string(r, name, (size_t)len, key))
            return false;
    }
    *ret = of->kind == TV_ARGS
               ? of->args[i]
               : (struct tmpl_value){.kind = TV_SAMPLE, .samples = &of->samples[i]};
    return true;
}

static bool run_range(struct tmpl_run *r, const struct tmpl_node *n,
    const struct tmpl_value *over, struct buf *out)
{
    struct tmpl_value dot = r->dot, key = {0}, v = {0};
    bool ok = true;
    if (over->kind != TV_LIST && over->kind != TV_LABELS && over->kind != TV_ARGS &&
        over->kind != TV_NIL && over->kind != TV_ALERTS && over->kind != TV_ITEMS &&
        over->kind != TV_DICT)
        return tmpl_fail(r, "range cannot go over a value of type %s", tmpl_type(over));
    struct tmpl_value *wanted = n->pipe->n_slots == 2 ? &key : NULL;
    bool none = !nth(r, over, 0, wanted, &v);
    if (r->explore && !none) {
        struct tmpl_escape before = r->escape;
        ok = run_list(r, n->otherwise, out);
        r->escape = before;
    }
    if (none)
        return !r->rc && run_list(r, n->otherwise, out);
    for (size_t i = 0; ok && r->flow != TMPL_BREAK && nth(r, over, i, wanted, &v); i++) {
        if (!step(r))
            return r->explore;
        r->flow = TMPL_ON;
        keep(r, n->pipe, wanted, &v);
        r->dot = v;
        ok = run_list(r, n->then, out);
    }
    r->flow = TMPL_ON;
    r->dot = dot;
    return ok && !r->rc;
}

// The nearest definition: the text's own, then those of the files.
static const struct tmpl_define *find(const struct template *t, const char *name)
{
    const struct tmpl_define *d = t->defines;
    while (d && strcmp(d->name, name))
        d = d->next;
    return d || !t->set ? d : tmpl_set_find(t->set, name);
}

static bool run_call(struct tmpl_run *r, const struct tmpl_node *n, struct buf *out)
{
    struct tmpl_value dot = {0};
    const struct tmpl_define *d = find(r->t, n->text);
    if (n->pipe && !tmpl_eval(r, n->pipe, &dot))
        return false;
    if (!d)
        return tmpl_fail(r, "template \"%.60s\" is not defined", n->text);
    if (r->depth == TEMPLATE_NEST_MAX)
        return r->explore || tmpl_fail(r, "templates call each other too deeply");
    struct tmpl_value outer_dot = r->dot, outer_root = r->root, *outer_vars = r->vars;
    const struct tmpl_source *outer_source = r->source;
    r->vars = arena_alloc(&r->arena, (d->n_vars + 1) * sizeof(*r->vars));
    if (!r->vars) {
        r->rc = -ENOMEM;
        return false;
    }
    r->depth++;
    r->dot = r->root = dot;
    r->source = d->source;
    if (!run_list(r, d->nodes, out))
        return false; // where it stopped is of interest
    r->depth--;
    r->dot = outer_dot;
    r->root = outer_root;
    r->vars = outer_vars;
    r->source = outer_source;
    return true;
}

static bool run_print(
    struct tmpl_run *r, const struct tmpl_node *n, const struct tmpl_value *v, struct buf *out)
{
    if (n->pipe->n_slots)
        return true;
    if (r->escape.mode != TEMPLATE_PLAIN)
        return tmpl_escape_value(r, v, out);
    if (v->kind == TV_NIL)
        buf_adds(out, "<no value>");
    else
        tmpl_print(r, v, out);
    return true;
}

static bool run_piped(struct tmpl_run *r, const struct tmpl_node *n, struct buf *out)
{
    struct tmpl_value v = {0}, dot = r->dot;
    if (!tmpl_eval(r, n->pipe, &v))
        return false;
    if (n->kind == TN_RANGE)
        return run_range(r, n, &v, out);
    keep(r, n->pipe, NULL, &v);
    if (n->kind == TN_PRINT)
        return run_print(r, n, &v, out);
    bool yes = tmpl_true(&v), ok = true;
    if (r->explore) {
        struct tmpl_escape before = r->escape;
        ok = run_list(r, n->otherwise, out);
        r->escape = before;
        yes = true;
    }
    if (n->kind == TN_WITH && yes)
        r->dot = v;
    ok = ok && run_list(r, yes ? n->then : n->otherwise, out);
    r->dot = dot;
    return ok;
}

static bool run_node(struct tmpl_run *r, const struct tmpl_node *n, struct buf *out)
{
    r->at = n->at;
    switch (n->kind) {
    case TN_TEXT: tmpl_escape_text(&r->escape, r->depth, n->text, n->len, out); break;
    case TN_PRINT:
    case TN_IF:
    case TN_WITH:
    case TN_RANGE: return run_piped(r, n, out);
    case TN_CALL: return run_call(r, n, out);
    case TN_BREAK: r->flow = r->explore ? TMPL_ON : TMPL_BREAK; break;
    case TN_CONTINUE: r->flow = r->explore ? TMPL_ON : TMPL_CONTINUE; break;
    }
    return true;
}

static bool run_list(struct tmpl_run *r, const struct tmpl_node *n, struct buf *out)
{
    struct tmpl_value dot = r->dot, root = r->root, *vars = r->vars;
    const struct tmpl_source *source = r->source;
    int depth = r->depth;
    for (; n && r->flow == TMPL_ON; n = n->next) {
        if (!step(r))
            return r->explore;
        if (r->explore)
            buf_reset(out);
        if (out->failed && r->t->dialect == TMPL_MESSAGES)
            return tmpl_fail_large(r, "the text is longer than %zu bytes", out->max);
        if (run_node(r, n, out))
            continue;
        if (!r->explore || r->rc != -EINVAL || r->sure)
            return false;
        // These alerts do not get through here, others may.
        r->rc = 0;
        r->dot = dot;
        r->root = root;
        r->vars = vars;
        r->source = source;
        r->depth = depth;
    }
    return true;
}

void tmpl_run_init(struct tmpl_run *r, const struct template *t, const struct template_data *d)
{
    enum tmpl_kind kind = t->dialect == TMPL_MESSAGES ? TV_MESSAGE : TV_DATA;
    *r = (struct tmpl_run){
        .t = t, .data = d, .dot = {.kind = kind}, .root = {.kind = kind}, .source = &t->source};
    arena_init(&r->arena, RUN_ARENA_MAX);
}

bool tmpl_run_template(struct tmpl_run *r, struct buf *out)
{
    struct tmpl_value vars[TMPL_VARS_MAX] = {{0}};
    r->vars = vars;
    bool ok = run_list(r, r->t->nodes, out);
    // Its own ceiling and no shortage: the alert goes out, with this as its text.
    if (r->rc == -ENOMEM && r->arena.used > RUN_ARENA_MAX / 2) {
        r->rc = 0;
        tmpl_fail_large(r, "it needs more than %u MiB", RUN_ARENA_MAX >> 20);
    }
    r->vars = NULL;
    return ok && !r->rc;
}

int template_expand(const struct template *t, const struct template_data *d, struct buf *out)
{
    struct tmpl_run r;
    size_t before = out->len;

    tmpl_run_init(&r, t, d);
    tmpl_run_template(&r, out);
    if (r.rc == -EINVAL) {
        // What was printed so far is dropped, as in Prometheus.
        out->len = before;
        buf_addf(out, "<error expanding template: %s>", r.err.msg);
    }
    arena_done(&r.arena);
    if (r.rc == -ENOMEM)
        out->len = before;
    return r.rc ? r.rc : out->failed ? -EMSGSIZE : 0;
}
