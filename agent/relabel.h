// SPDX-License-Identifier: Apache-2.0
/*
 * Prometheus's relabel_configs: a list of rules that keep or drop a label set, or change it.
 *
 *     {__name__="x", a="1"} -> rule -> rule -> {__name__="x", b="1"}, or dropped
 *
 * A rule reads the set as it was before it and writes into a copy, so a labelmap does not see its
 * own labels. A label with an empty value is no label. Expressions are RE2's, anchored at both ends,
 * `.` matches newline (as in Prometheus 3).
 *
 * Pure. The text of a set lives in an arena of the caller's; rules borrow theirs from the
 * configuration, but own their expressions. One thread at a time: a regex has scratch memory.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/regex.h"
#include "wire/batch.h"

#define RELABEL_LABELS_MAX 128 // of a set, __name__ and __meta included
#define RELABEL_RULES_MAX  256
#define RELABEL_TEXT_MAX   (64u << 10) // of one value on its way

struct relabel_set {
    struct arena *text; // of what rules make; reset it when the set is no longer looked at
    struct wire_label l[RELABEL_LABELS_MAX]; // no order, each name once, no empty value
    size_t n;
    bool failed; // no memory, or more labels than fit
};
void relabel_set_init(struct relabel_set *s, struct arena *text);
const char *relabel_get(const struct relabel_set *s, const char *name); // "" when absent
// Borrows both; an empty value removes the label.
void relabel_put(struct relabel_set *s, const char *name, const char *value);
void relabel_sort(struct relabel_set *s); // by name

enum relabel_action {
    RELABEL_REPLACE,
    RELABEL_KEEP,
    RELABEL_DROP,
    RELABEL_KEEPEQUAL,
    RELABEL_DROPEQUAL,
    RELABEL_HASHMOD,
    RELABEL_LABELMAP,
    RELABEL_LABELDROP,
    RELABEL_LABELKEEP,
    RELABEL_LOWERCASE,
    RELABEL_UPPERCASE,
    RELABEL_ACTIONS
};

// NULL in a text = not given.
struct relabel_rule {
    enum relabel_action action;
    const char *const *source; // source_labels
    size_t n_source;
    const char *separator, *pattern, *target, *replacement;
    uint64_t modulus;
    struct regex *regex; // made by relabel_rule_ready
};
struct relabel {
    struct relabel_rule *rules;
    size_t n;
};

const char *relabel_action_name(enum relabel_action a);
bool relabel_action_parse(const char *text, enum relabel_action *ret); // either case
// Judges one rule as Prometheus does and compiles its expression. 0; -EINVAL with err, and *ret_key
// names the key that is wrong ("regex", "target_label" ...).
int relabel_rule_ready(struct relabel_rule *r, const char **ret_key, struct err *err);
void relabel_rule_done(struct relabel_rule *r);
// False: dropped. Look at s->failed too.
bool relabel_apply(const struct relabel *r, struct relabel_set *s);
bool relabel_equal(const struct relabel *a, const struct relabel *b);
