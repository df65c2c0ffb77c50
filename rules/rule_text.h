// SPDX-License-Identifier: Apache-2.0
/*
 * Reading the fields that rule files, overrides and test files share, out of YAML nodes, each mistake
 * with its place. Private to those who read them. The YAML tree lives in an arena of its own
 * and dies after the file; what a rule keeps is copied into the set's.
 */
#pragma once
#include "base/yaml.h"
#include "rules/file.h"

struct reading {
    struct ruleset *set;
    const char *file, *text;
    size_t len;
    struct diags *d;
    bool no_memory;
};

// An error (or warning) at a node; underlines its first line.
void reading_mark(struct reading *r, enum diag_severity severity, const struct yaml_node *at,
    const char *code, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
// At bytes [start, end) of a scalar's value.
void reading_mark_span(struct reading *r, const struct yaml_node *scalar, size_t start,
    size_t end, const char *code, const char *hint, const char *msg);
void reading_warn_span(struct reading *r, const struct yaml_node *scalar, size_t start,
    size_t end, const char *code, const char *hint, const char *msg);
// Copies into the set's arena; NULL sets no_memory.
char *reading_copy(struct reading *r, const char *s, size_t len);
void *reading_alloc(struct reading *r, size_t size);
// A map (a null counts as an empty one: returns NULL) whose keys are all among `keys`; unknown
// ones are reported. Wrong kinds are reported and give NULL.
const struct yaml_node *reading_map(struct reading *r, const struct yaml_node *n,
    const char *what, const char *const *keys, size_t n_keys);
const struct yaml_node *reading_seq(
    struct reading *r, const struct yaml_node *n, const char *what);
// A single value or NULL, reported when it is a list or map.
const struct yaml_node *reading_scalar(
    struct reading *r, const struct yaml_node *n, const char *what);
int64_t reading_duration(
    struct reading *r, const struct yaml_node *n, const char *what); // 0 when absent or bad
// Labels or annotations, sorted by name. templated: values are compiled.
bool reading_texts(struct reading *r, const struct yaml_node *n, const char *what,
    bool templated, bool labels, struct rule_text **ret, size_t *ret_n);
// Parses the expression of a rule; false when it is reported.
bool reading_expr(struct reading *r, const struct yaml_node *n, struct expr_root *ret);
// "did you mean GROUP/NAME?" for a rule that is not there; empty when none is near. overrides.c.
void reading_suggest_rule(struct reading *r, const char *wanted, char *hint, size_t size);
