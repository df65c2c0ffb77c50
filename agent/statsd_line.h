// SPDX-License-Identifier: Apache-2.0
/*
 * One line of StatsD, in its dialects, as Prometheus's statsd_exporter reads it:
 *
 *     shop.orders:1|c|@0.1|#site:fra,tier:web        tags of DogStatsD
 *     shop.wait:12:15:9|ms                           several values (DogStatsD 1.1; ms, h and d)
 *     shop.a:1|c:2|g                                 several samples of one name (no tags then)
 *     shop.orders,site=fra:1|c    InfluxDB           shop.orders#site=fra:1|c    Librato
 *     shop.orders[site=fra]:1|c   SignalFx           ...|c:CONTAINER and |T1656581400: container, time
 *
 * Names and tag names become Prometheus's: what is not a letter, digit or `_` is `_`, and a leading
 * digit gets one in front. ms are told in seconds. A tag that is broken is left out and counted; a line
 * or sample that is broken is too, by reason. Events (_e) and service checks (_sc) are no numbers.
 *
 * Pure; nothing here allocates. What is told lives until the callback returns.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATSD_KEY_MAX  1024
#define STATSD_TAGS_MAX 28

enum statsd_type { STATSD_COUNTER, STATSD_GAUGE, STATSD_TIMER, STATSD_SET };
enum statsd_fault {
    STATSD_MALFORMED_LINE,
    STATSD_MIXED_TAGS, // two ways to write tags in one line
    STATSD_NO_TYPE,    // nothing after the value
    STATSD_BAD_VALUE,
    STATSD_BAD_TYPE,
    STATSD_BAD_RATE,
    STATSD_BAD_SECTION, // |x that is none of the known ones
    STATSD_BAD_TAG,
    STATSD_NEGATIVE,    // a counter or timer below zero
    STATSD_TOO_LONG,    // name and tags over STATSD_KEY_MAX or STATSD_TAGS_MAX
    STATSD_UNSUPPORTED, // an event or a service check
    STATSD_CONFLICT,    // its name and tags are of another type already; set by who adds up
    STATSD_LIMIT,       // no room for one more series or member; likewise
    STATSD_FAULTS
};
const char *statsd_fault_name(enum statsd_fault f); // "malformed_line"

struct statsd_sample {
    // "name\0tag\0value\0tag\0value\0", tags by name, each once.
    const char *key;
    size_t key_len;
    enum statsd_type type;
    double value;       // of a counter already divided by its rate
    bool relative;      // a gauge with + or -
    uint64_t times;     // of a timer: how often it counts
    const char *member; // of a set
    size_t member_len;
};
typedef void statsd_fn(void *ctx, const struct statsd_sample *s);
// Adds to faults[]. Returns the number of samples told.
size_t statsd_line(const char *line, size_t len, uint64_t faults[static STATSD_FAULTS],
    statsd_fn *fn, void *ctx);
