// SPDX-License-Identifier: Apache-2.0
// /varz of NATS. Source: the server's documentation of its monitoring port.
#include "agent/page.h"
#include <cjson/cJSON.h>

#define G SERIES_GAUGE
#define C SERIES_COUNTER
static const struct page_field VARZ[] = {
    {"connections", "gnatsd_varz_connections", "1", G, 1},
    {"total_connections", "gnatsd_varz_total_connections", "1", C, 1},
    {"max_connections", "gnatsd_varz_max_connections", "1", G, 1},
    {"subscriptions", "gnatsd_varz_subscriptions", "1", G, 1},
    {"slow_consumers", "gnatsd_varz_slow_consumers", "1", C, 1},
    {"in_msgs", "gnatsd_varz_in_msgs", "1", C, 1},
    {"out_msgs", "gnatsd_varz_out_msgs", "1", C, 1},
    {"in_bytes", "gnatsd_varz_in_bytes", "By", C, 1},
    {"out_bytes", "gnatsd_varz_out_bytes", "By", C, 1},
    {"mem", "gnatsd_varz_mem", "By", G, 1},
    {"cpu", "gnatsd_varz_cpu", "%", G, 1},
    {"routes", "gnatsd_varz_routes", "1", G, 1},
    {"leafnodes", "gnatsd_varz_leafnodes", "1", G, 1},
    {"jetstream.stats.memory", "gnatsd_varz_jetstream_stats_memory", "By", G, 1},
    {"jetstream.stats.storage", "gnatsd_varz_jetstream_stats_storage", "By", G, 1},
};

static bool nats_read(struct page_round *round, size_t nth, const char *text, size_t len,
    const struct page_sink *sink)
{
    cJSON *top = cJSON_ParseWithLength(text, len);
    bool ok = page_json_text(top, "server_id") && page_json_number(top, "connections") >= 0;
    (void)round;
    (void)nth;
    if (ok && sink)
        page_json_values(top, VARZ, sizeof(VARZ) / sizeof(VARZ[0]), NULL, 0, sink);
    cJSON_Delete(top);
    return ok;
}

const struct page_kind PAGE_NATS = {.name = "nats",
    .example = "e.g. http://127.0.0.1:8222",
    .pages = {"/varz"},
    .limit_bytes = 64 << 10,
    .values_ms = 1000,
    .read = nats_read};
