// SPDX-License-Identifier: Apache-2.0
// Instant selectors, and the cache of which series a selector chooses.
#include "rules/eval_node.h"
#include <errno.h>
#include <stdlib.h>

// gcc 12's -fanalyzer loses the arrays that selections own, and takes them for leaked.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

struct selections *selections_new(const struct expr_root *x)
{
    struct selections *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->n = x->n_slots;
    s->slot = calloc(s->n ? s->n : 1, sizeof(*s->slot));
    if (!s->slot) {
        free(s);
        return NULL;
    }
    return s;
}

void selections_free(struct selections *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; i < s->n; i++) {
        free(s->slot[i].ids.id);
        free(s->slot[i].labels);
    }
    for (size_t i = 0; i < s->n_compiled; i++) {
        regex_free(s->compiled[i].re);
        free(s->compiled[i].pattern);
    }
    free(s->compiled);
    free(s->slot);
    free(s);
}

int selection_get(struct eval *e, const struct expr *x, const struct selection **ret)
{
    struct selection *s = &e->sel->slot[x->slot];
    uint64_t generation = e->src.generation(e->src.self);
    *ret = s;
    if (s->valid && s->generation == generation)
        return 0;
    s->valid = false;
    s->ids.n = 0;
    int rc = e->src.select(e->src.self, x->matchers, x->n_matchers, &s->ids);
    if (rc < 0)
        return rc;
    if (s->ids.n > s->labels_cap) {
        struct labels *grown = realloc(s->labels, s->ids.cap * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        s->labels = grown;
        s->labels_cap = s->ids.cap;
    }
    for (size_t i = 0; i < s->ids.n; i++)
        s->labels[i] = e->src.labels(e->src.self, s->ids.id[i]);
    s->generation = generation;
    s->valid = true;
    return 0;
}

int64_t eval_time(const struct eval *e, const struct expr *x, int64_t t_ms)
{
    switch (x->at) {
    case AT_TIME: t_ms = x->at_ms; break;
    case AT_START: t_ms = e->start_ms; break;
    case AT_END: t_ms = e->end_ms; break;
    case AT_NONE: break;
    }
    return t_ms - x->offset_ms;
}

bool selector_word(
    const struct eval *e, const struct point *p, bool silent, int64_t at_ms, struct element *el)
{
    if (!p->h && is_stale(p->v))
        return false;
    el->value = p->v;
    el->hist = p->h;
    el->sample_ms = p->t_ms;
    el->state = ELEMENT_VALUE;
    el->silent = silent;
    if (p->t_ms >= at_ms - e->o.lookback_ms + !e->o.compat_2_42)
        return true;
    // Out of sight: gone, unless the source went silent and this was its last word.
    el->state = ELEMENT_NO_DATA;
    return silent;
}

bool selector_element(struct eval *e, uint32_t id, int64_t at_ms, struct element *el)
{
    struct point p, last;
    if (!e->src.latest(e->src.self, id, at_ms, &p))
        return false;
    bool silent = !e->o.parity && e->src.silent(e->src.self, id) &&
                  e->src.latest(e->src.self, id, INT64_MAX, &last) && last.t_ms == p.t_ms;
    return selector_word(e, &p, silent, at_ms, el);
}

static bool detect_hint(struct eval *e, uint32_t id, int64_t at_ms, struct element *el)
{
    struct point p;
    bool seen = e->src.latest(e->src.self, id, el->sample_ms - 1, &p) && p.h &&
                p.t_ms > at_ms - e->o.lookback_ms;
    el->hist = detected_hint(e, seen ? p.h : NULL, el->hist);
    return el->hist != NULL;
}

int eval_selector(struct eval *e, const struct expr *x, int64_t t_ms, struct value *ret)
{
    const struct selection *s;
    int rc = selection_get(e, x, &s);
    if (rc < 0)
        return rc;
    rc = vector_room(e, s->ids.n, &ret->vector);
    if (rc < 0)
        return rc;
    ret->type = TYPE_VECTOR;
    int64_t at = eval_time(e, x, t_ms);
    for (size_t i = 0; i < s->ids.n; i++) {
        struct element el = {.labels = s->labels[i]};
        if (!selector_element(e, s->ids.id[i], at, &el))
            continue;
        if (el.hist && e->hints == HINTS_DETECTED && !detect_hint(e, s->ids.id[i], at, &el))
            return -ENOMEM;
        vector_push(&ret->vector, &el);
    }
    e->samples += ret->vector.n;
    return e->samples > EVAL_SAMPLES_MAX ? -E2BIG : 0;
}
