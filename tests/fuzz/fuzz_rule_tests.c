// SPDX-License-Identifier: Apache-2.0
// links: rules base
// Reading a test file of rules: every mistake has a place in the text and words.
#include "rules/rule_test.h"
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct diags d;
    size_t n;
    diags_init(&d);
    struct rule_tests *t = rule_tests_read(len ? (const char *)data : "", len, &d);
    if (t) {
        const struct rule_test_pattern *p = rule_tests_patterns(t, &n);
        for (size_t i = 0; i < n; i++)
            if (!p[i].text[0] || p[i].line < 1)
                abort();
    }
    for (size_t i = 0; i < d.n; i++)
        if (!d.items[i].msg[0] || d.items[i].col < 0 || (size_t)d.items[i].col > len + 1)
            abort();
    rule_tests_free(t);
    diags_done(&d);
    return 0;
}
