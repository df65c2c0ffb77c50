// SPDX-License-Identifier: Apache-2.0
/*
 * StatsD, for programs that push: `statsd` of agent.yaml. Datagrams over UDP and, beside it, a UNIX
 * socket; lines as statsd_line.h reads them.
 *
 *     statsd_door.h --> datagrams --> lines --> tally
 *     once a second: the tally --> intake --> output
 *
 * A counter is a counter, a gauge a gauge, timers (ms, h, d) native histograms of scale 4, in seconds for
 * ms; a set is the number of different members of the last 10 s. Names are those of statsd_exporter's
 * defaults, so rules written for it hold. What was silent for `age` ends.
 *
 * Losses are counted: lines by reason, datagrams the kernel had no room for:
 *
 *     tocsin_agent_statsd_datagrams_total, _samples_total, _bad_lines_total{reason},
 *     _kernel_drops_total{socket="udp"}
 *
 * A port that is taken is a state with its reason, tried again every 5 s. Nothing of it exists
 * without `statsd`. Loop thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATSD_AGE_MS      300000
#define STATSD_SET_SPAN_MS 10000
#define STATSD_PORT        8125

struct statsd_config {
    bool wanted;
    const char *host; // address to listen on, brackets off; NULL: no UDP
    uint16_t port;
    const char *socket; // path of the UNIX socket; NULL: none
    bool insecure_plaintext;
    int64_t age_ms;
    size_t series_limit;
};

struct part_ops;
extern const struct part_ops statsd_part;
