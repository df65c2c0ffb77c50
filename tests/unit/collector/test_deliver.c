// SPDX-License-Identifier: Apache-2.0
#include "collector/deliver.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

// An alert of the tests: name and number make its labels.
struct made {
    struct notice n;
    struct label labels[3];
    char instance[16];
};

static const struct notice *make(struct made *m, const char *name, int number, bool firing,
    int64_t active_ms, const char *severity)
{
    snprintf(m->instance, sizeof(m->instance), "web-%d", number);
    m->labels[0] = (struct label){"alertname", name};
    m->labels[1] = (struct label){"instance", m->instance};
    m->labels[2] = (struct label){"severity", severity};
    m->n = (struct notice){.expr = "up == 0", .group = "g", .file = "f"};
    m->n.labels = (struct labels){m->labels, 3};
    m->n.fingerprint = labels_fingerprint(&m->n.labels);
    m->n.from = firing ? ALERT_PENDING : ALERT_FIRING;
    m->n.to = firing ? ALERT_FIRING : ALERT_INACTIVE;
    m->n.starts_at_ms = active_ms;
    m->n.active_at_ms = active_ms;
    m->n.ends_at_ms = firing ? 0 : active_ms + 1;
    m->n.cause_ms = active_ms;
    m->n.decided_ms = active_ms;
    return &m->n;
}

static const char *const BY[] = {"alertname"};
static struct deliver *open_queue(const struct deliver_options *more)
{
    struct deliver_options o = more ? *more : (struct deliver_options){.send_resolved = true};
    o.receiver = "r";
    o.external_url = "http://c";
    if (!o.group_by) {
        o.group_by = BY;
        o.n_group_by = 1;
    }
    o.seed = 7;
    struct deliver *d = deliver_new(&o);
    CU_ASSERT_PTR_NOT_NULL_FATAL(d);
    return d;
}

static void add(struct deliver *d, const char *name, int number, bool firing, int64_t t)
{
    struct made m;
    const struct notice *n = make(&m, name, number, firing, t, "info");
    CU_ASSERT_EQUAL(deliver_add(d, &n, 1, t), 0);
}

// "F1R2": the alerts in the message in flight by their instance's number, sorted by it.
static const char *shape(const struct deliver_message *m)
{
    static char text[256];
    text[0] = '\0';
    cJSON *j = cJSON_ParseWithLength((const char *)m->body->data, m->body->len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(j);
    for (int number = 0; number < 10; number++) {
        cJSON *a;
        cJSON_ArrayForEach(a, cJSON_GetObjectItem(j, "alerts"))
        {
            const char *instance =
                cJSON_GetObjectItem(cJSON_GetObjectItem(a, "labels"), "instance")->valuestring;
            if (atoi(instance + 4) != number)
                continue;
            size_t len = strlen(text);
            bool firing = strcmp(cJSON_GetObjectItem(a, "status")->valuestring, "firing") == 0;
            snprintf(text + len, sizeof(text) - len, "%c%d", firing ? 'F' : 'R', number);
        }
    }
    cJSON_Delete(j);
    return text;
}

// Takes at `t`, checks what it says, ends with `status`.
static void expect(struct deliver *d, int64_t t, const char *want, int status)
{
    struct deliver_message m;
    CU_ASSERT_TRUE_FATAL(deliver_take(d, t, &m));
    CU_ASSERT_STRING_EQUAL(shape(&m), want);
    deliver_done(d, 0, t, status, -1);
}

static void first_at_once(void)
{
    struct deliver *d = open_queue(NULL);
    struct deliver_message m;
    struct made a, b;
    const struct notice *n[] = {
        make(&a, "Slow", 1, true, 1000, "page"), make(&b, "Slow", 2, true, 1000, "page")};
    CU_ASSERT_EQUAL(deliver_next(d), INT64_MAX);
    CU_ASSERT_EQUAL(deliver_add(d, n, 2, 1000), 0);
    CU_ASSERT_TRUE(deliver_next(d) <= 1000);
    CU_ASSERT_TRUE_FATAL(deliver_take(d, 1000, &m));
    CU_ASSERT_STRING_EQUAL(shape(&m), "F1F2");
    CU_ASSERT_EQUAL(m.n_changed, 2);
    CU_ASSERT_EQUAL(m.cause_ms, 1000);
    CU_ASSERT_EQUAL(deliver_done(d, 0, 1001, 200, -1), DELIVER_SENT);
    CU_ASSERT_FALSE(deliver_take(d, 1001, &m));
    deliver_free(d);
}

static void other_group_other_message(void)
{
    struct deliver *d = open_queue(NULL);
    add(d, "Slow", 1, true, 0);
    add(d, "Down", 2, true, 0);
    add(d, "Slow", 3, true, 1); // joins the group's waiting message
    expect(d, 1, "F1F3", 200);
    expect(d, 1, "F2", 200);
    deliver_free(d);
}

static void whole_group(void)
{
    struct deliver *d = open_queue(NULL);
    add(d, "Slow", 1, true, 0);
    expect(d, 0, "F1", 200);
    add(d, "Slow", 2, true, 10);
    expect(d, 10, "F1F2", 200);
    add(d, "Slow", 1, false, 20);
    expect(d, 20, "R1F2", 200);
    add(d, "Slow", 2, false, 30);
    expect(d, 30, "R2", 200);
    deliver_free(d);
}

static void keeps_every_episode(void)
{
    struct deliver *d = open_queue(NULL);
    struct deliver_message m;
    add(d, "Slow", 1, true, 0);
    CU_ASSERT_TRUE_FATAL(deliver_take(d, 0, &m)); // hangs
    add(d, "Slow", 1, false, 10);
    add(d, "Slow", 1, true, 20);
    add(d, "Slow", 2, true, 21);
    add(d, "Slow", 1, false, 30);
    CU_ASSERT_FALSE(deliver_take(d, 30, &m)); // one in flight
    CU_ASSERT_EQUAL(deliver_done(d, 0, 30, 0, -1), DELIVER_RETRY);
    expect(d, 10000, "F1", 200);
    expect(d, 10000, "R1", 200);
    expect(d, 10000, "F1F2", 200);
    expect(d, 10000, "R1F2", 200);
    CU_ASSERT_FALSE(deliver_take(d, 10000, &m));
    deliver_free(d);
}

// The receiver is away for a minute while alerts come and go; the clock is turned by hand.
static void down_for_a_minute(void)
{
    struct deliver *d = open_queue(NULL);
    struct deliver_message m;
    char key[DELIVER_KEY_MAX] = "";
    int tries = 0, messages = 0;
    char told[64] = "";
    int64_t last_try = -1, longest = 0;
    for (int64_t t = 0; t <= 120000; t++) {
        if (t == 0)
            add(d, "Slow", 1, true, t);
        if (t == 20000)
            add(d, "Slow", 1, false, t);
        if (t == 30000)
            add(d, "Down", 2, true, t);
        if (t == 40000)
            add(d, "Slow", 1, true, t);
        if (t < deliver_next(d) || !deliver_take(d, t, &m))
            continue;
        if (t < 60000) { // every try is of the same message, with the same key
            CU_ASSERT_STRING_EQUAL(shape(&m), "F1");
            if (key[0])
                CU_ASSERT_STRING_EQUAL(m.key, key);
            memcpy(key, m.key, sizeof(key));
            CU_ASSERT_EQUAL(deliver_done(d, 0, t, 503, -1), DELIVER_RETRY);
            if (last_try >= 0 && t - last_try > longest)
                longest = t - last_try;
            last_try = t;
            tries++;
            continue;
        }
        CU_ASSERT_TRUE(t <= 65000); // back within one back-off
        messages++;
        strcat(strcat(told, shape(&m)), " ");
        deliver_done(d, 0, t, 200, -1);
    }
    CU_ASSERT_STRING_EQUAL(told, "F1 R1 F2 F1 ");
    CU_ASSERT_EQUAL(messages, 4);
    CU_ASSERT_TRUE(longest <= 5000);
    CU_ASSERT_TRUE(tries >= 12 && tries < 120);
    struct deliver_stats s;
    deliver_stats(d, &s);
    CU_ASSERT_EQUAL(s.queued, 0);
    CU_ASSERT_EQUAL(s.sent, 4);
    CU_ASSERT_EQUAL(s.alerts_dropped, 0);
    CU_ASSERT_EQUAL(s.failing_since_ms, 0);
    deliver_free(d);
}

static void refused_three_times(void)
{
    struct deliver *d = open_queue(NULL);
    struct deliver_message m;
    struct deliver_stats s;
    add(d, "Slow", 1, true, 0);
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_TRUE_FATAL(deliver_take(d, 100000 * i, &m));
        CU_ASSERT_EQUAL(
            deliver_done(d, 0, 100000 * i, 400, -1), i < 2 ? DELIVER_RETRY : DELIVER_DROPPED);
    }
    deliver_stats(d, &s);
    CU_ASSERT_EQUAL(s.dropped, 1);
    CU_ASSERT_EQUAL(s.alerts_dropped, 1);
    add(d, "Slow", 1, false, 300000); // it was never told that this fired
    CU_ASSERT_FALSE(deliver_take(d, 300000, &m));
    add(d, "Slow", 1, true, 400000); // and is told the next one
    expect(d, 400000, "F1", 302);    // a redirect is not followed
    deliver_free(d);
}

static void gives_up_after_a_day(void)
{
    struct deliver *d = open_queue(NULL);
    struct deliver_message m;
    add(d, "Slow", 1, true, 0);
    CU_ASSERT_TRUE_FATAL(deliver_take(d, 1000, &m));
    CU_ASSERT_EQUAL(deliver_done(d, 0, 1000, 500, -1), DELIVER_RETRY);
    CU_ASSERT_TRUE_FATAL(deliver_take(d, DELIVER_GIVE_UP_MS, &m));
    CU_ASSERT_EQUAL(deliver_done(d, 0, DELIVER_GIVE_UP_MS, 500, -1), DELIVER_DROPPED);
    deliver_free(d);
}

static void obeys_retry_after(void)
{
    struct deliver *d = open_queue(NULL);
    struct deliver_message m;
    add(d, "Slow", 1, true, 0);
    CU_ASSERT_TRUE_FATAL(deliver_take(d, 0, &m));
    CU_ASSERT_EQUAL(deliver_done(d, 0, 0, 429, 30000), DELIVER_RETRY);
    CU_ASSERT_EQUAL(deliver_next(d), 30000);
    CU_ASSERT_FALSE(deliver_take(d, 29999, &m));
    expect(d, 30000, "F1", 200);
    deliver_free(d);
}

static void gone_stops(void)
{
    struct deliver *d = open_queue(NULL);
    struct deliver_message m;
    struct deliver_stats s;
    add(d, "Slow", 1, true, 0);
    add(d, "Down", 1, true, 0);
    CU_ASSERT_TRUE_FATAL(deliver_take(d, 0, &m));
    CU_ASSERT_EQUAL(deliver_done(d, 0, 0, 410, -1), DELIVER_GONE);
    add(d, "Slow", 2, true, 1);
    CU_ASSERT_FALSE(deliver_take(d, 1000000, &m));
    deliver_stats(d, &s);
    CU_ASSERT_EQUAL(s.queued, 0);
    CU_ASSERT_EQUAL(s.alerts_dropped, 3);
    CU_ASSERT_TRUE(s.gone);
    deliver_free(d);
}

static void waits_for_the_group(void)
{
    struct deliver_options o = {.group_wait_ms = 1000, .send_resolved = true};
    struct deliver *d = open_queue(&o);
    struct deliver_message m;
    struct made page;
    add(d, "Slow", 1, true, 0);
    add(d, "Slow", 1, false, 400); // does not overtake
    CU_ASSERT_EQUAL(deliver_next(d), 1000);
    CU_ASSERT_FALSE(deliver_take(d, 999, &m));
    expect(d, 1000, "F1", 200);
    expect(d, 1000, "R1", 200);
    add(d, "Slow", 1, true, 2000);
    const struct notice *n = make(&page, "Slow", 2, true, 2100, "page");
    deliver_add(d, &n, 1, 2100); // a page waits for nobody
    expect(d, 2100, "F1F2", 200);
    deliver_free(d);
}

static void waiting_group_lets_others_pass(void)
{
    struct deliver_options o = {.group_wait_ms = 1000, .send_resolved = true};
    struct deliver *d = open_queue(&o);
    struct made page;
    add(d, "Slow", 1, true, 0);
    const struct notice *n = make(&page, "Down", 2, true, 10, "critical");
    deliver_add(d, &n, 1, 10);
    expect(d, 10, "F2", 200);
    expect(d, 1000, "F1", 200);
    CU_ASSERT_EQUAL(deliver_next(d), INT64_MAX);
    deliver_free(d);
}

static void repeats(void)
{
    struct deliver_options o = {.repeat_ms = 60000, .send_resolved = true};
    struct deliver *d = open_queue(&o);
    struct deliver_message m;
    add(d, "Slow", 1, true, 0);
    expect(d, 0, "F1", 200);
    CU_ASSERT_EQUAL(deliver_next(d), 60000);
    CU_ASSERT_TRUE_FATAL(deliver_take(d, 60000, &m));
    CU_ASSERT_STRING_EQUAL(shape(&m), "F1");
    CU_ASSERT_EQUAL(m.n_changed, 0);
    deliver_done(d, 0, 60000, 200, -1);
    add(d, "Slow", 1, false, 70000);
    expect(d, 70000, "R1", 200);
    CU_ASSERT_EQUAL(deliver_next(d), INT64_MAX);
    deliver_free(d);
}

static void held_repeats(void)
{
    struct deliver_options o = {.repeat_ms = 60000, .send_resolved = true};
    struct deliver *d = open_queue(&o);
    struct deliver_message m;
    add(d, "Slow", 1, true, 0);
    expect(d, 0, "F1", 200);
    deliver_hold(d, true);
    CU_ASSERT_EQUAL(deliver_next(d), INT64_MAX);
    CU_ASSERT_FALSE(deliver_take(d, 70000, &m));
    deliver_hold(d, false);
    CU_ASSERT_TRUE(deliver_take(d, 70000, &m));
    CU_ASSERT_STRING_EQUAL(shape(&m), "F1");
    deliver_free(d);
}

static void no_resolved_wanted(void)
{
    struct deliver_options o = {.send_resolved = false};
    struct deliver *d = open_queue(&o);
    struct deliver_message m;
    add(d, "Slow", 1, true, 0);
    expect(d, 0, "F1", 200);
    add(d, "Slow", 1, false, 10);
    CU_ASSERT_FALSE(deliver_take(d, 10, &m));
    add(d, "Slow", 2, true, 20);
    expect(d, 20, "F2", 200);
    deliver_free(d);
}

static void bounded(void)
{
    struct deliver_options o = {.queue_max = 3, .send_resolved = true};
    struct deliver *d = open_queue(&o);
    struct deliver_stats s;
    for (int i = 0; i < 5; i++)
        add(d, "Slow", i, true, 0);
    deliver_stats(d, &s);
    CU_ASSERT_EQUAL(s.queued, 3);
    CU_ASSERT_EQUAL(s.alerts_dropped, 2);
    expect(d, 0, "F0F1F2", 200);
    deliver_free(d);
}

static void pending_says_nothing(void)
{
    struct deliver *d = open_queue(NULL);
    struct made m;
    const struct notice *n = make(&m, "Slow", 1, true, 0, "info");
    m.n.from = ALERT_INACTIVE;
    m.n.to = ALERT_PENDING;
    deliver_add(d, &n, 1, 0);
    CU_ASSERT_EQUAL(deliver_next(d), INT64_MAX);
    deliver_free(d);
}

static void key_in(char ret[DELIVER_KEY_MAX], int a, int b, int64_t active)
{
    struct deliver *d = open_queue(NULL);
    struct deliver_message m;
    add(d, "Slow", a, true, active);
    if (b)
        add(d, "Slow", b, true, active);
    CU_ASSERT_TRUE_FATAL(deliver_take(d, active, &m));
    memcpy(ret, m.key, DELIVER_KEY_MAX);
    deliver_free(d);
}

static void key_is_of_the_content(void)
{
    char k[4][DELIVER_KEY_MAX];
    key_in(k[0], 1, 2, 0);
    key_in(k[1], 2, 1, 0);
    key_in(k[2], 1, 0, 0);
    key_in(k[3], 1, 2, 1);
    CU_ASSERT_STRING_EQUAL(k[0], k[1]);
    CU_ASSERT_STRING_NOT_EQUAL(k[0], k[2]);
    CU_ASSERT_STRING_NOT_EQUAL(k[0], k[3]);
}

static void no_memory(void)
{
    for (int nth = 1;; nth++) {
        struct deliver *d = open_queue(NULL);
        struct deliver_message m;
        struct made a;
        const struct notice *n = make(&a, "Slow", 1, true, 0, "info");
        oom_fail_at(nth);
        int rc = deliver_add(d, &n, 1, 0);
        bool took = deliver_take(d, 0, &m);
        bool hit = oom_stop();
        // A message that could not be made is made later; only a change that could not be
        // kept is lost, and counted.
        struct deliver_stats s;
        deliver_stats(d, &s);
        CU_ASSERT_EQUAL(rc, s.alerts_dropped ? -ENOMEM : 0);
        if (!took && !s.alerts_dropped)
            CU_ASSERT_TRUE(deliver_take(d, 2000, &m));
        deliver_free(d);
        if (!hit) {
            CU_ASSERT_TRUE(took);
            break;
        }
    }
}

// The receiver cannot read one group's message, and says 500 each time; those behind it get through.
static void what_it_chokes_on(void)
{
    struct deliver *d = open_queue(NULL);
    struct deliver_message m;
    char key[DELIVER_KEY_MAX] = "";
    int tries = 0;
    add(d, "Poison", 1, true, 0);
    for (int64_t t = 0; t <= 60000; t++) {
        if (t % 10000 == 1000)
            add(d, "Other", 2, true, t);
        if (t % 10000 == 6000)
            add(d, "Other", 2, false, t);
        if (t < deliver_next(d) || !deliver_take(d, t, &m))
            continue;
        bool poison = strcmp(shape(&m), "F1") == 0;
        if (poison && key[0])
            CU_ASSERT_STRING_EQUAL(m.key, key);
        if (poison) {
            CU_ASSERT_EQUAL(m.tries, tries);
            memcpy(key, m.key, sizeof(key));
            tries++;
        } else {
            CU_ASSERT_TRUE(t % 5000 >= 1000 && t % 5000 <= 1500); // at most one try in front
        }
        deliver_done(d, 0, t, poison ? 500 : 200, -1);
    }
    struct deliver_stats s;
    deliver_stats(d, &s);
    CU_ASSERT_EQUAL(s.sent, 12);
    CU_ASSERT_EQUAL(s.queued, 1);
    CU_ASSERT_TRUE(tries >= 12 && tries < 120);
    deliver_free(d);
}

// All of a broken receiver's groups share its back-off.
static void broken_for_all(void)
{
    struct deliver *d = open_queue(NULL);
    struct deliver_message m;
    char name[16];
    int tries = 0;
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "A%d", i);
        add(d, name, 1, true, 0);
    }
    for (int64_t t = 0; t <= 60000; t++)
        if (t >= deliver_next(d) && deliver_take(d, t, &m)) {
            tries++;
            deliver_done(d, 0, t, 500, -1);
        }
    CU_ASSERT_TRUE(tries >= 12 && tries < 120);
    deliver_free(d);
}

static bool is_quiet(void *ctx, const struct notice *n)
{
    (void)n;
    return *(const bool *)ctx;
}

static void nobody_is_reminded_of_what_is_silenced(void)
{
    bool silenced = false;
    struct deliver_options o = {
        .repeat_ms = 60000, .send_resolved = true, .quiet = is_quiet, .quiet_ctx = &silenced};
    struct deliver *d = open_queue(&o);
    struct deliver_message m;
    add(d, "Slow", 1, true, 0);
    expect(d, 0, "F1", 200);
    silenced = true;
    CU_ASSERT_FALSE(deliver_take(d, 60000, &m));
    CU_ASSERT_TRUE(deliver_next(d) > 60000);
    add(d, "Slow", 2, true, 61000); // news is no reminder; who mutes news is the ledger
    expect(d, 61000, "F1F2", 200);
    CU_ASSERT_FALSE(deliver_take(d, 121000, &m));
    silenced = false;
    expect(d, deliver_next(d), "F1F2", 200);
    deliver_free(d);
}

// Three may fly: each of another group. The second episode of the first group waits for it.
static void several_groups_fly(void)
{
    struct deliver_options o = {.send_resolved = true, .flights = 3};
    struct deliver *d = open_queue(&o);
    struct deliver_message a, b, c, e;
    add(d, "A", 1, true, 0);
    CU_ASSERT_TRUE_FATAL(deliver_take(d, 0, &a));
    add(d, "A", 1, false, 0);
    add(d, "B", 2, true, 0);
    add(d, "C", 3, true, 0);
    add(d, "D", 4, true, 0);
    CU_ASSERT_TRUE_FATAL(deliver_take(d, 0, &b));
    CU_ASSERT_TRUE_FATAL(deliver_take(d, 0, &c));
    CU_ASSERT_STRING_EQUAL(shape(&a), "F1");
    CU_ASSERT_STRING_EQUAL(shape(&b), "F2");
    CU_ASSERT_STRING_EQUAL(shape(&c), "F3");
    CU_ASSERT_FALSE(deliver_take(d, 0, &e));
    CU_ASSERT_EQUAL(deliver_next(d), INT64_MAX);
    CU_ASSERT_EQUAL(deliver_done(d, b.flight, 1, 200, -1), DELIVER_SENT);
    CU_ASSERT_TRUE_FATAL(deliver_take(d, 1, &e)); // not A's end: A is still on its way
    CU_ASSERT_STRING_EQUAL(shape(&e), "F4");
    CU_ASSERT_EQUAL(deliver_done(d, c.flight, 1, 200, -1), DELIVER_SENT);
    CU_ASSERT_EQUAL(deliver_next(d), INT64_MAX);
    CU_ASSERT_EQUAL(deliver_done(d, a.flight, 2, 200, -1), DELIVER_SENT);
    CU_ASSERT_TRUE_FATAL(deliver_take(d, 2, &a));
    CU_ASSERT_STRING_EQUAL(shape(&a), "R1");
    CU_ASSERT_EQUAL(deliver_done(d, a.flight, 2, 200, -1), DELIVER_SENT);
    CU_ASSERT_EQUAL(deliver_done(d, e.flight, 2, 200, -1), DELIVER_SENT);
    CU_ASSERT_EQUAL(deliver_next(d), INT64_MAX);
    deliver_free(d);
}

// The receiver goes away with three in flight: that is one failure, and then one at a time is tried
// until one gets through.
static void one_flies_while_it_fails(void)
{
    struct deliver_options o = {.send_resolved = true, .flights = 3};
    struct deliver *d = open_queue(&o);
    struct deliver_message m[3], more;
    const char *const names[] = {"A", "B", "C", "D"};
    for (int i = 0; i < 4; i++)
        add(d, names[i], i + 1, true, 0);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_TRUE_FATAL(deliver_take(d, 0, &m[i]));
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(deliver_done(d, m[i].flight, 0, 503, -1), DELIVER_RETRY);
    CU_ASSERT_EQUAL(deliver_next(d), 0); // the first wait is none
    CU_ASSERT_TRUE_FATAL(deliver_take(d, 0, &m[0]));
    CU_ASSERT_FALSE(deliver_take(d, 0, &more));
    CU_ASSERT_EQUAL(deliver_done(d, m[0].flight, 0, 503, -1), DELIVER_RETRY);
    deliver_free(d);
    d = open_queue(&o);
    for (int i = 0; i < 4; i++)
        add(d, names[i], i + 1, true, 0);
    CU_ASSERT_TRUE_FATAL(deliver_take(d, 0, &m[0]));
    CU_ASSERT_TRUE_FATAL(deliver_take(d, 0, &m[1]));
    CU_ASSERT_EQUAL(deliver_done(d, m[0].flight, 0, 429, 30000), DELIVER_RETRY);
    CU_ASSERT_EQUAL(deliver_done(d, m[1].flight, 0, 200, -1), DELIVER_SENT);
    CU_ASSERT_EQUAL(deliver_next(d), 30000); // Retry-After stands, whatever else got through
    deliver_free(d);
}

static const struct test TESTS[] = {
    {"nobody is reminded of what is silenced", nobody_is_reminded_of_what_is_silenced},
    {"sends a new group at once, members of one drain together", first_at_once},
    {"sends another group in its own message", other_group_other_message},
    {"shows the whole group", whole_group},
    {"never swallows firing and resolved while one hangs", keeps_every_episode},
    {"loses nothing and keeps order over a minute without receiver", down_for_a_minute},
    {"what it chokes on keeps back its own group only", what_it_chokes_on},
    {"a receiver that fails at everything is not tried more often", broken_for_all},
    {"has one message of each group in flight, and some of several", several_groups_fly},
    {"has one in flight while the receiver fails", one_flies_while_it_fails},
    {"drops what is refused three times, and its resolved", refused_three_times},
    {"gives up after a day", gives_up_after_a_day},
    {"waits as long as Retry-After says", obeys_retry_after},
    {"stops at 410", gone_stops},
    {"waits group_wait unless it is a page", waits_for_the_group},
    {"lets others pass a waiting group", waiting_group_lets_others_pass},
    {"repeats a standing state after repeat_interval", repeats},
    {"repeats nothing while held", held_repeats},
    {"tells no resolved when none is wanted", no_resolved_wanted},
    {"refuses more than the queue holds and counts it", bounded},
    {"says nothing of a pending alert", pending_says_nothing},
    {"has one key for one content", key_is_of_the_content},
    {"survives each failed allocation", no_memory},
};
int main(void)
{
    return test_main("deliver", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
