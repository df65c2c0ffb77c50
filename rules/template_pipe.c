// SPDX-License-Identifier: Apache-2.0
// The inside of an action: operands, functions and pipes.
#include "base/num.h"
#include "rules/lex.h"
#include "rules/rune.h"
#include "rules/template_parser.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
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

static const char *take_name(struct tmpl_parser *p)
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

// --- operands --------------------------------------------------------------------------------
static bool quoted(struct tmpl_parser *p, struct tmpl_operand *o)
{
    // The strings of templates are Go's, and so are those of PromQL.
    struct parse_error e = {0};
    struct lexer lex = {.text = p->s, .len = p->end, .at = p->at, .arena = p->arena, .err = &e};
    struct token tok;
    int rc = lex_next(&lex, &tok);
    if (rc == 0) {
        p->at = lex.at;
        o->value =
            (struct tmpl_value){.kind = TV_STRING, .s = tok.string, .len = tok.string_len};
        return true;
    }
    if (e.code[0])
        tparse_fail(p, (size_t)e.start, "%s", e.msg);
    else
        tparse_alloc(p, SIZE_MAX);
    return false;
}

// 'a' is the number of the character.
static bool character(struct tmpl_parser *p, struct tmpl_operand *o)
{
    size_t start = p->at, at;
    if (!quoted(p, o))
        return false;
    at = 0;
    uint32_t rune = o->value.len ? rune_decode(o->value.s, o->value.len, &at) : 0;
    if (!o->value.len || at != o->value.len) {
        tparse_fail(p, start, "single quotes hold one character; text goes in double quotes");
        return false;
    }
    o->value = (struct tmpl_value){.kind = TV_INT, .i = rune};
    return true;
}

static bool number(struct tmpl_parser *p, struct tmpl_operand *o)
{
    size_t start = p->at;
    bool sign = tparse_here(p) == '-' || tparse_here(p) == '+', dotted = false, hex;
    char text[64];

    p->at += sign;
    hex = p->end - p->at > 1 && p->s[p->at] == '0' && (p->s[p->at + 1] | 32) == 'x';
    for (; p->at < p->end; p->at++) {
        char c = p->s[p->at];
        bool exponent = !hex && p->at > start && (p->s[p->at - 1] | 32) == 'e';
        if (!tparse_letter(c) && c != '.' && !((c == '-' || c == '+') && exponent))
            break;
        dotted |= c == '.' || (!hex && (c | 32) == 'e');
    }
    size_t len = p->at - start;
    if (len >= sizeof(text))
        goto bad;
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        if (p->s[start + i] != '_')
            text[n++] = p->s[start + i];
    text[n] = '\0';
    if (!dotted) {
        char *end;
        // Base 0 is Go's: 0x1f, 017.
        long long v = strtoll(text, &end, 0);
        if (*end || end == text || v == INT64_MAX || v == INT64_MIN)
            goto bad;
        o->value = (struct tmpl_value){.kind = TV_INT, .i = v};
        return true;
    }
    double v;
    if (!num_parse(text, n, &v))
        goto bad;
    // What is written with a dot or an exponent is a float, whole or not.
    o->value = (struct tmpl_value){.kind = TV_FLOAT, .f = v};
    return true;
bad:
    tparse_fail(p, start, "bad number");
    return false;
}

static bool variable(struct tmpl_parser *p, struct tmpl_operand *o)
{
    static const struct {
        const char *name;
        enum tmpl_operand_kind kind;
    } variables[] = {{"labels", TO_LABELS}, {"value", TO_VALUE_VAR}, {"externalURL", TO_URL},
        {"externalLabels", TO_EXTERNAL_LABELS}, {"", TO_ROOT}};
    size_t start = p->at++;
    const char *name = take_name(p);
    if (!name)
        return false;
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        if (strcmp(name, variables[i].name))
            continue;
        o->kind = variables[i].kind;
        p->t->uses_value |= o->kind == TO_VALUE_VAR;
        return true;
    }
    tparse_skip(p);
    if (tparse_here(p) == ':' || tparse_here(p) == '=' || tparse_here(p) == ',')
        tparse_fail(p, start, "variables of your own are not supported yet");
    else
        tparse_fail(p, start, "undefined variable `$%.60s`", name);
    return false;
}

// Remembers that the template reads this label, for those who know which labels there will be.
static bool note_label(struct tmpl_parser *p, const char *name, size_t at)
{
    struct template_label *l = tparse_alloc(p, sizeof(*l));
    if (!l)
        return false;
    *l = (struct template_label){.name = name, .at = at, .next = p->t->labels};
    p->t->labels = l;
    return true;
}

static bool fields(struct tmpl_parser *p, struct tmpl_operand *o)
{
    size_t start = p->at;
    const char *names[2] = {NULL, NULL};
    size_t n = 0, name_at = 0;

    while (tparse_here(p) == '.') {
        name_at = ++p->at;
        const char *name = take_name(p);
        if (!name)
            return false;
        if (!name[0] || (name[0] >= '0' && name[0] <= '9')) {
            tparse_fail(p, name_at,
                name[0] ? "a field name begins with a letter" : "a field name is missing");
            return false;
        }
        if (n == 2) {
            o->doom = tparse_doubt(p, name_at, "a label is text, it has no fields");
            continue;
        }
        names[n++] = name;
    }
    if (n == 0)
        return true;
    bool root = o->kind == TO_ROOT || (o->kind == TO_DOT && !p->in_with);
    if (root && !strcmp(names[0], "Value"))
        p->t->uses_value = true;
    if (o->kind == TO_DOT && p->in_with && !strcmp(names[0], "Value"))
        p->t->uses_value = true;
    bool map = o->kind == TO_LABELS || o->kind == TO_EXTERNAL_LABELS;
    bool scalar = o->kind == TO_VALUE_VAR || o->kind == TO_URL || o->kind == TO_PIPE;
    bool data_map =
        root && (!strcmp(names[0], "Labels") || !strcmp(names[0], "ExternalLabels"));
    bool data_leaf = root && (!strcmp(names[0], "Value") || !strcmp(names[0], "ExternalURL"));
    // Only what stands there as written is known here; the others fail when they are expanded.
    if (o->kind == TO_VALUE)
        tparse_fail(p, start, "this value has no fields");
    else if (root && !data_map && !data_leaf)
        tparse_doubt(p, start,
            "there is no field `%.60s`: .Labels, .Value, .ExternalURL, .ExternalLabels exist",
            names[0]);
    else if (scalar)
        tparse_doubt(p, start, "this value has no fields");
    else if ((map && n == 2) || (data_leaf && n == 2))
        tparse_doubt(p, start, "a label is text, it has no fields");
    o->field = names[0];
    o->second = names[1];
    bool of_labels = root && !strcmp(names[0], "Labels") && n == 2;
    if (!p->failed && (o->kind == TO_LABELS || of_labels))
        return note_label(p, of_labels ? names[1] : names[0], name_at);
    return !p->failed;
}

static struct tmpl_operand *operand(struct tmpl_parser *p)
{
    struct tmpl_operand *o = tparse_alloc(p, sizeof(*o));
    char c = tparse_here(p);
    bool ok = false;

    if (!o)
        return NULL;
    if (c == '"' || c == '`') {
        ok = quoted(p, o);
    } else if (c == '\'') {
        ok = character(p, o);
    } else if (c == '$') {
        ok = variable(p, o);
    } else if (c == '(') {
        size_t open = p->at++;
        if (++p->depth > TEMPLATE_NEST_MAX)
            tparse_fail(p, open, "nested too deeply");
        o->kind = TO_PIPE;
        o->pipe = p->failed ? NULL : tparse_pipeline(p, true);
        p->depth--;
        if (o->pipe && tparse_here(p) != ')')
            tparse_fail(p, open, "this parenthesis is never closed");
        p->at++;
        ok = o->pipe && !p->failed;
    } else if (c == '.' &&
               !(p->at + 1 < p->end && p->s[p->at + 1] >= '0' && p->s[p->at + 1] <= '9')) {
        o->kind = TO_DOT;
        ok = true;
        // A lone dot is the value itself; a dot with a name a field of it.
        if (p->at + 1 < p->end && tparse_letter(p->s[p->at + 1]))
            return fields(p, o) ? o : NULL;
        p->at++;
    } else if ((c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+') {
        ok = number(p, o);
    } else {
        tparse_fail(p, p->at, c ? "unexpected `%c`" : "unexpected end of the action", c);
    }
    if (!ok || !fields(p, o))
        return NULL;
    c = tparse_here(p);
    if (c && !tparse_space(c) && c != '|' && c != ')') {
        tparse_fail(p, p->at,
            c == ':' || c == '=' || c == ',' ? "variables of your own are not supported yet"
                                             : "unexpected `%c` behind a value",
            c);
        return NULL;
    }
    return o;
}

// --- commands --------------------------------------------------------------------------------
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
    const struct tmpl_function *fn = tmpl_function_find(name, len);
    if (fn)
        return fn;
    for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
        if (!strcmp(keywords[i], name)) {
            tparse_fail(
                p, start, i < 4 ? "unexpected `%s`" : "`%s` is not supported yet", name);
            return NULL;
        }
    }
    const char *near = tmpl_function_near(name, len);
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
        return operand(p);
    size_t start = p->at;
    const char *name = take_name(p);
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
    return fields(p, &ignored);
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
    if (word) {
        const char *name = take_name(p);
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
    } else if (!append(c, &tail, operand(p))) {
        return NULL;
    }
    for (tparse_skip(p); tparse_here(p) && tparse_here(p) != '|' && tparse_here(p) != ')';
         tparse_skip(p)) {
        if (!c->fn && !c->doom)
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
        if (kind == TO_VALUE || (kind == TO_DOT && !c->operands->field)) {
            tparse_fail(p, start, "behind | stands a function");
            return NULL;
        }
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

struct tmpl_pipe *tparse_pipeline(struct tmpl_parser *p, bool paren)
{
    struct tmpl_pipe *pipe = tparse_alloc(p, sizeof(*pipe));
    struct tmpl_command **tail = pipe ? &pipe->commands : NULL;
    size_t start = p->at;

    if (!pipe)
        return NULL;
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
