// SPDX-License-Identifier: Apache-2.0
/* One label matcher: =, !=, =~, !~. A missing label is an empty one; regexes are anchored. */
#pragma once
#include "base/err.h"
#include "base/regex.h"
#include "rules/labels.h"

enum match_op { MATCH_EQ, MATCH_NE, MATCH_RE, MATCH_NRE };
struct matcher {
    enum match_op op;
    const char *name, *value;
    const struct regex *re; // MATCH_RE, MATCH_NRE; owned with the expression
};
bool matcher_value(const struct matcher *m, const char *value);
bool matchers_labels(const struct matcher *m, size_t n, const struct labels *s);
