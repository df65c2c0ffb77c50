// SPDX-License-Identifier: Apache-2.0
/*
 * Text for a terminal: a table whose columns line up, and numbers for people. Labels and
 * annotations come from the network, so a control byte never reaches the terminal: it is shown as
 * U+FFFD, and what would be an escape sequence is plain text.
 */
#pragma once
#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum text_color { TEXT_PLAIN, TEXT_BAD, TEXT_WARN, TEXT_GOOD, TEXT_DIM, TEXT_BOLD };

#define TEXT_COLUMNS_MAX 16
// Cells are kept one after the other in `cells`, NUL-ended; a row is n_columns of them.
struct table {
    struct buf cells, colors;
    size_t n_columns, n_cells;
    bool right[TEXT_COLUMNS_MAX];
};

// A heading that begins with '>' makes its column stand to the right.
void table_init(struct table *t, const char *const *headings, size_t n);
void table_done(struct table *t);
void table_cell(struct table *t, enum text_color color, const char *text);
// width 0 = as wide as it gets; a longer line is cut. False: out of memory.
bool table_print(const struct table *t, size_t width, bool color, FILE *out);

void text_clean(const char *s, struct buf *out); // appends s without control bytes
size_t text_width(const char *s);                // code points
void text_paint(FILE *out, bool color, enum text_color c, const char *text);

#define TEXT_NUMBER_MAX 40
enum text_unit { TEXT_COUNT, TEXT_PER_SECOND, TEXT_BYTES_PER_SECOND, TEXT_SECONDS };
// "–" for what is not finite.
const char *text_number(double v, enum text_unit unit, char ret[static TEXT_NUMBER_MAX]);
const char *text_age(
    int64_t ms, char ret[static TEXT_NUMBER_MAX]); // "240 ms", "4.2 s", "3 min"
// ▁▂▃▄▅▆▇█, one per value, a blank for what is not finite.
void text_spark(const double *v, size_t n, struct buf *out);
