// SPDX-License-Identifier: Apache-2.0
// A function over a subquery, in a plan: what the inner expression came to at each step is kept, and
// only steps that are new, or that a late sample reaches, are evaluated.
#include "rules/plan_subquery.h"
#include "rules/functions.h"
#include <errno.h>
#include <stdlib.h>

// What a series of the inner expression is at a step.
enum cell { CELL_NONE, CELL_VALUE, CELL_LAST_WORD, CELL_UNKNOWN };

struct track {
    struct labels *labels; // one heap block
    size_t n;              // cells that are something
};

// A selector the inner expression reads, through all offsets on the way to it.
struct read {
    const struct expr *selector;
    int64_t shift_ms; // a sample reaches steps that are at least this much later
};

/*
 *     step % steps ->   0      1      2      3
 *     track 0         value  value  value         cell i of track k is at k * steps + i
 *     track 1                value  value
 *                     from_ms       to_ms         rows kept
 */
struct subquery_node {
    struct operator_node o;
    const struct expr *range;
    int64_t step_ms;
    struct read *read;
    size_t n_reads;
    struct track *track;
    size_t n, cap;
    size_t steps;
    double *value;
    unsigned char *cell;
    int64_t from_ms, to_ms;           // from > to: no row
    int64_t dirty_ms;                 // rows from here on are not what they were
    int64_t first_ms, last_ms;        // steps the places were computed from
    int64_t general_until_ms;         // histograms, or too much to keep
    bool moved;                       // tracks are not those of the places
    struct subquery_node *next, **at; // of the plan
};

#define CELLS_MAX (1u << 20)

// --- what concerns it ------------------------------------------------------------------------------

bool subquery_moves(const struct expr *x)
{
    if (x->at != AT_NONE)
        return false;
    if ((x->lhs && !subquery_moves(x->lhs)) || (x->rhs && !subquery_moves(x->rhs)) ||
        (x->param && !subquery_moves(x->param)))
        return false;
    for (size_t i = 0; i < x->n_args; i++)
        if (!subquery_moves(x->args[i]))
            return false;
    return true;
}

// Counts the selectors below x, and lists them when there is a list.
static void reads_of(const struct expr *x, int64_t shift_ms, struct read *list, size_t *n)
{
    if (x->kind == EXPR_SELECTOR) {
        if (list)
            list[*n] = (struct read){x, shift_ms + x->offset_ms};
        ++*n;
        return;
    }
    if (x->kind == EXPR_SUBQUERY)
        shift_ms += x->offset_ms;
    const struct expr *child[] = {x->lhs, x->rhs, x->param};
    for (size_t i = 0; i < sizeof(child) / sizeof(child[0]); i++)
        if (child[i])
            reads_of(child[i], shift_ms, list, n);
    for (size_t i = 0; i < x->n_args; i++)
        reads_of(x->args[i], shift_ms, list, n);
}

static void hear(struct subquery_node *q, const struct labels *s, int64_t t_ms, bool all)
{
    for (size_t i = 0; i < q->n_reads; i++) {
        const struct read *r = &q->read[i];
        int64_t at_ms = all ? INT64_MIN : t_ms + r->shift_ms;
        if (at_ms > q->to_ms || at_ms >= q->dirty_ms ||
            !matchers_labels(r->selector->matchers, r->selector->n_matchers, s))
            continue;
        q->dirty_ms = at_ms;
    }
}

void subqueries_event(struct plan *p, uint32_t id, int64_t t_ms)
{
    const struct source *src = &p->eval->src;
    bool all = t_ms == INT64_MIN || t_ms == INT64_MAX || src->silent(src->self, id);
    struct labels s = src->labels(src->self, id);
    for (struct subquery_node *q = p->subqueries; q; q = q->next)
        hear(q, &s, t_ms, all);
}

static int open(struct plan *p, struct subquery_node *q)
{
    const struct expr *param, *range = range_operands(q->o.n.x, &param);
    size_t n = 0;
    reads_of(range->lhs, 0, NULL, &n);
    q->read = malloc((n ? n : 1) * sizeof(*q->read));
    if (!q->read)
        return -ENOMEM;
    reads_of(range->lhs, 0, q->read, &q->n_reads);
    q->range = range;
    q->step_ms = range->step_ms ? range->step_ms : p->eval->o.subquery_step_ms;
    q->steps = (size_t)(range->range_ms / q->step_ms) + 1;
    q->from_ms = INT64_MAX;
    q->to_ms = INT64_MIN;
    q->dirty_ms = INT64_MAX;
    q->general_until_ms = INT64_MIN;
    q->next = p->subqueries;
    q->at = &p->subqueries;
    if (q->next)
        q->next->at = &q->next;
    p->subqueries = q;
    return 0;
}

// --- rows ------------------------------------------------------------------------------------------

static size_t slot_of(const struct subquery_node *q, int64_t step_ms)
{
    int64_t at = step_ms / q->step_ms % (int64_t)q->steps;
    return (size_t)(at < 0 ? at + (int64_t)q->steps : at);
}

static void rows_drop(struct subquery_node *q)
{
    if (q->n)
        memset(q->cell, CELL_NONE, q->n * q->steps);
    for (size_t i = 0; i < q->n; i++)
        q->track[i].n = 0;
    q->from_ms = INT64_MAX;
    q->to_ms = INT64_MIN;
}

static void tracks_free(struct subquery_node *q)
{
    for (size_t i = 0; i < q->n; i++)
        free(q->track[i].labels);
    free(q->track);
    free(q->value);
    free(q->cell);
    free(q->o.twin);
    q->track = NULL;
    q->value = NULL;
    q->cell = NULL;
    q->o.twin = NULL;
    q->n = q->cap = 0;
    q->from_ms = INT64_MAX;
    q->to_ms = INT64_MIN;
}

// Takes out tracks that have no cell any more, when they are many.
static void tracks_sweep(struct subquery_node *q)
{
    size_t empty = 0, kept = 0;
    for (size_t i = 0; i < q->n; i++)
        empty += !q->track[i].n;
    if (empty <= q->n / 4 + 8)
        return;
    for (size_t i = 0; i < q->n; i++) {
        if (!q->track[i].n) {
            free(q->track[i].labels);
            continue;
        }
        q->track[kept] = q->track[i];
        memmove(q->cell + kept * q->steps, q->cell + i * q->steps, q->steps);
        memmove(
            q->value + kept * q->steps, q->value + i * q->steps, q->steps * sizeof(*q->value));
        kept++;
    }
    q->n = kept;
    q->moved = true;
}

// 1; 0 = more than is to be kept; -ENOMEM.
static int tracks_room(struct subquery_node *q, size_t more)
{
    if (q->n + more <= q->cap)
        return 1;
    size_t cap = q->n + more + q->n / 2;
    if (cap > CELLS_MAX / q->steps)
        cap = CELLS_MAX / q->steps;
    if (cap < q->n + more)
        return 0;
    struct track *track = realloc(q->track, cap * sizeof(*track));
    if (track)
        q->track = track;
    double *value = realloc(q->value, cap * q->steps * sizeof(*value));
    if (value)
        q->value = value;
    unsigned char *cell = realloc(q->cell, cap * q->steps);
    if (cell)
        q->cell = cell;
    if (!track || !value || !cell)
        return -ENOMEM;
    q->cap = cap;
    return 1;
}

static int track_add(struct subquery_node *q, const struct labels *s)
{
    struct labels *copy = labels_dup(s);
    if (!copy)
        return -ENOMEM;
    memset(q->cell + q->n * q->steps, CELL_NONE, q->steps);
    q->track[q->n++] = (struct track){.labels = copy};
    q->moved = true;
    return 0;
}

static void row_clear(struct subquery_node *q, size_t slot)
{
    for (size_t i = 0; i < q->n; i++) {
        unsigned char *c = &q->cell[i * q->steps + slot];
        q->track[i].n -= *c != CELL_NONE;
        *c = CELL_NONE;
    }
}

// One element of a step. As the batch evaluator's track_step.
static int cell_put(
    struct plan *p, struct subquery_node *q, size_t at, size_t slot, const struct element *el)
{
    unsigned char *c = &q->cell[at * q->steps + slot];
    bool was_value = *c == CELL_VALUE || *c == CELL_LAST_WORD;
    q->track[at].n += *c == CELL_NONE;
    if (el->state == ELEMENT_NO_DATA) {
        *c = was_value ? CELL_LAST_WORD : CELL_UNKNOWN;
        return 0;
    }
    if (was_value)
        return eval_fail(p->eval, "vector cannot contain metrics with the same labelset");
    *c = el->silent ? CELL_LAST_WORD : CELL_VALUE;
    q->value[at * q->steps + slot] = el->value;
    return 0;
}

// 1; 0 = cannot be kept; -errno.
static int row_put(
    struct plan *p, struct subquery_node *q, int64_t step_ms, const struct value *v)
{
    static const struct join_key ALL = {.kind = KEY_ALL};
    const struct element *el = v->vector.e;
    size_t n = v->vector.n, slot = slot_of(q, step_ms);
    struct join j;
    row_clear(q, slot);
    int rc = join_init(p->eval, &j, q->n + n);
    for (size_t i = 0; rc == 0 && i < q->n; i++) {
        bool fresh;
        join_put(&j, &ALL, q->track[i].labels, (uint32_t)i, &fresh);
    }
    for (size_t i = 0; rc >= 0 && i < n; i++) {
        bool fresh;
        if (el[i].state == ELEMENT_FILTERED)
            continue;
        if (el[i].hist)
            return 0;
        uint32_t at = join_put(&j, &ALL, &el[i].labels, (uint32_t)q->n, &fresh)->value;
        if (fresh) {
            rc = tracks_room(q, 1);
            if (rc == 0)
                return 0;
            if (rc > 0)
                rc = track_add(q, &el[i].labels);
        }
        if (rc >= 0)
            rc = cell_put(p, q, at, slot, &el[i]);
    }
    return rc < 0 ? rc : 1;
}

// Rows from first to last. 1; 0 = cannot be kept; -errno.
static int rows_bring(
    struct plan *p, struct subquery_node *q, int64_t first_ms, int64_t last_ms)
{
    struct eval *e = p->eval;
    enum reset_hints hints = e->hints;
    int rc = 1;
    while (q->from_ms <= q->to_ms && q->to_ms >= q->dirty_ms)
        q->to_ms -= q->step_ms;
    if (q->to_ms < q->from_ms || first_ms < q->from_ms || first_ms > q->to_ms)
        rows_drop(q);
    q->dirty_ms = INT64_MAX;
    tracks_sweep(q);
    e->hints = HINTS_NEVER_DETECTED;
    for (int64_t s = q->to_ms < first_ms ? first_ms : q->to_ms + q->step_ms;
         rc > 0 && s <= last_ms; s += q->step_ms) {
        struct value v = {0};
        // The slot of the row that makes room is overwritten, whatever comes of it.
        if (q->from_ms > s)
            q->from_ms = s;
        else if (s - q->from_ms >= (int64_t)q->steps * q->step_ms)
            q->from_ms = s - (int64_t)(q->steps - 1) * q->step_ms;
        rc = eval_node(e, q->range->lhs, s, &v);
        if (rc == 0)
            rc = row_put(p, q, s, &v);
        if (rc <= 0)
            break;
        q->to_ms = s;
    }
    e->hints = hints;
    for (size_t i = 0; i < q->n_reads; i++)
        if (q->to_ms != INT64_MIN && q->to_ms - q->read[i].shift_ms > p->steps_ms)
            p->steps_ms = q->to_ms - q->read[i].shift_ms;
    return rc;
}

// --- places ----------------------------------------------------------------------------------------

static int places_make(struct plan *p, struct subquery_node *q)
{
    bool keep_name = range_keeps_name(q->o.n.x->fn->id), views = true;
    struct labels *l = eval_alloc(p->eval, q->n, sizeof(*l));
    if (!l)
        return eval_full(p->eval, q->n, sizeof(*l));
    for (size_t i = 0; i < q->n; i++) {
        const struct labels *all = q->track[i].labels;
        l[i] = *all;
        if (!keep_name && !drop_name(p->eval, all, &l[i]))
            return -ENOMEM;
        views &= !l[i].n || l[i].l == all->l || l[i].l == all->l + 1;
    }
    free(q->o.twin);
    q->o.twin = NULL;
    int rc = keep_name ? 0 : operator_twins(p, l, q->n, &q->o.twin);
    if (rc == 0)
        rc = operator_places(p, &q->o, l, q->n, !views);
    q->moved = rc < 0;
    return rc;
}

static void window_of_track(const struct subquery_node *q, size_t i, int64_t first_ms,
    int64_t last_ms, struct point *room, struct window *w, bool *ret_any)
{
    const unsigned char *cell = q->cell + i * q->steps;
    size_t slot = slot_of(q, first_ms);
    w->labels = q->track[i].labels;
    w->p = room;
    w->n = 0;
    w->silent = *ret_any = false;
    for (int64_t s = first_ms; s <= last_ms; s += q->step_ms) {
        unsigned char c = cell[slot];
        if (c != CELL_NONE) {
            *ret_any = true;
            w->silent = c != CELL_VALUE;
        }
        if (c == CELL_VALUE || c == CELL_LAST_WORD)
            room[w->n++] = (struct point){s, q->value[i * q->steps + slot], NULL};
        slot = slot + 1 == q->steps ? 0 : slot + 1;
    }
}

static int places_compute(struct plan *p, struct subquery_node *q, const struct window *bounds,
    int64_t first_ms, int64_t last_ms, bool *changed)
{
    struct node *n = &q->o.n;
    struct window w = *bounds;
    struct point *room = eval_alloc(p->eval, q->steps, sizeof(*room));
    if (!room)
        return eval_full(p->eval, q->steps, sizeof(*room));
    for (size_t i = 0; i < q->n; i++) {
        struct element el = {0};
        bool any;
        window_of_track(q, i, first_ms, last_ms, room, &w, &any);
        int rc = any ? range_apply(p->eval, n->x->fn->id, n->n ? &n->in[0] : NULL, &w, &el) : 0;
        if (rc < 0)
            return rc;
        if (rc == 0)
            element_clear(&el);
        place_put(&n->out.vector.e[i], &el, changed);
    }
    return 0;
}

// Whether the value depends on the time also while the steps are the same.
static bool drifts(int fn)
{
    return fn == FN_RATE || fn == FN_INCREASE || fn == FN_DELTA || fn == FN_DERIV ||
           fn == FN_PREDICT_LINEAR;
}

static int whole(struct plan *p, struct subquery_node *q, int64_t t_ms)
{
    struct value v = {0};
    int rc = eval_node(p->eval, q->o.n.x, t_ms, &v);
    q->moved = true; // the places are the result's
    return rc < 0 ? rc : operator_settle(p, &q->o, &v, true);
}

static int subquery_bring(struct plan *p, struct node *n, int64_t t_ms)
{
    struct subquery_node *q = (struct subquery_node *)n;
    int rc = q->range ? 0 : open(p, q);
    if (rc < 0)
        return rc;
    struct window w = {.range_ms = q->range->range_ms, .t_ms = t_ms};
    w.to_ms = t_ms - q->range->offset_ms;
    w.from_ms = w.to_ms - w.range_ms;
    int64_t first_ms = subquery_first(p->eval, q->range, w.from_ms);
    if (t_ms < q->general_until_ms)
        return whole(p, q, t_ms);
    // No step in the window: nothing is there.
    int64_t last_ms = first_ms > w.to_ms
                          ? first_ms - q->step_ms
                          : first_ms + (w.to_ms - first_ms) / q->step_ms * q->step_ms;
    bool changed = n->failed, param_moved = n->n && n->seen[0] != n->child[0]->version;
    bool stands = !changed && !param_moved && q->dirty_ms == INT64_MAX && !q->moved &&
                  n->version && first_ms == q->first_ms && last_ms == q->last_ms;
    if (stands && !drifts(n->x->fn->id))
        return 0;
    rc = last_ms < first_ms ? 1 : rows_bring(p, q, first_ms, last_ms);
    if (rc < 0)
        return rc;
    if (rc == 0) {
        tracks_free(q);
        q->general_until_ms = t_ms + w.range_ms;
        return whole(p, q, t_ms);
    }
    rc = q->moved || !n->version ? places_make(p, q) : 0;
    if (rc == 0)
        rc = places_compute(p, q, &w, first_ms, last_ms, &changed);
    if (rc == 0)
        rc = operator_twins_meet(p, &q->o);
    if (rc > 0)
        rc = whole(p, q, t_ms); // which says what is wrong
    if (rc < 0)
        return rc;
    q->first_ms = first_ms;
    q->last_ms = last_ms;
    if (changed)
        node_changed(p, n);
    return 0;
}

static size_t subquery_bytes(const struct operator_node *o)
{
    const struct subquery_node *q = (const struct subquery_node *)o;
    size_t bytes = q->n_reads * sizeof(*q->read) +
                   q->cap * (sizeof(*q->track) + q->steps * (sizeof(*q->value) + 1));
    for (size_t i = 0; i < q->n; i++)
        bytes += sizeof(struct labels) + q->track[i].labels->n * sizeof(struct label);
    return bytes;
}

static void subquery_drop(struct operator_node *o)
{
    struct subquery_node *q = (struct subquery_node *)o;
    if (q->at) {
        *q->at = q->next;
        if (q->next)
            q->next->at = q->at;
    }
    tracks_free(q);
    free(q->read);
}

const struct operator_kind NODE_SUBQUERY = {.k = {.name = "subquery",
                                                .size = sizeof(struct subquery_node),
                                                .bring = subquery_bring,
                                                .bytes = operator_bytes,
                                                .done = operator_done,
                                                .forward = true},
    .drop = subquery_drop,
    .bytes = subquery_bytes};
