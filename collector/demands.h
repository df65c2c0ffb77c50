// SPDX-License-Identifier: Apache-2.0
/*
 * What the rules want of the agents beyond the usual, told in replies (Demand in wire/tocsin.proto):
 *
 *     NAME_bucket{le="0.3"} in any rule          count NAME exactly at 0.3
 *     NAME in a rule with `evaluate: arrival`    sample NAME faster: the rule looks when it arrives
 *
 * Made by main of each set of rules that is taken, handed to the ingest thread, which tells every
 * agent at its session's start, when it is another, and again each DEMANDS_AGAIN_MS, because a reply may
 * be lost. Immutable; lives as long as nobody frees it.
 */
#pragma once
#include "base/arena.h"
#include "rules/file.h"
#include "wire/batch.h"

#define DEMANDS_AGAIN_MS  10000
#define DEMANDS_BYTES_MAX (16u << 10)

struct demands {
    struct arena arena;
    struct wire_threshold *thresholds; // by name and value, each once
    size_t n_thresholds;
    const char **faster; // sorted, each once
    size_t n_faster;
};

// At most WIRE_DEMANDS_MAX of either and DEMANDS_BYTES_MAX of names, so that every reply holds it; what is
// more is left out. Disabled rules want nothing. NULL: no
// memory.
struct demands *demands_of(const struct ruleset *set);
void demands_free(struct demands *d); // NULL allowed
