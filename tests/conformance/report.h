// SPDX-License-Identifier: Apache-2.0
/*
 * How much of what a run does, and what it did. Read from the environment once:
 *
 *     CONFORMANCE_SEED          where it starts; each history takes the next number (1)
 *     CONFORMANCE_EVALUATIONS   goes on until so many were compared with promtool (0)
 *     CONFORMANCE_SECONDS       and for so long (8); what is longer decides
 */
#pragma once
#include "tests/conformance/trial.h"

struct budget {
    uint64_t seed, histories;
    size_t evaluations;
    double seconds, started, longest, last;
};
void budget_init(struct budget *b);
// true: another history, of b->seed + b->histories, which is counted here.
bool budget_more(struct budget *b, size_t evaluations, uint64_t *ret_seed);

void tally_print(const struct tally *t, const struct budget *b, const char *what);
