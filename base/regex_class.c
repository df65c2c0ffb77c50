// SPDX-License-Identifier: Apache-2.0
#include "base/regex_class.h"
#include <stdlib.h>
#include <string.h>

void regex_class_add(struct regex_class *c, uint32_t lo, uint32_t hi)
{
    if (c->n == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 8;
        struct regex_range *r = arena_alloc(c->arena, cap * sizeof(*r));
        if (!r) {
            c->failed = true;
            return;
        }
        if (c->n)
            memcpy(r, c->r, c->n * sizeof(*r));
        c->r = r;
        c->cap = cap;
    }
    c->r[c->n++] = (struct regex_range){lo, hi};
}

// Adds the ranges of text, pairs of characters, or all others.
static void add_pairs(struct regex_class *c, const char *pairs, bool negative)
{
    uint32_t from = 0;
    for (; pairs[0]; pairs += 2) {
        uint32_t lo = (unsigned char)pairs[0], hi = (unsigned char)pairs[1];
        if (!negative)
            regex_class_add(c, lo, hi);
        else if (lo > from)
            regex_class_add(c, from, lo - 1);
        from = hi + 1;
    }
    if (negative)
        regex_class_add(c, from, RUNE_MAX);
}

bool regex_class_perl(struct regex_class *c, char letter)
{
    switch (letter) {
    case 'd': add_pairs(c, "09", false); return true;
    case 'D': add_pairs(c, "09", true); return true;
    case 'w': add_pairs(c, "09AZ__az", false); return true;
    case 'W': add_pairs(c, "09AZ__az", true); return true;
    // Perl's and RE2's \s has no vertical tab.
    case 's': add_pairs(c, "\t\n\f\r  ", false); return true;
    case 'S': add_pairs(c, "\t\n\f\r  ", true); return true;
    default: return false;
    }
}

bool regex_class_posix(struct regex_class *c, const char *name, size_t len, bool negative)
{
    static const struct {
        const char *name, *pairs;
    } classes[] = {
        {"alnum", "09AZaz"},
        {"alpha", "AZaz"},
        {"blank", "\t\t  "},
        {"digit", "09"},
        {"graph", "!~"},
        {"lower", "az"},
        {"print", " ~"},
        {"punct", "!/:@[`{~"},
        {"space", "\t\r  "},
        {"upper", "AZ"},
        {"word", "09AZ__az"},
        {"xdigit", "09AFaf"},
    };
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (strlen(classes[i].name) == len && !memcmp(classes[i].name, name, len)) {
            add_pairs(c, classes[i].pairs, negative);
            return true;
        }
    }
    // The two that start at NUL do not fit into a string of pairs.
    uint32_t hi = len == 5 && !memcmp(name, "ascii", 5) ? 0x7f : 0;
    if (len == 5 && !memcmp(name, "cntrl", 5)) {
        if (!negative) {
            regex_class_add(c, 0, 0x1f);
            regex_class_add(c, 0x7f, 0x7f);
        } else {
            regex_class_add(c, 0x20, 0x7e);
            regex_class_add(c, 0x80, RUNE_MAX);
        }
        return true;
    }
    if (hi)
        regex_class_add(c, negative ? hi + 1 : 0, negative ? RUNE_MAX : hi);
    return hi != 0;
}

static int by_lo(const void *x, const void *y)
{
    const struct regex_range *a = x, *b = y;
    return (a->lo > b->lo) - (a->lo < b->lo);
}

void regex_class_tidy(struct regex_class *c)
{
    size_t n = 0;
    if (c->n)
        qsort(c->r, c->n, sizeof(*c->r), by_lo);
    for (size_t i = 0; i < c->n; i++) {
        if (n && c->r[i].lo <= c->r[n - 1].hi + 1) {
            if (c->r[i].hi > c->r[n - 1].hi)
                c->r[n - 1].hi = c->r[i].hi;
        } else {
            c->r[n++] = c->r[i];
        }
    }
    c->n = n;
}

void regex_class_negate(struct regex_class *c)
{
    regex_class_tidy(c);
    struct regex_class out = {.arena = c->arena, .failed = c->failed};
    uint32_t from = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (c->r[i].lo > from)
            regex_class_add(&out, from, c->r[i].lo - 1);
        from = c->r[i].hi + 1;
    }
    if (from <= RUNE_MAX)
        regex_class_add(&out, from, RUNE_MAX);
    *c = out;
}
