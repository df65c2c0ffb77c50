// SPDX-License-Identifier: Apache-2.0
// links: rules base
// What was laid out stays as it is when laid out again, and a refusal of our own never happens.
#include "rules/print_file.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf once, twice;
    struct diags d;
    struct rules_format f, g = {0};
    buf_init(&once, RULES_FORMAT_MAX);
    buf_init(&twice, RULES_FORMAT_MAX);
    diags_init(&d);
    int rc = rules_format((const char *)data, len, &once, &f, &d);
    for (size_t i = 0; i < d.n; i++)
        if (!strcmp(d.items[i].code, "T047"))
            abort();
    if (rc < 0 && d.errors == 0)
        abort();
    if (rc == 0) {
        rc = rules_format((const char *)once.data, once.len, &twice, &g, &d);
        if (rc < 0 || g.n_edits || twice.len != once.len)
            abort();
    }
    rules_format_done(&f);
    rules_format_done(&g);
    diags_done(&d);
    buf_done(&once);
    buf_done(&twice);
    return 0;
}
