// SPDX-License-Identifier: Apache-2.0
// The suppression state machine, by enumeration: every order of alerts that begin and end, mutes that
// come and go, deliveries and crashes, up to a depth.
#include "collector/ledger.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALERTS   2
#define EPISODES 16
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define DEPTH 6
#else
#define DEPTH 7
#endif

// What the journal has of an episode, and what the receiver heard.
struct row {
    struct notice n;
    struct label label[1];
    enum told told;
    int firing, over; // times heard
};
struct world {
    struct ledger *l;
    struct row row[EPISODES];
    size_t rows;
    size_t open[ALERTS]; // row + 1 of the episode that fires
    bool silenced[ALERTS];
    bool inhibits; // alert 0 silences alert 1 while it fires
    bool source;   // alert 0 fires, as the ledger was told
    struct {
        uint64_t id;
        bool over;
    } queue[64];
    size_t queued;
    bool spoke_muted, wrong;
};

static int alert_of(const struct labels *l)
{
    return labels_get(l, "alertname")[0] - '0';
}

static size_t route(void *ctx, const struct labels *l, uint32_t *ret, size_t max)
{
    (void)ctx;
    (void)l;
    CU_ASSERT(max >= 1);
    ret[0] = 7;
    return 1;
}

static void take(void *ctx, const struct notice *n)
{
    struct world *w = ctx;
    if (alert_of(&n->labels) == 0)
        w->source = n->to == ALERT_FIRING;
}

static unsigned muted(void *ctx, const struct notice *n, uint32_t lane)
{
    const struct world *w = ctx;
    int a = alert_of(&n->labels);
    CU_ASSERT_EQUAL(lane, 7);
    return (w->silenced[a] ? MUTE_SILENCE : 0u) |
           (a == 1 && w->inhibits && w->source ? MUTE_INHIBITION : 0u);
}

static void say(void *ctx, uint32_t lane, const struct notice *n)
{
    struct world *w = ctx;
    w->spoke_muted |= muted(ctx, n, lane) != 0;
    w->queue[w->queued].id = n->alert_id;
    w->queue[w->queued++].over = n->to != ALERT_FIRING;
}

static void nothing(void *ctx, uint32_t lane, uint64_t id)
{
    struct world *w = ctx;
    (void)lane;
    w->row[id - 1].told = TOLD_OVER;
}

static void open_ledger(struct world *w)
{
    struct ledger_options o = {
        .ctx = w, .route = route, .take = take, .muted = muted, .say = say, .nothing = nothing};
    w->l = ledger_new(&o);
}

static const struct notice *toggle(struct world *w, int a)
{
    struct row *r;
    if (w->open[a]) {
        r = &w->row[w->open[a] - 1];
        r->n.from = ALERT_FIRING;
        r->n.to = ALERT_INACTIVE;
        w->open[a] = 0;
        return &r->n;
    }
    static const char *const NAMES[] = {"0", "1"};
    r = &w->row[w->rows++];
    r->label[0] = (struct label){"alertname", NAMES[a]};
    r->n = (struct notice){.alert_id = w->rows,
        .labels = {r->label, 1},
        .group = "",
        .file = "",
        .expr = "",
        .from = ALERT_PENDING,
        .to = ALERT_FIRING};
    w->open[a] = w->rows;
    return &r->n;
}

static void deliver(struct world *w)
{
    if (!w->queued)
        return;
    struct row *r = &w->row[w->queue[0].id - 1];
    if (w->queue[0].over) {
        w->wrong |= r->firing != 1 || r->over;
        r->over++;
        r->told = TOLD_OVER;
    } else {
        w->wrong |= r->firing || r->over;
        r->firing++;
        r->told = TOLD_FIRING;
    }
    memmove(w->queue, w->queue + 1, --w->queued * sizeof(w->queue[0]));
}

static void crash(struct world *w)
{
    static const uint32_t LANE = 7;
    ledger_free(w->l);
    w->queued = 0;
    w->source = false;
    open_ledger(w);
    for (size_t i = 0; i < w->rows; i++) {
        struct row *r = &w->row[i];
        if (r->told == TOLD_OVER)
            continue; // its row is gone
        CU_ASSERT_EQUAL(
            ledger_restore(w->l, &r->n, &LANE, &r->told, r->told != TOLD_NOTHING), 0);
    }
    ledger_recheck(w->l);
}

enum { TOGGLE_0, TOGGLE_1, SILENCE_0, SILENCE_1, DELIVER, CRASH, BOTH, EVENTS };

static void step(struct world *w, int event)
{
    const struct notice *n[2];
    switch (event) {
    case TOGGLE_0:
    case TOGGLE_1:
        n[0] = toggle(w, event);
        ledger_add(w->l, n, 1);
        ledger_recheck(w->l); // an inhibition may have ended
        break;
    case SILENCE_0:
    case SILENCE_1:
        w->silenced[event - SILENCE_0] ^= true;
        ledger_recheck(w->l);
        break;
    case DELIVER: deliver(w); break;
    case CRASH: crash(w); break;
    case BOTH: // in one drain, the target before its source
        n[0] = toggle(w, 1);
        n[1] = toggle(w, 0);
        ledger_add(w->l, n, 2);
        ledger_recheck(w->l);
        break;
    default: break;
    }
}

static bool run_all(const int *events, size_t n, bool inhibits)
{
    struct world w = {.inhibits = inhibits};
    open_ledger(&w);
    for (size_t i = 0; i < n; i++)
        step(&w, events[i]);
    w.silenced[0] = w.silenced[1] = w.inhibits = false;
    ledger_recheck(w.l);
    while (w.queued)
        deliver(&w);
    bool ok = !w.spoke_muted && !w.wrong;
    for (size_t i = 0; i < w.rows; i++) {
        const struct row *r = &w.row[i];
        bool firing = r->n.to == ALERT_FIRING;
        ok = ok && (firing ? r->firing == 1 && !r->over : r->firing == r->over);
        ok = ok && r->told == (firing ? TOLD_FIRING : TOLD_OVER);
    }
    size_t open = (w.open[0] != 0) + (w.open[1] != 0);
    ok = ok && ledger_count(w.l) == open;
    ledger_free(w.l);
    return ok;
}

static void enumerate(bool inhibits)
{
    int events[DEPTH] = {0};
    size_t failed = 0;
    for (;;) {
        if (!run_all(events, DEPTH, inhibits) && failed++ < 3) {
            printf("inhibits %d, events", inhibits);
            for (size_t i = 0; i < DEPTH; i++)
                printf(" %d", events[i]);
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

static void every_order_with_silences(void)
{
    enumerate(false);
}

static void every_order_with_inhibition(void)
{
    enumerate(true);
}

static void a_source_mutes_what_came_before_it_in_its_drain(void)
{
    struct world w = {.inhibits = true};
    open_ledger(&w);
    step(&w, BOTH);
    CU_ASSERT_EQUAL(w.queued, 1);
    CU_ASSERT_EQUAL(w.queue[0].id, 2);
    step(&w, TOGGLE_0); // the source ends: its target is said now
    CU_ASSERT_EQUAL_FATAL(w.queued, 3);
    CU_ASSERT_EQUAL(w.queue[2].id, 1);
    ledger_free(w.l);
}

static void an_alert_that_began_and_ended_muted_is_nobodys_business(void)
{
    struct world w = {0};
    open_ledger(&w);
    step(&w, SILENCE_0);
    step(&w, TOGGLE_0);
    step(&w, TOGGLE_0);
    CU_ASSERT_EQUAL(w.queued, 0);
    CU_ASSERT_EQUAL(w.row[0].told, TOLD_OVER);
    CU_ASSERT_EQUAL(ledger_count(w.l), 0);
    ledger_free(w.l);
}

static void without_memory_it_is_said_rather_than_lost(void)
{
    for (int nth = 1; nth < 8; nth++) {
        struct world w = {0};
        open_ledger(&w);
        const struct notice *n = toggle(&w, 0);
        oom_fail_at(nth);
        int rc = ledger_add(w.l, &n, 1);
        bool hit = oom_stop();
        CU_ASSERT_EQUAL(w.queued, 1);
        CU_ASSERT(rc == 0 || rc == -ENOMEM);
        ledger_free(w.l);
        if (!hit)
            return;
    }
    CU_FAIL("more allocations than there can be");
}

static const struct test TESTS[] = {
    {"every order of seven events with silences ends in what is true",
        every_order_with_silences},
    {"every order of seven events with inhibition", every_order_with_inhibition},
    {"a source mutes what came before it in its drain",
        a_source_mutes_what_came_before_it_in_its_drain},
    {"what began and ended while muted is nobody's business",
        an_alert_that_began_and_ended_muted_is_nobodys_business},
    {"without memory an alert is said rather than lost",
        without_memory_it_is_said_rather_than_lost},
};

int main(void)
{
    return test_main("ledger", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
