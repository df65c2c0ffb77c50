// SPDX-License-Identifier: Apache-2.0
#include "rules/template.h"
#include "base/num.h"
#include "rules/template_node.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define RUN_ARENA_MAX (8u << 20)

bool tmpl_fail(struct tmpl_run *r, const char *fmt, ...)
{
    char msg[400];
    va_list args;
    if (r->rc)
        return false;
    r->rc = -EINVAL;
    va_start(args, fmt);
    vsnprintf(msg, sizeof(msg), fmt, args);
    va_end(args);
    err_set(&r->err, "%s", msg);
    return false;
}

bool tmpl_string(struct tmpl_run *r, const void *s, size_t len, struct tmpl_value *ret)
{
    const char *copy = arena_strndup(&r->arena, s, len);
    if (!copy) {
        r->rc = r->rc ? r->rc : -ENOMEM;
        return false;
    }
    *ret = (struct tmpl_value){.kind = TV_STRING, .s = copy, .len = len};
    return true;
}

bool tmpl_true(const struct tmpl_value *v)
{
    switch (v->kind) {
    case TV_NIL: return false;
    case TV_BOOL: return v->b;
    case TV_INT: return v->i != 0;
    case TV_FLOAT: return v->f != 0;
    case TV_STRING: return v->len > 0;
    case TV_LABELS: return v->labels && v->labels->n > 0;
    case TV_DATA:
    case TV_SAMPLE: return true;
    case TV_LIST:
    case TV_ARGS: return v->len > 0;
    }
    return false;
}

const char *tmpl_type(const struct tmpl_value *v)
{
    switch (v->kind) {
    case TV_NIL: return "nil";
    case TV_BOOL: return "bool";
    case TV_INT: return "int";
    case TV_FLOAT: return "float64";
    case TV_STRING: return "string";
    case TV_LABELS: return "map[string]string";
    case TV_DATA: return "struct";
    case TV_SAMPLE: return "sample";
    case TV_LIST: return "queryResult";
    case TV_ARGS: return "map[string]interface {}";
    }
    return "";
}

static void print_labels(const struct labels *s, struct buf *out)
{
    buf_adds(out, "map[");
    for (size_t i = 0; s && i < s->n; i++)
        buf_addf(out, "%s%s:%s", i ? " " : "", s->l[i].name, s->l[i].value);
    buf_addc(out, ']');
}

static void print_sample(const struct template_sample *s, struct buf *out)
{
    char text[NUM_TEXT_MAX];
    buf_addc(out, '{');
    print_labels(&s->labels, out);
    buf_addc(out, ' ');
    buf_add(out, text, num_short(s->value, text));
    buf_addc(out, '}');
}

void tmpl_print(const struct tmpl_run *r, const struct tmpl_value *v, struct buf *out)
{
    char text[NUM_TEXT_MAX];
    switch (v->kind) {
    case TV_NIL: buf_adds(out, "<nil>"); break;
    case TV_BOOL: buf_adds(out, v->b ? "true" : "false"); break;
    case TV_INT: buf_addf(out, "%lld", (long long)v->i); break;
    case TV_FLOAT: buf_add(out, text, num_short(v->f, text)); break;
    case TV_STRING: buf_add(out, v->s, v->len); break;
    case TV_LABELS: print_labels(v->labels, out); break;
    case TV_DATA:
        buf_addc(out, '{');
        print_labels(r->data->labels, out);
        buf_addc(out, ' ');
        print_labels(r->data->external_labels, out);
        buf_addf(out, " %s ", r->data->external_url ? r->data->external_url : "");
        buf_add(out, text, num_short(r->data->value, text));
        buf_addc(out, '}');
        break;
    case TV_SAMPLE: print_sample(v->samples, out); break;
    case TV_LIST: // Go prints addresses, which are of no use
        buf_addc(out, '[');
        for (size_t i = 0; i < v->len && !out->failed; i++) {
            buf_adds(out, i ? " " : "");
            print_sample(&v->samples[i], out);
        }
        buf_addc(out, ']');
        break;
    case TV_ARGS:
        buf_adds(out, "map[");
        for (size_t i = 0; i < v->len && !out->failed; i++) {
            buf_addf(out, "%sarg%zu:", i ? " " : "", i);
            tmpl_print(r, &v->args[i], out);
        }
        buf_addc(out, ']');
        break;
    }
}

static struct tmpl_value text_value(const char *s)
{
    return (struct tmpl_value){.kind = TV_STRING, .s = s ? s : "", .len = s ? strlen(s) : 0};
}

static bool arg_of(const struct tmpl_value *from, const char *name, struct tmpl_value *ret)
{
    for (size_t i = 0; i < from->len; i++) {
        char own[32];
        snprintf(own, sizeof(own), "arg%zu", i);
        if (!strcmp(own, name)) {
            *ret = from->args[i];
            return true;
        }
    }
    *ret = (struct tmpl_value){.kind = TV_NIL};
    return true;
}

bool tmpl_field(
    struct tmpl_run *r, const struct tmpl_value *from, const char *name, struct tmpl_value *ret)
{
    const struct template_data *d = r->data;
    if (from->kind == TV_LABELS) {
        *ret = text_value(from->labels ? labels_get(from->labels, name) : "");
        return true;
    }
    if (from->kind == TV_ARGS)
        return arg_of(from, name, ret);
    if (from->kind == TV_SAMPLE && !strcmp(name, "Labels"))
        *ret = (struct tmpl_value){.kind = TV_LABELS, .labels = &from->samples->labels};
    else if (from->kind == TV_SAMPLE && !strcmp(name, "Value"))
        *ret = (struct tmpl_value){.kind = TV_FLOAT, .f = from->samples->value};
    else if (from->kind == TV_DATA && !strcmp(name, "Labels"))
        *ret = (struct tmpl_value){.kind = TV_LABELS, .labels = d->labels};
    else if (from->kind == TV_DATA && !strcmp(name, "ExternalLabels"))
        *ret = (struct tmpl_value){.kind = TV_LABELS, .labels = d->external_labels};
    else if (from->kind == TV_DATA && !strcmp(name, "Value"))
        *ret = (struct tmpl_value){.kind = TV_FLOAT, .f = d->value};
    else if (from->kind == TV_DATA && !strcmp(name, "ExternalURL"))
        *ret = text_value(d->external_url);
    else
        return tmpl_fail(r, "no field %s in a value of type %s", name, tmpl_type(from));
    return true;
}

static bool eval_pipe(struct tmpl_run *r, const struct tmpl_pipe *p, struct tmpl_value *ret);

static bool eval_operand(
    struct tmpl_run *r, const struct tmpl_operand *o, struct tmpl_value *ret)
{
    if (o->doom)
        return tmpl_fail(r, "%s", o->doom);
    switch (o->kind) {
    case TO_VALUE: *ret = o->value; break;
    case TO_DOT: *ret = r->dot; break;
    case TO_FIELD:
    case TO_ROOT: *ret = r->root; break;
    case TO_VAR: *ret = r->vars[o->slot]; break;
    case TO_LABELS:
        *ret = (struct tmpl_value){.kind = TV_LABELS, .labels = r->data->labels};
        break;
    case TO_VALUE_VAR: *ret = (struct tmpl_value){.kind = TV_FLOAT, .f = r->data->value}; break;
    case TO_URL: *ret = text_value(r->data->external_url); break;
    case TO_EXTERNAL_LABELS:
        *ret = (struct tmpl_value){.kind = TV_LABELS, .labels = r->data->external_labels};
        break;
    case TO_PIPE:
        if (!eval_pipe(r, o->pipe, ret))
            return false;
        break;
    }
    struct tmpl_value from = *ret;
    if (o->field && !tmpl_field(r, &from, o->field, ret))
        return false;
    from = *ret;
    return !o->second || tmpl_field(r, &from, o->second, ret);
}

// and, or: the first argument that decides, the rest is not even looked at.
static bool eval_lazy(struct tmpl_run *r, const struct tmpl_command *c,
    const struct tmpl_value *piped, struct tmpl_value *ret)
{
    bool stop_at = c->fn->name[0] == 'o';
    for (const struct tmpl_operand *o = c->operands; o; o = o->next) {
        if (!eval_operand(r, o, ret))
            return false;
        if (tmpl_true(ret) == stop_at)
            return true;
    }
    if (piped)
        *ret = *piped;
    return true;
}

static bool eval_command(struct tmpl_run *r, const struct tmpl_command *c,
    const struct tmpl_value *piped, struct tmpl_value *ret)
{
    struct tmpl_value args[TMPL_ARGS_MAX + 1];
    size_t n = 0;

    if (c->doom)
        return tmpl_fail(r, "%s", c->doom);
    if (!c->fn)
        return eval_operand(r, c->operands, ret);
    if (c->fn->lazy)
        return eval_lazy(r, c, piped, ret);
    for (const struct tmpl_operand *o = c->operands; o; o = o->next)
        if (!eval_operand(r, o, &args[n++]))
            return false;
    if (piped)
        args[n++] = *piped;
    return c->fn->call(r, args, n, ret);
}

static bool eval_pipe(struct tmpl_run *r, const struct tmpl_pipe *p, struct tmpl_value *ret)
{
    struct tmpl_value value = {0}, next = {0};
    const struct tmpl_value *piped = NULL;
    for (const struct tmpl_command *c = p->commands; c; c = c->next) {
        if (!eval_command(r, c, piped, &next))
            return false;
        value = next;
        piped = &value;
    }
    *ret = value;
    return true;
}

// --- nodes -----------------------------------------------------------------------------------
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
            *key = text_value(of->labels->l[i].name);
        *ret = text_value(of->labels->l[i].value);
        return true;
    }
    if (of->kind == TV_LABELS || of->kind == TV_NIL || i >= of->len)
        return false;
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
        over->kind != TV_NIL)
        return tmpl_fail(r, "range cannot go over a value of type %s", tmpl_type(over));
    struct tmpl_value *wanted = n->pipe->n_slots == 2 ? &key : NULL;
    if (!nth(r, over, 0, wanted, &v))
        return !r->rc && run_list(r, n->otherwise, out);
    for (size_t i = 0; ok && r->flow != TMPL_BREAK && nth(r, over, i, wanted, &v); i++) {
        if (++r->steps > TMPL_STEPS_MAX)
            return tmpl_fail(r, "more than %d steps", TMPL_STEPS_MAX);
        r->flow = TMPL_ON;
        keep(r, n->pipe, wanted, &v);
        r->dot = v;
        ok = run_list(r, n->then, out);
    }
    r->flow = TMPL_ON;
    r->dot = dot;
    return ok && !r->rc;
}

static bool run_call(struct tmpl_run *r, const struct tmpl_node *n, struct buf *out)
{
    struct tmpl_value dot = {0};
    const struct tmpl_define *d = r->t->defines;
    if (n->pipe && !eval_pipe(r, n->pipe, &dot))
        return false;
    while (d && strcmp(d->name, n->text))
        d = d->next;
    if (!d)
        return tmpl_fail(r, "template \"%.60s\" is not defined", n->text);
    if (r->depth == TEMPLATE_NEST_MAX)
        return tmpl_fail(r, "templates call each other too deeply");
    struct tmpl_value outer_dot = r->dot, outer_root = r->root, *outer_vars = r->vars;
    r->vars = arena_alloc(&r->arena, (r->t->n_vars + 1) * sizeof(*r->vars));
    if (!r->vars) {
        r->rc = -ENOMEM;
        return false;
    }
    r->depth++;
    r->dot = r->root = dot;
    bool ok = run_list(r, d->nodes, out);
    r->depth--;
    r->dot = outer_dot;
    r->root = outer_root;
    r->vars = outer_vars;
    return ok;
}

static bool run_piped(struct tmpl_run *r, const struct tmpl_node *n, struct buf *out)
{
    struct tmpl_value v = {0}, dot = r->dot;
    if (!eval_pipe(r, n->pipe, &v))
        return false;
    if (n->kind == TN_RANGE)
        return run_range(r, n, &v, out);
    keep(r, n->pipe, NULL, &v);
    if (n->kind == TN_PRINT) {
        if (!n->pipe->n_slots && v.kind == TV_NIL)
            buf_adds(out, "<no value>");
        else if (!n->pipe->n_slots)
            tmpl_print(r, &v, out);
        return true;
    }
    bool yes = tmpl_true(&v);
    if (n->kind == TN_WITH && yes)
        r->dot = v;
    bool ok = run_list(r, yes ? n->then : n->otherwise, out);
    r->dot = dot;
    return ok;
}

static bool run_list(struct tmpl_run *r, const struct tmpl_node *n, struct buf *out)
{
    bool ok = true;
    for (; n && ok && r->flow == TMPL_ON; n = n->next) {
        if (++r->steps > TMPL_STEPS_MAX)
            return tmpl_fail(r, "more than %d steps", TMPL_STEPS_MAX);
        switch (n->kind) {
        case TN_TEXT: buf_add(out, n->text, n->len); break;
        case TN_PRINT:
        case TN_IF:
        case TN_WITH:
        case TN_RANGE: ok = run_piped(r, n, out); break;
        case TN_CALL: ok = run_call(r, n, out); break;
        case TN_BREAK: r->flow = TMPL_BREAK; break;
        case TN_CONTINUE: r->flow = TMPL_CONTINUE; break;
        }
    }
    return ok;
}

int template_expand(const struct template *t, const struct template_data *d, struct buf *out)
{
    struct tmpl_run r = {
        .t = t, .data = d, .dot = {.kind = TV_DATA}, .root = {.kind = TV_DATA}};
    struct tmpl_value vars[TMPL_VARS_MAX] = {{0}};
    size_t before = out->len;

    r.vars = vars;
    arena_init(&r.arena, RUN_ARENA_MAX);
    run_list(&r, t->nodes, out);
    // Its own ceiling and no shortage: the alert goes out, with this as its text.
    if (r.rc == -ENOMEM && r.arena.used > RUN_ARENA_MAX / 2) {
        r.rc = -EINVAL;
        err_set(&r.err, "it needs more than %u MiB", RUN_ARENA_MAX >> 20);
    }
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
