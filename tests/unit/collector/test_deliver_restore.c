// SPDX-License-Identifier: Apache-2.0
// The queue of a webhook over crashes: what the journal's rows say is enough to go on.
#include "collector/deliver.h"
#include "tests/lib/run.h"
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#define ALERTS  12
#define EPISODE 64 // at most, of each alert

// One row of the journal's model, and what the receiver really heard.
struct episode {
    struct notice n;
    struct label labels[3];
    char instance[16];
    enum told told; // as written down
    int64_t told_ms;
    bool heard_firing, heard_over;
};
struct world {
    struct deliver *d;
    struct episode *e; // [id - 1]
    size_t n;
    size_t current[ALERTS]; // index + 1 of the open episode
    uint64_t seed;
    int64_t now_ms;
    bool grouped;
    size_t resent; // the same episode said again: after a crash that hid an answer
    bool wrong;
};

static uint32_t below(struct world *w, uint32_t n)
{
    w->seed = w->seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(w->seed >> 33) % n;
}

static void open_queue(struct world *w)
{
    static const char *const BY[] = {"alertname"};
    struct deliver_options o = {.receiver = "r",
        .external_url = "http://c",
        .group_by = BY,
        .n_group_by = 1,
        .group_by_all = !w->grouped,
        .send_resolved = true,
        .seed = 7};
    w->d = deliver_new(&o);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w->d);
}

static void write_down(struct world *w, bool lost)
{
    size_t n;
    const struct deliver_told *t = deliver_told(w->d, &n);
    for (size_t i = 0; !lost && i < n; i++) {
        w->e[t[i].alert_id - 1].told = t[i].told;
        w->e[t[i].alert_id - 1].told_ms = w->now_ms;
    }
}

static void change(struct world *w, uint32_t alert)
{
    struct episode *e;
    if (!w->current[alert]) {
        if (w->n == ALERTS * EPISODE)
            return;
        e = &w->e[w->n++];
        snprintf(e->instance, sizeof(e->instance), "web-%u", alert);
        e->labels[0] = (struct label){"alertname", alert % 3 ? "Slow" : "Down"};
        e->labels[1] = (struct label){"instance", e->instance};
        e->n = (struct notice){.alert_id = w->n,
            .labels = {e->labels, 2},
            .group = "g",
            .file = "f",
            .expr = "x",
            .from = ALERT_PENDING,
            .to = ALERT_FIRING,
            .starts_at_ms = w->now_ms,
            .active_at_ms = w->now_ms};
        e->n.fingerprint = labels_fingerprint(&e->n.labels);
        w->current[alert] = w->n;
    } else {
        e = &w->e[w->current[alert] - 1];
        e->n.from = ALERT_FIRING;
        e->n.to = ALERT_INACTIVE;
        e->n.ends_at_ms = w->now_ms;
        w->current[alert] = 0;
    }
    const struct notice *n = &e->n;
    CU_ASSERT_EQUAL(deliver_add(w->d, &n, 1, w->now_ms), 0);
}

// The receiver reads the members that changed; the rest of a group it has to know already.
// The receiver has heard the end of the newest of its episodes that it heard of.
static bool is_over(const struct world *w, uint64_t fingerprint)
{
    for (size_t i = w->n; i-- > 0;)
        if (w->e[i].n.fingerprint == fingerprint && w->e[i].heard_firing)
            return w->e[i].heard_over;
    return false;
}

static void hear(struct world *w, const struct deliver_message *m)
{
    cJSON *j = cJSON_ParseWithLength((const char *)m->body->data, m->body->len), *a;
    CU_ASSERT_PTR_NOT_NULL_FATAL(j);
    for (size_t i = 0; i < m->n_changed; i++) {
        struct episode *e = &w->e[m->changed[i].alert_id - 1];
        bool again = m->changed[i].resolved ? e->heard_over : e->heard_firing;
        w->resent += again; // heard before the crash that hid our answer
        if (m->changed[i].resolved) {
            w->wrong |= !e->heard_firing || e->n.to != ALERT_INACTIVE;
            e->heard_over = true;
        } else {
            e->heard_firing = true;
        }
    }
    cJSON_ArrayForEach(a, cJSON_GetObjectItem(j, "alerts"))
    {
        const char *hex = cJSON_GetStringValue(cJSON_GetObjectItem(a, "fingerprint"));
        const char *status = cJSON_GetStringValue(cJSON_GetObjectItem(a, "status"));
        w->wrong |= !hex || !status;
        if (hex && status && strcmp(status, "firing") == 0)
            w->wrong |= is_over(w, strtoull(hex, NULL, 16));
    }
    cJSON_Delete(j);
}

// One try; `crash` = it dies after the receiver heard and before that was written down.
static void attempt(struct world *w, bool down, bool crash)
{
    struct deliver_message m;
    if (!deliver_take(w->d, w->now_ms, &m)) {
        write_down(w, false);
        return;
    }
    if (!down)
        hear(w, &m);
    deliver_done(w->d, 0, w->now_ms, down ? 503 : 200, -1);
    write_down(w, crash);
}

static void restart(struct world *w)
{
    deliver_free(w->d);
    open_queue(w);
    for (size_t i = 0; i < w->n; i++) {
        struct notice fires = w->e[i].n;
        const struct notice *over = &w->e[i].n, *n = &fires;
        fires.from = ALERT_PENDING;
        fires.to = ALERT_FIRING;
        fires.ends_at_ms = 0;
        if (w->e[i].told == TOLD_FIRING)
            CU_ASSERT_EQUAL(deliver_known(w->d, over, w->e[i].told_ms), 0);
        if (w->e[i].told == TOLD_NOTHING)
            CU_ASSERT_EQUAL(deliver_add(w->d, &n, 1, w->now_ms), 0);
        if (w->e[i].told != TOLD_OVER && over->to == ALERT_INACTIVE)
            CU_ASSERT_EQUAL(deliver_add(w->d, &over, 1, w->now_ms), 0);
    }
}

static void run_one(uint64_t seed, bool grouped, bool hides_answers)
{
    struct world w = {.seed = seed, .grouped = grouped, .now_ms = 1000};
    w.e = calloc(ALERTS * EPISODE, sizeof(*w.e));
    CU_ASSERT_PTR_NOT_NULL_FATAL(w.e);
    open_queue(&w);
    bool down = false;
    for (int step = 0; step < 300; step++) {
        w.now_ms += below(&w, 700);
        uint32_t roll = below(&w, 100);
        if (roll < 45)
            change(&w, below(&w, ALERTS));
        else if (roll < 85)
            attempt(&w, down, false);
        else if (roll < 90)
            down = !down;
        else if (roll < 93 && hides_answers) {
            attempt(&w, down, true);
            restart(&w);
        } else if (roll < 97)
            restart(&w);
    }
    for (int i = 0; i < 3000; i++) {
        w.now_ms += 10000;
        attempt(&w, false, false);
    }
    size_t missing = 0;
    for (size_t i = 0; i < w.n; i++) {
        const struct episode *e = &w.e[i];
        bool over = e->n.to == ALERT_INACTIVE;
        missing += !e->heard_firing || e->heard_over != over ||
                   e->told != (over ? TOLD_OVER : TOLD_FIRING);
    }
    if (missing || w.wrong || (!hides_answers && w.resent))
        printf("seed %llu: missing %zu, wrong %d, resent %zu\n", (unsigned long long)seed,
            missing, w.wrong, w.resent);
    CU_ASSERT_EQUAL(missing, 0);
    CU_ASSERT_FALSE(w.wrong);
    if (!hides_answers)
        CU_ASSERT_EQUAL(w.resent, 0);
    deliver_free(w.d);
    free(w.e);
}

static void every_episode_arrives(void)
{
    for (uint64_t seed = 1; seed <= 200; seed++)
        run_one(seed, seed % 2, false);
}

static void an_answer_that_was_lost_costs_a_repeat_only(void)
{
    for (uint64_t seed = 1000; seed <= 1200; seed++)
        run_one(seed, seed % 2, true);
}

static void what_was_told_is_not_told_again(void)
{
    struct world w = {.seed = 1, .grouped = true, .now_ms = 1000};
    struct deliver_message m;
    w.e = calloc(ALERTS * EPISODE, sizeof(*w.e));
    open_queue(&w);
    change(&w, 1);
    attempt(&w, false, false);
    restart(&w);
    CU_ASSERT_FALSE(deliver_take(w.d, w.now_ms, &m));
    change(&w, 2); // and the group still holds the first
    CU_ASSERT_TRUE_FATAL(deliver_take(w.d, w.now_ms, &m));
    CU_ASSERT_EQUAL(m.n_changed, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr((const char *)m.body->data, "web-1"));
    deliver_free(w.d);
    free(w.e);
}

static void the_same_content_keeps_its_key(void)
{
    struct world w = {.seed = 1, .grouped = true, .now_ms = 1000};
    struct deliver_message m;
    char key[DELIVER_KEY_MAX];
    w.e = calloc(ALERTS * EPISODE, sizeof(*w.e));
    open_queue(&w);
    change(&w, 1);
    change(&w, 2);
    CU_ASSERT_TRUE_FATAL(deliver_take(w.d, w.now_ms, &m));
    strcpy(key, m.key);
    restart(&w); // killed while it was on the wire
    CU_ASSERT_TRUE_FATAL(deliver_take(w.d, w.now_ms, &m));
    CU_ASSERT_STRING_EQUAL(m.key, key);
    deliver_free(w.d);
    free(w.e);
}

static const struct test TESTS[] = {
    {"over restarts every episode arrives once, firing before over", every_episode_arrives},
    {"an answer that a crash hid costs a repeat and nothing else",
        an_answer_that_was_lost_costs_a_repeat_only},
    {"what a receiver was told is not told again", what_was_told_is_not_told_again},
    {"the same content keeps its delivery key over a crash", the_same_content_keeps_its_key},
};

int main(void)
{
    return test_main("deliver_restore", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
