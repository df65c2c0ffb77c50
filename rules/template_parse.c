// SPDX-License-Identifier: Apache-2.0
// Text and actions: the tree around the pipes of rules/template_pipe.c.
#include "rules/template_parser.h"
#include <string.h>

enum word { WORD_NONE, WORD_END, WORD_ELSE, WORD_ELSE_IF, WORD_ELSE_WITH };

// Sets at/end to the inside of the action whose {{ stands at `open`; *ret_next is behind its }}.
static bool bounds(struct tmpl_parser *p, size_t open, size_t *ret_next, bool *ret_trim_left,
    bool *ret_trim_right)
{
    size_t at = open + 2;
    *ret_trim_left = *ret_trim_right = false;
    if (at + 1 < p->len && p->s[at] == '-' && tparse_space(p->s[at + 1])) {
        *ret_trim_left = true;
        at += 2;
    }
    size_t i = at, comment = at;
    if (p->len - i >= 2 && !memcmp(p->s + i, "/*", 2)) {
        const char *close = memmem(p->s + i + 2, p->len - i - 2, "*/", 2);
        if (!close) {
            tparse_fail(p, open, "this comment is never closed");
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
                tparse_fail(p, from, "text without its closing quote");
                return false;
            }
        } else if (c == '}' && i + 1 < p->len && p->s[i + 1] == '}') {
            break;
        }
    }
    if (i >= p->len) {
        tparse_fail(p, open, "this {{ is never closed");
        return false;
    }
    p->at = at;
    p->end = i;
    *ret_next = i + 2;
    if (i >= at + 2 && p->s[i - 1] == '-' && tparse_space(p->s[i - 2])) {
        *ret_trim_right = true;
        p->end = i - 2;
    } else if (*ret_trim_left && i == at + 1 && p->s[i - 1] == '-') {
        // {{- -}}: the space is shared.
        *ret_trim_right = true;
        p->end = i - 1;
    }
    if (comment > at) {
        if (p->end < comment || (p->end > comment && !*ret_trim_right)) {
            tparse_fail(p, open, "a comment fills its action alone: {{/* ... */}}");
            return false;
        }
        p->at = p->end = comment;
    }
    return true;
}

static bool keyword(struct tmpl_parser *p, const char *word)
{
    size_t len = strlen(word);
    if (p->end - p->at < len || memcmp(p->s + p->at, word, len) ||
        (p->end - p->at > len && !tparse_space(p->s[p->at + len]) && p->s[p->at + len] != '('))
        return false;
    p->at += len;
    tparse_skip(p);
    return true;
}

static struct tmpl_node *list(
    struct tmpl_parser *p, size_t *at, bool *trim, enum word *ret_stop, size_t *ret_stop_at);

static bool nothing_left(struct tmpl_parser *p)
{
    tparse_skip(p);
    if (p->at < p->end)
        tparse_fail(p, p->at, "nothing may follow here");
    return !p->failed;
}

// if, with and range, up to their end. The pipe begins at p->at; *at goes behind {{end}}. What is
// declared in it is known up to there.
static struct tmpl_node *branch(
    struct tmpl_parser *p, enum tmpl_node_kind kind, size_t open, size_t *at, bool *trim)
{
    static const char *const names[] = {
        [TN_IF] = "if", [TN_WITH] = "with", [TN_RANGE] = "range"};
    struct tmpl_node *n = tparse_alloc(p, sizeof(*n));
    size_t stop_at, n_vars = p->n_vars;
    enum word stop;
    int moved = kind != TN_IF; // the dot

    if (!n)
        return NULL;
    if (++p->depth > TEMPLATE_NEST_MAX) {
        tparse_fail(p, open, "nested too deeply");
        return NULL;
    }
    n->kind = kind;
    n->at = open;
    n->pipe = tparse_pipeline(p, kind == TN_RANGE ? TMPL_IN_RANGE : TMPL_IN_ACTION);
    if (!n->pipe)
        return NULL;
    p->in_with += moved;
    p->loops += kind == TN_RANGE;
    n->then = list(p, at, trim, &stop, &stop_at);
    p->loops -= kind == TN_RANGE;
    p->in_with -= moved;
    if (!p->failed && stop == WORD_NONE)
        tparse_fail(p, open, "this `%s` has no {{ end }}", names[kind]);
    if (!p->failed && (stop == WORD_ELSE_IF || stop == WORD_ELSE_WITH)) {
        // The chain shares its last {{end}}.
        n->otherwise = branch(p, stop == WORD_ELSE_IF ? TN_IF : TN_WITH, stop_at, at, trim);
    } else if (!p->failed && stop == WORD_ELSE) {
        n->otherwise = list(p, at, trim, &stop, &stop_at);
        if (!p->failed && stop != WORD_END)
            tparse_fail(p, stop == WORD_NONE ? open : stop_at,
                stop == WORD_NONE ? "this has no {{ end }}" : "a second `else`");
    }
    p->n_vars = n_vars;
    p->depth--;
    return p->failed ? NULL : n;
}

// --- templates of one's own ------------------------------------------------------------------
static const char *template_name(struct tmpl_parser *p)
{
    size_t start = p->at;
    struct tmpl_operand *o =
        tparse_here(p) == '"' || tparse_here(p) == '`' ? tparse_operand(p) : NULL;
    if (!o || o->fields) {
        tparse_fail(p, start, "the name of a template stands in quotes");
        return NULL;
    }
    tparse_skip(p);
    return o->value.s;
}

// The text up to {{ end }} under a name of its own. Nothing of the outside is known in it.
static bool define(struct tmpl_parser *p, const char *name, size_t open, size_t *at, bool *trim)
{
    struct tmpl_parser outside = *p;
    struct tmpl_define *d = tparse_alloc(p, sizeof(*d));
    enum word stop;
    size_t stop_at;

    for (const struct tmpl_define *x = p->t->defines; x; x = x->next) {
        if (!strcmp(x->name, name)) {
            tparse_fail(p, open, "the template `%.60s` is defined twice", name);
            return false;
        }
    }
    if (!d || ++p->depth > TEMPLATE_NEST_MAX) {
        tparse_fail(p, open, "nested too deeply");
        return false;
    }
    *d = (struct tmpl_define){.name = name, .source = &p->t->source, .next = p->t->defines};
    p->t->defines = d;
    p->in_define = true;
    p->in_with = 1;
    p->n_vars = 0;
    p->loops = 0;
    d->nodes = list(p, at, trim, &stop, &stop_at);
    if (!p->failed && stop != WORD_END)
        tparse_fail(p, stop == WORD_NONE ? open : stop_at,
            stop == WORD_NONE ? "this has no {{ end }}" : "unexpected `else`");
    p->in_define = outside.in_define;
    p->in_with = outside.in_with;
    d->n_vars = p->t->n_vars; // as many as any of this text, which is enough
    p->n_vars = outside.n_vars;
    p->loops = outside.loops;
    memcpy(p->vars, outside.vars, sizeof(p->vars));
    p->depth = outside.depth;
    return !p->failed;
}

static struct tmpl_node *call(
    struct tmpl_parser *p, bool block, size_t open, size_t *at, bool *trim)
{
    struct tmpl_node *n = tparse_alloc(p, sizeof(*n));
    const char *name = n ? template_name(p) : NULL;
    if (!name)
        return NULL;
    n->kind = TN_CALL;
    n->text = name;
    n->at = open;
    n->next_call = p->t->calls;
    p->t->calls = n;
    if (block || tparse_here(p))
        n->pipe = tparse_pipeline(p, TMPL_IN_ACTION);
    if (p->failed || (block && !define(p, name, open, at, trim)))
        return NULL;
    return n;
}

static struct tmpl_node *jump(struct tmpl_parser *p, enum tmpl_node_kind kind, size_t open)
{
    struct tmpl_node *n = tparse_alloc(p, sizeof(*n));
    if (!n || !nothing_left(p))
        return NULL;
    if (!p->loops)
        tparse_fail(p, open, "there is no range around this");
    n->at = open;
    n->kind = kind;
    return p->failed ? NULL : n;
}

static struct tmpl_node *text_node(struct tmpl_parser *p, size_t from, size_t to)
{
    struct tmpl_node *n = tparse_alloc(p, sizeof(*n));
    if (!n)
        return NULL;
    n->kind = TN_TEXT;
    n->len = to - from;
    n->text = arena_strndup(p->arena, p->s + from, n->len);
    return n->text ? n : tparse_alloc(p, SIZE_MAX);
}

// One action: a node, or NULL with *stop set (or nothing, for a comment).
static struct tmpl_node *action(
    struct tmpl_parser *p, size_t open, size_t *at, bool *trim, enum word *stop)
{
    tparse_skip(p);
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
    if (keyword(p, "range"))
        return branch(p, TN_RANGE, open, at, trim);
    if (keyword(p, "break"))
        return jump(p, TN_BREAK, open);
    if (keyword(p, "continue"))
        return jump(p, TN_CONTINUE, open);
    if (keyword(p, "template"))
        return call(p, false, open, at, trim);
    if (keyword(p, "block"))
        return call(p, true, open, at, trim);
    if (keyword(p, "define")) {
        const char *name = template_name(p);
        if (name && p->depth)
            tparse_fail(p, open, "`define` stands outside of everything else");
        if (name && nothing_left(p))
            define(p, name, open, at, trim);
        return NULL;
    }
    struct tmpl_node *n = tparse_alloc(p, sizeof(*n));
    if (!n)
        return NULL;
    n->kind = TN_PRINT;
    n->at = open;
    n->pipe = tparse_pipeline(p, TMPL_IN_ACTION);
    return n->pipe ? n : NULL;
}

// Nodes from *at to the end of the text or to an end/else, which is told in *ret_stop.
static struct tmpl_node *list(
    struct tmpl_parser *p, size_t *at, bool *trim, enum word *ret_stop, size_t *ret_stop_at)
{
    struct tmpl_node *first = NULL, **tail = &first;

    *ret_stop = WORD_NONE;
    *ret_stop_at = 0;
    while (!p->failed) {
        const char *brace = p->len > *at ? memmem(p->s + *at, p->len - *at, "{{", 2) : NULL;
        size_t open = brace ? (size_t)(brace - p->s) : p->len, from = *at, to = open, next = 0;
        bool left = false, right = false;
        while (*trim && from < to && tparse_space(p->s[from]))
            from++;
        if (brace && !bounds(p, open, &next, &left, &right))
            break;
        while (left && to > from && tparse_space(p->s[to - 1]))
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

bool tmpl_parse_into(struct template *t, struct arena *a, struct err *err)
{
    struct tmpl_parser p = {.s = t->source.text,
        .len = t->source.len,
        .arena = a,
        .err = err,
        .t = t,
        .messages = t->dialect == TMPL_MESSAGES};
    size_t at = 0, stop_at;
    enum word stop;
    bool trim = false;

    *err = (struct err){0};
    p.t->nodes = list(&p, &at, &trim, &stop, &stop_at);
    if (!p.failed && stop != WORD_NONE)
        tparse_fail(&p, stop_at, "unexpected `%s`: there is no open if, with or range",
            stop == WORD_END ? "end" : "else");
    return !p.failed;
}

struct template *template_parse(const char *text, size_t len, struct arena *a, struct err *err)
{
    struct template *t = arena_alloc(a, sizeof(*t));
    if (!t) {
        err_set(err, "out of memory for a template");
        return NULL;
    }
    t->source = (struct tmpl_source){.text = text, .len = len};
    return tmpl_parse_into(t, a, err) ? t : NULL;
}

bool template_uses_query(const struct template *t)
{
    return t->uses_query;
}

bool template_uses_value(const struct template *t)
{
    return t->uses_value;
}

const struct template_label *template_labels(const struct template *t)
{
    return t->labels;
}

const struct template_doubt *template_doubts(const struct template *t)
{
    return t->doubts;
}

bool template_is_plain(const struct template *t)
{
    return !t->nodes || (t->nodes->kind == TN_TEXT && !t->nodes->next);
}
