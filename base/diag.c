// SPDX-License-Identifier: Apache-2.0
#include "base/diag.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void diags_init(struct diags *d)
{
    *d = (struct diags){0};
}

void diags_done(struct diags *d)
{
    if (!d)
        return;
    free(d->items);
    *d = (struct diags){0};
}

// Where the next one goes, or NULL when it is only counted.
static struct diag *next_item(struct diags *d)
{
    if (d->n == DIAG_MAX)
        return NULL;
    if (d->n == d->cap) {
        size_t cap = d->cap ? d->cap * 2 : 4;
        struct diag *items = realloc(d->items, cap * sizeof(*items));
        if (!items)
            return NULL;
        d->items = items;
        d->cap = cap;
    }
    return &d->items[d->n++];
}

void diags_add(struct diags *d, enum diag_severity severity, const char *code, int line,
    int col, int len, const char *hint, const char *fmt, ...)
{
    if (severity == DIAG_ERROR)
        d->errors++;
    struct diag *item = next_item(d);
    if (!item) {
        d->dropped++;
        return;
    }
    *item =
        (struct diag){.severity = severity, .line = line, .col = col, .len = len > 0 ? len : 1};
    snprintf(item->code, sizeof(item->code), "%s", code);
    snprintf(item->hint, sizeof(item->hint), "%s", hint ? hint : "");
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(item->msg, sizeof(item->msg), fmt, ap);
    va_end(ap);
}

static bool comes_after(const struct diag *a, const struct diag *b)
{
    return a->line != b->line ? a->line > b->line : a->col > b->col;
}

// Insertion sort: stable, and there are never more than DIAG_MAX.
void diags_sort(struct diags *d)
{
    for (size_t i = 1; i < d->n; i++) {
        struct diag item = d->items[i];
        size_t k = i;
        for (; k > 0 && comes_after(&d->items[k - 1], &item); k--)
            d->items[k] = d->items[k - 1];
        d->items[k] = item;
    }
}

struct line {
    const char *text;
    size_t len;
};

static bool find_line(const char *text, size_t len, int wanted, struct line *ret)
{
    const char *p = text, *end = text + len;
    for (int line = 1; p && line < wanted; line++) {
        p = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
        if (p)
            p++;
    }
    if (!p || len == 0 || wanted < 1)
        return false;
    const char *stop = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
    ret->text = p;
    ret->len = (size_t)((stop ? stop : end) - p);
    if (ret->len > 0 && p[ret->len - 1] == '\r')
        ret->len--;
    return true;
}

// What a terminal should not interpret is shown as '?'; a tab stays, here and under the line.
static char printable(char c)
{
    return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7F ? '?' : c;
}

static bool starts_character(char c)
{
    return ((unsigned char)c & 0xC0) != 0x80;
}

#define SHOWN_BEFORE 120
#define SHOWN_MAX    200

static void print_source(const struct diag *d, const char *text, size_t len, struct buf *out)
{
    struct line l;
    if (!find_line(text, len, d->line, &l))
        return;
    size_t at = d->col > 0 ? (size_t)d->col - 1 : 0;
    if (at > l.len)
        at = l.len;
    // A long line is shown around the place.
    size_t from = at > SHOWN_BEFORE ? at - SHOWN_BEFORE : 0;
    while (from > 0 && from < at && !starts_character(l.text[from]))
        from++;
    size_t to = l.len - from > SHOWN_MAX ? from + SHOWN_MAX : l.len;
    while (to < l.len && to > at && !starts_character(l.text[to]))
        to--;
    size_t stop = (size_t)d->len < to - at ? at + (size_t)d->len : to;

    char gutter[16];
    int width = snprintf(gutter, sizeof(gutter), "%d", d->line);
    buf_addf(out, "%*s |\n%s | %s", width, "", gutter, from > 0 ? "..." : "");
    for (size_t i = from; i < to; i++)
        buf_addc(out, printable(l.text[i]));
    buf_addf(out, "%s\n%*s | %s", to < l.len ? "..." : "", width, "", from > 0 ? "   " : "");
    for (size_t i = from; i < at; i++)
        if (starts_character(l.text[i]))
            buf_addc(out, l.text[i] == '\t' ? '\t' : ' ');
    buf_addc(out, '^');
    for (size_t i = at + 1; i < stop; i++)
        if (starts_character(l.text[i]))
            buf_addc(out, '^');
    if (d->hint[0])
        buf_addf(out, " %s", d->hint);
    buf_addc(out, '\n');
}

int diags_print(
    const struct diags *d, const char *file, const char *text, size_t len, struct buf *out)
{
    for (size_t i = 0; i < d->n; i++) {
        const struct diag *item = &d->items[i];
        buf_addf(out, "%s%s[%s]: ", i > 0 ? "\n" : "",
            item->severity == DIAG_ERROR ? "error" : "warning", item->code);
        for (const char *p = item->msg; *p; p++)
            buf_addc(out, printable(*p));
        buf_addc(out, '\n');
        int width = item->line > 0 ? snprintf(NULL, 0, "%d", item->line) : 1;
        buf_addf(out, "%*s--> %s", width, "", file);
        if (item->line > 0)
            buf_addf(out, ":%d:%d", item->line, item->col);
        buf_addc(out, '\n');
        size_t before = out->len;
        if (item->line > 0)
            print_source(item, text, len, out);
        if (out->len == before && item->hint[0])
            buf_addf(out, "%*s = %s\n", width, "", item->hint);
    }
    if (d->dropped > 0)
        buf_addf(out, "\n%zu more not shown\n", d->dropped);
    return out->failed;
}

#define WORD_MAX 64

// Edit distance by rows; words are short.
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t row[WORD_MAX + 1];
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b_len];
}

const char *diag_nearest(const char *word, size_t len, const char *const *candidates, size_t n)
{
    const char *best = NULL;
    size_t best_distance = 3;
    for (size_t i = 0; i < n; i++) {
        size_t c_len = strlen(candidates[i]);
        if (len > WORD_MAX || c_len > WORD_MAX || len > c_len + 2 || c_len > len + 2)
            continue;
        size_t d = distance(word, len, candidates[i], c_len);
        // Two changes turn any two letters into any others: that is no likeness.
        if (d < best_distance && d < len && d < c_len) {
            best = candidates[i];
            best_distance = d;
        }
    }
    return best;
}
