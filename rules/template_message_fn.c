// SPDX-License-Identifier: Apache-2.0
// The functions that only templates of messages have.
#include "base/rune.h"
#include "rules/template_node.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ARGS struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret

static const char ANY[] = "[]interface {}";

static bool finish(struct tmpl_run *r, struct buf *b, struct tmpl_value *ret)
{
    bool ok = b->failed ? tmpl_fail_large(r, "the text is too long")
                        : tmpl_string(r, b->data, b->len, ret);
    buf_done(b);
    return ok;
}

static bool letter(uint32_t c)
{
    return c >= 0x80 || (c >= '0' && c <= '9') || c == '_' ||
           ((c | 32) >= 'a' && (c | 32) <= 'z');
}

// Each word begins large and goes on small. What joins two letters begins no word: don't, a.b, a:b.
static bool title(ARGS)
{
    struct buf out;
    bool inside = false;
    (void)n;
    if (!tmpl_want(r, &a[0], TV_STRING))
        return false;
    buf_init(&out, TMPL_RESULT_MAX);
    for (size_t at = 0; at < a[0].len;) {
        uint32_t c = rune_decode(a[0].s, a[0].len, &at);
        size_t next = at;
        uint32_t then = at < a[0].len ? rune_decode(a[0].s, a[0].len, &next) : ' ';
        char text[4];
        bool joins = inside && letter(then) && (c == '\'' || c == '.' || c == ':');
        buf_add(&out, text, rune_encode(inside ? rune_lower(c) : rune_upper(c), text));
        // What is no letter begins no word either: 1St.
        bool cased = letter(c) && c != '_' && !(c >= '0' && c <= '9');
        inside = joins || (letter(c) && (cased || inside));
    }
    return finish(r, &out, ret);
}

static bool trim_space(ARGS)
{
    size_t from = 0, to;
    (void)n;
    if (!tmpl_want(r, &a[0], TV_STRING))
        return false;
    to = a[0].len;
    while (from < to && strchr(" \t\n\v\f\r", a[0].s[from]) && a[0].s[from])
        from++;
    while (to > from && strchr(" \t\n\v\f\r", a[0].s[to - 1]) && a[0].s[to - 1])
        to--;
    *ret = a[0];
    ret->s += from;
    ret->len = to - from;
    return true;
}

static bool join(ARGS)
{
    struct buf out;
    (void)n;
    if (!tmpl_want(r, &a[0], TV_STRING))
        return false;
    if (a[1].kind != TV_ITEMS || a[1].s != TMPL_STRINGS)
        return tmpl_fail(
            r, "expected a %s, found a value of type %s", TMPL_STRINGS, tmpl_type(&a[1]));
    buf_init(&out, TMPL_RESULT_MAX);
    for (size_t i = 0; i < a[1].len; i++) {
        if (i)
            buf_add(&out, a[0].s, a[0].len);
        buf_add(&out, a[1].args[i].s, a[1].args[i].len);
    }
    return finish(r, &out, ret);
}

static bool copied(struct tmpl_run *r, const char *type, const struct tmpl_value *a, size_t n,
    struct tmpl_value *ret)
{
    struct tmpl_value *items = arena_alloc(&r->arena, (n + 1) * sizeof(*items));
    if (items && n)
        memcpy(items, a, n * sizeof(*items));
    return tmpl_list(r, type, items, n, ret);
}

static bool string_slice(ARGS)
{
    for (size_t i = 0; i < n; i++)
        if (!tmpl_want(r, &a[i], TV_STRING))
            return false;
    return copied(r, TMPL_STRINGS, a, n, ret);
}

static bool list_of(ARGS)
{
    return copied(r, ANY, a, n, ret);
}

static bool append(ARGS)
{
    if (!tmpl_want(r, &a[0], TV_ITEMS))
        return false;
    size_t total = a[0].len + n - 1;
    struct tmpl_value *items = arena_alloc(&r->arena, (total + 1) * sizeof(*items));
    if (items && a[0].len)
        memcpy(items, a[0].args, a[0].len * sizeof(*items));
    if (items)
        memcpy(items + a[0].len, a + 1, (n - 1) * sizeof(*items));
    return tmpl_list(r, ANY, items, total, ret);
}

struct named {
    struct tmpl_value name, value;
};

static int by_name(const void *x, const void *y)
{
    const struct named *a = x, *b = y;
    size_t shorter = a->name.len < b->name.len ? a->name.len : b->name.len;
    int c = shorter ? memcmp(a->name.s, b->name.s, shorter) : 0;
    return c ? c : (a->name.len > b->name.len) - (a->name.len < b->name.len);
}

static bool dict(ARGS)
{
    struct named *pairs = arena_alloc(&r->arena, (n / 2 + 1) * sizeof(*pairs));
    if (n % 2)
        return tmpl_fail(r, "dict takes names and values by turns");
    if (!pairs) {
        r->rc = -ENOMEM;
        return false;
    }
    for (size_t i = 0; i < n / 2; i++) {
        if (!tmpl_want(r, &a[2 * i], TV_STRING))
            return false;
        pairs[i] = (struct named){a[2 * i], a[2 * i + 1]};
    }
    qsort(pairs, n / 2, sizeof(*pairs), by_name);
    *ret = (struct tmpl_value){.kind = TV_DICT, .args = &pairs->name, .len = n / 2};
    return true;
}

static bool date(ARGS)
{
    struct buf out;
    (void)n;
    if (!tmpl_want(r, &a[0], TV_STRING) || !tmpl_want(r, &a[1], TV_TIME))
        return false;
    buf_init(&out, TMPL_RESULT_MAX);
    tmpl_time_format(&a[1], a[0].s, a[0].len, &out);
    return finish(r, &out, ret);
}

static bool tz(ARGS)
{
    struct tmpl_value name;
    int32_t offset_s = 0;
    (void)n;
    if (!tmpl_want(r, &a[0], TV_STRING) || !tmpl_want(r, &a[1], TV_TIME) ||
        !tmpl_string(r, a[0].s, a[0].len, &name))
        return false;
    bool utc = !strcmp(name.s, "UTC") || !name.len;
    if (!utc &&
        (!r->data->zone || !r->data->zone(r->data->zone_ctx, name.s, a[1].i, &offset_s)))
        return tmpl_fail(r, "unknown time zone %.60s", name.s);
    *ret = tmpl_time(a[1].i);
    ret->offset_s = offset_s;
    if (!utc)
        ret->len = 0; // the zone's letters are not known, its offset stands for them
    return true;
}

static bool since(ARGS)
{
    (void)n;
    if (!tmpl_want(r, &a[0], TV_TIME))
        return false;
    int64_t ms = r->data->now_ms - a[0].i;
    *ret = (struct tmpl_value){
        .kind = TV_DURATION, .i = ms > INT64_MAX / 1000000 ? INT64_MAX : ms * 1000000};
    return true;
}

static bool to_json(ARGS)
{
    struct buf out;
    (void)n;
    buf_init(&out, TMPL_RESULT_MAX);
    tmpl_json(r, &a[0], &out);
    if (!finish(r, &out, ret))
        return false;
    ret->b = true;
    return true;
}

static bool safe_url(ARGS)
{
    (void)n;
    if (!tmpl_want(r, &a[0], TV_STRING))
        return false;
    *ret = a[0];
    ret->b = true;
    return true;
}

static int hex(char c)
{
    return c >= '0' && c <= '9'                 ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                : -1;
}

static bool url_unescape(ARGS)
{
    struct buf out;
    (void)n;
    if (!tmpl_want(r, &a[0], TV_STRING))
        return false;
    buf_init(&out, TMPL_RESULT_MAX);
    for (size_t i = 0; i < a[0].len; i++) {
        char c = a[0].s[i];
        if (c == '%') {
            bool two = a[0].len - i > 2;
            int high = two ? hex(a[0].s[i + 1]) : -1, low = two ? hex(a[0].s[i + 2]) : -1;
            if (high < 0 || low < 0) {
                buf_done(&out);
                return tmpl_fail(r, "not an escaped URL");
            }
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        buf_addc(&out, c);
    }
    return finish(r, &out, ret);
}

const struct tmpl_function TMPL_MESSAGE_FUNCTIONS[] = {
    {"append", 1, -1, append, false, TMPL_FN_MESSAGES},
    {"date", 2, 2, date, false, TMPL_FN_MESSAGES},
    {"dict", 0, -1, dict, false, TMPL_FN_MESSAGES},
    {"join", 2, 2, join, false, TMPL_FN_MESSAGES},
    {"list", 0, -1, list_of, false, TMPL_FN_MESSAGES},
    {"safeUrl", 1, 1, safe_url, false, TMPL_FN_MESSAGES},
    {"since", 1, 1, since, false, TMPL_FN_MESSAGES},
    {"stringSlice", 0, -1, string_slice, false, TMPL_FN_MESSAGES},
    {"title", 1, 1, title, false, TMPL_FN_MESSAGES},
    {"toJson", 1, 1, to_json, false, TMPL_FN_MESSAGES},
    {"trimSpace", 1, 1, trim_space, false, TMPL_FN_MESSAGES},
    {"tz", 2, 2, tz, false, TMPL_FN_MESSAGES},
    {"urlUnescape", 1, 1, url_unescape, false, TMPL_FN_MESSAGES},
    {0},
};
