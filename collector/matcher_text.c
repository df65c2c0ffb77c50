// SPDX-License-Identifier: Apache-2.0
#include "collector/matcher_text.h"
#include <errno.h>
#include <string.h>

struct reader {
    const char *text;
    size_t len, at;
    struct arena *a;
    struct err *err;
};

static int bad(struct reader *r, size_t at, const char *what)
{
    err_set(r->err, "%s", what);
    r->err->col = (int)at + 1;
    return -EINVAL;
}

static void skip_space(struct reader *r)
{
    while (r->at < r->len && strchr(" \t\r\n", r->text[r->at]))
        r->at++;
}

static bool is_next(const struct reader *r, char c)
{
    return r->at < r->len && r->text[r->at] == c;
}

static int quoted(struct reader *r, const char **ret)
{
    size_t begin = r->at++, n = 0;
    char *to = arena_alloc(r->a, r->len - begin + 1);
    if (!to)
        return -ENOMEM;
    for (; r->at < r->len && r->text[r->at] != '"'; r->at++) {
        char c = r->text[r->at];
        if (c == '\\' && r->at + 1 < r->len) {
            char e = r->text[++r->at];
            if (e == 'n')
                c = '\n';
            else if (e == '\\' || e == '"')
                c = e;
            else
                return bad(r, r->at - 1, "only \\\\, \\\" and \\n are escapes here");
        }
        to[n++] = c;
    }
    if (r->at == r->len)
        return bad(r, begin, "the quote does not end");
    r->at++;
    to[n] = '\0';
    *ret = to;
    return 0;
}

// A name or a value, with or without quotes.
static int word(struct reader *r, const char *what, const char **ret)
{
    size_t begin = r->at;
    if (is_next(r, '"'))
        return quoted(r, ret);
    while (r->at < r->len && !strchr("{}!=~,\\\"'` \t\r\n", r->text[r->at]))
        r->at++;
    *ret = arena_strndup(r->a, r->text + begin, r->at - begin);
    if (!*ret)
        return -ENOMEM;
    if (r->at < r->len && strchr("\\'`", r->text[r->at]))
        return bad(r, r->at, "put the value in double quotes");
    return r->at == begin && what ? bad(r, begin, what) : 0;
}

static int operator(struct reader *r, enum match_op *ret)
{
    static const struct {
        const char *text;
        enum match_op op;
    } OPS[] = {{"=~", MATCH_RE}, {"!=", MATCH_NE}, {"!~", MATCH_NRE}, {"=", MATCH_EQ}};
    for (size_t i = 0; i < sizeof(OPS) / sizeof(OPS[0]); i++) {
        size_t n = strlen(OPS[i].text);
        if (r->len - r->at >= n && memcmp(r->text + r->at, OPS[i].text, n) == 0) {
            r->at += n;
            *ret = OPS[i].op;
            return 0;
        }
    }
    return bad(r, r->at, "expected =, !=, =~ or !~");
}

static int push(struct matcher_list *l, struct matcher m, struct arena *a, struct err *err)
{
    if (l->n == MATCHERS_MAX) {
        err_set(err, "more than %d matchers", MATCHERS_MAX);
        return -EINVAL;
    }
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 4;
        struct matcher *grown = arena_alloc(a, cap * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        if (l->n)
            memcpy(grown, l->m, l->n * sizeof(*grown));
        l->m = grown;
        l->cap = cap;
    }
    if (m.op == MATCH_RE || m.op == MATCH_NRE) {
        m.re = regex_new(m.value, strlen(m.value), err);
        if (!m.re)
            return err->msg[0] ? -EINVAL : -ENOMEM;
    }
    l->m[l->n++] = m;
    return 0;
}

static int one(struct reader *r, struct matcher_list *ret)
{
    struct matcher m = {0};
    size_t begin = r->at;
    int rc = word(r, "expected a label name", &m.name);
    skip_space(r);
    if (rc == 0)
        rc = operator(r, &m.op);
    skip_space(r);
    if (rc == 0)
        rc = word(r, NULL, &m.value); // an empty value is a value
    if (rc == 0) {
        rc = push(ret, m, r->a, r->err);
        if (rc == -EINVAL)
            r->err->col = (int)begin + 1;
    }
    skip_space(r);
    return rc;
}

int matchers_parse(
    const char *text, size_t len, struct arena *a, struct matcher_list *ret, struct err *err)
{
    struct reader r = {.text = text, .len = len, .a = a, .err = err};
    skip_space(&r);
    bool braces = is_next(&r, '{');
    r.at += braces;
    skip_space(&r);
    while (r.at < r.len && !(braces && is_next(&r, '}'))) {
        int rc = one(&r, ret);
        if (rc < 0)
            return rc;
        if (!is_next(&r, ','))
            break;
        r.at++;
        skip_space(&r);
    }
    if (braces && !is_next(&r, '}'))
        return bad(&r, r.at, "expected `,` or `}`");
    r.at += braces;
    skip_space(&r);
    return r.at < r.len ? bad(&r, r.at, "expected `,` between matchers") : 0;
}

int matchers_add(const char *name, const char *value, bool equal, bool is_regex,
    struct arena *a, struct matcher_list *ret, struct err *err)
{
    struct matcher m = {.op = is_regex ? (equal ? MATCH_RE : MATCH_NRE)
                              : equal  ? MATCH_EQ
                                       : MATCH_NE,
        .name = arena_strndup(a, name, strlen(name)),
        .value = arena_strndup(a, value, strlen(value))};
    if (!m.name || !m.value)
        return -ENOMEM;
    if (!*name) {
        err_set(err, "a matcher needs a label name");
        return -EINVAL;
    }
    return push(ret, m, a, err);
}

void matcher_list_done(struct matcher_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        regex_free((struct regex *)(uintptr_t)l->m[i].re);
    *l = (struct matcher_list){0};
}

void matchers_print(const struct matcher *m, size_t n, struct buf *out)
{
    static const char *const OPS[] = {
        [MATCH_EQ] = "=", [MATCH_NE] = "!=", [MATCH_RE] = "=~", [MATCH_NRE] = "!~"};
    buf_addc(out, '{');
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_addc(out, ',');
        if (label_name_plain(m[i].name))
            buf_adds(out, m[i].name);
        else
            label_quote(m[i].name, strlen(m[i].name), out);
        buf_adds(out, OPS[m[i].op]);
        label_quote(m[i].value, strlen(m[i].value), out);
    }
    buf_addc(out, '}');
}
