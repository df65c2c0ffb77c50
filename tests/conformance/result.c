// SPDX-License-Identifier: Apache-2.0
#include "tests/conformance/result.h"
#include "tests/conformance/history.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

void result_add(struct result *r, struct arena *a, const char *labels, size_t len, double v)
{
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 8;
        struct row *grown = arena_alloc(a, cap * sizeof(*grown));
        if (!grown)
            abort();
        if (r->n)
            memcpy(grown, r->row, r->n * sizeof(*grown));
        r->row = grown;
        r->cap = cap;
    }
    const char *copy = arena_strndup(a, labels, len);
    if (!copy)
        abort();
    r->row[r->n++] = (struct row){copy, v};
}

void result_error(struct result *r, struct arena *a, const char *text)
{
    r->error = arena_strndup(a, text, strlen(text));
    if (!r->error)
        abort();
}

void result_of_value(
    struct result *r, struct arena *a, int rc, const struct value *v, const struct err *err)
{
    *r = (struct result){0};
    if (rc < 0) {
        result_error(r, a, err->msg[0] ? err->msg : strerror(-rc));
        return;
    }
    if (v->type == TYPE_SCALAR) {
        result_add(
            r, a, v->no_data ? "?{}" : "{}", v->no_data ? 3 : 2, v->no_data ? 0 : v->scalar);
        return;
    }
    for (size_t i = 0; i < v->vector.n; i++) {
        const struct element *el = &v->vector.e[i];
        struct buf text;
        if (el->state == ELEMENT_FILTERED)
            continue;
        buf_init(&text, 65536);
        if (el->state == ELEMENT_NO_DATA)
            buf_addc(&text, '?');
        labels_print_flat(&el->labels, &text);
        // What a silent source said last is only shown; of several, which one is not said.
        result_add(
            r, a, buf_cstr(&text), text.len, el->state == ELEMENT_NO_DATA ? 0 : el->value);
        buf_done(&text);
    }
    result_sort(r);
}

static int by_labels(const void *a, const void *b)
{
    return strcmp(((const struct row *)a)->labels, ((const struct row *)b)->labels);
}

void result_sort(struct result *r)
{
    if (r->n)
        qsort(r->row, r->n, sizeof(*r->row), by_labels);
}

static bool same_value(double a, double b, double tolerance, double floor)
{
    if (a == b || (isnan(a) && isnan(b)))
        return true;
    double d = fabs(a - b);
    return d <= tolerance * fmax(fabs(a), fabs(b)) || d <= floor;
}

enum verdict result_compare(
    const struct result *a, const struct result *b, double tolerance, double floor)
{
    if (!a->error != !b->error || a->n != b->n)
        return OTHER_PRESENCE;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->row[i].labels, b->row[i].labels) != 0)
            return OTHER_PRESENCE;
    for (size_t i = 0; i < a->n; i++)
        if (!same_value(a->row[i].v, b->row[i].v, tolerance, floor))
            return OTHER_VALUE;
    return SAME;
}

void result_print(const struct result *r, struct buf *out)
{
    if (r->error) {
        buf_addf(out, "error: %s", r->error);
        return;
    }
    if (!r->n)
        buf_adds(out, "nothing");
    for (size_t i = 0; i < r->n; i++)
        buf_addf(out, "%s%s %.17g", i ? ", " : "", r->row[i].labels, r->row[i].v);
}
