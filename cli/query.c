// SPDX-License-Identifier: Apache-2.0
// `tocsin query EXPR`: one line per series; with --range a sparkline, lowest, highest and last.
#include "base/num.h"
#include "base/when.h"
#include "cli/client.h"
#include "cli/text.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SPARK_CELLS 60

// A PromQL selector: the name in front, then the other labels.
static void add_metric(struct table *t, const cJSON *metric)
{
    static const char *const SKIP[] = {"__name__", NULL};
    struct buf b;
    const char *name = json_text(metric, "__name__");
    buf_init(&b, 1u << 20);
    buf_adds(&b, name);
    if (cJSON_GetArraySize(metric) > (name[0] != '\0') || !name[0])
        json_labels(metric, SKIP, &b);
    table_cell(t, TEXT_PLAIN, buf_cstr(&b));
    buf_done(&b);
}

// The text of [time, "value"].
static const char *sample_text(const cJSON *pair)
{
    const cJSON *v = cJSON_GetArrayItem(pair, 1);
    return cJSON_IsString(v) ? v->valuestring : "";
}

static double sample_number(const cJSON *pair)
{
    double v = NAN;
    const char *text = sample_text(pair);
    return num_parse(text, strlen(text), &v) ? v : NAN;
}

static void add_histogram(struct table *t, const cJSON *pair)
{
    const cJSON *h = cJSON_GetArrayItem(pair, 1);
    char text[160];
    snprintf(text, sizeof(text), "count %.60s, sum %.60s, %d buckets", json_text(h, "count"),
        json_text(h, "sum"),
        cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(h, "buckets")));
    table_cell(t, TEXT_PLAIN, text);
}

static int by_text(const void *a, const void *b)
{
    const cJSON *const *x = a, *const *y = b;
    struct buf p, q;
    buf_init(&p, 1u << 20);
    buf_init(&q, 1u << 20);
    json_labels(cJSON_GetObjectItemCaseSensitive(*x, "metric"), NULL, &p);
    json_labels(cJSON_GetObjectItemCaseSensitive(*y, "metric"), NULL, &q);
    int order = strcmp(buf_cstr(&p), buf_cstr(&q));
    buf_done(&p);
    buf_done(&q);
    return order;
}

// The series in the order they are shown; sort() and topk() keep the collector's. NULL: no memory.
static const cJSON **series(const cJSON *result, bool sorted, size_t *ret_n)
{
    const cJSON *one;
    size_t n = 0;
    const cJSON **list = calloc((size_t)cJSON_GetArraySize(result) + 1, sizeof(*list));
    if (!list)
        return NULL;
    cJSON_ArrayForEach(one, result) list[n++] = one;
    if (sorted)
        qsort(list, n, sizeof(*list), by_text);
    *ret_n = n;
    return list;
}

static bool show_vector(const struct cli *c, const cJSON *result)
{
    static const char *const HEADINGS[] = {"SERIES", "VALUE"};
    struct table t;
    size_t n = 0;
    const cJSON **list = series(result, false, &n);
    table_init(&t, HEADINGS, 2);
    for (size_t i = 0; i < n; i++) {
        const cJSON *h = cJSON_GetObjectItemCaseSensitive(list[i], "histogram");
        add_metric(&t, cJSON_GetObjectItemCaseSensitive(list[i], "metric"));
        if (h)
            add_histogram(&t, h);
        else
            table_cell(
                &t, TEXT_BOLD, sample_text(cJSON_GetObjectItemCaseSensitive(list[i], "value")));
    }
    bool printed = list && table_print(&t, 0, c->color, c->out);
    table_done(&t);
    free(list);
    return printed;
}

struct span {
    double start_s, end_s;
};

// Each cell of the sparkline is the highest sample of its part of the span: a spike is never lost.
static void add_spark(struct table *t, const cJSON *values, const struct span *s)
{
    double cell[SPARK_CELLS], low = INFINITY, high = -INFINITY;
    char text[NUM_TEXT_MAX];
    const cJSON *pair, *last = NULL;
    for (size_t i = 0; i < SPARK_CELLS; i++)
        cell[i] = NAN;
    cJSON_ArrayForEach(pair, values)
    {
        const cJSON *time = cJSON_GetArrayItem(pair, 0);
        double v = sample_number(pair),
               at = cJSON_IsNumber(time) ? time->valuedouble : s->start_s;
        double place = (at - s->start_s) / (s->end_s - s->start_s) * (SPARK_CELLS - 1);
        last = pair;
        if (!isfinite(v))
            continue;
        low = fmin(low, v);
        high = fmax(high, v);
        if (place >= 0 && place < SPARK_CELLS)
            cell[(int)place] =
                fmax(cell[(int)place], v); // fmax ignores the NaN of an empty cell
    }
    struct buf spark;
    buf_init(&spark, 8 * SPARK_CELLS);
    text_spark(cell, SPARK_CELLS, &spark);
    table_cell(t, TEXT_GOOD, buf_cstr(&spark));
    buf_done(&spark);
    text[num_short(low, text)] = '\0';
    table_cell(t, TEXT_PLAIN, isfinite(low) ? text : "–");
    text[num_short(high, text)] = '\0';
    table_cell(t, TEXT_PLAIN, isfinite(high) ? text : "–");
    table_cell(t, TEXT_BOLD, last ? sample_text(last) : "–");
}

static bool show_matrix(const struct cli *c, const cJSON *result, const struct span *s)
{
    static const char *const HEADINGS[] = {"SERIES", "", ">LOW", ">HIGH", ">LAST"};
    struct table t;
    size_t n = 0;
    const cJSON **list = series(result, true, &n);
    table_init(&t, HEADINGS, 5);
    for (size_t i = 0; i < n; i++) {
        add_metric(&t, cJSON_GetObjectItemCaseSensitive(list[i], "metric"));
        add_spark(&t, cJSON_GetObjectItemCaseSensitive(list[i], "values"), s);
    }
    bool printed = list && table_print(&t, 0, c->color, c->out);
    table_done(&t);
    free(list);
    return printed;
}

// `x[1m]` asked at one instant: the raw samples, one line each.
static bool show_samples(const struct cli *c, const cJSON *result)
{
    static const char *const HEADINGS[] = {"SERIES", "TIME", "VALUE"};
    struct table t;
    const cJSON *one, *pair;
    table_init(&t, HEADINGS, 3);
    cJSON_ArrayForEach(one, result)
    {
        const cJSON *values = cJSON_GetObjectItemCaseSensitive(one, "values");
        cJSON_ArrayForEach(pair, values)
        {
            char clock[WHEN_TEXT_MAX];
            const cJSON *time = cJSON_GetArrayItem(pair, 0);
            double at = cJSON_IsNumber(time) ? time->valuedouble : 0;
            add_metric(&t, cJSON_GetObjectItemCaseSensitive(one, "metric"));
            table_cell(&t, TEXT_DIM,
                fabs(at) < 1e12 ? when_clock((int64_t)llround(at * 1000), clock) : "–");
            table_cell(&t, TEXT_BOLD, sample_text(pair));
        }
    }
    bool printed = table_print(&t, 0, c->color, c->out);
    table_done(&t);
    return printed;
}

static int show(
    const struct cli *c, const cJSON *data, const struct span *span, struct err *err)
{
    const char *type = json_text(data, "resultType");
    const cJSON *result = cJSON_GetObjectItemCaseSensitive(data, "result");
    bool printed = true;
    if (c->json) {
        char *text = cJSON_Print(data);
        printed = text && fprintf(c->out, "%s\n", text) > 0;
        cJSON_free(text);
    } else if (strcmp(type, "scalar") == 0 || strcmp(type, "string") == 0) {
        struct buf b;
        buf_init(&b, 1u << 20);
        text_clean(sample_text(result), &b);
        fprintf(c->out, "%s\n", buf_cstr(&b));
        buf_done(&b);
    } else if (cJSON_GetArraySize(result) == 0) {
        fputs("nothing matches\n", c->out);
    } else if (strcmp(type, "vector") == 0) {
        printed = show_vector(c, result);
    } else {
        printed = span->end_s > span->start_s ? show_matrix(c, result, span)
                                              : show_samples(c, result);
    }
    if (printed)
        return CLI_YES;
    err_set(err, "out of memory");
    return CLI_NO;
}

static bool parse_time(const char *text, double *ret_s)
{
    int64_t ms;
    if (when_parse(text, &ms)) {
        *ret_s = (double)ms / 1000;
        return true;
    }
    return num_parse(text, strlen(text), ret_s) && *ret_s >= 0 && *ret_s < 1e11;
}

int query_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    const char *range = a->option[0], *time = a->option[1];
    struct span span = {0};
    int64_t range_ms = 0;
    double at = 0;
    char number[40];
    if (time && !parse_time(time, &at)) {
        err_set(err, "--time %s: neither seconds since 1970 nor 2026-11-25T04:20:00Z", time);
        return CLI_USAGE;
    }
    if (range && (!duration_parse(range, strlen(range), &range_ms) || range_ms < 1000)) {
        err_set(err, "--range %s: not a duration of a second or more, e.g. 10m", range);
        return CLI_USAGE;
    }
    struct buf path;
    buf_init(&path, 1u << 20);
    buf_adds(&path, range ? "/api/v1/query_range" : "/api/v1/query");
    client_param(&path, "query", a->words[0]);
    if (range) {
        span.end_s = time ? at : (double)when_now_ms() / 1000;
        span.start_s = span.end_s - (double)range_ms / 1000;
        // Four samples for each cell of the sparkline, at most one a second.
        int64_t step_ms = range_ms / (4 * SPARK_CELLS);
        snprintf(number, sizeof(number), "%.3f", span.start_s);
        client_param(&path, "start", number);
        snprintf(number, sizeof(number), "%.3f", span.end_s);
        client_param(&path, "end", number);
        snprintf(
            number, sizeof(number), "%.3f", (double)(step_ms > 1000 ? step_ms : 1000) / 1000);
        client_param(&path, "step", number);
    } else if (time) {
        snprintf(number, sizeof(number), "%.3f", at);
        client_param(&path, "time", number);
    }
    cJSON *doc = NULL;
    const cJSON *data;
    int rc = client_get(c, buf_cstr(&path), &doc, &data, err);
    if (rc == CLI_YES)
        rc = show(c, data, &span, err);
    cJSON_Delete(doc);
    buf_done(&path);
    return rc;
}
