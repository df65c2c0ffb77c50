// SPDX-License-Identifier: Apache-2.0
/*
 * How the last tries of a receiver went: share that got through, and how long they took. A ring of
 * fixed size; whoever asks gets exact quantiles of what is in it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TALLY_TRIES 256

struct tally { // all zero is empty
    uint32_t took_us[TALLY_TRIES];
    bool ok[TALLY_TRIES];
    size_t n; // ever
};
struct tally_view {
    size_t tries, ok;        // tries <= TALLY_TRIES
    uint32_t p50_us, p99_us; // of all tries, failed ones too; 0 = there were none
};
void tally_add(struct tally *t, bool ok, int64_t took_us);
void tally_view(const struct tally *t, struct tally_view *ret);
