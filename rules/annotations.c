// SPDX-License-Identifier: Apache-2.0
#include "rules/annotations.h"
#include "base/num.h"
#include "rules/date.h"
#include <stdio.h>
#include <string.h>

#define ANNOTATIONS_MAX_BYTES (1u << 20)

void annotations_init(struct annotations *as)
{
    *as = (struct annotations){0};
    arena_init(&as->arena, ANNOTATIONS_MAX_BYTES);
}

void annotations_done(struct annotations *as)
{
    arena_done(&as->arena);
    *as = (struct annotations){0};
}

void annotations_reset(struct annotations *as)
{
    arena_reset(&as->arena);
    as->a = NULL;
    as->n = as->cap = 0;
    as->failed = false;
}

static void merge(struct monotonicity *into, const struct monotonicity *m)
{
    if (m->first_ms < into->first_ms)
        into->first_ms = m->first_ms;
    if (m->last_ms > into->last_ms)
        into->last_ms = m->last_ms;
    if (m->lowest < into->lowest)
        into->lowest = m->lowest;
    if (m->highest > into->highest)
        into->highest = m->highest;
    if (m->most > into->most)
        into->most = m->most;
    into->samples += m->samples;
}

static struct annotation *grown(struct annotations *as)
{
    if (as->n == as->cap) {
        size_t cap = as->cap ? as->cap * 2 : 8;
        struct annotation *more = arena_alloc(&as->arena, cap * sizeof(*more));
        if (!more)
            return NULL;
        if (as->n)
            memcpy(more, as->a, as->n * sizeof(*more));
        as->a = more;
        as->cap = cap;
    }
    return &as->a[as->n];
}

void annotations_add(struct annotations *as, enum annotation_kind kind, int start,
    const struct monotonicity *forced, const char *fmt, va_list ap)
{
    char text[512];
    vsnprintf(text, sizeof(text), fmt, ap);
    for (size_t i = 0; i < as->n; i++)
        if (as->a[i].kind == kind && !strcmp(as->a[i].text, text)) {
            if (forced)
                merge(&as->a[i].forced, forced);
            return;
        }
    struct annotation *slot = grown(as);
    const char *copy = slot ? arena_strndup(&as->arena, text, strlen(text)) : NULL;
    if (!copy) {
        as->failed = true;
        return;
    }
    *slot = (struct annotation){.kind = kind, .start = start, .text = copy};
    if (forced)
        slot->forced = *forced;
    as->n++;
}

static void print_time(int64_t t_ms, struct buf *out)
{
    struct date d = date_of((double)(t_ms / 1000));
    int second = (int)((t_ms / 1000 % 60 + 60) % 60);
    buf_addf(out, "%04lld-%02d-%02dT%02d:%02d:%02dZ", (long long)d.year, d.month, d.day, d.hour,
        d.minute, second);
}

static void print_monotonicity(const struct monotonicity *m, struct buf *out)
{
    char text[NUM_TEXT_MAX];
    buf_adds(out, ", from buckets ");
    buf_add(out, text, num_short(m->lowest, text));
    buf_adds(out, " to ");
    buf_add(out, text, num_short(m->highest, text));
    buf_addf(out, ", with a max diff of %.2g, over %u samples from ", m->most, m->samples);
    print_time(m->first_ms, out);
    buf_adds(out, " to ");
    print_time(m->last_ms, out);
}

void annotation_print(const struct annotation *a, const char *expression, struct buf *out)
{
    int line = 1, col = 1;
    buf_addf(out, "PromQL %s: %s", a->kind == ANNOTATION_WARNING ? "warning" : "info", a->text);
    if (a->forced.samples)
        print_monotonicity(&a->forced, out);
    for (int i = 0; i < a->start && expression[i]; i++) {
        col++;
        if (expression[i] == '\n') {
            line++;
            col = 1;
        }
    }
    buf_addf(out, " (%d:%d)", line, col);
}
