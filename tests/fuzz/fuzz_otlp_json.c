// SPDX-License-Identifier: Apache-2.0
// links: agent wire base
/* Any body of JSON posted to /v1/metrics; and an answer is JSON itself. */
#include "agent/otlp_json.h"
#include "tests/fuzz/otlp_body.h"
#include <cjson/cJSON.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_reply(int rc, const struct otlp_answer *a, const char *reason)
{
    struct buf reply;
    buf_init(&reply, 4096);
    if ((rc == 0 ? otlp_encode_answer(a, OTLP_JSON, &reply)
                 : otlp_json_status(400, reason, &reply)) < 0)
        abort();
    cJSON *json = cJSON_ParseWithLength((const char *)reply.data, reply.len);
    if (!json)
        abort();
    cJSON_Delete(json);
    buf_done(&reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    post_twice(data, size, OTLP_JSON, check_reply);
    return 0;
}
