// SPDX-License-Identifier: Apache-2.0
/*
 * The incremental evaluator: the expressions of all rules as one graph, whose nodes keep what they
 * made of the samples, so that an evaluation costs what changed and not what a window holds.
 *
 *     samples -> leaves (a selector, or a function over a range) -> operators -> expressions
 *
 * Equal sub-expressions are one node, however many rules have them. A leaf keeps one element per
 * series and moves it forward sample by sample; an operator is computed again only when an operand
 * changed; it ends in the batch evaluator's own operators (eval_node.h), so that both evaluators
 * give the same bits. What cannot be kept (a window nailed down by `@`) is evaluated anew each
 * time, and plan_describe says so.
 *
 * Time moves forward: reading what was already read at a later time is answered by the batch
 * evaluator. Therefore rules that are evaluated on different clocks (grid, arrival, a query
 * offset) have plans of their own. A vector's elements have fixed places; one that has nothing now is FILTERED
 * with the absent NaN, which no operator tells from a comparison that is false.
 *
 * Owns everything but the source. One thread. Algorithms of the windows: slide.h.
 */
#pragma once
#include "rules/eval.h"

struct plan;
struct plan_expr; // one expression in it

struct plan *plan_new(
    const struct source *src, const struct eval_options *o); // NULL: no memory
void plan_free(struct plan *p);
// Adds an expression; equal ones share everything. The text is copied. 0, -ENOMEM.
int plan_add(struct plan *p, const struct expr_root *x, struct plan_expr **ret);
void plan_remove(struct plan *p, struct plan_expr *x);

// No node may have more elements than this (plan_read: -E2BIG with an error that names it); 0 = any.
void plan_limit(struct plan *p, size_t elements);

// A source_watch_fn, ctx is the plan. Must be told of everything, or the plan goes on believing what
// it knew.
void plan_sample(void *plan, uint32_t series, int64_t t_ms, double v);

// As eval_instant. What *ret points to lives until the next read, sample or removal.
int plan_read(
    struct plan *p, struct plan_expr *x, int64_t t_ms, struct value *ret, struct err *err);

// x will be read after so many (3, then 2, then 1) reads: what it consists of is fetched into the
// processor's reach, which of all a read of a quiet rule does takes longest.
void plan_soon(const struct plan_expr *x, int reads);
// Names what the last read of x gave: while it is the same number, every element is the same but
// for its sample time. 0: it cannot be said (the read failed, or went back in time).
uint64_t plan_version(const struct plan_expr *x);

struct plan_stats {
    size_t nodes, leaves, elements, bytes;
    uint64_t reads, batch_reads; // all, and those that went back in time
    uint64_t computed, kept;     // operators evaluated, and those found unchanged
    uint64_t selects;            // leaves that asked the source for their series
};
void plan_stats(const struct plan *p, struct plan_stats *ret);

// One line of an expression's plan, root first, depth by indentation.
struct plan_line {
    int depth;
    const char *text; // canonical
    const char *kind; // "selector", "window", "aggregate", "join", "operator", "timer" ...
    size_t elements;  // places, and bytes kept for them
    size_t bytes;
    uint32_t shared_by; // expressions and nodes that read it
};
void plan_describe(const struct plan *p, const struct plan_expr *x,
    void (*fn)(void *ctx, const struct plan_line *l), void *ctx);
