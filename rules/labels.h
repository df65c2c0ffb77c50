// SPDX-License-Identifier: Apache-2.0
/*
 * A label set: pairs sorted by name, `__name__` among them, no empty values (an empty label is a
 * missing label). The struct is a view; who owns the bytes is said where it is handed over
 * (the series store for series, the evaluation's arena for results, one heap block for
 * labels_dup). Values that came out of one evaluation die with its arena.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct label {
    const char *name, *value; // NUL-terminated UTF-8
};
struct labels {
    const struct label *l;
    size_t n;
};

#define LABEL_NAME "__name__"

const char *labels_get(const struct labels *s, const char *name); // "" when absent
uint64_t labels_hash(const struct labels *s);
uint64_t labels_hash_on(
    const struct labels *s, const char *const *names, size_t n); // names sorted
uint64_t labels_hash_without(
    const struct labels *s, const char *const *names, size_t n); // and without __name__
bool labels_equal(const struct labels *a, const struct labels *b);
int labels_compare(const struct labels *a, const struct labels *b);
// Prometheus's and Alertmanager's fingerprint: FNV-1a 64 over name 0xff value 0xff.
uint64_t labels_fingerprint(const struct labels *s);
// Copies into the arena, strings too, sorted, empty values dropped, a later pair replaces an earlier one.
// false only when the arena is full.
bool labels_make(struct arena *a, const struct label *pairs, size_t n, struct labels *ret);
// These three copy the array and share the strings of s (a new name or value is copied).
bool labels_with(struct arena *a, const struct labels *s, const char *name, const char *value,
    struct labels *ret); // value "" removes
bool labels_keep(struct arena *a, const struct labels *s, const char *const *names, size_t n,
    struct labels *ret); // by (...)
bool labels_drop(struct arena *a, const struct labels *s, const char *const *names, size_t n,
    bool drop_name, struct labels *ret); // without (...)
// One heap block holding everything; free() it. NULL on no memory.
struct labels *labels_dup(const struct labels *s);
// {a="b", c="d"} or name{a="b"}, values escaped.
void labels_print(const struct labels *s, struct buf *out);
void labels_json(const struct labels *s, struct buf *out); // {"a":"b"}
// "text" with quotes, backslashes and control characters escaped as PromQL reads them back.
void label_quote(const char *s, size_t len, struct buf *out);
bool label_name_valid(const char *name); // not empty, UTF-8
// __name__, __type__, __unit__: what is said of the metric, and no longer holds of a rate of it.
bool label_describes_metric(const char *name);
// True when the name needs no quotes: [a-zA-Z_][a-zA-Z0-9_]*; a metric name may hold colons.
bool label_name_plain(const char *name);
bool metric_name_plain(const char *name);
