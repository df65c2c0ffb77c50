// SPDX-License-Identifier: Apache-2.0
// The kernel is played: its memory is here, and a wake-up is a call.
#include "agent/pulse.h"
#include "base/clock.h"
#include "tests/lib/run.h"

// A fifteenth is no whole number of ns: a second has 15 looks, or 16 by a hair.
#define BUSY_NS  (NS_PER_S / PULSE_BUSY_HZ)
#define QUIET_NS (NS_PER_S / PULSE_QUIET_HZ)

static void count(void *ctx)
{
    ++*(int *)ctx;
}

static struct world {
    struct connection_head head;
    struct pulse pulse;
    struct pulse_hook hook;
    int woken;
    int64_t now;
} w;

static void open_world(void)
{
    w = (struct world){.now = 1000 * NS_PER_S};
    pulse_init(&w.pulse, NULL);
    w.hook = (struct pulse_hook){.wake = count, .ctx = &w.woken};
    pulse_hook(&w.pulse, &w.hook);
}

// Looks as often as it is told to, for so long; how often that was.
static int looks(int64_t ns)
{
    int n = 0;
    for (int64_t end = w.now + ns; w.now < end; n++)
        w.now = pulse_next_ns(&w.pulse, w.now);
    return n;
}

static void without(void)
{
    open_world();
    CU_ASSERT_EQUAL(looks(10 * NS_PER_S) / PULSE_BUSY_HZ, 10);
    CU_ASSERT_FALSE(pulse_is_quiet(&w.pulse));
    CU_ASSERT_EQUAL(pulse_next_ns(NULL, 7 * BUSY_NS), 8 * BUSY_NS);
    CU_ASSERT_FALSE(pulse_is_quiet(NULL));
}

static void rests(void)
{
    open_world();
    w.pulse.head = &w.head;
    pulse_seen(&w.pulse, w.now);
    CU_ASSERT_TRUE(looks(NS_PER_S - BUSY_NS) >= PULSE_BUSY_HZ - 1);
    CU_ASSERT_EQUAL(w.head.watched, 0);
    looks(QUIET_NS);
    CU_ASSERT_TRUE(pulse_is_quiet(&w.pulse));
    CU_ASSERT_EQUAL(w.head.watched, 1);
    CU_ASSERT_EQUAL(looks(10 * NS_PER_S), 10 * PULSE_QUIET_HZ);
    CU_ASSERT_EQUAL(w.woken, 0);
}

static void wakes(void)
{
    open_world();
    w.pulse.head = &w.head;
    looks(5 * NS_PER_S);
    CU_ASSERT_TRUE(pulse_is_quiet(&w.pulse));
    w.head.accepted++; // the kernel wakes us
    w.head.watched = 0;
    pulse_seen(&w.pulse, w.now);
    CU_ASSERT_EQUAL(w.woken, 1);
    CU_ASSERT_TRUE(looks(NS_PER_S - BUSY_NS) >= PULSE_BUSY_HZ - 1);
    for (int i = 0; i < 50; i++) { // as long as something comes
        w.head.accepted++;
        w.now = pulse_next_ns(&w.pulse, w.now);
        CU_ASSERT_EQUAL(w.now % BUSY_NS, 0);
    }
    CU_ASSERT_EQUAL(w.woken, 1);
    pulse_seen(&w.pulse, w.now); // or something is not over
    looks(NS_PER_S - BUSY_NS);
    CU_ASSERT_FALSE(pulse_is_quiet(&w.pulse));
    looks(5 * NS_PER_S);
    CU_ASSERT_TRUE(pulse_is_quiet(&w.pulse));
}

static void lost(void)
{
    open_world();
    w.pulse.head = &w.head;
    looks(5 * NS_PER_S);
    w.head.accepted++; // and no wake-up came: the next look sees it
    w.now = pulse_next_ns(&w.pulse, w.now);
    CU_ASSERT_FALSE(pulse_is_quiet(&w.pulse));
    CU_ASSERT_EQUAL(w.woken, 1);
}

// A connection of our own is made; meanwhile the kernel counts n.
static void probes(uint64_t n, bool connected)
{
    uint64_t begun = pulse_own_begin(&w.pulse);
    CU_ASSERT_EQUAL(w.head.watched, 0);
    w.head.accepted += n;
    pulse_own_end(&w.pulse, begun, connected, w.now);
}

static void own(void)
{
    open_world();
    w.pulse.head = &w.head;
    looks(5 * NS_PER_S);
    for (int i = 0; i < 50; i++) {
        probes(1, true);
        CU_ASSERT_EQUAL(w.head.watched, 1);
        w.now = pulse_next_ns(&w.pulse, w.now);
    }
    CU_ASSERT_TRUE(pulse_is_quiet(&w.pulse));
    CU_ASSERT_EQUAL(pulse_own(&w.pulse), 50);
    probes(0, true); // to another host
    probes(0, false);
    CU_ASSERT_TRUE(pulse_is_quiet(&w.pulse));
    CU_ASSERT_EQUAL(pulse_own(&w.pulse), 50);
    CU_ASSERT_EQUAL(w.woken, 0);
    pulse_own_end(NULL, pulse_own_begin(NULL), true, w.now);
    CU_ASSERT_EQUAL(pulse_own(NULL), 0);
}

static void others_meanwhile(void)
{
    open_world();
    w.pulse.head = &w.head;
    looks(5 * NS_PER_S);
    probes(2, true);
    CU_ASSERT_FALSE(pulse_is_quiet(&w.pulse));
    CU_ASSERT_EQUAL(w.woken, 1);
    looks(5 * NS_PER_S);
    CU_ASSERT_TRUE(pulse_is_quiet(&w.pulse));
    probes(1, false); // ours was refused
    CU_ASSERT_FALSE(pulse_is_quiet(&w.pulse));
    CU_ASSERT_EQUAL(w.woken, 2);
    // While looks are frequent the next one finds it.
    looks(NS_PER_S - 2 * BUSY_NS);
    probes(2, true);
    looks(NS_PER_S - 2 * BUSY_NS);
    CU_ASSERT_FALSE(pulse_is_quiet(&w.pulse));
}

// The program counts, and then looks whether it is to wake us: in between we began to connect.
static void others_just_before(void)
{
    open_world();
    w.pulse.head = &w.head;
    looks(5 * NS_PER_S);
    w.head.accepted++;
    probes(1, true);
    CU_ASSERT_FALSE(pulse_is_quiet(&w.pulse));
    CU_ASSERT_EQUAL(w.woken, 1);
    CU_ASSERT_EQUAL(pulse_own(&w.pulse), 1);
}

static void unhooked(void)
{
    int other = 0;
    struct pulse_hook second = {.wake = count, .ctx = &other};
    open_world();
    w.pulse.head = &w.head;
    pulse_hook(&w.pulse, &second);
    pulse_unhook(&w.pulse, &w.hook);
    pulse_unhook(&w.pulse, &w.hook);
    looks(5 * NS_PER_S);
    pulse_seen(&w.pulse, w.now);
    CU_ASSERT_EQUAL(w.woken, 0);
    CU_ASSERT_EQUAL(other, 1);
}

static const struct test TESTS[] = {
    {"without the kernel's programs looks are frequent", without},
    {"when nothing was accepted for a second looks are rare, and the kernel is asked to wake us",
        rests},
    {"woken, all look now, and often until it is over", wakes},
    {"a wake-up that was lost costs half a second at most", lost},
    {"what a service accepts from our own probe wakes nobody", own},
    {"what others have accepted meanwhile does", others_meanwhile},
    {"what others have accepted just before does, though the kernel found us not to be woken",
        others_just_before},
    {"who has gone is not woken", unhooked},
};

int main(void)
{
    return test_main("pulse", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
