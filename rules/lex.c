// SPDX-License-Identifier: Apache-2.0
#include "rules/lex.h"
#include "base/num.h"
#include "base/rune.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static int fail(struct lexer *l, size_t start, size_t end, const char *code, const char *msg,
    const char *hint)
{
    struct parse_error *e = l->err;
    *e = (struct parse_error){.start = (int)start, .end = (int)end};
    snprintf(e->code, sizeof(e->code), "%s", code);
    snprintf(e->msg, sizeof(e->msg), "%s", msg);
    snprintf(e->hint, sizeof(e->hint), "%s", hint);
    return -EINVAL;
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static size_t skip(const struct lexer *l)
{
    size_t at = l->at;
    while (at < l->len) {
        char c = l->text[at];
        if (c == '#') {
            const char *end = memchr(l->text + at, '\n', l->len - at);
            at = end ? (size_t)(end - l->text) : l->len;
        } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
            at++;
        } else {
            break;
        }
    }
    return at;
}

char lex_ahead(const struct lexer *l)
{
    size_t at = skip(l);
    return at < l->len ? l->text[at] : '\0';
}

bool lex_is_word(const struct lexer *l, const struct token *t, const char *word)
{
    size_t len = (size_t)(t->end - t->start);
    return t->kind == TOK_WORD && strlen(word) == len &&
           !strncasecmp(l->text + t->start, word, len);
}

// Whole numbers as Go reads them with base 0: 0x1f is hexadecimal, 017 octal, 08 plain.
static bool whole(const char *s, size_t len, double *ret)
{
    bool hex = len > 2 && s[0] == '0' && (s[1] | 32) == 'x';
    bool octal = !hex && len > 1 && s[0] == '0';
    uint64_t v = 0;
    if (!hex && !octal)
        return false;
    for (size_t i = hex ? 2 : 1; i < len; i++) {
        char c = s[i];
        uint64_t d;
        if (c == '_')
            continue;
        if (digit(c) && (hex || c < '8'))
            d = (uint64_t)(c - '0');
        else if (hex && (c | 32) >= 'a' && (c | 32) <= 'f')
            d = (uint64_t)((c | 32) - 'a' + 10);
        else
            return false;
        if (v > (INT64_MAX - d) / (hex ? 16 : 8))
            return false;
        v = v * (hex ? 16 : 8) + d;
    }
    *ret = (double)v;
    return true;
}

// Underscores stand between two digits, or after 0x.
static bool underscores(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (s[i] != '_')
            continue;
        bool before = i > 0 && (digit(s[i - 1]) || letter(s[i - 1])) && s[i - 1] != '_';
        bool after = i + 1 < len && (digit(s[i + 1]) || letter(s[i + 1])) && s[i + 1] != '_';
        if (!before || !after)
            return false;
    }
    return true;
}

static int number(struct lexer *l, struct token *t)
{
    const char *s = l->text + l->at;
    size_t left = l->len - l->at, n = 0;
    bool hex = left > 1 && s[0] == '0' && (s[1] | 32) == 'x';

    while (n < left && (digit(s[n]) || letter(s[n]) || s[n] == '.' || (signed char)s[n] < 0)) {
        bool exponent = (s[n] | 32) == (hex ? 'p' : 'e');
        n++;
        // A sign belongs to the number only behind an exponent that has digits.
        if (exponent && n + 1 < left && (s[n] == '+' || s[n] == '-') && digit(s[n + 1]))
            n++;
    }
    l->at += n;
    t->end = (int)l->at;
    int64_t ms;
    bool unit = n > 1 && !hex && letter(s[n - 1]) && s[n - 1] != '_';
    if (unit && duration_parse(s, n, &ms)) {
        t->kind = TOK_DURATION;
        t->ms = ms;
        t->number = (double)ms / 1000;
        return 0;
    }
    t->kind = TOK_NUMBER;
    if (underscores(s, n) && (whole(s, n, &t->number) || num_parse(s, n, &t->number)))
        return 0;
    bool dotted = memchr(s, '.', n) != NULL;
    return fail(l, (size_t)t->start, (size_t)t->end, "T102", "bad number or duration",
        unit && dotted ? "a duration has no fraction: write 1h30m for 1.5h"
        : unit         ? "units are ms, s, m, h, d, w, y, each once, the largest first"
                       : "");
}

static int hex_value(char c)
{
    if (digit(c))
        return c - '0';
    if ((c | 32) >= 'a' && (c | 32) <= 'f')
        return (c | 32) - 'a' + 10;
    return -1;
}

// One escape behind a backslash at s[0]; its length, 0 when it is none. Go's set.
static size_t escape(const char *s, size_t left, char quote, char *out, size_t *n)
{
    static const char from[] = "abfnrtv\\", to[] = "\a\b\f\n\r\t\v\\";
    if (left < 2)
        return 0;
    const char *simple = s[1] ? strchr(from, s[1]) : NULL;
    if (simple || s[1] == quote) {
        out[(*n)++] = simple ? to[simple - from] : quote;
        return 2;
    }
    uint32_t v = 0;
    if (s[1] >= '0' && s[1] <= '7') {
        for (size_t i = 1; i < 4; i++) {
            if (i >= left || s[i] < '0' || s[i] > '7')
                return 0;
            v = v * 8 + (uint32_t)(s[i] - '0');
        }
        if (v > 255)
            return 0;
        out[(*n)++] = (char)v;
        return 4;
    }
    size_t digits = s[1] == 'x' ? 2 : s[1] == 'u' ? 4 : s[1] == 'U' ? 8 : 0;
    if (!digits || left < 2 + digits)
        return 0;
    for (size_t i = 0; i < digits; i++) {
        int d = hex_value(s[2 + i]);
        if (d < 0)
            return 0;
        v = v << 4 | (uint32_t)d;
    }
    if (digits == 2)
        out[(*n)++] = (char)v;
    else if (v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
        return 0;
    else
        *n += rune_encode(v, out + *n);
    return 2 + digits;
}

static int string(struct lexer *l, struct token *t)
{
    const char *s = l->text;
    size_t start = l->at, at = start + 1, n = 0;
    char quote = s[start];

    // Never longer than its source.
    const char *close = NULL;
    for (size_t i = at; i < l->len && !close; i++) {
        if (s[i] == quote)
            close = s + i;
        else if (s[i] == '\\' && quote != '`')
            i++;
        else if (s[i] == '\n' && quote != '`')
            break;
    }
    if (!close)
        return fail(l, start, start + 1, "T102", "string without its closing quote", "");
    size_t end = (size_t)(close - s);
    char *out = arena_alloc(l->arena, end - start + 1);
    if (!out)
        return -ENOMEM;
    while (at < end) {
        size_t before = at;
        if (s[at] == '\\' && quote != '`') {
            size_t used = escape(s + at, end - at, quote, out, &n);
            if (!used)
                return fail(l, at, at + 2, "T102", "unknown escape sequence in a string",
                    "write \\\\ for a backslash, or use back quotes: `a\\d`");
            at += used;
        } else {
            uint32_t rune = rune_decode(s, end, &at);
            if (rune == 0xfffd && at == before + 1)
                return fail(l, before, at, "T102", "string is not valid UTF-8", "");
            memcpy(out + n, s + before, at - before);
            n += at - before;
        }
    }
    if (memchr(out, '\0', n))
        return fail(l, start, end + 1, "T302", "a NUL byte in a string is not supported", "");
    l->at = end + 1;
    t->kind = TOK_STRING;
    t->end = (int)l->at;
    t->string = out;
    t->string_len = n;
    return 0;
}

static void word(struct lexer *l, struct token *t)
{
    bool colon = false;
    while (l->at < l->len) {
        char c = l->text[l->at];
        if (!letter(c) && !digit(c) && !(c == ':' && !l->brackets))
            break;
        colon |= c == ':';
        l->at++;
    }
    t->kind = colon ? TOK_METRIC : TOK_WORD;
    t->end = (int)l->at;
    if (lex_is_word(l, t, "inf")) {
        t->kind = TOK_NUMBER;
        t->number = __builtin_inf();
    } else if (lex_is_word(l, t, "nan")) {
        t->kind = TOK_NUMBER;
        t->number = __builtin_nan("");
    }
}

static enum token_kind sign(const char *s, size_t left, size_t *ret_size)
{
    char next = left > 1 ? s[1] : '\0';
    *ret_size = 2;
    switch (s[0]) {
    case '=':
        if (next == '=')
            return TOK_EQ;
        if (next == '~')
            return TOK_MATCH_RE;
        break;
    case '!':
        if (next == '=')
            return TOK_NE;
        if (next == '~')
            return TOK_MATCH_NRE;
        return TOK_END;
    case '>':
        if (next == '=')
            return TOK_GE;
        if (next == '/')
            return TOK_TRIM_LOWER;
        break;
    case '<':
        if (next == '=')
            return TOK_LE;
        if (next == '/')
            return TOK_TRIM_UPPER;
        break;
    default: break;
    }
    *ret_size = 1;
    switch (s[0]) {
    case '(': return TOK_LPAREN;
    case ')': return TOK_RPAREN;
    case '{': return TOK_LBRACE;
    case '}': return TOK_RBRACE;
    case '[': return TOK_LBRACKET;
    case ']': return TOK_RBRACKET;
    case ',': return TOK_COMMA;
    case ':': return TOK_COLON;
    case '@': return TOK_AT;
    case '=': return TOK_ASSIGN;
    case '>': return TOK_GT;
    case '<': return TOK_LT;
    case '+': return TOK_ADD;
    case '-': return TOK_SUB;
    case '*': return TOK_MUL;
    case '/': return TOK_DIV;
    case '%': return TOK_MOD;
    case '^': return TOK_POW;
    default: return TOK_END;
    }
}

int lex_next(struct lexer *l, struct token *ret)
{
    l->at = skip(l);
    struct token t = {.kind = TOK_END, .start = (int)l->at, .end = (int)l->at};
    int rc = 0;

    if (l->at == l->len) {
        *ret = t;
        return 0;
    }
    const char *s = l->text + l->at;
    size_t left = l->len - l->at;
    if (letter(s[0]) || (s[0] == ':' && !l->brackets)) {
        word(l, &t);
    } else if (digit(s[0]) || (s[0] == '.' && left > 1 && digit(s[1]))) {
        rc = number(l, &t);
    } else if (s[0] == '"' || s[0] == '\'' || s[0] == '`') {
        rc = string(l, &t);
    } else {
        size_t size;
        t.kind = sign(s, left, &size);
        if (t.kind == TOK_END) {
            size_t end = l->at;
            rune_decode(l->text, l->len, &end);
            const char *hint = s[0] == '!'                  ? "not equal is !=, no match is !~"
                               : s[0] == '&' || s[0] == '|' ? "PromQL writes and, or, unless"
                               : s[0] == '$' || s[0] == ';' ? "not part of PromQL"
                               : (signed char)s[0] < 0
                                   ? "names outside ASCII need quotes: {\"name\"}"
                                   : "";
            return fail(l, l->at, end, "T101", "unexpected character", hint);
        }
        l->at += size;
        t.end = (int)l->at;
    }
    if (rc == 0)
        *ret = t;
    return rc;
}
