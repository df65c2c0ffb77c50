// SPDX-License-Identifier: Apache-2.0
/*
 * Answers requests in the shard thread: Prometheus's query API as its clients expect it, and our
 * own status. The ui thread moves bytes; everything that looks at samples, rules or agents is
 * here, because the shard owns them.
 *
 *     api_query.c   query, query_range      api_names.c   series, labels, label values
 *     api_rules.c   rules, alerts           api_status.c  status, metrics
 *
 * Every answer is a whole JSON text (or exposition text for REQUEST_METRICS) in r->body and an
 * HTTP status in r->http_status; a query that cannot be answered is an answer too. Times are
 * collector wall ms.
 *
 * How requests of kind REQUEST_SERIES differ: expr holds "series", "labels" or "values NAME", then
 * one selector per line. Nothing selected means all series.
 */
#pragma once
#include "base/err.h"
#include "collector/ack_board.h"
#include "collector/board.h"
#include "collector/pipeline.h"
#include "collector/repair_board.h"
#include "collector/request.h"

#define API_SERIES_LIMIT                                                                       \
    10000 // names and series in one answer, when the request names no limit

// Facts that are not the pipeline's. Owned by the shard's maker; the queue lengths are written by
// the shard thread before it answers.
struct api_context {
    const char *version;
    const char *external_url;     // without a trailing slash
    struct board *board;          // NULL: nothing to show
    struct repair_board *repairs; // NULL: none
    struct ack_board *acks;       // NULL: none
    int64_t started_ms;
    size_t frames_queued, frames_max, notices_queued, notices_max;
    uint64_t notices_lost;         // transitions the notifier never heard of
    const struct journal *journal; // NULL: nothing is kept
};

// c may be NULL in tests.
void request_answer(
    struct pipeline *p, const struct api_context *c, struct request *r, int64_t now_ms);
void request_free(struct request *r);   // NULL allowed
void live_out_free(struct live_out *m); // NULL allowed

// --- pieces shared by the api_*.c files and live.c ---
struct eval;
struct value;
struct matrix;
void api_error(struct request *r, int status, const char *type, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
int api_value_json(const struct value *v, int64_t t_ms, struct buf *out);
int api_matrix_json(const struct matrix *m, struct buf *out);
void api_sample_json(int64_t t_ms, double v, struct buf *out);
void api_histogram_json(int64_t t_ms, const struct histogram *h, struct buf *out);
void api_number(double v, struct buf *out);      // "NaN" in quotes, as Prometheus
void api_time_json(int64_t ms, struct buf *out); // RFC 3339 in quotes
// A member of an object that is not its first: `,"name":`, and that with a value.
void api_key(struct buf *b, const char *name);
void api_text(struct buf *b, const char *name, const char *value);
void api_time(struct buf *b, const char *name, int64_t ms);
void api_when(struct buf *b, const char *name, int64_t ms); // nothing for 0
void api_query(struct pipeline *p, struct request *r, int64_t now_ms);
void api_query_range(struct pipeline *p, struct request *r);
void api_names(struct pipeline *p, struct request *r);
void api_alerts(struct pipeline *p, struct request *r);
void api_rules(struct pipeline *p, struct request *r);
void api_status(
    struct pipeline *p, const struct api_context *c, struct request *r, int64_t now_ms);
void api_metrics(struct pipeline *p, const struct api_context *c, struct request *r);
