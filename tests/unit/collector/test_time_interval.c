// SPDX-License-Identifier: Apache-2.0
// Time intervals as people write them, at times of which a calendar tells the weekday.
#include "collector/config.h"
#include "tests/lib/run.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

// Reads one spec; NULL or the first mistake.
static const char *read_spec(const char *spec, struct config *c)
{
    static char msg[300];
    char text[1000];
    struct diags d;
    diags_init(&d);
    snprintf(text, sizeof(text),
        "route: {receiver: r, routes: [{mute_time_intervals: [t]}]}\nreceivers: [{name: r}]\n"
        "time_intervals: [{name: t, time_intervals: [%s]}]\n",
        spec);
    int rc = config_parse(text, strlen(text), c, &d);
    snprintf(msg, sizeof(msg), "%s", d.n ? d.items[0].msg : "");
    CU_ASSERT_EQUAL(rc == 0, d.errors == 0);
    diags_done(&d);
    return msg[0] ? msg : NULL;
}

// "2026-11-25 08:30" of UTC.
static int64_t at(const char *text)
{
    struct tm tm = {0};
    CU_ASSERT_PTR_NOT_NULL_FATAL(strptime(text, "%Y-%m-%d %H:%M", &tm));
    return (int64_t)timegm(&tm) * 1000;
}

static void holds_when_alertmanager_says(void)
{
    static const struct {
        const char *spec, *time;
        bool holds;
    } CASES[] = {
        {"{}", "2026-11-25 08:30", true},
        {"{times: [{start_time: '09:00', end_time: '17:00'}]}", "2026-11-25 08:59", false},
        {"{times: [{start_time: '09:00', end_time: '17:00'}]}", "2026-11-25 09:00", true},
        {"{times: [{start_time: '09:00', end_time: '17:00'}]}", "2026-11-25 16:59", true},
        {"{times: [{start_time: '09:00', end_time: '17:00'}]}", "2026-11-25 17:00", false},
        {"{times: [{start_time: '23:00', end_time: '24:00'}]}", "2026-11-25 23:59", true},
        {"{times: []}", "2026-11-25 12:00", false},
        {"{weekdays: ['monday:friday']}", "2026-11-25 12:00", true}, // a Wednesday
        {"{weekdays: ['Monday:FRIDAY']}", "2026-11-28 12:00", false},
        {"{weekdays: [saturday, sunday]}", "2026-11-29 12:00", true},
        {"{weekdays: ['sunday:monday']}", "2026-11-29 12:00", true},
        {"{days_of_month: ['1:5', '-1']}", "2026-11-05 12:00", true},
        {"{days_of_month: ['1:5', '-1']}", "2026-11-06 12:00", false},
        {"{days_of_month: ['1:5', '-1']}", "2026-11-30 12:00", true},
        {"{days_of_month: ['-1']}", "2028-02-29 12:00", true},
        {"{days_of_month: ['-1']}", "2027-02-28 12:00", true},
        {"{days_of_month: ['-3:-1']}", "2026-11-27 12:00", false},
        {"{days_of_month: ['-3:-1']}", "2026-11-28 12:00", true},
        {"{days_of_month: ['30:31']}", "2027-02-28 12:00", false},
        {"{days_of_month: ['20:31']}", "2027-02-28 12:00", true},
        {"{days_of_month: ['5:-5']}", "2026-11-26 12:00", true},
        {"{days_of_month: ['5:-5']}", "2026-11-27 12:00", false},
        {"{months: ['january:march', '11']}", "2026-11-25 12:00", true},
        {"{months: ['1:3', may]}", "2026-11-25 12:00", false},
        {"{years: ['2024:2026']}", "2026-11-25 12:00", true},
        {"{years: [2025]}", "2026-11-25 12:00", false},
        {"{weekdays: [wednesday], times: [{start_time: '01:00', end_time: '02:00'}]}",
            "2026-11-25 08:30", false},
        // 18:00 in Sydney is 07:00 UTC in November, 08:00 in July.
        {"{times: [{start_time: '18:00', end_time: '19:00'}], location: Australia/Sydney}",
            "2026-11-25 07:00", true},
        {"{times: [{start_time: '18:00', end_time: '19:00'}], location: Australia/Sydney}",
            "2026-07-25 07:00", false},
        {"{times: [{start_time: '18:00', end_time: '19:00'}], location: Australia/Sydney}",
            "2026-07-25 08:00", true},
        {"{weekdays: [thursday], location: Australia/Sydney}", "2026-11-25 14:00", true},
        // Two specs: one of them is enough.
        {"{weekdays: [monday]}, {months: [november]}", "2026-11-25 12:00", true},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct config c;
        const char *mistake = read_spec(CASES[i].spec, &c);
        bool ok =
            !mistake && time_interval_holds(c.intervals, at(CASES[i].time)) == CASES[i].holds;
        if (!ok)
            printf("  %s at %s %s\n", CASES[i].spec, CASES[i].time, mistake ? mistake : "");
        CU_ASSERT_TRUE(ok);
        config_done(&c);
    }
}

static void mistakes_are_named(void)
{
    static const struct {
        const char *spec, *want;
    } CASES[] = {
        {"{weekdays: [moonday]}", "`moonday` is not a weekday"},
        {"{weekdays: ['friday:monday']}", "ends before it begins"},
        {"{weekdays: ['monday:tuesday:friday']}", "is not a range"},
        {"{days_of_month: ['0']}", "is not a day of the month"},
        {"{days_of_month: ['32']}", "is not a day of the month"},
        {"{days_of_month: ['-1:5']}", "begins at the end"},
        {"{days_of_month: ['25:-10']}", "ends before it begins"},
        {"{months: ['13']}", "is not a month"},
        {"{years: [next]}", "is not a year"},
        {"{times: [{start_time: '9:00', end_time: '17:00'}]}", "`times` need a `start_time`"},
        {"{times: [{start_time: '09:00', end_time: '24:01'}]}", "`times` need a `end_time`"},
        {"{times: [{start_time: '17:00', end_time: '09:00'}]}", "not before"},
        {"{times: [{start_time: '17:00'}]}", "`times` need a `end_time`"},
        {"{times: ['09:00']}", "a list of maps"},
        {"{location: Mars/Olympus}", "no time zone `Mars/Olympus`"},
        {"{day_of_month: ['1']}", "unknown key `day_of_month`"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct config c;
        const char *got = read_spec(CASES[i].spec, &c);
        bool ok = got && strstr(got, CASES[i].want);
        if (!ok)
            printf("  %s: got `%s`\n", CASES[i].spec, got ? got : "nothing");
        CU_ASSERT_TRUE(ok);
        config_done(&c);
    }
}

static void a_route_is_muted_in_its_mute_times_and_outside_its_active_ones(void)
{
    static const char TEXT[] =
        "route:\n"
        "  receiver: r\n"
        "  routes:\n"
        "    - {matchers: [a=1], active_time_intervals: [day], mute_time_intervals: [noon]}\n"
        "    - {matchers: [b=1]}\n"
        "receivers: [{name: r}]\n"
        "time_intervals: [{name: day, time_intervals: [{times: [{start_time: '08:00', "
        "end_time: '20:00'}]}]}]\n"
        "mute_time_intervals: [{name: noon, time_intervals: [{times: [{start_time: '12:00', "
        "end_time: '13:00'}]}]}]\n";
    struct config c;
    struct diags d;
    diags_init(&d);
    CU_ASSERT_EQUAL_FATAL(config_parse(TEXT, sizeof(TEXT) - 1, &c, &d), 0);
    const struct time_limits *l = &c.route->routes[0].times,
                             *free_of = &c.route->routes[1].times;
    CU_ASSERT_TRUE(time_limits_muted(l, at("2026-11-25 07:59")));
    CU_ASSERT_FALSE(time_limits_muted(l, at("2026-11-25 08:00")));
    CU_ASSERT_TRUE(time_limits_muted(l, at("2026-11-25 12:30")));
    CU_ASSERT_FALSE(time_limits_muted(l, at("2026-11-25 13:00")));
    CU_ASSERT_FALSE(time_limits_muted(free_of, at("2026-11-25 07:59")));
    // The next change is known to the minute.
    CU_ASSERT_EQUAL(time_limits_next(l, at("2026-11-25 07:10") + 1234), at("2026-11-25 08:00"));
    CU_ASSERT_EQUAL(time_limits_next(l, at("2026-11-25 08:00")), at("2026-11-25 12:00"));
    CU_ASSERT_EQUAL(time_limits_next(l, at("2026-11-25 21:00")), at("2026-11-26 08:00"));
    CU_ASSERT_EQUAL(time_limits_next(free_of, at("2026-11-25 07:10")), INT64_MAX);
    diags_done(&d);
    config_done(&c);
}

static const struct test TESTS[] = {
    {"holds when Alertmanager says", holds_when_alertmanager_says},
    {"mistakes are named", mistakes_are_named},
    {"a route is muted in its mute times and outside its active ones",
        a_route_is_muted_in_its_mute_times_and_outside_its_active_ones},
};

int main(void)
{
    return test_main("time intervals", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
