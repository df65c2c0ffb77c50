// SPDX-License-Identifier: Apache-2.0
#include "agent/connection_le.h"
#include <math.h>
#include <stdlib.h>

bool connection_le_follow(struct connection_le *l, const struct demand *d)
{
    double le[DEMAND_THRESHOLDS_MAX];
    bool changed = false;

    if (!d || d->version == l->version)
        return false;
    size_t n = demand_thresholds(d, l->name, le);
    if (n && !l->of && !(l->of = calloc(l->rows, sizeof(*l->of))))
        return false; // the next tick tries again
    l->version = d->version;
    for (size_t i = 0; i < CONNECTION_LE - 1; i++) {
        double ns = i < n ? floor(le[i] * 1e9) : -1;
        __u64 bound = i >= n || ns >= 9e18 ? UINT64_MAX : ns < 0 ? 0 : (__u64)ns;
        changed |= l->bounds_ns[i] != bound;
        __atomic_store_n(&l->bounds_ns[i], bound, __ATOMIC_RELAXED);
    }
    return changed;
}

void connection_le_write(struct connection_le *l, size_t row, struct output *o,
    const struct demand *d, const struct wire_label *labels, size_t n, const uint64_t *places)
{
    if (!l->of)
        return;
    struct le_counts *c = &l->of[row];
    uint64_t sum = 0;
    le_counts_follow(c, o, d, l->name, labels, n);
    for (size_t i = 0; i < CONNECTION_LE; i++) {
        sum += places[i];
        if (i < c->n)
            c->counts[i] = sum;
    }
    c->counts[c->n] = sum;
    le_counts_write(c, o);
}

void connection_le_end(struct connection_le *l, size_t row, struct output *o)
{
    if (!l->of)
        return;
    le_counts_end(&l->of[row], o);
    l->of[row] = (struct le_counts){0};
}

void connection_le_done(struct connection_le *l)
{
    free(l->of);
    l->of = NULL;
}
