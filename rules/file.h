// SPDX-License-Identifier: Apache-2.0
/*
 * Rule files as Prometheus writes them, and our overrides document. Text in, rules out: reading
 * files from disk happens in collector/ and cli/.
 *
 * A set is built from any number of texts; every mistake of every file is collected. Standard
 * files never hold extensions; those come only through a document with an `overrides:` list:
 *
 *     overrides:
 *       - rule: starter/ServiceCrashed      # group/name
 *         set: {evaluate: arrival, for: 0s, labels: {severity: page}}
 *       - rule: web/Hot                     # > 90 fires, <= 80 for half a minute ends it
 *         set: {clear: 80, clear_for: 30s, for_tolerance: 2, no_data: resolve}
 *       - rule: web/Slow                    # nobody is told while the host it is on is down, and
 *         set: {depends_on: [tocsin/AgentDown], flap: {window: 10m, max: 6}}    # not at each swing
 *       - rule: starter/SwapIn
 *         disable: true
 */
#pragma once
#include "base/diag.h"
#include "rules/dependency.h"
#include "rules/template.h"

enum rule_kind { RULE_ALERT, RULE_RECORD };
enum evaluate_mode { EVALUATE_INTERVAL, EVALUATE_ARRIVAL };
// What a silent source does to an alert about it (element.h).
enum no_data_policy { NO_DATA_KEEP, NO_DATA_RESOLVE, NO_DATA_ALERT };

struct rule_text { // a label or annotation
    const char *name;
    const char *text;
    struct template *tmpl;
};
// An alert that begins more than `max` times within the window flaps; max 0 = nobody looks.
struct flap_limit {
    int64_t window_ms;
    uint32_t max;
};
#define FLAP_MAX       100
#define FLAP_WINDOW_MS (7 * 86400 * 1000LL) // the longest
struct rule {
    enum rule_kind kind;
    const char *name; // alert name or recorded metric
    struct expr_root expr;
    int64_t for_ms, keep_firing_for_ms;
    enum evaluate_mode evaluate;
    enum no_data_policy no_data;
    // A firing alert goes on while its value compares so with `clear`: the second threshold of a
    // hysteresis. OP_GT, OP_GE, OP_LT or OP_LE, the vector on the left.
    bool has_clear;
    double clear;
    enum binary_op clear_op;
    uint32_t for_tolerance; // false evaluations that do not reset `for`
    struct dependency *depends;
    size_t n_depends;
    struct flap_limit flap;
    struct rule_text *labels, *annotations; // sorted by name
    size_t n_labels, n_annotations;
    int line; // of the `alert:` or `record:` key
    bool disabled;
    bool builtin;      // came with the collector, not from a file
    uint64_t identity; // see ruleset_identify
};
struct rule_group {
    const char *name, *file;
    int64_t interval_ms; // 0 = default
    int64_t query_offset_ms;
    size_t limit; // 0 = none
    struct rule_text *labels;
    size_t n_labels;
    struct rule *rules;
    size_t n_rules;
    int line;
};
struct ruleset {
    struct arena arena;        // everything below
    struct rule_group *groups; // sorted by (file, place)
    size_t n_groups, cap_groups;
};

#define RULE_FILE_MAX (8u << 20)
struct ruleset *ruleset_new(void);
void ruleset_free(struct ruleset *s);
// Frees the regexes of a group that is taken out of its set.
void rule_group_done(struct rule_group *g);
// Adds one file's groups. d gets its mistakes; after an error the set must not be loaded.
int ruleset_add(
    struct ruleset *s, const char *file, const char *text, size_t len, struct diags *d);
// True when the text is an overrides document (top-level key `overrides`).
bool ruleset_is_overrides(const char *text, size_t len);
// Applies an overrides document to what was added so far. A rule it names must exist.
int ruleset_override(
    struct ruleset *s, const char *file, const char *text, size_t len, struct diags *d);
// What shows only once all are added: a group name in two files. These have no line, their text
// names the files.
void ruleset_check(struct ruleset *s, struct diags *d);
// Gives each rule its identity: what stays the same over restarts and edits of its expression (group,
// kind, name, labels, place among equals). engine_load does it.
void ruleset_identify(struct ruleset *s);
