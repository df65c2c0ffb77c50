// SPDX-License-Identifier: Apache-2.0
#include "rules/regex_class.h"
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

/*
 * Which letters are one another's other case. step 0: the capital is `shift` below. step 2: capital
 * and small letter alternate, the capital first. These are the scripts that label values are
 * written in; the rest of Unicode has no case here.
 */
static const struct {
    uint32_t lo, hi, shift; // the capitals
} folds[] = {
    {'A', 'Z', 32},
    {0xc0, 0xd6, 32},
    {0xd8, 0xde, 32},
    {0x100, 0x12f, 0},
    {0x132, 0x137, 0},
    {0x14a, 0x177, 0},
    {0x391, 0x3a1, 32},
    {0x3a3, 0x3ab, 32},
    {0x400, 0x40f, 80},
    {0x410, 0x42f, 32},
    {0x460, 0x481, 0},
};
// Letters with a third form: K and Kelvin, S and long s, micro and mu, final sigma, Angstrom.
static const uint32_t thirds[][2] = {
    {'k', 0x212a}, {'s', 0x17f}, {0x3bc, 0xb5}, {0x3c3, 0x3c2}, {0xe5, 0x212b}};

static void fold_pair(
    struct regex_class *c, uint32_t lo, uint32_t hi, uint32_t from, uint32_t to, int64_t shift)
{
    uint32_t a = lo > from ? lo : from, b = hi < to ? hi : to;
    if (a <= b)
        regex_class_add(c, (uint32_t)(a + shift), (uint32_t)(b + shift));
}

void regex_class_fold(struct regex_class *c)
{
    // Third forms first, so that k, found through the Kelvin sign, brings K in the second pass.
    for (int pass = 0; pass < 2; pass++) {
        size_t n = c->n;
        for (size_t i = 0; i < n && !c->failed; i++) {
            uint32_t lo = c->r[i].lo, hi = c->r[i].hi;
            for (size_t k = 0; k < sizeof(thirds) / sizeof(thirds[0]); k++) {
                uint32_t a = thirds[k][0], b = thirds[k][1];
                bool has_a = lo <= a && a <= hi, has_b = lo <= b && b <= hi;
                if (has_a != has_b)
                    regex_class_add(c, has_a ? b : a, has_a ? b : a);
            }
            for (size_t k = 0; k < sizeof(folds) / sizeof(folds[0]); k++) {
                if (folds[k].shift) {
                    uint32_t s = folds[k].shift;
                    fold_pair(c, lo, hi, folds[k].lo, folds[k].hi, s);
                    fold_pair(c, lo, hi, folds[k].lo + s, folds[k].hi + s, -(int64_t)s);
                    continue;
                }
                uint32_t a = lo > folds[k].lo ? lo : folds[k].lo;
                uint32_t b = hi < folds[k].hi ? hi : folds[k].hi;
                // The whole of an alternating run is its own other case but for the ends.
                if (a <= b)
                    regex_class_add(
                        c, a - ((a - folds[k].lo) & 1), b + !((b - folds[k].lo) & 1));
            }
        }
        regex_class_tidy(c);
    }
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
