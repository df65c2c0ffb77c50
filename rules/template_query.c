// SPDX-License-Identifier: Apache-2.0
// What works on the results of queries, on collections, and on the address of the collector.
#include "base/num.h"
#include "rules/template_node.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ARGS struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret

bool tmpl_want(struct tmpl_run *r, const struct tmpl_value *v, enum tmpl_kind kind)
{
    struct tmpl_value example = {.kind = kind};
    if (v->kind == kind)
        return true;
    return tmpl_fail(
        r, "expected a %s, found a value of type %s", tmpl_type(&example), tmpl_type(v));
}

static void set_text(struct tmpl_value *ret, const char *s)
{
    *ret = (struct tmpl_value){.kind = TV_STRING, .s = s, .len = strlen(s)};
}

// --- queries ---------------------------------------------------------------------------------
static bool query(ARGS)
{
    struct template_sample *found = NULL;
    size_t count = 0;
    struct err err = {0};
    (void)n;
    if (!tmpl_want(r, &a[0], TV_STRING))
        return false;
    if (!r->data->query)
        return tmpl_fail(r, "there is nothing to ask a query of here");
    int rc =
        r->data->query(r->data->query_ctx, a[0].s, a[0].len, &r->arena, &found, &count, &err);
    if (rc == -ENOMEM) {
        r->rc = rc;
        return false;
    }
    if (rc < 0)
        return tmpl_fail(
            r, "query \"%.*s\": %s", a[0].len > 100 ? 100 : (int)a[0].len, a[0].s, err.msg);
    *ret = (struct tmpl_value){.kind = TV_LIST, .samples = found, .len = count};
    return true;
}

static bool first(ARGS)
{
    (void)n;
    if (!tmpl_want(r, &a[0], TV_LIST))
        return false;
    if (a[0].len == 0)
        return tmpl_fail(r, "first() called on vector with no elements");
    *ret = (struct tmpl_value){.kind = TV_SAMPLE, .samples = a[0].samples};
    return true;
}

static bool label(ARGS)
{
    (void)n;
    if (!tmpl_want(r, &a[0], TV_STRING) || !tmpl_want(r, &a[1], TV_SAMPLE))
        return false;
    const char *name = arena_strndup(&r->arena, a[0].s, a[0].len);
    if (!name) {
        r->rc = -ENOMEM;
        return false;
    }
    set_text(ret, labels_get(&a[1].samples->labels, name));
    return true;
}

static bool value(ARGS)
{
    (void)n;
    if (!tmpl_want(r, &a[0], TV_SAMPLE))
        return false;
    *ret = (struct tmpl_value){.kind = TV_FLOAT, .f = a[0].samples->value};
    return true;
}

static bool strvalue(ARGS)
{
    (void)n;
    if (!tmpl_want(r, &a[0], TV_SAMPLE))
        return false;
    set_text(ret, labels_get(&a[0].samples->labels, "__value__"));
    return true;
}

struct keyed {
    const char *key;
    size_t place; // ties keep their order
    const struct template_sample *sample;
};

static int by_key(const void *x, const void *y)
{
    const struct keyed *a = x, *b = y;
    int c = strcmp(a->key, b->key);
    return c ? c : (a->place > b->place) - (a->place < b->place);
}

static bool sort_by_label(ARGS)
{
    (void)n;
    if (!tmpl_want(r, &a[0], TV_STRING) || !tmpl_want(r, &a[1], TV_LIST))
        return false;
    size_t count = a[1].len;
    const char *name = arena_strndup(&r->arena, a[0].s, a[0].len);
    struct keyed *k = arena_alloc(&r->arena, (count + 1) * sizeof(*k));
    struct template_sample *sorted = arena_alloc(&r->arena, (count + 1) * sizeof(*sorted));
    if (!name || !k || !sorted) {
        r->rc = -ENOMEM;
        return false;
    }
    for (size_t i = 0; i < count; i++)
        k[i] = (struct keyed){labels_get(&a[1].samples[i].labels, name), i, &a[1].samples[i]};
    qsort(k, count, sizeof(*k), by_key);
    for (size_t i = 0; i < count; i++)
        sorted[i] = *k[i].sample;
    *ret = (struct tmpl_value){.kind = TV_LIST, .samples = sorted, .len = count};
    return true;
}

// --- collections -----------------------------------------------------------------------------
static bool args(ARGS)
{
    struct tmpl_value *copy = arena_alloc(&r->arena, (n + 1) * sizeof(*copy));
    if (!copy) {
        r->rc = -ENOMEM;
        return false;
    }
    if (n)
        memcpy(copy, a, n * sizeof(*copy));
    *ret = (struct tmpl_value){.kind = TV_ARGS, .args = copy, .len = n};
    return true;
}

static bool index_one(struct tmpl_run *r, const struct tmpl_value *of,
    const struct tmpl_value *at, struct tmpl_value *ret)
{
    if (of->kind == TV_LABELS || of->kind == TV_ARGS || of->kind == TV_DICT) {
        if (!tmpl_want(r, at, TV_STRING))
            return false;
        const char *name = arena_strndup(&r->arena, at->s, at->len);
        if (!name) {
            r->rc = -ENOMEM;
            return false;
        }
        if (of->kind == TV_LABELS) { // a label may have the name of a method
            set_text(ret, of->labels ? labels_get(of->labels, name) : "");
            return true;
        }
        return tmpl_field(r, of, name, NULL, 0, ret);
    }
    if (of->kind != TV_LIST && of->kind != TV_STRING && of->kind != TV_ALERTS &&
        of->kind != TV_ITEMS)
        return tmpl_fail(r, "cannot index a value of type %s", tmpl_type(of));
    if (!tmpl_want(r, at, TV_INT))
        return false;
    if (at->i < 0 || (size_t)at->i >= of->len)
        return tmpl_fail(r, "index out of range: %lld", (long long)at->i);
    if (of->kind == TV_STRING)
        *ret = (struct tmpl_value){.kind = TV_INT, .i = (unsigned char)of->s[at->i]};
    else if (of->kind == TV_ALERTS)
        *ret = (struct tmpl_value){.kind = TV_ALERT, .alert = of->alerts[at->i]};
    else if (of->kind == TV_ITEMS)
        *ret = of->args[at->i];
    else
        *ret = (struct tmpl_value){.kind = TV_SAMPLE, .samples = &of->samples[at->i]};
    return true;
}

static bool index_of(ARGS)
{
    struct tmpl_value v = a[0];
    for (size_t i = 1; i < n; i++) {
        struct tmpl_value of = v;
        if (!index_one(r, &of, &a[i], &v))
            return false;
    }
    *ret = v;
    return true;
}

static bool slice(ARGS)
{
    if (a[0].kind != TV_STRING && a[0].kind != TV_LIST && a[0].kind != TV_ALERTS &&
        a[0].kind != TV_ITEMS)
        return tmpl_fail(r, "cannot slice a value of type %s", tmpl_type(&a[0]));
    size_t bound[2] = {0, a[0].len};
    for (size_t i = 1; i < n; i++) {
        if (!tmpl_want(r, &a[i], TV_INT))
            return false;
        if (a[i].i < 0 || (size_t)a[i].i > a[0].len)
            return tmpl_fail(r, "index out of range: %lld", (long long)a[i].i);
        bound[i - 1] = (size_t)a[i].i;
    }
    if (bound[0] > bound[1])
        return tmpl_fail(r, "invalid slice index: %zu > %zu", bound[0], bound[1]);
    *ret = a[0];
    ret->len = bound[1] - bound[0];
    if (a[0].kind == TV_STRING)
        ret->s = a[0].s + bound[0];
    else if (a[0].kind == TV_ALERTS)
        ret->alerts = a[0].alerts + bound[0];
    else if (a[0].kind == TV_ITEMS)
        ret->args = a[0].args + bound[0];
    else
        ret->samples = a[0].samples + bound[0];
    return true;
}

// --- addresses and durations -----------------------------------------------------------------
static bool link_to(
    struct tmpl_run *r, const struct tmpl_value *expr, int tab, struct tmpl_value *ret)
{
    struct buf out;
    if (!tmpl_want(r, expr, TV_STRING))
        return false;
    buf_init(&out, TMPL_RESULT_MAX);
    buf_adds(&out, "/graph?g0.expr=");
    for (size_t i = 0; i < expr->len; i++) {
        unsigned char c = (unsigned char)expr->s[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                     (c >= 'A' && c <= 'Z') || (c && strchr("-_.~", c));
        if (plain)
            buf_addc(&out, (char)c);
        else if (c == ' ')
            buf_addc(&out, '+');
        else
            buf_addf(&out, "%%%02X", c);
    }
    buf_addf(&out, "&g0.tab=%d", tab);
    bool ok = !out.failed && tmpl_string(r, out.data, out.len, ret);
    if (out.failed)
        tmpl_fail(r, "the expression of a link is too long");
    buf_done(&out);
    return ok;
}

static bool graph_link(ARGS)
{
    (void)n;
    return link_to(r, &a[0], 0, ret);
}

static bool table_link(ARGS)
{
    (void)n;
    return link_to(r, &a[0], 1, ret);
}

static bool external_url(ARGS)
{
    (void)r;
    (void)a;
    (void)n;
    set_text(ret, r->data->external_url ? r->data->external_url : "");
    return true;
}

// The part of the address behind its host.
static bool path_prefix(ARGS)
{
    const char *url = r->data->external_url ? r->data->external_url : "";
    const char *host = strstr(url, "://");
    (void)a;
    (void)n;
    const char *path = strchr(host ? host + 3 : url, '/');
    if (!path)
        path = "";
    return tmpl_string(r, path, strcspn(path, "?#"), ret);
}

static bool parse_duration(ARGS)
{
    int64_t ms;
    (void)n;
    if (!tmpl_want(r, &a[0], TV_STRING))
        return false;
    if (!duration_parse(a[0].s, a[0].len, &ms))
        return tmpl_fail(r, "not a valid duration string: \"%.*s\"",
            a[0].len > 60 ? 60 : (int)a[0].len, a[0].s);
    *ret = (struct tmpl_value){.kind = TV_FLOAT, .f = (double)ms / 1000};
    return true;
}

// In a rule nothing is escaped, so nothing has to be kept from it.
static bool safe_html(ARGS)
{
    (void)n;
    if (!tmpl_want(r, &a[0], TV_STRING))
        return false;
    *ret = a[0];
    ret->b = true;
    return true;
}

const struct tmpl_function TMPL_QUERY_FUNCTIONS[] = {
    {"args", 0, -1, args, false, TMPL_FN_RULES},
    {"externalURL", 0, 0, external_url, false, TMPL_FN_RULES},
    {"first", 1, 1, first, false, TMPL_FN_RULES},
    {"graphLink", 1, 1, graph_link, false, TMPL_FN_RULES},
    {"index", 1, -1, index_of, false, TMPL_FN_BOTH},
    {"label", 2, 2, label, false, TMPL_FN_RULES},
    {"parseDuration", 1, 1, parse_duration, false, TMPL_FN_RULES},
    {"pathPrefix", 0, 0, path_prefix, false, TMPL_FN_RULES},
    {"query", 1, 1, query, false, TMPL_FN_RULES},
    {"safeHtml", 1, 1, safe_html, false, TMPL_FN_BOTH},
    {"slice", 1, 3, slice, false, TMPL_FN_BOTH},
    {"sortByLabel", 2, 2, sort_by_label, false, TMPL_FN_RULES},
    {"strvalue", 1, 1, strvalue, false, TMPL_FN_RULES},
    {"tableLink", 1, 1, table_link, false, TMPL_FN_RULES},
    {"value", 1, 1, value, false, TMPL_FN_RULES},
    {0},
};
