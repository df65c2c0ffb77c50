// SPDX-License-Identifier: Apache-2.0
/*
 * The management API of RabbitMQ. The broker itself picks the queues: those with most messages, one page
 * of them; all others are one series with other="true", the rest of its totals, so that a sum over
 * the queues is right. Source: the broker's own documentation of the API, and its answers.
 */
#include "agent/page.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#define QUEUES     "50"
#define QUEUES_MAX 50
#define G          SERIES_GAUGE

enum { NODES, OVERVIEW, QUEUE_PAGE };

static const struct page_field NODE[] = {
    {"running", "rabbitmq_running", "1", SERIES_STATE, 1},
    {"mem_alarm", "rabbitmq_alarms_memory_used_watermark", "1", SERIES_STATE, 1},
    {"disk_free_alarm", "rabbitmq_alarms_free_disk_space_watermark", "1", SERIES_STATE, 1},
    {"mem_used", "rabbitmq_process_resident_memory_bytes", "By", G, 1},
    {"mem_limit", "rabbitmq_resident_memory_limit_bytes", "By", G, 1},
    {"disk_free", "rabbitmq_disk_space_available_bytes", "By", G, 1},
    {"disk_free_limit", "rabbitmq_disk_space_available_limit_bytes", "By", G, 1},
    {"fd_used", "rabbitmq_process_open_fds", "1", G, 1},
    {"fd_total", "rabbitmq_process_max_fds", "1", G, 1},
    {"sockets_used", "rabbitmq_process_open_tcp_sockets", "1", G, 1},
    {"sockets_total", "rabbitmq_process_max_tcp_sockets", "1", G, 1},
    {"proc_used", "rabbitmq_erlang_processes_used", "1", G, 1},
    {"proc_total", "rabbitmq_erlang_processes_limit", "1", G, 1},
    {"uptime", "rabbitmq_erlang_uptime_seconds", "s", G, 1e-3},
};
static const struct page_field TOTALS[] = {
    {"object_totals.connections", "rabbitmq_connections", "1", G, 1},
    {"object_totals.channels", "rabbitmq_channels", "1", G, 1},
    {"object_totals.consumers", "rabbitmq_consumers", "1", G, 1},
    {"object_totals.queues", "rabbitmq_queues", "1", G, 1},
};
static const struct page_field QUEUE[] = {
    {"messages_ready", "rabbitmq_queue_messages_ready", "1", G, 1},
    {"messages_unacknowledged", "rabbitmq_queue_messages_unacked", "1", G, 1},
    {"messages", "rabbitmq_queue_messages", "1", G, 1},
    {"consumers", "rabbitmq_queue_consumers", "1", G, 1},
};
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static bool read_nodes(const cJSON *top, const struct page_sink *sink)
{
    const cJSON *node;
    if (!cJSON_IsArray(top) || !page_json_text(top->child, "name"))
        return false;
    cJSON_ArrayForEach(node, top)
    {
        struct wire_label label = {"node", page_json_text(node, "name")};
        if (!label.value || !sink)
            continue;
        page_json_values(node, NODE, COUNT(NODE), &label, 1, sink);
        const cJSON *parts = cJSON_GetObjectItemCaseSensitive(node, "partitions");
        if (cJSON_IsArray(parts))
            sink->value(
                sink->ctx, "rabbitmq_partitions", &label, 1, G, "1", cJSON_GetArraySize(parts));
    }
    return true;
}

static double or_zero(double v)
{
    return isnan(v) ? 0 : v;
}

// A broker without a queue has no queue_totals.
static bool read_overview(
    const cJSON *top, struct page_round *round, const struct page_sink *sink)
{
    if (isnan(page_json_number(top, "object_totals.queues")))
        return false;
    round->messages = or_zero(page_json_number(top, "queue_totals.messages"));
    round->ready = or_zero(page_json_number(top, "queue_totals.messages_ready"));
    round->unacked = or_zero(page_json_number(top, "queue_totals.messages_unacknowledged"));
    round->consumers = or_zero(page_json_number(top, "object_totals.consumers"));
    if (sink)
        page_json_values(top, TOTALS, COUNT(TOTALS), NULL, 0, sink);
    return true;
}

static bool read_queues(
    const cJSON *top, const struct page_round *round, const struct page_sink *sink)
{
    const cJSON *items = cJSON_GetObjectItemCaseSensitive(top, "items"), *queue;
    double all = page_json_number(top, "total_count");
    double rest[COUNT(QUEUE)] = {
        round->ready, round->unacked, round->messages, round->consumers};
    int shown = 0;
    if (!cJSON_IsArray(items) || isnan(all))
        return false;
    cJSON_ArrayForEach(queue, items)
    {
        struct wire_label labels[] = {{"queue", page_json_text(queue, "name")},
            {"vhost", page_json_text(queue, "vhost")}};
        // A queue that is down has a name, and no numbers.
        if (!sink || !labels[0].value || !labels[1].value || shown == QUEUES_MAX)
            continue;
        shown++;
        page_json_values(queue, QUEUE, COUNT(QUEUE), labels, 2, sink);
        for (size_t i = 0; i < COUNT(QUEUE); i++)
            rest[i] -= or_zero(page_json_number(queue, QUEUE[i].field));
    }
    static const struct wire_label OTHER = {"other", "true"};
    // The totals are of another moment, so the rest may be a little below nothing.
    for (size_t i = 0; sink && all > shown && i < COUNT(QUEUE); i++)
        sink->value(sink->ctx, QUEUE[i].name, &OTHER, 1, G, "1", rest[i] > 0 ? rest[i] : 0);
    return true;
}

static bool rabbitmq_read(struct page_round *round, size_t nth, const char *text, size_t len,
    const struct page_sink *sink)
{
    cJSON *top = cJSON_ParseWithLength(text, len);
    bool ok = nth == NODES      ? read_nodes(top, sink)
              : nth == OVERVIEW ? read_overview(top, round, sink)
                                : read_queues(top, round, sink);
    cJSON_Delete(top);
    return ok;
}

// Without `columns` the answers are ten times as long.
const struct page_kind PAGE_RABBITMQ = {.name = "rabbitmq",
    .example = "e.g. http://127.0.0.1:15672",
    .pages = {[NODES] =
                  "/api/nodes?columns=name,running,mem_used,mem_limit,mem_alarm,disk_free,"
                  "disk_free_limit,disk_free_alarm,fd_used,fd_total,sockets_used,"
                  "sockets_total,proc_used,proc_total,partitions,uptime",
        [OVERVIEW] = "/api/overview?columns=queue_totals,object_totals",
        [QUEUE_PAGE] = "/api/queues?page=1&page_size=" QUEUES
                       "&sort=messages&sort_reverse=true&columns=name,vhost,messages,"
                       "messages_ready,messages_unacknowledged,consumers"},
    .limit_bytes = 256 << 10,
    .has_login = true,
    .values_ms = 5000, // the broker itself counts no oftener
    .read = rabbitmq_read};
