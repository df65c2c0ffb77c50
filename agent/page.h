// SPDX-License-Identifier: Apache-2.0
/*
 * What services show of themselves on pages: nginx's stub_status, the CSV of HAProxy, the management
 * API of RabbitMQ, the monitoring port of NATS. Pure: text in, values out through a sink, so each is
 * tested and fuzzed without a server; probe_page.c fetches them.
 *
 *     pages[0], every turn --> read --> such a page? --> the service is alive: the latency stands
 *                                \--> values
 *     pages[1] ..., when numbers are due --> read --> values
 *
 * Names of values are those of the exporter people use: nginx-prometheus-exporter, HAProxy's own,
 * RabbitMQ's plugin, prometheus-nats-exporter. A page is not trusted: it is at most limit_bytes long,
 * what is no number or no UTF-8 is passed over, and whoever takes the values bounds their number.
 */
#pragma once
#include "wire/batch.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGES_MAX        3
#define PAGE_LIMIT_BYTES (1u << 20) // the largest limit of a kind

struct page_sink { // everything is valid during the call only
    void (*value)(void *ctx, const char *name, const struct wire_label *labels, size_t n,
        enum series_kind kind, const char *unit, double value);
    void *ctx;
};
// What one page of a round has to know of those before. All zero at the begin.
struct page_round {
    double ready, unacked, messages, consumers; // RabbitMQ: of all queues
};
struct page_kind {
    const char *example;          // of a target, for a hint
    const char *name;             // key of the configuration
    const char *pages[PAGES_MAX]; // added to the URL; NULL ends them
    size_t limit_bytes;           // of each
    bool has_login;
    uint32_t values_ms; // numbers are asked for at most so often
    // A whole page. False: it is not such a page. sink NULL: only that is of interest.
    bool (*read)(struct page_round *round, size_t nth, const char *text, size_t len,
        const struct page_sink *sink);
};
extern const struct page_kind PAGE_NGINX, PAGE_HAPROXY, PAGE_RABBITMQ, PAGE_NATS;

// --- for the kinds -------------------------------------------------------------------------------

struct page_field {
    const char *field; // what the service calls it; in JSON a.b is b of a
    const char *name, *unit;
    enum series_kind kind;
    double factor; // to the unit
};
// The fields of a JSON object that are there and are numbers, or true and false.
struct cJSON;
void page_json_values(const struct cJSON *object, const struct page_field *fields,
    size_t n_fields, const struct wire_label *labels, size_t n, const struct page_sink *sink);
// NaN: not there.
double page_json_number(const struct cJSON *object, const char *field);
const char *page_json_text(const struct cJSON *object, const char *field); // a label's; NULL
