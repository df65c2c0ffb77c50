// SPDX-License-Identifier: Apache-2.0
/*
 * What Prometheus tells a user beside a result: warnings (something is left out or cannot be right)
 * and infos (it may not be what was meant). Collected only when somebody asks (eval_annotate), each
 * text once; otherwise they cost nothing.
 *
 * Belongs to whoever asks; one thread. What does not fit into memory is missing and says so in
 * `failed`.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

enum annotation_kind { ANNOTATION_WARNING, ANNOTATION_INFO };

// Details that grow while the same thing is met again: classic buckets that had to be made rising.
struct monotonicity {
    int64_t first_ms, last_ms;
    double lowest, highest, most; // bounds of the buckets, largest fall
    unsigned samples;             // 0 = this annotation is not about it
};
struct annotation {
    enum annotation_kind kind;
    int start; // byte of the expression it is about
    const char *text;
    struct monotonicity forced;
};
struct annotations {
    struct arena arena;
    struct annotation *a;
    size_t n, cap;
    bool failed;
};
void annotations_init(struct annotations *as);
void annotations_done(struct annotations *as);
void annotations_reset(struct annotations *as);
// forced may be NULL.
void annotations_add(struct annotations *as, enum annotation_kind kind, int start,
    const struct monotonicity *forced, const char *fmt, va_list ap)
    __attribute__((format(printf, 5, 0)));
// "PromQL warning: ... (1:5)": line and column in the text of the expression.
void annotation_print(const struct annotation *a, const char *expression, struct buf *out);
