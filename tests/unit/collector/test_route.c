// SPDX-License-Identifier: Apache-2.0
// Routes, matchers and inhibitions, read from configuration as people write it.
#include "collector/config.h"
#include "tests/lib/run.h"
#include <stdio.h>
#include <string.h>

static struct config config;

static void read_config(const char *text)
{
    struct diags d;
    struct buf b;
    diags_init(&d);
    buf_init(&b, 65536);
    int rc = config_parse(text, strlen(text), &config, &d);
    diags_print(&d, "c.yaml", text, strlen(text), &b);
    if (rc < 0)
        printf("%s\n", buf_cstr(&b));
    CU_ASSERT_EQUAL_FATAL(rc, 0);
    buf_done(&b);
    diags_done(&d);
}

// "a=1 b=2" to labels.
static struct labels labels_of(const char *text, struct label *l, char *copy)
{
    size_t n = 0;
    strcpy(copy, text);
    for (char *save = NULL, *word = strtok_r(copy, " ", &save); word;
         word = strtok_r(NULL, " ", &save)) {
        char *eq = strchr(word, '=');
        *eq = '\0';
        l[n++] = (struct label){word, eq + 1};
    }
    return (struct labels){l, n};
}

// Receivers that get an alert, in order.
static const char *receivers(const char *text)
{
    static char out[256];
    struct label l[8];
    char copy[256];
    const struct route *r[16];
    struct labels labels = labels_of(text, l, copy);
    size_t n = route_match(config.route, &labels, r, 16);
    out[0] = '\0';
    for (size_t i = 0; i < n; i++)
        snprintf(
            out + strlen(out), sizeof(out) - strlen(out), "%s%s", i ? " " : "", r[i]->receiver);
    return out;
}

static const char TREE[] =
    "route:\n"
    "  receiver: all\n"
    "  group_by: [alertname]\n"
    "  repeat_interval: 2h\n"
    "  routes:\n"
    "    - receiver: log\n"
    "      continue: true\n"
    "      matchers: ['severity=~\"page|critical\"']\n"
    "    - matchers: [team = web]\n"
    "      receiver: web\n"
    "      group_by: ['...']\n"
    "      routes:\n"
    "        - match: {env: dev}\n"
    "          receiver: nobody\n"
    "        - match_re: {zone: 'eu.*'}\n"
    "    - matchers: ['{team=\"db\", env!=\"dev\"}']\n"
    "      receiver: db\n"
    "      repeat_interval: 1m\n"
    "receivers: [{name: all}, {name: log}, {name: web}, {name: nobody}, {name: db}]\n";

static void the_tree_is_walked_as_alertmanager_does(void)
{
    read_config(TREE);
    CU_ASSERT_STRING_EQUAL(receivers("alertname=x"), "all");
    CU_ASSERT_STRING_EQUAL(receivers("severity=page"), "log");
    CU_ASSERT_STRING_EQUAL(receivers("severity=pager"), "all");
    CU_ASSERT_STRING_EQUAL(receivers("severity=critical team=web"), "log web");
    CU_ASSERT_STRING_EQUAL(receivers("env=dev team=web"), "nobody");
    CU_ASSERT_STRING_EQUAL(receivers("team=web zone=eu-1"), "web");
    CU_ASSERT_STRING_EQUAL(receivers("env=prod team=db"), "db");
    CU_ASSERT_STRING_EQUAL(receivers("team=db"), "db");
    CU_ASSERT_STRING_EQUAL(receivers("env=dev team=db"), "all");
    config_done(&config);
}

static void a_child_has_what_it_does_not_say_from_its_parent(void)
{
    read_config(TREE);
    const struct route *web = &config.route->routes[1], *zone = &web->routes[1];
    CU_ASSERT_TRUE(web->group_by_all);
    CU_ASSERT_TRUE(zone->group_by_all);
    CU_ASSERT_STRING_EQUAL(zone->receiver, "web");
    CU_ASSERT_EQUAL(zone->repeat_interval_ms, 7200000);
    CU_ASSERT_EQUAL(config.route->routes[2].repeat_interval_ms, 60000);
    CU_ASSERT_STRING_EQUAL(config.route->routes[2].group_by[0], "alertname");
    CU_ASSERT_STRING_EQUAL(zone->key, "{}/{team=\"web\"}/{zone=~\"eu.*\"}");
    CU_ASSERT_EQUAL(config.route->number, 0);
    CU_ASSERT_EQUAL(zone->number, 4);
    config_done(&config);
}

static void matchers_are_read_in_every_form(void)
{
    static const struct {
        const char *text, *printed;
    } GOOD[] = {
        {"a=b", "{a=\"b\"}"},
        {" a = \"b c\" ", "{a=\"b c\"}"},
        {"{a=\"x\",b!~\"y.*\",}", "{a=\"x\",b!~\"y.*\"}"},
        {"a=~b.c", "{a=~\"b.c\"}"},
        {"a=\"q\\\"\\\\\\n\"", "{a=\"q\\\"\\\\\\n\"}"},
        {"a=", "{a=\"\"}"},
        {"\"utf 8\"!=\"\"", "{\"utf 8\"!=\"\"}"},
        {"{}", "{}"},
        {"a=1, b=2", "{a=\"1\",b=\"2\"}"},
    };
    for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++) {
        struct arena a;
        struct matcher_list l = {0};
        struct err err = {0};
        struct buf b;
        arena_init(&a, 0);
        buf_init(&b, 4096);
        int rc = matchers_parse(GOOD[i].text, strlen(GOOD[i].text), &a, &l, &err);
        matchers_print(l.m, l.n, &b);
        if (rc != 0 || strcmp(buf_cstr(&b), GOOD[i].printed) != 0)
            printf("%s: %s %s\n", GOOD[i].text, buf_cstr(&b), err.msg);
        CU_ASSERT_EQUAL(rc, 0);
        CU_ASSERT_STRING_EQUAL(buf_cstr(&b), GOOD[i].printed);
        buf_done(&b);
        matcher_list_done(&l);
        arena_done(&a);
    }
}

static void a_mistake_in_a_matcher_has_its_place(void)
{
    static const struct {
        const char *text;
        int col;
    } BAD[] = {{"a", 2}, {"=b", 1}, {"a=\"b", 3}, {"a=b c=d", 5}, {"{a=b", 5}, {"a=~(", 1},
        {"a=b}", 4}, {"a=\"\\x\"", 4}, {"a='b'", 3}};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct arena a;
        struct matcher_list l = {0};
        struct err err = {0};
        arena_init(&a, 0);
        CU_ASSERT(matchers_parse(BAD[i].text, strlen(BAD[i].text), &a, &l, &err) < 0);
        if (err.col != BAD[i].col)
            printf("%s: column %d, %s\n", BAD[i].text, err.col, err.msg);
        CU_ASSERT_EQUAL(err.col, BAD[i].col);
        CU_ASSERT_STRING_NOT_EQUAL(err.msg, "");
        matcher_list_done(&l);
        arena_done(&a);
    }
}

static void change(struct inhibitor *h, uint64_t id, const char *text, bool fires)
{
    struct label l[8];
    char copy[256];
    struct notice n = {.alert_id = id,
        .labels = labels_of(text, l, copy),
        .from = fires ? ALERT_PENDING : ALERT_FIRING,
        .to = fires ? ALERT_FIRING : ALERT_INACTIVE};
    inhibitor_take(h, &n);
}

static bool muted(struct inhibitor *h, const char *text)
{
    struct label l[8];
    char copy[256];
    struct notice n = {.labels = labels_of(text, l, copy)};
    return inhibitor_muted(h, &n);
}

static void a_source_mutes_its_targets(void)
{
    read_config("inhibit_rules:\n"
                "  - source_matchers: [severity=critical]\n"
                "    target_matchers: ['severity=~\"warning|info\"']\n"
                "    equal: [instance, service]\n"
                "  - source_match: {alertname: ClusterDown}\n"
                "    target_match_re: {alertname: '.+'}\n");
    struct inhibitor *h = inhibitor_new(config.inhibit, config.n_inhibit);
    CU_ASSERT_FALSE(muted(h, "instance=a severity=warning"));
    change(h, 1, "instance=a severity=critical", true);
    CU_ASSERT_TRUE(inhibitor_moved(h));
    CU_ASSERT_FALSE(inhibitor_moved(h));
    CU_ASSERT_TRUE(muted(h, "instance=a severity=warning"));
    CU_ASSERT_TRUE(muted(h, "instance=a severity=info"));
    CU_ASSERT_FALSE(muted(h, "instance=b severity=warning"));
    CU_ASSERT_FALSE(
        muted(h, "instance=a service=web severity=warning")); // equal: both or neither
    CU_ASSERT_FALSE(muted(h, "instance=a severity=critical"));
    change(h, 1, "instance=a severity=critical", true); // told twice counts once
    change(h, 2, "instance=a severity=critical x=y", true);
    change(h, 1, "instance=a severity=critical", false);
    CU_ASSERT_TRUE(muted(h, "instance=a severity=warning"));
    change(h, 2, "instance=a severity=critical x=y", false);
    CU_ASSERT_FALSE(muted(h, "instance=a severity=warning"));
    // Both sides: not by itself, nor by others like it.
    change(h, 3, "alertname=ClusterDown", true);
    CU_ASSERT_FALSE(muted(h, "alertname=ClusterDown"));
    CU_ASSERT_TRUE(muted(h, "alertname=Other"));
    inhibitor_free(h);
    config_done(&config);
}

static const struct test TESTS[] = {
    {"the tree is walked as Alertmanager does", the_tree_is_walked_as_alertmanager_does},
    {"a child has what it does not say from its parent",
        a_child_has_what_it_does_not_say_from_its_parent},
    {"matchers are read in every form", matchers_are_read_in_every_form},
    {"a mistake in a matcher has its place", a_mistake_in_a_matcher_has_its_place},
    {"a source mutes its targets while it fires", a_source_mutes_its_targets},
};

int main(void)
{
    return test_main("route", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
