// SPDX-License-Identifier: Apache-2.0
#include "tests/promqltest/expected.h"
#include "base/num.h"
#include "base/regex.h"
#include <float.h>
#include <math.h>
#include <string.h>

#define TOLERANCE 1e-6

static bool near(double a, double b)
{
    double sum = fabs(a) + fabs(b), diff = fabs(a - b);
    if (is_stale(a) || is_stale(b))
        return is_stale(a) && is_stale(b);
    if (isnan(a) && isnan(b))
        return true;
    if (a == b)
        return true;
    if (a == 0 || b == 0 || sum < DBL_MIN)
        return diff < TOLERANCE * DBL_MIN;
    return diff / fmin(sum, DBL_MAX) < TOLERANCE;
}

static bool sides_near(const struct histogram_side *a, const struct histogram_side *b)
{
    if (a->n != b->n)
        return false;
    for (uint32_t i = 0; i < a->n; i++)
        if (a->index[i] != b->index[i] || !near(a->count[i], b->count[i]))
            return false;
    return true;
}

static bool histograms_near(const struct series_value *expected, const struct histogram *is)
{
    const struct histogram *e = expected->h;
    return e->schema == is->schema && near(e->count, is->count) && near(e->sum, is->sum) &&
           histogram_bounds_equal(e, is) && e->zero_threshold == is->zero_threshold &&
           near(e->zero_count, is->zero_count) && sides_near(&e->positive, &is->positive) &&
           sides_near(&e->negative, &is->negative) &&
           (!expected->hint_given || e->hint == is->hint);
}

static void print_value(double v, const struct histogram *h, struct buf *out)
{
    char text[NUM_TEXT_MAX];
    if (h)
        series_histogram_print(h, out);
    else
        buf_add(out, text, num_short(v, text));
}

static bool differs(const struct labels *l, const struct series_value *expected, double v,
    const struct histogram *h, struct buf *why)
{
    labels_print(l, why);
    buf_adds(why, " is ");
    print_value(v, h, why);
    buf_adds(why, ", expected ");
    print_value(expected->v, expected->h, why);
    return false;
}

static bool value_near(const struct labels *l, const struct series_value *expected, double v,
    const struct histogram *h, struct buf *why)
{
    if (!expected->h != !h)
        return differs(l, expected, v, h, why);
    return (h ? histograms_near(expected, h) : near(expected->v, v)) ||
           differs(l, expected, v, h, why);
}

static size_t find(const struct command *c, const struct labels *l)
{
    // The last of equals, as the later line replaces the earlier.
    for (size_t i = c->n_series; i-- > 0;)
        if (labels_equal(&c->series[i].labels, l))
            return i;
    return c->n_series;
}

static bool unexpected(const struct labels *l, struct buf *why)
{
    labels_print(l, why);
    buf_adds(why, " is not expected");
    return false;
}

static bool all_found(const struct command *c, const bool *found, struct buf *why)
{
    for (size_t i = 0; i < c->n_series; i++) {
        if (found[i] || find(c, &c->series[i].labels) != i)
            continue;
        labels_print(&c->series[i].labels, why);
        buf_adds(why, " is missing");
        return false;
    }
    return true;
}

#define SERIES_MAX 4096

static bool expected_vector(const struct command *c, const struct vector *v, struct buf *why)
{
    bool found[SERIES_MAX] = {false};
    size_t position = 0;
    if (c->n_series > SERIES_MAX)
        return false;
    for (size_t i = 0; i < v->n; i++) {
        const struct element *e = &v->e[i];
        if (e->state != ELEMENT_VALUE)
            continue;
        size_t at = find(c, &e->labels);
        if (at == c->n_series || !c->series[at].values.n)
            return unexpected(&e->labels, why);
        if (command_expects(c, EXPECT_ORDERED) && at != position) {
            labels_print(&e->labels, why);
            buf_addf(why, " is number %zu, expected number %zu", position + 1, at + 1);
            return false;
        }
        position++;
        found[at] = true;
        if (!value_near(&e->labels, &c->series[at].values.v[0], e->value, e->hist, why))
            return false;
    }
    return all_found(c, found, why);
}

bool expected_value(const struct command *c, const struct value *v, struct buf *why)
{
    struct labels none = {0};
    struct series_value scalar = {.v = c->scalar};
    switch (v->type) {
    case TYPE_SCALAR:
        if (!c->expects_scalar) {
            buf_adds(why, "the result is a scalar");
            return false;
        }
        return value_near(&none, &scalar, v->scalar, NULL, why);
    case TYPE_STRING:
        if (c->string && !strcmp(c->string, v->string))
            return true;
        buf_addf(why, "the result is \"%s\", expected \"%s\"", v->string,
            c->string ? c->string : "");
        return false;
    case TYPE_VECTOR:
    case TYPE_MATRIX: break;
    }
    if (c->expects_scalar) {
        buf_adds(why, "the result is a vector, expected a scalar");
        return false;
    }
    return expected_vector(c, &v->vector, why);
}

static bool expected_row(const struct command *c, const struct script_series *s,
    const struct row *row, struct buf *why)
{
    size_t k = 0;
    for (size_t i = 0; i < s->values.n; i++) {
        const struct series_value *v = &s->values.v[i];
        int64_t t_ms = c->start_ms + (int64_t)i * c->step_ms;
        if (v->omitted)
            continue;
        if (k == row->n || row->p[k].t_ms != t_ms) {
            labels_print(&row->labels, why);
            buf_addf(why, " has no sample at %lld ms", (long long)t_ms);
            return false;
        }
        if (!value_near(&row->labels, v, row->p[k].v, row->p[k].h, why)) {
            buf_addf(why, " at %lld ms", (long long)t_ms);
            return false;
        }
        k++;
    }
    if (k == row->n)
        return true;
    labels_print(&row->labels, why);
    buf_addf(why, " has a sample at %lld ms that is not expected", (long long)row->p[k].t_ms);
    return false;
}

bool expected_rows(const struct command *c, const struct row *rows, size_t n, struct buf *why)
{
    bool found[SERIES_MAX] = {false};
    if (c->n_series > SERIES_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        size_t at = find(c, &rows[i].labels);
        if (at == c->n_series)
            return unexpected(&rows[i].labels, why);
        found[at] = true;
        if (!expected_row(c, &c->series[at], &rows[i], why))
            return false;
    }
    return all_found(c, found, why);
}

static bool matches(const struct expectation *x, const char *text)
{
    struct regex_span spans[REGEX_GROUPS_MAX];
    struct err err;
    if (x->match == MATCH_ANY)
        return true;
    if (x->match == MATCH_MESSAGE)
        return !strcmp(x->text, text);
    struct regex *re = regex_new(x->text, strlen(x->text), &err);
    bool hit = re && regex_search(re, text, strlen(text), 0, spans, REGEX_GROUPS_MAX) > 0;
    regex_free(re);
    return hit;
}

bool expected_failure(const struct command *c, const char *message, bool *ret_wording)
{
    bool any = false;
    *ret_wording = true;
    for (size_t i = 0; i < c->n_expect; i++) {
        if (c->expect[i].kind != EXPECT_FAIL)
            continue;
        any = true;
        *ret_wording &= matches(&c->expect[i], message);
    }
    return any;
}

// Every expectation has an annotation and, when there are expectations, every annotation one.
static bool kind_expected(const struct command *c, const struct annotations *as,
    enum annotation_kind kind, const char *text, struct buf *why)
{
    bool warning = kind == ANNOTATION_WARNING;
    enum expect_kind wanted = warning ? EXPECT_WARN : EXPECT_INFO;
    bool none = command_expects(c, warning ? EXPECT_NO_WARN : EXPECT_NO_INFO);
    bool any = command_expects(c, wanted), ok = true;
    struct buf one;
    buf_init(&one, 1u << 16);
    for (size_t i = 0; ok && i < as->n; i++) {
        bool hit = !any;
        if (as->a[i].kind != kind)
            continue;
        buf_reset(&one);
        annotation_print(&as->a[i], text, &one);
        for (size_t k = 0; !hit && k < c->n_expect; k++)
            hit = c->expect[k].kind == wanted && matches(&c->expect[k], buf_cstr(&one));
        ok = hit && !none;
        if (!ok)
            buf_addf(why, "not expected: %s", buf_cstr(&one));
    }
    for (size_t k = 0; ok && k < c->n_expect; k++) {
        bool hit = false;
        if (c->expect[k].kind != wanted)
            continue;
        for (size_t i = 0; !hit && i < as->n; i++) {
            if (as->a[i].kind != kind)
                continue;
            buf_reset(&one);
            annotation_print(&as->a[i], text, &one);
            hit = matches(&c->expect[k], buf_cstr(&one));
        }
        ok = hit;
        if (!ok)
            buf_addf(why, "missing: %s %s", warning ? "warning" : "info",
                c->expect[k].text ? c->expect[k].text : "");
    }
    buf_done(&one);
    return ok;
}

bool expected_annotations(
    const struct command *c, const struct annotations *as, const char *text, struct buf *why)
{
    return !as->failed && kind_expected(c, as, ANNOTATION_WARNING, text, why) &&
           kind_expected(c, as, ANNOTATION_INFO, text, why);
}
