// SPDX-License-Identifier: Apache-2.0
#include "agent/config.h"
#include "agent/repair_list.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <string.h>

static const char FULL[] =
    "repairs:\n"
    "  - name: restart\n"
    "    command: [/bin/ctl, restart, '{service}.service', '--at={port}', '{', '{}']\n"
    "    timeout: 5s\n"
    "    max_per_hour: 3\n"
    "    user: root\n"
    "    env: {LANG: C}\n"
    "    parameters: {service: '[a-z0-9-]+', port: '[0-9]{1,5}|none'}\n"
    "  - {name: clean, command: [/bin/clean]}\n";

static int parse(const char *text, struct agent_config **c, struct buf *problems)
{
    buf_reset(problems);
    return config_parse(text, strlen(text), "agent.yaml", c, problems);
}

static void reads_and_prints(void)
{
    struct agent_config *c = NULL, *again = NULL;
    struct buf problems, one, two;
    buf_init(&problems, 65536);
    buf_init(&one, 65536);
    buf_init(&two, 65536);
    CU_ASSERT_EQUAL_FATAL(parse(FULL, &c, &problems), 0);
    CU_ASSERT_EQUAL_FATAL(c->n_repairs, 2);
    const struct repair_action *a = &c->repairs[0];
    CU_ASSERT_STRING_EQUAL(a->name, "restart");
    CU_ASSERT_EQUAL(a->n_argv, 6);
    CU_ASSERT_EQUAL(a->timeout_ms, 5000);
    CU_ASSERT_EQUAL(a->max_per_hour, 3);
    CU_ASSERT_EQUAL(a->user.uid, 0);
    CU_ASSERT_EQUAL(a->n_parameters, 2);
    CU_ASSERT_STRING_EQUAL(a->env[0].value, "C");
    CU_ASSERT_EQUAL(c->repairs[1].timeout_ms, REPAIR_TIMEOUT_MS);
    CU_ASSERT_EQUAL(c->repairs[1].max_per_hour, REPAIR_PER_HOUR);
    CU_ASSERT_EQUAL(config_print(c, &one), 0);
    CU_ASSERT_EQUAL_FATAL(parse(buf_cstr(&one), &again, &problems), 0);
    CU_ASSERT_EQUAL(config_print(again, &two), 0);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&one), buf_cstr(&two));
    config_free(c);
    config_free(again);
    buf_done(&problems);
    buf_done(&one);
    buf_done(&two);
}

static void every_mistake_is_named(void)
{
    static const struct {
        const char *text, *says;
    } CASES[] = {
        {"repairs: 1\n", "repairs are a list"},
        {"repairs: [1]\n", "a repair is a map"},
        {"repairs: [{command: [/bin/x]}]\n", "a repair has a `name`"},
        {"repairs: [{name: x}]\n", "a repair has a `command`"},
        {"repairs: [{name: 'a b', command: [/bin/x]}]\n", "an action's name"},
        {"repairs: [{name: x, command: /bin/x}]\n", "there is no shell"},
        {"repairs: [{name: x, command: [x]}]\n", "not an absolute path"},
        {"repairs: [{name: x, command: [/bin/x, '{y}']}]\n", "`{y}` in the command"},
        {"repairs: [{name: x, command: ['/bin/{y}'], parameters: {y: a}}]\n",
            "what is run does not depend"},
        {"repairs: [{name: x, command: [/bin/x], parameters: {y: '('}}]\n",
            "not a POSIX extended regular expression"},
        {"repairs: [{name: x, command: [/bin/x], parameters: {y: 'a)(b'}}]\n",
            "not a POSIX extended regular expression"},
        {"repairs: [{name: x, command: [/bin/x], parameters: {'y-z': a}}]\n",
            "not a label's name"},
        {"repairs: [{name: x, command: [/bin/x], env: {'A B': a}}]\n", "not a variable's name"},
        {"repairs: [{name: x, command: [/bin/x], user: no-such-user-here}]\n",
            "there is no user"},
        {"repairs: [{name: x, command: [/bin/x], timeout: 11m}]\n", "is not between"},
        {"repairs: [{name: x, command: [/bin/x], max_per_hour: 61}]\n", "max_per_hour is"},
        {"repairs: [{name: x, command: [/bin/x], comand: 1}]\n", "unknown key `comand`"},
        {"repairs: [{name: x, command: [/bin/x]}, {name: x, command: [/bin/y]}]\n",
            "is there already"},
    };
    struct buf problems;
    buf_init(&problems, 65536);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct agent_config *c = NULL;
        CU_ASSERT_EQUAL(parse(CASES[i].text, &c, &problems), -EINVAL);
        if (!strstr(buf_cstr(&problems), CASES[i].says)) {
            printf("%s -> %s\n", CASES[i].text, buf_cstr(&problems));
            CU_FAIL("another problem");
        }
        config_free(c);
    }
    buf_done(&problems);
}

static void values_match_as_a_whole(void)
{
    CU_ASSERT_TRUE(repair_value_ok("[a-z]+", "nginx"));
    CU_ASSERT_FALSE(repair_value_ok("[a-z]+", "nginx;reboot"));
    CU_ASSERT_FALSE(repair_value_ok("[a-z]+", "nginx\nreboot"));
    CU_ASSERT_FALSE(repair_value_ok(".*", "a\nb")); // no control character, whatever matches
    CU_ASSERT_FALSE(repair_value_ok(".*", "-rf"));  // would be an option
    CU_ASSERT_FALSE(repair_value_ok(".*", ""));
    CU_ASSERT_TRUE(repair_value_ok("a|b", "b"));
    CU_ASSERT_FALSE(repair_value_ok("a|b", "ab"));
    CU_ASSERT_FALSE(repair_value_ok("a|b", "axb"));
}

// A request for FULL's first action with these parameters; NULL ends them.
static const struct repair_action *ask(const struct agent_config *c, const char *action,
    struct wire_label *l, size_t n, enum repair_outcome *o, char *reason)
{
    struct wire_repair r = {.id = "x", .action = action, .parameters = l, .n_parameters = n};
    return repair_find(c->repairs, c->n_repairs, &r, o, reason);
}

static void only_what_is_listed_is_found(void)
{
    struct agent_config *c = NULL;
    struct buf problems;
    char reason[REPAIR_REASON_MAX] = "";
    enum repair_outcome o = 0;
    buf_init(&problems, 65536);
    CU_ASSERT_EQUAL_FATAL(parse(FULL, &c, &problems), 0);
    struct wire_label l[] = {{"port", "80"}, {"service", "nginx"}, {"x", "y"}};
    CU_ASSERT_PTR_EQUAL(ask(c, "restart", l, 2, &o, reason), &c->repairs[0]);
    CU_ASSERT_PTR_NULL(ask(c, "reboot", l, 2, &o, reason));
    CU_ASSERT_EQUAL(o, REPAIR_NOT_LISTED);
    CU_ASSERT_PTR_NULL(ask(c, "restart", l, 1, &o, reason));
    CU_ASSERT_EQUAL(o, REPAIR_BAD_PARAMETER);
    CU_ASSERT_STRING_EQUAL(reason, "parameter service is missing");
    CU_ASSERT_PTR_NULL(ask(c, "restart", l, 3, &o, reason));
    CU_ASSERT_STRING_EQUAL(reason, "the action has no parameter x");
    l[1].value = "../nginx";
    CU_ASSERT_PTR_NULL(ask(c, "restart", l, 2, &o, reason));
    CU_ASSERT_STRING_EQUAL(reason, "the value of parameter service is not allowed");
    CU_ASSERT_PTR_EQUAL(ask(c, "clean", NULL, 0, &o, reason), &c->repairs[1]);
    CU_ASSERT_PTR_NULL(ask(c, "clean", l, 1, &o, reason));
    CU_ASSERT_EQUAL(o, REPAIR_BAD_PARAMETER);
    config_free(c);
    buf_done(&problems);
}

static void fills_arguments_and_environment(void)
{
    struct agent_config *c = NULL;
    struct buf problems;
    struct arena a;
    char **argv = NULL, **env = NULL;
    struct wire_label l[] = {{"port", "80"}, {"service", "{port} $(x) `y`"}};
    struct wire_repair r = {.id = "x", .action = "restart", .parameters = l, .n_parameters = 2};
    buf_init(&problems, 65536);
    arena_init(&a, 65536);
    CU_ASSERT_EQUAL_FATAL(parse(FULL, &c, &problems), 0);
    CU_ASSERT_EQUAL_FATAL(repair_arguments(&c->repairs[0], &r, &a, &argv), 0);
    CU_ASSERT_STRING_EQUAL(argv[0], "/bin/ctl");
    CU_ASSERT_STRING_EQUAL(argv[1], "restart");
    CU_ASSERT_STRING_EQUAL(argv[2], "{port} $(x) `y`.service"); // a value is never looked into
    CU_ASSERT_STRING_EQUAL(argv[3], "--at=80");
    CU_ASSERT_STRING_EQUAL(argv[4], "{");
    CU_ASSERT_STRING_EQUAL(argv[5], "{}");
    CU_ASSERT_PTR_NULL(argv[6]);
    CU_ASSERT_EQUAL_FATAL(repair_environment(&c->repairs[0], &r, &a, &env), 0);
    CU_ASSERT_EQUAL(strncmp(env[0], "PATH=", 5), 0);
    CU_ASSERT_STRING_EQUAL(env[1], "TOCSIN_ACTION=restart");
    CU_ASSERT_STRING_EQUAL(env[2], "TOCSIN_PARAMETER_port=80");
    CU_ASSERT_STRING_EQUAL(env[3], "TOCSIN_PARAMETER_service={port} $(x) `y`");
    CU_ASSERT_STRING_EQUAL(env[4], "LANG=C");
    CU_ASSERT_PTR_NULL(env[5]);
    arena_done(&a);
    config_free(c);
    buf_done(&problems);
}

static void survives_failing_allocation(void)
{
    for (int nth = 1;; nth++) {
        struct agent_config *c = NULL;
        struct buf problems;
        buf_init(&problems, 65536);
        oom_fail_at(nth);
        int rc = parse(FULL, &c, &problems);
        bool hit = oom_stop();
        config_free(c);
        buf_done(&problems);
        if (!hit) {
            CU_ASSERT_EQUAL(rc, 0);
            break;
        }
        CU_ASSERT_TRUE(rc < 0);
    }
}

static const struct test TESTS[] = {
    {"repairs are read, and printed so that they load again", reads_and_prints},
    {"every mistake in repairs is named", every_mistake_is_named},
    {"a value has to match the whole pattern", values_match_as_a_whole},
    {"only what is listed is found, with all its parameters", only_what_is_listed_is_found},
    {"values fill arguments and environment and are never looked into",
        fills_arguments_and_environment},
    {"reading repairs survives a failing allocation", survives_failing_allocation},
};
int main(void)
{
    return test_main("repair_list", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
