// SPDX-License-Identifier: Apache-2.0
// links: collector rules wire base
/* Any bytes as a collector configuration: parsed or refused with a text, never more. */
#include "collector/config.h"
#include <errno.h>
#include <stdlib.h>

// The same bytes as a file of Alertmanager's, with paths of its own.
static void as_alertmanagers(const uint8_t *data, size_t size)
{
    struct config c;
    struct diags d;
    diags_init(&d);
    config_defaults(&c);
    c.alertmanager_file = "folder/alertmanager.yml";
    int rc = config_alertmanager(&c, (const char *)data, size, &d);
    if ((rc == 0 && d.errors) || (rc == -EINVAL && !d.errors))
        abort();
    for (size_t i = 0; rc == 0 && i < c.n_receivers; i++)
        for (size_t k = 0; k < c.receivers[i].n; k++)
            if (!c.receivers[i].integrations[k].kind)
                abort();
    diags_done(&d);
    config_done(&c);
}

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
    as_alertmanagers(data, size);
    return 0;
}
