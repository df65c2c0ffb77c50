// SPDX-License-Identifier: Apache-2.0
#include "collector/deliver.h"
#include "tests/lib/run.h"
#include <stdlib.h>
#include <string.h>

#define GROUPS    6
#define FAR_MS    (7 * 3600 * 1000LL)
#define REPEAT_MS (3600 * 1000LL)

static uint64_t state = 88172645463325252u;
static unsigned rnd(unsigned below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state % below);
}

static struct label pair[GROUPS][2];
static char number[GROUPS][8];
static struct labels labels_of(unsigned g)
{
    snprintf(number[g], sizeof(number[g]), "%u", g);
    pair[g][0] = (struct label){"alertname", "Hot"};
    pair[g][1] = (struct label){"n", number[g]};
    return (struct labels){pair[g], 2};
}

static bool quiet_now[GROUPS];
static bool no_reminder(void *ctx, const struct notice *n)
{
    (void)ctx;
    return quiet_now[n->fingerprint];
}

static struct deliver *queue(unsigned flights, int64_t wait_ms, int64_t repeat_ms)
{
    static const char *const BY[] = {"n"};
    struct deliver_options o = {.receiver = "r",
        .external_url = "http://x",
        .group_by = BY,
        .n_group_by = 1,
        .group_wait_ms = wait_ms,
        .repeat_ms = repeat_ms,
        .quiet = no_reminder,
        .send_resolved = true,
        .flights = flights,
        .seed = state};
    return deliver_new(&o);
}

static void change(struct deliver *d, unsigned g, bool firing, int64_t now_ms)
{
    static uint64_t episode;
    struct notice n = {.alert_id = ++episode,
        .fingerprint = g,
        .labels = labels_of(g),
        .group = "g",
        .file = "f",
        .expr = "x",
        .from = firing ? ALERT_PENDING : ALERT_FIRING,
        .to = firing ? ALERT_FIRING : ALERT_INACTIVE,
        .starts_at_ms = 1,
        .ends_at_ms = firing ? 0 : 2};
    const struct notice *one = &n;
    CU_ASSERT_EQUAL(deliver_add(d, &one, 1, now_ms), 0);
}

static unsigned group_in(const struct deliver_message *m)
{
    const char *at = memmem(m->body->data, m->body->len, "\"n\":\"", 5);
    return at ? (unsigned)strtoul(at + 5, NULL, 10) : GROUPS;
}

static struct deliver_why why_of(const struct deliver *d, unsigned g, int64_t now_ms)
{
    struct deliver_why why;
    struct labels l = labels_of(g);
    deliver_why(d, &l, now_ms, &why);
    return why;
}

// Lets time pass with no answer and no change. Each group goes when it was said to, or never.
static int told_times_hold(
    struct deliver *d, int64_t now_ms, unsigned *flying, size_t *n_flying)
{
    struct deliver_why why[GROUPS];
    int64_t went[GROUPS], end = now_ms + FAR_MS;
    struct deliver_message m;
    int wrong = 0;
    for (unsigned g = 0; g < GROUPS; g++) {
        why[g] = why_of(d, g, now_ms);
        went[g] = INT64_MAX;
    }
    unsigned again = 0;
    for (int64_t t = now_ms; t < end;) {
        while (deliver_take(d, t, &m)) {
            unsigned g = group_in(&m);
            if (g < GROUPS && went[g] == INT64_MAX)
                went[g] = t;
            flying[(*n_flying)++] = m.flight;
        }
        int64_t next = deliver_next(d);
        // A reminder that is muted is put off and says false: the caller comes again at once.
        again = next > t ? 0 : again + 1;
        t = next > t ? next : again > GROUPS ? t + 1 : t;
    }
    for (unsigned g = 0; g < GROUPS; g++) {
        bool ok = why[g].exact
                      ? went[g] == why[g].at_ms || (why[g].at_ms >= end && went[g] == INT64_MAX)
                      : went[g] >= why[g].at_ms;
        wrong += !ok;
        if (!ok)
            fprintf(stderr, "group %u reason %d exact %d: said %lld, went %lld, now %lld\n", g,
                (int)why[g].reason, why[g].exact, (long long)why[g].at_ms, (long long)went[g],
                (long long)now_ms);
    }
    return wrong;
}

static void the_time_that_is_said_is_the_time_it_goes(void)
{
    static const int STATUS[] = {200, 200, 200, 0, 503, 500, 429, 400};
    int wrong = 0;
    for (int round = 0; round < test_rounds(3000) && wrong < 5; round++) {
        unsigned flying[4096];
        size_t n_flying = 0;
        bool firing[GROUPS] = {0}, asked[GROUPS] = {0};
        int64_t now = 1000;
        struct deliver *d = queue(1 + rnd(4), rnd(2) ? 0 : 30000, rnd(4) ? REPEAT_MS : 0);
        CU_ASSERT_PTR_NOT_NULL_FATAL(d);
        memset(quiet_now, 0, sizeof(quiet_now));
        for (unsigned steps = rnd(60); steps; steps--) {
            unsigned g = rnd(GROUPS);
            struct deliver_message m;
            switch (rnd(6)) {
            case 0:
            case 1:
                // What never was delivered as firing resolves into a message that holds nothing.
                if (!firing[g] || asked[g]) {
                    change(d, g, !firing[g], now);
                    firing[g] = !firing[g];
                    asked[g] = false;
                }
                break;
            case 2:
            case 3:
                while (deliver_take(d, now, &m)) {
                    asked[group_in(&m)] = true;
                    flying[n_flying++] = m.flight;
                    if (rnd(2))
                        break;
                }
                break;
            case 4:
                if (n_flying) {
                    size_t at = rnd((unsigned)n_flying);
                    int status = STATUS[rnd(8)];
                    (void)deliver_done(
                        d, flying[at], now, status, status == 429 && rnd(2) ? 20000 : -1);
                    flying[at] = flying[--n_flying];
                }
                break;
            case 5: now += rnd(3) ? rnd(3000) : rnd(2 * REPEAT_MS); break;
            }
        }
        for (unsigned g = 0; g < GROUPS; g++)
            quiet_now[g] = rnd(8) == 0;
        wrong += told_times_hold(d, now, flying, &n_flying);
        deliver_free(d);
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static void says_why(void)
{
    struct deliver_message m;
    struct deliver *d = queue(1, 30000, REPEAT_MS);
    memset(quiet_now, 0, sizeof(quiet_now));
    CU_ASSERT_EQUAL(why_of(d, 0, 0).reason, DELIVER_WHY_NOTHING);
    change(d, 0, true, 1000);
    struct deliver_why why = why_of(d, 0, 2000);
    CU_ASSERT_EQUAL(why.reason, DELIVER_WHY_GROUP_WAIT);
    CU_ASSERT_EQUAL(why.at_ms, 31000);
    CU_ASSERT_EQUAL(why_of(d, 0, 31000).reason, DELIVER_WHY_NOW);
    CU_ASSERT_TRUE_FATAL(deliver_take(d, 31000, &m));
    CU_ASSERT_EQUAL(why_of(d, 0, 31000).reason, DELIVER_WHY_IN_FLIGHT);
    CU_ASSERT_EQUAL(deliver_done(d, m.flight, 31000, 503, 20000), DELIVER_RETRY);
    why = why_of(d, 0, 31000);
    CU_ASSERT_EQUAL(why.reason, DELIVER_WHY_RETRY_AFTER);
    CU_ASSERT_EQUAL(why.at_ms, 51000);
    CU_ASSERT_EQUAL(why.status, 503);
    CU_ASSERT_EQUAL(why.failing_since_ms, 31000);
    CU_ASSERT_TRUE_FATAL(deliver_take(d, 51000, &m));
    CU_ASSERT_EQUAL(deliver_done(d, m.flight, 51000, 200, -1), DELIVER_SENT);
    why = why_of(d, 0, 51000);
    CU_ASSERT_EQUAL(why.reason, DELIVER_WHY_REPEAT);
    CU_ASSERT_EQUAL(why.at_ms, 51000 + REPEAT_MS);
    quiet_now[0] = true;
    CU_ASSERT_EQUAL(why_of(d, 0, 51000).reason, DELIVER_WHY_QUIET);
    deliver_hold(d, true);
    CU_ASSERT_EQUAL(why_of(d, 0, 51000).reason, DELIVER_WHY_HELD);
    change(d, 0, false, 52000);
    CU_ASSERT_TRUE_FATAL(deliver_take(d, 52000, &m));
    CU_ASSERT_EQUAL(deliver_done(d, m.flight, 52000, 410, -1), DELIVER_GONE);
    CU_ASSERT_EQUAL(why_of(d, 0, 52000).reason, DELIVER_WHY_GONE);
    deliver_free(d);
}

static const struct test TESTS[] = {
    {"the time that is said is the time it goes", the_time_that_is_said_is_the_time_it_goes},
    {"says why", says_why},
};
int main(void)
{
    return test_main("deliver_why", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
