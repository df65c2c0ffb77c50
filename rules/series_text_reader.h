// SPDX-License-Identifier: Apache-2.0
/*
 * The place in a series text while it is read. Private to rules/series_text.c and
 * rules/series_histogram.c. What it makes lives in the arena; functions return 0, -EINVAL with the
 * error filled, or -ENOMEM.
 */
#pragma once
#include "rules/series_text.h"

struct reader {
    const char *text;
    size_t len, at;
    size_t first; // only so many values are kept; 0 = all, and more than SERIES_VALUES_MAX fail
    struct arena *arena;
    struct parse_error *err;
};

int reader_fail(struct reader *r, size_t start, size_t end, const char *hint, const char *fmt,
    ...) __attribute__((format(printf, 5, 6)));
static inline char reader_peek(const struct reader *r)
{
    return r->at < r->len ? r->text[r->at] : '\0';
}
void reader_blanks(struct reader *r);
// Decimal digits, Inf or NaN, with a sign where one may be. No hexadecimal: 0x3 is four zeros.
int reader_number(struct reader *r, bool sign, double *ret);
// At "{{". What the notation says, unchecked: see histogram_fault().
int reader_histogram(struct reader *r, const struct histogram **ret, bool *ret_hint);
