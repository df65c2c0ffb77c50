// SPDX-License-Identifier: Apache-2.0
// links: rules base
/*
 * Any bytes as a template, of a rule and of a message: a mistake inside the text, or a result. What
 * comes out of a message's template as JSON or HTML ends where its ceiling is.
 */
#include "rules/template_set.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

static bool zone(void *ctx, const char *name, int64_t at_ms, int32_t *ret_offset_s)
{
    (void)ctx;
    *ret_offset_s = (int32_t)(at_ms % 3600);
    return name[0] != 'x';
}

static void check(const struct template_fault *f, size_t size)
{
    if (!f->msg[0] || (f->line && !f->file && f->at > size))
        abort();
}

static void message(const uint8_t *data, size_t size)
{
    static const struct label pairs[] = {
        {"alertname", "Down"}, {"job", "\xc3\xa9 <a>\"&\xff"}, {"url", "javascript:x"}};
    static const struct labels labels = {pairs, 3}, group = {pairs, 1};
    static const struct template_alert alerts[] = {
        {"firing", &labels, &labels, 1764044401123, TEMPLATE_NO_TIME, "http://g/?a=b", "00ab"},
        {"resolved", &labels, &group, 1764044401123, INT64_MAX, NULL, NULL}};
    static const struct template_message m = {
        "r", "firing", "http://h", alerts, 2, &group, &labels, &labels};
    const struct template_data d = {.message = &m, .now_ms = 1764044409123, .zone = zone};
    struct template_fault fault;
    struct arena arena;
    arena_init(&arena, 64U << 20);
    struct template_set *s = template_set_new(&arena);
    struct template *t = s ? template_set_parse(s, (const char *)data, size, &fault) : NULL;
    if (s && !t)
        check(&fault, size);
    if (s && template_set_add(s, "a/b.tmpl", (const char *)data, size, &fault) < 0)
        check(&fault, size);
    else if (s && template_set_check(s, &fault) < 0 && !fault.msg[0])
        abort();
    for (enum template_escape e = TEMPLATE_PLAIN; t && e <= TEMPLATE_JSON; e++) {
        struct buf out;
        buf_init(&out, 1U << 16);
        int rc = template_render(t, &d, e, &out, &fault);
        if (rc < 0)
            check(&fault, size);
        if ((rc != 0 && rc != -EINVAL && rc != -ENOMEM) || (rc < 0 && out.len))
            abort();
        if (template_explore(t, &d, e, &fault) < 0)
            check(&fault, size);
        buf_done(&out);
    }
    arena_done(&arena);
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
    message(data, size);
    return 0;
}
