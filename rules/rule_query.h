// SPDX-License-Identifier: Apache-2.0
/*
 * query "EXPR" in the template of an alert, answered by the batch evaluator at the alert's instant.
 * It has an evaluator of its own for the time of one answer, because the alert's own results live in
 * that of the engine; templates that ask are few.
 */
#pragma once
#include "rules/eval.h"
#include "rules/template.h"

#define RULE_QUERY_SAMPLES_MAX 10000 // of one answer

struct rule_query {
    const struct eval *like; // its source and options are used
    int64_t t_ms;
};
// A template_query_fn; ctx is a struct rule_query.
int rule_query_answer(void *ctx, const char *expr, size_t len, struct arena *a,
    struct template_sample **ret, size_t *ret_n, struct err *err);
