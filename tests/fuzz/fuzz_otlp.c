// SPDX-License-Identifier: Apache-2.0
// links: agent wire base
/* Any body of protobuf posted to /v1/metrics. */
#include "tests/fuzz/otlp_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_reply(int rc, const struct otlp_answer *a, const char *reason)
{
    struct buf reply;
    (void)reason;
    buf_init(&reply, 4096);
    if (rc == 0 && otlp_encode_answer(a, OTLP_PROTOBUF, &reply) < 0)
        abort();
    buf_done(&reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    post_twice(data, size, OTLP_PROTOBUF, check_reply);
    return 0;
}
