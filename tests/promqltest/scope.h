// SPDX-License-Identifier: Apache-2.0
/*
 * What is declared out of scope: only what Prometheus itself has behind a feature flag. Such an
 * expression must still end in an error that names the feature, never in a wrong answer.
 */
#pragma once
#include "rules/parse.h"
#include "tests/promqltest/script.h"
#include <stddef.h>

struct feature {
    const char *name, *reason;
    const char *named; // what our error must contain; NULL: the feature shows in no syntax
};
// What was loaded.
struct data_facts {
    bool start_times; // samples with start timestamps
    bool described;   // series with __type__ or __unit__
};
extern const struct feature FEATURES[];
extern const size_t N_FEATURES;

// The feature an expression was refused for, by the error; N_FEATURES when it is none of them.
size_t feature_of_error(const struct parse_error *e);
// The feature that decides the result without showing in the syntax; N_FEATURES for none.
size_t feature_of_data(const struct expr_root *x, const struct data_facts *d);
// The feature that may be why the result is another; N_FEATURES for none.
size_t feature_of_result(const struct expr_root *x, const struct data_facts *d);
