// SPDX-License-Identifier: Apache-2.0
// topk and bottomk: the best elements of each group, kept in a heap as Prometheus keeps them.
#include "rules/eval_node.h"
#include <errno.h>
#include <math.h>

// The elements of a group that stay: heap[first] to heap[first + n].
struct rank {
    uint32_t first, n;
    uint32_t room, silent; // members with a value, and without because their source is silent
};

// The heap keeps the element to be thrown out next at its root; NaN goes first.
static bool worse(bool top, const struct element *a, const struct element *b)
{
    if (isnan(a->value))
        return true;
    return top ? a->value < b->value : a->value > b->value;
}

static void swap(uint32_t *a, uint32_t *b)
{
    uint32_t t = *a;
    *a = *b;
    *b = t;
}

static void heap_up(const struct vector *in, bool top, uint32_t *h, uint32_t j)
{
    while (j > 0) {
        uint32_t up = (j - 1) / 2;
        if (!worse(top, &in->e[h[j]], &in->e[h[up]]))
            return;
        swap(&h[up], &h[j]);
        j = up;
    }
}

static void heap_down(const struct vector *in, bool top, uint32_t *h, uint32_t n, uint32_t i)
{
    for (;;) {
        uint32_t j = 2 * i + 1;
        if (j >= n)
            return;
        if (j + 1 < n && worse(top, &in->e[h[j + 1]], &in->e[h[j]]))
            j++;
        if (!worse(top, &in->e[h[j]], &in->e[h[i]]))
            return;
        swap(&h[i], &h[j]);
        i = j;
    }
}

// How many topk and bottomk are to keep must be a number, and one that 64 bits hold.
int rank_check(struct eval *e, const struct expr *x, double k)
{
    if (isnan(k))
        return eval_fail(e, "the parameter of %s is NaN", agg_name(x->agg));
    if (fabs(k) >= 9223372036854775808.0)
        return eval_fail(e, "the parameter of %s does not fit into 64 bits", agg_name(x->agg));
    return 0;
}

static int ranks(struct eval *e, const struct vector *in, const struct groups *gs,
    struct rank **ret, uint32_t **ret_heap)
{
    struct rank *all = eval_alloc(e, gs->n, sizeof(*all));
    uint32_t *heap = eval_alloc(e, in->n, sizeof(*heap)), at = 0;
    if (!all || !heap)
        return eval_full(e, in->n, sizeof(*heap));
    for (size_t i = 0; i < in->n; i++) {
        if (in->e[i].state == ELEMENT_FILTERED)
            continue;
        struct rank *g = &all[gs->of[i]];
        *(in->e[i].state == ELEMENT_NO_DATA ? &g->silent : &g->room) += 1;
    }
    for (uint32_t i = 0; i < gs->n; i++) {
        all[i].first = at;
        at += all[i].room ? all[i].room : all[i].silent;
    }
    *ret = all;
    *ret_heap = heap;
    return 0;
}

static int choose(struct eval *e, const struct expr *x, const struct vector *in,
    const struct groups *gs, double k, struct rank **ret, uint32_t **ret_heap)
{
    bool top = x->agg == AGG_TOPK;
    uint32_t most = k < 1 ? 0 : k > (double)in->n ? (uint32_t)in->n : (uint32_t)k;
    int rc = ranks(e, in, gs, ret, ret_heap);
    for (size_t i = 0; rc == 0 && most && i < in->n; i++) {
        const struct element *el = &in->e[i];
        if (el->state == ELEMENT_FILTERED)
            continue;
        if (el->hist) {
            note_ignored(e, x);
            continue;
        }
        struct rank *g = &(*ret)[gs->of[i]];
        uint32_t *h = *ret_heap + g->first;
        if (el->state == ELEMENT_NO_DATA && g->room)
            continue;
        if (g->n < most) {
            h[g->n++] = (uint32_t)i;
            heap_up(in, top, h, g->n - 1);
            continue;
        }
        const struct element *root = &in->e[h[0]];
        bool better = top ? el->value > root->value : el->value < root->value;
        if (better || (isnan(root->value) && !isnan(el->value))) {
            h[0] = (uint32_t)i;
            heap_down(in, top, h, g->n, 0);
        }
    }
    return rc;
}

int rank_apply(struct eval *e, const struct expr *x, const struct vector *in,
    const struct groups *gs, double k, struct value *ret)
{
    struct rank *all;
    uint32_t *heap;
    int rc = choose(e, x, in, gs, k, &all, &heap);
    if (rc == 0)
        rc = vector_room(e, in->n, &ret->vector);
    for (uint32_t i = 0; rc == 0 && i < gs->n; i++) {
        // Taking the worst off the root again and again gives rising order: fill from the end.
        uint32_t *h = heap + all[i].first, n = all[i].n;
        size_t base = ret->vector.n;
        ret->vector.n += n;
        while (n) {
            ret->vector.e[base + n - 1] = in->e[h[0]];
            h[0] = h[--n];
            heap_down(in, x->agg == AGG_TOPK, h, n, 0);
        }
    }
    return rc;
}

int rank_marks(struct eval *e, const struct expr *x, const struct vector *in,
    const struct groups *gs, double k, bool **ret)
{
    struct rank *all;
    uint32_t *heap;
    int rc = choose(e, x, in, gs, k, &all, &heap);
    bool *stays = rc < 0 ? NULL : eval_alloc(e, in->n, sizeof(*stays));
    if (!stays)
        return rc < 0 ? rc : eval_full(e, in->n, sizeof(*stays));
    for (uint32_t i = 0; i < gs->n; i++)
        for (uint32_t h = 0; h < all[i].n; h++)
            stays[heap[all[i].first + h]] = true;
    *ret = stays;
    return 0;
}
