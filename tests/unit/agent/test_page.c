// SPDX-License-Identifier: Apache-2.0
// Pages of services: what is read of them, and what is not one.
#include "agent/page.h"
#include "base/buf.h"
#include "tests/lib/run.h"
#include <stdio.h>
#include <string.h>

#define TEXT(s) s, sizeof(s) - 1

// Values as lines: name{label="value",...} value
static void add_value(void *ctx, const char *name, const struct wire_label *labels, size_t n,
    enum series_kind kind, const char *unit, double value)
{
    struct buf *out = ctx;
    CU_ASSERT_PTR_NOT_NULL(unit);
    CU_ASSERT_EQUAL(kind == SERIES_COUNTER,
        strstr(name, "_total") != NULL || strstr(name, "accepted") || strstr(name, "handled") ||
            strstr(name, "msgs") || strstr(name, "slow_consumers") || strstr(name, "in_bytes"));
    buf_adds(out, name);
    for (size_t i = 0; i < n; i++)
        buf_addf(out, "%s%s=\"%s\"", i ? "," : "{", labels[i].name, labels[i].value);
    buf_addf(out, "%s %.10g\n", n ? "}" : "", value);
}

static bool read_text(const struct page_kind *kind, struct page_round *round, size_t nth,
    const char *text, size_t len, struct buf *out)
{
    struct page_sink sink = {.value = add_value, .ctx = out};
    buf_init(out, 1u << 20);
    return kind->read(round, nth, text, len, &sink);
}

static void is_read(const struct page_kind *kind, size_t nth, struct page_round *round,
    const char *text, const char *const *lines, size_t n)
{
    struct buf out;
    CU_ASSERT_TRUE(kind->read(&(struct page_round){0}, nth, text, strlen(text), NULL));
    CU_ASSERT_TRUE(read_text(kind, round, nth, text, strlen(text), &out));
    for (size_t i = 0; i < n; i++)
        if (!strstr(buf_cstr(&out), lines[i])) {
            printf("no %s in\n%s", lines[i], buf_cstr(&out));
            CU_FAIL("a value is missing");
        }
    buf_done(&out);
}
#define READS(kind_, nth_, round_, text_, ...)                                                 \
    do {                                                                                       \
        const char *const lines_[] = {__VA_ARGS__};                                            \
        is_read(&(kind_), nth_, round_, text_, lines_, sizeof(lines_) / sizeof(lines_[0]));    \
    } while (0)

static void nginx(void)
{
    struct page_round round = {0};
    READS(PAGE_NGINX, 0, &round,
        "Active connections: 291 \nserver accepts handled requests\n 16630948 16630940 31070465 \n"
        "Reading: 6 Writing: 179 Waiting: 106 \n",
        "nginx_connections_active 291\n", "nginx_connections_accepted 16630948\n",
        "nginx_connections_handled 16630940\n", "nginx_http_requests_total 31070465\n",
        "nginx_connections_reading 6\n", "nginx_connections_writing 179\n",
        "nginx_connections_waiting 106\n", "tocsin_nginx_connections_dropped_total 8\n");
}

static const char CSV[] =
    "# pxname,svname,qcur,scur,slim,stot,econ,eresp,status,type,hrsp_5xx,qtime,rtime,last_chk,\n"
    "web,FRONTEND,,3,10,40,,,OPEN,0,1,,,,\n"
    "app,one,4,1,1,20,2,0,no check,2,1,7,1500,,\n"
    "app,two,0,0,,0,0,0,DOWN 1/2,2,0,0,0,\"a \"\"quoted, text\"\"\",\n"
    "app,BACKEND,4,1,1,20,2,0,UP,1,1,7,1500,,\n"
    "app,sock-1,,1,1,20,,,OPEN,3,,,,,\n"
    "app,short\n"
    "\n";

static void haproxy(void)
{
    struct page_round round = {0};
    READS(PAGE_HAPROXY, 0, &round, CSV, "haproxy_frontend_current_sessions{proxy=\"web\"} 3\n",
        "haproxy_frontend_status{proxy=\"web\",state=\"UP\"} 1\n",
        "haproxy_frontend_http_responses_total{proxy=\"web\",code=\"5xx\"} 1\n",
        "haproxy_server_current_queue{proxy=\"app\",server=\"one\"} 4\n",
        "haproxy_server_limit_sessions{proxy=\"app\",server=\"one\"} 1\n",
        "haproxy_server_connection_errors_total{proxy=\"app\",server=\"one\"} 2\n",
        "haproxy_server_response_time_average_seconds{proxy=\"app\",server=\"one\"} 1.5\n",
        "haproxy_server_status{proxy=\"app\",server=\"one\",state=\"UP\"} 1\n",
        "haproxy_server_status{proxy=\"app\",server=\"two\",state=\"DOWN\"} 1\n",
        "haproxy_server_status{proxy=\"app\",server=\"two\",state=\"UP\"} 0\n",
        "haproxy_backend_status{proxy=\"app\",state=\"UP\"} 1\n",
        "haproxy_backend_queue_time_average_seconds{proxy=\"app\"} 0.007\n");
    struct buf out;
    CU_ASSERT_TRUE(read_text(&PAGE_HAPROXY, &round, 0, CSV, sizeof(CSV) - 1, &out));
    CU_ASSERT_PTR_NULL(strstr(buf_cstr(&out), "sock-1"));
    CU_ASSERT_PTR_NULL(strstr(buf_cstr(&out), "haproxy_server_limit_sessions{proxy=\"app\","
                                              "server=\"two\"}")); // no limit is no number
    buf_done(&out);
}

static const char QUEUES[] =
    "{\"total_count\":4,\"items\":[{\"name\":\"a\",\"vhost\":\"/\",\"messages\":7,"
    "\"messages_ready\":5,\"messages_unacknowledged\":2,\"consumers\":1},"
    "{\"name\":\"gone\",\"vhost\":\"/\"},{\"messages\":1}]}";

static void rabbitmq(void)
{
    struct page_round round = {0};
    READS(PAGE_RABBITMQ, 0, &round,
        "[{\"name\":\"r@h\",\"running\":true,\"mem_used\":135258112,\"mem_alarm\":false,"
        "\"disk_free_alarm\":true,\"fd_used\":40,\"partitions\":[\"x\"],\"uptime\":28589}]",
        "rabbitmq_running{node=\"r@h\"} 1\n",
        "rabbitmq_alarms_memory_used_watermark{node=\"r@h\"} 0\n",
        "rabbitmq_alarms_free_disk_space_watermark{node=\"r@h\"} 1\n",
        "rabbitmq_process_resident_memory_bytes{node=\"r@h\"} 135258112\n",
        "rabbitmq_partitions{node=\"r@h\"} 1\n",
        "rabbitmq_erlang_uptime_seconds{node=\"r@h\"} 28.589\n");
    READS(PAGE_RABBITMQ, 1, &round,
        "{\"queue_totals\":{\"messages\":9,\"messages_ready\":6,\"messages_unacknowledged\":3},"
        "\"object_totals\":{\"queues\":4,\"consumers\":3,\"connections\":2,\"channels\":5}}",
        "rabbitmq_queues 4\n", "rabbitmq_connections 2\n", "rabbitmq_channels 5\n",
        "rabbitmq_consumers 3\n");
    READS(PAGE_RABBITMQ, 2, &round, QUEUES,
        "rabbitmq_queue_messages_ready{queue=\"a\",vhost=\"/\"} 5\n",
        "rabbitmq_queue_messages_unacked{queue=\"a\",vhost=\"/\"} 2\n",
        "rabbitmq_queue_consumers{queue=\"a\",vhost=\"/\"} 1\n",
        "rabbitmq_queue_messages{other=\"true\"} 2\n",
        "rabbitmq_queue_messages_ready{other=\"true\"} 1\n",
        "rabbitmq_queue_messages_unacked{other=\"true\"} 1\n",
        "rabbitmq_queue_consumers{other=\"true\"} 2\n");
    // A broker without a queue.
    memset(&round, 0, sizeof(round));
    READS(PAGE_RABBITMQ, 1, &round,
        "{\"queue_totals\":{},\"object_totals\":{\"queues\":0,\"consumers\":0}}",
        "rabbitmq_queues 0\n");
    READS(PAGE_RABBITMQ, 2, &round, "{\"total_count\":0,\"items\":[]}", "");
}

static void nats(void)
{
    struct page_round round = {0};
    READS(PAGE_NATS, 0, &round,
        "{\"server_id\":\"N\",\"connections\":2,\"in_msgs\":5,\"slow_consumers\":1,\"mem\":1024,"
        "\"jetstream\":{\"stats\":{\"storage\":77}}}",
        "gnatsd_varz_connections 2\n", "gnatsd_varz_in_msgs 5\n",
        "gnatsd_varz_slow_consumers 1\n", "gnatsd_varz_jetstream_stats_storage 77\n");
}

static void is_not_one(void)
{
    static const struct {
        const struct page_kind *kind;
        size_t nth;
        const char *text;
    } CASES[] = {
        {&PAGE_NGINX, 0, ""},
        {&PAGE_NGINX, 0, "<html>Active connections: 1"},
        {&PAGE_NGINX, 0,
            "Active connections: 1 \nserver accepts handled requests\n 1 1 1 \n"
            "Reading: 0 Writing: x Waiting: 0 \n"},
        {&PAGE_NGINX, 0,
            "Active connections: 1 \nserver accepts handled requests\n 1 1 1 \n"
            "Reading: 0 Writing: 1 Waiting: 0 \nmore"},
        {&PAGE_NGINX, 0, "Active connections: 99999999999999999999"},
        {&PAGE_HAPROXY, 0, ""},
        {&PAGE_HAPROXY, 0, "<html>\n"},
        {&PAGE_HAPROXY, 0, "# pxname,svname\nweb,FRONTEND\n"},
        {&PAGE_RABBITMQ, 0, "{}"},
        {&PAGE_RABBITMQ, 0, "[]"},
        {&PAGE_RABBITMQ, 0, "[1,2]"},
        {&PAGE_RABBITMQ, 0, "<html>"},
        {&PAGE_RABBITMQ, 1, "{\"object_totals\":7}"},
        {&PAGE_RABBITMQ, 2, "{\"items\":{},\"total_count\":1}"},
        {&PAGE_NATS, 0, "{\"connections\":1}"},
        {&PAGE_NATS, 0, "{\"server_id\":\"x\",\"connections\":\"1\"}"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct page_round round = {0};
        struct buf out;
        bool is = read_text(
            CASES[i].kind, &round, CASES[i].nth, CASES[i].text, strlen(CASES[i].text), &out);
        if (is)
            printf("taken for %s: %s\n", CASES[i].kind->name, CASES[i].text);
        CU_ASSERT_FALSE(is);
        CU_ASSERT_EQUAL(out.len, 0);
        buf_done(&out);
    }
}

static void names_that_are_no_text_are_passed_over(void)
{
    struct page_round round = {0};
    struct buf out;
    CU_ASSERT_TRUE(read_text(&PAGE_HAPROXY, &round, 0,
        TEXT(
            "# pxname,svname,scur,status,type\n\xff,FRONTEND,3,OPEN,0\nw\0b,FRONTEND,3,OPEN,0\n"),
        &out));
    CU_ASSERT_EQUAL(out.len, 0);
    buf_done(&out);
}

int main(void)
{
    static const struct test TESTS[] = {
        {"stub_status of nginx", nginx},
        {"the CSV of HAProxy", haproxy},
        {"the management API of RabbitMQ, with the rest of the queues as one", rabbitmq},
        {"varz of NATS", nats},
        {"is told from what is not such a page", is_not_one},
        {"names that are no text are passed over", names_that_are_no_text_are_passed_over},
    };
    return test_main("page", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
