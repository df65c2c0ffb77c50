// SPDX-License-Identifier: Apache-2.0
/* Whether two batches say the same, doubles compared by their bits. */
#pragma once
#include "wire/batch.h"
#include <string.h>

static inline uint64_t bits_of(double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof(bits));
    return bits;
}

static inline bool same_histogram(
    const struct wire_histogram *a, const struct wire_histogram *b)
{
    uint32_t k = 0;

    for (uint32_t i = 0; i < a->n; i++) {
        if (a->count[i] == 0)
            continue;
        if (k == b->n || a->index[i] != b->index[k] || a->count[i] != b->count[k])
            return false;
        k++;
    }
    return k == b->n && a->scale == b->scale && a->zero_threshold == b->zero_threshold &&
           a->zero_count == b->zero_count && bits_of(a->sum) == bits_of(b->sum);
}

static inline bool same_sample(const struct batch_sample *a, const struct batch_sample *b)
{
    if (a->id != b->id || a->kind != b->kind || a->reset != b->reset)
        return false;
    if (a->kind == SAMPLE_VALUE)
        return bits_of(a->value) == bits_of(b->value);
    return a->kind != SAMPLE_HISTOGRAM || same_histogram(a->hist, b->hist);
}

static inline bool same_batch(const struct batch *a, const struct batch *b)
{
    if (a->seq != b->seq || a->wall_ms != b->wall_ms || a->mono_ns != b->mono_ns ||
        a->clock_step_ms != b->clock_step_ms || a->n_groups != b->n_groups ||
        a->n_events != b->n_events || a->n_repairs != b->n_repairs)
        return false;
    for (size_t g = 0; g < a->n_groups; g++) {
        const struct batch_group *x = &a->groups[g], *y = &b->groups[g];
        if (x->interval_ms != y->interval_ms || x->tick != y->tick ||
            x->stamp_ms != y->stamp_ms || x->n != y->n)
            return false;
        for (size_t i = 0; i < x->n; i++) {
            if (!same_sample(&x->samples[i], &y->samples[i]))
                return false;
        }
    }
    for (size_t i = 0; i < a->n_events; i++) {
        const struct batch_event *x = &a->events[i], *y = &b->events[i];
        if (x->id != y->id || x->kind != y->kind || x->wall_us != y->wall_us ||
            strcmp(x->service, y->service) != 0 || strcmp(x->detail, y->detail) != 0)
            return false;
    }
    for (size_t i = 0; i < a->n_repairs; i++) {
        const struct wire_repair_result *x = &a->repairs[i], *y = &b->repairs[i];
        if (strcmp(x->id, y->id) != 0 || x->outcome != y->outcome || x->code != y->code ||
            x->duration_ms != y->duration_ms || x->again != y->again ||
            x->n_output != y->n_output ||
            (x->n_output && memcmp(x->output, y->output, x->n_output) != 0) ||
            strcmp(x->reason, y->reason) != 0)
            return false;
    }
    return true;
}
