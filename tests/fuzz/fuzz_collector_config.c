// SPDX-License-Identifier: Apache-2.0
// links: collector rules wire base
/* Any bytes as a collector configuration: parsed or refused with a text, never more. */
#include "collector/config.h"
#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config c;
    struct diags d;
    struct buf out;
    diags_init(&d);
    buf_init(&out, 1 << 20);
    int rc = config_parse((const char *)data, size, &c, &d);
    if ((rc == 0 && d.errors) || (rc == -EINVAL && !d.errors))
        abort();
    // What was accepted can be asked for without looking twice.
    if (rc == 0 && c.route && !config_receiver(&c, c.route->receiver))
        abort();
    diags_sort(&d);
    diags_print(&d, "f", (const char *)data, size, &out);
    buf_done(&out);
    diags_done(&d);
    config_done(&c);
    return 0;
}
