// SPDX-License-Identifier: Apache-2.0
// links: agent wire base
/*
 * Any line of StatsD: what is told is a metric's name and labels as the wire wants them, finite and in
 * order; and a line that tells nothing and is not empty has a fault.
 */
#include "agent/statsd_line.h"
#include "wire/name.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_sample(void *ctx, const struct statsd_sample *s)
{
    struct wire_label l[STATSD_TAGS_MAX];
    size_t n = 0;
    const char *end = s->key + s->key_len;
    ++*(size_t *)ctx;
    if (!wire_metric_ok(s->key) || end[-1] != '\0' || s->key_len > STATSD_KEY_MAX)
        abort();
    for (const char *at = s->key + strlen(s->key) + 1; at < end; n++) {
        if (n == STATSD_TAGS_MAX)
            abort();
        l[n].name = at;
        at += strlen(at) + 1;
        if (at >= end)
            abort();
        l[n].value = at;
        at += strlen(at) + 1;
        if (n && strcmp(l[n - 1].name, l[n].name) >= 0)
            abort();
        if (!wire_text_ok(l[n].value, 1, STATSD_KEY_MAX) || strchr(l[n].name, ':') ||
            !wire_metric_ok(l[n].name))
            abort();
    }
    if (!isfinite(s->value) || (s->type != STATSD_GAUGE && s->value < 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t faults[STATSD_FAULTS] = {0}, all = 0;
    size_t told = 0;
    if (statsd_line((const char *)data, size, faults, on_sample, &told) != told)
        abort();
    for (int i = 0; i < STATSD_FAULTS; i++)
        all += faults[i];
    if (size && !told && !all)
        abort();
    return 0;
}
