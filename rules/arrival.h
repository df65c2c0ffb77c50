// SPDX-License-Identifier: Apache-2.0
/*
 * The rules that are evaluated on arrival, and their selectors as listeners (audience.h): a sample
 * marks the rules that read it. What is fed of a series nobody has been offered yet is remembered
 * until the next advance.
 *
 * Owned by the engine; one thread.
 */
#pragma once
#include "rules/audience.h"

struct engine;
struct group_state;
struct rule_place { // one rule, by its place
    uint32_t group, rule;
};
struct arrival_reader {
    struct listener hears;
    struct series_ids ids;
    struct rule_place by;
};
struct arrivals {
    struct rule_place *rule;
    size_t n;
    struct arrival_reader *reader; // one for each selector
    size_t n_readers;
    bool open; // all of them have their series
};
static inline struct arrival_reader *arrival_reader_of(struct listener *l)
{
    return (struct arrival_reader *)((char *)l - offsetof(struct arrival_reader, hears));
}

// Those of a set of rules. 0, -ENOMEM.
int arrivals_open(
    struct audience *a, const struct group_state *g, size_t n, struct arrivals *ret);
void arrivals_close(struct audience *a, struct arrivals *x);
// Before anything is evaluated: offers new series, marks what was remembered. 0, -ENOMEM.
int arrivals_refresh(struct engine *e);
void arrival_forget(struct engine *e); // a series was forgotten
