// SPDX-License-Identifier: Apache-2.0
// links: wire base
/* A message of the live page's socket. What is accepted must encode to the same bytes again. */
#include "wire/live.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct live_head head;
    struct live_points points;
    struct buf store, again;
    const uint8_t *payload;
    size_t len;
    int rc = -1;

    if (live_decode_head(data, size, &head, &payload, &len) < 0)
        return 0;
    buf_init(&store, 1 << 20);
    buf_init(&again, 1 << 20);
    if (head.type != LIVE_POINTS)
        rc = live_encode_json(&head, (const char *)payload, len, &again);
    else if (live_decode_points(payload, len, &store, &points) == 0)
        rc = live_encode_points(&head, &points, &again);
    if (rc == 0 && (again.len != size || memcmp(again.data, data, size) != 0))
        abort();
    buf_done(&store);
    buf_done(&again);
    return 0;
}
