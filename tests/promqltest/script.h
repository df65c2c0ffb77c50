// SPDX-License-Identifier: Apache-2.0
/*
 * A promqltest script as a list of commands: what to load, what to evaluate, what is expected.
 *
 *     load 1m                                  load_with_nhcb 1m
 *         requests_total{a="b"} 1+1x5 _ stale
 *     eval instant at 5m rate(requests_total[5m])
 *         expect no_warn
 *         {a="b"} 0.016666666666666666
 *     eval range from 0 to 10m step 1m ...
 *     clear
 *
 * Read once, whole; everything lives in the script's arena. A block ends at an empty line, and a
 * line of comment is an empty line.
 */
#pragma once
#include "base/err.h"
#include "rules/series_text.h"

struct script_series {
    int line;
    struct labels labels;
    struct series_values values;
};
enum expect_kind {
    EXPECT_ORDERED,
    EXPECT_FAIL,
    EXPECT_WARN,
    EXPECT_NO_WARN,
    EXPECT_INFO,
    EXPECT_NO_INFO,
    EXPECT_N
};
struct expectation {
    enum expect_kind kind;
    enum { MATCH_ANY, MATCH_MESSAGE, MATCH_PATTERN } match;
    const char *text;
};
enum command_kind { COMMAND_LOAD, COMMAND_CLEAR, COMMAND_EVAL };
struct command {
    enum command_kind kind;
    int line;
    // LOAD: series at 0, step, 2 step ...; EVAL: the results expected
    struct script_series *series;
    size_t n_series;
    int64_t step_ms;
    bool with_nhcb;
    bool start_times; // has @st lines, which say when a counter began
    // EVAL
    const char *expr;
    bool range, range_vector; // range_vector: the instant gives samples from start to end
    int64_t start_ms, end_ms; // an instant has both the same
    struct expectation *expect;
    size_t n_expect;
    bool expects_scalar;
    double scalar;
    const char *string; // NULL: no string is expected
};
struct script {
    struct arena arena;
    struct command *command;
    size_t n;
};
// 0; -EINVAL with err (line and reason); -ENOMEM.
int script_parse(const char *text, size_t len, struct script *ret, struct err *err);
void script_done(struct script *s);
bool command_expects(const struct command *c, enum expect_kind kind);
