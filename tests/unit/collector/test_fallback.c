// SPDX-License-Identifier: Apache-2.0
// Who is told when a receiver is not reached, by enumeration: every order of an alert that begins and ends,
// of receivers that fail and recover, deadlines and crashes, up to a depth. Ledger and queues are the real
// things, on a clock turned by hand; the journal is a row for each episode.
#include "collector/fallback.h"
#include "collector/mutes.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <stdlib.h>
#include <string.h>

#define AFTER_MS 60000
#define EPISODES 16
#define LANES    3 // X, which the alert goes to, Y for X, Z for Y
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define DEPTH 6
#else
#define DEPTH 7
#endif

enum { X, Y, Z };
struct row {
    struct notice n;
    struct label label[1];
    enum told told[LANES];
    int firing[LANES], over[LANES]; // times heard
    int64_t waits_ms;               // since when X could have heard of it, in this run
    size_t lanes;                   // that have to be through with it when it is over
};
struct world {
    struct ledger *l;
    struct deliver *queue[LANES];
    struct row row[EPISODES];
    size_t rows, open; // row + 1 of the episode that fires
    int64_t now_ms;
    int status[LANES];       // what it answers
    bool muted, chain, same; // same: the alert goes to the people of Y anyway
    int64_t group_wait_ms;
    size_t joined;
    bool lost, wrong;
};

static size_t route(void *ctx, const struct labels *l, uint32_t *ret, size_t max)
{
    const struct world *w = ctx;
    (void)l;
    CU_ASSERT(max >= 2);
    ret[0] = X;
    ret[1] = Z;
    return w->same ? 2 : 1;
}

static void take(void *ctx, const struct notice *n)
{
    (void)ctx;
    (void)n;
}

static unsigned muted(void *ctx, const struct notice *n, uint32_t lane)
{
    const struct world *w = ctx;
    (void)n;
    return w->muted && lane == Y ? MUTE_SILENCE : 0;
}

static void say(void *ctx, uint32_t lane, const struct notice *n)
{
    struct world *w = ctx;
    w->lost |= deliver_add(w->queue[lane], &n, 1, w->now_ms) < 0;
}

static void nothing(void *ctx, uint32_t lane, uint64_t alert_id)
{
    struct world *w = ctx;
    w->row[alert_id - 1].told[lane] = TOLD_OVER;
}

static size_t fallbacks(void *ctx, uint32_t from, uint32_t *ret, size_t max)
{
    const struct world *w = ctx;
    CU_ASSERT(max >= 1);
    ret[0] = from + 1;
    return from == X || (from == Y && w->chain);
}

static bool same(void *ctx, uint32_t a, uint32_t b)
{
    const struct world *w = ctx;
    return a == b || (w->same && a != X && b != X);
}

static void joined(void *ctx, uint64_t alert_id)
{
    struct world *w = ctx;
    (void)alert_id;
    w->joined++;
}

// The text of a message is no business of this test.
static int make(void *ctx, const struct webhook_message *m, struct buf *body, struct buf *path)
{
    (void)ctx;
    (void)m;
    (void)path;
    return buf_adds(body, "x");
}

static void start(struct world *w)
{
    static const struct ledger_options OPTIONS = {.route = route,
        .take = take,
        .muted = muted,
        .say = say,
        .again = say,
        .nothing = nothing};
    struct ledger_options o = OPTIONS;
    o.ctx = w;
    w->l = ledger_new(&o);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w->l);
    for (int i = 0; i < LANES; i++) {
        struct deliver_options q = {.receiver = i == X   ? "x"
                                                : i == Y ? "y"
                                                         : "z",
            .external_url = "http://c",
            .group_by_all = true,
            .group_wait_ms = i == X ? w->group_wait_ms : 0,
            .send_resolved = true,
            .late_ms = i == X || w->chain ? AFTER_MS : 0,
            .fallback_for = i == Y ? "x" : NULL,
            .make = make,
            .seed = 7};
        w->queue[i] = deliver_new(&q);
        CU_ASSERT_PTR_NOT_NULL_FATAL(w->queue[i]);
    }
}

static void stop(struct world *w)
{
    ledger_free(w->l);
    for (int i = 0; i < LANES; i++)
        deliver_free(w->queue[i]);
}

static void begin_world(struct world *w)
{
    *w = (struct world){.now_ms = 1000000, .status = {200, 200, 200}};
    start(w);
}

static void hear(struct world *w, int lane, const struct deliver_message *m)
{
    for (size_t i = 0; i < m->n_changed; i++) {
        struct row *r = &w->row[m->changed[i].alert_id - 1];
        if (m->changed[i].resolved)
            r->over[lane]++;
        else
            r->firing[lane]++;
        w->wrong |= r->over[lane] > r->firing[lane];
    }
}

static size_t look(struct world *w)
{
    struct fallback f = {.ledger = w->l,
        .ctx = w,
        .lanes = fallbacks,
        .same = same,
        .muted = muted,
        .say = say,
        .joined = joined};
    size_t said = 0;
    for (uint32_t i = 0; i < LANES; i++)
        said += fallback_look(&f, i, w->queue[i], w->now_ms);
    return said;
}

// What one turn of the notifier does.
static void pump(struct world *w)
{
    (void)look(w);
    for (int i = 0; i < LANES; i++) {
        struct deliver_message m;
        while (deliver_take(w->queue[i], w->now_ms, &m)) {
            if (w->status[i] == 200)
                hear(w, i, &m);
            deliver_done(w->queue[i], m.flight, w->now_ms, w->status[i], -1);
        }
        size_t n;
        const struct deliver_told *told = deliver_told(w->queue[i], &n);
        for (size_t k = 0; k < n; k++)
            w->row[told[k].alert_id - 1].told[i] = told[k].told;
    }
}

// Longer than any back-off, and than looking again.
static void later(struct world *w, int64_t ms)
{
    for (int64_t end = w->now_ms + ms; w->now_ms < end;) {
        int64_t step = end - w->now_ms;
        w->now_ms += step < 6000 ? step : 6000;
        pump(w);
    }
}

static void change(struct world *w)
{
    struct row *r = &w->row[w->open ? w->open - 1 : w->rows];
    if (!w->open) {
        r->label[0] = (struct label){"alertname", "Down"};
        r->n = (struct notice){.alert_id = ++w->rows,
            .labels = {r->label, 1},
            .group = "g",
            .file = "f",
            .expr = "up == 0",
            .fingerprint = 7,
            .from = ALERT_PENDING,
            .to = ALERT_FIRING,
            .starts_at_ms = w->now_ms};
        r->waits_ms = w->now_ms;
        w->open = w->rows;
    } else {
        struct ledger_lane there[LEDGER_LANES_MAX];
        r->lanes = ledger_lanes(w->l, r->n.alert_id, there);
        r->n.from = ALERT_FIRING;
        r->n.to = ALERT_INACTIVE;
        r->n.ends_at_ms = w->now_ms;
        w->open = 0;
    }
    const struct notice *n = &r->n;
    CU_ASSERT_EQUAL(ledger_add(w->l, &n, 1), 0);
    pump(w);
}

static void crash(struct world *w)
{
    stop(w);
    start(w);
    for (size_t i = 0; i < w->rows; i++) {
        struct row *r = &w->row[i];
        uint32_t lane[LANES];
        enum told told[LANES];
        size_t n = 0, through = 0;
        for (uint32_t k = 0; k < LANES; k++) {
            through += r->told[k] == TOLD_OVER;
            if (r->told[k] == TOLD_NOTHING)
                continue;
            lane[n] = k;
            told[n++] = r->told[k];
            if (r->told[k] == TOLD_FIRING)
                CU_ASSERT_EQUAL(deliver_known(w->queue[k], &r->n, w->now_ms), 0);
        }
        if (r->n.to == ALERT_INACTIVE && through >= r->lanes)
            continue; // the row is gone
        CU_ASSERT_EQUAL(ledger_restore(w->l, &r->n, lane, told, n), 0);
        r->waits_ms = w->now_ms;
    }
    ledger_recheck(w->l);
    pump(w);
}

// Whoever is told last is told the truth, and once.
static void check_end(struct world *w)
{
    for (size_t i = 0; i < w->rows; i++) {
        const struct row *r = &w->row[i];
        bool over = r->n.to == ALERT_INACTIVE;
        w->wrong |= r->firing[X] != 1 || r->over[X] != over;
        w->wrong |= r->firing[Y] > 1 || r->over[Y] != (over ? r->firing[Y] : 0);
    }
}

enum event { CHANGE, X_TURNS, Y_TURNS, DEADLINE, CRASH, EVENTS };
static void step(struct world *w, enum event e)
{
    switch (e) {
    case CHANGE: change(w); return;
    case X_TURNS: w->status[X] = w->status[X] == 200 ? 503 : 200; break;
    case Y_TURNS: w->status[Y] = w->status[Y] == 200 ? 0 : 200; break;
    case DEADLINE: {
        later(w, AFTER_MS + 10000);
        const struct row *r = w->open ? &w->row[w->open - 1] : NULL;
        if (r && w->status[Y] == 200 && w->status[X] != 200 && !r->firing[X])
            w->wrong |= r->firing[Y] != 1;
        return;
    }
    case CRASH: crash(w); return;
    case EVENTS: return;
    }
    later(w, 6000);
}

static void every_order(void)
{
    size_t orders = 1, bad = 0, fell = 0;
    for (int i = 0; i < DEPTH; i++)
        orders *= EVENTS;
    for (size_t order = 0; order < orders; order++) {
        struct world w;
        begin_world(&w);
        for (size_t i = 0, rest = order; i < DEPTH; i++, rest /= EVENTS)
            step(&w, (enum event)(rest % EVENTS));
        w.status[X] = w.status[Y] = 200;
        later(&w, 12000);
        check_end(&w);
        fell += w.joined > 0;
        if (w.wrong && !bad++)
            printf("order %zu is wrong\n", order);
        stop(&w);
    }
    printf("%zu orders, another was told in %zu of them ", orders, fell);
    CU_ASSERT_EQUAL(bad, 0);
    CU_ASSERT(fell > orders / 20);
}

static void not_before_its_time(void)
{
    struct world w;
    begin_world(&w);
    w.status[X] = 0;
    change(&w);
    later(&w, AFTER_MS - 6000);
    CU_ASSERT_EQUAL(w.row[0].firing[Y], 0);
    CU_ASSERT_EQUAL(deliver_late_next(w.queue[X]), w.row[0].waits_ms + AFTER_MS);
    later(&w, 6000);
    CU_ASSERT_EQUAL(w.row[0].firing[Y], 1);
    CU_ASSERT_EQUAL(deliver_late_next(w.queue[X]), INT64_MAX);
    later(&w, 10 * AFTER_MS);
    CU_ASSERT_EQUAL(w.row[0].firing[Y], 1);
    stop(&w);
}

static void group_wait_is_no_delay(void)
{
    struct world w = {
        .now_ms = 1000000, .status = {0, 200, 200}, .group_wait_ms = 5 * AFTER_MS};
    start(&w);
    change(&w);
    later(&w, 5 * AFTER_MS + AFTER_MS - 6000);
    CU_ASSERT_EQUAL(w.row[0].firing[Y], 0);
    later(&w, 6000);
    CU_ASSERT_EQUAL(w.row[0].firing[Y], 1);
    stop(&w);
}

// Refused three times, or gone: it will not be told any more, so there is nothing to wait for.
static void what_is_given_up_is_late_at_once(void)
{
    static const int STATUS[] = {400, 410};
    for (int i = 0; i < 2; i++) {
        struct world w;
        begin_world(&w);
        w.status[X] = STATUS[i];
        change(&w);
        later(&w, 24000);
        CU_ASSERT_EQUAL(w.row[0].firing[Y], 1);
        change(&w);
        CU_ASSERT_EQUAL(w.row[0].over[Y], 1);
        change(&w); // 410: it is not even tried
        later(&w, 24000);
        CU_ASSERT_EQUAL(w.row[1].firing[Y], 1);
        stop(&w);
    }
}

static void muted_is_told_when_it_is_no_more(void)
{
    struct world w;
    begin_world(&w);
    w.status[X] = 0;
    w.muted = true;
    change(&w);
    later(&w, 2 * AFTER_MS);
    CU_ASSERT_EQUAL(w.row[0].firing[Y], 0);
    w.muted = false;
    later(&w, FALLBACK_LOOK_MS + 6000);
    CU_ASSERT_EQUAL(w.row[0].firing[Y], 1);
    stop(&w);
}

static void over_in_time_is_nobody_elses_business(void)
{
    struct world w;
    begin_world(&w);
    w.status[X] = 0;
    change(&w);
    change(&w);
    later(&w, 2 * AFTER_MS);
    CU_ASSERT_EQUAL(w.joined, 0);
    w.status[X] = 200;
    later(&w, 12000);
    CU_ASSERT(w.row[0].firing[X] == 1 && w.row[0].over[X] == 1 && !w.row[0].firing[Y]);
    stop(&w);
}

static void where_it_goes_anyway_is_left_out(void)
{
    struct world w;
    begin_world(&w);
    w.same = true; // Z tells the people Y would
    w.status[X] = 0;
    change(&w);
    later(&w, 2 * AFTER_MS);
    CU_ASSERT(w.row[0].firing[Z] == 1 && w.row[0].firing[Y] == 0 && w.joined == 0);
    stop(&w);
}

static void one_after_the_other(void)
{
    struct world w = {.now_ms = 1000000, .status = {0, 0, 200}, .chain = true};
    start(&w);
    change(&w);
    later(&w, AFTER_MS + 6000);
    CU_ASSERT_EQUAL(w.row[0].firing[Z], 0);
    later(&w, AFTER_MS);
    CU_ASSERT_EQUAL(w.row[0].firing[Z], 1);
    change(&w);
    w.status[X] = w.status[Y] = 200;
    later(&w, 12000);
    for (int i = 0; i < LANES; i++)
        CU_ASSERT(w.row[0].firing[i] == 1 && w.row[0].over[i] == 1);
    stop(&w);
}

// A reload asks anew, and what is known is not told again.
static void asked_anew_after_a_reload(void)
{
    struct world w;
    struct deliver_options o = {.receiver = "x",
        .external_url = "http://c",
        .group_by_all = true,
        .send_resolved = true,
        .make = make};
    begin_world(&w);
    w.status[X] = 0;
    change(&w);
    later(&w, 30000);
    deliver_configure(w.queue[X], &o); // no fallback any more
    later(&w, AFTER_MS);
    CU_ASSERT_EQUAL(w.joined, 0);
    CU_ASSERT_EQUAL(deliver_late_next(w.queue[X]), INT64_MAX);
    o.late_ms = AFTER_MS;
    deliver_configure(w.queue[X], &o);
    later(&w, 6000);
    CU_ASSERT_EQUAL(w.row[0].firing[Y], 1);
    deliver_configure(w.queue[X], &o);
    later(&w, 6000);
    CU_ASSERT(w.row[0].firing[Y] == 1 && w.joined == 1);
    stop(&w);
}

static void without_memory(void)
{
    size_t told = 0;
    for (int nth = 1;; nth++) {
        struct world w;
        begin_world(&w);
        w.status[X] = 0;
        change(&w);
        later(&w, AFTER_MS - 6000);
        w.now_ms += 6000;
        oom_fail_at(nth);
        (void)look(&w);
        bool hit = oom_stop();
        later(&w, FALLBACK_LOOK_MS + 6000);
        CU_ASSERT_EQUAL(w.row[0].firing[Y], w.lost ? 0 : 1);
        told += hit && !w.lost;
        change(&w);
        w.status[X] = 200;
        later(&w, 12000);
        CU_ASSERT(w.row[0].firing[X] == 1 && w.row[0].over[X] == 1);
        CU_ASSERT_EQUAL(w.row[0].over[Y], w.row[0].firing[Y]);
        stop(&w);
        if (!hit)
            break;
    }
    CU_ASSERT(told > 0); // joining failed once, and was tried again
}

static const struct test TESTS[] = {
    {"every order of changes, failures, deadlines and crashes", every_order},
    {"not before its time, and once", not_before_its_time},
    {"group_wait is no delay", group_wait_is_no_delay},
    {"what is given up is late at once", what_is_given_up_is_late_at_once},
    {"muted is told when it is no more", muted_is_told_when_it_is_no_more},
    {"over in time is nobody else's business", over_in_time_is_nobody_elses_business},
    {"where it goes anyway is left out", where_it_goes_anyway_is_left_out},
    {"one after the other", one_after_the_other},
    {"asked anew after a reload", asked_anew_after_a_reload},
    {"without memory", without_memory},
};

int main(void)
{
    return test_main("fallback", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
