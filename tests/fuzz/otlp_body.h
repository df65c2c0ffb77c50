// SPDX-License-Identifier: Apache-2.0
/*
 * A body posted to /v1/metrics, twice, so that what is found again is tried too: never more rejected than
 * there were points, a reason where there are some, and an output whose frames are taken whole. For one
 * fuzzer of each encoding.
 */
#pragma once
#include "agent/otlp.h"
#include "wire/name.h"
#include <stdlib.h>

#define NOW_MS 1800000000000LL

static void check_batch(const struct batch *b)
{
    for (size_t i = 0; i < b->n_declares; i++)
        if (!wire_metric_ok(b->declares[i].name) ||
            wire_labels_fault(b->declares[i].labels, b->declares[i].n_labels))
            abort();
    for (size_t g = 0; g < b->n_groups; g++)
        for (size_t i = 0; i < b->groups[g].n; i++)
            if (b->groups[g].samples[i].kind == SAMPLE_HISTOGRAM &&
                wire_histogram_fault(b->groups[g].samples[i].hist))
                abort();
}

// check_reply: of what the sender is told, by otlp_take's return and its reason.
static void post_twice(const uint8_t *data, size_t size, enum otlp_format format,
    void (*check_reply)(int rc, const struct otlp_answer *a, const char *reason))
{
    static const char *const LISTED[] = {"deployment.environment"};
    struct otlp_options options = {
        .attributes = LISTED, .n_attributes = 1, .series_limit = 20, .age_ms = 60000};
    struct output *out = output_new();
    struct otlp *o = out ? otlp_new(out, &options) : NULL;
    for (uint64_t i = 1; o && i <= 2; i++) {
        struct otlp_answer a;
        struct err err = {0};
        int64_t at = NOW_MS + (int64_t)i * 1000;
        int rc = otlp_take(o, format, data, size, at, &a, &err);
        if (rc < 0 && !err.msg[0])
            abort();
        if (rc == 0 && (a.rejected > a.points || !a.rejected != !a.reason[0]))
            abort();
        check_reply(rc, &a, err.msg);
        check_batch(output_take(out, i, at, 1));
    }
    otlp_free(o, 0);
    output_free(out);
}
