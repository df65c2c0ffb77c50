// SPDX-License-Identifier: Apache-2.0
// What is given up is passed on whole, and what a receiver hears in another way than by its queue counts.
#include "collector/deliver.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <string.h>

struct lost {
    size_t n, without_body;
    enum deliver_loss why;
    char body[4096], key[DELIVER_KEY_MAX];
    size_t n_changed;
    struct deliver_member first;
    struct deliver_mark mark;
};

static void note(void *ctx, const struct deliver_message *m, enum deliver_loss why)
{
    struct lost *l = ctx;
    l->n++;
    l->why = why;
    l->n_changed = m->n_changed;
    l->mark = m->mark;
    snprintf(l->key, sizeof(l->key), "%s", m->key);
    if (!m->body) {
        l->without_body++;
        return;
    }
    l->first = m->changed[0];
    snprintf(l->body, sizeof(l->body), "%.*s", (int)m->body->len, (const char *)m->body->data);
}

static struct deliver *open_queue(struct lost *l, size_t max)
{
    static const char *const BY[] = {"alertname"};
    struct deliver_options o = {.receiver = "r",
        .external_url = "http://c",
        .group_by = BY,
        .n_group_by = 1,
        .send_resolved = true,
        .queue_max = max,
        .lost = note,
        .lost_ctx = l};
    struct deliver *d = deliver_new(&o);
    CU_ASSERT_PTR_NOT_NULL_FATAL(d);
    return d;
}

struct made {
    struct notice n;
    struct label labels[2];
    char instance[16];
};
static const struct notice *make(struct made *m, int number, bool firing)
{
    snprintf(m->instance, sizeof(m->instance), "web-%d", number);
    m->labels[0] = (struct label){"alertname", "Slow"};
    m->labels[1] = (struct label){"instance", m->instance};
    m->n = (struct notice){.expr = "up == 0", .group = "g", .file = "f"};
    m->n.labels = (struct labels){m->labels, 2};
    m->n.alert_id = (uint64_t)number;
    m->n.fingerprint = labels_fingerprint(&m->n.labels);
    m->n.from = firing ? ALERT_PENDING : ALERT_FIRING;
    m->n.to = firing ? ALERT_FIRING : ALERT_INACTIVE;
    m->n.starts_at_ms = m->n.active_at_ms = m->n.cause_ms = 1000;
    m->n.ends_at_ms = firing ? 0 : 2000;
    return &m->n;
}

static int add(struct deliver *d, int number, bool firing, int64_t t)
{
    struct made m = {0};
    const struct notice *n = make(&m, number, firing);
    return deliver_add(d, &n, 1, t);
}

static enum deliver_verdict end(struct deliver *d, int64_t t, int status)
{
    struct deliver_message m;
    CU_ASSERT_TRUE_FATAL(deliver_take(d, t, &m));
    if (!m.mark.id)
        deliver_mark(d, m.flight, (struct deliver_mark){42, t});
    else
        CU_ASSERT_EQUAL(m.mark.id, 42);
    return deliver_done(d, m.flight, t, status, -1);
}

static void refused(void)
{
    struct lost l = {0};
    struct deliver *d = open_queue(&l, 0);
    add(d, 1, true, 0);
    end(d, 0, 400);
    end(d, 10000, 400);
    CU_ASSERT_EQUAL(l.n, 0);
    CU_ASSERT_EQUAL(end(d, 20000, 400), DELIVER_DROPPED);
    CU_ASSERT_EQUAL(l.n, 1);
    CU_ASSERT_EQUAL(l.why, DELIVER_LOSS_REFUSED);
    CU_ASSERT_EQUAL(l.n_changed, 1);
    CU_ASSERT_EQUAL(l.first.alert_id, 1);
    CU_ASSERT_FALSE(l.first.resolved);
    CU_ASSERT_EQUAL(l.mark.id, 42);
    CU_ASSERT_EQUAL(l.mark.first_ms, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(l.body, "\"web-1\""));
    deliver_free(d);
}

static void too_old(void)
{
    struct lost l = {0};
    struct deliver *d = open_queue(&l, 0);
    add(d, 1, true, 0);
    end(d, 0, 503);
    CU_ASSERT_EQUAL(end(d, DELIVER_GIVE_UP_MS, 503), DELIVER_DROPPED);
    CU_ASSERT_EQUAL(l.n, 1);
    CU_ASSERT_EQUAL(l.why, DELIVER_LOSS_OLD);
    deliver_free(d);
}

static void gone(void)
{
    struct lost l = {0};
    struct deliver *d = open_queue(&l, 0);
    struct deliver_message m;
    add(d, 1, true, 0);
    end(d, 0, 200);
    add(d, 1, false, 1);
    CU_ASSERT_TRUE(deliver_take(d, 1, &m));
    add(d, 2, true, 1); // waits
    CU_ASSERT_EQUAL(deliver_done(d, m.flight, 2, 410, -1), DELIVER_GONE);
    CU_ASSERT_EQUAL(l.n, 2);
    CU_ASSERT_EQUAL(l.first.alert_id, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(l.body, "\"web-2\""));
    add(d, 3, true, 3); // comes later
    CU_ASSERT_EQUAL(l.n, 3);
    CU_ASSERT_EQUAL(l.why, DELIVER_LOSS_GONE);
    CU_ASSERT_FALSE(deliver_take(d, 9000, &m));
    deliver_back(d);
    add(d, 4, true, 4);
    CU_ASSERT_EQUAL(end(d, 4, 200), DELIVER_SENT);
    deliver_free(d);
}

static void queue_full(void)
{
    struct lost l = {0};
    struct deliver *d = open_queue(&l, 2);
    add(d, 1, true, 0);
    add(d, 2, true, 0);
    add(d, 3, true, 0);
    CU_ASSERT_EQUAL(l.n, 1);
    CU_ASSERT_EQUAL(l.why, DELIVER_LOSS_FULL);
    CU_ASSERT_EQUAL(l.first.alert_id, 3);
    CU_ASSERT_PTR_NULL(strstr(l.body, "\"web-1\"")); // it says what it changes
    CU_ASSERT_EQUAL(strlen(l.key), 32);
    add(d, 4, false, 0); // of what was never told: nothing is lost
    CU_ASSERT_EQUAL(l.n, 1);
    deliver_free(d);
}

static void reminders_are_no_letters(void)
{
    struct lost l = {0};
    struct deliver_options o = {.receiver = "r",
        .external_url = "http://c",
        .group_by_all = true,
        .repeat_ms = 1000,
        .lost = note,
        .lost_ctx = &l};
    struct deliver *d = deliver_new(&o);
    add(d, 1, true, 0);
    end(d, 0, 200);
    for (int i = 0; i < 3; i++)
        end(d, 100000 + i * 10000, 400);
    CU_ASSERT_EQUAL(l.n, 0);
    deliver_free(d);
}

static void heard_otherwise(void)
{
    struct lost l = {0};
    struct deliver *d = open_queue(&l, 0);
    struct deliver_message m;
    struct made made = {0};
    size_t n;
    add(d, 1, true, 0);
    end(d, 0, 400);
    end(d, 10000, 400);
    end(d, 20000, 400);
    deliver_told(d, &n);
    CU_ASSERT_EQUAL(deliver_heard(d, make(&made, 1, true), 30000), 0);
    const struct deliver_told *told = deliver_told(d, &n);
    CU_ASSERT_EQUAL_FATAL(n, 1);
    CU_ASSERT_EQUAL(told[0].alert_id, 1);
    CU_ASSERT_EQUAL(told[0].told, TOLD_FIRING);
    add(d, 1, false, 40000);
    CU_ASSERT_TRUE_FATAL(
        deliver_take(d, 40000, &m)); // without having heard there was nothing to say
    CU_ASSERT_TRUE(m.changed[0].resolved);
    deliver_done(d, m.flight, 40000, 200, -1);
    deliver_free(d);
}

static void without_memory(void)
{
    for (int nth = 1;; nth++) {
        struct lost l = {0};
        struct deliver *d = open_queue(&l, 1);
        add(d, 1, true, 0);
        oom_fail_at(nth);
        add(d, 2, true, 0);
        bool hit = oom_stop();
        CU_ASSERT_TRUE(l.n <= 1);
        deliver_free(d);
        if (!hit) {
            CU_ASSERT_EQUAL(l.n, 1);
            break;
        }
    }
}

int main(void)
{
    static const struct test TESTS[] = {
        {"what is refused three times is passed on whole", refused},
        {"so is what is a day old", too_old},
        {"410: what flies, what waits and what comes, until the receiver is back", gone},
        {"a change that finds no room says what it changes", queue_full},
        {"a reminder that is given up is no loss", reminders_are_no_letters},
        {"what was heard otherwise is told its end", heard_otherwise},
        {"without memory nothing leaks", without_memory},
    };
    return test_main("deliver_lost", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
