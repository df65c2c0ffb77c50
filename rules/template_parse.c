// SPDX-License-Identifier: Apache-2.0
#include "base/diag.h"
#include "base/num.h"
#include "rules/lex.h"
#include "rules/rune.h"
#include "rules/template_node.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    const char *s;
    size_t len, at; // inside an action: the next byte
    size_t end;     // end of the action's inside
    struct arena *arena;
    struct err *err;
    struct template *t;
    int depth, in_with;
    bool failed;
};
enum word { WORD_NONE, WORD_END, WORD_ELSE, WORD_ELSE_IF, WORD_ELSE_WITH };

static void fail(struct parser *p, size_t at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void fail(struct parser *p, size_t at, const char *fmt, ...)
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

static void *alloc(struct parser *p, size_t size)
{
    void *m = arena_alloc(p->arena, size);
    if (!m && !p->failed) {
        p->failed = true;
        err_set(p->err, "out of memory for a template");
    }
    return m;
}

static bool space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (c >= '0' && c <= '9') || (signed char)c < 0;
}

static void skip(struct parser *p)
{
    while (p->at < p->end && space(p->s[p->at]))
        p->at++;
}

static char here(const struct parser *p)
{
    return p->at < p->end ? p->s[p->at] : '\0';
}

static const char *take_name(struct parser *p)
{
    size_t start = p->at;
    while (p->at < p->end && letter(p->s[p->at]))
        p->at++;
    char *name = alloc(p, p->at - start + 1);
    if (name)
        memcpy(name, p->s + start, p->at - start);
    return name;
}

// --- operands --------------------------------------------------------------------------------
static struct tmpl_pipe *pipeline(struct parser *p, bool paren);

static bool quoted(struct parser *p, struct tmpl_operand *o)
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
        fail(p, (size_t)e.start, "%s", e.msg);
    else
        alloc(p, SIZE_MAX);
    return false;
}

// 'a' is the number of the character.
static bool character(struct parser *p, struct tmpl_operand *o)
{
    size_t start = p->at, at;
    if (!quoted(p, o))
        return false;
    at = 0;
    uint32_t rune = o->value.len ? rune_decode(o->value.s, o->value.len, &at) : 0;
    if (!o->value.len || at != o->value.len) {
        fail(p, start, "single quotes hold one character; text goes in double quotes");
        return false;
    }
    o->value = (struct tmpl_value){.kind = TV_INT, .i = rune};
    return true;
}

static bool number(struct parser *p, struct tmpl_operand *o)
{
    size_t start = p->at;
    bool sign = here(p) == '-' || here(p) == '+', dotted = false, hex;
    char text[64];

    p->at += sign;
    hex = p->end - p->at > 1 && p->s[p->at] == '0' && (p->s[p->at + 1] | 32) == 'x';
    for (; p->at < p->end; p->at++) {
        char c = p->s[p->at];
        bool exponent = !hex && p->at > start && (p->s[p->at - 1] | 32) == 'e';
        if (!letter(c) && c != '.' && !((c == '-' || c == '+') && exponent))
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
    fail(p, start, "bad number");
    return false;
}

static bool variable(struct parser *p, struct tmpl_operand *o)
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
    skip(p);
    if (here(p) == ':' || here(p) == '=' || here(p) == ',')
        fail(p, start, "variables of your own are not supported yet");
    else
        fail(p, start, "undefined variable `$%.60s`", name);
    return false;
}

static bool fields(struct parser *p, struct tmpl_operand *o)
{
    size_t start = p->at;
    const char *names[2] = {NULL, NULL};
    size_t n = 0;

    while (here(p) == '.') {
        p->at++;
        const char *name = take_name(p);
        if (!name)
            return false;
        if (!name[0] || n == 2) {
            fail(p, p->at,
                n == 2 ? "a label is text, it has no fields" : "a field name is missing");
            return false;
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
    bool scalar = o->kind == TO_VALUE_VAR || o->kind == TO_URL || o->kind == TO_VALUE ||
                  o->kind == TO_PIPE;
    bool data_map =
        root && (!strcmp(names[0], "Labels") || !strcmp(names[0], "ExternalLabels"));
    bool data_leaf = root && (!strcmp(names[0], "Value") || !strcmp(names[0], "ExternalURL"));
    if (root && !data_map && !data_leaf)
        fail(p, start,
            "there is no field `%.60s`: .Labels, .Value, .ExternalURL, .ExternalLabels exist",
            names[0]);
    else if (scalar)
        fail(p, start, "this value has no fields");
    else if ((map && n == 2) || (data_leaf && n == 2))
        fail(p, start, "a label is text, it has no fields");
    o->field = names[0];
    o->second = names[1];
    return !p->failed;
}

static struct tmpl_operand *operand(struct parser *p)
{
    struct tmpl_operand *o = alloc(p, sizeof(*o));
    char c = here(p);
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
            fail(p, open, "nested too deeply");
        o->kind = TO_PIPE;
        o->pipe = p->failed ? NULL : pipeline(p, true);
        p->depth--;
        if (o->pipe && here(p) != ')')
            fail(p, open, "this parenthesis is never closed");
        p->at++;
        ok = o->pipe && !p->failed;
    } else if (c == '.' &&
               !(p->at + 1 < p->end && p->s[p->at + 1] >= '0' && p->s[p->at + 1] <= '9')) {
        o->kind = TO_DOT;
        ok = true;
        // A lone dot is the value itself; a dot with a name a field of it.
        if (p->at + 1 < p->end && letter(p->s[p->at + 1]))
            return fields(p, o) ? o : NULL;
        p->at++;
    } else if ((c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+') {
        ok = number(p, o);
    } else {
        fail(p, p->at, c ? "unexpected `%c`" : "unexpected end of the action", c);
    }
    if (!ok || !fields(p, o))
        return NULL;
    c = here(p);
    if (c && !space(c) && c != '|' && c != ')') {
        fail(p, p->at,
            c == ':' || c == '=' || c == ',' ? "variables of your own are not supported yet"
                                             : "unexpected `%c` behind a value",
            c);
        return NULL;
    }
    return o;
}

// --- commands --------------------------------------------------------------------------------
static bool constant_word(struct parser *p, const char *name, struct tmpl_operand *o)
{
    (void)p;
    if (!strcmp(name, "true") || !strcmp(name, "false"))
        o->value = (struct tmpl_value){.kind = TV_BOOL, .b = name[0] == 't'};
    else if (!strcmp(name, "nil"))
        o->value = (struct tmpl_value){.kind = TV_NIL};
    else
        return false;
    return true;
}

static const struct tmpl_function *function(struct parser *p, const char *name, size_t start)
{
    static const char *const keywords[] = {"if", "else", "end", "with", "range", "define",
        "template", "block", "break", "continue"};
    size_t len = strlen(name);
    const struct tmpl_function *fn = tmpl_function_find(name, len);
    if (fn)
        return fn;
    for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
        if (!strcmp(keywords[i], name)) {
            fail(p, start, i < 4 ? "unexpected `%s`" : "`%s` is not supported yet", name);
            return NULL;
        }
    }
    const char *near = tmpl_function_near(name, len);
    if (tmpl_function_missing(name, len))
        fail(p, start, "function `%s` is not supported yet", name);
    else if (near)
        fail(p, start, "unknown function `%.60s`, did you mean %s?", name, near);
    else
        fail(p, start, "unknown function `%.60s`", name);
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
static struct tmpl_operand *argument(struct parser *p)
{
    char c = here(p);
    if (!((c | 32) >= 'a' && (c | 32) <= 'z') && c != '_')
        return operand(p);
    size_t start = p->at;
    const char *name = take_name(p);
    struct tmpl_operand *o = alloc(p, sizeof(*o));
    if (!name || !o || constant_word(p, name, o))
        return name ? o : NULL;
    const struct tmpl_function *fn = function(p, name, start);
    struct tmpl_pipe *pipe = fn ? alloc(p, sizeof(*pipe)) : NULL;
    struct tmpl_command *cmd = pipe ? alloc(p, sizeof(*cmd)) : NULL;
    if (!cmd)
        return NULL;
    if (fn->least > 0) {
        fail(p, start, "`%s` needs an argument: put it and its arguments into parentheses",
            name);
        return NULL;
    }
    cmd->fn = fn;
    pipe->commands = cmd;
    o->kind = TO_PIPE;
    o->pipe = pipe;
    return o;
}

static struct tmpl_command *command(struct parser *p, bool first)
{
    struct tmpl_command *c = alloc(p, sizeof(*c));
    struct tmpl_operand **tail = c ? &c->operands : NULL;
    size_t start = p->at;
    char ch = here(p);
    bool word = ((ch | 32) >= 'a' && (ch | 32) <= 'z') || ch == '_';

    if (!c)
        return NULL;
    if (word) {
        const char *name = take_name(p);
        struct tmpl_operand *o = alloc(p, sizeof(*o));
        if (!name || !o)
            return NULL;
        if (constant_word(p, name, o)) {
            if (o->value.kind == TV_NIL) {
                fail(p, start, "nil is not a command");
                return NULL;
            }
            append(c, &tail, o);
        } else if (!(c->fn = function(p, name, start))) {
            return NULL;
        }
    } else if (!append(c, &tail, operand(p))) {
        return NULL;
    }
    for (skip(p); here(p) && here(p) != '|' && here(p) != ')'; skip(p)) {
        if (!c->fn) {
            fail(p, p->at, "a value takes no arguments; a function must stand first");
            return NULL;
        }
        if (c->n == TMPL_ARGS_MAX) {
            fail(p, p->at, "more than %d arguments", TMPL_ARGS_MAX);
            return NULL;
        }
        if (!append(c, &tail, argument(p)))
            return NULL;
    }
    if (!first && !c->fn) {
        fail(p, start, "behind | stands a function");
        return NULL;
    }
    int n = (int)c->n + !first;
    if (c->fn && (n < c->fn->least || (c->fn->most >= 0 && n > c->fn->most))) {
        fail(p, start, "`%s` takes %s%d argument%s, not %d", c->fn->name,
            c->fn->most == c->fn->least ? ""
            : n < c->fn->least          ? "at least "
                                        : "at most ",
            n < c->fn->least ? c->fn->least : c->fn->most,
            (n < c->fn->least ? c->fn->least : c->fn->most) == 1 ? "" : "s", n);
        return NULL;
    }
    return c;
}

static struct tmpl_pipe *pipeline(struct parser *p, bool paren)
{
    struct tmpl_pipe *pipe = alloc(p, sizeof(*pipe));
    struct tmpl_command **tail = pipe ? &pipe->commands : NULL;
    size_t start = p->at;

    if (!pipe)
        return NULL;
    for (bool first = true;; first = false) {
        skip(p);
        if (!here(p) || here(p) == ')') {
            // Go lets a last | pass.
            if (first)
                fail(p, start, "a value is missing");
            break;
        }
        *tail = command(p, first);
        if (!*tail)
            return NULL;
        tail = &(*tail)->next;
        if (here(p) != '|')
            break;
        p->at++;
    }
    if (!paren && here(p) == ')')
        fail(p, p->at, "unexpected `)`");
    return p->failed ? NULL : pipe;
}

// --- text and actions ------------------------------------------------------------------------
// Sets at/end to the inside of the action whose {{ stands at `open`; *ret_next is behind its }}.
static bool bounds(
    struct parser *p, size_t open, size_t *ret_next, bool *ret_trim_left, bool *ret_trim_right)
{
    size_t at = open + 2;
    *ret_trim_left = *ret_trim_right = false;
    if (at + 1 < p->len && p->s[at] == '-' && space(p->s[at + 1])) {
        *ret_trim_left = true;
        at += 2;
    }
    size_t i = at, comment = at;
    if (p->len - i >= 2 && !memcmp(p->s + i, "/*", 2)) {
        const char *close = memmem(p->s + i + 2, p->len - i - 2, "*/", 2);
        if (!close) {
            fail(p, open, "this comment is never closed");
            return false;
        }
        i = comment = (size_t)(close - p->s) + 2;
    }
    for (; i < p->len; i++) {
        char c = p->s[i];
        if (c == '"' || c == '`' || c == '\'') {
            size_t from = i++;
            while (i < p->len && p->s[i] != c)
                i += c != '`' && p->s[i] == '\\' ? 2 : 1;
            if (i >= p->len) {
                fail(p, from, "text without its closing quote");
                return false;
            }
        } else if (c == '}' && i + 1 < p->len && p->s[i + 1] == '}') {
            break;
        }
    }
    if (i >= p->len) {
        fail(p, open, "this {{ is never closed");
        return false;
    }
    p->at = at;
    p->end = i;
    *ret_next = i + 2;
    if (i >= at + 2 && p->s[i - 1] == '-' && space(p->s[i - 2])) {
        *ret_trim_right = true;
        p->end = i - 2;
    } else if (*ret_trim_left && i == at + 1 && p->s[i - 1] == '-') {
        // {{- -}}: the space is shared.
        *ret_trim_right = true;
        p->end = i - 1;
    }
    if (comment > at) {
        if (p->end < comment || (p->end > comment && !*ret_trim_right)) {
            fail(p, open, "a comment fills its action alone: {{/* ... */}}");
            return false;
        }
        p->at = p->end = comment;
    }
    return true;
}

static bool keyword(struct parser *p, const char *word)
{
    size_t len = strlen(word);
    if (p->end - p->at < len || memcmp(p->s + p->at, word, len) ||
        (p->end - p->at > len && letter(p->s[p->at + len])))
        return false;
    p->at += len;
    skip(p);
    return true;
}

static struct tmpl_node *list(
    struct parser *p, size_t *at, bool *trim, enum word *ret_stop, size_t *ret_stop_at);

static bool nothing_left(struct parser *p)
{
    skip(p);
    if (p->at < p->end)
        fail(p, p->at, "nothing may follow here");
    return !p->failed;
}

// if and with, up to their end. The pipe begins at p->at; *at goes behind {{end}}.
static struct tmpl_node *branch(
    struct parser *p, enum tmpl_node_kind kind, size_t open, size_t *at, bool *trim)
{
    struct tmpl_node *n = alloc(p, sizeof(*n));
    enum word stop;
    size_t stop_at;

    if (!n)
        return NULL;
    if (++p->depth > TEMPLATE_NEST_MAX) {
        fail(p, open, "nested too deeply");
        return NULL;
    }
    n->kind = kind;
    n->pipe = pipeline(p, false);
    if (!n->pipe)
        return NULL;
    p->in_with += kind == TN_WITH;
    n->then = list(p, at, trim, &stop, &stop_at);
    p->in_with -= kind == TN_WITH;
    if (!p->failed && stop == WORD_NONE)
        fail(p, open, "this `%s` has no {{ end }}", kind == TN_IF ? "if" : "with");
    if (!p->failed && (stop == WORD_ELSE_IF || stop == WORD_ELSE_WITH)) {
        // The chain shares its last {{end}}.
        n->otherwise = branch(p, stop == WORD_ELSE_IF ? TN_IF : TN_WITH, stop_at, at, trim);
    } else if (!p->failed && stop == WORD_ELSE) {
        n->otherwise = list(p, at, trim, &stop, &stop_at);
        if (!p->failed && stop != WORD_END)
            fail(p, stop == WORD_NONE ? open : stop_at,
                stop == WORD_NONE ? "this has no {{ end }}" : "a second `else`");
    }
    p->depth--;
    return p->failed ? NULL : n;
}

static struct tmpl_node *text_node(struct parser *p, size_t from, size_t to)
{
    struct tmpl_node *n = alloc(p, sizeof(*n));
    if (!n)
        return NULL;
    n->kind = TN_TEXT;
    n->len = to - from;
    n->text = arena_strndup(p->arena, p->s + from, n->len);
    return n->text ? n : alloc(p, SIZE_MAX);
}

// One action: a node, or NULL with *stop set (or nothing, for a comment).
static struct tmpl_node *action(
    struct parser *p, size_t open, size_t *at, bool *trim, enum word *stop)
{
    skip(p);
    if (p->at == p->end && p->end > open + 3 && p->s[p->end - 1] == '/' &&
        p->s[p->end - 2] == '*')
        return NULL;
    if (keyword(p, "end")) {
        *stop = nothing_left(p) ? WORD_END : WORD_NONE;
        return NULL;
    }
    if (keyword(p, "else")) {
        *stop = keyword(p, "if")     ? WORD_ELSE_IF
                : keyword(p, "with") ? WORD_ELSE_WITH
                                     : WORD_ELSE;
        if (*stop == WORD_ELSE)
            nothing_left(p);
        return NULL;
    }
    if (keyword(p, "if"))
        return branch(p, TN_IF, open, at, trim);
    if (keyword(p, "with"))
        return branch(p, TN_WITH, open, at, trim);
    struct tmpl_node *n = alloc(p, sizeof(*n));
    if (!n)
        return NULL;
    n->kind = TN_PRINT;
    n->pipe = pipeline(p, false);
    return n->pipe ? n : NULL;
}

// Nodes from *at to the end of the text or to an end/else, which is told in *ret_stop.
static struct tmpl_node *list(
    struct parser *p, size_t *at, bool *trim, enum word *ret_stop, size_t *ret_stop_at)
{
    struct tmpl_node *first = NULL, **tail = &first;

    *ret_stop = WORD_NONE;
    *ret_stop_at = 0;
    while (!p->failed) {
        const char *brace = p->len > *at ? memmem(p->s + *at, p->len - *at, "{{", 2) : NULL;
        size_t open = brace ? (size_t)(brace - p->s) : p->len, from = *at, to = open, next = 0;
        bool left = false, right = false;
        while (*trim && from < to && space(p->s[from]))
            from++;
        if (brace && !bounds(p, open, &next, &left, &right))
            break;
        while (left && to > from && space(p->s[to - 1]))
            to--;
        if (to > from) {
            *tail = text_node(p, from, to);
            if (!*tail)
                break;
            tail = &(*tail)->next;
        }
        if (!brace) {
            *at = p->len;
            break;
        }
        *at = next;
        *trim = right;
        *tail = action(p, open, at, trim, ret_stop);
        if (*ret_stop != WORD_NONE || p->failed) {
            *ret_stop_at = open;
            break;
        }
        if (*tail)
            tail = &(*tail)->next;
    }
    return first;
}

struct template *template_parse(const char *text, size_t len, struct arena *a, struct err *err)
{
    struct parser p = {.s = text, .len = len, .arena = a, .err = err};
    size_t at = 0, stop_at;
    enum word stop;
    bool trim = false;

    *err = (struct err){0};
    p.t = alloc(&p, sizeof(*p.t));
    if (!p.t)
        return NULL;
    p.t->nodes = list(&p, &at, &trim, &stop, &stop_at);
    if (!p.failed && stop != WORD_NONE)
        fail(&p, stop_at, "unexpected `%s`: there is no open if or with",
            stop == WORD_END ? "end" : "else");
    return p.failed ? NULL : p.t;
}

bool template_uses_value(const struct template *t)
{
    return t->uses_value;
}

bool template_is_plain(const struct template *t)
{
    return !t->nodes || (t->nodes->kind == TN_TEXT && !t->nodes->next);
}
