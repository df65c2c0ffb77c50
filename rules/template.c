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
    case TV_DATA: return true;
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
    }
}

static struct tmpl_value text_value(const char *s)
{
    return (struct tmpl_value){.kind = TV_STRING, .s = s ? s : "", .len = s ? strlen(s) : 0};
}

// .name of the data, or of whatever stands for dot.
static bool field_of(
    struct tmpl_run *r, const struct tmpl_value *from, const char *name, struct tmpl_value *ret)
{
    const struct template_data *d = r->data;
    if (from->kind == TV_LABELS) {
        *ret = text_value(from->labels ? labels_get(from->labels, name) : "");
        return true;
    }
    if (from->kind == TV_DATA && !strcmp(name, "Labels"))
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
    case TO_ROOT: *ret = (struct tmpl_value){.kind = TV_DATA}; break;
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
    if (o->field && !field_of(r, &from, o->field, ret))
        return false;
    from = *ret;
    return !o->second || field_of(r, &from, o->second, ret);
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

static bool run_list(struct tmpl_run *r, const struct tmpl_node *n, struct buf *out)
{
    struct tmpl_value v = {0};
    for (; n; n = n->next) {
        if (n->kind == TN_TEXT) {
            buf_add(out, n->text, n->len);
            continue;
        }
        if (!eval_pipe(r, n->pipe, &v))
            return false;
        if (n->kind == TN_PRINT) {
            tmpl_print(r, &v, out);
            continue;
        }
        bool yes = tmpl_true(&v);
        struct tmpl_value dot = r->dot;
        if (n->kind == TN_WITH && yes)
            r->dot = v;
        bool ok = run_list(r, yes ? n->then : n->otherwise, out);
        r->dot = dot;
        if (!ok)
            return false;
    }
    return true;
}

int template_expand(const struct template *t, const struct template_data *d, struct buf *out)
{
    struct tmpl_run r = {.data = d, .dot = {.kind = TV_DATA}};
    size_t before = out->len;

    arena_init(&r.arena, RUN_ARENA_MAX);
    run_list(&r, t->nodes, out);
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
