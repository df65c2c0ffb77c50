// SPDX-License-Identifier: Apache-2.0
// `rules explain` with real files: plans, what is computed anew, memory and delay.
#define VERB "explain"
#include "tests/unit/cli/verb_run.h"
#include <cjson/cJSON.h>

#define SEES(text) CU_ASSERT_PTR_NOT_NULL(strstr(out, text))

static const char FILE_TEXT[] =
    "groups:\n- name: web\n  interval: 15s\n  query_offset: 30s\n  rules:\n"
    "  - record: job:errors:rate5m\n"
    "    expr: sum by (job) (rate(http_requests_total{code=~\"5..\",path!~\"/x.*\"}[5m]))\n"
    "  - alert: Errors\n    for: 20s\n"
    "    expr: job:errors:rate5m / on (job) group_left sum by (job) (rate(all[5m])) > 0.05\n"
    "  - alert: Slow\n"
    "    expr: histogram_quantile(0.9, sum by (le) (rate(b_bucket[1m]))) > 1\n"
    "- name: own\n  rules:\n"
    "  - alert: Sub\n    expr: max_over_time(rate(x[1m])[10m:30s]) > 5 or sum_over_time((y @ 100)[5m:]) > 1\n"
    "  - alert: Odd\n    expr: '{a=\"1\",b=~\"(p|q)[0-9]+x?\",c!=\"\"} > 1'\n";
static const char OVERRIDES[] =
    "overrides:\n- rule: own/Odd\n"
    "  set: {evaluate: arrival, for: 5s, flap: {window: 10m, max: 6},\n"
    "    depends_on: [tocsin/AgentDown, {alerts: 'B{x!=\"\"}', equal: []}]}\n";

static void shows_plan_memory_and_delay(void)
{
    write_file("r.yaml", FILE_TEXT);
    CU_ASSERT_EQUAL(RUN(path_of("r.yaml")), CLI_YES);
    SEES("web/job:errors:rate5m  record, every 15s\n");
    SEES("  plan       aggregate sum by (job) (rate(http_requests_total{code=~\"5..\"");
    SEES(", reaches back 5m)\n");
    SEES("  evaluated  incrementally");
    SEES(" for 1,000 series of each of 2 selectors\n");
    // 20 s on a grid of 15 s is 30 s.
    SEES("  delay      1m to 1m16s: sampling up to 1s, evaluation up to 15s, for 30s, "
         "query_offset 30s; 250ms more when an agent is late\n");
    CU_ASSERT_PTR_NULL(strstr(out, "not known"));
}

static void names_what_is_computed_anew(void)
{
    write_file("r.yaml", FILE_TEXT);
    CU_ASSERT_EQUAL(RUN("--rule", "own/Sub", path_of("r.yaml")), CLI_YES);
    SEES("  evaluated  in part anew");
    SEES("sum_over_time((y @ 100.000)[5m:]): `@` nails its subquery");
    SEES("subquery  max_over_time(rate(x[1m])[10m:30s])");
    CU_ASSERT_PTR_NULL(strstr(out, "[10m:30s]): "));
    CU_ASSERT_PTR_NULL(strstr(out, "own/Odd"));
}

static void overrides_change_the_clock(void)
{
    write_file("r.yaml", FILE_TEXT);
    write_file("o.yaml", OVERRIDES);
    CU_ASSERT_EQUAL(
        RUN("--rule=own/Odd", "--sampling=5s", path_of("o.yaml"), path_of("r.yaml")), CLI_YES);
    SEES("own/Odd  alert, on arrival and every 1s\n");
    SEES("twice: on either clock");
    SEES("  delay      5s to 10s100ms: sampling up to 5s, distance of evaluations up to 100ms, "
         "for 5s; an event does not wait");
    SEES("  told       not while tocsin/AgentDown fires with the same instance\n"
         "             not while B{x!=\"\"} fires\n"
         "             once that it flaps when it begins more than 6 times in 10m\n");
}

static void json_is_whole(void)
{
    write_file("r.yaml", FILE_TEXT);
    CU_ASSERT_EQUAL(RUN("--json", path_of("r.yaml")), CLI_YES);
    cJSON *doc = cJSON_Parse(out);
    const cJSON *rules = cJSON_GetObjectItemCaseSensitive(doc, "rules");
    CU_ASSERT_EQUAL(cJSON_GetArraySize(rules), 5);
    int lines = 0;
    const cJSON *r;
    cJSON_ArrayForEach(r, rules)
    {
        const cJSON *bytes = cJSON_GetObjectItemCaseSensitive(r, "bytesPer1000Series");
        CU_ASSERT_TRUE(cJSON_IsNumber(bytes) && bytes->valuedouble > 10000);
        lines += cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(r, "plan"));
    }
    CU_ASSERT_TRUE(lines > 12);
    cJSON_Delete(doc);
}

static void mistakes_are_shown(void)
{
    write_file("bad.yaml", "groups:\n- name: g\n  rules:\n  - record: a\n    expr: rate(x)\n");
    CU_ASSERT_EQUAL(RUN(path_of("bad.yaml")), CLI_NO);
    SEES("error[T103]");
    SEES("bad.yaml:5:");
    CU_ASSERT_EQUAL(RUN(path_of("none.yaml")), CLI_NO);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, "none.yaml: No such file"));
    write_file("r.yaml", FILE_TEXT);
    CU_ASSERT_EQUAL(RUN("--rule", "web/Nope", path_of("r.yaml")), CLI_NO);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, "no rule is called web/Nope"));
    CU_ASSERT_EQUAL(RUN("--sampling", "soon", path_of("r.yaml")), CLI_USAGE);
}

static const struct test TESTS[] = {
    {"shows plan, memory and delay", shows_plan_memory_and_delay},
    {"names what is computed anew and why", names_what_is_computed_anew},
    {"overrides change the clock", overrides_change_the_clock},
    {"JSON is whole", json_is_whole},
    {"mistakes are shown at their place", mistakes_are_shown},
};

int main(void)
{
    int failed = test_main("rules_explain", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
    free(out);
    return failed;
}
