// SPDX-License-Identifier: Apache-2.0
#include "cli/rules_fmt_diff.h"
#include "cli/text.h"
#include <stdlib.h>
#include <string.h>

#define CONTEXT 3

struct text {
    const char *s;
    size_t *line; // where each begins; one more: the end
    size_t n;
};
// Lines [a, a + n_a) of the old text became [b, b + n_b) of the new one.
struct change {
    size_t a, n_a, b, n_b;
};

static bool split(const char *s, size_t len, struct text *ret)
{
    size_t n = 2;
    for (size_t i = 0; i < len; i++)
        n += s[i] == '\n';
    *ret = (struct text){.s = s, .line = calloc(n, sizeof(*ret->line))};
    if (!ret->line)
        return false;
    for (size_t at = 0; at < len;) {
        const char *newline = memchr(s + at, '\n', len - at);
        ret->line[ret->n++] = at;
        at = newline ? (size_t)(newline - s) + 1 : len;
    }
    ret->line[ret->n] = len;
    return true;
}

static size_t line_of(const struct text *t, size_t at)
{
    size_t low = 0, high = t->n;
    while (high - low > 1) {
        size_t mid = (low + high) / 2;
        if (t->line[mid] <= at)
            low = mid;
        else
            high = mid;
    }
    return low;
}

static bool same(const struct text *a, size_t i, const struct text *b, size_t k)
{
    size_t n = a->line[i + 1] - a->line[i];
    return n == b->line[k + 1] - b->line[k] &&
           memcmp(a->s + a->line[i], b->s + b->line[k], n) == 0;
}

static struct change change_of(
    const struct text *a, const struct text *b, const struct rules_edit *e)
{
    struct change c = {.a = line_of(a, e->from), .b = line_of(b, e->new_from)};
    c.n_a = line_of(a, e->to - 1) + 1 - c.a;
    c.n_b = line_of(b, e->new_to - 1) + 1 - c.b;
    for (; c.n_a && c.n_b && same(a, c.a, b, c.b); c.n_a--, c.n_b--) {
        c.a++;
        c.b++;
    }
    while (c.n_a && c.n_b && same(a, c.a + c.n_a - 1, b, c.b + c.n_b - 1)) {
        c.n_a--;
        c.n_b--;
    }
    return c;
}

static bool print_lines(
    char sign, const struct text *t, size_t from, size_t n, bool color, FILE *out)
{
    enum text_color paint = sign == '-' ? TEXT_BAD : sign == '+' ? TEXT_GOOD : TEXT_PLAIN;
    for (size_t i = from; i < from + n; i++) {
        size_t len = t->line[i + 1] - t->line[i];
        bool whole = len && t->s[t->line[i] + len - 1] == '\n';
        char *line = NULL;
        if (asprintf(&line, "%c%.*s", sign, (int)(len - whole), t->s + t->line[i]) < 0)
            return false;
        text_paint(out, color, paint, line);
        fputs(whole ? "\n" : "\n\\ No newline at end of file\n", out);
        free(line);
    }
    return true;
}

static void print_range(char sign, size_t from, size_t n, FILE *out)
{
    // Of no lines, the line before them is named.
    fprintf(out, "%c%zu", sign, n ? from + 1 : from);
    if (n != 1)
        fprintf(out, ",%zu", n);
}

// The changes [i, end), with their context, as one hunk.
static bool print_hunk(const struct text *a, const struct text *b, const struct change *c,
    size_t n, bool color, FILE *out)
{
    const struct change *last = &c[n - 1];
    size_t before = c->a < CONTEXT ? c->a : CONTEXT, last_end = last->a + last->n_a;
    size_t after = a->n - last_end < CONTEXT ? a->n - last_end : CONTEXT;
    fputs("@@ ", out);
    print_range('-', c->a - before, last_end + after - (c->a - before), out);
    fputc(' ', out);
    print_range('+', c->b - before, last->b + last->n_b + after - (c->b - before), out);
    fputs(" @@\n", out);
    size_t at = c->a - before;
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        ok = ok && print_lines(' ', a, at, c[i].a - at, color, out) &&
             print_lines('-', a, c[i].a, c[i].n_a, color, out) &&
             print_lines('+', b, c[i].b, c[i].n_b, color, out);
        at = c[i].a + c[i].n_a;
    }
    return ok && print_lines(' ', a, at, after, color, out);
}

bool rules_diff_print(const char *name, const char *old, size_t old_len, const char *new,
    size_t new_len, const struct rules_format *f, bool color, FILE *out)
{
    struct text a = {0}, b = {0};
    if (f->n_edits == 0)
        return true;
    struct change *c = calloc(f->n_edits, sizeof(*c));
    bool ok = c && split(old, old_len, &a) && split(new, new_len, &b);
    for (size_t i = 0; ok && i < f->n_edits; i++)
        c[i] = change_of(&a, &b, &f->edits[i]);
    if (ok)
        fprintf(out, "--- %s\n+++ %s\n", name, name);
    for (size_t i = 0, end; ok && i < f->n_edits; i = end) {
        for (end = i + 1; end < f->n_edits; end++)
            if (c[end].a - (c[end - 1].a + c[end - 1].n_a) > 2 * CONTEXT)
                break;
        ok = print_hunk(&a, &b, &c[i], end - i, color, out);
    }
    free(a.line);
    free(b.line);
    free(c);
    return ok;
}
