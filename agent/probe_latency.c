// SPDX-License-Identifier: Apache-2.0
#include "agent/probe_latency.h"
#include <math.h>

void probe_latency_book(struct probe_latency *l, double seconds)
{
    l->sum += seconds;
    le_counts_observe(&l->le, seconds);
    if (seconds <= PROBE_ZERO_THRESHOLD) {
        l->zero_count++;
        return;
    }
    int i = (int)ceil(log2(seconds) * (1 << WIRE_SCALE));
    i = i < PROBE_BUCKET_LOW ? PROBE_BUCKET_LOW : i > PROBE_BUCKET_HIGH ? PROBE_BUCKET_HIGH : i;
    l->buckets[i - PROBE_BUCKET_LOW]++;
}

void probe_latency_owe(struct probe_latency *l, int64_t due_ns, int64_t step_ns)
{
    if (!l->owed)
        l->owed_ns = due_ns;
    l->owed = (due_ns - l->owed_ns) / step_ns + 1;
}

void probe_latency_settle(
    struct probe_latency *l, int64_t at_ns, int64_t step_ns, int64_t limit_ns)
{
    // One that fell due later waited for us, who still asked for numbers, not for the service.
    for (; l->owed && l->owed_ns < at_ns; l->owed--, l->owed_ns += step_ns) {
        int64_t waited = at_ns - l->owed_ns;
        probe_latency_book(l, (double)(waited < limit_ns ? waited : limit_ns) / 1e9);
    }
    l->owed = 0;
}

void probe_latency_read(
    const struct probe_latency *l, int32_t *index, uint64_t *count, struct wire_histogram *ret)
{
    *ret = (struct wire_histogram){.scale = WIRE_SCALE,
        .zero_threshold = PROBE_ZERO_THRESHOLD,
        .zero_count = l->zero_count,
        .sum = l->sum,
        .index = index,
        .count = count};
    for (int i = 0; i < PROBE_BUCKETS; i++)
        if (l->buckets[i]) {
            index[ret->n] = PROBE_BUCKET_LOW + i;
            count[ret->n++] = l->buckets[i];
        }
}
