// SPDX-License-Identifier: Apache-2.0
#include "rules/series_text.h"
#include "base/num.h"
#include "rules/lex.h"
#include "rules/series_text_reader.h"
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

int reader_fail(
    struct reader *r, size_t start, size_t end, const char *hint, const char *fmt, ...)
{
    struct parse_error *e = r->err;
    va_list ap;
    end = end > r->len ? r->len : end;
    *e = (struct parse_error){.start = (int)start, .end = (int)end};
    snprintf(e->code, sizeof(e->code), "T112");
    snprintf(e->hint, sizeof(e->hint), "%s", hint);
    va_start(ap, fmt);
    vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
    va_end(ap);
    return -EINVAL;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

void reader_blanks(struct reader *r)
{
    while (r->at < r->len && blank(r->text[r->at]))
        r->at++;
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool letter(char c)
{
    return ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_';
}

// inf or nan; what follows must end the word.
static size_t named_number(const char *s, size_t left)
{
    bool named = left >= 3 && (!strncasecmp(s, "inf", 3) || !strncasecmp(s, "nan", 3));
    return named && (left == 3 || !(letter(s[3]) || digit(s[3]))) ? 3 : 0;
}

int reader_number(struct reader *r, bool sign, double *ret)
{
    size_t start = r->at, end = start;
    const char *s = r->text;
    if (sign && end < r->len && (s[end] == '-' || s[end] == '+'))
        end++;
    size_t named = named_number(s + end, r->len - end);
    end += named;
    while (!named && end < r->len && (digit(s[end]) || s[end] == '.' || s[end] == '_')) {
        end++;
        if (end < r->len && (s[end] | 32) == 'e') {
            end++;
            if (end < r->len && (s[end] == '-' || s[end] == '+'))
                end++;
        }
    }
    if (!num_parse(s + start, end - start, ret))
        return reader_fail(r, start, end > start ? end : start + 1, "", "expected a number");
    r->at = end;
    return 0;
}

struct list {
    struct series_value *v;
    size_t n, cap;
};

static int add(struct reader *r, struct list *l, const struct series_value *v)
{
    if (r->first && l->n == r->first)
        return 0;
    if (l->n == SERIES_VALUES_MAX) {
        reader_fail(r, r->at, r->at, "", "a series has at most %d points", SERIES_VALUES_MAX);
        return -E2BIG;
    }
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 16;
        struct series_value *grown = arena_alloc(r->arena, cap * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        if (l->n)
            memcpy(grown, l->v, l->n * sizeof(*grown));
        l->v = grown;
        l->cap = cap;
    }
    l->v[l->n++] = *v;
    return 0;
}

// x12 at the place, if there is one; *ret stays as it is otherwise.
static int read_times(struct reader *r, size_t *ret)
{
    size_t start = r->at, end = start + 1;
    uint64_t n;
    if (reader_peek(r) != 'x')
        return 0;
    while (end < r->len && digit(r->text[end]))
        end++;
    if (!num_parse_u64(r->text + start + 1, end - start - 1, &n))
        return reader_fail(r, start, end, "", "expected a number of steps behind `x`");
    if (r->first && n > r->first)
        n = r->first;
    if (n > SERIES_VALUES_MAX) {
        reader_fail(r, start, end, "", "a series has at most %d points", SERIES_VALUES_MAX);
        return -E2BIG;
    }
    r->at = end;
    *ret = (size_t)n;
    return 0;
}

static int read_holes(struct reader *r, struct list *l)
{
    static const struct series_value HOLE = {.omitted = true};
    size_t n = 1;
    r->at++;
    int rc = read_times(r, &n);
    while (rc == 0 && n--)
        rc = add(r, l, &HOLE);
    return rc;
}

// A step needs its number of times: 1+2 alone is a mistake.
static int step_without_times(struct reader *r, size_t start)
{
    return reader_fail(r, start, r->at, "write 1+2x5 for a start and 5 steps",
        "expected `x` and a number of steps");
}

static int read_floats(struct reader *r, struct list *l)
{
    struct series_value v = {0};
    size_t start = r->at, n = 0;
    double step = 0;
    int rc = reader_number(r, true, &v.v);
    bool steps = rc == 0 && (reader_peek(r) == '+' || reader_peek(r) == '-');
    if (steps)
        rc = reader_number(r, true, &step);
    if (rc == 0 && steps && reader_peek(r) != 'x')
        return step_without_times(r, start);
    if (rc == 0)
        rc = read_times(r, &n);
    // The sum of steps, not a product: what Prometheus does, down to the rounding.
    for (n++; rc == 0 && n--; v.v += step)
        rc = add(r, l, &v);
    return rc;
}

static int read_histograms(struct reader *r, struct list *l)
{
    struct series_value v = {0};
    const struct histogram *step = NULL;
    size_t start = r->at, n = 0;
    int rc = reader_histogram(r, &v.h, &v.hint_given);
    char sign = reader_peek(r);
    if (rc == 0 && (sign == '+' || sign == '-')) {
        r->at++;
        if (reader_peek(r) != '{')
            return reader_fail(r, r->at, r->at + 1, "", "expected another {{histogram}}");
        rc = reader_histogram(r, &step, &v.hint_given);
        if (rc == 0 && reader_peek(r) != 'x')
            return step_without_times(r, start);
        if (rc == 0 && (step->schema < v.h->schema || !histogram_mixable(step, v.h)))
            return reader_fail(r, start, r->at, "",
                "the step has the coarser schema %d, the start has %d", step->schema,
                v.h->schema);
    }
    if (rc == 0)
        rc = read_times(r, &n);
    for (n++; rc == 0 && n--;) {
        rc = add(r, l, &v);
        if (rc == 0 && step && n)
            v.h = sign == '+' ? histogram_add(r->arena, v.h, step, NULL)
                              : histogram_sub(r->arena, v.h, step, NULL);
        if (!v.h)
            rc = -ENOMEM;
    }
    return rc;
}

static int read_item(struct reader *r, struct list *l)
{
    const char *s = r->text + r->at;
    size_t left = r->len - r->at;
    if (left >= 5 && !memcmp(s, "stale", 5)) {
        r->at += 5;
        return add(r, l, &(struct series_value){.v = double_from_bits(NAN_STALE_BITS)});
    }
    if (*s == '_')
        return read_holes(r, l);
    if (left >= 2 && s[0] == '{' && s[1] == '{')
        return read_histograms(r, l);
    return read_floats(r, l);
}

static int read_values(struct reader *r, struct series_values *ret)
{
    struct list l = {0};
    for (;;) {
        reader_blanks(r);
        if (r->at == r->len)
            break;
        int rc = read_item(r, &l);
        if (rc < 0)
            return rc;
        if (r->at < r->len && !blank(r->text[r->at]))
            return reader_fail(r, r->at, r->at + 1, "", "expected a blank between two values");
    }
    *ret = (struct series_values){l.v, l.n};
    return 0;
}

int series_values_parse(const char *text, size_t len, struct arena *a,
    struct series_values *ret, struct parse_error *e)
{
    struct reader r = {.text = text, .len = len, .arena = a, .err = e};
    return read_values(&r, ret);
}

int series_values_parse_first(const char *text, size_t len, size_t first, struct arena *a,
    struct series_values *ret, struct parse_error *e)
{
    first = first < SERIES_VALUES_MAX ? first : SERIES_VALUES_MAX;
    struct reader r = {.text = text, .len = len, .first = first, .arena = a, .err = e};
    return read_values(&r, ret);
}

#define LABELS_MAX 128

struct pairs {
    struct label l[LABELS_MAX];
    size_t n;
};

static int label_fail(struct lexer *lex, const struct token *t, const char *msg)
{
    struct reader at = {.text = lex->text, .len = lex->len, .err = lex->err};
    size_t end = t->end > t->start ? (size_t)t->end : (size_t)t->start + 1;
    return reader_fail(
        &at, (size_t)t->start, end, "write name{label=\"value\", ...}", "%s", msg);
}

static int word_of(struct lexer *lex, const struct token *t, const char **ret)
{
    if (t->kind == TOK_STRING) {
        *ret = t->string;
        return 0;
    }
    bool named = t->kind == TOK_NUMBER && letter(lex->text[t->start]); // inf, nan
    if (t->kind != TOK_WORD && t->kind != TOK_METRIC && !named)
        return label_fail(lex, t, "expected a name");
    *ret = arena_strndup(lex->arena, lex->text + t->start, (size_t)(t->end - t->start));
    return *ret ? 0 : -ENOMEM;
}

// name="value", or a quoted metric name on its own; t is its first token, afterwards the one behind.
static int read_pair(struct lexer *lex, struct token *t, struct pairs *p, bool *named)
{
    struct token first = *t;
    const char *name;
    if (p->n == LABELS_MAX)
        return label_fail(lex, t, "too many labels");
    if (first.kind == TOK_METRIC)
        return label_fail(lex, t, "a label name has no colon");
    int rc = word_of(lex, &first, &name);
    if (rc == 0)
        rc = lex_next(lex, t);
    if (rc < 0)
        return rc;
    if (t->kind != TOK_ASSIGN) {
        if (first.kind != TOK_STRING)
            return label_fail(lex, t, "expected `=` behind a label name");
        if (*named)
            return label_fail(lex, &first, "the metric name is given twice");
        *named = true;
        p->l[p->n++] = (struct label){LABEL_NAME, first.string};
        return 0;
    }
    rc = lex_next(lex, t);
    if (rc < 0)
        return rc;
    if (t->kind != TOK_STRING)
        return label_fail(lex, t, "expected the label's value in quotes");
    for (size_t i = 0; i < p->n; i++)
        if (!strcmp(p->l[i].name, name))
            return label_fail(lex, &first, "a label is given twice");
    p->l[p->n++] = (struct label){name, t->string};
    return lex_next(lex, t);
}

// {a="b"} and not the {{...}} of a value.
static bool braces_ahead(const struct lexer *lex)
{
    struct reader r = {.text = lex->text, .len = lex->len, .at = lex->at};
    reader_blanks(&r);
    return reader_peek(&r) == '{' && !(r.at + 1 < r.len && r.text[r.at + 1] == '{');
}

static int read_labels(struct lexer *lex, struct labels *ret)
{
    struct pairs p = {.n = 0};
    struct token t;
    bool named = false;
    int rc = lex_next(lex, &t);
    if (rc < 0)
        return rc;
    if (t.kind != TOK_LBRACE) {
        const char *name;
        if (t.kind == TOK_STRING)
            return label_fail(lex, &t, "a quoted metric name stands inside braces");
        rc = word_of(lex, &t, &name);
        if (rc < 0)
            return rc;
        named = true;
        p.l[p.n++] = (struct label){LABEL_NAME, name};
    }
    if (t.kind == TOK_LBRACE || braces_ahead(lex)) {
        if (t.kind != TOK_LBRACE)
            rc = lex_next(lex, &t);
        if (rc == 0)
            rc = lex_next(lex, &t);
        while (rc == 0 && t.kind != TOK_RBRACE) {
            rc = read_pair(lex, &t, &p, &named);
            if (rc < 0 || t.kind == TOK_RBRACE)
                break;
            if (t.kind != TOK_COMMA)
                return label_fail(lex, &t, "expected `,` or `}` behind a label");
            rc = lex_next(lex, &t);
        }
    }
    if (rc == 0 && !labels_make(lex->arena, p.l, p.n, ret))
        rc = -ENOMEM;
    return rc;
}

int series_labels_parse(
    const char *text, size_t len, struct arena *a, struct labels *ret, struct parse_error *e)
{
    struct lexer lex = {.text = text, .len = len, .arena = a, .err = e};
    struct token t;
    int rc = read_labels(&lex, ret);
    if (rc == 0)
        rc = lex_next(&lex, &t);
    if (rc == 0 && t.kind != TOK_END)
        rc = label_fail(&lex, &t, "unexpected text behind the labels");
    return rc;
}

int series_line_parse(const char *text, size_t len, struct arena *a, struct labels *ret_labels,
    struct series_values *ret, struct parse_error *e)
{
    struct lexer lex = {.text = text, .len = len, .arena = a, .err = e};
    int rc = read_labels(&lex, ret_labels);
    if (rc < 0)
        return rc;
    struct reader r = {.text = text, .len = len, .at = lex.at, .arena = a, .err = e};
    if (r.at < r.len && !blank(r.text[r.at]))
        return reader_fail(&r, r.at, r.at + 1, "", "expected a blank behind the labels");
    return read_values(&r, ret);
}
