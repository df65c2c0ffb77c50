// SPDX-License-Identifier: Apache-2.0
// Alertmanager's own file, unchanged, beside Debian's amtool: who gets an alert, and what is a mistake.
#include "collector/config.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char FILE_TEXT[] =
    "global:\n"
    "  resolve_timeout: 5m\n"
    "templates: []\n"
    "route:\n"
    "  receiver: everyone\n"
    "  group_by: [alertname, cluster]\n"
    "  group_wait: 10s\n"
    "  group_interval: 2m\n"
    "  repeat_interval: 3h\n"
    "  routes:\n"
    "    - match: {severity: info}\n"
    "      receiver: nobody\n"
    "    - matchers: ['alertname=\"Watchdog\"']\n"
    "      receiver: heartbeat\n"
    "      repeat_interval: 1m\n"
    "    - match_re: {service: 'mysql|postgres.*'}\n"
    "      receiver: dba\n"
    "      group_by: ['...']\n"
    "      routes:\n"
    "        - matchers: [severity=critical]\n"
    "          receiver: dba-pager\n"
    "          continue: true\n"
    "        - matchers: ['env!~\"dev|test\"']\n"
    "          receiver: dba-mail\n"
    "          mute_time_intervals: [weekend, night]\n"
    "    - matchers: [severity=~\"critical|page\", env!=dev]\n"
    "      receiver: pager\n"
    "      continue: true\n"
    "    - matchers: ['team=web']\n"
    "      routes:\n"
    "        - match: {env: dev}\n"
    "          receiver: web-dev\n"
    "          active_time_intervals: [office]\n"
    "          routes:\n"
    "            - matchers: ['service=~\"web|api\"', 'severity!=\"info\"']\n"
    "              continue: true\n"
    "              receiver: web-noise\n"
    "            - match: {service: api}\n"
    "              receiver: web-api\n"
    "        - matchers: ['{service=\"web\"}']\n"
    "          receiver: web\n"
    "    - match: {team: ''}\n"
    "      receiver: orphans\n"
    "inhibit_rules:\n"
    "  - source_matchers: [severity=critical]\n"
    "    target_matchers: [severity=warning]\n"
    "    equal: [alertname, cluster]\n"
    "  - source_match: {alertname: ClusterDown}\n"
    "    target_match_re: {alertname: 'Node.*'}\n"
    "    equal: [cluster]\n"
    "mute_time_intervals:\n"
    "  - name: weekend\n"
    "    time_intervals: [{weekdays: ['saturday', 'sunday']}]\n"
    "time_intervals:\n"
    "  - name: night\n"
    "    time_intervals:\n"
    "      - times: [{start_time: '22:00', end_time: '24:00'}, {start_time: '00:00', end_time: "
    "'06:00'}]\n"
    "        location: Europe/Berlin\n"
    "  - name: office\n"
    "    time_intervals:\n"
    "      - weekdays: ['monday:friday']\n"
    "        times: [{start_time: '09:00', end_time: '17:00'}]\n"
    "        months: ['1:6', 'september:december']\n"
    "        days_of_month: ['1:15', '-10:-2']\n"
    "        years: ['2020:2090']\n"
    "receivers:\n"
    "  - name: everyone\n"
    "    webhook_configs: [{url: 'http://127.0.0.1:9/everyone', send_resolved: false}]\n"
    "  - {name: nobody}\n"
    "  - {name: heartbeat, webhook_configs: [{url: 'http://127.0.0.1:9/h'}]}\n"
    "  - {name: dba}\n  - {name: dba-pager}\n  - {name: dba-mail}\n  - {name: pager}\n"
    "  - {name: web-dev}\n  - {name: web-noise}\n  - {name: web-api}\n  - {name: web}\n"
    "  - {name: orphans}\n";

static void put(const char *name, const char *text, char path[static 300])
{
    snprintf(path, 300, "%s/%s", test_tmpdir(), name);
    FILE *f = fopen(path, "we");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
}

// A configuration that names this Alertmanager file. What config_load says about it in report.
static int load(
    const char *alertmanager, const char *more, struct config *c, struct buf *report)
{
    char am[300], ours[300], text[900];
    struct buf kept;
    put("am.yml", alertmanager, am);
    snprintf(text, sizeof(text), "alertmanager_file: %s\n%s", am, more);
    put("ours.yaml", text, ours);
    buf_init(&kept, 4u << 20);
    int rc = config_load(ours, c, &kept, report);
    buf_done(&kept);
    return rc;
}

static void the_file_is_taken_with_paths_of_its_own(void)
{
    struct config c;
    struct buf report;
    char want[300];
    buf_init(&report, 1u << 20);
    CU_ASSERT_EQUAL_FATAL(load(FILE_TEXT, "", &c, &report), 0);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&report), "");
    CU_ASSERT_EQUAL(c.n_receivers, 12);
    CU_ASSERT_EQUAL(c.n_inhibit, 2);
    CU_ASSERT_EQUAL(c.n_intervals, 3);
    CU_ASSERT_EQUAL(c.route->group_wait_ms, 10000);
    CU_ASSERT_EQUAL(c.route->routes[2].routes[1].times.n_mute, 2);
    config_done(&c);
    CU_ASSERT_EQUAL_FATAL(load("route: {receiver: r}\nreceivers: [{name: r, webhook_configs: "
                               "[{url_file: hook.url}]}]\n",
                              "", &c, &report),
        0);
    snprintf(want, sizeof(want), "%s/hook.url", test_tmpdir());
    CU_ASSERT_STRING_EQUAL(c.receivers[0].integrations[0].url.file, want);
    config_done(&c);
    buf_done(&report);
}

static void mistakes_name_the_file_they_are_in(void)
{
    static const struct {
        const char *file, *more, *want;
    } CASES[] = {
        {"route: {receiver: a}\nreceivers: [{name: b}]", "", "am.yml:1:19"},
        {"route: {receiver: a}\nreceivers: [{name: b}]", "", "there is no receiver `a`"},
        {"route:\n  receiver: a\n  routes: [{mute_time_intervals: [x]}]\nreceivers: [{name: a}]",
            "", "there is no time interval `x`"},
        {"rout: {}", "", "unknown key `rout` in Alertmanager's file"},
        {"[1, 2]", "", "am.yml:1:1"},
        {"templates: [['*.tmpl']]", "", "am.yml:1:13"},
        {"time_intervals: [{name: a}]\nmute_time_intervals: [{name: a}]", "", "is there twice"},
        {"{}", "route: {receiver: a}\n", "ours.yaml:2:1"},
        {"{}", "time_intervals: []\n", "`alertmanager_file` is named too"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct config c;
        struct buf report;
        buf_init(&report, 1u << 20);
        CU_ASSERT_EQUAL(load(CASES[i].file, CASES[i].more, &c, &report), -EINVAL);
        bool ok = strstr(buf_cstr(&report), CASES[i].want) != NULL;
        if (!ok)
            printf("  case %zu: %s\n", i, buf_cstr(&report));
        CU_ASSERT_TRUE(ok);
        config_done(&c);
        buf_done(&report);
    }
    struct config c;
    struct buf text, report;
    char ours[300];
    buf_init(&text, 1 << 20);
    buf_init(&report, 1 << 20);
    put("ours.yaml", "alertmanager_file: /nonexistent/am.yml\n", ours);
    CU_ASSERT_EQUAL(config_load(ours, &c, &text, &report), -ENOENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&report), "/nonexistent/am.yml: No such file"));
    config_done(&c);
    buf_done(&text);
    buf_done(&report);
}

// --- beside amtool -------------------------------------------------------------------------------

// Debian 12's: without it, or with another one, a test says so and tests nothing.
static bool amtool_is_0_25(void)
{
    FILE *f = popen("amtool --version 2>&1", "re");
    char version[200] = "";
    if (f) {
        if (!fgets(version, sizeof(version), f))
            version[0] = '\0';
        pclose(f);
    }
    if (strstr(version, "version 0.25"))
        return true;
    printf("skipped: needs amtool 0.25 (Debian 12's prometheus-alertmanager package)\n");
    return false;
}

static void amtool(const char *command, char *ret, size_t size)
{
    FILE *f = popen(command, "re");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    size_t n = fread(ret, 1, size - 1, f);
    ret[n] = '\0';
    while (n && ret[n - 1] == '\n')
        ret[--n] = '\0';
    pclose(f);
}

static const char *const VALUES[][6] = {
    {"severity", "info", "warning", "critical", "page", NULL},
    {"alertname", "Watchdog", "NodeDown", "Slow", NULL},
    {"service", "mysql", "postgres-14", "web", "api", NULL},
    {"env", "prod", "dev", "test", NULL},
    {"team", "web", "ops", NULL},
};
#define NAMES (sizeof(VALUES) / sizeof(VALUES[0]))

static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void alerts_go_where_amtool_says(void)
{
    if (!amtool_is_0_25())
        return;
    struct config c;
    struct buf report;
    char path[300];
    uint64_t seed = 88172645463325252ULL;
    buf_init(&report, 1u << 20);
    CU_ASSERT_EQUAL_FATAL(load(FILE_TEXT, "", &c, &report), 0);
    snprintf(path, sizeof(path), "%s/am.yml", test_tmpdir());
    int wrong = 0;
    for (int i = 0; i < 300; i++) {
        struct label l[NAMES];
        size_t n = 0;
        char command[1000], theirs[500], ours[500] = "";
        int len = snprintf(
            command, sizeof(command), "amtool config routes test --config.file %s", path);
        for (size_t k = 0; k < NAMES; k++) {
            size_t values = 0;
            while (VALUES[k][values + 1])
                values++;
            size_t pick = next(&seed) % (values + 1); // one is: without it
            if (pick == values)
                continue;
            l[n++] = (struct label){VALUES[k][0], VALUES[k][pick + 1]};
            len += snprintf(command + len, sizeof(command) - (size_t)len, " %s=%s",
                VALUES[k][0], VALUES[k][pick + 1]);
        }
        snprintf(command + len, sizeof(command) - (size_t)len, " 2>/dev/null");
        amtool(command, theirs, sizeof(theirs));
        const struct route *taken[32];
        size_t routes = route_match(c.route, &(struct labels){l, n}, taken, 32);
        for (size_t k = 0; k < routes; k++)
            snprintf(ours + strlen(ours), sizeof(ours) - strlen(ours), "%s%s", k ? "," : "",
                taken[k]->receiver);
        if (strcmp(ours, theirs) != 0 && wrong++ < 5)
            printf("  %s: `%s`, we `%s`\n", command, theirs, ours);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    config_done(&c);
    buf_done(&report);
}

// What is a time interval and what is none: our verdict and amtool's. But for month 0, which 0.25 takes.
static void time_intervals_are_refused_as_amtool_does(void)
{
    static const char *const SPECS[] = {"{}", "{times: []}", "{times: [{start_time: '09:00'}]}",
        "{times: [{start_time: '09:00', end_time: '09:00'}]}",
        "{times: [{start_time: '9:00', end_time: '10:00'}]}",
        "{times: [{start_time: '23:59', end_time: '24:00'}]}",
        "{times: [{start_time: '24:00', end_time: '24:00'}]}",
        "{times: [{start_time: '08:60', end_time: '24:00'}]}", "{weekdays: [monday]}",
        "{weekdays: ['Monday:Sunday']}", "{weekdays: ['sunday:saturday']}",
        "{weekdays: ['saturday:sunday']}", "{weekdays: [mon]}", "{weekdays: ['1:3']}",
        "{weekdays: ['monday:']}", "{weekdays: [':monday']}", "{weekdays: ['']}",
        "{weekdays: ['monday : friday']}", "{days_of_month: [1]}", "{days_of_month: ['1:31']}",
        "{days_of_month: ['-31:31']}", "{days_of_month: ['-5:-1']}",
        "{days_of_month: ['-1:-5']}", "{days_of_month: ['1:-1']}", "{days_of_month: ['20:-9']}",
        "{days_of_month: ['20:-8']}", "{days_of_month: ['18:-10']}",
        "{days_of_month: ['19:-10']}", "{days_of_month: ['0:3']}", "{days_of_month: ['3:2']}",
        "{days_of_month: ['x']}", "{months: ['1:12']}", "{months: [January, 'march:5']}",
        "{months: ['5:march']}", "{months: [jan]}", "{years: [2024]}", "{years: ['2024:2020']}",
        "{years: ['-1:2']}", "{years: [20x4]}", "{location: Europe/Berlin}",
        "{location: Nowhere}", "{location: UTC}", "{location: Local}", "{location: ''}",
        "{zone: UTC}"};
    if (!amtool_is_0_25())
        return;
    for (size_t i = 0; i < sizeof(SPECS) / sizeof(SPECS[0]); i++) {
        char text[600], command[400], theirs[2000], path[300];
        struct config c;
        struct buf report;
        buf_init(&report, 1u << 20);
        snprintf(text, sizeof(text),
            "route: {receiver: r}\nreceivers: [{name: r}]\n"
            "time_intervals: [{name: t, time_intervals: [%s]}]\n",
            SPECS[i]);
        bool ours = load(text, "", &c, &report) == 0;
        snprintf(path, sizeof(path), "%s/am.yml", test_tmpdir());
        snprintf(command, sizeof(command), "amtool check-config %s 2>&1", path);
        amtool(command, theirs, sizeof(theirs));
        if (ours != (strstr(theirs, "SUCCESS") != NULL))
            printf("  %s: %s\n  amtool: %s\n", SPECS[i], buf_cstr(&report), theirs);
        CU_ASSERT_EQUAL(ours, strstr(theirs, "SUCCESS") != NULL);
        config_done(&c);
        buf_done(&report);
    }
}

static const struct test TESTS[] = {
    {"the file is taken, with paths of its own", the_file_is_taken_with_paths_of_its_own},
    {"mistakes name the file they are in", mistakes_name_the_file_they_are_in},
    {"alerts go where amtool says", alerts_go_where_amtool_says},
    {"time intervals are refused as amtool does", time_intervals_are_refused_as_amtool_does},
};

int main(void)
{
    return test_main("alertmanager", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
