// SPDX-License-Identifier: Apache-2.0
#include "agent/procevents.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <string.h>

// A connector message as the kernel writes it: id 1.1, then the event.
static size_t message(uint8_t *b, uint32_t what, uint32_t pid, uint32_t tgid, uint32_t status)
{
    const uint32_t head[] = {1, 1, 0, 0};
    const uint16_t len = 40;
    const uint32_t event[] = {what, 0, 0, 0, pid, tgid, status, 17, 7, 8};

    memset(b, 0, 60);
    memcpy(b, head, sizeof(head));
    memcpy(b + 16, &len, sizeof(len));
    memcpy(b + 20, event, sizeof(event));
    return 60;
}

static void deaths(void)
{
    uint8_t b[64];
    struct service_exit e;
    int error = -1;

    size_t n = message(b, 0x80000000u, 100, 100, 9);
    CU_ASSERT_EQUAL(procevents_parse(b, n, &e, &error), 1);
    CU_ASSERT_TRUE(e.pid == 100 && e.parent == 8 && e.signal == 9 && !e.core && e.code == 0);
    n = message(b, 0x80000000u, 101, 100, 0x80 | 11);
    CU_ASSERT_EQUAL(procevents_parse(b, n, &e, &error), 1);
    CU_ASSERT_TRUE(e.pid == 100 && e.signal == 11 && e.core);
    n = message(b, 0x80000000u, 100, 100, 3 << 8);
    CU_ASSERT_EQUAL(procevents_parse(b, n, &e, &error), 1);
    CU_ASSERT_TRUE(e.signal == 0 && e.code == 3);
    n = message(b, 0x80000000u, 101, 100, 0); // only a thread
    CU_ASSERT_EQUAL(procevents_parse(b, n, &e, &error), 0);
    n = message(b, 1, 100, 100, 0); // a fork
    CU_ASSERT_EQUAL(procevents_parse(b, n, &e, &error), 0);
}

static void answer(void)
{
    uint8_t b[64];
    struct service_exit e;
    int error = -1;

    size_t n = message(b, 0, EPERM, 0, 0);
    CU_ASSERT_EQUAL(procevents_parse(b, n, &e, &error), 2);
    CU_ASSERT_EQUAL(error, EPERM);
    b[0] = 9; // another connector
    CU_ASSERT_EQUAL(procevents_parse(b, n, &e, &error), 0);
}

static void cut(void)
{
    uint8_t b[64];
    struct service_exit e;
    int error;

    message(b, 0x80000000u, 100, 100, 9);
    for (size_t n = 0; n < 60; n++)
        CU_ASSERT_EQUAL(procevents_parse(b, n, &e, &error), -EBADMSG);
}

static const struct test TESTS[] = {
    {"a death has its process, signal, core and code", deaths},
    {"the answer to the subscription is told apart", answer},
    {"a message that is cut is refused", cut},
};

int main(void)
{
    return test_main("procevents", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
