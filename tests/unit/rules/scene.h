// SPDX-License-Identifier: Apache-2.0
/*
 * What tests of the evaluator share: series named as PromQL writes them, one expression at one
 * instant, and its result as text:
 *
 *     struct scene s;
 *     scene_open(&s);
 *     scene_put(&s, "x{a=\"1\"}", 1000, 5);
 *     scene_silence(&s, "y");
 *     check(&s, "x > 3 or y", "x{a=\"1\"} 5; y ?7");
 *
 * An element prints as labels and value, "?value" when it is NO_DATA; filtered ones are left out
 * unless s.show_filtered, then they are "!value"; with s.show_silent a value that is but a last word
 * is "~value". Elements are sorted by their text.
 */
#pragma once
#include "rules/eval.h"
#include "rules/memory_source.h"
#include "rules/parse.h"
#include "tests/lib/run.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scene {
    struct memory_source *m;
    struct source src;
    struct eval_options o;
    struct eval *e;
    struct buf out;
    int64_t t_ms; // of check()
    bool show_filtered, show_silent;
};

static inline void scene_open(struct scene *s)
{
    *s = (struct scene){.m = memory_source_new(), .t_ms = 10000};
    CU_ASSERT_FATAL(s->m != NULL);
    s->src = memory_source_interface(s->m);
    buf_init(&s->out, 1u << 20);
}

static inline void scene_close(struct scene *s)
{
    eval_free(s->e);
    memory_source_free(s->m);
    buf_done(&s->out);
}

static inline void scene_parse(struct arena *a, const char *text, struct expr_root *ret)
{
    struct parse_error pe;
    arena_init(a, 0);
    if (expr_parse(text, strlen(text), a, ret, &pe) != 0) {
        printf("%s: %s %s\n", text, pe.code, pe.msg);
        CU_FAIL_FATAL("an expression of the test is not PromQL");
    }
}

static inline uint32_t scene_series(struct scene *s, const char *selector)
{
    struct arena a;
    struct expr_root x;
    struct label pair[16];
    struct labels l;
    uint32_t id = 0;
    scene_parse(&a, selector, &x);
    for (size_t i = 0; i < x.root->n_matchers && i < 16; i++)
        pair[i] = (struct label){x.root->matchers[i].name, x.root->matchers[i].value};
    CU_ASSERT_FATAL(labels_make(&a, pair, x.root->n_matchers, &l));
    CU_ASSERT_EQUAL_FATAL(memory_source_series(s->m, &l, &id), 0);
    expr_done(&x);
    arena_done(&a);
    return id;
}

static inline void scene_put(struct scene *s, const char *selector, int64_t t_ms, double v)
{
    memory_source_add(s->m, scene_series(s, selector), t_ms, v, NULL);
}

static inline void scene_put_histogram(
    struct scene *s, const char *selector, int64_t t_ms, const struct histogram *h)
{
    memory_source_add(s->m, scene_series(s, selector), t_ms, 0, h);
}

static inline void scene_silence(struct scene *s, const char *selector)
{
    memory_source_silence(s->m, scene_series(s, selector), true);
}

static inline int scene_by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// The result, or the error text. Valid until the next call.
static inline const char *scene_eval(struct scene *s, const char *text)
{
    struct arena a;
    struct expr_root x;
    struct value v;
    struct err err = {0};
    char *line[64] = {NULL};
    size_t n = 0;
    scene_parse(&a, text, &x);
    if (!s->e)
        s->e = eval_new(&s->src, &s->o);
    eval_reset(s->e);
    buf_reset(&s->out);
    int rc = eval_instant(s->e, &x, NULL, s->t_ms, &v, &err);
    if (rc < 0) {
        buf_addf(&s->out, "%s", err.msg);
    } else if (v.type == TYPE_SCALAR) {
        buf_addf(&s->out, "%s%.10g", v.no_data ? "?" : "", isnan(v.scalar) ? NAN : v.scalar);
    } else {
        for (size_t i = 0; i < v.vector.n && n < 64; i++) {
            const struct element *el = &v.vector.e[i];
            struct buf b;
            if (el->state == ELEMENT_FILTERED && !s->show_filtered)
                continue;
            buf_init(&b, 65536);
            labels_print(&el->labels, &b);
            buf_addf(&b, " %s",
                el->state == ELEMENT_NO_DATA    ? "?"
                : el->state == ELEMENT_FILTERED ? "!"
                : s->show_silent && el->silent  ? "~"
                                                : "");
            if (el->hist)
                buf_addf(&b, "hist(%.10g, %.10g)", el->hist->count, el->hist->sum);
            else
                buf_addf(&b, "%.10g", isnan(el->value) ? NAN : el->value);
            line[n++] = strdup(buf_cstr(&b));
            buf_done(&b);
        }
        qsort(line, n, sizeof(*line), scene_by_text);
        for (size_t i = 0; i < n; i++) {
            buf_addf(&s->out, "%s%s", i ? "; " : "", line[i]);
            free(line[i]);
        }
    }
    expr_done(&x);
    arena_done(&a);
    return buf_cstr(&s->out);
}

#define check(s, text, expected)                                                               \
    do {                                                                                       \
        const char *got_ = scene_eval(s, text);                                                \
        if (strcmp(got_, expected) != 0)                                                       \
            printf("%s:%d: %s = %s, not %s\n", __FILE__, __LINE__, text, got_, expected);      \
        CU_ASSERT_STRING_EQUAL(got_, expected);                                                \
    } while (0)
