// SPDX-License-Identifier: Apache-2.0
#include "agent/agentid.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *dir(const char *name)
{
    static char path[512];
    snprintf(path, sizeof(path), "%s/%s/deep", test_tmpdir(), name);
    return path;
}

static void keeps_its_id_and_counts_sessions(void)
{
    struct agentid a, b;
    struct err err;
    CU_ASSERT_EQUAL_FATAL(agentid_open(dir("keep"), "/proc", &a, &err), 0);
    CU_ASSERT_TRUE(a.kept);
    CU_ASSERT_EQUAL(a.epoch, 1);
    agentid_close(&a);
    CU_ASSERT_EQUAL_FATAL(agentid_open(dir("keep"), "/proc", &b, &err), 0);
    CU_ASSERT_EQUAL(b.epoch, 2);
    CU_ASSERT_EQUAL(memcmp(a.id, b.id, 16), 0);
    CU_ASSERT_NOT_EQUAL(a.nonce, b.nonce);
    agentid_close(&b);
}

static void two_agents_do_not_share_a_directory(void)
{
    struct agentid a, b;
    struct err err;
    CU_ASSERT_EQUAL_FATAL(agentid_open(dir("lock"), "/proc", &a, &err), 0);
    CU_ASSERT_EQUAL(agentid_open(dir("lock"), "/proc", &b, &err), -EBUSY);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, "another agent"));
    agentid_close(&a);
}

static void a_damaged_file_is_set_aside(void)
{
    static const char *const BAD[] = {"", "tocsin-agent 1 zz 4\n",
        "tocsin-agent 1 00112233445566778899aabbccddeeff\n",
        "tocsin-agent 1 00112233445566778899aabbccddeeff 4 5\n",
        "tocsin-agent 2 00112233445566778899aabbccddeeff 4\n"};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct agentid a;
        struct err err;
        char path[600];
        CU_ASSERT_EQUAL_FATAL(agentid_open(dir("bad"), "/proc", &a, &err), 0);
        agentid_close(&a);
        snprintf(path, sizeof(path), "%s/identity", dir("bad"));
        FILE *f = fopen(path, "w");
        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        fputs(BAD[i], f);
        fclose(f);
        struct agentid b;
        CU_ASSERT_EQUAL_FATAL(agentid_open(dir("bad"), "/proc", &b, &err), 0);
        CU_ASSERT_TRUE(b.kept);
        CU_ASSERT_EQUAL(b.epoch, 1);
        CU_ASSERT_NOT_EQUAL(memcmp(a.id, b.id, 16), 0);
        agentid_close(&b);
    }
}

static void goes_on_where_nothing_can_be_written(void)
{
    struct agentid a;
    struct err err;
    CU_ASSERT_EQUAL_FATAL(agentid_open("/proc/no/such", "/proc", &a, &err), 0);
    CU_ASSERT_FALSE(a.kept);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, "/proc/no/such"));
    agentid_close(&a);
}

static void a_look_changes_nothing(void)
{
    struct agentid a, b;
    struct err err;
    CU_ASSERT_EQUAL(agentid_peek(dir("peek"), &b, &err), -ENOENT);
    CU_ASSERT_EQUAL_FATAL(agentid_open(dir("peek"), "/proc", &a, &err), 0);
    for (int i = 0; i < 2; i++) { // beside the agent that runs
        CU_ASSERT_EQUAL(agentid_peek(dir("peek"), &b, &err), 0);
        CU_ASSERT_EQUAL(b.epoch, 1);
        CU_ASSERT_EQUAL(memcmp(a.id, b.id, 16), 0);
    }
    agentid_close(&a);
}

int main(void)
{
    static const struct test TESTS[] = {
        {"keeps its id and counts sessions", keeps_its_id_and_counts_sessions},
        {"two agents do not share a directory", two_agents_do_not_share_a_directory},
        {"a damaged file is set aside", a_damaged_file_is_set_aside},
        {"a look changes nothing", a_look_changes_nothing},
        {"goes on where nothing can be written", goes_on_where_nothing_can_be_written},
    };
    return test_main("agentid", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
