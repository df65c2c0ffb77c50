// SPDX-License-Identifier: Apache-2.0
// links: rules base
/* Any bytes as a template: a mistake inside the text, or a result. */
#include "rules/template.h"
#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Two samples for every question but those that begin with an x.
static int answer(void *ctx, const char *expr, size_t len, struct arena *a,
    struct template_sample **ret, size_t *ret_n, struct err *err)
{
    static const struct label pairs[2][2] = {
        {{LABEL_NAME, "y"}, {"a", "2"}}, {{LABEL_NAME, "y"}, {"a", "1"}}};
    (void)ctx;
    if (len && expr[0] == 'x') {
        err_set(err, "a mistake");
        return -EINVAL;
    }
    struct template_sample *s = arena_alloc(a, 2 * sizeof(*s));
    if (!s)
        return -ENOMEM;
    for (size_t i = 0; i < 2; i++)
        s[i] = (struct template_sample){{pairs[i], 2}, (double)i};
    *ret = s;
    *ret_n = 2;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct label pairs[] = {
        {LABEL_NAME, "up"}, {"host", "web-1.example.net:9100"}, {"job", "\xc3\xa9 a*b"}};
    static const struct labels labels = {pairs, 3};
    const struct template_data d = {
        .labels = &labels, .value = 1234.5, .external_url = "http://h", .query = answer};
    struct arena arena;
    struct err err = {0};
    struct buf out;

    arena_init(&arena, 256U << 20);
    buf_init(&out, 1U << 20);
    struct template *t = template_parse((const char *)data, size, &arena, &err);
    if (t) {
        int rc = template_expand(t, &d, &out);
        if (rc != 0 && rc != -EINVAL && rc != -EMSGSIZE && rc != -ENOMEM)
            abort();
        for (const struct template_label *l = template_labels(t); l; l = l->next)
            if (l->at > size)
                abort();
        for (const struct template_doubt *x = template_doubts(t); x; x = x->next)
            if (x->at > size || !x->msg[0])
                abort();
        (void)template_uses_value(t);
        (void)template_is_plain(t);
    } else if (!err.msg[0] || err.col < 1 || (size_t)err.col > size + 1) {
        abort();
    }
    buf_done(&out);
    arena_done(&arena);
    return 0;
}
