// SPDX-License-Identifier: Apache-2.0
/*
 * Functions over subqueries in a plan, and what they have to be told: samples that are not newer
 * than the steps they keep, series that fall silent, speak again or are forgotten. All other samples
 * cost a comparison.
 */
#pragma once
#include "rules/plan_operator.h"

// Whether a subquery, or a part of one, is free of `@`, so that a step stays what it was.
bool subquery_moves(const struct expr *x);
void subqueries_event(struct plan *p, uint32_t id, int64_t t_ms);
// As plan_sample.
static inline void subqueries_hear(struct plan *p, uint32_t id, int64_t t_ms)
{
    // A sample of a silent source makes last words, past ones too, values again.
    if (p->subqueries && (t_ms <= p->steps_ms || t_ms == INT64_MAX ||
                             p->eval->src.silent(p->eval->src.self, id)))
        subqueries_event(p, id, t_ms);
}

extern const struct operator_kind NODE_SUBQUERY;
