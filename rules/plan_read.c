// SPDX-License-Identifier: Apache-2.0
// Reading a plan: which nodes of an expression have to be brought to a time, and what samples do.
#include "rules/plan_subquery.h"
#include <errno.h>

#define NODE_LINES 4 // of a node that reading it touches

int plan_check(struct plan *p, const struct node *n, size_t elements)
{
    if (!p->elements_max || elements <= p->elements_max)
        return 0;
    err_set(
        p->eval->err, "%s has %zu elements, more than %zu", n->key, elements, p->elements_max);
    return -E2BIG;
}

// Brings a node to t_ms whose operands are there.
static int bring(struct plan *p, struct node *n, int64_t t_ms)
{
    if (n->round == p->round && !n->failed)
        return 0;
    bool leaf = node_is_leaf(n->kind) || n->kind == &NODE_TIMER || n->kind == &NODE_SUBQUERY.k;
    bool due = leaf || n->failed || n->t_ms == INT64_MIN || (n->reads_time && n->t_ms != t_ms);
    for (size_t i = 0; i < n->n; i++) {
        if (i < 32 && n->fixed >> i & 1)
            continue;
        n->in[i] = n->child[i]->out;
        due |= n->seen[i] != n->child[i]->version;
    }
    if (due) {
        p->eval->sel = n->text->selections;
        int rc = n->kind->bring(p, n, t_ms);
        if (rc == 0)
            rc = plan_check(p, n, n->out.vector.n);
        n->failed = rc < 0;
        if (rc < 0)
            return rc;
        for (size_t i = 0; i < n->n; i++)
            n->seen[i] = n->child[i]->version;
    }
    if (!leaf)
        *(due ? &p->stats.computed : &p->stats.kept) += 1;
    n->t_ms = t_ms;
    n->round = p->round;
    return 0;
}

// First which nodes are not there yet, parts of those that are left out, then these, operands first.
// In two passes, because the first one's reads are independent of one another: rules are many and
// each finds its nodes far out of the processor's reach.
static int bring_all(struct plan *p, const struct plan_expr *x, int64_t t_ms)
{
    size_t k = 0;
    int rc = 0;
    for (size_t i = 0; i < x->n;) {
        struct node *n = x->step[i].node;
        bool there = n->round == p->round && !n->failed;
        if (!there)
            p->todo[k++] = n;
        i += there ? x->step[i].size : 1;
    }
    while (rc == 0 && k-- > 0)
        rc = bring(p, p->todo[k], t_ms);
    return rc;
}

// Whether a part of it has been at a later time and keeps something of that.
static bool ahead(const struct plan_expr *x, int64_t t_ms)
{
    for (size_t i = 0; i < x->n; i++)
        if (x->step[i].node->kind->forward && x->step[i].node->t_ms > t_ms)
            return true;
    return false;
}

int plan_read(
    struct plan *p, struct plan_expr *x, int64_t t_ms, struct value *ret, struct err *err)
{
    struct eval *e = p->eval;
    eval_reset(e);
    p->stats.reads++;
    x->version = 0;
    if (t_ms < p->newest_ms && ahead(x, t_ms)) {
        p->stats.batch_reads++;
        return eval_instant(e, &x->text->root, x->text->selections, t_ms, ret, err);
    }
    // Without memory to know whom a sample concerns everybody begins anew.
    if (p->audience.lost || audience_meet(&p->audience) < 0)
        audience_begin(&p->audience);
    uint64_t generation = e->src.generation(e->src.self);
    if (t_ms != p->t_ms || p->source_moved || generation != p->generation) {
        p->round++;
        p->t_ms = t_ms;
        p->source_moved = false;
        p->generation = generation;
    }
    if (t_ms > p->newest_ms)
        p->newest_ms = t_ms;
    eval_begin(e, x->text->selections, t_ms, err);
    int rc = eval_finish(e, bring_all(p, x, t_ms));
    if (rc == 0) {
        *ret = x->root->out;
        x->version = x->root->version;
    }
    return rc;
}

uint64_t plan_version(const struct plan_expr *x)
{
    return x->version;
}

void plan_limit(struct plan *p, size_t elements)
{
    p->elements_max = elements;
}

void plan_sample(void *plan, uint32_t id, int64_t t_ms, double v)
{
    struct plan *p = plan;
    p->source_moved = true;
    subqueries_hear(p, id, t_ms);
    for (uint32_t i = audience_heard(&p->audience, id); i; i = p->audience.link[i].next)
        leaf_sample(leaf_of(p->audience.link[i].by), p->audience.link[i].slot, t_ms, v);
}

void plan_soon(const struct plan_expr *x, int reads)
{
    size_t n = reads < 3 ? x->n : 0;
    for (size_t k = 0; reads == 3 && k < 2; k++)
        __builtin_prefetch((const char *)x + 64 * k);
    for (size_t i = 0; i < n && i < 16; i++) {
        const struct node *node = x->step[i].node;
        for (size_t k = 0; reads == 2 && k < NODE_LINES; k++)
            __builtin_prefetch((const char *)node + 64 * k);
        if (reads == 2)
            continue;
        __builtin_prefetch(node->x);
        __builtin_prefetch(&node->x->fn);
        __builtin_prefetch(node->out.vector.e);
        if (node_is_leaf(node->kind))
            __builtin_prefetch(((const struct leaf *)node)->slot);
    }
}
