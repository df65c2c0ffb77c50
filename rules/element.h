// SPDX-License-Identifier: Apache-2.0
/*
 * One entry of an instant vector, and the three things it can be:
 *
 *     VALUE      an ordinary PromQL element
 *     FILTERED   a comparison was false here: absent to PromQL, but its value is kept for the
 *                page and, later, for hysteresis. Every operator treats it as missing.
 *     NO_DATA    Prometheus would have nothing here only because the source (agent, target) is
 *                silent. It passes comparisons and arithmetic unchanged; an aggregate is NO_DATA
 *                only when all its members are. It never starts an alert and never resolves one.
 *
 * Within the lookback a silent source keeps its last word: an instant selector as in Prometheus, and
 * the windows of range functions end at its newest sample, so that nothing decays meanwhile (the
 * steps of a subquery repeat the last word instead). Such a VALUE is marked `silent`; an aggregate
 * is when all its members are, a pair when one of it is. No time that passes in silence makes a
 * pending alert fire.
 *
 * With no silent source a result is exactly Prometheus's: FILTERED and NO_DATA add nothing.
 * An announced end (stale marker) is not NO_DATA: the element is simply gone.
 */
#pragma once
#include "rules/histogram.h"
#include "rules/labels.h"
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum element_state { ELEMENT_VALUE, ELEMENT_FILTERED, ELEMENT_NO_DATA };

struct element {
    struct labels labels;
    enum element_state state;
    bool silent; // a VALUE that is only the last word of silent sources
    double value;
    const struct histogram *hist; // NULL for a float
    int64_t sample_ms;            // newest sample this came from: the cause time of an alert
};

struct vector {
    struct element *e;
    size_t n, cap;
};

// NaNs with meaning, told apart by their bits, never by isnan(): the stale marker has
// Prometheus's own payload; absent marks a hole in a row block and never reaches an expression.
#define NAN_STALE_BITS  0x7ff0000000000002ULL
#define NAN_ABSENT_BITS 0x7ff0000000000005ULL
#define NAN_NORMAL_BITS 0x7ff8000000000001ULL
static inline uint64_t double_bits(double v)
{
    uint64_t u;
    memcpy(&u, &v, sizeof(u));
    return u;
}
static inline double double_from_bits(uint64_t u)
{
    double v;
    // Or gcc makes a constant of it, and at times a quiet NaN of a signalling one.
    __asm__("" : "+r"(u));
    memcpy(&v, &u, sizeof(v));
    return v;
}
static inline bool is_stale(double v)
{
    return double_bits(v) == NAN_STALE_BITS;
}
