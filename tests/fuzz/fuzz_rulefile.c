// SPDX-License-Identifier: Apache-2.0
// links: rules base
/*
 * Any bytes as a rule file and as an overrides document: rules or mistakes, each inside the file. What
 * loads is looked at for warnings too.
 */
#include "rules/file.h"
#include "rules/lint.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char BASE[] =
    "groups: [{name: g, rules: [{alert: a, expr: x > 1, labels: {l: m}}, {alert: b, expr: x}, {record: r, expr: y}]}]";

static void check(const struct diags *d, int rc, const char *text, size_t size)
{
    struct buf out;
    if ((rc < 0) != (d->errors > 0))
        abort();
    for (size_t i = 0; i < d->n; i++)
        if (d->items[i].line < 0 || d->items[i].col < 0 || d->items[i].len < 1)
            abort();
    buf_init(&out, 4U << 20);
    diags_print(d, "fuzz.yaml", text, size, &out);
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct diags d;

    struct ruleset *set = ruleset_new();
    if (!set)
        return 0;
    diags_init(&d);
    int rc = ruleset_add(set, "fuzz.yaml", text, size, &d);
    check(&d, rc, text, size);
    struct lint_options o = {.sampling_ms = 15000};
    struct lint *l = lint_new(set, &o);
    if (!l || lint_file(l, "fuzz.yaml", text, size, &d) < 0)
        abort();
    lint_free(l);
    check(&d, rc, text, size);
    ruleset_check(set, &d);
    diags_done(&d);
    ruleset_free(set);

    set = ruleset_new();
    if (!set)
        return 0;
    diags_init(&d);
    if (ruleset_add(set, "base.yaml", BASE, sizeof(BASE) - 1, &d) < 0)
        abort();
    (void)ruleset_is_overrides(text, size);
    rc = ruleset_override(set, "fuzz.yaml", text, size, &d);
    check(&d, rc, text, size);
    diags_done(&d);
    ruleset_free(set);
    return 0;
}
