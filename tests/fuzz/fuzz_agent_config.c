// SPDX-License-Identifier: Apache-2.0
// links: agent wire base
// Any text is an agent.yaml: it loads, and then prints to something that loads again, or it is refused
// with a problem named.
#include "agent/config.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct agent_config *c = NULL, *again = NULL;
    struct buf problems, text;
    buf_init(&problems, 8u << 20);
    buf_init(&text, 8u << 20);
    if (config_parse((const char *)data, size, "fuzz.yaml", &c, &problems) == 0) {
        if (config_print(c, &text) == 0 && config_parse((const char *)text.data, text.len,
                                               "again.yaml", &again, &problems) < 0)
            abort();
    } else if (!problems.len && !problems.failed) {
        abort();
    }
    config_free(c);
    config_free(again);
    buf_done(&problems);
    buf_done(&text);
    return 0;
}
