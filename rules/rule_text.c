// SPDX-License-Identifier: Apache-2.0
#include "rules/rule_text.h"
#include "base/num.h"
#include "rules/parse.h"
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Bytes of the file from offset to `end`, at most to the end of its line.
static int in_line(const struct reading *r, size_t offset, size_t end)
{
    if (end > r->len)
        end = r->len;
    if (offset >= end)
        return 1;
    const char *newline = memchr(r->text + offset, '\n', end - offset);
    return newline ? (int)(newline - (r->text + offset)) : (int)(end - offset);
}

void reading_mark(struct reading *r, enum diag_severity severity, const struct yaml_node *at,
    const char *code, const char *hint, const char *fmt, ...)
{
    char msg[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(msg, sizeof(msg), fmt, args);
    va_end(args);
    diags_add(r->d, severity, code, at->line, at->col, in_line(r, at->offset, at->end), hint,
        "%s", msg);
}

static void mark_span(struct reading *r, enum diag_severity severity,
    const struct yaml_node *scalar, size_t start, size_t end, const char *code,
    const char *hint, const char *msg)
{
    int line, col, end_line, end_col;
    if (end > scalar->len)
        end = scalar->len;
    if (start > end)
        start = end;
    // The end of a block is the end of its last line, not the beginning of the one below.
    bool at_end = start == scalar->len;
    while (at_end && start > 0 && scalar->text[start - 1] == '\n')
        end = --start;
    yaml_place(r->text, r->len, scalar, start, &line, &col);
    // The last byte, not the one behind it: that may stand on a later line of a block.
    yaml_place(r->text, r->len, scalar, end > start ? end - 1 : start, &end_line, &end_col);
    int len = end_col - col + 1;
    if (end_line != line) {
        const char *newline = memchr(scalar->text + start, '\n', end - start);
        len = newline ? (int)(newline - (scalar->text + start)) : 1;
    }
    diags_add(r->d, severity, code, line, col, len, hint, "%s", msg);
}

void reading_mark_span(struct reading *r, const struct yaml_node *scalar, size_t start,
    size_t end, const char *code, const char *hint, const char *msg)
{
    mark_span(r, DIAG_ERROR, scalar, start, end, code, hint, msg);
}

void reading_warn_span(struct reading *r, const struct yaml_node *scalar, size_t start,
    size_t end, const char *code, const char *hint, const char *msg)
{
    mark_span(r, DIAG_WARNING, scalar, start, end, code, hint, msg);
}

void *reading_alloc(struct reading *r, size_t size)
{
    void *p = arena_alloc(&r->set->arena, size);
    r->no_memory |= !p;
    return p;
}

char *reading_copy(struct reading *r, const char *s, size_t len)
{
    char *copy = arena_strndup(&r->set->arena, s, len);
    r->no_memory |= !copy;
    return copy;
}

static const char *kind_name(const struct yaml_node *n)
{
    switch (n->kind) {
    case YAML_NULL: return "nothing";
    case YAML_SCALAR: return "a single value";
    case YAML_SEQ: return "a list";
    case YAML_MAP: return "a map";
    }
    return "";
}

const struct yaml_node *reading_map(struct reading *r, const struct yaml_node *n,
    const char *what, const char *const *keys, size_t n_keys)
{
    if (!n || n->kind == YAML_NULL)
        return NULL;
    if (n->kind != YAML_MAP) {
        reading_mark(
            r, DIAG_ERROR, n, "T011", NULL, "%s must be a map, this is %s", what, kind_name(n));
        return NULL;
    }
    for (size_t i = 0; i < n->n; i++) {
        const struct yaml_node *key = n->keys[i];
        bool known = n_keys == 0;
        for (size_t k = 0; k < n_keys && !known; k++)
            known = key->len == strlen(keys[k]) && !memcmp(key->text, keys[k], key->len);
        if (known)
            continue;
        char hint[192] = "";
        const char *near = diag_nearest(key->text, key->len, keys, n_keys);
        if (near)
            snprintf(hint, sizeof(hint), "did you mean %s?", near);
        reading_mark(
            r, DIAG_ERROR, key, "T010", hint, "unknown key `%.60s` in %s", key->text, what);
    }
    return n;
}

const struct yaml_node *reading_seq(
    struct reading *r, const struct yaml_node *n, const char *what)
{
    if (!n || n->kind == YAML_NULL)
        return NULL;
    if (n->kind == YAML_SEQ)
        return n;
    reading_mark(r, DIAG_ERROR, n, "T011", "start each item with -",
        "%s must be a list, this is %s", what, kind_name(n));
    return NULL;
}

const struct yaml_node *reading_scalar(
    struct reading *r, const struct yaml_node *n, const char *what)
{
    if (!n || n->kind == YAML_NULL)
        return NULL;
    if (n->kind != YAML_SCALAR) {
        reading_mark(r, DIAG_ERROR, n, "T011", NULL, "%s must be a single value, this is %s",
            what, kind_name(n));
        return NULL;
    }
    if (strlen(n->text) != n->len) {
        reading_mark(r, DIAG_ERROR, n, "T011", NULL, "%s holds a NUL byte", what);
        return NULL;
    }
    return n;
}

int64_t reading_duration(struct reading *r, const struct yaml_node *n, const char *what)
{
    static const struct {
        const char *wrong, *right;
    } units[] = {{"sec", "s"}, {"secs", "s"}, {"second", "s"}, {"seconds", "s"}, {"min", "m"},
        {"mins", "m"}, {"minute", "m"}, {"minutes", "m"}, {"hour", "h"}, {"hours", "h"},
        {"hr", "h"}, {"day", "d"}, {"days", "d"}, {"week", "w"}, {"weeks", "w"}, {"", "s"}};
    int64_t ms;

    n = reading_scalar(r, n, what);
    if (!n)
        return 0;
    if (duration_parse(n->text, n->len, &ms))
        return ms;
    char hint[192] = "units are ms, s, m, h, d, w, y, each once, the largest first";
    size_t digits = strspn(n->text, "0123456789"), gap = strspn(n->text + digits, " ");
    for (size_t i = 0; digits && digits < 12 && i < sizeof(units) / sizeof(units[0]); i++)
        if (!strcmp(n->text + digits + gap, units[i].wrong))
            snprintf(hint, sizeof(hint), "did you mean %.*s%s?", (int)digits, n->text,
                units[i].right);
    reading_mark(
        r, DIAG_ERROR, n, "T013", hint, "%s: `%.60s` is not a duration", what, n->text);
    return 0;
}

static int by_name(const void *x, const void *y)
{
    const struct rule_text *a = x, *b = y;
    return strcmp(a->name, b->name);
}

static bool utf8(const char *s, size_t len)
{
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)s[i];
        size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        if (c >= 0x80 && (c < 0xc2 || c > 0xf4 || n > len - i))
            return false;
        for (size_t k = 1; k < n; k++)
            if ((s[i + k] & 0xc0) != 0x80)
                return false;
        i += n;
    }
    return true;
}

static void check_label_name(struct reading *r, const struct yaml_node *key, const char *what)
{
    if (key->len == 0 || strlen(key->text) != key->len || !utf8(key->text, key->len))
        reading_mark(r, DIAG_ERROR, key, "T014", NULL, "%s: this is no label name", what);
    else if (!strcmp(key->text, LABEL_NAME))
        reading_mark(r, DIAG_ERROR, key, "T014", "the name of a recorded series is `record`",
            "%s: `__name__` cannot be set", what);
    else if (!label_name_plain(key->text))
        reading_mark(r, DIAG_WARNING, key, "T203", "Prometheus 2 and many receivers refuse it",
            "%s: `%.60s` is a label name that needs quotes in expressions", what, key->text);
}

// A mistake in a template is underlined to the end of the word it stands at.
static size_t word_end(const char *text, size_t len, size_t at)
{
    size_t end = at + (at < len && text[at] == '$');
    while (end < len && (isalnum((unsigned char)text[end]) || text[end] == '_'))
        end++;
    return end > at ? end : at + 1;
}

bool reading_texts(struct reading *r, const struct yaml_node *n, const char *what,
    bool templated, bool labels, struct rule_text **ret, size_t *ret_n)
{
    n = reading_map(r, n, what, NULL, 0);
    if (!n || n->n == 0)
        return true;
    struct rule_text *texts = reading_alloc(r, n->n * sizeof(*texts));
    if (!texts)
        return false;
    size_t used = 0;
    for (size_t i = 0; i < n->n; i++) {
        const struct yaml_node *key = n->keys[i], *value = n->items[i];
        if (labels || key->len == 0)
            check_label_name(r, key, what);
        if (value->kind != YAML_NULL && !reading_scalar(r, value, key->text))
            continue;
        bool null = value->kind == YAML_NULL;
        struct rule_text *t = &texts[used];
        t->name = reading_copy(r, key->text, key->len);
        t->text = reading_copy(r, null ? "" : value->text, null ? 0 : value->len);
        if (!t->name || !t->text)
            return false;
        used++;
        if (!templated)
            continue;
        struct err err = {0};
        t->tmpl = template_parse(t->text, null ? 0 : value->len, &r->set->arena, &err);
        if (!t->tmpl && err.col == 0) {
            r->no_memory = true;
            return false;
        }
        if (!t->tmpl) {
            // Words of the template parser that say so mean a gap of ours, not a mistake.
            size_t at = (size_t)err.col - 1;
            char msg[600];
            snprintf(msg, sizeof(msg), "template of `%.60s`: %s", t->name, err.msg);
            reading_mark_span(r, value, at, word_end(t->text, value->len, at),
                strstr(err.msg, "not supported yet") ? "T304" : "T017", NULL, msg);
            continue;
        }
        for (const struct template_doubt *d = template_doubts(t->tmpl); d; d = d->next) {
            char msg[600];
            snprintf(msg, sizeof(msg), "template of `%s` fails when it is expanded: %s",
                t->name, d->msg);
            reading_warn_span(
                r, value, d->at, word_end(t->text, value->len, d->at), "T224", NULL, msg);
        }
        if (labels && template_uses_value(t->tmpl)) {
            reading_mark(r, DIAG_WARNING, value, "T201", "put the value into an annotation",
                "the value in label `%.60s` makes a new alert at each change: it never leaves pending",
                t->name);
        }
    }
    qsort(texts, used, sizeof(*texts), by_name);
    *ret = texts;
    *ret_n = used;
    return true;
}

bool reading_expr(struct reading *r, const struct yaml_node *n, struct expr_root *ret)
{
    struct parse_error e = {0};
    struct expr_root root;

    int rc = expr_parse(n->text, n->len, &r->set->arena, &root, &e);
    if (rc == -ENOMEM) {
        r->no_memory = true;
        return false;
    }
    if (rc < 0) {
        reading_mark_span(r, n, (size_t)e.start, (size_t)e.end, e.code, e.hint, e.msg);
        return false;
    }
    enum value_type type = root.root->type;
    if (type != TYPE_VECTOR && type != TYPE_SCALAR) {
        reading_mark_span(r, n, (size_t)root.root->start, (size_t)root.root->end, "T111",
            type == TYPE_MATRIX ? "wrap the window in a function such as rate(...)" : "",
            type == TYPE_MATRIX ? "a rule needs an instant vector, this is a range vector"
                                : "a rule needs an instant vector, this is a string");
        expr_done(&root);
        return false;
    }
    *ret = root;
    return true;
}
