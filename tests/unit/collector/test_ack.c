// SPDX-License-Identifier: Apache-2.0
// Acknowledgements: what is accepted, and by enumeration every order of an alert that begins and ends,
// a silence, an acknowledgement that is set, taken back or runs out, deliveries and crashes, on a clock
// turned by hand. Mutes, ledger and acknowledgements are the real ones; journal and receiver a few lines.
#include "collector/ledger.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EPISODES 16
#define LANE     7
#define FOR_MS   1000
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define DEPTH 5
#else
#define DEPTH 7
#endif

// What the journal has of an episode, and what the receiver heard.
struct row {
    struct notice n;
    enum told told;
    int64_t told_ms;
    bool acked; // the journal has a row of it
    struct ack ack;
    int acks, firing, over; // how often set; heard
};
struct world {
    struct mutes *m;
    struct ledger *l;
    int64_t now_ms;
    struct row row[EPISODES];
    size_t rows, open; // row + 1 of the episode that fires
    char silence[SILENCE_ID_MAX];
    bool silenced;
    struct {
        uint64_t id;
        bool over;
    } queue[64];
    size_t queued;
    const char *wrong;
};

static const struct label LABELS[] = {{"alertname", "Hot"}};

static void wrong(struct world *w, bool is, const char *what)
{
    if (is && !w->wrong)
        w->wrong = what;
}

static size_t route(void *ctx, const struct labels *l, uint32_t *ret, size_t max)
{
    (void)ctx;
    (void)l;
    CU_ASSERT(max >= 1);
    ret[0] = LANE;
    return 1;
}

static void take(void *ctx, const struct notice *n)
{
    struct world *w = ctx;
    mutes_take(w->m, n);
    if (n->to == ALERT_INACTIVE)
        w->row[n->alert_id - 1].acked = false;
}

static unsigned muted(void *ctx, const struct notice *n, uint32_t lane)
{
    static const struct time_limits ALWAYS;
    const struct world *w = ctx;
    return mutes_of(w->m, n, lane, &ALWAYS, w->now_ms);
}

static bool acknowledged(const struct world *w, uint64_t id)
{
    const struct row *r = &w->row[id - 1];
    return r->acked && w->now_ms < r->ack.until_ms;
}

static void push(struct world *w, const struct notice *n)
{
    bool fires = n->to == ALERT_FIRING;
    wrong(w, w->silenced, "told though it is silenced");
    wrong(w, fires && acknowledged(w, n->alert_id), "told though it is acknowledged");
    w->queue[w->queued].id = n->alert_id;
    w->queue[w->queued++].over = !fires;
}

static void say(void *ctx, uint32_t lane, const struct notice *n)
{
    CU_ASSERT_EQUAL(lane, LANE);
    push(ctx, n);
}

static void again(void *ctx, uint32_t lane, const struct notice *n)
{
    struct world *w = ctx;
    CU_ASSERT_EQUAL(lane, LANE);
    wrong(w, !w->row[n->alert_id - 1].acks, "told again though nobody acknowledged it");
    wrong(w, n->to != ALERT_FIRING, "told again though it is over");
    push(w, n);
}

static void nothing(void *ctx, uint32_t lane, uint64_t id)
{
    struct world *w = ctx;
    (void)lane;
    w->row[id - 1].told = TOLD_OVER;
}

static void open_world(struct world *w)
{
    struct ledger_options o = {.ctx = w,
        .route = route,
        .take = take,
        .muted = muted,
        .say = say,
        .again = again,
        .nothing = nothing};
    w->m = mutes_new(NULL, 0);
    w->l = ledger_new(&o);
}

static void close_world(struct world *w)
{
    ledger_free(w->l);
    mutes_free(w->m);
}

// As the notifier does: only when something may have begun or ended.
static void recheck(struct world *w)
{
    if (!mutes_moved(w->m, w->now_ms))
        return;
    ledger_recheck(w->l);
    mutes_looked(w->m, w->now_ms, INT64_MAX);
}

static void toggle(struct world *w)
{
    const struct notice *n;
    if (w->open) {
        struct row *r = &w->row[w->open - 1];
        r->n.from = ALERT_FIRING;
        r->n.to = ALERT_INACTIVE;
        w->open = 0;
        n = &r->n;
    } else {
        struct row *r = &w->row[w->rows++];
        r->n = (struct notice){.alert_id = w->rows,
            .fingerprint = 1,
            .labels = {LABELS, 1},
            .group = "",
            .file = "",
            .expr = "",
            .from = ALERT_PENDING,
            .to = ALERT_FIRING};
        w->open = w->rows;
        n = &r->n;
    }
    ledger_add(w->l, &n, 1);
}

static void silence(struct world *w)
{
    static uint32_t made; // each has an id of its own
    uint8_t random[16] = {0};
    struct err err = {0};
    const struct silence *s, *ended;
    if (w->silenced) {
        CU_ASSERT_EQUAL(silences_expire(mutes_silences(w->m), w->silence, w->now_ms, &s), 0);
    } else {
        made++;
        memcpy(random, &made, sizeof(made));
        struct silence_draft d = {.id = "",
            .matchers = "{alertname=Hot}",
            .created_by = "ann",
            .comment = "x",
            .ends_ms = INT64_MAX,
            .random = random};
        CU_ASSERT_EQUAL_FATAL(
            silences_set(mutes_silences(w->m), &d, w->now_ms, &s, &ended, &err), 0);
        strcpy(w->silence, s->id);
    }
    w->silenced = !w->silenced;
    mutes_changed(w->m);
}

// Sets it, or takes it back.
static void acknowledge(struct world *w)
{
    const struct ack *a;
    if (!w->open)
        return;
    struct row *r = &w->row[w->open - 1];
    if (acks_end(mutes_acks(w->m), w->open, w->now_ms, &a) == 0) {
        r->ack = *a;
    } else {
        r->ack = (struct ack){w->open, "ann", "looking", w->now_ms, w->now_ms + FOR_MS};
        r->acked = true;
        r->acks++;
        CU_ASSERT_EQUAL(acks_put(mutes_acks(w->m), &r->ack), 0);
    }
    r->ack.owner = "ann";
    r->ack.note = "looking";
    mutes_changed(w->m);
}

static void deliver(struct world *w)
{
    if (!w->queued)
        return;
    struct row *r = &w->row[w->queue[0].id - 1];
    if (w->queue[0].over) {
        wrong(w, !r->firing || r->over, "told to be over twice, or of what never fired");
        r->over++;
        r->told = TOLD_OVER;
    } else {
        wrong(w, r->over, "told to fire after it was told to be over");
        r->firing++;
        r->told = TOLD_FIRING;
    }
    r->told_ms = w->now_ms;
    memmove(w->queue, w->queue + 1, --w->queued * sizeof(w->queue[0]));
}

static void crash(struct world *w)
{
    static const uint32_t lane = LANE;
    struct world before = *w;
    close_world(w);
    w->queued = 0;
    w->silenced = false;
    open_world(w);
    if (before.silenced)
        silence(w); // silences have a test of their own
    for (size_t i = 0; i < w->rows; i++) {
        struct row *r = &w->row[i];
        if (r->told == TOLD_OVER)
            continue; // its row is gone
        if (r->acked)
            CU_ASSERT_EQUAL(acks_put(mutes_acks(w->m), &r->ack), 0);
        CU_ASSERT_EQUAL(
            ledger_restore(w->l, &r->n, &lane, &r->told, r->told != TOLD_NOTHING), 0);
        if (r->acked && r->told == TOLD_FIRING && r->told_ms < r->ack.until_ms)
            ledger_raise(w->l, r->n.alert_id, LANE);
    }
}

enum { TOGGLE, SILENCE, ACK, EXPIRE, DELIVER, CRASH, EVENTS };

static void step(struct world *w, int event)
{
    w->now_ms++;
    switch (event) {
    case TOGGLE: toggle(w); break;
    case SILENCE: silence(w); break;
    case ACK: acknowledge(w); break;
    case EXPIRE: w->now_ms += FOR_MS; break;
    case DELIVER: deliver(w); break;
    case CRASH: crash(w); break;
    default: break;
    }
    recheck(w);
    if (w->open)
        wrong(w,
            mutes_quiet(w->m, &w->row[w->open - 1].n, w->now_ms) !=
                (w->silenced || acknowledged(w, w->open)),
            "reminded, or not, against what is silenced and acknowledged");
}

static const char *run_all(const int *events, size_t n)
{
    struct world w = {.now_ms = 1000000};
    open_world(&w);
    for (size_t i = 0; i < n; i++)
        step(&w, events[i]);
    if (w.silenced)
        step(&w, SILENCE);
    step(&w, EXPIRE);
    while (w.queued)
        step(&w, DELIVER);
    for (size_t i = 0; i < w.rows; i++) {
        const struct row *r = &w.row[i];
        bool fires = r->n.to == ALERT_FIRING;
        wrong(
            &w, r->told != (fires ? TOLD_FIRING : TOLD_OVER), "who heard last heard otherwise");
        wrong(&w, r->firing && !fires && r->over != 1, "nobody heard the end");
        wrong(&w, r->firing > 1 + r->acks, "told more often than it was let go of");
        wrong(&w, fires && r->acked && r->told_ms < r->ack.until_ms,
            "let go of, and not told since");
    }
    wrong(&w, ledger_count(w.l) != (w.open != 0), "an episode is left");
    close_world(&w);
    return w.wrong;
}

// Every order of DEPTH events, after these.
static void enumerate(const int *first, size_t n)
{
    int all[DEPTH + 2] = {0}, *events = all + n;
    size_t failed = 0;
    memcpy(all, first, n * sizeof(all[0]));
    for (;;) {
        const char *why = run_all(all, DEPTH + n);
        if (why && failed++ < 3) {
            printf("%s:", why);
            for (size_t i = 0; i < DEPTH + n; i++)
                printf(" %d", all[i]);
            printf("\n");
        }
        size_t at = 0;
        while (at < DEPTH && ++events[at] == EVENTS)
            events[at++] = 0;
        if (at == DEPTH)
            break;
    }
    CU_ASSERT_EQUAL(failed, 0);
}

static void every_order(void)
{
    enumerate((const int[]){0}, 0);
}

static void every_order_once_it_is_told(void)
{
    enumerate((const int[]){TOGGLE, DELIVER}, 2);
}

static void its_end_is_told_while_it_is_acknowledged(void)
{
    struct world w = {.now_ms = 1000000};
    open_world(&w);
    step(&w, TOGGLE);
    step(&w, DELIVER);
    step(&w, ACK);
    CU_ASSERT_EQUAL(w.queued, 0);
    step(&w, TOGGLE);
    CU_ASSERT_EQUAL_FATAL(w.queued, 1);
    CU_ASSERT_TRUE(w.queue[0].over);
    step(&w, TOGGLE); // anew: nobody has acknowledged that
    CU_ASSERT_EQUAL(w.queued, 2);
    close_world(&w);
}

static void it_is_told_again_once_when_it_runs_out(void)
{
    struct world w = {.now_ms = 1000000};
    open_world(&w);
    step(&w, TOGGLE);
    step(&w, DELIVER);
    step(&w, ACK);
    CU_ASSERT_EQUAL(mutes_next(w.m), w.now_ms + FOR_MS);
    step(&w, EXPIRE);
    CU_ASSERT_EQUAL(w.queued, 1);
    step(&w, EXPIRE);
    CU_ASSERT_EQUAL(w.queued, 1);
    close_world(&w);
}

static void what_cannot_be_is_refused(void)
{
    struct err err = {0};
    char long_text[ACK_NOTE_MAX + 2];
    memset(long_text, 'x', sizeof(long_text));
    long_text[sizeof(long_text) - 1] = '\0';
    struct ack a = {1, "ann", "", 0, 2000};
    CU_ASSERT_EQUAL(ack_check(&a, 1000, &err), 0);
    CU_ASSERT_EQUAL(ack_check(&a, 2000, &err), -EINVAL);
    a.until_ms = 1001 + ACK_FOR_MAX;
    CU_ASSERT_EQUAL(ack_check(&a, 1000, &err), -EINVAL);
    CU_ASSERT_EQUAL(ack_check(&(struct ack){1, "", "", 0, 2000}, 1000, &err), -EINVAL);
    CU_ASSERT_EQUAL(ack_check(&(struct ack){1, long_text, "", 0, 2000}, 1000, &err), -EINVAL);
    CU_ASSERT_EQUAL(ack_check(&(struct ack){1, "a", long_text, 0, 2000}, 1000, &err), -EINVAL);
}

static void there_are_no_more_than_acks_max(void)
{
    struct acks *s = acks_new();
    int rc = 0;
    for (uint64_t i = 1; rc == 0 && i <= ACKS_MAX + 1; i++)
        rc = acks_put(s, &(struct ack){i, "ann", "", 0, 2000});
    CU_ASSERT_EQUAL(rc, -ENOSPC);
    CU_ASSERT_EQUAL(acks_put(s, &(struct ack){1, "bob", "mine", 0, 3000}), 0);
    CU_ASSERT_STRING_EQUAL(acks_get(s, 1)->owner, "bob");
    CU_ASSERT_EQUAL(acks_next(s, 1000), 2000);
    CU_ASSERT_EQUAL(acks_next(s, 3000), INT64_MAX);
    acks_free(s);
}

static void without_memory_the_old_one_stands(void)
{
    for (int nth = 1; nth < 8; nth++) {
        struct acks *s = acks_new();
        CU_ASSERT_EQUAL(acks_put(s, &(struct ack){1, "ann", "", 0, 2000}), 0);
        oom_fail_at(nth);
        int rc = acks_put(s, &(struct ack){1, "bob", "", 0, 3000});
        int other = acks_put(s, &(struct ack){2, "cat", "", 0, 3000});
        bool hit = oom_stop();
        CU_ASSERT_STRING_EQUAL(acks_get(s, 1)->owner, rc == 0 ? "bob" : "ann");
        CU_ASSERT_EQUAL(acks_get(s, 2) != NULL, other == 0);
        acks_free(s);
        if (!hit)
            return;
    }
    CU_FAIL("more allocations than there can be");
}

static const struct test TESTS[] = {
    {"every order of seven events ends in what is true, told since it was let go of",
        every_order},
    {"the same once it is told", every_order_once_it_is_told},
    {"the end is told while it is acknowledged, and what fires anew is not acknowledged",
        its_end_is_told_while_it_is_acknowledged},
    {"when it runs out the alert is told again, once", it_is_told_again_once_when_it_runs_out},
    {"what cannot be is refused", what_cannot_be_is_refused},
    {"there are no more than ACKS_MAX", there_are_no_more_than_acks_max},
    {"without memory the old one stands", without_memory_the_old_one_stands},
};

int main(void)
{
    return test_main("ack", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
