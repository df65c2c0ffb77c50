// SPDX-License-Identifier: Apache-2.0
/*
 * Pages of metrics as they are scraped: Prometheus's text 0.0.4, OpenMetrics 1.0 text, and
 * Prometheus's delimited protobuf (io.prometheus.client.MetricFamily).
 *
 *     bytes, in pieces of any size --> exposition_feed --> sample(ctx, sample) for each sample
 *                                                             \-> exposition_labels, if it is a new one
 *
 * Incremental: what is held is at most one unfinished line (or, of protobuf, one unfinished metric).
 * A sample comes with its key, the bytes that name it on the page; whoever knows the key already need
 * not have its labels taken apart, which is what keeps a page cheap that is the same each second.
 *
 * Judged as strictly as Prometheus's own scraper, whose page fails as a whole, with three differences: a
 * line break inside of quotes has to be written \n, blanks may stand before a name, and _created of
 * OpenMetrics is passed over. Exemplars are checked and passed over. Classic histograms and summaries become the series Prometheus keeps of
 * them (_bucket with le, _sum, _count, quantile); a native histogram is one series.
 *
 * Pure. Memory: one line of at most EXPOSITION_LINE_MAX; kept over exposition_begin.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "wire/batch.h"

#define EXPOSITION_LINE_MAX   (256u << 10) // or one metric of protobuf
#define EXPOSITION_LABELS_MAX 128
#define EXPOSITION_NAME_MAX   1024

enum exposition_format { EXPOSITION_TEXT, EXPOSITION_OPENMETRICS, EXPOSITION_PROTOBUF };

struct exposition_sample {
    const char *key;
    size_t key_len;
    double value;
    const struct wire_histogram *histogram; // instead of the value; NULL: none
    bool unsupported; // a histogram the wire cannot carry: of negative or fractional counts
    bool has_stamp;
    int64_t stamp_ms;
    enum series_kind kind;
    const char *unit; // "" when nothing tells
};

struct exposition;
// False stops the page, with err set. What the sample points to is valid until it returns.
typedef bool exposition_fn(
    void *ctx, struct exposition *x, const struct exposition_sample *s, struct err *err);

struct exposition *exposition_new(exposition_fn *sample, void *ctx); // NULL: memory
void exposition_free(struct exposition *x);
void exposition_begin(struct exposition *x, enum exposition_format format);
// 0; -EBADMSG with err (its line, for text); -ENOMEM, -EMSGSIZE likewise. After an error only
// exposition_begin is allowed.
int exposition_feed(struct exposition *x, const void *data, size_t len, struct err *err);
int exposition_end(struct exposition *x, struct err *err); // the page is over
// Only from within the callback: name and labels of the sample, valid until it returns. False: err.
bool exposition_labels(struct exposition *x, const char **ret_name,
    const struct wire_label **ret_labels, size_t *ret_n, struct err *err);

// What a Content-Type says, "" for none: text. False: nothing we read.
bool exposition_format_of(const char *content_type, enum exposition_format *ret);
// "s" of x_seconds_total, "By" of x_bytes, else "".
const char *exposition_unit(const char *name, size_t len);
