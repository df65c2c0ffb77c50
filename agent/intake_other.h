// SPDX-License-Identifier: Apache-2.0
/*
 * Series that stand for those an intake has no room for: one for each name and kind whose values can be added
 * up, with the labels of the source and other="true". Private to intake*.c.
 *
 *     counters   the increase of each since its last value; what one counted before we saw it is none,
 *                unless nothing was told yet
 *     gauges     the sum of this round
 *
 * Ratios, temperatures, points in time and the like have no sum that says something. Owned by the
 * intake, loop thread.
 */
#pragma once
#include "agent/intake.h"

struct intake_others {
    struct intake_other {
        char *name;
        enum series_kind kind;
        uint32_t id;
        bool seen, told; // in this round; ever
        double value;
    } all[INTAKE_OTHERS_MAX];
    size_t n;
};

void intake_others_done(struct intake_others *o);
void intake_others_begin(struct intake_others *o); // a round
// The number of the one for this name, made if need be: text is for its labels. -1: it cannot go on so.
int intake_others_of(struct intake_others *o, struct output *out,
    const struct intake_options *options, struct arena *text, const char *name,
    enum series_kind kind, const char *unit);
// A value of one that it stands for. last: the value before, NaN at first; kept there.
void intake_others_add(struct intake_others *o, size_t number, double value, double *last);
// Into the open group. whole: those not seen in this round are stale.
void intake_others_write(struct intake_others *o, struct output *out, bool whole);
void intake_others_stale(const struct intake_others *o, struct output *out);
void intake_others_end(const struct intake_others *o, struct output *out);
