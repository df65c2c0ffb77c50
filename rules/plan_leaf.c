// SPDX-License-Identifier: Apache-2.0
// Leaves of a plan: which series they read, who reads a series, and the instant selector.
#include "rules/plan_node.h"
#include <errno.h>
#include <stdlib.h>

int leaf_open(struct plan *p, struct leaf *l)
{
    const struct expr *param, *x = l->n.x;
    l->range = x->kind == EXPR_SELECTOR ? NULL : range_operands(x, &param);
    l->range_ms = l->range ? l->range->range_ms : 0;
    l->selector = l->range ? expr_inner(l->range->lhs) : x;
    l->offset_ms = l->selector->offset_ms;
    l->hears.m = l->selector->matchers;
    l->hears.n = l->selector->n_matchers;
    l->hears.ids = &l->ids;
    return audience_join(&p->audience, &l->hears);
}

void leaf_done(struct leaf *l)
{
    free(l->ids.id);
    free(l->slot);
    free(l->from);
    free(l->n.out.vector.e);
    arena_done(&l->names);
}

size_t leaf_bytes(const struct leaf *l)
{
    return l->ids.cap * sizeof(*l->ids.id) + l->names.used +
           l->room * (sizeof(*l->slot) + sizeof(*l->from) + sizeof(struct element));
}

void leaf_forget(struct leaf *l, uint32_t at)
{
    struct element *el = &l->n.out.vector.e[at];
    el->labels = (struct labels){LABELS_GONE, 0};
    l->gone += !l->slot[at].gone;
    l->slot[at] =
        (struct slot){.due_ms = INT64_MIN, .newest_ms = INT64_MIN, .late = true, .gone = true};
    l->wake_ms = INT64_MIN;
    l->reshaped = true;
}

static struct slot slot_unknown(const struct source *src, uint32_t id)
{
    struct point last;
    double unknown = double_from_bits(NAN_ABSENT_BITS);
    bool some = src->latest(src->self, id, INT64_MAX, &last);
    return (struct slot){.due_ms = INT64_MIN,
        .newest_ms = some ? last.t_ms : INT64_MIN,
        .v = some && !last.h ? last.v : unknown,
        .late = true,
        .came = 2};
}

// A slot of which nothing is known yet; its labels into *ret.
static bool slot_new(const struct source *src, const struct leaf *l, uint32_t id,
    struct arena *names, struct slot *slot, struct labels *ret)
{
    struct labels all = src->labels(src->self, id);
    *slot = slot_unknown(src, id);
    *ret = all.n ? all : (struct labels){LABELS_GONE, 0}; // forgotten before it was looked at
    return l->keep_name || !*labels_get(&all, LABEL_NAME) ||
           labels_drop(names, &all, NULL, 0, true, ret);
}

// The slots for another set of series: what stays moves, what is new has to be made.
static int move(struct plan *p, struct leaf *l, struct series_ids *ids)
{
    const struct source *src = &p->eval->src;
    size_t n = ids->n, room = n ? n : 1, k = 0;
    struct slot *slot = malloc(room * sizeof(*slot));
    uint32_t *from = malloc(room * sizeof(*from));
    struct element *e = calloc(room, sizeof(*e));
    struct arena names;
    arena_init(&names, 0);
    bool ok = slot && from && e;
    for (size_t i = 0; ok && i < n; i++) {
        uint32_t id = ids->id[i];
        while (k < l->ids.n && l->ids.id[k] < id)
            k++;
        bool old = k < l->ids.n && l->ids.id[k] == id;
        if (old)
            e[i] = l->n.out.vector.e[k];
        else
            element_clear(&e[i]);
        ok = slot_new(src, l, id, &names, &slot[i], &e[i].labels);
        from[i] = old ? (uint32_t)k : UINT32_MAX;
        if (old)
            slot[i] = l->slot[k];
    }
    if (!ok) {
        free(slot);
        free(from);
        free(e);
        arena_done(&names);
        return -ENOMEM;
    }
    leaf_done(l);
    l->slot = slot;
    l->from = from;
    l->room = room;
    l->gone = 0;
    l->names = names;
    l->ids = *ids;
    l->n.out.vector = (struct vector){.e = e, .n = n, .cap = room};
    l->n.out.type = TYPE_VECTOR;
    *ids = (struct series_ids){0};
    return 0;
}

static bool grow(struct leaf *l, size_t n)
{
    if (n <= l->room && n <= l->ids.cap)
        return true;
    size_t room = n * 2;
    struct slot *slot = realloc(l->slot, room * sizeof(*slot));
    if (slot)
        l->slot = slot;
    uint32_t *from = realloc(l->from, room * sizeof(*from));
    if (from)
        l->from = from;
    struct element *e = realloc(l->n.out.vector.e, room * sizeof(*e));
    if (e)
        l->n.out.vector.e = e;
    uint32_t *id = realloc(l->ids.id, room * sizeof(*id));
    if (id)
        l->ids.id = id;
    if (!slot || !from || !e || !id)
        return false;
    l->room = l->ids.cap = l->n.out.vector.cap = room;
    return true;
}

// The usual birth: series that are younger than all there are.
static int append(struct plan *p, struct leaf *l)
{
    size_t before = l->ids.n, n = before + l->hears.born.n;
    if (!grow(l, n))
        return -ENOMEM;
    for (size_t i = before; i < n; i++) {
        uint32_t id = l->hears.born.id[i - before];
        struct element *el = &l->n.out.vector.e[i];
        *el = (struct element){0};
        element_clear(el);
        if (!slot_new(&p->eval->src, l, id, &l->names, &l->slot[i], &el->labels))
            return -ENOMEM;
        l->ids.id[i] = id;
    }
    l->ids.n = l->n.out.vector.n = n;
    audience_link(&p->audience, &l->hears, before);
    return 0;
}

static int by_id(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

// Births among the series there are, and those that are gone leave.
static int mix(struct plan *p, struct leaf *l)
{
    struct series_ids ids = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < l->ids.n; i++)
        if (!l->slot[i].gone && !series_ids_add(&ids, l->ids.id[i]))
            rc = -ENOMEM;
    for (size_t i = 0; rc == 0 && i < l->hears.born.n; i++)
        rc = series_ids_add(&ids, l->hears.born.id[i]) ? 0 : -ENOMEM;
    if (rc == 0 && ids.n)
        qsort(ids.id, ids.n, sizeof(*ids.id), by_id);
    if (rc == 0)
        rc = move(p, l, &ids);
    if (rc == 0)
        audience_relink(&p->audience);
    free(ids.id);
    return rc;
}

static int take_in(struct plan *p, struct leaf *l, const uint32_t **from)
{
    const struct series_ids *born = &l->hears.born;
    int rc = plan_check(p, &l->n, l->ids.n + born->n);
    if (rc < 0)
        return rc;
    size_t before = l->ids.n;
    bool younger = !born->n || !before || born->id[0] > l->ids.id[before - 1];
    if (l->hears.mixed || !younger || l->gone > before / 4 + 64) {
        rc = mix(p, l);
    } else {
        rc = append(p, l);
        for (size_t i = 0; rc == 0 && i < l->ids.n; i++)
            l->from[i] = i < before ? (uint32_t)i : UINT32_MAX;
    }
    if (rc < 0)
        return rc;
    l->hears.born.n = 0;
    l->hears.mixed = false;
    *from = l->from;
    return 0;
}

// All series anew: at first, and when samples were missed, so that nothing known is certain.
static int select_anew(struct plan *p, struct leaf *l, const uint32_t **from)
{
    const struct source *src = &p->eval->src;
    struct series_ids ids = {0};
    int rc = src->select(src->self, l->hears.m, l->hears.n, &ids);
    if (rc == 0)
        rc = plan_check(p, &l->n, ids.n);
    if (rc == 0)
        rc = move(p, l, &ids);
    free(ids.id);
    if (rc < 0)
        return rc;
    p->stats.selects++;
    for (size_t i = 0; i < l->ids.n; i++)
        l->slot[i] = slot_unknown(src, l->ids.id[i]);
    l->hears.open = true;
    l->hears.born.n = 0;
    l->hears.mixed = false;
    audience_link(&p->audience, &l->hears, 0);
    *from = l->from;
    return 0;
}

int leaf_select(struct plan *p, struct leaf *l, const uint32_t **from, bool *ret_moved)
{
    *ret_moved = !l->hears.open || l->hears.born.n || l->reshaped;
    if (!*ret_moved)
        return 0;
    int rc = l->hears.open ? take_in(p, l, from) : select_anew(p, l, from);
    if (rc < 0)
        return rc;
    l->reshaped = false;
    l->wake_ms = INT64_MIN;
    return 0;
}

// --- the instant selector ------------------------------------------------------------------------

// When the element has to be looked at again although no sample came.
static int64_t due_again(
    const struct plan *p, const struct leaf *l, uint32_t slot, bool present, int64_t at_ms)
{
    const struct element *el = &l->n.out.vector.e[slot];
    if (l->slot[slot].newest_ms > at_ms || (present && el->hist))
        return INT64_MIN; // one is still to come; a histogram lives only until the next sample
    if (!present || el->state == ELEMENT_NO_DATA)
        return INT64_MAX;
    return el->sample_ms + p->eval->o.lookback_ms + p->eval->o.compat_2_42 + l->offset_ms;
}

static bool look(
    const struct plan *p, struct leaf *l, uint32_t i, int64_t at_ms, struct element *el)
{
    const struct slot *slot = &l->slot[i];
    if (slot->newest_ms > at_ms || double_bits(slot->v) == NAN_ABSENT_BITS)
        return selector_element(p->eval, l->ids.id[i], at_ms, el);
    struct point newest = {.t_ms = slot->newest_ms, .v = slot->v};
    return selector_word(p->eval, &newest, leaf_silent(p, l, i), at_ms, el);
}

static int select_bring(struct plan *p, struct node *n, int64_t t_ms)
{
    struct leaf *l = (struct leaf *)n;
    const uint32_t *from;
    bool moved, changed = false;
    l->keep_name = true;
    int rc = leaf_select(p, l, &from, &moved);
    if (rc < 0)
        return rc;
    if (moved)
        node_reshaped(p, n);
    if (l->wake_ms > t_ms)
        return 0;
    int64_t at_ms = t_ms - l->offset_ms, wake = INT64_MAX;
    for (uint32_t i = 0; i < l->ids.n; i++) {
        if (l->slot[i].due_ms <= t_ms) {
            struct element *el = &n->out.vector.e[i], before = *el;
            bool present = look(p, l, i, at_ms, el);
            if (!present)
                element_clear(el);
            changed |= !element_same(&before, el) || before.sample_ms != el->sample_ms;
            slot_brought(&l->slot[i], at_ms);
            l->slot[i].due_ms = due_again(p, l, i, present, at_ms);
        }
        if (l->slot[i].due_ms < wake)
            wake = l->slot[i].due_ms;
    }
    l->wake_ms = wake;
    if (changed)
        node_changed(p, n);
    return 0;
}

static void select_done(struct node *n)
{
    leaf_done((struct leaf *)n);
}

static size_t select_bytes(const struct node *n)
{
    return leaf_bytes((const struct leaf *)n);
}

const struct node_kind NODE_SELECT = {.name = "selector",
    .size = sizeof(struct leaf),
    .bring = select_bring,
    .bytes = select_bytes,
    .done = select_done,
    .forward = true};
