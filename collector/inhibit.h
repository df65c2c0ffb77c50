// SPDX-License-Identifier: Apache-2.0
/*
 * Alertmanager's inhibition: a target is muted while an alert that matches the source side fires and
 * agrees with it in the `equal` labels (a missing label equals an empty one). An alert that matches
 * both sides is not muted by others that do, so nothing inhibits itself. A side may also be of one
 * rule alone: so are the dependencies that an overrides document names (policies.h), of which there may
 * be as many as rules; a notice is only looked at by those of its rule.
 *
 * Pure; knows what fires from inhibitor_take. Rules are borrowed. One thread.
 */
#pragma once
#include "collector/matcher_text.h"
#include "collector/notice.h"

#define INHIBIT_RULES_MAX 1000
#define INHIBIT_EQUAL_MAX 64

struct inhibit_rule {
    uint64_t source_rule, target_rule; // identity of the rule whose alerts alone count; 0 = any
    struct matcher_list source, target;
    const char **equal; // label names
    size_t n_equal;
};
struct inhibitor;
struct inhibitor *inhibitor_new(const struct inhibit_rule *rules, size_t n); // NULL: no memory
void inhibitor_free(struct inhibitor *h);
// A change of an alert. Without memory a source is not noted: its targets are told, not lost.
void inhibitor_take(struct inhibitor *h, const struct notice *n);
bool inhibitor_muted(const struct inhibitor *h, const struct notice *n);
// Whether a source began or ended since this was last asked: then targets have to be looked at.
bool inhibitor_moved(struct inhibitor *h);
