// SPDX-License-Identifier: Apache-2.0
// The state machine of repairs on a clock turned by hand, with an agent that answers as it is told.
#include "collector/repair_desk.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LANE "repair/repair0@0"
#define HOUR 3600000

static const struct repair_terms TERMS = {.action = "restart",
    .instance_label = "instance",
    .parameters = {"service"},
    .n_parameters = 1,
    .max_per_hour = 6,
    .give_up_after = 3,
    .retry_ms = 1000,
    .expires_ms = 30000};

// What the desk said.
static struct {
    struct repair_desk *d;
    int64_t now;
    struct repair_order *order; // the newest
    size_t orders, cancels, asks, ends, gave_up, over;
    bool full, muted, durable;
    enum told told;
    uint64_t told_of;
    char why[64];
} t;

static bool send(void *ctx, struct repair_order *o)
{
    (void)ctx;
    if (t.full)
        return false;
    t.cancels += o->cancel;
    t.orders += !o->cancel;
    free(t.order);
    t.order = o;
    return true;
}

static bool muted(void *ctx, const char *lane, const struct notice *n)
{
    (void)ctx;
    (void)lane;
    (void)n;
    return t.muted;
}

static void told(void *ctx, const char *lane, uint64_t alert_id, enum told what)
{
    (void)ctx;
    (void)lane;
    t.told = what;
    t.told_of = alert_id;
}

static void note(void *ctx, enum repair_event e, const struct repair_view *v)
{
    (void)ctx;
    t.asks += e == REPAIR_ASKS;
    t.ends += e == REPAIR_ENDS;
    t.gave_up += e == REPAIR_GIVES_UP;
    t.over += e == REPAIR_OVER;
    snprintf(t.why, sizeof(t.why), "%s", v->why);
}

static void start(void)
{
    struct repair_desk_options o = {.send = send, .muted = muted, .told = told, .note = note};
    memset(&t, 0, sizeof(t));
    t.now = 1000000;
    t.durable = true;
    t.d = repair_desk_new(&o);
}

static void stop(void)
{
    repair_desk_free(t.d);
    free(t.order);
    t.order = NULL;
}

static void alert_named(
    uint64_t id, const char *name, const char *host, const char *service, bool fires)
{
    struct label l[] = {{"alertname", name}, {"instance", host}, {"service", service}};
    struct notice n = {.alert_id = id,
        .group = "g",
        .file = "f",
        .expr = "e",
        .fingerprint = 7,
        .active_at_ms = 5,
        .labels = {l, *service ? 3 : 2},
        .from = fires ? ALERT_PENDING : ALERT_FIRING,
        .to = fires ? ALERT_FIRING : ALERT_INACTIVE};
    (void)repair_desk_take(t.d, LANE, &TERMS, &n, t.now);
}

static void alert(uint64_t id, bool fires)
{
    alert_named(id, "Down", "web1", "nginx", fires);
}

// Time passes, in steps as the thread would look.
static void pass(int64_t ms)
{
    for (int64_t until = t.now + ms;;) {
        repair_desk_run(t.d, t.now, t.durable);
        int64_t next = repair_desk_next(t.d);
        if (next > until)
            next = until;
        if (next <= t.now)
            next = t.now + 1;
        if (t.now >= until)
            return;
        t.now = next > until ? until : next;
    }
}

// An answer without output, valid until the next one is made.
static struct repair_answer *blank(void)
{
    static union {
        struct repair_answer a;
        uint8_t room[sizeof(struct repair_answer) + 8];
    } one;
    memset(&one, 0, sizeof(one));
    return &one.a;
}

static void answer(int outcome, int code)
{
    struct repair_answer *a = blank();
    snprintf(a->id, sizeof(a->id), "%s", t.order->id);
    a->outcome = outcome;
    a->code = code;
    a->duration_ms = 500;
    repair_desk_answer(t.d, a, t.now);
}

static struct repair_view seen;

static void look_one(void *ctx, const struct repair_view *v)
{
    (void)ctx;
    seen = *v;
}

static enum repair_state state(void)
{
    repair_desk_each(t.d, look_one, NULL);
    return seen.state;
}

static void asks_once_and_ends(void)
{
    start();
    alert(1, true);
    pass(0);
    CU_ASSERT_EQUAL_FATAL(t.orders, 1);
    CU_ASSERT_STRING_EQUAL(t.order->instance, "web1");
    CU_ASSERT_STRING_EQUAL(t.order->request.action, "restart");
    CU_ASSERT_STRING_EQUAL(t.order->request.alert, "Down");
    CU_ASSERT_STRING_EQUAL(t.order->request.parameters[0].value, "nginx");
    CU_ASSERT_EQUAL(t.order->valid_ms, 30000);
    alert(1, true); // told once more
    pass(100);
    CU_ASSERT_EQUAL(t.orders, 1);
    answer(REPAIR_STARTED, 0);
    CU_ASSERT_EQUAL(state(), REPAIR_RUNNING);
    answer(REPAIR_EXITED, 0);
    CU_ASSERT_EQUAL(state(), REPAIR_WELL);
    alert(1, false);
    CU_ASSERT_TRUE(t.told == TOLD_OVER && t.told_of == 1);
    CU_ASSERT_EQUAL(t.over, 1);
    pass(HOUR);
    CU_ASSERT_EQUAL(t.orders, 1);
    CU_ASSERT_EQUAL(t.gave_up, 0);
    CU_ASSERT_EQUAL(repair_desk_next(t.d), INT64_MAX);
    stop();
}

static void backs_off_and_gives_up(void)
{
    start();
    alert(1, true);
    pass(0);
    int64_t first = t.now;
    answer(REPAIR_EXITED, 1);
    pass(999);
    CU_ASSERT_EQUAL(t.orders, 1);
    pass(1);
    CU_ASSERT_EQUAL(t.orders, 2);
    CU_ASSERT_EQUAL(t.now - first, 1000);
    CU_ASSERT_STRING_EQUAL(strchr(t.order->id, '/'), "/2");
    answer(REPAIR_TIMED_OUT, 9);
    pass(1999);
    CU_ASSERT_EQUAL(t.orders, 2);
    pass(1); // twice as long
    CU_ASSERT_EQUAL(t.orders, 3);
    CU_ASSERT_EQUAL(t.gave_up, 0);
    answer(REPAIR_KILLED, 11);
    CU_ASSERT_EQUAL(t.gave_up, 1);
    CU_ASSERT_STRING_EQUAL(t.why, "attempts");
    CU_ASSERT_TRUE(t.told == TOLD_FIRING && t.told_of == 1);
    pass(24 * HOUR);
    CU_ASSERT_EQUAL(t.orders, 3);
    struct repair_stats s = repair_desk_stats(t.d);
    CU_ASSERT_TRUE(s.asked == 3 && s.failed == 3 && s.gave_up == 1 && s.given_up == 1);
    alert(1, false); // by a person
    CU_ASSERT_EQUAL(t.told, TOLD_OVER);
    CU_ASSERT_EQUAL(repair_desk_stats(t.d).given_up, 0);
    stop();
}

static void well_but_still_firing_is_tried_again(void)
{
    start();
    alert(1, true);
    for (int i = 1; i <= 3; i++) {
        pass(0);
        CU_ASSERT_EQUAL(t.orders, (size_t)i);
        answer(REPAIR_EXITED, 0);
        CU_ASSERT_EQUAL(t.gave_up, 0);
        pass(i == 3 ? 4000 : 1000 << (i - 1));
    }
    CU_ASSERT_EQUAL(t.orders, 3);
    CU_ASSERT_EQUAL(t.gave_up, 1);
    stop();
}

static void no_use_in_another_attempt(void)
{
    static const int OUTCOMES[] = {REPAIR_NOT_LISTED, REPAIR_BAD_PARAMETER, ORDER_NO_EXECUTOR};
    for (size_t i = 0; i < 3; i++) {
        start();
        alert(1, true);
        pass(0);
        answer(OUTCOMES[i], 0);
        CU_ASSERT_EQUAL(t.gave_up, 1);
        CU_ASSERT_STRING_EQUAL(t.why, repair_answer_name(OUTCOMES[i]));
        stop();
    }
    start();
    alert_named(1, "Down", "", "nginx", true); // which host?
    alert_named(2, "Down", "web1", "", true);  // which service?
    pass(0);
    CU_ASSERT_EQUAL(t.orders, 0);
    CU_ASSERT_EQUAL(t.gave_up, 2);
    (void)state();
    CU_ASSERT_STRING_EQUAL(seen.action, "restart");        // is known all the same
    alert_named(3, "RepairGaveUp", "web1", "nginx", true); // is never repaired
    pass(HOUR);
    CU_ASSERT_EQUAL(t.orders, 0);
    stop();
}

static void silence_of_the_agent_is_a_failure(void)
{
    start();
    alert(1, true);
    pass(0);
    pass(39999); // valid for 30 s, 10 s for the answer
    CU_ASSERT_EQUAL(state(), REPAIR_ASKED);
    pass(1);
    CU_ASSERT_EQUAL(state(), REPAIR_WAITING);
    CU_ASSERT_EQUAL(seen.outcome, ORDER_NO_ANSWER);
    pass(1000);
    CU_ASSERT_EQUAL(t.orders, 2);
    answer(REPAIR_STARTED, 0); // may take 500 ms, and never tells how it ended
    pass(10500);
    CU_ASSERT_EQUAL(state(), REPAIR_WAITING);
    stop();
}

static void never_while_muted_or_not_on_disk(void)
{
    start();
    t.durable = false;
    alert(1, true);
    pass(HOUR);
    CU_ASSERT_EQUAL(t.orders, 0);
    t.durable = true;
    t.muted = true;
    pass(HOUR);
    CU_ASSERT_EQUAL(t.orders, 0);
    CU_ASSERT_EQUAL(t.gave_up, 0);
    t.muted = false;
    pass(1000);
    CU_ASSERT_EQUAL(t.orders, 1);
    answer(REPAIR_EXITED, 1);
    t.muted = true; // a silence between attempts
    pass(HOUR);
    CU_ASSERT_EQUAL(t.orders, 1);
    stop();
}

static void two_alerts_one_action(void)
{
    start();
    alert(1, true);
    alert(2, true);
    alert_named(3, "Down", "web2", "nginx", true); // another host
    pass(0);
    CU_ASSERT_EQUAL(t.orders, 2);
    stop();
    start();
    alert(1, true);
    alert(2, true);
    pass(0);
    CU_ASSERT_EQUAL(t.orders, 1);
    int64_t ended = t.now + 5000;
    pass(5000);
    answer(REPAIR_EXITED, 0);
    alert(1, false);
    pass(999); // what helped one may have helped the other
    CU_ASSERT_EQUAL(t.orders, 1);
    pass(5000);
    CU_ASSERT_EQUAL(t.orders, 2);
    CU_ASSERT_TRUE(t.now - ended >= 1000);
    stop();
}

static void the_next_in_line_begins_at_once(void)
{
    start();
    alert(1, true);
    alert_named(2, "Down", "web1", "redis", true);
    alert_named(3, "Down", "web1", "mysql", true);
    pass(700);
    CU_ASSERT_EQUAL(t.orders, 1);
    answer(REPAIR_EXITED, 0);
    pass(0);
    CU_ASSERT_EQUAL(t.orders, 2);
    CU_ASSERT_STRING_EQUAL(t.order->request.parameters[0].value, "redis");
    answer(REPAIR_EXITED, 1);
    pass(0);
    CU_ASSERT_EQUAL(t.orders, 3);
    CU_ASSERT_STRING_EQUAL(t.order->request.parameters[0].value, "mysql");
    stop();
}

static void budget_of_an_hour(void)
{
    start();
    for (uint64_t id = 1; id <= 6; id++) {
        alert(id, true);
        pass(2000);
        CU_ASSERT_EQUAL(t.orders, id);
        answer(REPAIR_EXITED, 0);
        alert(id, false);
        pass(60000);
    }
    alert(7, true);
    pass(2000);
    CU_ASSERT_EQUAL(t.orders, 6);
    CU_ASSERT_EQUAL(t.gave_up, 1);
    CU_ASSERT_STRING_EQUAL(t.why, "max_per_hour");
    alert(7, false);
    pass(HOUR);
    alert(8, true);
    pass(2000);
    CU_ASSERT_EQUAL(t.orders, 7);
    stop();
}

static void a_restart_asks_with_the_same_ids(void)
{
    char first[WIRE_REPAIR_ID_MAX + 1], second[WIRE_REPAIR_ID_MAX + 1];
    start();
    alert(1, true);
    pass(0);
    strcpy(first, t.order->id);
    answer(REPAIR_EXITED, 1);
    pass(1000);
    strcpy(second, t.order->id);
    CU_ASSERT_STRING_NOT_EQUAL(first, second);
    stop();
    start();
    alert(1, true);
    pass(0);
    CU_ASSERT_STRING_EQUAL(t.order->id, first);
    struct repair_answer *a = blank();
    strcpy(a->id, first);
    a->outcome = REPAIR_EXITED;
    a->code = 1;
    a->again = true; // nothing was run for it
    repair_desk_answer(t.d, a, t.now);
    pass(1000);
    CU_ASSERT_STRING_EQUAL(t.order->id, second);
    stop();
    // Another episode of the same alert is another matter.
    start();
    alert(2, true);
    pass(0);
    CU_ASSERT_STRING_NOT_EQUAL(t.order->id, first);
    stop();
}

static void given_up_before_a_restart(void)
{
    struct label l[] = {{"alertname", "Down"}, {"instance", "web1"}, {"service", "nginx"}};
    struct notice n = {.alert_id = 1,
        .group = "g",
        .file = "f",
        .expr = "e",
        .labels = {l, 3},
        .to = ALERT_FIRING};
    start();
    CU_ASSERT_EQUAL(repair_desk_gave_up(t.d, LANE, &TERMS, &n), 0);
    pass(24 * HOUR);
    CU_ASSERT_EQUAL(t.orders, 0);
    CU_ASSERT_EQUAL(state(), REPAIR_GAVE_UP);
    alert(1, false);
    CU_ASSERT_EQUAL(repair_desk_stats(t.d).given_up, 0);
    stop();
}

static bool goes(void *ctx, const char *lane, const struct notice *n)
{
    CU_ASSERT_STRING_EQUAL(lane, LANE);
    return n->alert_id != *(uint64_t *)ctx;
}

static void another_route_ends_it(void)
{
    uint64_t leaves = 1;
    start();
    alert(1, true);
    alert_named(2, "Down", "web2", "nginx", true);
    pass(0);
    CU_ASSERT_EQUAL(t.orders, 2);
    repair_desk_reroute(t.d, goes, &leaves, t.now);
    CU_ASSERT_EQUAL(t.over, 1);
    CU_ASSERT_EQUAL(t.cancels, 1);
    leaves = 2;
    repair_desk_reroute(t.d, goes, &leaves, t.now);
    CU_ASSERT_EQUAL(t.over, 2);
    alert_named(3, "Down", "web2", "nginx", true); // the list is whole
    pass(1000);
    CU_ASSERT_EQUAL(t.orders, 3);
    stop();
}

static void answers_that_are_none_of_ours(void)
{
    static const char *const IDS[] = {"", "/", "x/1", "no slash"};
    struct repair_answer *a = blank();
    start();
    alert(1, true);
    pass(0);
    a->outcome = REPAIR_NOT_LISTED;
    for (size_t i = 0; i < 4; i++) {
        strcpy(a->id, IDS[i]);
        repair_desk_answer(t.d, a, t.now);
    }
    size_t len = strlen(t.order->id);
    memcpy(a->id, t.order->id, len + 1);
    a->id[len - 1] = '2'; // an attempt that was not made
    repair_desk_answer(t.d, a, t.now);
    CU_ASSERT_EQUAL(state(), REPAIR_ASKED);
    alert(1, false);
    CU_ASSERT_EQUAL(t.cancels, 1);
    strcpy(a->id, t.order->id); // too late
    repair_desk_answer(t.d, a, t.now);
    stop();
}

static void without_room_it_waits(void)
{
    start();
    t.full = true;
    alert(1, true);
    pass(5000);
    CU_ASSERT_EQUAL(repair_desk_stats(t.d).asked, 0);
    t.full = false;
    pass(1000);
    CU_ASSERT_EQUAL(t.orders, 1);
    CU_ASSERT_STRING_EQUAL(strchr(t.order->id, '/'), "/1");
    stop();
    start();
    for (uint64_t id = 1; id <= REPAIR_EPISODES_MAX + 1; id++)
        alert(id, true);
    CU_ASSERT_EQUAL(repair_desk_stats(t.d).dropped, 1);
    stop();
}

static void survives_failing_allocation(void)
{
    for (int nth = 1;; nth++) {
        start();
        oom_fail_at(nth);
        alert(1, true);
        pass(10000);
        bool hit = oom_stop();
        // It is asked for, or given up, or dropped and counted; never forgotten.
        struct repair_stats s = repair_desk_stats(t.d);
        CU_ASSERT_EQUAL(s.asked + s.gave_up + s.dropped, 1);
        stop();
        if (!hit)
            break;
    }
}

static const struct test TESTS[] = {
    {"an alert asks once, and it is over when the alert is", asks_once_and_ends},
    {"what fails is tried again after twice the time, then given up", backs_off_and_gives_up},
    {"an action that went well and did not help is tried again, then given up",
        well_but_still_firing_is_tried_again},
    {"where another attempt is no use it is given up at once", no_use_in_another_attempt},
    {"an agent that says nothing is a failure", silence_of_the_agent_is_a_failure},
    {"nothing is asked for while muted or not on disk", never_while_muted_or_not_on_disk},
    {"two alerts have one action run once at a time, and then a rest", two_alerts_one_action},
    {"the next in line for an action begins when the one before has ended",
        the_next_in_line_begins_at_once},
    {"max_per_hour holds over episodes", budget_of_an_hour},
    {"a restart asks with the same ids, and another episode with others",
        a_restart_asks_with_the_same_ids},
    {"what was given up before a restart stays so", given_up_before_a_restart},
    {"an episode ends when its alert goes elsewhere", another_route_ends_it},
    {"answers that nobody asked for change nothing", answers_that_are_none_of_ours},
    {"without room it waits, and beyond the limit it is counted", without_room_it_waits},
    {"without memory nothing is forgotten", survives_failing_allocation},
};
int main(void)
{
    return test_main("repair_desk", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
