// SPDX-License-Identifier: Apache-2.0
#include "base/rune.h"

uint32_t rune_decode(const char *text, size_t len, size_t *at)
{
    const unsigned char *s = (const unsigned char *)text + *at;
    size_t left = len - *at, need;
    uint32_t c = s[0], min;

    (*at)++;
    if (c < 0x80)
        return c;
    if (c >= 0xc2 && c < 0xe0) {
        need = 1, c &= 0x1f, min = 0x80;
    } else if (c >= 0xe0 && c < 0xf0) {
        need = 2, c &= 0x0f, min = 0x800;
    } else if (c >= 0xf0 && c < 0xf5) {
        need = 3, c &= 0x07, min = 0x10000;
    } else {
        return RUNE_BROKEN;
    }
    if (left <= need)
        return RUNE_BROKEN;
    for (size_t i = 1; i <= need; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return RUNE_BROKEN;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (c < min || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return RUNE_BROKEN;
    *at += need;
    return c;
}

size_t rune_size(const char *s, size_t left)
{
    size_t at = 0;
    // U+FFFD itself is three bytes.
    if (left == 0 || (rune_decode(s, left, &at) == RUNE_BROKEN && at == 1))
        return 0;
    return at;
}

bool rune_text_ok(const char *s, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t n = (unsigned char)s[at] < 0x80 ? 1 : rune_size(s + at, len - at);
        if (n == 0)
            return false;
        at += n;
    }
    return true;
}

size_t rune_encode(uint32_t rune, char out[4])
{
    if (rune < 0x80) {
        out[0] = (char)rune;
        return 1;
    }
    size_t n = rune < 0x800 ? 2 : rune < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, rune >>= 6)
        out[i] = (char)(0x80 | (rune & 0x3f));
    out[0] = (char)((0xf00 >> n) | rune);
    return n;
}

// Capitals lo..hi have their small letter `shift` above; 0: capital and small letter alternate.
static const struct {
    uint32_t lo, hi, shift;
} cases[] = {{'A', 'Z', 32}, {0xc0, 0xd6, 32}, {0xd8, 0xde, 32}, {0x100, 0x12f, 0},
    {0x132, 0x137, 0}, {0x14a, 0x177, 0}, {0x391, 0x3a1, 32}, {0x3a3, 0x3ab, 32},
    {0x400, 0x40f, 80}, {0x410, 0x42f, 32}, {0x460, 0x481, 0}};

uint32_t rune_upper(uint32_t r)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t s = cases[i].shift;
        if (s ? r >= cases[i].lo + s && r <= cases[i].hi + s
              : r >= cases[i].lo && r <= cases[i].hi)
            return s ? r - s : r - ((r - cases[i].lo) & 1);
    }
    return r;
}

uint32_t rune_lower(uint32_t r)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t s = cases[i].shift;
        if (r >= cases[i].lo && r <= cases[i].hi)
            return s ? r + s : r + !((r - cases[i].lo) & 1);
    }
    return r;
}
