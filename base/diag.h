// SPDX-License-Identifier: Apache-2.0
/*
 * Every mistake found in one text (a rule file, a config), with its place, so that one run shows
 * all of them. Printed as
 *
 *     error[T103]: `rate` needs a range vector, this is an instant vector
 *       --> rules.d/web.yaml:14:13
 *        |
 *     14 |       expr: rate(http_errors_total) > 5
 *        |                  ^^^^^^^^^^^^^^^^^ add a window, e.g. http_errors_total[30s]
 *
 * Codes are stable. T0xx file and YAML, T1xx expression, T2xx warnings of meaning, T3xx not
 * supported yet, C0xx daemon configuration.
 */
#pragma once
#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>

enum diag_severity { DIAG_ERROR, DIAG_WARNING };

struct diag {
    enum diag_severity severity;
    char code[8];
    int line, col; // 1-based, of the file; col counts bytes
    int len;       // bytes to underline, at least 1
    char msg[256];
    char hint[192]; // may be empty
};

// Owns its items. At most DIAG_MAX are kept; the rest are counted in dropped.
#define DIAG_MAX 256
struct diags {
    struct diag *items;
    size_t n, cap, errors, dropped;
};

void diags_init(struct diags *d);
void diags_done(struct diags *d);
void diags_add(struct diags *d, enum diag_severity severity, const char *code, int line,
    int col, int len, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 8, 9)));
// Sorts by place, so that output is stable.
void diags_sort(struct diags *d);
// Renders all as above. text is the whole file, used for the source lines.
int diags_print(
    const struct diags *d, const char *file, const char *text, size_t len, struct buf *out);
// The nearest of n candidates within edit distance 2, or NULL: for "did you mean".
const char *diag_nearest(const char *word, size_t len, const char *const *candidates, size_t n);
