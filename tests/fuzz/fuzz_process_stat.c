// SPDX-License-Identifier: Apache-2.0
// links: agent wire base
// /proc/PID/stat: every process chooses its own name, which stands in the middle of the line.
#include "agent/process_stat.h"
#include "wire/name.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct process_stat s;
    char *text = malloc(size + 1); // as it is read: NUL-terminated

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    if (process_stat_parse(text, size, &s) && !wire_text_ok(s.comm, 1, PROCESS_COMM_MAX - 1))
        abort();
    free(text);
    return 0;
}
