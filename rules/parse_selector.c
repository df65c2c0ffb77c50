// SPDX-License-Identifier: Apache-2.0
// Selectors and what may stand behind an expression: [range], [range:step], offset, @.
#include "rules/parser.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *word_text(struct parser *p)
{
    char *s = arena_strndup(
        p->arena, p->lex.text + p->tok.start, (size_t)(p->tok.end - p->tok.start));
    if (!s && p->rc == 0)
        p->rc = -ENOMEM;
    return s;
}

// A label name: a word or, since Prometheus 3, anything in quotes. inf and nan count as words.
static const char *label_name(struct parser *p)
{
    bool word = p->tok.kind == TOK_WORD ||
                (p->tok.kind == TOK_NUMBER && (p->lex.text[p->tok.start] | 32) >= 'a');
    if (word)
        return word_text(p);
    if (p->tok.kind == TOK_STRING && p->tok.string_len > 0)
        return p->tok.string;
    if (p->tok.kind == TOK_METRIC)
        parser_fail(p, "T101", p->tok.start, p->tok.end, "",
            "a label name has no colon: `%.*s`",
            p->tok.end - p->tok.start > 60 ? 60 : p->tok.end - p->tok.start,
            p->lex.text + p->tok.start);
    else
        parser_unexpected(p, "a label name");
    return NULL;
}

static int by_name(const void *x, const void *y)
{
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

bool parse_names(struct parser *p, bool sorted, const char ***ret, size_t *ret_n)
{
    const char **names = NULL;
    size_t n = 0, cap = 0;

    if (!parser_expect(p, TOK_LPAREN, "`(` and label names"))
        return false;
    while (p->tok.kind != TOK_RPAREN) {
        // Inside braces inf, nan and without are names like any other; here upstream's grammar
        // keeps them out, and a file that loads only with us would be no help.
        bool taken = p->tok.kind == TOK_NUMBER || parser_word(p, "without");
        const char *name = taken ? NULL : label_name(p);
        if (!name) {
            parser_unexpected(p, "a label name or `)`");
            return false;
        }
        if (n == cap) {
            cap = cap ? cap * 2 : 4;
            const char **more = parser_alloc(p, cap * sizeof(*more));
            if (!more)
                return false;
            if (n)
                memcpy(more, names, n * sizeof(*more));
            names = more;
        }
        names[n++] = name;
        if (!parser_advance(p))
            return false;
        if (p->tok.kind == TOK_RPAREN)
            break;
        if (!parser_expect(p, TOK_COMMA, "`,` or `)`"))
            return false;
    }
    if (sorted && n) {
        qsort(names, n, sizeof(*names), by_name);
        size_t kept = 1;
        for (size_t i = 1; i < n; i++)
            if (strcmp(names[i], names[kept - 1]))
                names[kept++] = names[i];
        n = kept;
    }
    *ret = names;
    *ret_n = n;
    return parser_advance(p);
}

static struct regex *compile(struct parser *p, const char *pattern, size_t len)
{
    struct expr_root *r = p->root;
    struct err err = {0};

    if (r->n_regexes == p->cap_regexes) {
        size_t cap = p->cap_regexes ? p->cap_regexes * 2 : 4;
        struct regex **more = realloc(r->regexes, cap * sizeof(*more));
        if (!more) {
            p->rc = -ENOMEM;
            return NULL;
        }
        r->regexes = more;
        p->cap_regexes = cap;
    }
    struct regex *re = regex_new(pattern, len, &err);
    if (!re) {
        // Without a column the pattern is not at fault: memory ran out.
        if (err.col == 0 && p->rc == 0)
            p->rc = -ENOMEM;
        char hint[64];
        snprintf(hint, sizeof(hint), "at character %d of the pattern", err.col);
        parser_fail(
            p, "T108", p->tok.start, p->tok.end, hint, "bad regular expression: %s", err.msg);
        return NULL;
    }
    r->regexes[r->n_regexes++] = re;
    return re;
}

static struct matcher *add_matcher(struct parser *p, struct expr *e, size_t *cap)
{
    if (e->n_matchers == *cap) {
        *cap = *cap ? *cap * 2 : 4;
        struct matcher *more = parser_alloc(p, *cap * sizeof(*more));
        if (!more)
            return NULL;
        if (e->n_matchers)
            memcpy(more, e->matchers, e->n_matchers * sizeof(*more));
        e->matchers = more;
    }
    return &e->matchers[e->n_matchers++];
}

static bool metric_name(struct parser *p, struct expr *e, const char *name, size_t *cap)
{
    if (e->name) {
        parser_fail(p, "T107", p->tok.start, p->tok.end, "",
            "the metric name is given twice: `%.60s` and `%.60s`", e->name, name);
        return false;
    }
    struct matcher *m = add_matcher(p, e, cap);
    if (!m)
        return false;
    *m = (struct matcher){.op = MATCH_EQ, .name = LABEL_NAME, .value = name};
    e->name = name;
    return true;
}

static bool matcher(struct parser *p, struct expr *e, size_t *cap)
{
    int start = p->tok.start, name_end = p->tok.end;
    bool quoted = p->tok.kind == TOK_STRING;
    const char *text = quoted ? p->tok.string : NULL;

    if (quoted && (lex_ahead(&p->lex) == ',' || lex_ahead(&p->lex) == '}')) {
        if (!text[0]) {
            parser_fail(p, "T107", start, name_end, "", "the metric name is empty");
            return false;
        }
        return metric_name(p, e, text, cap) && parser_advance(p);
    }
    const char *name = label_name(p);
    if (!name || !parser_advance(p))
        return false;
    enum match_op op = MATCH_EQ;
    switch ((int)p->tok.kind) {
    case TOK_ASSIGN: op = MATCH_EQ; break;
    case TOK_NE: op = MATCH_NE; break;
    case TOK_MATCH_RE: op = MATCH_RE; break;
    case TOK_MATCH_NRE: op = MATCH_NRE; break;
    default: parser_unexpected(p, "one of = != =~ !~"); return false;
    }
    if (!parser_advance(p))
        return false;
    if (p->tok.kind != TOK_STRING) {
        parser_unexpected(p, "a value in quotes");
        return false;
    }
    if (e->name && !strcmp(name, LABEL_NAME)) {
        parser_fail(p, "T107", start, p->tok.end, "",
            "the metric name is given twice: `%.60s` and `%.60s`", e->name, p->tok.string);
        return false;
    }
    struct matcher m = {.op = op, .name = name, .value = p->tok.string};
    if (op == MATCH_RE || op == MATCH_NRE) {
        m.re = compile(p, p->tok.string, p->tok.string_len);
        if (!m.re)
            return false;
    }
    struct matcher *slot = add_matcher(p, e, cap);
    if (!slot)
        return false;
    *slot = m;
    return parser_advance(p);
}

struct expr *parse_selector(struct parser *p)
{
    struct expr *e = parser_node(p, EXPR_SELECTOR, p->tok.start);
    size_t cap = 0;

    if (!e)
        return NULL;
    e->slot = p->root->n_slots++;
    if (p->tok.kind != TOK_LBRACE) {
        const char *name = word_text(p);
        if (!name || !metric_name(p, e, name, &cap) || !parser_advance(p))
            return NULL;
    }
    if (p->tok.kind == TOK_LBRACE) {
        if (!parser_advance(p))
            return NULL;
        while (p->tok.kind != TOK_RBRACE) {
            if (!matcher(p, e, &cap))
                return NULL;
            if (p->tok.kind == TOK_RBRACE)
                break;
            if (!parser_expect(p, TOK_COMMA, "`,` or `}`"))
                return NULL;
        }
        if (!parser_advance(p))
            return NULL;
    }
    e->end = p->last_end;
    return check_node(p, e) ? e : NULL;
}

// --- behind an expression --------------------------------------------------------------------
static const char DURATION_HINT[] = "write a constant, e.g. 5m";

static bool arithmetic_ahead(const struct parser *p)
{
    return p->tok.kind == TOK_ADD || p->tok.kind == TOK_SUB || p->tok.kind == TOK_MUL ||
           p->tok.kind == TOK_DIV || p->tok.kind == TOK_MOD || p->tok.kind == TOK_POW;
}

static void refuse_arithmetic(struct parser *p)
{
    parser_fail(p, "T302", p->tok.start, p->tok.end, DURATION_HINT,
        "arithmetic in durations is experimental and not supported yet");
}

// A duration, or since Prometheus 3 a number of seconds.
static bool duration(struct parser *p, bool negative, int64_t *ret)
{
    bool call =
        p->tok.kind == TOK_LPAREN || (p->tok.kind == TOK_WORD && lex_ahead(&p->lex) == '(');
    if (call) {
        refuse_arithmetic(p);
        return false;
    }
    if (p->tok.kind == TOK_DURATION) {
        *ret = p->tok.ms;
    } else if (p->tok.kind == TOK_NUMBER) {
        double v = p->tok.number * 1000;
        // As far as nanoseconds in 64 bits reach: about 292 years.
        if (!(fabs(v) < 9.2e12)) {
            parser_fail(p, "T102", p->tok.start, p->tok.end, "", "duration out of range");
            return false;
        }
        *ret = (int64_t)v;
    } else {
        parser_unexpected(p, "a duration, e.g. 5m");
        return false;
    }
    if (negative)
        *ret = -*ret;
    return parser_advance(p);
}

static bool positive(struct parser *p, int start, int64_t ms)
{
    if (ms > 0)
        return true;
    parser_fail(p, "T102", start, p->last_end, "", "a range or step must be longer than 0");
    return false;
}

static bool refuse_modifier(struct parser *p)
{
    if (!parser_word(p, "anchored") && !parser_word(p, "smoothed"))
        return true;
    parser_fail(p, "T302", p->tok.start, p->tok.end, "",
        "`%.*s` is experimental and not supported yet", p->tok.end - p->tok.start,
        p->lex.text + p->tok.start);
    return false;
}

static struct expr *brackets(struct parser *p, struct expr *operand)
{
    struct expr *e = parser_node(p, EXPR_MATRIX, operand->start);
    if (!e)
        return NULL;
    e->lhs = operand;
    p->lex.brackets = true;
    if (!parser_advance(p))
        return NULL;
    int start = p->tok.start;
    if (p->tok.kind == TOK_SUB || p->tok.kind == TOK_ADD) {
        refuse_arithmetic(p);
        return NULL;
    }
    if (!duration(p, false, &e->range_ms) || !positive(p, start, e->range_ms))
        return NULL;
    if (p->tok.kind == TOK_COLON) {
        e->kind = EXPR_SUBQUERY;
        if (!parser_advance(p))
            return NULL;
        start = p->tok.start;
        if (p->tok.kind != TOK_RBRACKET &&
            (!duration(p, false, &e->step_ms) || !positive(p, start, e->step_ms)))
            return NULL;
    }
    if (arithmetic_ahead(p)) {
        refuse_arithmetic(p);
        return NULL;
    }
    p->lex.brackets = false;
    if (!parser_expect(p, TOK_RBRACKET, e->kind == EXPR_MATRIX ? "`:` or `]`" : "`]`"))
        return NULL;
    e->end = p->last_end;
    return check_node(p, e) ? e : NULL;
}

// Where offset and @ of an expression are kept: the selector, or the subquery itself.
static struct expr *modified(struct parser *p, struct expr *e, int start, const char *what)
{
    if (e->kind == EXPR_MATRIX)
        return e->lhs;
    if (e->kind == EXPR_SELECTOR || e->kind == EXPR_SUBQUERY)
        return e;
    parser_fail(p, "T109", start, p->last_end, "put it inside, right behind the selector",
        "`%s` can only stand behind a selector or a subquery", what);
    return NULL;
}

static bool offset(struct parser *p, struct expr *e)
{
    int start = p->tok.start;
    int64_t ms;

    if (!parser_advance(p))
        return false;
    bool negative = p->tok.kind == TOK_SUB;
    if ((negative || p->tok.kind == TOK_ADD) && !parser_advance(p))
        return false;
    if (!duration(p, negative, &ms))
        return false;
    struct expr *at = modified(p, e, start, "offset");
    if (!at)
        return false;
    if (at->offset_given) {
        parser_fail(p, "T109", start, p->last_end, "", "`offset` is given twice");
        return false;
    }
    at->offset_given = true;
    at->offset_ms = ms;
    e->end = p->last_end;
    return true;
}

static bool at_time(struct parser *p, bool negative, int64_t *ret)
{
    if (p->tok.kind != TOK_NUMBER && p->tok.kind != TOK_DURATION) {
        parser_unexpected(p, "a time in seconds, start() or end()");
        return false;
    }
    double ms = p->tok.number * (negative ? -1000.0 : 1000.0);
    if (!(fabs(ms) < 9.2e18)) {
        parser_fail(
            p, "T102", p->tok.start, p->tok.end, "", "the time behind @ is out of range");
        return false;
    }
    *ret = (int64_t)nearbyint(ms);
    return parser_advance(p);
}

static bool at_modifier(struct parser *p, struct expr *e)
{
    int start = p->tok.start;
    enum at_kind kind = AT_TIME;
    int64_t ms = 0;

    if (!parser_advance(p))
        return false;
    if (parser_word(p, "start") || parser_word(p, "end")) {
        kind = parser_word(p, "start") ? AT_START : AT_END;
        if (!parser_advance(p) || !parser_expect(p, TOK_LPAREN, "`()`") ||
            !parser_expect(p, TOK_RPAREN, "`)`"))
            return false;
    } else {
        bool negative = p->tok.kind == TOK_SUB;
        if ((negative || p->tok.kind == TOK_ADD) && !parser_advance(p))
            return false;
        if (!at_time(p, negative, &ms))
            return false;
    }
    struct expr *at = modified(p, e, start, "@");
    if (!at)
        return false;
    if (at->at != AT_NONE) {
        parser_fail(p, "T109", start, p->last_end, "", "`@` is given twice");
        return false;
    }
    at->at = kind;
    at->at_ms = ms;
    e->end = p->last_end;
    return true;
}

struct expr *parse_postfix(struct parser *p, struct expr *e)
{
    while (e && p->rc == 0) {
        bool done = true;
        if (p->tok.kind == TOK_LBRACKET) {
            e = brackets(p, e);
            done = false;
        } else if (parser_word(p, "offset")) {
            done = !offset(p, e);
        } else if (p->tok.kind == TOK_AT) {
            done = !at_modifier(p, e);
        } else if (!refuse_modifier(p)) {
            break;
        }
        if (done)
            break;
    }
    return p->rc ? NULL : e;
}
