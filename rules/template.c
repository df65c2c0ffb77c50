// SPDX-License-Identifier: Apache-2.0
#include "rules/template.h"
#include "base/num.h"
#include "rules/template_node.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

bool tmpl_fail_sure(struct tmpl_run *r, const char *fmt, ...)
{
    char msg[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(msg, sizeof(msg), fmt, args);
    va_end(args);
    r->sure |= !r->rc;
    return tmpl_fail(r, "%s", msg);
}

bool tmpl_fail_large(struct tmpl_run *r, const char *fmt, ...)
{
    char msg[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(msg, sizeof(msg), fmt, args);
    va_end(args);
    r->large |= !r->rc;
    return tmpl_fail(r, "%s", msg);
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
    case TV_ARGS:
    case TV_ALERTS:
    case TV_ITEMS:
    case TV_DICT: return v->len > 0;
    case TV_DURATION: return v->i != 0;
    case TV_MESSAGE:
    case TV_ALERT:
    case TV_PAIR:
    case TV_TIME: return true;
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
    case TV_ARGS:
    case TV_DICT: return "map[string]interface {}";
    case TV_MESSAGE: return "template.Data";
    case TV_ALERTS: return "template.Alerts";
    case TV_ALERT: return "template.Alert";
    case TV_PAIR: return "template.Pair";
    case TV_ITEMS: return v->s;
    case TV_TIME: return "time.Time";
    case TV_DURATION: return "time.Duration";
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
    case TV_MESSAGE:
    case TV_ALERTS:
    case TV_ALERT:
    case TV_PAIR:
    case TV_ITEMS:
    case TV_DICT:
    case TV_TIME:
    case TV_DURATION: tmpl_message_print(r, v, out); break;
    }
}

struct tmpl_value tmpl_text(const char *s)
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

bool tmpl_field(struct tmpl_run *r, const struct tmpl_value *from, const char *name,
    const struct tmpl_value *args, size_t n, struct tmpl_value *ret)
{
    const struct template_data *d = r->data;
    if (r->t->dialect == TMPL_MESSAGES)
        return tmpl_message_field(r, from, name, args, n, ret);
    if (from->kind == TV_LABELS) {
        *ret = tmpl_text(from->labels ? labels_get(from->labels, name) : "");
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
        *ret = tmpl_text(d->external_url);
    else
        return tmpl_fail(r, "no field %s in a value of type %s", name, tmpl_type(from));
    return true;
}

// The last of the fields is a method if there are arguments for it.
static bool eval_method(struct tmpl_run *r, const struct tmpl_operand *o,
    const struct tmpl_value *args, size_t n, struct tmpl_value *ret)
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
    case TO_URL: *ret = tmpl_text(r->data->external_url); break;
    case TO_EXTERNAL_LABELS:
        *ret = (struct tmpl_value){.kind = TV_LABELS, .labels = r->data->external_labels};
        break;
    case TO_PIPE:
        if (!tmpl_eval(r, o->pipe, ret))
            return false;
        break;
    }
    for (const struct tmpl_name *f = o->fields; f; f = f->next) {
        struct tmpl_value from = *ret;
        r->at = f->at;
        if (!tmpl_field(r, &from, f->name, args, f->next ? 0 : n, ret))
            return false;
    }
    return true;
}

static bool eval_operand(
    struct tmpl_run *r, const struct tmpl_operand *o, struct tmpl_value *ret)
{
    return eval_method(r, o, NULL, 0, ret);
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
    if (c->fn && c->fn->lazy)
        return eval_lazy(r, c, piped, ret);
    for (const struct tmpl_operand *o = c->fn ? c->operands : c->operands->next; o; o = o->next)
        if (!eval_operand(r, o, &args[n++]))
            return false;
    if (piped)
        args[n++] = *piped;
    r->at = c->at;
    return c->fn ? c->fn->call(r, args, n, ret) : eval_method(r, c->operands, args, n, ret);
}

bool tmpl_eval(struct tmpl_run *r, const struct tmpl_pipe *p, struct tmpl_value *ret)
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
