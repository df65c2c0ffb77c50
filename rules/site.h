// SPDX-License-Identifier: Apache-2.0
/*
 * Where the rules of a loaded set stand in their file: for whoever has something to say about a
 * rule that loads. The set keeps no YAML, so the file is read once more, and its groups and rules
 * are walked side by side with the set's: only while nothing was overridden since.
 *
 * A comment in a rule or in the lines right above it silences codes there:
 *
 *     # tocsin:allow T214 the batch tier is scaled to zero outside business hours
 *     - alert: BatchStalled
 */
#pragma once
#include "base/yaml.h"
#include "rules/file.h"

struct rule_site {
    const struct ruleset *set;
    const struct rule_group *group;
    const struct rule *rule; // its expression is whole
    const char *text;        // of the file
    size_t len;
    const struct yaml_node *node, *expr; // the rule, its expression
    struct diags *d;
};

// Calls visit for every rule of the file whose expression was read, in order, until it returns
// other than 0, which is returned. -ENOMEM. A file that is no YAML has no rules.
int ruleset_sites(const struct ruleset *s, const char *file, const char *text, size_t len,
    struct diags *d, int (*visit)(void *ctx, const struct rule_site *site), void *ctx);
// A warning at bytes [start, end) of a value of the rule.
void site_warn(const struct rule_site *s, const char *code, const struct yaml_node *scalar,
    size_t start, size_t end, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 7, 8)));
// Takes the warnings that a comment of the rule allows out of d.
void site_forgive(const struct rule_site *s);
