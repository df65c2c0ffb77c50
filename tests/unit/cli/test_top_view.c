// SPDX-License-Identifier: Apache-2.0
#include "cli/top_view.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include "wire/live.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool json(struct top_view *v, enum live_type type, uint16_t sub, const char *text)
{
    struct live_head h = {.type = type, .sub = sub, .server_ms = 10000};
    struct buf b;
    buf_init(&b, 1u << 20);
    CU_ASSERT_EQUAL(live_encode_json(&h, text, strlen(text), &b), 0);
    bool taken = top_view_message(v, b.data, b.len);
    buf_done(&b);
    return taken;
}

// The newest of two rows for ids 7 and 8.
static void points(struct top_view *v, uint16_t sub, double seven, double eight)
{
    struct live_head h = {.type = LIVE_POINTS, .sub = sub, .server_ms = 10000};
    struct live_points p = {.rows = 2,
        .columns = 2,
        .t_ms = (const double[]){9000, 10000},
        .ids = (const uint32_t[]){7, 8},
        .v = (const double[]){-1, seven, -1, eight}};
    struct buf b;
    buf_init(&b, 1u << 20);
    CU_ASSERT_EQUAL(live_encode_points(&h, &p, &b), 0);
    CU_ASSERT_TRUE(top_view_message(v, b.data, b.len));
    buf_done(&b);
}

static char *drawn(const struct top_view *v, struct top_size size)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_TRUE(top_view_draw(v, size, false, f));
    fclose(f);
    return text;
}

#define SERIES                                                                                 \
    "[{\"id\":7,\"labels\":{\"instance\":\"web-1\",\"service\":\"nginx\",\"port\":\"80\","     \
    "\"state\":\"up\"}},{\"id\":8,\"labels\":{\"instance\":\"web-1\",\"service\":\"redis\","   \
    "\"port\":\"6379\",\"state\":\"crashed\"}}]"
#define STATE                                                                                  \
    "{\"alerts\":[{\"alertname\":\"Slow\",\"state\":\"pending\",\"labels\":{\"a\":\"b\"},"     \
    "\"annotations\":{},\"active_at_ms\":8000},{\"alertname\":\"Crash\",\"state\":\"firing\"," \
    "\"labels\":{},\"annotations\":{\"summary\":\"redis \\u001b[2J\"},\"active_at_ms\":9500}," \
    "{\"alertname\":\"Old\",\"state\":\"resolved\",\"labels\":{},\"annotations\":{}}],"        \
    "\"agents\":[{\"host\":\"web-1\",\"state\":\"up\"}],\"rules\":{\"total\":8,"               \
    "\"unhealthy\":[]},\"banner\":\"\"}"

static struct top_view *whole(const char *filter)
{
    struct top_view *v = top_view_new(filter);
    CU_ASSERT_PTR_NOT_NULL_FATAL(v);
    for (uint16_t sub = 1; sub <= TOP_SUBS; sub++) {
        CU_ASSERT_FALSE(top_view_complete(v));
        CU_ASSERT_TRUE(json(v, LIVE_SERIES, sub, SERIES));
        points(v, sub, sub == 1 ? 1 : sub * 10, sub == 1 ? 1 : NAN);
    }
    CU_ASSERT_FALSE(top_view_complete(v));
    CU_ASSERT_TRUE(json(v, LIVE_STATE, 0, STATE));
    CU_ASSERT_TRUE(top_view_complete(v));
    return v;
}

static void worst_first(void)
{
    struct top_view *v = whole(NULL);
    char *text = drawn(v, (struct top_size){0});
    const char *redis = strstr(text, "redis    web-1"), *nginx = strstr(text, "nginx    web-1");
    const char *crash = strstr(text, "Crash"), *slow = strstr(text, "Slow");
    CU_ASSERT_TRUE(redis && nginx && redis < nginx);
    CU_ASSERT_TRUE(crash && slow && crash < slow && slow < redis);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "agents 1, 1 up  rules 8  firing 1  pending 1\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "500 ms"));
    CU_ASSERT_PTR_NULL(strchr(text, '\033'));
    CU_ASSERT_PTR_NULL(strstr(text, "Old"));
    // Connections 20, new 30/s, in, out, RTT 60 s, accept queue 70.
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "20"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "30/s"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "40 B/s"));
    free(text);
    top_view_free(v);
}

static void filters(void)
{
    struct top_view *v = whole("ngin");
    char *text = drawn(v, (struct top_size){0});
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "nginx"));
    CU_ASSERT_PTR_NULL(strstr(text, "6379"));
    free(text);
    top_view_free(v);
}

static void fits(void)
{
    struct top_view *v = whole(NULL);
    for (size_t rows = 9; rows < 14; rows++) {
        size_t lines = 0;
        char *text = drawn(v, (struct top_size){40, rows});
        for (const char *p = text; *p; p++)
            lines += *p == '\n';
        CU_ASSERT_TRUE(lines <= rows);
        free(text);
    }
    top_view_free(v);
}

static void gone(void)
{
    struct top_view *v = whole(NULL);
    // redis is up again: its crashed series says nothing any more.
    points(v, 1, 1, NAN);
    char *text = drawn(v, (struct top_size){0});
    CU_ASSERT_PTR_NULL(strstr(text, "6379"));
    free(text);
    top_view_lost(v, "connecting again");
    text = drawn(v, (struct top_size){0});
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "connecting again\n"));
    free(text);
    top_view_free(v);
}

static void new_table(void)
{
    struct top_view *v = whole(NULL);
    CU_ASSERT_TRUE(json(v, LIVE_SERIES, 1,
        "[{\"id\":7,\"labels\":{\"instance\":\"web-2\",\"service\":\"api\",\"port\":\"1\","
        "\"state\":\"up\"}}]"));
    char *text = drawn(v, (struct top_size){0});
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "api      web-2"));
    CU_ASSERT_PTR_NULL(strstr(text, "redis    "));
    free(text);
    top_view_free(v);
}

static void refuses(void)
{
    struct top_view *v = top_view_new(NULL);
    CU_ASSERT_FALSE(top_view_message(v, (const uint8_t *)"", 0));
    CU_ASSERT_FALSE(json(v, LIVE_STATE, 0, "{\"alerts\":"));
    CU_ASSERT_TRUE(json(v, LIVE_POINTS, 99, "")); // a subscription of nobody
    CU_ASSERT_FALSE(json(v, LIVE_POINTS, 1, "x"));
    CU_ASSERT_TRUE(json(v, LIVE_SERIES, 1, "{}"));
    CU_ASSERT_TRUE(json(v, LIVE_STATE, 0, "[]"));
    char *text = drawn(v, (struct top_size){0});
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "waiting for the collector"));
    free(text);
    top_view_free(v);
}

static void as_json(void)
{
    struct top_view *v = whole(NULL);
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    CU_ASSERT_TRUE(top_view_json(v, f));
    fclose(f);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"connections\":\t20"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"alertname\":\t\"Slow\""));
    free(text);
    top_view_free(v);
}

static void out_of_memory(void)
{
    struct live_head h = {.type = LIVE_SERIES, .sub = 1, .server_ms = 10000};
    struct buf b;
    buf_init(&b, 1u << 20);
    CU_ASSERT_EQUAL(live_encode_json(&h, SERIES, sizeof(SERIES) - 1, &b), 0);
    for (int nth = 1;; nth++) {
        struct top_view *v = whole(NULL);
        oom_fail_at(nth);
        bool taken = top_view_message(v, b.data, b.len);
        bool hit = oom_stop();
        // Taken or not, what is there can be drawn.
        char *text = drawn(v, (struct top_size){0});
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "nginx"));
        free(text);
        top_view_free(v);
        CU_ASSERT_TRUE(hit || taken);
        if (!hit)
            break;
        CU_ASSERT_FALSE(taken);
    }
    buf_done(&b);
}

static const struct test TESTS[] = {
    {"alerts firing first, services worst first", worst_first},
    {"a word leaves only what holds it", filters},
    {"a picture fits the terminal", fits},
    {"a series without a value now is not shown", gone},
    {"a new table replaces the old one", new_table},
    {"what is no live message is refused, an odd one harms nothing", refuses},
    {"the same as JSON", as_json},
    {"a table that finds no memory leaves the old one", out_of_memory},
};
int main(void)
{
    return test_main("top_view", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
