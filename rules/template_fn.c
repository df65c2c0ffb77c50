// SPDX-License-Identifier: Apache-2.0
// The functions of templates. What they print was compared with promtool, see test_template.c.
#include "base/diag.h"
#include "base/num.h"
#include "base/regex.h"
#include "base/rune.h"
#include "rules/template_node.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

// --- numbers ---------------------------------------------------------------------------------
static bool to_float(struct tmpl_run *r, const struct tmpl_value *v, double *ret)
{
    if (v->kind == TV_FLOAT)
        *ret = v->f;
    else if (v->kind == TV_INT)
        *ret = (double)v->i;
    else if (v->kind == TV_DURATION)
        *ret = (double)v->i / 1e9;
    else if (v->kind != TV_STRING)
        return tmpl_fail(r, "cannot make a number of a value of type %s", tmpl_type(v));
    else if (!num_parse(v->s, v->len, ret))
        return tmpl_fail(
            r, "cannot make a number of \"%.*s\"", v->len > 60 ? 60 : (int)v->len, v->s);
    return true;
}

// Go's %.4g, which differs from C's only for what is no number.
static int four_digits(double v, char *out, size_t size)
{
    if (isnan(v))
        return snprintf(out, size, "NaN");
    if (isinf(v))
        return snprintf(out, size, v > 0 ? "+Inf" : "-Inf");
    return snprintf(out, size, "%.4g", v);
}

static bool scaled(
    struct tmpl_run *r, double v, const char *unit, const char *tail, struct tmpl_value *ret)
{
    char text[64];
    int n = four_digits(v, text, sizeof(text));
    n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%s", unit, tail);
    return tmpl_string(r, text, (size_t)n, ret);
}

static double small(double v, const char **unit)
{
    static const char *const units[] = {"m", "u", "n", "p", "f", "a", "z", "y"};
    for (size_t i = 0; i < COUNT(units) && fabs(v) < 1; i++) {
        *unit = units[i];
        v *= 1000;
    }
    return v;
}

static bool humanize(
    struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret)
{
    static const char *const units[] = {"k", "M", "G", "T", "P", "E", "Z", "Y"};
    const char *unit = "";
    double v;

    (void)n;
    if (!to_float(r, &a[0], &v))
        return false;
    if (v != 0 && isfinite(v) && fabs(v) >= 1) {
        for (size_t i = 0; i < COUNT(units) && fabs(v) >= 1000; i++) {
            unit = units[i];
            v /= 1000;
        }
    } else if (v != 0 && isfinite(v)) {
        v = small(v, &unit);
    }
    return scaled(r, v, unit, "", ret);
}

static bool humanize1024(
    struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret)
{
    static const char *const units[] = {"ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"};
    const char *unit = "";
    double v;

    (void)n;
    if (!to_float(r, &a[0], &v))
        return false;
    for (size_t i = 0; isfinite(v) && i < COUNT(units) && fabs(v) >= 1024; i++) {
        unit = units[i];
        v /= 1024;
    }
    return scaled(r, v, unit, "", ret);
}

static bool humanize_duration(
    struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret)
{
    const char *unit = "";
    char text[96];
    double v;

    (void)n;
    if (!to_float(r, &a[0], &v))
        return false;
    if (!isfinite(v))
        return scaled(r, v, "", "", ret);
    if (fabs(v) < 1 && v != 0) {
        v = small(v, &unit);
        return scaled(r, v, unit, "s", ret);
    }
    const char *sign = v < 0 ? "-" : "";
    v = fabs(v);
    if (v < 60) {
        int len = snprintf(text, sizeof(text), "%s%.4gs", sign, v);
        return tmpl_string(r, text, (size_t)len, ret);
    }
    long long s = v < 9e18 ? (long long)v : (long long)9e18;
    long long d = s / 86400, h = s / 3600 % 24, m = s / 60 % 60;
    int len =
        d   ? snprintf(text, sizeof(text), "%s%lldd %lldh %lldm %llds", sign, d, h, m, s % 60)
        : h ? snprintf(text, sizeof(text), "%s%lldh %lldm %llds", sign, h, m, s % 60)
            : snprintf(text, sizeof(text), "%s%lldm %llds", sign, m, s % 60);
    return tmpl_string(r, text, (size_t)len, ret);
}

static bool humanize_percentage(
    struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret)
{
    double v;
    (void)n;
    return to_float(r, &a[0], &v) && scaled(r, v * 100, "", "%", ret);
}

// 2015-06-23 13:19:44.128 +0000 UTC. The calendar is worked out here: rules/ uses no clock and
// no time zone.
static bool humanize_timestamp(
    struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret)
{
    char text[96], fraction[8] = "";
    double v;

    (void)n;
    if (!to_float(r, &a[0], &v))
        return false;
    if (!isfinite(v))
        return scaled(r, v, "", "", ret);
    if (fabs(v) >= 9.2e9)
        return tmpl_fail(r, "%g does not fit into a time", v);
    long long ms = (long long)(v * 1e9) / 1000000;
    long long s = ms / 1000 - (ms % 1000 < 0), rest = ms - s * 1000;
    long long day = s / 86400 - (s % 86400 < 0), t = s - day * 86400;
    // Days since 0000-03-01: years end with February, so leap days come last.
    long long z = day + 719468, era = (z >= 0 ? z : z - 146096) / 146097,
              doe = z - era * 146097;
    long long yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    long long doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    long long month = mp < 10 ? mp + 3 : mp - 9, year = yoe + era * 400 + (month <= 2);
    if (rest) {
        int len = snprintf(fraction, sizeof(fraction), ".%03lld", rest);
        while (fraction[len - 1] == '0')
            fraction[--len] = '\0';
    }
    int len =
        snprintf(text, sizeof(text), "%04lld-%02lld-%02lld %02lld:%02lld:%02lld%s +0000 UTC",
            year, month, doy - (153 * mp + 2) / 5 + 1, t / 3600, t / 60 % 60, t % 60, fraction);
    return tmpl_string(r, text, (size_t)len, ret);
}

// --- text ------------------------------------------------------------------------------------
static bool want_text(struct tmpl_run *r, const struct tmpl_value *a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (a[i].kind != TV_STRING)
            return tmpl_fail(r, "expected text, found a value of type %s", tmpl_type(&a[i]));
    return true;
}

static bool finish(struct tmpl_run *r, struct buf *b, struct tmpl_value *ret)
{
    bool ok = b->failed ? tmpl_fail_large(r, "the text is too long")
                        : tmpl_string(r, b->data, b->len, ret);
    buf_done(b);
    return ok;
}

static bool recase(struct tmpl_run *r, const struct tmpl_value *a, bool upper, bool titles,
    struct tmpl_value *ret)
{
    struct buf out;
    uint32_t before = ' ';

    if (!want_text(r, a, 1))
        return false;
    buf_init(&out, TMPL_RESULT_MAX);
    for (size_t at = 0; at < a[0].len;) {
        uint32_t rune = rune_decode(a[0].s, a[0].len, &at), next = rune;
        char text[4];
        bool inside = before >= 0x80 || (before >= '0' && before <= '9') || before == '_' ||
                      ((before | 32) >= 'a' && (before | 32) <= 'z');
        if (!titles || !inside)
            next = upper ? rune_upper(rune) : rune_lower(rune);
        before = rune;
        buf_add(&out, text, rune_encode(next, text));
    }
    return finish(r, &out, ret);
}

static bool title(
    struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret)
{
    (void)n;
    return recase(r, a, true, true, ret);
}

static bool to_upper(
    struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret)
{
    (void)n;
    return recase(r, a, true, false, ret);
}

static bool to_lower(
    struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret)
{
    (void)n;
    return recase(r, a, false, false, ret);
}

// Unlike in selectors, dot stops at a newline here.
static struct regex *compile(struct tmpl_run *r, const struct tmpl_value *pattern)
{
    struct err err = {0};
    char *text = arena_alloc(&r->arena, pattern->len + 6);
    if (!text) {
        r->rc = -ENOMEM;
        return NULL;
    }
    memcpy(text, "(?-s)", 5);
    memcpy(text + 5, pattern->s, pattern->len);
    struct regex *re = regex_new(text, pattern->len + 5, &err);
    if (!re && err.col == 0)
        r->rc = -ENOMEM;
    if (!re)
        tmpl_fail(r, "bad regular expression: %s", err.msg);
    return re;
}

static bool match(
    struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret)
{
    struct regex_span span;
    struct regex *re = want_text(r, a, n) ? compile(r, &a[0]) : NULL;
    if (!re)
        return false;
    *ret = (struct tmpl_value){
        .kind = TV_BOOL, .b = regex_search(re, a[1].s, a[1].len, 0, &span, 1) > 0};
    regex_free(re);
    return true;
}

static bool replace_all(
    struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret)
{
    struct regex *re = want_text(r, a, n) ? compile(r, &a[0]) : NULL;
    struct regex_span spans[REGEX_GROUPS_MAX];
    size_t from = 0, done = 0, groups;
    struct buf out;

    if (!re)
        return false;
    const char *text = a[2].s;
    size_t len = a[2].len;
    buf_init(&out, TMPL_RESULT_MAX);
    while (from <= len && !out.failed &&
           (groups = regex_search(re, text, len, from, spans, REGEX_GROUPS_MAX)) > 0) {
        size_t start = (size_t)spans[0].start, end = (size_t)spans[0].end;
        buf_add(&out, text + done, start - done);
        // An empty match right behind another one does not count.
        if (end > done || start == 0)
            regex_expand(re, a[1].s, a[1].len, text, spans, groups, &out);
        done = end;
        size_t next = from;
        if (next < len)
            rune_decode(text, len, &next);
        else
            next++;
        from = next > end ? next : end;
    }
    if (done < len)
        buf_add(&out, text + done, len - done);
    regex_free(re);
    return finish(r, &out, ret);
}

// host:port or [host]:port, as Go's net package splits it.
static bool split_port(
    const struct tmpl_value *v, const char **host, size_t *host_len, const char **port)
{
    const char *colon = memrchr(v->s, ':', v->len), *end = v->s + v->len;
    if (!colon)
        return false;
    *port = colon + 1;
    if (v->s[0] == '[') {
        const char *close = memchr(v->s, ']', v->len);
        if (!close || close + 1 != colon)
            return false;
        *host = v->s + 1;
        *host_len = (size_t)(close - *host);
    } else {
        *host = v->s;
        *host_len = (size_t)(colon - v->s);
        if (memchr(*host, ':', *host_len))
            return false;
    }
    return !memchr(*host, '[', *host_len) && !memchr(*host, ']', *host_len) &&
           !memchr(*port, '[', (size_t)(end - *port)) &&
           !memchr(*port, ']', (size_t)(end - *port));
}

static bool strip_port(
    struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret)
{
    const char *host, *port;
    size_t len;
    if (!want_text(r, a, n))
        return false;
    if (!split_port(&a[0], &host, &len, &port)) {
        *ret = a[0];
        return true;
    }
    return tmpl_string(r, host, len, ret);
}

static bool is_address(const char *host, size_t len)
{
    char text[64], bytes[16];
    if (len >= sizeof(text))
        return false;
    memcpy(text, host, len);
    text[len] = '\0';
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

static bool strip_domain(
    struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret)
{
    const char *host, *port = NULL;
    size_t len;
    if (!want_text(r, a, n))
        return false;
    if (!split_port(&a[0], &host, &len, &port)) {
        host = a[0].s;
        len = a[0].len;
        port = NULL;
    }
    if (is_address(host, len)) {
        *ret = a[0];
        return true;
    }
    const char *dot = memchr(host, '.', len);
    struct buf out;
    buf_init(&out, TMPL_RESULT_MAX);
    buf_add(&out, host, dot ? (size_t)(dot - host) : len);
    if (port && *port) {
        buf_addc(&out, ':');
        buf_add(&out, port, (size_t)(a[0].s + a[0].len - port));
    }
    return finish(r, &out, ret);
}

static bool len_of(
    struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret)
{
    (void)n;
    if (a[0].kind != TV_STRING && a[0].kind != TV_LABELS && a[0].kind != TV_LIST &&
        a[0].kind != TV_ARGS && a[0].kind != TV_ALERTS && a[0].kind != TV_ITEMS &&
        a[0].kind != TV_DICT)
        return tmpl_fail(r, "len of a value of type %s", tmpl_type(&a[0]));
    size_t size = a[0].kind != TV_LABELS ? a[0].len : a[0].labels ? a[0].labels->n : 0;
    *ret = (struct tmpl_value){.kind = TV_INT, .i = (int64_t)size};
    return true;
}

// --- printing --------------------------------------------------------------------------------
static bool print(
    struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret)
{
    struct buf out;
    buf_init(&out, TMPL_RESULT_MAX);
    for (size_t i = 0; i < n; i++) {
        // A space goes between two values when neither is text.
        if (i && a[i].kind != TV_STRING && a[i - 1].kind != TV_STRING)
            buf_addc(&out, ' ');
        tmpl_print(r, &a[i], &out);
    }
    return finish(r, &out, ret);
}

static bool println(
    struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret)
{
    struct buf out;
    buf_init(&out, TMPL_RESULT_MAX);
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_addc(&out, ' ');
        tmpl_print(r, &a[i], &out);
    }
    buf_addc(&out, '\n');
    return finish(r, &out, ret);
}

static bool print_format(
    struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret)
{
    struct buf out;
    if (!want_text(r, a, 1))
        return false;
    buf_init(&out, TMPL_RESULT_MAX);
    tmpl_sprintf(r, &a[0], a + 1, n - 1, &out);
    return finish(r, &out, ret);
}

// --- escaping --------------------------------------------------------------------------------
// The arguments as print joins them, each byte as `escape` writes it.
static bool escaped(struct tmpl_run *r, const struct tmpl_value *a, size_t n,
    void (*escape)(unsigned char c, struct buf *out), struct tmpl_value *ret)
{
    struct tmpl_value plain;
    struct buf out;
    if (!print(r, a, n, &plain))
        return false;
    buf_init(&out, TMPL_RESULT_MAX);
    for (size_t i = 0; i < plain.len; i++)
        escape((unsigned char)plain.s[i], &out);
    return finish(r, &out, ret);
}

// As a part of a query: Go's url.QueryEscape.
static void escape_query(unsigned char c, struct buf *out)
{
    if (isalnum(c) || strchr("-_.~", c))
        buf_addc(out, (char)c);
    else if (c == ' ')
        buf_addc(out, '+');
    else
        buf_addf(out, "%%%02X", c);
}

static void escape_html(unsigned char c, struct buf *out)
{
    switch (c) {
    case '&': buf_adds(out, "&amp;"); break;
    case '<': buf_adds(out, "&lt;"); break;
    case '>': buf_adds(out, "&gt;"); break;
    case '"': buf_adds(out, "&#34;"); break;
    case '\'': buf_adds(out, "&#39;"); break;
    default: buf_addc(out, (char)c);
    }
}

static bool urlquery(
    struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret)
{
    return escaped(r, a, n, escape_query, ret);
}

static bool html(
    struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret)
{
    return escaped(r, a, n, escape_html, ret);
}

// --- comparing -------------------------------------------------------------------------------
// -1, 0, 1; 2 = neither (NaN).
static bool compare(
    struct tmpl_run *r, const struct tmpl_value *x, const struct tmpl_value *y, int *ret)
{
    if (x->kind != y->kind)
        return tmpl_fail(
            r, "incompatible types for comparison: %s and %s", tmpl_type(x), tmpl_type(y));
    size_t shorter = x->len < y->len ? x->len : y->len;
    switch (x->kind) {
    case TV_BOOL: *ret = x->b - y->b; return true;
    case TV_INT: *ret = (x->i > y->i) - (x->i < y->i); return true;
    case TV_FLOAT:
        *ret = isnan(x->f) || isnan(y->f) ? 2 : (x->f > y->f) - (x->f < y->f);
        return true;
    case TV_STRING: {
        int c = shorter ? memcmp(x->s, y->s, shorter) : 0;
        *ret = c ? (c > 0) - (c < 0) : (x->len > y->len) - (x->len < y->len);
        return true;
    }
    case TV_NIL:
    case TV_LABELS:
    case TV_DATA:
    case TV_SAMPLE:
    case TV_LIST:
    case TV_ARGS:
    case TV_MESSAGE:
    case TV_ALERTS:
    case TV_ALERT:
    case TV_PAIR:
    case TV_ITEMS:
    case TV_DICT: break;
    case TV_TIME:
    case TV_DURATION: *ret = (x->i > y->i) - (x->i < y->i); return true;
    }
    return tmpl_fail(r, "values of type %s cannot be compared", tmpl_type(x));
}

static bool eq(struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret)
{
    bool any = false;
    for (size_t i = 1; i < n && !any; i++) {
        int c;
        if (!compare(r, &a[0], &a[i], &c))
            return false;
        any = c == 0;
    }
    *ret = (struct tmpl_value){.kind = TV_BOOL, .b = any};
    return true;
}

static bool ne(struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret)
{
    if (!eq(r, a, n, ret))
        return false;
    ret->b = !ret->b;
    return true;
}

static bool ordered(struct tmpl_run *r, const struct tmpl_value *a, int *c)
{
    if (a[0].kind == TV_BOOL)
        return tmpl_fail(r, "values of type bool have no order");
    return compare(r, &a[0], &a[1], c);
}

static bool lt(struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret)
{
    int c = 2;
    (void)n;
    if (!ordered(r, a, &c))
        return false;
    *ret = (struct tmpl_value){.kind = TV_BOOL, .b = c == -1};
    return true;
}

static bool le(struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret)
{
    int c = 2;
    (void)n;
    if (!ordered(r, a, &c))
        return false;
    *ret = (struct tmpl_value){.kind = TV_BOOL, .b = c == -1 || c == 0};
    return true;
}

// Go has no > of its own here: it is not <=, so with NaN it is true.
static bool gt(struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret)
{
    if (!le(r, a, n, ret))
        return false;
    ret->b = !ret->b;
    return true;
}

static bool ge(struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret)
{
    if (!lt(r, a, n, ret))
        return false;
    ret->b = !ret->b;
    return true;
}

static bool not_true(
    struct tmpl_run *r, const struct tmpl_value *a, size_t n, struct tmpl_value *ret)
{
    (void)r;
    (void)n;
    *ret = (struct tmpl_value){.kind = TV_BOOL, .b = !tmpl_true(&a[0])};
    return true;
}

// --- the table -------------------------------------------------------------------------------
static const struct tmpl_function table[] = {
    {"and", 1, -1, NULL, true, TMPL_FN_BOTH},
    {"eq", 2, -1, eq, false, TMPL_FN_BOTH},
    {"ge", 2, 2, ge, false, TMPL_FN_BOTH},
    {"gt", 2, 2, gt, false, TMPL_FN_BOTH},
    {"html", 0, -1, html, false, TMPL_FN_BOTH},
    {"humanize", 1, 1, humanize, false, TMPL_FN_RULES},
    {"humanize1024", 1, 1, humanize1024, false, TMPL_FN_RULES},
    {"humanizeDuration", 1, 1, humanize_duration, false, TMPL_FN_BOTH},
    {"humanizePercentage", 1, 1, humanize_percentage, false, TMPL_FN_RULES},
    {"humanizeTimestamp", 1, 1, humanize_timestamp, false, TMPL_FN_RULES},
    {"le", 2, 2, le, false, TMPL_FN_BOTH},
    {"len", 1, 1, len_of, false, TMPL_FN_BOTH},
    {"lt", 2, 2, lt, false, TMPL_FN_BOTH},
    {"match", 2, 2, match, false, TMPL_FN_BOTH},
    {"ne", 2, 2, ne, false, TMPL_FN_BOTH},
    {"not", 1, 1, not_true, false, TMPL_FN_BOTH},
    {"or", 1, -1, NULL, true, TMPL_FN_BOTH},
    {"print", 0, -1, print, false, TMPL_FN_BOTH},
    {"printf", 1, -1, print_format, false, TMPL_FN_BOTH},
    {"println", 0, -1, println, false, TMPL_FN_BOTH},
    {"reReplaceAll", 3, 3, replace_all, false, TMPL_FN_BOTH},
    {"stripDomain", 1, 1, strip_domain, false, TMPL_FN_RULES},
    {"stripPort", 1, 1, strip_port, false, TMPL_FN_RULES},
    {"title", 1, 1, title, false, TMPL_FN_RULES},
    {"toLower", 1, 1, to_lower, false, TMPL_FN_BOTH},
    {"toUpper", 1, 1, to_upper, false, TMPL_FN_BOTH},
    {"urlquery", 0, -1, urlquery, false, TMPL_FN_BOTH},
    {0},
};
static const char *const missing[] = {
    "call", "js", "now", "toDuration", "toTime", "tmpl", "urlQueryEscape"};

static const struct tmpl_function *const tables[] = {
    table, TMPL_QUERY_FUNCTIONS, TMPL_MESSAGE_FUNCTIONS};

// The functions of a dialect, one after the other; NULL at the end.
static const struct tmpl_function *next_function(
    enum tmpl_dialect dialect, size_t *in_table, size_t *in)
{
    for (; *in_table < COUNT(tables); (*in_table)++, *in = 0) {
        const struct tmpl_function *f = &tables[*in_table][*in];
        for (; f->name; f++) {
            ++*in;
            if (f->where != (dialect == TMPL_RULES ? TMPL_FN_MESSAGES : TMPL_FN_RULES))
                return f;
        }
    }
    return NULL;
}

const struct tmpl_function *tmpl_function_find(
    enum tmpl_dialect dialect, const char *name, size_t len)
{
    const struct tmpl_function *f;
    size_t in_table = 0, in = 0;
    while ((f = next_function(dialect, &in_table, &in)))
        if (strlen(f->name) == len && !memcmp(f->name, name, len))
            return f;
    return NULL;
}

const char *tmpl_function_near(enum tmpl_dialect dialect, const char *name, size_t len)
{
    const char *names[3 * COUNT(table)];
    const struct tmpl_function *f;
    size_t n = 0, in_table = 0, in = 0;
    while (n < COUNT(names) && (f = next_function(dialect, &in_table, &in)))
        names[n++] = f->name;
    return diag_nearest(name, len, names, n);
}

bool tmpl_function_missing(const char *name, size_t len)
{
    for (size_t i = 0; i < COUNT(missing); i++)
        if (strlen(missing[i]) == len && !memcmp(missing[i], name, len))
            return true;
    return false;
}
