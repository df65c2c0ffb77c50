// SPDX-License-Identifier: Apache-2.0
// What a case expects beside what there is.
#include "rules/rule_test_file.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// Every label of part is in all; with exact nothing else is.
static bool labels_fit(const struct labels *part, const struct labels *all, bool exact)
{
    size_t k = 0;
    if (exact && part->n != all->n)
        return false;
    for (size_t i = 0; i < part->n; i++) {
        while (k < all->n && strcmp(all->l[k].name, part->l[i].name) < 0)
            k++;
        bool there = k < all->n && !strcmp(all->l[k].name, part->l[i].name);
        if (!there || strcmp(all->l[k].value, part->l[i].value) != 0)
            return false;
    }
    return true;
}

static bool value_fits(
    const struct rule_test_item *x, const struct rule_test_item *y, bool fuzzy)
{
    if (x->histogram || y->histogram)
        return x->histogram && y->histogram && !strcmp(x->histogram, y->histogram);
    if (x->value == y->value)
        return true;
    return fuzzy && (nextafter(x->value, INFINITY) == y->value ||
                        nextafter(x->value, -INFINITY) == y->value);
}

bool rule_test_same(const struct rule_test_item *expected, const struct rule_test_item *got,
    bool partial, bool fuzzy)
{
    return labels_fit(&expected->labels, &got->labels, !partial) &&
           labels_fit(&expected->annotations, &got->annotations, !partial) &&
           value_fits(expected, got, fuzzy);
}

static int by_labels(const void *a, const void *b)
{
    const struct rule_test_item *x = a, *y = b;
    int c = labels_compare(&x->labels, &y->labels);
    return c ? c : labels_compare(&x->annotations, &y->annotations);
}

// --- which belongs to which ----------------------------------------------------------------------

#define NONE SIZE_MAX

struct matching {
    struct rule_test_item *expected, *got;
    size_t n_expected, n_got;
    size_t *of_expected, *of_got; // the other's index, or NONE
    bool *tried;                  // got, in one search
    bool partial, fuzzy;
};

// Both are sorted, so equal ones are found by walking along both.
static void match_exact(struct matching *m)
{
    size_t i = 0, k = 0;
    while (i < m->n_expected && k < m->n_got) {
        int order = by_labels(&m->expected[i], &m->got[k]);
        if (order == 0) {
            m->of_expected[i] = k;
            m->of_got[k] = i;
        }
        i += order <= 0;
        k += order >= 0;
    }
}

/*
 * A partial description may fit several alerts, so who takes which matters: augmenting paths find
 * the largest matching (Kuhn). Each search asks every got item at most once; depth is their number.
 */
static bool find_place(struct matching *m, size_t i)
{
    for (size_t k = 0; k < m->n_got; k++) {
        if (m->tried[k] || !rule_test_same(&m->expected[i], &m->got[k], true, m->fuzzy))
            continue;
        m->tried[k] = true;
        if (m->of_got[k] == NONE || find_place(m, m->of_got[k])) {
            m->of_got[k] = i;
            m->of_expected[i] = k;
            return true;
        }
    }
    return false;
}

static size_t alike(const struct labels *x, const struct labels *y)
{
    size_t n = 0, k = 0;
    for (size_t i = 0; i < x->n; i++) {
        while (k < y->n && strcmp(y->l[k].name, x->l[i].name) < 0)
            k++;
        bool there = k < y->n && !strcmp(y->l[k].name, x->l[i].name);
        n += there && !strcmp(y->l[k].value, x->l[i].value) ? 4 : there ? 1 : 0;
    }
    return n;
}

#define LIKENESS_MAX 1000000 // pairs that are looked at for it

// Those that are left are shown beside the one that is most like them.
static void match_nearest(struct matching *m)
{
    if (m->n_got && m->n_expected > LIKENESS_MAX / m->n_got)
        return;
    for (size_t i = 0; i < m->n_expected; i++) {
        size_t best = NONE, best_score = 0;
        for (size_t k = 0; m->of_expected[i] == NONE && k < m->n_got; k++) {
            if (m->of_got[k] != NONE)
                continue;
            size_t score = 1 + alike(&m->expected[i].labels, &m->got[k].labels) +
                           alike(&m->expected[i].annotations, &m->got[k].annotations);
            if (score > best_score) {
                best = k;
                best_score = score;
            }
        }
        if (best != NONE) {
            m->of_expected[i] = best;
            m->of_got[best] = i;
        }
    }
}

static void judge(struct rule_test_case *c, struct matching *m)
{
    c->passed = true;
    for (size_t i = 0; i < m->n_expected; i++) {
        struct rule_test_pair *p = &c->pairs[c->n_pairs++];
        p->expected = &m->expected[i];
        if (m->of_expected[i] != NONE) {
            p->got = &m->got[m->of_expected[i]];
            p->same = rule_test_same(p->expected, p->got, m->partial, m->fuzzy);
        }
        c->passed &= p->same;
    }
    for (size_t k = 0; k < m->n_got; k++)
        if (m->of_got[k] == NONE) {
            c->pairs[c->n_pairs++].got = &m->got[k];
            c->passed = false;
        }
}

int rule_test_match(struct rule_test_case *c, struct rule_test_item *expected,
    size_t n_expected, struct rule_test_item *got, size_t n_got, bool fuzzy, struct arena *a)
{
    struct matching m = {
        expected, got, n_expected, n_got, .partial = c->partial, .fuzzy = fuzzy};
    m.of_expected = arena_alloc(a, (n_expected + 1) * sizeof(size_t));
    m.of_got = arena_alloc(a, (n_got + 1) * sizeof(size_t));
    m.tried = arena_alloc(a, n_got + 1);
    c->pairs = arena_alloc(a, (n_expected + n_got + 1) * sizeof(*c->pairs));
    c->n_pairs = 0;
    if (!m.of_expected || !m.of_got || !m.tried || !c->pairs)
        return -ENOMEM;
    for (size_t i = 0; i < n_expected; i++)
        m.of_expected[i] = NONE;
    for (size_t i = 0; i < n_got; i++)
        m.of_got[i] = NONE;
    if (n_expected)
        qsort(expected, n_expected, sizeof(*expected), by_labels);
    if (n_got)
        qsort(got, n_got, sizeof(*got), by_labels);
    if (!c->partial)
        match_exact(&m);
    for (size_t i = 0; c->partial && i < n_expected; i++) {
        memset(m.tried, 0, n_got);
        find_place(&m, i);
    }
    match_nearest(&m);
    judge(c, &m);
    return 0;
}
