// SPDX-License-Identifier: Apache-2.0
#include "collector/repair_mail.h"
#include "tests/lib/run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t ONE[16] = {1}, TWO[16] = {2};

static struct {
    struct repair_mail *m;
    struct repair_hearing hearing;
    int64_t now;
    struct repair_answer *answer; // the newest
    size_t answers;
    bool full;
    struct wire_repair asked[MAIL_REPLY_MAX];
} t;

static bool answer(void *ctx, struct repair_answer *a)
{
    (void)ctx;
    if (t.full)
        return false;
    free(t.answer);
    t.answer = a;
    t.answers++;
    return true;
}

// A body of agent ONE on web1, as often as an agent sends one.
static size_t body(void)
{
    return repair_mail_body(t.m, &t.hearing, ONE, "web1", true, true, t.now, t.asked);
}

static void start(void)
{
    memset(&t, 0, sizeof(t));
    t.now = 1000000;
    t.m = repair_mail_new(answer, NULL, t.now);
    for (int i = 0; i <= 8; i++, t.now += 1000)
        CU_ASSERT_EQUAL(body(), 0);
}

static void stop(void)
{
    repair_mail_free(t.m);
    free(t.answer);
    t.answer = NULL;
}

static void order(const char *id)
{
    struct label l[] = {{"alertname", "Down"}, {"instance", "web1"}};
    struct labels labels = {l, 2};
    const char *why;
    struct repair_order *o = repair_order_new("restart", "instance", NULL, 0, &labels, &why);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    strcpy(o->id, id);
    o->valid_ms = 30000;
    repair_mail_put(t.m, o, t.now);
}

static void result(const uint8_t agent[16], const char *id, enum repair_outcome outcome)
{
    struct wire_repair_result r = {.id = id, .outcome = outcome};
    repair_mail_result(t.m, agent, &r, t.now);
}

static void asked_until_answered(void)
{
    start();
    order("a/1");
    CU_ASSERT_EQUAL_FATAL(body(), 1);
    CU_ASSERT_STRING_EQUAL(t.asked[0].id, "a/1");
    CU_ASSERT_STRING_EQUAL(t.asked[0].action, "restart");
    CU_ASSERT_EQUAL(t.asked[0].valid_ms, 30000);
    t.now += 1000;
    CU_ASSERT_EQUAL_FATAL(body(), 1); // the reply may not have arrived
    CU_ASSERT_EQUAL(t.asked[0].valid_ms, 29000);
    result(ONE, "a/1", REPAIR_STARTED);
    CU_ASSERT_EQUAL(t.answers, 1);
    for (int i = 0; i < 4; i++) {
        t.now += 1000;
        CU_ASSERT_EQUAL(body(), 0);
    }
    t.now += 1000;
    CU_ASSERT_EQUAL_FATAL(body(), 1);        // does it live?
    CU_ASSERT_EQUAL(t.asked[0].valid_ms, 0); // but it must not begin now
    result(ONE, "a/1", REPAIR_STARTED);
    CU_ASSERT_EQUAL(t.answers, 1);
    result(ONE, "a/1", REPAIR_EXITED);
    CU_ASSERT_EQUAL(t.answers, 2);
    CU_ASSERT_EQUAL(t.answer->outcome, REPAIR_EXITED);
    CU_ASSERT_EQUAL(repair_mail_count(t.m), 0);
    result(ONE, "a/1", REPAIR_EXITED); // replayed
    CU_ASSERT_EQUAL(t.answers, 2);
    stop();
}

static void not_taken_in_time(void)
{
    start();
    order("a/1");
    t.now += 29999;
    repair_mail_sweep(t.m, t.now);
    CU_ASSERT_EQUAL(t.answers, 0);
    t.now++;
    repair_mail_sweep(t.m, t.now);
    CU_ASSERT_EQUAL(t.answers, 1);
    CU_ASSERT_EQUAL(t.answer->outcome, ORDER_NOT_TAKEN);
    CU_ASSERT_EQUAL(repair_mail_count(t.m), 0);
    stop();
    start();
    order("a/1");
    CU_ASSERT_EQUAL(body(), 1);
    t.now += 30000;
    repair_mail_sweep(t.m, t.now); // the answer may be on its way
    CU_ASSERT_EQUAL(repair_mail_count(t.m), 1);
    CU_ASSERT_EQUAL(body(), 0); // but it is not asked for any more
    t.now += MAIL_GRACE_MS;
    repair_mail_sweep(t.m, t.now);
    CU_ASSERT_EQUAL(t.answer->outcome, ORDER_NOT_TAKEN);
    stop();
}

static void only_an_agent_heard_without_a_gap(void)
{
    start();
    t.now += MAIL_GAP_MS + 1; // it was silent: the alert may be stale
    order("a/1");
    CU_ASSERT_EQUAL(body(), 0);
    t.now += 1000;
    CU_ASSERT_EQUAL(body(), 0);
    t.now += 1999;
    CU_ASSERT_EQUAL(body(), 0);
    t.now += 1;
    CU_ASSERT_EQUAL(body(), 1);
    stop();
    start();
    order("a/1"); // what it kept is still to come
    CU_ASSERT_EQUAL(
        repair_mail_body(t.m, &t.hearing, ONE, "web1", false, true, t.now, t.asked), 0);
    t.now += 1000;
    CU_ASSERT_EQUAL(body(), 0);
    t.now += 2000;
    CU_ASSERT_EQUAL(body(), 1);
    stop();
    // After our own start everything has to be looked at first.
    memset(&t, 0, sizeof(t));
    t.now = 5;
    t.m = repair_mail_new(answer, NULL, t.now);
    order("a/1");
    for (; t.now < 5 + MAIL_START_MS; t.now += 1000)
        CU_ASSERT_EQUAL(body(), 0);
    CU_ASSERT_EQUAL(body(), 1);
    stop();
}

static void only_the_agent_that_was_asked(void)
{
    struct repair_hearing other;
    start();
    other = t.hearing;
    order("a/1");
    CU_ASSERT_EQUAL(repair_mail_body(t.m, &other, ONE, "web2", true, true, t.now, t.asked), 0);
    result(ONE, "a/1", REPAIR_EXITED); // was not asked
    CU_ASSERT_EQUAL(t.answers, 0);
    CU_ASSERT_EQUAL(body(), 1);
    CU_ASSERT_EQUAL(
        repair_mail_body(t.m, &other, TWO, "web1", true, true, t.now, t.asked), 0); // a clone
    result(TWO, "a/1", REPAIR_EXITED);
    CU_ASSERT_EQUAL(t.answers, 0);
    result(ONE, "a/1", REPAIR_EXITED);
    CU_ASSERT_EQUAL(t.answers, 1);
    stop();
}

static void an_agent_without_a_list_is_not_asked(void)
{
    start();
    order("a/1");
    CU_ASSERT_EQUAL(
        repair_mail_body(t.m, &t.hearing, ONE, "web1", true, false, t.now, t.asked), 0);
    CU_ASSERT_EQUAL(t.answers, 1);
    CU_ASSERT_EQUAL(t.answer->outcome, ORDER_NO_EXECUTOR);
    CU_ASSERT_EQUAL(repair_mail_count(t.m), 0);
    stop();
}

static void cancelled_and_bounded(void)
{
    char id[32];
    start();
    for (int i = 0; i < 6; i++) {
        snprintf(id, sizeof(id), "%d/1", i);
        order(id);
    }
    CU_ASSERT_EQUAL(body(), MAIL_REPLY_MAX);
    CU_ASSERT_STRING_EQUAL(t.asked[0].id, "0/1"); // in order
    repair_mail_put(t.m, repair_order_cancel("0/1"), t.now);
    repair_mail_put(t.m, repair_order_cancel("5/1"), t.now);
    repair_mail_put(t.m, repair_order_cancel("none"), t.now);
    CU_ASSERT_EQUAL(repair_mail_count(t.m), 4);
    CU_ASSERT_EQUAL(body(), 4);
    CU_ASSERT_STRING_EQUAL(t.asked[0].id, "1/1");
    for (int i = 0; i < MAIL_ORDERS_MAX + 10; i++) {
        snprintf(id, sizeof(id), "x%d/1", i);
        order(id);
    }
    CU_ASSERT_EQUAL(repair_mail_count(t.m), MAIL_ORDERS_MAX);
    stop();
}

static void an_answer_without_room_is_offered_again(void)
{
    start();
    order("a/1");
    CU_ASSERT_EQUAL(body(), 1);
    t.full = true;
    result(ONE, "a/1", REPAIR_EXITED);
    CU_ASSERT_EQUAL(repair_mail_count(t.m), 1);
    t.full = false;
    CU_ASSERT_EQUAL(body(), 1); // asked again, and answered again
    result(ONE, "a/1", REPAIR_EXITED);
    CU_ASSERT_EQUAL(t.answers, 1);
    stop();
}

static const struct test TESTS[] = {
    {"an agent is asked until it has answered", asked_until_answered},
    {"what is not taken in time is not taken", not_taken_in_time},
    {"only an agent heard live without a gap is asked", only_an_agent_heard_without_a_gap},
    {"only the agent that was asked can answer", only_the_agent_that_was_asked},
    {"an agent without a list is not asked", an_agent_without_a_list_is_not_asked},
    {"orders are cancelled, in order and bounded", cancelled_and_bounded},
    {"an answer there is no room for is offered again",
        an_answer_without_room_is_offered_again},
};
int main(void)
{
    return test_main("repair_mail", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
