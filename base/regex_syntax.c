// SPDX-License-Identifier: Apache-2.0
#include "base/regex_syntax.h"
#include "base/regex_class.h"
#include "base/rune.h"
#include <errno.h>
#include <string.h>

struct parser {
    const char *p;
    size_t len, at;
    struct arena *arena;
    struct err *err;
    int rc;
    bool fold, multiline, dot_all, ungreedy;
    int depth;
    struct regex_tree *tree;
};

// Records the first mistake; the NULL lets a caller return at once.
static struct regex_node *fail(struct parser *p, size_t at, const char *msg)
{
    if (p->rc == 0) {
        p->rc = -EINVAL;
        err_at(p->err, 0, (int)at + 1, "%s", msg);
    }
    return NULL;
}

static struct regex_node *node(struct parser *p, enum regex_kind kind)
{
    struct regex_node *n = arena_alloc(p->arena, sizeof(*n));
    if (!n) {
        if (p->rc == 0) {
            p->rc = -ENOMEM;
            err_set(p->err, "out of memory for the regular expression");
        }
        return NULL;
    }
    n->kind = kind;
    n->copies = 1;
    return n;
}

static struct regex_node *class_node(struct parser *p, struct regex_class *c)
{
    regex_class_tidy(c);
    struct regex_node *n = node(p, RX_CLASS);
    if (c->failed && p->rc == 0) {
        p->rc = -ENOMEM;
        err_set(p->err, "out of memory for the regular expression");
    }
    if (!n || p->rc)
        return NULL;
    n->ranges = c->r;
    n->n_ranges = c->n;
    return n;
}

static struct regex_node *char_node(struct parser *p, uint32_t rune)
{
    if (p->fold) {
        struct regex_class c = {.arena = p->arena};
        regex_class_add(&c, rune, rune);
        regex_class_fold(&c);
        if (c.failed || c.n != 1 || c.r[0].lo != c.r[0].hi)
            return class_node(p, &c);
    }
    struct regex_node *n = node(p, RX_CHAR);
    if (n)
        n->rune = rune;
    return n;
}

static uint32_t next_rune(struct parser *p)
{
    size_t at = p->at;
    uint32_t r = rune_decode(p->p, p->len, &p->at);
    if (r == 0xfffd && p->at == at + 1)
        fail(p, at, "the pattern is not valid UTF-8");
    return r;
}

static bool hex_digit(char c, uint32_t *v)
{
    if (c >= '0' && c <= '9')
        *v = *v * 16 + (uint32_t)(c - '0');
    else if ((c | 32) >= 'a' && (c | 32) <= 'f')
        *v = *v * 16 + (uint32_t)((c | 32) - 'a' + 10);
    else
        return false;
    return true;
}

static uint32_t hex_escape(struct parser *p, size_t start)
{
    uint32_t v = 0;
    if (p->at < p->len && p->p[p->at] == '{') {
        size_t first = ++p->at;
        while (p->at < p->len && v <= RUNE_MAX && hex_digit(p->p[p->at], &v))
            p->at++;
        if (p->at == first || p->at == p->len || p->p[p->at] != '}' || v > RUNE_MAX) {
            fail(p, start, "invalid escape sequence: \\x{...} takes a hexadecimal code point");
            return 0;
        }
        p->at++;
        return v;
    }
    if (p->len - p->at < 2 || !hex_digit(p->p[p->at], &v) || !hex_digit(p->p[p->at + 1], &v)) {
        fail(p, start, "invalid escape sequence: \\x takes two hexadecimal digits");
        return 0;
    }
    p->at += 2;
    return v;
}

// A backslash stood at `start` and p->at is behind it: the code point it stands for.
static uint32_t escape(struct parser *p, size_t start)
{
    if (p->at == p->len) {
        fail(p, start, "trailing backslash");
        return 0;
    }
    char c = p->p[p->at];
    if ((unsigned char)c >= 0x80) {
        fail(p, start, "invalid escape sequence");
        return 0;
    }
    p->at++;
    if (c >= '0' && c <= '7') {
        // A single digit but 0 would be a back-reference, which RE2 does not have.
        bool more = p->at < p->len && p->p[p->at] >= '0' && p->p[p->at] <= '7';
        if (c != '0' && !more) {
            fail(p, start, "invalid escape sequence: back-references do not exist here");
            return 0;
        }
        uint32_t v = (uint32_t)(c - '0');
        for (int i = 1; i < 3 && p->at < p->len; i++) {
            char d = p->p[p->at];
            if (d < '0' || d > '7')
                break;
            v = v * 8 + (uint32_t)(d - '0');
            p->at++;
        }
        return v;
    }
    switch (c) {
    case 'a': return 7;
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'v': return '\v';
    case 'x': return hex_escape(p, start);
    case 'p':
    case 'P': fail(p, start, "Unicode classes (\\p) are not supported yet"); return 0;
    default: break;
    }
    bool alnum = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
    if (alnum)
        fail(p, start, "invalid escape sequence");
    return (unsigned char)c;
}

// One end of a range in [...].
static uint32_t class_char(struct parser *p)
{
    size_t start = p->at;
    if (p->p[p->at] == '\\') {
        p->at++;
        return escape(p, start);
    }
    return next_rune(p);
}

// [:name:] inside brackets. false when what stands here is not one.
static bool class_posix(struct parser *p, struct regex_class *c)
{
    const char *s = p->p + p->at, *end;
    size_t left = p->len - p->at;

    if (left < 4 || s[0] != '[' || s[1] != ':')
        return false;
    end = memmem(s + 2, left - 2, ":]", 2);
    if (!end)
        return false;
    bool negative = s[2] == '^';
    const char *name = s + 2 + negative;
    if (end < name || !regex_class_posix(c, name, (size_t)(end - name), negative)) {
        fail(p, p->at, "unknown character class");
        return true;
    }
    p->at += (size_t)(end - s) + 2;
    return true;
}

static struct regex_node *bracket(struct parser *p)
{
    size_t start = p->at++;
    struct regex_class c = {.arena = p->arena};
    bool negative = p->at < p->len && p->p[p->at] == '^';
    bool first = true;

    p->at += negative;
    for (;; first = false) {
        if (p->at == p->len)
            return fail(p, start, "missing closing ]");
        if (p->p[p->at] == ']' && !first)
            break;
        if (p->rc)
            return NULL;
        if (class_posix(p, &c))
            continue;
        if (p->p[p->at] == '\\' && p->at + 1 < p->len &&
            regex_class_perl(&c, p->p[p->at + 1])) {
            p->at += 2;
            continue;
        }
        size_t from = p->at;
        uint32_t lo = class_char(p), hi = lo;
        if (p->rc == 0 && p->len - p->at >= 2 && p->p[p->at] == '-' && p->p[p->at + 1] != ']') {
            p->at++;
            hi = class_char(p);
            if (p->rc == 0 && hi < lo)
                return fail(p, from, "invalid range in a character class");
        }
        regex_class_add(&c, lo, hi);
    }
    p->at++;
    if (p->fold)
        regex_class_fold(&c);
    if (negative)
        regex_class_negate(&c);
    return p->rc ? NULL : class_node(p, &c);
}

static struct regex_node *alternate(struct parser *p);

static bool word_char(char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_';
}

// (?P<name> or (?<name>; p->at is at the first letter of the name.
static void group_name(struct parser *p, int group)
{
    size_t start = p->at;
    while (p->at < p->len && word_char(p->p[p->at]))
        p->at++;
    if (p->at == p->len || p->p[p->at] != '>' || p->at == start) {
        fail(p, start, "invalid named capture group");
        return;
    }
    struct regex_name *n = arena_alloc(p->arena, sizeof(*n));
    const char *text = n ? arena_strndup(p->arena, p->p + start, p->at - start) : NULL;
    if (!text) {
        p->rc = -ENOMEM;
        err_set(p->err, "out of memory for the regular expression");
        return;
    }
    *n = (struct regex_name){text, group, p->tree->names};
    p->tree->names = n;
    p->at++;
}

// (?flags) or (?flags:...). Returns true when a group body follows.
static bool group_flags(struct parser *p, size_t start)
{
    bool on = true, any = false;
    for (; p->at < p->len; p->at++) {
        switch (p->p[p->at]) {
        case 'i': p->fold = on; break;
        case 'm': p->multiline = on; break;
        case 's': p->dot_all = on; break;
        case 'U': p->ungreedy = on; break;
        case '-':
            if (!on)
                goto bad;
            on = false;
            any = false;
            continue;
        case ':':
        case ')':
            if (!on && !any)
                goto bad;
            return p->p[p->at++] == ':';
        default: goto bad;
        }
        any = true;
    }
bad:
    fail(p, start,
        "invalid or unsupported group: look-around and atomic groups do not exist here");
    return false;
}

static struct regex_node *group(struct parser *p)
{
    size_t start = p->at++;
    bool fold = p->fold, multiline = p->multiline, dot_all = p->dot_all, ungreedy = p->ungreedy;
    int number = 0;

    if (p->at < p->len && p->p[p->at] == '?') {
        const char *s = p->p + ++p->at;
        size_t left = p->len - p->at;
        bool named = left > 2 && s[0] == 'P' && s[1] == '<';
        bool short_named = left > 1 && s[0] == '<' && s[1] != '=' && s[1] != '!';
        if (named || short_named) {
            p->at += named ? 2 : 1;
            number = ++p->tree->n_groups;
            group_name(p, number);
        } else if (!group_flags(p, start)) {
            // (?i) reaches to the end of the group around it.
            return p->rc ? NULL : node(p, RX_EMPTY);
        }
    } else {
        number = ++p->tree->n_groups;
    }
    if (p->rc)
        return NULL;
    if (++p->depth > REGEX_NEST_MAX)
        return fail(p, start, "nested too deeply");
    struct regex_node *sub = alternate(p);
    p->depth--;
    if (!sub)
        return NULL;
    if (p->at == p->len)
        return fail(p, start, "missing closing )");
    p->at++;
    p->fold = fold;
    p->multiline = multiline;
    p->dot_all = dot_all;
    p->ungreedy = ungreedy;
    struct regex_node *n = node(p, RX_GROUP);
    if (!n)
        return NULL;
    n->sub = sub;
    n->group = number;
    n->copies = sub->copies;
    return n;
}

// {2}, {2,} or {2,5} at p->at: its length, or 0 when it is ordinary text, as {02} is.
static size_t count(struct parser *p, int *ret_min, int *ret_max)
{
    size_t at = p->at + 1;
    int v[2] = {-1, -1};
    for (int i = 0; i < 2; i++) {
        size_t first = at;
        while (at < p->len && p->p[at] >= '0' && p->p[at] <= '9') {
            if (at > first && p->p[first] == '0')
                return 0;
            v[i] = (v[i] < 0 ? 0 : v[i]) * 10 + (p->p[at++] - '0');
            if (v[i] > 10 * REGEX_REPEAT_MAX)
                v[i] = 10 * REGEX_REPEAT_MAX;
        }
        if (i == 0 && (v[0] < 0 || at == p->len))
            return 0;
        if (i == 0 && p->p[at] != ',') {
            v[1] = v[0];
            break;
        }
        at += i == 0;
    }
    if (at == p->len || p->p[at] != '}')
        return 0;
    *ret_min = v[0];
    *ret_max = v[1];
    return at + 1 - p->at;
}

static struct regex_node *repeated(struct parser *p, struct regex_node *sub)
{
    bool before = false;
    for (;;) {
        size_t start = p->at, size = 1;
        int min = 0, max = -1;
        char c = p->at < p->len ? p->p[p->at] : 0;
        if (c == '{')
            size = count(p, &min, &max);
        else if (c == '+')
            min = 1;
        else if (c == '?')
            max = 1;
        else if (c != '*')
            size = 0;
        if (!size)
            return sub;
        if (before)
            return fail(p, start, "invalid nested repetition operator");
        if (min > REGEX_REPEAT_MAX || max > REGEX_REPEAT_MAX || (max >= 0 && min > max))
            return fail(p, start, "invalid repeat count");
        p->at += size;
        struct regex_node *n = node(p, RX_REPEAT);
        if (!n)
            return NULL;
        n->sub = sub;
        n->min = min;
        n->max = max;
        n->lazy = p->ungreedy;
        if (p->at < p->len && p->p[p->at] == '?') {
            n->lazy = !n->lazy;
            p->at++;
        }
        int times = c != '{' ? 1 : max < 0 ? min : max;
        n->copies = times == 0 && c == '{' && max == 0 ? 1 : sub->copies * (times ? times : 1);
        if (n->copies > REGEX_REPEAT_MAX)
            return fail(p, start, "invalid repeat count");
        sub = n;
        before = true;
    }
}

static struct regex_node *backslash(struct parser *p)
{
    size_t start = p->at++;
    char c = p->at < p->len ? p->p[p->at] : 0;
    enum regex_kind kind = c == 'A'   ? RX_BEGIN_TEXT
                           : c == 'z' ? RX_END_TEXT
                           : c == 'b' ? RX_WORD_EDGE
                           : c == 'B' ? RX_NOT_WORD_EDGE
                                      : RX_EMPTY;
    if (kind != RX_EMPTY) {
        p->at++;
        return node(p, kind);
    }
    struct regex_class cls = {.arena = p->arena};
    if (c && regex_class_perl(&cls, c)) {
        p->at++;
        return class_node(p, &cls);
    }
    uint32_t rune = escape(p, start);
    return p->rc ? NULL : char_node(p, rune);
}

static struct regex_node *atom(struct parser *p)
{
    char c = p->p[p->at];
    switch (c) {
    case '(': return group(p);
    case '[': return bracket(p);
    case '\\': return backslash(p);
    case '.': p->at++; return node(p, p->dot_all ? RX_ANY : RX_ANY_IN_LINE);
    case '^': p->at++; return node(p, p->multiline ? RX_BEGIN_LINE : RX_BEGIN_TEXT);
    case '$': p->at++; return node(p, p->multiline ? RX_END_LINE : RX_END_TEXT);
    case '*':
    case '+':
    case '?': return fail(p, p->at, "missing argument to repetition operator");
    default: break;
    }
    int min, max;
    if (c == '{' && count(p, &min, &max))
        return fail(p, p->at, "missing argument to repetition operator");
    uint32_t rune = next_rune(p);
    return p->rc ? NULL : char_node(p, rune);
}

// The nodes of a sequence as they come; `last` is where the latest operand hangs.
struct sequence {
    struct regex_node *first, **last, **tail;
};

static void append(struct sequence *s, struct regex_node *n)
{
    s->last = s->tail;
    *s->last = n;
    s->tail = &n->next;
}

// \Q...\E: its characters, none of them special.
static void quoted(struct parser *p, struct sequence *s)
{
    p->at += 2;
    while (p->at < p->len && p->rc == 0) {
        if (p->len - p->at >= 2 && p->p[p->at] == '\\' && p->p[p->at + 1] == 'E') {
            p->at += 2;
            break;
        }
        uint32_t rune = next_rune(p);
        struct regex_node *n = p->rc ? NULL : char_node(p, rune);
        if (n)
            append(s, n);
    }
}

static bool repeat_ahead(struct parser *p)
{
    int min, max;
    char c = p->p[p->at];
    return c == '*' || c == '+' || c == '?' || (c == '{' && count(p, &min, &max));
}

static struct regex_node *concat(struct parser *p)
{
    struct sequence s = {.tail = &s.first};
    int copies = 1;

    while (p->at < p->len && p->p[p->at] != '|' && p->p[p->at] != ')') {
        if (p->len - p->at >= 2 && p->p[p->at] == '\\' && p->p[p->at + 1] == 'Q') {
            quoted(p, &s);
            if (p->rc)
                return NULL;
            continue;
        }
        bool paren = p->p[p->at] == '(';
        // Behind \E and (?i) a repeat takes what stands in front of them.
        bool again = s.last && repeat_ahead(p);
        struct regex_node *n = again ? *s.last : atom(p);
        if (!n)
            return NULL;
        if (paren && n->kind == RX_EMPTY)
            continue;
        if (again)
            s.tail = s.last;
        n = repeated(p, n);
        if (!n)
            return NULL;
        append(&s, n);
    }
    struct regex_node *list = s.first;
    for (struct regex_node *n = list; n; n = n->next)
        if (n->copies > copies)
            copies = n->copies;
    if (!list)
        return node(p, RX_EMPTY);
    if (!list->next)
        return list;
    struct regex_node *n = node(p, RX_CONCAT);
    if (!n)
        return NULL;
    n->sub = list;
    n->copies = copies;
    return n;
}

static struct regex_node *alternate(struct parser *p)
{
    struct regex_node *first = concat(p), *last = first;
    if (!first || p->at == p->len || p->p[p->at] != '|')
        return first;
    struct regex_node *n = node(p, RX_ALTERNATE);
    if (!n)
        return NULL;
    n->sub = first;
    n->copies = first->copies;
    while (p->at < p->len && p->p[p->at] == '|') {
        p->at++;
        struct regex_node *next = concat(p);
        if (!next)
            return NULL;
        last->next = next;
        last = next;
        if (next->copies > n->copies)
            n->copies = next->copies;
    }
    return n;
}

int regex_parse(
    const char *pattern, size_t len, struct arena *a, struct regex_tree *ret, struct err *err)
{
    *ret = (struct regex_tree){0};
    // Prometheus wraps a pattern as ^(?s:...)$, so dot takes newline unless told otherwise.
    struct parser p = {
        .p = pattern, .len = len, .arena = a, .err = err, .dot_all = true, .tree = ret};
    ret->root = alternate(&p);
    if (p.rc == 0 && p.at < len)
        fail(&p, p.at, "unexpected )");
    return p.rc;
}
