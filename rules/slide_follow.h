// SPDX-License-Identifier: Apache-2.0
/*
 * A window state (slide.h) kept up with a source: what came since its newest sample is pushed, what
 * left is evicted.
 *
 * The samples that will be the oldest next are read a few at a time and kept (`struct ahead`): to
 * look for a place in the middle of a series costs more than all else that is done for a sample.
 * Nothing here notices a sample that was stored, replaced or given up behind the newest: whoever is
 * told of one (source.h: watch) has the state filled anew, and clears the ahead with it.
 */
#pragma once
#include "rules/slide.h"

#define AHEAD 5
struct ahead {
    double v[AHEAD];         // of a histogram: as in SLIDE_HISTOGRAMS
    uint32_t wait_ms[AHEAD]; // after the one before
    uint8_t at, n;
};
struct follow {
    struct eval *e; // its source and its window buffer
    const struct slide_call *call;
    int64_t left_ms, to_ms; // the window is what is after the one, up to the other
};

// The state must be ready and its newest sample inside of the new window. newer: there may be
// newer samples. 1; 0 when the source has other samples than the state has seen, or of another kind:
// it has to be filled anew; -ENOMEM.
int slide_follow(
    const struct follow *f, uint32_t id, bool newer, struct slide *s, struct ahead *a);
// From the samples of a whole window, all floats or all histograms. 0, -ENOMEM.
int slide_begin(const struct follow *f, struct slide *s, struct ahead *a,
    const struct window *w, double param);
