// SPDX-License-Identifier: Apache-2.0
#include "collector/config.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <string.h>

#define HEAD "route: {receiver: r}\nreceivers:\n  - name: r\n    repair_configs: "

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
        parse(HEAD "[{action: restart-nginx}, {action: x, instance_label: host, "
                   "parameters: [service, port], max_per_hour: 2, retry: 5s, give_up_after: 4, "
                   "expires: 1m}]\n",
            &c, &d),
        0);
    CU_ASSERT_EQUAL_FATAL(c.receivers[0].n, 2);
    const struct repair_terms *a = &c.receivers[0].integrations[0].repair;
    CU_ASSERT_STRING_EQUAL(a->action, "restart-nginx");
    CU_ASSERT_STRING_EQUAL(a->instance_label, "instance");
    CU_ASSERT_EQUAL(a->n_parameters, 0);
    CU_ASSERT_TRUE(a->max_per_hour == 6 && a->give_up_after == 3);
    CU_ASSERT_TRUE(a->retry_ms == 30000 && a->expires_ms == 30000);
    const struct repair_terms *b = &c.receivers[0].integrations[1].repair;
    CU_ASSERT_STRING_EQUAL(b->instance_label, "host");
    CU_ASSERT_EQUAL_FATAL(b->n_parameters, 2);
    CU_ASSERT_STRING_EQUAL(b->parameters[0], "port"); // sorted, as the wire wants them
    CU_ASSERT_STRING_EQUAL(b->parameters[1], "service");
    CU_ASSERT_TRUE(b->max_per_hour == 2 && b->give_up_after == 4);
    CU_ASSERT_TRUE(b->retry_ms == 5000 && b->expires_ms == 60000);
    CU_ASSERT_EQUAL(c.receivers[0].integrations[1].number, 1);
    CU_ASSERT_FALSE(c.receivers[0].integrations[0].send_resolved);
    config_done(&c);
    diags_done(&d);
}

static void every_mistake_is_named(void)
{
    static const struct {
        const char *text, *says;
    } CASES[] = {
        {HEAD "[{}]\n", "repair_configs need `action`"},
        {HEAD "[{action: 'rm -rf /'}]\n", "is not an action's name"},
        {HEAD "[{action: ../x}]\n", "is not an action's name"},
        {HEAD "[{action: x, parameters: service}]\n", "`parameters` is a list"},
        {HEAD "[{action: x, parameters: [a, a]}]\n", "`a` is there twice"},
        {HEAD "[{action: x, parameters: [a-b]}]\n", "is not a label's name"},
        {HEAD "[{action: x, parameters: [a, b, c, d, e, f, g, h, i]}]\n", "at most 8"},
        {HEAD "[{action: x, instance_label: 'a b'}]\n", "is not a label's name"},
        {HEAD "[{action: x, retry: 1}]\n", "retry"},
        {HEAD "[{action: x, expires: 2h}]\n", "expires"},
        {HEAD "[{action: x, max_per_hour: 0}]\n", "max_per_hour"},
        {HEAD "[{action: x, give_up_after: 0}]\n", "give_up_after"},
        {HEAD "[{action: x, send_resolved: true}]\n", "unknown key `send_resolved`"},
        {HEAD "[{action: x, url: 'http://127.0.0.1/'}]\n", "unknown key `url`"},
        {HEAD "[{action: x, parameter: [a]}]\n", "unknown key `parameter`"},
        {HEAD "[{action: x, command: [/bin/sh]}]\n", "unknown key `command`"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct config c;
        struct diags d;
        CU_ASSERT_EQUAL(parse(CASES[i].text, &c, &d), -EINVAL);
        bool said = false;
        for (size_t k = 0; k < d.n; k++)
            said |= strstr(d.items[k].msg, CASES[i].says) && d.items[k].line > 0;
        if (!said) {
            printf("%s -> %s\n", CASES[i].text, d.n ? d.items[0].msg : "nothing");
            CU_FAIL("another mistake");
        }
        config_done(&c);
        diags_done(&d);
    }
}

static const struct test TESTS[] = {
    {"repair_configs are read, with their defaults", reads_what_is_written},
    {"every mistake in repair_configs is named, in its place", every_mistake_is_named},
};
int main(void)
{
    return test_main("config_repair", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
