// SPDX-License-Identifier: Apache-2.0
// The inside of an action: declarations, functions and pipes.
#include "rules/template_parser.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void tparse_fail(struct tmpl_parser *p, size_t at, const char *fmt, ...)
{
    char msg[256];
    va_list args;
    if (p->failed)
        return;
    p->failed = true;
    va_start(args, fmt);
    vsnprintf(msg, sizeof(msg), fmt, args);
    va_end(args);
    err_at(p->err, 0, (int)at + 1, "%s", msg);
}

const char *tparse_doubt(struct tmpl_parser *p, size_t at, const char *fmt, ...)
{
    char msg[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(msg, sizeof(msg), fmt, args);
    va_end(args);
    struct template_doubt *d = tparse_alloc(p, sizeof(*d));
    char *copy = d ? tparse_alloc(p, strlen(msg) + 1) : NULL;
    if (!copy)
        return NULL;
    memcpy(copy, msg, strlen(msg));
    *d = (struct template_doubt){.msg = copy, .at = at, .next = p->t->doubts};
    p->t->doubts = d;
    return copy;
}

void *tparse_alloc(struct tmpl_parser *p, size_t size)
{
    void *m = arena_alloc(p->arena, size);
    if (!m && !p->failed) {
        p->failed = true;
        err_set(p->err, "out of memory for a template");
    }
    return m;
}

bool tparse_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool tparse_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (c >= '0' && c <= '9') || (signed char)c < 0;
}

void tparse_skip(struct tmpl_parser *p)
{
    while (p->at < p->end && tparse_space(p->s[p->at]))
        p->at++;
}

char tparse_here(const struct tmpl_parser *p)
{
    return p->at < p->end ? p->s[p->at] : '\0';
}

// What may stand right behind a name, as Go has it; the rest of them is judged later.
static bool ends_name(char c)
{
    return !c || tparse_space(c) || strchr(".,|:=()", c);
}

const char *tparse_name(struct tmpl_parser *p)
{
    size_t start = p->at;
    while (p->at < p->end && tparse_letter(p->s[p->at]))
        p->at++;
    if (!ends_name(tparse_here(p))) {
        tparse_fail(p, p->at, "unexpected `%c` behind a name", tparse_here(p));
        return NULL;
    }
    char *name = tparse_alloc(p, p->at - start + 1);
    if (name)
        memcpy(name, p->s + start, p->at - start);
    return name;
}

static bool constant_word(struct tmpl_parser *p, const char *name, struct tmpl_operand *o)
{
    if (!strcmp(name, "true") || !strcmp(name, "false"))
        o->value = (struct tmpl_value){.kind = TV_BOOL, .b = name[0] == 't'};
    else if (!strcmp(name, "nil"))
        o->value = (struct tmpl_value){.kind = TV_NIL};
    else
        return false;
    if (tparse_here(p) == '.')
        tparse_fail(p, p->at, "this value has no fields");
    return true;
}

static const struct tmpl_function *function(
    struct tmpl_parser *p, const char *name, size_t start)
{
    static const char *const keywords[] = {"if", "else", "end", "with", "range", "define",
        "template", "block", "break", "continue"};
    size_t len = strlen(name);
    enum tmpl_dialect dialect = p->messages ? TMPL_MESSAGES : TMPL_RULES;
    const struct tmpl_function *fn = tmpl_function_find(dialect, name, len);
    p->t->uses_query |= fn && !strcmp(name, "query");
    if (fn)
        return fn;
    for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
        if (!strcmp(keywords[i], name)) {
            tparse_fail(
                p, start, i < 4 ? "unexpected `%s`" : "`%s` is not supported yet", name);
            return NULL;
        }
    }
    const char *near = tmpl_function_near(dialect, name, len);
    if (tmpl_function_missing(name, len))
        tparse_fail(p, start, "function `%s` is not supported yet", name);
    else if (near)
        tparse_fail(p, start, "unknown function `%.60s`, did you mean %s?", name, near);
    else
        tparse_fail(p, start, "unknown function `%.60s`", name);
    return NULL;
}

static bool append(struct tmpl_command *c, struct tmpl_operand ***tail, struct tmpl_operand *o)
{
    if (!o)
        return false;
    **tail = o;
    *tail = &o->next;
    c->n++;
    return true;
}

// An operand that may be a word: true, false, nil, or a function without arguments.
static struct tmpl_operand *argument(struct tmpl_parser *p)
{
    char c = tparse_here(p);
    if (!((c | 32) >= 'a' && (c | 32) <= 'z') && c != '_')
        return tparse_operand(p);
    size_t start = p->at;
    const char *name = tparse_name(p);
    struct tmpl_operand *o = tparse_alloc(p, sizeof(*o));
    if (!name || !o || constant_word(p, name, o))
        return name ? o : NULL;
    const struct tmpl_function *fn = function(p, name, start);
    struct tmpl_pipe *pipe = fn ? tparse_alloc(p, sizeof(*pipe)) : NULL;
    struct tmpl_command *cmd = pipe ? tparse_alloc(p, sizeof(*cmd)) : NULL;
    if (!cmd)
        return NULL;
    if (fn->least > 0)
        cmd->doom = tparse_doubt(p, start,
            "`%s` needs an argument: put it and its arguments into parentheses", name);
    cmd->fn = fn;
    pipe->commands = cmd;
    o->kind = TO_PIPE;
    o->pipe = pipe;
    return o;
}

// name.field: Go takes it for a field of the function itself, and finds out when it runs.
static bool result_fields(struct tmpl_parser *p, struct tmpl_command *c)
{
    struct tmpl_operand ignored = {.kind = TO_PIPE};
    if (tparse_here(p) != '.')
        return true;
    c->doom = "a function has no fields: put the call into parentheses";
    return tparse_fields(p, &ignored);
}

static struct tmpl_command *command(struct tmpl_parser *p, bool first)
{
    struct tmpl_command *c = tparse_alloc(p, sizeof(*c));
    struct tmpl_operand **tail = c ? &c->operands : NULL;
    size_t start = p->at;
    char ch = tparse_here(p);
    bool word = ((ch | 32) >= 'a' && (ch | 32) <= 'z') || ch == '_';

    if (!c)
        return NULL;
    c->at = start;
    if (word) {
        const char *name = tparse_name(p);
        struct tmpl_operand *o = tparse_alloc(p, sizeof(*o));
        if (!name || !o)
            return NULL;
        if (constant_word(p, name, o)) {
            if (o->value.kind == TV_NIL)
                c->doom = tparse_doubt(p, start, "nil is not a command");
            append(c, &tail, o);
        } else if (!(c->fn = function(p, name, start)) || !result_fields(p, c)) {
            return NULL;
        }
    } else if (!append(c, &tail, tparse_operand(p))) {
        return NULL;
    }
    for (tparse_skip(p); tparse_here(p) && tparse_here(p) != '|' && tparse_here(p) != ')';
         tparse_skip(p)) {
        bool method = p->messages && !c->fn && c->operands && c->operands->fields;
        if (!c->fn && !c->doom && !method)
            c->doom = tparse_doubt(
                p, p->at, "a value takes no arguments; a function must stand first");
        if (c->n == TMPL_ARGS_MAX) {
            tparse_fail(p, p->at, "more than %d arguments", TMPL_ARGS_MAX);
            return NULL;
        }
        if (!append(c, &tail, argument(p)))
            return NULL;
    }
    if (!first && !c->fn) {
        enum tmpl_operand_kind kind = c->operands->kind;
        if (kind == TO_VALUE || (kind == TO_DOT && !c->operands->fields)) {
            tparse_fail(p, start, "behind | stands a function");
            return NULL;
        }
        if (!p->messages || !c->operands->fields)
            c->doom = tparse_doubt(p, start, "behind | stands a function");
    }
    int n = (int)c->n + !first;
    if (c->fn && (n < c->fn->least || (c->fn->most >= 0 && n > c->fn->most)))
        c->doom = tparse_doubt(p, start, "`%s` takes %s%d argument%s, not %d", c->fn->name,
            c->fn->most == c->fn->least ? ""
            : n < c->fn->least          ? "at least "
                                        : "at most ",
            n < c->fn->least ? c->fn->least : c->fn->most,
            (n < c->fn->least ? c->fn->least : c->fn->most) == 1 ? "" : "s", n);
    return p->failed ? NULL : c;
}

// --- pipes -----------------------------------------------------------------------------------
int tparse_variable(const struct tmpl_parser *p, const char *name)
{
    for (size_t i = p->n_vars; i > 0; i--)
        if (!strcmp(p->vars[i - 1], name))
            return (int)i - 1;
    return -1;
}

static bool declare(struct tmpl_parser *p, struct tmpl_pipe *pipe, const char *name, size_t at)
{
    if (p->n_vars == TMPL_VARS_MAX) {
        tparse_fail(p, at, "more than %d variables", TMPL_VARS_MAX);
        return false;
    }
    pipe->slot[pipe->n_slots++] = (int)p->n_vars;
    p->vars[p->n_vars++] = name;
    if (p->n_vars > p->t->n_vars)
        p->t->n_vars = p->n_vars;
    return true;
}

static bool assign(struct tmpl_parser *p, struct tmpl_pipe *pipe, const char *name, size_t at)
{
    int slot = tparse_variable(p, name);
    if (slot < 0) {
        tparse_fail(
            p, at, "to set `$%.60s`, which is not declared here, is not supported yet", name);
        return false;
    }
    pipe->assign = true;
    pipe->slot[pipe->n_slots++] = slot;
    return true;
}

// $x := or $x = or, for range, $i, $e := in front of a pipe; nothing when none stands there.
static bool declarations(struct tmpl_parser *p, struct tmpl_pipe *pipe, bool range)
{
    const char *names[2];
    size_t at[2], n = 0, start = p->at;
    for (;;) {
        if (tparse_here(p) != '$')
            break;
        at[n] = p->at++;
        size_t end = p->at;
        while (end < p->end && tparse_letter(p->s[end]))
            end++;
        names[n] = arena_strndup(p->arena, p->s + p->at, end - p->at);
        if (!names[n++]) {
            tparse_alloc(p, SIZE_MAX);
            return false;
        }
        p->at = end;
        tparse_skip(p);
        bool declares = tparse_here(p) == ':' && p->at + 1 < p->end && p->s[p->at + 1] == '=';
        if (declares || tparse_here(p) == '=') {
            p->at += declares ? 2 : 1;
            bool ok = true;
            for (size_t i = 0; ok && i < n; i++)
                ok = declares ? declare(p, pipe, names[i], at[i])
                              : assign(p, pipe, names[i], at[i]);
            return ok;
        }
        if (tparse_here(p) != ',')
            break;
        if (!range || n == 2) {
            tparse_fail(p, p->at, "too many variables: range takes two, others one");
            return false;
        }
        p->at++;
        tparse_skip(p);
    }
    if (n > 1) {
        tparse_fail(p, p->at, "behind the variables stands :=");
        return false;
    }
    p->at = start;
    return true;
}

struct tmpl_pipe *tparse_pipeline(struct tmpl_parser *p, enum tmpl_place place)
{
    struct tmpl_pipe *pipe = tparse_alloc(p, sizeof(*pipe));
    struct tmpl_command **tail = pipe ? &pipe->commands : NULL;
    bool paren = place == TMPL_IN_PAREN;

    if (!pipe)
        return NULL;
    tparse_skip(p);
    if (!paren && !declarations(p, pipe, place == TMPL_IN_RANGE))
        return NULL;
    size_t start = p->at;
    for (bool first = true;; first = false) {
        tparse_skip(p);
        if (!tparse_here(p) || tparse_here(p) == ')') {
            // Go lets a last | pass.
            if (first)
                tparse_fail(p, start, "a value is missing");
            break;
        }
        *tail = command(p, first);
        if (!*tail)
            return NULL;
        tail = &(*tail)->next;
        if (tparse_here(p) != '|')
            break;
        p->at++;
    }
    if (!paren && tparse_here(p) == ')')
        tparse_fail(p, p->at, "unexpected `)`");
    return p->failed ? NULL : pipe;
}
