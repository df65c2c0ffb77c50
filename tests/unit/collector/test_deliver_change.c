// SPDX-License-Identifier: Apache-2.0
#include "collector/deliver.h"
#include "collector/webhook.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <string.h>

// One label besides the name, by which an alert is grouped or not.
struct made {
    struct notice n;
    struct label labels[2];
};

static const struct notice *make(struct made *m, uint64_t id, const char *team, bool firing)
{
    m->labels[0] = (struct label){"alertname", "A"};
    m->labels[1] = (struct label){"team", team};
    m->n = (struct notice){.expr = "x", .group = "g", .file = "f", .alert_id = id};
    m->n.labels = (struct labels){m->labels, 2};
    m->n.fingerprint = labels_fingerprint(&m->n.labels);
    m->n.from = firing ? ALERT_PENDING : ALERT_FIRING;
    m->n.to = firing ? ALERT_FIRING : ALERT_INACTIVE;
    m->n.starts_at_ms = m->n.active_at_ms = 1000;
    return &m->n;
}

static const char *const BY_NAME[] = {"alertname"}, *const BY_TEAM[] = {"team"};
static const struct deliver_options NAME = {.receiver = "r",
    .external_url = "http://c",
    .group_by = BY_NAME,
    .n_group_by = 1,
    .send_resolved = true,
    .flights = 4};
static const struct deliver_options TEAM = {.receiver = "r",
    .external_url = "http://c",
    .group_by = BY_TEAM,
    .n_group_by = 1,
    .send_resolved = true,
    .flights = 4};

static void add(struct deliver *d, uint64_t id, const char *team, bool firing, int64_t now_ms)
{
    struct made m;
    const struct notice *n = make(&m, id, team, firing);
    CU_ASSERT_EQUAL(deliver_add(d, &n, 1, now_ms), 0);
}

static void sent(struct deliver *d, int64_t now_ms, const char *group_key)
{
    struct deliver_message m;
    char key[128];
    CU_ASSERT_TRUE_FATAL(deliver_take(d, now_ms, &m));
    snprintf(key, sizeof(key), "\"groupKey\":\"%s\"", group_key);
    CU_ASSERT_PTR_NOT_NULL(memmem(m.body->data, m.body->len, key, strlen(key)));
    CU_ASSERT_EQUAL(deliver_done(d, m.flight, now_ms, 200, -1), DELIVER_SENT);
}

static void regroup(struct deliver *d, const struct deliver_options *o)
{
    CU_ASSERT_EQUAL(deliver_prepare(d, o), 0);
    deliver_configure(d, o);
}

static void stays(void)
{
    struct deliver *d = deliver_new(&NAME);
    struct deliver_message m;
    add(d, 1, "web", true, 0);
    sent(d, 0, "{}:{alertname=\\\"A\\\"}");
    regroup(d, &TEAM);
    CU_ASSERT_FALSE(deliver_take(d, 1, &m)); // nothing is told again
    add(d, 2, "db", true, 1);
    sent(d, 1, "{}:{team=\\\"db\\\"}");
    add(d, 1, "web", false, 2);
    sent(d, 2, "{}:{alertname=\\\"A\\\"}");
    add(d, 3, "web", true, 3); // another episode
    sent(d, 3, "{}:{team=\\\"web\\\"}");
    deliver_free(d);
}

static bool not_web(void *ctx, const struct notice *n)
{
    (void)ctx;
    return strcmp(labels_get(&n->labels, "team"), "web") != 0;
}

static void sifts(void)
{
    struct deliver *d = deliver_new(&NAME);
    struct deliver_message m;
    struct deliver_stats s;
    add(d, 1, "web", true, 0);
    add(d, 1, "web", false, 0);
    add(d, 2, "db", true, 0);
    CU_ASSERT_EQUAL(deliver_sift(d, not_web, NULL), 2);
    deliver_stats(d, &s);
    CU_ASSERT_EQUAL(s.queued, 1);
    sent(d, 0, "{}:{alertname=\\\"A\\\"}");
    CU_ASSERT_FALSE(deliver_take(d, 0, &m)); // an item that is empty is no repeat
    deliver_free(d);
}

static void in_flight(void)
{
    struct deliver *d = deliver_new(&NAME);
    struct deliver_message m;
    struct made n;
    add(d, 1, "web", true, 0);
    CU_ASSERT_FALSE(deliver_tells(d, make(&n, 1, "web", true)));
    CU_ASSERT_TRUE_FATAL(deliver_take(d, 0, &m));
    CU_ASSERT_TRUE(deliver_tells(d, make(&n, 1, "web", true)));
    CU_ASSERT_EQUAL(deliver_sift(d, not_web, NULL), 0);
    regroup(d, &TEAM);
    CU_ASSERT_EQUAL(deliver_done(d, m.flight, 1, 0, -1), DELIVER_RETRY);
    deliver_retry(d);
    sent(d, 1, "{}:{alertname=\\\"A\\\"}");                      // as it was, so under its key
    CU_ASSERT_FALSE(deliver_tells(d, make(&n, 2, "web", true))); // another episode
    deliver_free(d);
}

static void retired(void)
{
    struct deliver *d = deliver_new(&NAME);
    struct deliver_message m;
    size_t n;
    add(d, 1, "web", true, 0);
    sent(d, 0, "{}:{alertname=\\\"A\\\"}");
    deliver_told(d, &n);
    deliver_retire(d);
    add(d, 2, "db", true, 1);
    CU_ASSERT_FALSE(deliver_take(d, 1, &m));
    CU_ASSERT_FALSE(deliver_idle(d));
    add(d, 1, "web", false, 2);
    CU_ASSERT_FALSE(deliver_take(d, 2, &m));
    const struct deliver_told *told = deliver_told(d, &n);
    CU_ASSERT_EQUAL_FATAL(n, 1);
    CU_ASSERT_EQUAL(told[0].told, TOLD_OVER);
    CU_ASSERT_TRUE(deliver_idle(d));
    regroup(d, &NAME);
    add(d, 3, "web", true, 3);
    sent(d, 3, "{}:{alertname=\\\"A\\\"}");
    deliver_free(d);
}

static void no_memory(void)
{
    for (int nth = 1;; nth++) {
        struct deliver *d = deliver_new(&NAME);
        add(d, 1, "web", true, 0);
        sent(d, 0, "{}:{alertname=\\\"A\\\"}");
        add(d, 2, "db", true, 0);
        oom_fail_at(nth);
        int rc = deliver_prepare(d, &TEAM);
        bool hit = oom_stop();
        CU_ASSERT_EQUAL(rc, hit ? -ENOMEM : 0);
        sent(d, 0, "{}:{alertname=\\\"A\\\"}"); // as before in any case
        deliver_free(d);
        if (!hit)
            break;
    }
}

static const struct test TESTS[] = {
    {"an alert stays in its group until it is over when another grouping comes", stays},
    {"what is taken out of the queue leaves nothing behind", sifts},
    {"a message in flight lands where it began", in_flight},
    {"a retired queue tells nobody, and forgets what is over", retired},
    {"no memory for a change leaves all as it was", no_memory},
};
int main(void)
{
    return test_main("deliver_change", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
