// SPDX-License-Identifier: Apache-2.0
// query and query_range, in the JSON Prometheus writes: times as seconds with at most three
// decimals, values as strings, a native histogram as count, sum and its buckets that hold something.
#include "base/num.h"
#include "collector/api.h"
#include "rules/eval.h"
#include "rules/parse.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void add_time(int64_t t_ms, struct buf *out)
{
    int64_t s = t_ms / 1000, rest = t_ms % 1000;
    if (t_ms < 0) {
        buf_addc(out, '-');
        s = -s;
        rest = -rest;
    }
    buf_addf(out, "%" PRId64, s);
    if (rest)
        buf_addf(out, ".%03" PRId64, rest);
}

void api_number(double v, struct buf *out)
{
    char text[NUM_FIXED_MAX];
    double a = fabs(v);
    // As Prometheus: plain digits unless they would be many zeros.
    size_t n = isfinite(v) && a != 0 && (a < 1e-6 || a >= 1e21) ? num_short(v, text)
                                                                : num_fixed(v, text);
    buf_addc(out, '"');
    buf_add(out, text, n);
    buf_addc(out, '"');
}

void api_sample_json(int64_t t_ms, double v, struct buf *out)
{
    buf_addc(out, '[');
    add_time(t_ms, out);
    buf_addc(out, ',');
    api_number(v, out);
    buf_addc(out, ']');
}

// rule: 0 = (lower, upper], 1 = [lower, upper), 3 = [lower, upper]
static void add_bucket(
    int rule, double lower, double upper, double count, bool *first, struct buf *out)
{
    if (count == 0)
        return;
    buf_adds(out, *first ? ",\"buckets\":[" : ",");
    *first = false;
    buf_addf(out, "[%d,", rule);
    api_number(lower, out);
    buf_addc(out, ',');
    api_number(upper, out);
    buf_addc(out, ',');
    api_number(count, out);
    buf_addc(out, ']');
}

void api_histogram_json(int64_t t_ms, const struct histogram *h, struct buf *out)
{
    double lower, upper;
    bool first = true;
    buf_addc(out, '[');
    add_time(t_ms, out);
    buf_adds(out, ",{\"count\":");
    api_number(h->count, out);
    buf_adds(out, ",\"sum\":");
    api_number(h->sum, out);
    for (uint32_t i = h->negative.n; i--;) {
        histogram_bounds(h, h->negative.index[i], &lower, &upper);
        add_bucket(1, -upper, -lower, h->negative.count[i], &first, out);
    }
    add_bucket(3, -h->zero_threshold, h->zero_threshold, h->zero_count, &first, out);
    for (uint32_t i = 0; i < h->positive.n; i++) {
        histogram_bounds(h, h->positive.index[i], &lower, &upper);
        bool lowest = h->schema == HISTOGRAM_CUSTOM && h->positive.index[i] == 0;
        add_bucket(lowest ? 3 : 0, lower, upper, h->positive.count[i], &first, out);
    }
    buf_adds(out, first ? "}]" : "]}]");
}

static void add_vector(const struct vector *v, int64_t t_ms, struct buf *out)
{
    bool first = true;
    buf_adds(out, "{\"resultType\":\"vector\",\"result\":[");
    for (size_t i = 0; i < v->n; i++) {
        const struct element *e = &v->e[i];
        if (e->state != ELEMENT_VALUE)
            continue;
        if (!first)
            buf_addc(out, ',');
        first = false;
        buf_adds(out, "{\"metric\":");
        labels_json(&e->labels, out);
        buf_adds(out, e->hist ? ",\"histogram\":" : ",\"value\":");
        if (e->hist)
            api_histogram_json(t_ms, e->hist, out);
        else
            api_sample_json(t_ms, e->value, out);
        buf_addc(out, '}');
    }
    buf_adds(out, "]}");
}

int api_value_json(const struct value *v, int64_t t_ms, struct buf *out)
{
    switch (v->type) {
    case TYPE_VECTOR: add_vector(&v->vector, t_ms, out); break;
    case TYPE_SCALAR:
        buf_adds(out, "{\"resultType\":\"scalar\",\"result\":");
        api_sample_json(t_ms, v->scalar, out);
        buf_addc(out, '}');
        break;
    case TYPE_STRING:
        buf_adds(out, "{\"resultType\":\"string\",\"result\":[");
        add_time(t_ms, out);
        buf_addc(out, ',');
        buf_add_json(out, v->string, strlen(v->string));
        buf_adds(out, "]}");
        break;
    case TYPE_MATRIX: return -EINVAL; // read from the source, see add_samples
    }
    return out->failed;
}

// One series of a matrix: its floats, then its histograms. Nothing when it has neither.
static void add_row(
    const struct labels *labels, const struct point *p, size_t n, bool *first, struct buf *out)
{
    static const char *const KEY[] = {",\"values\":[", ",\"histograms\":["};
    if (n == 0)
        return;
    if (!*first)
        buf_addc(out, ',');
    *first = false;
    buf_adds(out, "{\"metric\":");
    labels_json(labels, out);
    for (int histograms = 0; histograms < 2; histograms++) {
        bool any = false;
        for (size_t i = 0; i < n; i++) {
            if ((p[i].h != NULL) != (histograms == 1))
                continue;
            buf_adds(out, any ? "," : KEY[histograms]);
            any = true;
            if (p[i].h)
                api_histogram_json(p[i].t_ms, p[i].h, out);
            else
                api_sample_json(p[i].t_ms, p[i].v, out);
        }
        if (any)
            buf_addc(out, ']');
    }
    buf_addc(out, '}');
}

int api_matrix_json(const struct matrix *m, struct buf *out)
{
    bool first = true;
    struct point *p = calloc(m->steps + 1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    buf_adds(out, "{\"resultType\":\"matrix\",\"result\":[");
    for (size_t r = 0; r < m->n; r++) {
        const struct matrix_row *row = &m->rows[r];
        size_t n = 0;
        for (size_t i = 0; i < m->steps; i++) {
            const struct histogram *h = row->h ? row->h[i] : NULL;
            if (!h && double_bits(row->v[i]) == NAN_ABSENT_BITS)
                continue;
            p[n++] = (struct point){m->start_ms + (int64_t)i * m->step_ms, row->v[i], h};
        }
        add_row(&row->labels, p, n, &first, out);
    }
    buf_adds(out, "]}");
    free(p);
    return out->failed;
}

// `x[5m]` as a whole query: the raw samples, stale markers left out.
static int add_samples(const struct source *src, const struct expr *matrix, int64_t t_ms,
    struct request *r, struct buf *out)
{
    const struct expr *sel = matrix->lhs;
    int64_t end = (sel->at == AT_TIME ? sel->at_ms : t_ms) - sel->offset_ms;
    struct series_ids ids = {0};
    struct points points = {0};
    bool first = true;
    size_t total = 0;
    int rc = src->select(src->self, sel->matchers, sel->n_matchers, &ids);

    buf_adds(out, "{\"resultType\":\"matrix\",\"result\":[");
    for (size_t i = 0; i < ids.n && rc == 0; i++) {
        points.n = 0;
        rc = src->range(src->self, ids.id[i], end - matrix->range_ms, end, &points);
        size_t n = 0;
        for (size_t k = 0; k < points.n; k++)
            if (points.p[k].h || !is_stale(points.p[k].v))
                points.p[n++] = points.p[k];
        total += n;
        if (total > EVAL_SAMPLES_MAX)
            rc = -E2BIG;
        struct labels labels = src->labels(src->self, ids.id[i]);
        add_row(&labels, points.p, n, &first, out);
        // The text would be refused anyway: do not keep the shard at it.
        if (out->failed)
            break;
    }
    buf_adds(out, "]}");
    if (rc == -E2BIG)
        api_error(r, 422, "execution",
            "query processing would load too many samples into memory in query execution");
    free(ids.id);
    free(points.p);
    return rc;
}

static const struct expr *unwrap(const struct expr *e)
{
    while (e->kind == EXPR_PAREN)
        e = e->lhs;
    return e;
}

// `x[5m:10s]` as a whole query: its inner expression over a range.
static int add_subquery(struct eval *ev, const struct expr_root *x, const struct expr *sub,
    int64_t t_ms, struct buf *out, struct err *err)
{
    struct expr_root inner = *x;
    struct matrix m;
    int64_t step = sub->step_ms ? sub->step_ms : EVAL_SUBQUERY_STEP_MS;
    int64_t end = (sub->at == AT_TIME ? sub->at_ms : t_ms) - sub->offset_ms;
    int64_t start = (end - sub->range_ms) / step * step;
    if (start <= end - sub->range_ms)
        start += step; // the left boundary is open
    inner.root = sub->lhs;
    int rc = eval_range(ev, &inner, start, end, step, &m, err);
    return rc < 0 ? rc : api_matrix_json(&m, out);
}

// The error of an evaluation as Prometheus's API classes them.
static void eval_failed(struct request *r, int rc, const struct err *err)
{
    if (rc == -ENOMEM)
        api_error(r, 503, "execution", "out of memory");
    else
        api_error(r, 422, "execution", "%s", err->msg[0] ? err->msg : strerror(-rc));
}

static bool parse(struct request *r, struct arena *a, struct expr_root *x)
{
    struct parse_error e = {0};
    const char *text = r->expr ? r->expr : "";
    int rc = strlen(text) > EXPR_TEXT_MAX ? -E2BIG : expr_parse(text, strlen(text), a, x, &e);
    if (rc == 0)
        return true;
    if (rc == -E2BIG)
        api_error(r, 400, "bad_data", "invalid parameter \"query\": longer than %d bytes",
            EXPR_TEXT_MAX);
    else if (rc == -ENOMEM)
        api_error(r, 503, "execution", "out of memory");
    else
        api_error(r, 400, "bad_data", "invalid parameter \"query\": 1:%d: parse error: %s%s%s",
            e.start + 1, e.msg, e.hint[0] ? "; " : "", e.hint);
    return false;
}

void api_query(struct pipeline *p, struct request *r, int64_t now_ms)
{
    struct arena arena;
    struct expr_root x = {0};
    struct err err = {0};
    struct value v;
    struct eval *ev = NULL;
    int64_t t = r->time_ms ? r->time_ms : now_ms;
    int rc = 0;

    arena_init(&arena, 16u << 20);
    if (!parse(r, &arena, &x))
        goto out;
    const struct source *src = pipeline_source(p);
    ev = eval_new(src, &(struct eval_options){0});
    if (!ev) {
        api_error(r, 503, "execution", "out of memory");
        goto out;
    }
    const struct expr *root = unwrap(x.root);
    buf_adds(&r->body, "{\"status\":\"success\",\"data\":");
    if (root->kind == EXPR_MATRIX) {
        rc = add_samples(src, root, t, r, &r->body);
    } else if (root->kind == EXPR_SUBQUERY) {
        rc = add_subquery(ev, &x, root, t, &r->body, &err);
    } else {
        rc = eval_instant(ev, &x, NULL, t, &v, &err);
        if (rc == 0)
            rc = api_value_json(&v, t, &r->body);
    }
    if (rc < 0 && r->http_status == 200 && !r->body.failed)
        eval_failed(r, rc, &err);
    else if (r->http_status == 200)
        buf_addc(&r->body, '}');
out:
    eval_free(ev);
    expr_done(&x);
    arena_done(&arena);
}

void api_query_range(struct pipeline *p, struct request *r)
{
    struct arena arena;
    struct expr_root x = {0};
    struct err err = {0};
    struct matrix m;
    struct eval *ev = NULL;

    arena_init(&arena, 16u << 20);
    if (r->end_ms < r->start_ms) {
        api_error(r, 400, "bad_data",
            "invalid parameter \"end\": end timestamp must not be before start time");
        goto out;
    }
    if (r->step_ms <= 0) {
        api_error(r, 400, "bad_data",
            "invalid parameter \"step\": zero or negative query resolution step widths are not "
            "accepted. Try a positive integer");
        goto out;
    }
    if ((r->end_ms - r->start_ms) / r->step_ms >= EVAL_STEPS_MAX) {
        api_error(r, 400, "bad_data",
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the "
            "query resolution (?step=XX)");
        goto out;
    }
    if (!parse(r, &arena, &x))
        goto out;
    if (x.root->type != TYPE_SCALAR && x.root->type != TYPE_VECTOR) {
        api_error(r, 400, "bad_data",
            "invalid parameter \"query\": invalid expression type \"%s\" for range query, must be "
            "Scalar or instant Vector",
            x.root->type == TYPE_MATRIX ? "range vector" : type_name(x.root->type));
        goto out;
    }
    ev = eval_new(pipeline_source(p), &(struct eval_options){0});
    int rc = ev ? eval_range(ev, &x, r->start_ms, r->end_ms, r->step_ms, &m, &err) : -ENOMEM;
    if (rc == 0) {
        buf_adds(&r->body, "{\"status\":\"success\",\"data\":");
        rc = api_matrix_json(&m, &r->body);
        buf_addc(&r->body, '}');
    }
    if (rc < 0 && !r->body.failed)
        eval_failed(r, rc, &err);
out:
    eval_free(ev);
    expr_done(&x);
    arena_done(&arena);
}
