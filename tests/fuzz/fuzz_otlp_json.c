// SPDX-License-Identifier: Apache-2.0
// links: agent wire base
/*
 * Any body of JSON posted to /v1/metrics, twice. As fuzz_otlp.c; and an answer is JSON itself.
 */
#include "agent/otlp.h"
#include "agent/otlp_json.h"
#include "wire/name.h"
#include <cjson/cJSON.h>
#include <stdlib.h>

#define NOW_MS 1800000000000LL

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const LISTED[] = {"deployment.environment"};
    struct otlp_options options = {
        .attributes = LISTED, .n_attributes = 1, .series_limit = 20, .age_ms = 60000};
    struct output *out = output_new();
    struct otlp *o = out ? otlp_new(out, &options) : NULL;
    for (uint64_t i = 1; o && i <= 2; i++) {
        struct otlp_answer a;
        struct err err = {0};
        struct buf reply;
        int64_t at = NOW_MS + (int64_t)i * 1000;
        int rc = otlp_take(o, OTLP_JSON, data, size, at, &a, &err);
        if (rc < 0 && !err.msg[0])
            abort();
        if (rc == 0 && (a.rejected > a.points || !a.rejected != !a.reason[0]))
            abort();
        buf_init(&reply, 4096);
        if ((rc == 0 ? otlp_encode_answer(&a, OTLP_JSON, &reply)
                     : otlp_json_status(400, err.msg, &reply)) < 0)
            abort();
        cJSON *json = cJSON_ParseWithLength((const char *)reply.data, reply.len);
        if (!json)
            abort();
        cJSON_Delete(json);
        buf_done(&reply);
        check_batch(output_take(out, i, at, 1));
    }
    otlp_free(o, 0);
    output_free(out);
    return 0;
}
