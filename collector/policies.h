// SPDX-License-Identifier: Apache-2.0
/*
 * What the overrides say about telling alerts, apart from the rules themselves: `depends_on` as
 * inhibitions between rules, and `flap`. The shard owns a set of rules and frees it with the next; this
 * goes to the notify thread, which knows alerts only by the identity of their rule.
 *
 *     main: rule files -> ruleset ---> shard
 *                            |
 *                       policies_new -> notify_policies, before the shard gets its set: an alert of
 *                                       the new rules finds its policies there
 *
 * An identity stays the same over reloads, edits of the expression and restarts (file.h), so nothing
 * has to be written down: a restart reads the same files.
 *
 * Immutable and counted; any thread. Copies what it needs of the set.
 */
#pragma once
#include "collector/inhibit.h"

struct policies;
// Gives the rules of the set their identity. NULL: no memory.
struct policies *policies_new(struct ruleset *set);
struct policies *policies_keep(struct policies *p);
void policies_free(struct policies *p); // gives up a reference; NULL allowed
// For inhibitor_new; lives as long as p.
const struct inhibit_rule *policies_dependencies(const struct policies *p, size_t *ret_n);
// max 0 = this rule has none.
struct flap_limit policies_flap(const struct policies *p, uint64_t rule_identity);
