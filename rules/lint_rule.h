// SPDX-License-Identifier: Apache-2.0
// One rule under examination. Private to rules/lint*.c.
#pragma once
#include "base/map.h"
#include "rules/lint.h"
#include "rules/site.h"

struct lint {
    const struct ruleset *set;
    struct lint_options options;
    struct map recorded; // metric name -> the first struct rule that records it
    struct map seen;     // name, labels and expression of each alert -> struct rule
    struct arena arena;  // of one rule
    const struct rule_site *site;
    bool no_memory;
};

// A warning about a node of the rule's expression.
#define LINT_EXPR(l, code, e, hint, ...)                                                       \
    site_warn((l)->site, code, (l)->site->expr, (size_t)(e)->start, (size_t)(e)->end, hint,    \
        __VA_ARGS__)
const struct expr *lint_bare(const struct expr *e); // without parentheses
bool lint_reads_series(const struct expr *e);
void lint_expr(struct lint *l, const struct expr *e); // e and everything in it
void lint_call(struct lint *l, const struct expr *e); // a call alone
