// SPDX-License-Identifier: Apache-2.0
#include "agent/le_counts.h"
#include "base/num.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static void bound_text(double v, char ret[static NUM_TEXT_MAX + 3])
{
    size_t len = num_short(v, ret);
    ret[len] = 0;
    if (isfinite(v) && !strpbrk(ret, ".e"))
        snprintf(ret + len, 3, ".0");
}

static void intern(struct le_counts *c, struct output *o, const char *name,
    const struct wire_label *labels, size_t n)
{
    struct wire_label all[WIRE_LABELS_MAX];
    char series[WIRE_NAME_MAX + 1], text[NUM_TEXT_MAX + 3];
    memcpy(all, labels, n * sizeof(*all));
    all[n] = (struct wire_label){"le", text};
    snprintf(series, sizeof(series), "%s_bucket", name);
    for (size_t i = 0; i <= c->n; i++) {
        bound_text(i < c->n ? c->le[i] : INFINITY, text);
        c->ids[i] = output_series(o, series, all, n + 1, SERIES_COUNTER, "1");
    }
    snprintf(series, sizeof(series), "%s_count", name);
    c->count_id = output_series(o, series, labels, n, SERIES_COUNTER, "1");
}

bool le_counts_follow(struct le_counts *c, struct output *o, const struct demand *d,
    const char *name, const struct wire_label *labels, size_t n)
{
    double le[DEMAND_THRESHOLDS_MAX];
    if (!d || d->version == c->version)
        return false;
    size_t n_le = demand_thresholds(d, name, le);
    c->version = d->version;
    if (n_le == c->n && memcmp(le, c->le, n_le * sizeof(*le)) == 0)
        return false;
    le_counts_end(c, o);
    *c = (struct le_counts){.version = d->version, .n = n_le};
    memcpy(c->le, le, n_le * sizeof(*le));
    if (n_le)
        intern(c, o, name, labels, n);
    return true;
}

void le_counts_observe(struct le_counts *c, double v)
{
    for (size_t i = 0; i < c->n; i++)
        c->counts[i] += v <= c->le[i];
    c->counts[c->n]++;
}

void le_counts_write(const struct le_counts *c, struct output *o)
{
    for (size_t i = 0; c->n && i <= c->n; i++)
        output_set(o, c->ids[i], (double)c->counts[i]);
    if (c->n)
        output_set(o, c->count_id, (double)c->counts[c->n]);
}

void le_counts_end(struct le_counts *c, struct output *o)
{
    for (size_t i = 0; c->n && i <= c->n; i++)
        output_end(o, c->ids[i]);
    if (c->n)
        output_end(o, c->count_id);
    c->n = 0;
}
