// SPDX-License-Identifier: Apache-2.0
/*
 * From a byte of a scalar's value back to its place in the file. The raw bytes are scanned again
 * the way libyaml scanned them, counting what each would add to the value:
 *
 *     expr: "up ==\n            file bytes   u p _ = = \ n _ 0
 *            0"                 value bytes  u p _ = =  \n _ 0       (one escape, one byte)
 */
#include "base/yaml.h"
#include <stdbool.h>
#include <string.h>

struct scan {
    const char *text;
    size_t at, end; // raw bytes left to read
    size_t left;    // value bytes still to pass
    size_t found;   // raw offset of the byte looked for
    bool done;
};

// n value bytes come from the raw byte at `from`.
static void emit(struct scan *s, size_t from, size_t n)
{
    if (s->done)
        return;
    if (s->left < n) {
        s->found = from;
        s->done = true;
    } else {
        s->left -= n;
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_break(char c)
{
    return c == '\n' || c == '\r';
}

// Steps over one line break, CR LF included.
static void skip_break(struct scan *s)
{
    if (s->text[s->at] == '\r' && s->at + 1 < s->end && s->text[s->at + 1] == '\n')
        s->at++;
    s->at++;
}

// --- plain and quoted: blanks around line breaks vanish, one break is a space, n are n - 1 -------

// joined: an escaped break came before, so the first break already counts as a new line.
static void fold_blanks(struct scan *s, bool joined)
{
    size_t start = s->at, first = s->at, breaks = 0;
    while (s->at < s->end && (is_blank(s->text[s->at]) || is_break(s->text[s->at]))) {
        if (is_blank(s->text[s->at])) {
            s->at++;
            continue;
        }
        if (breaks++ == 0)
            first = s->at;
        skip_break(s);
    }
    if (breaks == 0) {
        for (size_t i = start; !joined && i < s->at; i++)
            emit(s, i, 1);
        return;
    }
    size_t n = joined ? breaks : breaks > 1 ? breaks - 1 : 1;
    for (size_t i = 0; i < n; i++)
        emit(s, first, 1);
}

static void scan_plain(struct scan *s)
{
    while (s->at < s->end && !s->done) {
        if (is_blank(s->text[s->at]) || is_break(s->text[s->at])) {
            fold_blanks(s, false);
        } else {
            emit(s, s->at, 1);
            s->at++;
        }
    }
}

static void scan_single(struct scan *s)
{
    s->at++;
    while (s->at < s->end && !s->done) {
        char c = s->text[s->at];
        if (is_blank(c) || is_break(c)) {
            fold_blanks(s, false);
            continue;
        }
        if (c == '\'' && (s->at + 1 >= s->end || s->text[s->at + 1] != '\''))
            break;
        emit(s, s->at, 1);
        s->at += c == '\'' ? 2 : 1;
    }
}

static size_t utf8_size(const char *hex, size_t digits)
{
    unsigned long v = 0;
    for (size_t i = 0; i < digits; i++) {
        char c = hex[i];
        unsigned d = c >= 'a'   ? (unsigned)(c - 'a') + 10
                     : c >= 'A' ? (unsigned)(c - 'A') + 10
                                : (unsigned)(c - '0');
        v = v << 4 | (d & 15);
    }
    return v < 0x80 ? 1 : v < 0x800 ? 2 : v < 0x10000 ? 3 : 4;
}

static void scan_escape(struct scan *s)
{
    size_t from = s->at++;
    if (s->at >= s->end)
        return;
    char c = s->text[s->at];
    if (is_break(c)) {
        skip_break(s);
        fold_blanks(s, true);
        return;
    }
    s->at++;
    size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    size_t n = c == 'N' || c == '_' ? 2 : c == 'L' || c == 'P' ? 3 : 1;
    if (digits > 0) {
        if (digits > s->end - s->at)
            digits = s->end - s->at;
        n = utf8_size(s->text + s->at, digits);
        s->at += digits;
    }
    emit(s, from, n);
}

static void scan_double(struct scan *s)
{
    s->at++;
    while (s->at < s->end && !s->done) {
        char c = s->text[s->at];
        if (c == '"')
            break;
        if (c == '\\') {
            scan_escape(s);
        } else if (is_blank(c) || is_break(c)) {
            fold_blanks(s, false);
        } else {
            emit(s, s->at, 1);
            s->at++;
        }
    }
}

// --- block scalars -----------------------------------------------------------------------------

static size_t leading_spaces(const char *s, size_t len)
{
    size_t n = 0;
    while (n < len && s[n] == ' ')
        n++;
    return n;
}

// Leading spaces of the first line that holds more than spaces.
static size_t first_indent(const char *s, size_t len)
{
    size_t i = 0;
    while (i < len) {
        size_t n = leading_spaces(s + i, len - i);
        if (i + n >= len || !is_break(s[i + n]))
            return n;
        i += n + 1;
    }
    return 0;
}

// An indentation indicator counts from the parent, whose own indentation the node does not know;
// but the first full line is at hand in both forms.
static size_t block_indent(const struct scan *s, const struct yaml_node *node)
{
    size_t raw = first_indent(s->text + s->at, s->end - s->at);
    size_t value = first_indent(node->text, node->len);
    return raw > value ? raw - value : 0;
}

// Indentation and empty lines. The breaks are remembered, not added: whether they count depends
// on the line that follows.
static size_t skip_empty_lines(struct scan *s, size_t indent, size_t *ret_first)
{
    size_t breaks = 0;
    for (;;) {
        size_t n = leading_spaces(s->text + s->at, s->end - s->at);
        s->at += n < indent ? n : indent;
        if (s->at >= s->end || !is_break(s->text[s->at]))
            return breaks;
        if (breaks++ == 0)
            *ret_first = s->at;
        skip_break(s);
    }
}

static void scan_block(struct scan *s, const struct yaml_node *node)
{
    bool folded = node->style == YAML_FOLDED;
    while (s->at < s->end && !is_break(s->text[s->at]))
        s->at++;
    if (s->at < s->end)
        skip_break(s);
    size_t indent = block_indent(s, node), empty_at = s->at;
    size_t empty = skip_empty_lines(s, indent, &empty_at);
    size_t break_at = 0;
    bool have_break = false, was_blank = false;
    while (s->at < s->end && !s->done) {
        bool blank = is_blank(s->text[s->at]);
        if (have_break) {
            // Folding: a break between two lines of text is a space, unless empty lines follow.
            bool folds = folded && !was_blank && !blank;
            if (!folds || empty == 0)
                emit(s, break_at, 1);
        }
        for (size_t i = 0; i < empty; i++)
            emit(s, empty_at, 1);
        was_blank = blank;
        while (s->at < s->end && !is_break(s->text[s->at])) {
            emit(s, s->at, 1);
            s->at++;
        }
        have_break = s->at < s->end;
        break_at = s->at;
        if (have_break)
            skip_break(s);
        empty_at = s->at;
        empty = skip_empty_lines(s, indent, &empty_at);
    }
    if (have_break)
        emit(s, break_at, 1);
    for (size_t i = 0; i < empty; i++)
        emit(s, empty_at, 1);
}

static void scan_scalar(struct scan *s, const struct yaml_node *node)
{
    switch (node->style) {
    case YAML_PLAIN: scan_plain(s); break;
    case YAML_SINGLE: scan_single(s); break;
    case YAML_DOUBLE: scan_double(s); break;
    case YAML_LITERAL:
    case YAML_FOLDED: scan_block(s, node); break;
    }
}

void yaml_place(const char *text, size_t text_len, const struct yaml_node *scalar,
    size_t offset, int *ret_line, int *ret_col)
{
    size_t end = scalar->end < text_len ? scalar->end : text_len;
    struct scan s = {.text = text, .at = scalar->offset, .end = end, .left = offset};
    if (s.at > end)
        s.at = end;
    scan_scalar(&s, scalar);
    size_t at = s.done ? s.found : s.at;
    // From where the value begins: from the top, many mistakes in a large file take their square.
    int line = scalar->line;
    size_t line_start = scalar->offset - (size_t)(scalar->col - 1);
    for (const char *p = text + scalar->offset;
         at > scalar->offset && (p = memchr(p, '\n', (size_t)(text + at - p))); p++) {
        line++;
        line_start = (size_t)(p - text) + 1;
    }
    *ret_line = line;
    *ret_col = (int)(at - line_start) + 1;
}
