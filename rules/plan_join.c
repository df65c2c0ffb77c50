// SPDX-License-Identifier: Apache-2.0
// Two vectors matched in a plan: arithmetic and comparison.
#include "rules/plan_operator.h"
#include <errno.h>
#include <stdlib.h>

/*
 * Each element of the many side and each of the one side knows the key it matches under. Who is
 * the partner is decided anew each time, as several of the one side may share a key while only one
 * of them is there (its predecessor's series ended). A pair has its place by its labels. Those are
 * the many side's alone unless group_left(label) brings one over: then each candidate for a partner
 * makes another pair.
 */
struct join_node {
    struct operator_node o;
    uint32_t *many_key; // GROUP_NONE: nobody to match with
    uint32_t *pair;     // the first pair of each of the many side
    uint32_t *one_key;
    uint32_t *one_nth; // which candidate under its key; NULL: the pair does not ask
    uint32_t *place;   // of a pair; NULL: its own number
    size_t n_many, n_one;
    uint32_t n_keys, n_pairs;
};

// Candidates multiply pairs; beyond this many per element the general path is the smaller evil.
#define PAIRS_PER_ELEMENT 4

static bool swapped(const struct expr *x)
{
    return x->card == CARD_ONE_TO_MANY;
}

static void join_drop(struct operator_node *o)
{
    struct join_node *n = (struct join_node *)o;
    free(n->many_key);
    free(n->pair);
    free(n->one_key);
    free(n->one_nth);
    free(n->place);
    n->many_key = n->pair = n->one_key = n->one_nth = n->place = NULL;
    n->n_many = n->n_one = 0;
    n->n_keys = n->n_pairs = 0;
}

// Scratch of one structure.
struct draft {
    const struct vector *many, *one;
    uint32_t *many_key, *pair, *one_key, *one_nth;
    uint32_t *candidates; // of each key
    uint32_t *first;      // where a key's candidates begin in `by_key`
    uint32_t *by_key;
    uint32_t n_keys, n_pairs;
    bool several;          // candidates under one key
    struct labels *labels; // of the pairs
    bool views;            // into the many side
};

static int draft_keys(struct eval *e, const struct expr *x, struct draft *d)
{
    struct join_key on = match_key(x);
    struct join j;
    int rc = join_init(e, &j, d->one->n);
    d->many_key = eval_alloc(e, d->many->n, sizeof(uint32_t));
    d->pair = eval_alloc(e, d->many->n, sizeof(uint32_t));
    d->one_key = eval_alloc(e, d->one->n, sizeof(uint32_t));
    d->one_nth = eval_alloc(e, d->one->n, sizeof(uint32_t));
    d->by_key = eval_alloc(e, d->one->n, sizeof(uint32_t));
    d->candidates = eval_alloc(e, d->one->n, sizeof(uint32_t));
    d->first = eval_alloc(e, d->one->n, sizeof(uint32_t));
    if (rc < 0 || !d->many_key || !d->pair || !d->one_key || !d->one_nth || !d->by_key ||
        !d->candidates || !d->first)
        return rc < 0 ? rc : eval_full(e, d->one->n + d->many->n, sizeof(uint32_t));
    for (size_t i = 0; i < d->one->n; i++) {
        bool fresh;
        if (element_gone(&d->one->e[i]))
            continue;
        struct join_entry *en = join_put(&j, &on, &d->one->e[i].labels, (uint32_t)j.n, &fresh);
        d->one_key[i] = en->value;
        d->one_nth[i] = d->candidates[en->value]++;
        d->several |= !fresh;
    }
    d->n_keys = (uint32_t)j.n;
    uint32_t at = 0;
    for (uint32_t k = 0; k < d->n_keys; k++) {
        d->first[k] = at;
        at += d->candidates[k];
    }
    for (uint32_t i = 0; i < d->one->n; i++)
        if (!element_gone(&d->one->e[i]))
            d->by_key[d->first[d->one_key[i]] + d->one_nth[i]] = i;
    for (size_t i = 0; i < d->many->n; i++) {
        const struct element *el = &d->many->e[i];
        const struct join_entry *en = element_gone(el) ? NULL : join_find(&j, &on, &el->labels);
        d->many_key[i] = en ? en->value : GROUP_NONE;
    }
    return 0;
}

// The labels of all pairs. 1; 0 when there are too many.
static int draft_pairs(struct eval *e, const struct expr *x, struct draft *d)
{
    size_t total = 0, most = (d->many->n + d->one->n) * PAIRS_PER_ELEMENT;
    for (size_t i = 0; i < d->many->n; i++) {
        if (d->many_key[i] == GROUP_NONE)
            continue;
        d->pair[i] = (uint32_t)total;
        total += x->n_include ? d->candidates[d->many_key[i]] : 1;
        if (total > most)
            return 0;
    }
    d->n_pairs = (uint32_t)total;
    d->labels = eval_alloc(e, total, sizeof(*d->labels));
    if (!d->labels)
        return eval_full(e, total, sizeof(*d->labels));
    d->views = true;
    for (size_t i = 0; i < d->many->n; i++) {
        uint32_t key = d->many_key[i];
        const struct labels *many = &d->many->e[i].labels;
        if (key == GROUP_NONE)
            continue;
        for (uint32_t k = 0; k < (x->n_include ? d->candidates[key] : 1); k++) {
            struct labels *pair = &d->labels[d->pair[i] + k];
            const struct element *one = &d->one->e[d->by_key[d->first[key] + k]];
            int rc = pair_labels(e, x, many, &one->labels, pair);
            if (rc < 0)
                return rc;
            d->views &= !pair->n || pair->l == many->l || pair->l == many->l + 1;
        }
    }
    return 1;
}

static int join_keep(struct join_node *n, const struct expr *x, const struct draft *d)
{
    n->n_many = d->many->n;
    n->n_one = d->one->n;
    n->n_keys = d->n_keys;
    n->n_pairs = d->n_pairs;
    n->many_key = heap_copy(d->many_key, n->n_many, sizeof(uint32_t));
    n->pair = heap_copy(d->pair, n->n_many, sizeof(uint32_t));
    n->one_key = heap_copy(d->one_key, n->n_one, sizeof(uint32_t));
    if (x->n_include && d->several) {
        n->one_nth = heap_copy(d->one_nth, n->n_one, sizeof(uint32_t));
        if (!n->one_nth)
            return -ENOMEM;
    }
    return n->many_key && n->pair && n->one_key ? 0 : -ENOMEM;
}

static int join_structure(struct plan *p, struct operator_node *o)
{
    struct join_node *n = (struct join_node *)o;
    const struct expr *x = o->n.x;
    struct draft d = {.many = &o->n.in[swapped(x)].vector, .one = &o->n.in[!swapped(x)].vector};
    int rc = draft_keys(p->eval, x, &d);
    if (rc < 0)
        return rc;
    rc = draft_pairs(p->eval, x, &d);
    if (rc <= 0)
        return rc;
    rc = join_keep(n, x, &d);
    if (rc == 0)
        rc = operator_twins(p, d.labels, n->n_pairs, &n->place);
    uint32_t places = n->n_pairs;
    if (rc == 0 && n->place) {
        // A pair whose labels were there before shares the place of the first.
        places = 0;
        for (uint32_t i = 0; i < n->n_pairs; i++) {
            bool first = n->place[i] == i;
            if (first)
                d.labels[places] = d.labels[i];
            n->place[i] = first ? places++ : n->place[n->place[i]];
        }
    }
    if (rc == 0)
        rc = operator_places(p, o, d.labels, places, !d.views);
    return rc < 0 ? rc : 1;
}

// Who is there under each key, as its number + 1. 1; 0 when two are.
static int partners(
    struct plan *p, const struct join_node *n, const struct vector *one, const uint32_t **ret)
{
    uint32_t *there = eval_alloc(p->eval, n->n_keys, sizeof(*there));
    if (!there)
        return eval_full(p->eval, n->n_keys, sizeof(*there));
    for (uint32_t i = 0; i < one->n; i++) {
        uint32_t *at = &there[n->one_key[i]];
        if (one->e[i].state == ELEMENT_FILTERED || (*at && one->e[i].state == ELEMENT_NO_DATA))
            continue;
        if (*at && one->e[*at - 1].state == ELEMENT_VALUE)
            return 0;
        *at = i + 1;
    }
    *ret = there;
    return 1;
}

// Results before they are put into their places.
struct results {
    struct element *e;
    bool *settled; // by one that counts as a match
    bool *taken;   // one to one: keys that have their pair
    bool one_to_one, filtered_counts;
};

static int results_init(
    struct plan *p, const struct join_node *n, const struct expr *x, struct results *r)
{
    size_t places = n->o.n.out.vector.n;
    r->one_to_one = x->card == CARD_ONE_TO_ONE;
    r->filtered_counts = !p->eval->o.compat_2_42;
    r->e = eval_alloc(p->eval, places, sizeof(*r->e));
    r->settled = eval_alloc(p->eval, places, sizeof(*r->settled));
    r->taken = eval_alloc(p->eval, n->n_keys, sizeof(*r->taken));
    if (!r->e || !r->settled || !r->taken)
        return eval_full(p->eval, places, sizeof(*r->e));
    for (size_t i = 0; i < places; i++)
        element_clear(&r->e[i]);
    return 0;
}

// False when the place is taken, or the partner is.
static bool results_add(
    struct results *r, uint32_t place, uint32_t key, const struct element *el)
{
    bool filtered = el->state == ELEMENT_FILTERED, unknown = el->state == ELEMENT_NO_DATA;
    bool counts = r->filtered_counts || !filtered;
    if (r->one_to_one && counts && !unknown) {
        if (r->taken[key])
            return false;
        r->taken[key] = true;
    }
    if (filtered && !(counts && !r->one_to_one)) {
        if (!r->settled[place])
            r->e[place] = *el;
        return true;
    }
    if (r->settled[place]) {
        if (unknown)
            return true;
        if (r->e[place].state != ELEMENT_NO_DATA)
            return false;
    }
    r->settled[place] = true;
    r->e[place] = *el;
    return true;
}

static int join_numbers(struct plan *p, struct operator_node *o, int64_t t_ms, bool *changed)
{
    const struct join_node *n = (const struct join_node *)o;
    const struct expr *x = o->n.x;
    const struct vector *many = &o->n.in[swapped(x)].vector,
                        *one = &o->n.in[!swapped(x)].vector;
    struct vector *out = &o->n.out.vector;
    const uint32_t *there = NULL;
    struct results r;
    (void)t_ms;
    int rc = results_init(p, n, x, &r);
    if (rc < 0)
        return rc;
    // Nothing to match with: duplicates on the other side do not matter then.
    if (any_present(many) && any_present(one)) {
        rc = partners(p, n, one, &there);
        if (rc <= 0)
            return rc;
        for (size_t i = 0; i < many->n; i++) {
            const struct element *m = &many->e[i];
            uint32_t key = n->many_key[i];
            struct element el;
            if (m->state == ELEMENT_FILTERED || key == GROUP_NONE || !there[key])
                continue;
            const struct element *partner = &one->e[there[key] - 1];
            if (m->hist || partner->hist)
                return 0;
            rc = pair_result(p->eval, x, m, partner, &el);
            if (rc < 0)
                return rc;
            uint32_t pair = n->pair[i] + (n->one_nth ? n->one_nth[there[key] - 1] : 0);
            if (rc > 0 && !results_add(&r, n->place ? n->place[pair] : pair, key, &el))
                return 0;
        }
    }
    for (size_t i = 0; i < out->n; i++)
        place_put(&out->e[i], &r.e[i], changed);
    return 1;
}

static size_t join_bytes(const struct operator_node *o)
{
    const struct join_node *n = (const struct join_node *)o;
    return (2 * n->n_many + n->n_one * (n->one_nth ? 2 : 1) + (n->place ? n->n_pairs : 0)) *
           sizeof(uint32_t);
}

const struct operator_kind NODE_JOIN = {.k = {.name = "join",
                                            .size = sizeof(struct join_node),
                                            .bring = operator_bring,
                                            .bytes = operator_bytes,
                                            .done = operator_done},
    .structure = join_structure,
    .numbers = join_numbers,
    .drop = join_drop,
    .bytes = join_bytes};
