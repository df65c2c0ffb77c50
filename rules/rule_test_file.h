// SPDX-License-Identifier: Apache-2.0
/* A test file as read: what rule_test_file.c fills and rule_test.c runs. Lives in its arena. */
#pragma once
#include "rules/rule_test.h"
#include "rules/series_text.h"

struct test_series {
    struct labels labels;
    struct series_values values;
};
struct test_case {
    enum rule_test_kind kind;
    const char *what;
    struct expr_root expr; // RULE_TEST_EXPR
    int64_t at_ms;
    int line, col, len;
    struct rule_test_item *expected;
    size_t n_expected;
};
struct test_group { // one entry of `tests`
    const char *name;
    int line;
    int64_t interval_ms, start_ms;
    const char *external_url; // NULL = none
    struct labels external_labels;
    struct test_series *series;
    size_t n_series;
    struct test_case *cases; // alert cases, then expressions
    size_t n_cases;
};
struct rule_tests {
    struct ruleset place; // its arena holds everything; it has no groups
    struct rule_test_pattern *patterns;
    size_t n_patterns;
    int64_t interval_ms;
    const char **order; // group_eval_order
    size_t n_order;
    bool fuzzy;
    struct test_group *tests;
    size_t n_tests;
};

// Two items say the same: labels, annotations, value. partial: what is expected may be a part.
bool rule_test_same(const struct rule_test_item *expected, const struct rule_test_item *got,
    bool partial, bool fuzzy);
// Which of the expected belongs to which of those there are, in c->pairs; sets c->passed; reads
// c->partial. Sorts both. 0, -ENOMEM.
int rule_test_match(struct rule_test_case *c, struct rule_test_item *expected,
    size_t n_expected, struct rule_test_item *got, size_t n_got, bool fuzzy, struct arena *a);
