// SPDX-License-Identifier: Apache-2.0
// What a live subscription is sent, on a clock turned by hand.
#include "collector/live.h"
#include "collector/request.h"
#include "tests/unit/collector/stage.h"
#include "wire/live.h"
#include <cjson/cJSON.h>
#include <stdio.h>

#define SENT_MAX 20000

struct audience {
    struct stage stage;
    struct board *board;
    struct api_context api;
    struct live_subs *live;
    struct live_out *sent[SENT_MAX];
    size_t n, read;
    size_t room; // how many messages the ring still takes
};

static bool on_emit(void *ctx, struct live_out *m)
{
    struct audience *a = ctx;
    if (!a->room || a->n == SENT_MAX) {
        live_out_free(m);
        return false;
    }
    a->room--;
    a->sent[a->n++] = m;
    return true;
}

static void on_notice(void *ctx, const struct notice *n)
{
    struct audience *a = ctx;
    live_subs_notice(a->live, n);
}

static void begin(struct audience *a, const char *rules)
{
    memset(a, 0, sizeof(*a));
    a->room = SIZE_MAX;
    a->board = board_new();
    a->api = (struct api_context){.version = "1", .external_url = "", .board = a->board};
    a->live = live_subs_new(&a->api);
    CU_ASSERT_PTR_NOT_NULL_FATAL(a->live);
    stage_init(&a->stage, rules);
    a->stage.noticed = on_notice;
    a->stage.ctx = a;
}

static void end(struct audience *a)
{
    live_subs_free(a->live);
    for (size_t i = 0; i < a->n; i++)
        live_out_free(a->sent[i]);
    stage_done(&a->stage);
    board_free(a->board);
}

static void tell(struct audience *a, struct request r)
{
    live_subs_request(a->live, a->stage.p, &r, a->stage.now_ms, on_emit, a);
}

static void subscribe(struct audience *a, uint64_t client, uint16_t sub, const char *text,
    int64_t window_ms, int64_t step_ms, int64_t since_ms)
{
    char expr[256];
    snprintf(expr, sizeof(expr), "%s", text);
    tell(a, (struct request){.kind = REQUEST_SUBSCRIBE,
                .client = client,
                .sub = sub,
                .expr = expr,
                .window_ms = window_ms,
                .step_ms = step_ms,
                .since_ms = since_ms});
}

// Time passes as the shard lets it: due rules, then the live page, at each moment either asks for.
static void run_to(struct audience *a, int64_t to_ms)
{
    for (;;) {
        int64_t rules = pipeline_next(a->stage.p), live = live_subs_next(a->live);
        int64_t next = rules < live ? rules : live;
        if (next > to_ms)
            break;
        if (next > a->stage.now_ms)
            a->stage.now_ms = next;
        stage_run(&a->stage, a->stage.now_ms);
        live_subs_tick(a->live, a->stage.p, a->stage.now_ms, on_emit, a);
        if (live_subs_next(a->live) <= a->stage.now_ms)
            a->stage.now_ms++;
    }
    a->stage.now_ms = to_ms;
}

static void tick(struct audience *a, double load)
{
    struct batch_sample one = {.id = 1, .kind = SAMPLE_VALUE, .value = load};
    stage_frame(&a->stage, &one, 1);
    live_subs_tick(a->live, a->stage.p, a->stage.now_ms, on_emit, a);
    run_to(a, a->stage.now_ms + 1000);
}

// The next message for this client and subscription; false when there is none.
struct got {
    struct live_head h;
    char json[4096];
    struct live_points p;
    struct buf store;
};

static bool next(struct audience *a, uint64_t client, uint16_t sub, struct got *g)
{
    const uint8_t *payload;
    size_t len;
    while (
        a->read < a->n && (a->sent[a->read]->client != client || a->sent[a->read]->sub != sub))
        a->read++;
    if (a->read == a->n)
        return false;
    const struct live_out *m = a->sent[a->read++];
    CU_ASSERT_EQUAL(
        live_decode_head(m->message.data, m->message.len, &g->h, &payload, &len), 0);
    CU_ASSERT_EQUAL(g->h.type, m->type);
    CU_ASSERT_EQUAL(g->h.sub, sub);
    if (g->h.type == LIVE_POINTS) {
        CU_ASSERT_EQUAL(live_decode_points(payload, len, &g->store, &g->p), 0);
        return true;
    }
    snprintf(g->json, sizeof(g->json), "%.*s", (int)len, (const char *)payload);
    return true;
}

static void got_init(struct got *g)
{
    memset(g, 0, sizeof(*g));
    buf_init(&g->store, 1u << 24);
}

// The next message is a table of this many series, the only one named in `id` if it is one.
static void expect_table(struct audience *a, uint64_t client, uint16_t sub, int n, uint32_t *id)
{
    struct got g;
    got_init(&g);
    bool came = next(a, client, sub, &g);
    CU_ASSERT_TRUE(came);
    CU_ASSERT_EQUAL(g.h.type, LIVE_SERIES);
    cJSON *json = cJSON_Parse(g.json);
    CU_ASSERT_EQUAL(cJSON_GetArraySize(json), n);
    if (n && id)
        *id = (uint32_t)cJSON_GetObjectItem(cJSON_GetArrayItem(json, 0), "id")->valuedouble;
    cJSON_Delete(json);
    buf_done(&g.store);
}

// The next message is points of one column: from first_ms by step_ms, with these values.
static void expect_points(struct audience *a, uint64_t client, uint16_t sub, bool snapshot,
    int64_t first_ms, int64_t step_ms, const double *v, size_t n)
{
    struct got g;
    got_init(&g);
    bool came = next(a, client, sub, &g);
    CU_ASSERT_TRUE(came);
    CU_ASSERT_EQUAL(g.h.type, LIVE_POINTS);
    CU_ASSERT_EQUAL(g.h.flags & LIVE_FLAG_SNAPSHOT, snapshot ? LIVE_FLAG_SNAPSHOT : 0);
    CU_ASSERT_EQUAL(g.p.rows, n);
    CU_ASSERT_EQUAL(g.p.columns, 1);
    if (g.h.type == LIVE_POINTS && g.p.rows == n && g.p.columns == 1)
        for (size_t i = 0; i < n; i++) {
            CU_ASSERT_EQUAL(g.p.t_ms[i], (double)(first_ms + (int64_t)i * step_ms));
            CU_ASSERT_TRUE(g.p.v[i] == v[i] || (isnan(g.p.v[i]) && isnan(v[i])));
        }
    buf_done(&g.store);
}

static void expect_error(struct audience *a, uint64_t client, uint16_t sub, const char *says)
{
    struct got g;
    got_init(&g);
    CU_ASSERT_TRUE(next(a, client, sub, &g));
    CU_ASSERT_EQUAL(g.h.type, LIVE_ERROR);
    CU_ASSERT_PTR_NOT_NULL(strstr(g.json, says));
    buf_done(&g.store);
}

static void expect_nothing(struct audience *a, uint64_t client, uint16_t sub)
{
    struct got g;
    got_init(&g);
    CU_ASSERT_FALSE(next(a, client, sub, &g));
    buf_done(&g.store);
}

static void a_subscription_starts_with_its_table_and_the_points_of_its_window(void)
{
    struct audience a;
    begin(&a, NULL);
    for (int i = 0; i < 5; i++)
        tick(&a, i);
    uint32_t id = 0;
    subscribe(&a, 1, 7, "load", 4000, 1000, 0);
    expect_table(&a, 1, 7, 1, &id);
    // It is T0 + 5 s; the sample of that second has not come: the newest row holds the one before.
    expect_points(&a, 1, 7, true, T0 + 1000, 1000, (double[]){1, 2, 3, 4}, 4);
    expect_nothing(&a, 1, 7);
    CU_ASSERT_EQUAL(live_subs_count(a.live), 1);
    end(&a);
}

static void the_table_names_series_by_their_labels(void)
{
    struct audience a;
    struct got g;
    begin(&a, NULL);
    tick(&a, 1);
    got_init(&g);
    subscribe(&a, 1, 7, "load", 4000, 1000, 0);
    CU_ASSERT_TRUE(next(&a, 1, 7, &g));
    char want[256];
    uint32_t id = 0;
    sscanf(g.json, "[{\"id\":%u", &id);
    snprintf(want, sizeof(want),
        "[{\"id\":%u,\"labels\":{\"__name__\":\"load\",\"instance\":\"h1\",\"job\":\"node\"}}]",
        id);
    CU_ASSERT_STRING_EQUAL(g.json, want);
    buf_done(&g.store);
    // The same labels have the same id in another collector.
    struct audience b;
    uint32_t again = 0;
    begin(&b, NULL);
    for (int i = 0; i < 3; i++)
        tick(&b, 1);
    subscribe(&b, 9, 1, "load", 4000, 1000, 0);
    expect_table(&b, 9, 1, 1, &again);
    CU_ASSERT_EQUAL(id, again);
    end(&a);
    end(&b);
}

static void one_row_follows_each_step_at_its_grid_time(void)
{
    struct audience a;
    begin(&a, NULL);
    for (int i = 0; i < 3; i++)
        tick(&a, i);
    subscribe(&a, 1, 7, "load", 2000, 1000, 0);
    expect_table(&a, 1, 7, 1, NULL);
    expect_points(&a, 1, 7, true, T0 + 1000, 1000, (double[]){1, 2}, 2);
    for (int i = 3; i < 6; i++) {
        tick(&a, i * 10);
        expect_points(&a, 1, 7, false, T0 + i * 1000, 1000, (double[]){i * 10}, 1);
        expect_nothing(&a, 1, 7);
    }
    end(&a);
}

static void a_coarser_step_gets_fewer_rows(void)
{
    struct audience a;
    begin(&a, NULL);
    for (int i = 0; i < 3; i++)
        tick(&a, i);
    subscribe(&a, 1, 7, "load", 4000, 2000, 0);
    expect_table(&a, 1, 7, 1, NULL);
    expect_points(&a, 1, 7, true, T0, 2000, (double[]){0, 2}, 2);
    for (int i = 3; i < 9; i++)
        tick(&a, i);
    expect_points(&a, 1, 7, false, T0 + 4000, 1000, (double[]){4}, 1);
    expect_points(&a, 1, 7, false, T0 + 6000, 1000, (double[]){6}, 1);
    expect_points(&a, 1, 7, false, T0 + 8000, 1000, (double[]){8}, 1);
    expect_nothing(&a, 1, 7);
    end(&a);
}

static void the_gap_after_a_reconnect_is_filled_from_the_windows(void)
{
    struct audience a;
    begin(&a, NULL);
    for (int i = 0; i < 10; i++)
        tick(&a, i);
    subscribe(&a, 1, 7, "load", 60000, 1000, T0 + 6000);
    expect_table(&a, 1, 7, 1, NULL);
    expect_points(&a, 1, 7, false, T0 + 7000, 1000, (double[]){7, 8, 9}, 3);
    // Nothing is missing: only the table comes, then the next row.
    subscribe(&a, 2, 7, "load", 60000, 1000, T0 + 9000);
    expect_table(&a, 2, 7, 1, NULL);
    expect_nothing(&a, 2, 7);
    tick(&a, 10);
    a.read = 0;
    expect_table(&a, 2, 7, 1, NULL);
    expect_points(&a, 2, 7, false, T0 + 10000, 1000, (double[]){10}, 1);
    // Longer ago than the window: everything is sent anew.
    subscribe(&a, 3, 7, "load", 3000, 1000, T0 + 2000);
    expect_table(&a, 3, 7, 1, NULL);
    expect_points(&a, 3, 7, true, T0 + 8000, 1000, (double[]){8, 9, 10}, 3);
    end(&a);
}

static void a_gap_is_not_a_number(void)
{
    struct audience a;
    begin(&a, NULL);
    tick(&a, 5);
    tick(&a, 1);
    tick(&a, 6);
    subscribe(&a, 1, 7, "load > 4", 3000, 1000, 0);
    expect_table(&a, 1, 7, 1, NULL);
    expect_points(&a, 1, 7, true, T0, 1000, (double[]){5, NAN, 6}, 3);
    end(&a);
}

static void a_new_series_comes_with_a_new_table(void)
{
    struct audience a;
    begin(&a, NULL);
    tick(&a, 1);
    subscribe(&a, 1, 7, "{__name__=~\"load|odd\"}", 1000, 1000, 0);
    expect_table(&a, 1, 7, 1, NULL);
    expect_points(&a, 1, 7, true, T0, 1000, (double[]){1}, 1);
    struct batch_sample two[] = {{.id = 1, .kind = SAMPLE_VALUE, .value = 2},
        {.id = 2, .kind = SAMPLE_VALUE, .value = 3}};
    stage_frame(&a.stage, two, 2);
    run_to(&a, T0 + 2000);
    expect_table(&a, 1, 7, 2, NULL);
    struct got g;
    got_init(&g);
    CU_ASSERT_TRUE(next(&a, 1, 7, &g));
    CU_ASSERT_EQUAL(g.p.columns, 2);
    buf_done(&g.store);
    end(&a);
}

static const char RULES[] = "groups:\n"
                            "  - name: g\n"
                            "    interval: 1s\n"
                            "    rules:\n"
                            "      - {alert: Busy, expr: 'load > 5'}\n";
static const char OVERRIDES[] = "overrides:\n"
                                "  - {rule: g/Busy, set: {evaluate: arrival}}\n";

static void an_alert_brings_its_row_at_once(void)
{
    struct audience a;
    begin(&a, NULL);
    struct ruleset *set = ruleset_new();
    struct diags d;
    diags_init(&d);
    ruleset_add(set, "r", RULES, sizeof(RULES) - 1, &d);
    ruleset_override(set, "o", OVERRIDES, sizeof(OVERRIDES) - 1, &d);
    CU_ASSERT_EQUAL_FATAL(d.errors, 0);
    diags_done(&d);
    CU_ASSERT_EQUAL_FATAL(pipeline_load(a.stage.p, set), 0);
    for (int i = 0; i < 3; i++)
        tick(&a, 1);
    subscribe(&a, 1, 7, "load", 2000, 1000, T0 + 1000);
    expect_table(&a, 1, 7, 1, NULL);
    expect_points(&a, 1, 7, false, T0 + 2000, 1000, (double[]){1}, 1);
    run_to(&a, T0 + 3437);
    expect_points(&a, 1, 7, false, T0 + 3000, 1000, (double[]){1}, 1);
    // An event between two grid times.
    struct batch_sample one = {.id = 1, .kind = SAMPLE_VALUE, .value = 9};
    struct batch_group g = {.stamp_ms = a.stage.now_ms, .samples = &one, .n = 1};
    struct frame f = {.agent_id = {1}, .epoch = 1, .nonce = 1, .host = "h1", .version = "1"};
    f.batch = (struct batch){
        .seq = ++a.stage.seq, .wall_ms = a.stage.now_ms, .groups = &g, .n_groups = 1};
    pipeline_frame(a.stage.p, &f, a.stage.now_ms, stage_mono(&a.stage));
    pipeline_advance(a.stage.p, a.stage.now_ms, stage_mono(&a.stage), stage_notice, &a.stage);
    CU_ASSERT_EQUAL(a.stage.notices, 1);
    size_t before = a.n;
    live_subs_tick(a.live, a.stage.p, a.stage.now_ms, on_emit, &a);
    // The state first, so that the alert is known when its chart shows the cause.
    CU_ASSERT_TRUE_FATAL(a.n > before);
    CU_ASSERT_EQUAL(a.sent[before]->type, LIVE_STATE);
    CU_ASSERT_EQUAL(a.sent[before]->client, 0);
    expect_points(&a, 1, 7, false, T0 + 3437, 1000, (double[]){9}, 1);
    expect_nothing(&a, 1, 7);
    end(&a);
}

static void a_client_gets_the_state_first_and_its_changes(void)
{
    struct audience a;
    struct got g;
    begin(&a, RULES);
    got_init(&g);
    tick(&a, 1);
    CU_ASSERT_EQUAL(live_subs_next(a.live), INT64_MAX); // nobody watches
    tell(&a, (struct request){.kind = REQUEST_SUBSCRIBE, .client = 4});
    CU_ASSERT_TRUE(next(&a, 4, 0, &g));
    CU_ASSERT_EQUAL(g.h.type, LIVE_STATE);
    cJSON *json = cJSON_Parse(g.json);
    CU_ASSERT_EQUAL(cJSON_GetArraySize(cJSON_GetObjectItem(json, "alerts")), 0);
    CU_ASSERT_EQUAL(cJSON_GetArraySize(cJSON_GetObjectItem(json, "agents")), 1);
    CU_ASSERT_STRING_EQUAL(cJSON_GetStringValue(cJSON_GetObjectItem(json, "banner")), "");
    cJSON_Delete(json);
    CU_ASSERT_EQUAL(live_subs_count(a.live), 0);
    tell(&a, (struct request){.kind = REQUEST_SUBSCRIBE, .client = 4});
    expect_nothing(&a, 4, 0); // once only
    a.read = 0;
    board_banner(a.board, "rules not loaded");
    tick(&a, 9);
    bool shown = false;
    while (next(&a, 0, 0, &g)) {
        json = cJSON_Parse(g.json);
        const cJSON *alert = cJSON_GetArrayItem(cJSON_GetObjectItem(json, "alerts"), 0);
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(alert, "alertname"));
        const char *banner = cJSON_GetStringValue(cJSON_GetObjectItem(json, "banner"));
        shown |= name && strcmp(name, "Busy") == 0 && strcmp(banner, "rules not loaded") == 0;
        cJSON_Delete(json);
    }
    CU_ASSERT_TRUE(shown);
    buf_done(&g.store);
    end(&a);
}

static void the_state_goes_out_at_most_four_times_a_second(void)
{
    struct audience a;
    begin(&a, NULL);
    tick(&a, 1);
    tell(&a, (struct request){.kind = REQUEST_SUBSCRIBE, .client = 4});
    size_t before = a.n;
    for (int i = 0; i < 200; i++) {
        char text[32];
        snprintf(text, sizeof(text), "change %d", i);
        board_banner(a.board, text);
        run_to(&a, a.stage.now_ms + 10);
    }
    CU_ASSERT_TRUE(a.n - before >= 7 && a.n - before <= 9); // 2 s
    end(&a);
}

static void an_unsubscription_ends_the_rows(void)
{
    struct audience a;
    begin(&a, NULL);
    tick(&a, 1);
    subscribe(&a, 1, 7, "load", 1000, 1000, 0);
    subscribe(&a, 1, 8, "load", 1000, 1000, 0);
    tell(&a, (struct request){.kind = REQUEST_UNSUBSCRIBE, .client = 1, .sub = 7});
    CU_ASSERT_EQUAL(live_subs_count(a.live), 1);
    tick(&a, 2);
    size_t from = a.n;
    a.read = 0;
    expect_table(&a, 1, 7, 1, NULL);
    expect_points(&a, 1, 7, true, T0, 1000, (double[]){1}, 1);
    expect_nothing(&a, 1, 7);
    a.read = 0;
    expect_table(&a, 1, 8, 1, NULL);
    expect_points(&a, 1, 8, true, T0, 1000, (double[]){1}, 1);
    expect_points(&a, 1, 8, false, T0 + 1000, 1000, (double[]){2}, 1);
    // An id nobody has.
    tell(&a, (struct request){.kind = REQUEST_UNSUBSCRIBE, .client = 1, .sub = 99});
    tell(&a, (struct request){.kind = REQUEST_CLIENT_GONE, .client = 1});
    CU_ASSERT_EQUAL(live_subs_count(a.live), 0);
    CU_ASSERT_EQUAL(live_subs_next(a.live), INT64_MAX);
    tick(&a, 3);
    CU_ASSERT_EQUAL(a.n, from);
    end(&a);
}

static void a_bad_expression_is_an_error_with_its_place(void)
{
    struct audience a;
    begin(&a, NULL);
    subscribe(&a, 1, 7, "sum(load", 1000, 1000, 0);
    expect_error(&a, 1, 7, "\"line\":1,\"col\":");
    subscribe(&a, 1, 8, "load[1m]", 1000, 1000, 0);
    expect_error(&a, 1, 8, "a live chart needs an instant vector or a scalar");
    subscribe(&a, 1, 9, "\"text\"", 1000, 1000, 0);
    expect_error(&a, 1, 9, "a live chart needs an instant vector or a scalar");
    CU_ASSERT_EQUAL(live_subs_count(a.live), 0);
    // A scalar is a chart of one line.
    subscribe(&a, 1, 10, "42", 1000, 1000, 0);
    expect_table(&a, 1, 10, 1, NULL);
    end(&a);
}

static void subscriptions_are_limited_per_client_and_in_all(void)
{
    struct audience a;
    begin(&a, NULL);
    for (uint16_t id = 1; id <= LIVE_CLIENT_SUBS_MAX + 1; id++)
        subscribe(&a, 1, id, "load", 1000, 1000, T0);
    expect_error(&a, 1, LIVE_CLIENT_SUBS_MAX + 1, "too many subscriptions");
    CU_ASSERT_EQUAL(live_subs_count(a.live), LIVE_CLIENT_SUBS_MAX);
    // An id again replaces what it was.
    subscribe(&a, 1, 1, "odd", 1000, 1000, T0);
    CU_ASSERT_EQUAL(live_subs_count(a.live), LIVE_CLIENT_SUBS_MAX);
    uint64_t client = 2;
    while (live_subs_count(a.live) < LIVE_SUBS_MAX) {
        for (uint16_t id = 1; id <= LIVE_CLIENT_SUBS_MAX; id++)
            subscribe(&a, client, id, "load", 1000, 1000, T0);
        client++;
    }
    subscribe(&a, client, 1, "load", 1000, 1000, T0);
    CU_ASSERT_EQUAL(live_subs_count(a.live), LIVE_SUBS_MAX);
    CU_ASSERT_EQUAL(a.sent[a.n - 1]->type, LIVE_ERROR);
    CU_ASSERT_EQUAL(a.sent[a.n - 1]->client, client);
    end(&a);
}

static void many_rows_are_made_coarser_than_asked(void)
{
    struct audience a;
    struct got g;
    begin(&a, NULL);
    got_init(&g);
    tick(&a, 1);
    subscribe(&a, 1, 7, "42", 24 * 3600000LL, 200, 0);
    CU_ASSERT_TRUE(next(&a, 1, 7, &g));
    CU_ASSERT_TRUE(next(&a, 1, 7, &g));
    CU_ASSERT_EQUAL(g.h.type, LIVE_POINTS);
    CU_ASSERT_EQUAL(g.p.rows, LIVE_STEPS_MAX);
    CU_ASSERT_EQUAL(g.p.t_ms[1] - g.p.t_ms[0], 24000);
    buf_done(&g.store);
    end(&a);
}

static void what_the_ring_did_not_take_comes_later(void)
{
    struct audience a;
    begin(&a, NULL);
    for (int i = 0; i < 2; i++)
        tick(&a, i);
    subscribe(&a, 1, 7, "load", 60000, 1000, T0);
    expect_table(&a, 1, 7, 1, NULL);
    expect_points(&a, 1, 7, false, T0 + 1000, 1000, (double[]){1}, 1);
    a.room = 0;
    for (int i = 2; i < 5; i++)
        tick(&a, i);
    expect_nothing(&a, 1, 7);
    a.room = SIZE_MAX;
    tick(&a, 5);
    // The three rows it missed, and nothing twice.
    expect_points(&a, 1, 7, false, T0 + 2000, 1000, (double[]){2, 3, 4}, 3);
    expect_points(&a, 1, 7, false, T0 + 5000, 1000, (double[]){5}, 1);
    expect_nothing(&a, 1, 7);
    end(&a);
}

static void numbers_rise_by_one_and_start_anew_with_each_life(void)
{
    struct audience a;
    struct got g;
    begin(&a, NULL);
    got_init(&g);
    tick(&a, 1);
    subscribe(&a, 1, 7, "load", 2000, 1000, 0);
    tick(&a, 2);
    tick(&a, 3);
    for (uint32_t seq = 1; seq <= 4; seq++) {
        CU_ASSERT_TRUE(next(&a, 1, 7, &g));
        CU_ASSERT_EQUAL(g.h.seq, seq);
    }
    CU_ASSERT_FALSE(next(&a, 1, 7, &g));
    // viewer.c tells the two lives of a subscription apart by this.
    subscribe(&a, 1, 7, "load", 2000, 1000, T0);
    CU_ASSERT_TRUE(next(&a, 1, 7, &g));
    CU_ASSERT_EQUAL(g.h.seq, 1);
    buf_done(&g.store);
    end(&a);
}

static const struct test TESTS[] = {
    {"a subscription starts with its table and the points of its window",
        a_subscription_starts_with_its_table_and_the_points_of_its_window},
    {"the table names series by their labels", the_table_names_series_by_their_labels},
    {"one row follows each step at its grid time", one_row_follows_each_step_at_its_grid_time},
    {"a coarser step gets fewer rows", a_coarser_step_gets_fewer_rows},
    {"the gap after a reconnect is filled from the windows",
        the_gap_after_a_reconnect_is_filled_from_the_windows},
    {"a gap is not a number", a_gap_is_not_a_number},
    {"a new series comes with a new table", a_new_series_comes_with_a_new_table},
    {"an alert brings its row at once", an_alert_brings_its_row_at_once},
    {"a client gets the state first and its changes",
        a_client_gets_the_state_first_and_its_changes},
    {"the state goes out at most four times a second",
        the_state_goes_out_at_most_four_times_a_second},
    {"an unsubscription ends the rows", an_unsubscription_ends_the_rows},
    {"a bad expression is an error with its place",
        a_bad_expression_is_an_error_with_its_place},
    {"subscriptions are limited per client and in all",
        subscriptions_are_limited_per_client_and_in_all},
    {"many rows are made coarser than asked", many_rows_are_made_coarser_than_asked},
    {"what the ring did not take comes later", what_the_ring_did_not_take_comes_later},
    {"numbers rise by one and start anew with each life",
        numbers_rise_by_one_and_start_anew_with_each_life},
};

int main(void)
{
    return test_main("live", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
