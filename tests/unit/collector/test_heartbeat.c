// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"
#include "collector/config.h"
#include "collector/heartbeat.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <cjson/cJSON.h>
#include <errno.h>
#include <string.h>

static struct heartbeat_state well(int64_t now_ms)
{
    return (struct heartbeat_state){
        .journal_ok = true, .shard = {.seen_ms = now_ms - 900, .rules = 3, .evaluated_ms = 1}};
}

static enum heartbeat_step due(struct heartbeat *h, int64_t now_ms)
{
    struct heartbeat_state s = well(now_ms);
    return heartbeat_due(h, now_ms, &s);
}

static void goes_at_once_then_in_step(void)
{
    struct heartbeat h = {.every_ms = 30000};
    CU_ASSERT_EQUAL(due(&h, 50000), HEARTBEAT_SEND);
    CU_ASSERT_EQUAL(heartbeat_next(&h, 50000), INT64_MAX);
    CU_ASSERT_EQUAL(due(&h, 90000), HEARTBEAT_WAIT); // the first has not landed
    heartbeat_done(&h, 50200, true);
    CU_ASSERT_EQUAL(heartbeat_next(&h, 50200), 80000);
    CU_ASSERT_EQUAL(due(&h, 79999), HEARTBEAT_WAIT);
    CU_ASSERT_EQUAL(
        due(&h, 80900), HEARTBEAT_SEND); // late by a bit: the next is not later for it
    heartbeat_done(&h, 81000, true);
    CU_ASSERT_EQUAL(heartbeat_next(&h, 81000), 110000);
    CU_ASSERT_EQUAL(
        due(&h, 500000), HEARTBEAT_SEND); // what was slept through is not made up for
    heartbeat_done(&h, 500100, true);
    CU_ASSERT_EQUAL(heartbeat_next(&h, 500100), 530000);
}

static void each_trouble_holds_it(void)
{
    int64_t now = 100000;
    struct heartbeat_state s = well(now);
    CU_ASSERT_PTR_NULL(heartbeat_trouble(&s, now));
    s.shard.seen_ms = 0;
    CU_ASSERT_STRING_EQUAL(heartbeat_trouble(&s, now), "the rules have not begun yet");
    s.shard.seen_ms = now - HEARTBEAT_STALE_MS;
    CU_ASSERT_PTR_NULL(heartbeat_trouble(&s, now));
    s.shard.seen_ms--;
    CU_ASSERT_STRING_EQUAL(heartbeat_trouble(&s, now), "the thread of the rules hangs");
    s = well(now);
    s.shard.late_ms = HEARTBEAT_STALE_MS + 1;
    CU_ASSERT_STRING_EQUAL(heartbeat_trouble(&s, now), "evaluation of rules is late");
    s = well(now);
    s.shard.evaluated_ms = 0;
    CU_ASSERT_STRING_EQUAL(heartbeat_trouble(&s, now), "no rule has been evaluated yet");
    s.shard.rules = 0;
    CU_ASSERT_PTR_NULL(heartbeat_trouble(&s, now)); // there is none to evaluate
    s = well(now);
    s.journal_ok = false;
    CU_ASSERT_STRING_EQUAL(
        heartbeat_trouble(&s, now), "the journal of alerts cannot be written");
}

static void held_while_the_shard_hangs_and_sent_when_it_is_back(void)
{
    struct heartbeat h = {.every_ms = 30000};
    struct heartbeat_state s = well(1000);
    CU_ASSERT_EQUAL(heartbeat_due(&h, 1000, &s), HEARTBEAT_SEND);
    heartbeat_done(&h, 1000, true);
    CU_ASSERT_EQUAL(heartbeat_due(&h, 31000, &s), HEARTBEAT_HELD); // s is as it was
    CU_ASSERT_STRING_EQUAL(h.trouble, "the thread of the rules hangs");
    for (int64_t t = 31000; t < 200000; t = heartbeat_next(&h, t)) {
        CU_ASSERT_EQUAL(heartbeat_due(&h, t, &s), HEARTBEAT_HELD);
        CU_ASSERT_EQUAL(heartbeat_next(&h, t), t + HEARTBEAT_LOOK_MS);
    }
    CU_ASSERT_EQUAL(due(&h, 200000), HEARTBEAT_SEND);
    CU_ASSERT_PTR_NULL(h.trouble);
    heartbeat_done(&h, 200000, true);
    CU_ASSERT_EQUAL(heartbeat_next(&h, 200000), 230000);
}

static void a_failed_one_is_tried_again_ever_later(void)
{
    static const int64_t AT[] = {1000, 2000, 4000, 8000, 11000, 21000, 31000, 41000};
    struct heartbeat h = {.every_ms = 10000};
    int64_t now = 1000;
    for (size_t i = 0; i < sizeof(AT) / sizeof(AT[0]); i++) {
        CU_ASSERT_EQUAL_FATAL(now, AT[i]);
        CU_ASSERT_EQUAL(due(&h, now), HEARTBEAT_SEND);
        heartbeat_done(&h, now, false);
        now = heartbeat_next(&h, now);
    }
    CU_ASSERT_EQUAL(due(&h, now), HEARTBEAT_SEND); // 51000
    heartbeat_done(&h, now, true);
    CU_ASSERT_EQUAL(heartbeat_next(&h, now), 61000);
    CU_ASSERT_EQUAL(due(&h, 61000), HEARTBEAT_SEND);
    heartbeat_done(&h, 61000, false);
    CU_ASSERT_EQUAL(heartbeat_next(&h, 61000), 62000); // it began anew
}

// --- the document --------------------------------------------------------------------------------

static const struct heartbeat_facts FACTS = {.name = "a \"b\"",
    .version = "1",
    .instance = "host",
    .external_url = "http://h",
    .wall_ms = 1700000000500,
    .started_ms = 1700000000000,
    .transitions = 7,
    .queued = 2,
    .journal = "ok",
    .sent = 3,
    .failed = 1};
static const struct vitals_view SHARD = {.evaluated_ms = 1700000000000,
    .samples = 9,
    .rules = 4,
    .unhealthy = 1,
    .firing = 2,
    .pending = 1,
    .up = 5,
    .expected = 6};

static void the_document_is_stable(void)
{
    static const char WANT[] =
        "{\"type\":\"tocsin.heartbeat\",\"name\":\"a \\\"b\\\"\",\"ok\":true,\"version\":\"1\","
        "\"instance\":\"host\",\"external_url\":\"http://h\","
        "\"timestamp\":\"2023-11-14T22:13:20.500Z\",\"started\":\"2023-11-14T22:13:20.000Z\","
        "\"uptime_ms\":500,\"samples\":9,\"rules\":{\"total\":4,\"unhealthy\":1},"
        "\"evaluated_ago_ms\":500,\"transitions\":7,"
        "\"alerts\":{\"firing\":2,\"pending\":1,\"queued\":2},\"journal\":\"ok\","
        "\"agents\":{\"up\":5,\"expected\":6},\"heartbeats\":{\"sent\":3,\"failed\":1}}";
    struct buf b;
    buf_init(&b, HEARTBEAT_BODY_MAX);
    CU_ASSERT_EQUAL_FATAL(heartbeat_body(&FACTS, &SHARD, &b), 0);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&b), WANT);
    cJSON *doc = cJSON_Parse(buf_cstr(&b));
    CU_ASSERT_PTR_NOT_NULL(doc);
    cJSON_Delete(doc);
    buf_done(&b);
}

static void the_document_without_memory_is_an_error(void)
{
    for (int nth = 1;; nth++) {
        struct buf b;
        buf_init(&b, HEARTBEAT_BODY_MAX);
        oom_fail_at(nth);
        int rc = heartbeat_body(&FACTS, &SHARD, &b);
        bool hit = oom_stop();
        buf_done(&b);
        if (!hit) {
            CU_ASSERT_EQUAL(rc, 0);
            break;
        }
        CU_ASSERT_EQUAL(rc, -ENOMEM);
    }
}

// --- the configuration ---------------------------------------------------------------------------

static int parse(const char *text, struct config *c, struct diags *d)
{
    diags_init(d);
    return config_parse(text, strlen(text), c, d);
}

static void reads_what_is_written(void)
{
    struct config c;
    struct diags d;
    CU_ASSERT_EQUAL_FATAL(
        parse(
            "heartbeats:\n"
            "  - {name: a, url: 'https://h/x'}\n"
            "  - {name: b, url_file: /u, every: 1h, method: GET, insecure: true}\n"
            "  - {name: c, url: 'http://127.0.0.1:1/', every: 10s, method: POST, secret_file: /s,"
            " http_config: {basic_auth: {username: u, password_file: /p}}}\n"
            "alertmanager_file: /etc/alertmanager.yml\n",
            &c, &d),
        0);
    CU_ASSERT_EQUAL_FATAL(c.n_heartbeats, 3);
    const struct config_heartbeat *h = c.heartbeats;
    CU_ASSERT_STRING_EQUAL(h[0].name, "a");
    CU_ASSERT_STRING_EQUAL(h[0].to.url.text, "https://h/x");
    CU_ASSERT_TRUE(h[0].every_ms == 30000 && !h[0].to.get && !h[0].to.secret_file);
    CU_ASSERT_STRING_EQUAL(h[1].to.url.file, "/u");
    CU_ASSERT_TRUE(h[1].every_ms == 3600000 && h[1].to.get && h[1].to.insecure);
    CU_ASSERT_STRING_EQUAL(h[2].to.secret_file, "/s");
    CU_ASSERT_STRING_EQUAL(h[2].to.http.user, "u");
    CU_ASSERT_TRUE(h[2].every_ms == 10000 && !h[2].to.get);
    config_done(&c);
    diags_done(&d);
}

static void every_mistake_is_named(void)
{
    static const struct {
        const char *text, *says;
    } CASES[] = {
        {"heartbeats: {}\n", "a list of at most 16"},
        {"heartbeats: [x]\n", "a heartbeat is a map"},
        {"heartbeats: [{url: 'https://h/'}]\n", "needs a `name`"},
        {"heartbeats: [{name: a}]\n", "needs `url` or `url_file`"},
        {"heartbeats: [{name: a, url: 'https://h/', url_file: /u}]\n", "not both"},
        {"heartbeats: [{name: a, url: 'ftp://h/'}]\n", "is not an http URL"},
        {"heartbeats: [{name: a, url: 'http://h.example.net/'}]\n", "https is needed"},
        {"heartbeats: [{name: a, url: 'https://h/', every: 9s}]\n", "`every` is 10s to 1h"},
        {"heartbeats: [{name: a, url: 'https://h/', every: 2h}]\n", "`every` is 10s to 1h"},
        {"heartbeats: [{name: a, url: 'https://h/', every: soon}]\n", "is not a duration"},
        {"heartbeats: [{name: a, url: 'https://h/', method: PUT}]\n", "POST or GET"},
        {"heartbeats: [{name: a, url: 'https://h/', method: GET, secret_file: /s}]\n",
            "no body to sign"},
        {"heartbeats: [{name: a, url: 'https://h/', evry: 1m}]\n", "unknown key `evry`"},
        {"heartbeats: [{name: a, url: 'https://h/'}, {name: a, url: 'https://g/'}]\n",
            "is there twice"},
        {"heartbeat: []\n", "unknown key `heartbeat`"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct config c;
        struct diags d;
        bool said = false;
        CU_ASSERT_EQUAL(parse(CASES[i].text, &c, &d), -EINVAL);
        for (size_t k = 0; k < d.n; k++)
            said |= strstr(d.items[k].msg, CASES[i].says) && d.items[k].line > 0;
        if (!said)
            printf("not said: %s for %s", CASES[i].says, CASES[i].text);
        CU_ASSERT_TRUE(said);
        config_done(&c);
        diags_done(&d);
    }
}

static const struct test TESTS[] = {
    {"it goes at once, and then in step", goes_at_once_then_in_step},
    {"each thing that stops alerts holds it", each_trouble_holds_it},
    {"it is held while the shard hangs, and goes at once when that is back",
        held_while_the_shard_hangs_and_sent_when_it_is_back},
    {"a failed one is tried again ever later, at most an interval",
        a_failed_one_is_tried_again_ever_later},
    {"the document stays as it is", the_document_is_stable},
    {"the document without memory is an error", the_document_without_memory_is_an_error},
    {"the configuration: what is written is read", reads_what_is_written},
    {"the configuration: every mistake is named", every_mistake_is_named},
};

int main(void)
{
    return test_main("heartbeat", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
