// SPDX-License-Identifier: Apache-2.0
// links: agent wire base
// Anything a plugin may print: labels are text, values finite or unknown, ranges in order.
#include "agent/nagios.h"
#include "wire/name.h"
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_range(const struct nagios_range *r)
{
    if (r->given && !(r->low <= r->high))
        abort();
}

static void on_value(void *ctx, const struct nagios_value *v)
{
    ++*(size_t *)ctx;
    if (!wire_text_ok(v->label, 1, NAGIOS_LABEL_MAX) || isinf(v->value) ||
        strlen(v->unit) > NAGIOS_UNIT_MAX || isinf(v->min) || isinf(v->max))
        abort();
    check_range(&v->warning);
    check_range(&v->critical);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[NAGIOS_TEXT_MAX + 1];
    size_t n = 0;
    nagios_read((const char *)data, size, text, on_value, &n);
    if (!wire_text_ok(text, 0, NAGIOS_TEXT_MAX) || n > size)
        abort();
    return 0;
}
