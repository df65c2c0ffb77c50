// SPDX-License-Identifier: Apache-2.0
/*
 * What an alert need not be told beside: `depends_on` of an overrides document.
 *
 *     depends_on:
 *       - node/AgentDown                               # group/name, or a name that is there once
 *       - 'Switch{site="ams"}'                         # a selector over the labels of alerts
 *       - {rule: net/SwitchDown, equal: [site]}        # where both have the same `site`
 *       - {alerts: '{alertname=~"Power.*"}', equal: []}   # wherever it is
 *
 * While such an alert fires, alerts of this rule are muted; which ones, `equal` says: those that have
 * the same values of these labels, a missing one being an empty one. It is [instance] when nothing is
 * said, so that what is wrong with one host never hides another: an alert without `instance` is hidden
 * only by one without it.
 *
 * Rules that depend on each other would hide each other, and nobody would be told: that is a mistake,
 * also when only a selector could make it so. A selector never stands for the rule that has it.
 *
 * Lives in the set's arena; dependencies_done frees the regexes.
 */
#pragma once
#include "rules/ast.h"
#include <stdbool.h>

#define DEPENDENCIES_MAX     64 // of one rule
#define DEPENDENCY_EQUAL_MAX 64

struct yaml_node;
struct reading;
struct ruleset;
struct rule;
struct dependency {
    const char *group, *rule;  // of one rule; NULL: what the selector matches
    struct expr_root selector; // a plain EXPR_SELECTOR; its metric name is the alert's
    const char **equal;
    size_t n_equal;
    const struct yaml_node
        *at; // while its document is read: for a mistake that shows only then
};
// Reads the list into the rule, in place of what it had. Mistakes are marked.
void dependencies_read(struct reading *r, const struct yaml_node *n, struct rule *rule);
// Marks rules that depend on each other, at what this document says. Forgets the places.
void dependencies_check(struct reading *r);
void dependencies_done(struct rule *rule);
