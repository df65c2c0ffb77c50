// SPDX-License-Identifier: Apache-2.0
// The suppression state machine, by enumeration: every order of alerts that begin and end, mutes that
// come and go, deliveries and crashes, up to a depth. Silences and inhibition are a few lines here; what
// overrides say is the real thing, on a clock turned by hand.
#include "collector/flap.h"
#include "collector/ledger.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALERTS    2
#define EPISODES  16
#define WINDOW_MS 1000
#define FLAPS_MAX 1
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define DEPTH 6
#else
#define DEPTH 7
#endif

enum kind { SILENCES, INHIBITS, DEPENDS, FLAPS };
static const char RULES[] =
    "groups: [{name: g, rules: [{alert: '0', expr: x}, {alert: '1', expr: x}]}]";
static const char OVERRIDES[] = "overrides:\n"
                                "- {rule: g/0, set: {flap: {window: 1s, max: 1}}}\n"
                                "- {rule: g/1, set: {flap: {window: 1s, max: 1}}}\n";
static const char DEPENDENCY[] = "overrides: [{rule: g/1, set: {depends_on: [g/0]}}]";

// What the journal has of an episode, and what the receiver heard.
struct row {
    struct notice n;
    struct label label[1];
    enum told told;
    int firing, over; // times heard
    bool damped;      // it began so, and another had said that it does
};
// When an alert is damped, in the obvious way.
struct swings {
    int64_t begun[EPISODES];
    size_t n;
    bool damped, said;
    uint64_t since;
};
struct world {
    struct ledger *l;
    enum kind kind;
    struct mutes *m; // NULL: not of this kind
    struct policies *policies, *none;
    bool reloaded; // the overrides are gone
    uint64_t rule[ALERTS];
    int64_t now_ms;
    uint64_t last_id;
    struct swings swings[ALERTS];
    bool told_late; // silenced or crashed: who hears what is another question
    struct row row[EPISODES];
    size_t rows;
    size_t open[ALERTS]; // row + 1 of the episode that fires
    bool silenced[ALERTS];
    bool source; // alert 0 fires, as the ledger was told; INHIBITS: then alert 1 is muted
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

static size_t recent(const struct swings *s, int64_t now_ms)
{
    size_t count = 0;
    for (size_t i = 0; i < s->n; i++)
        count += s->begun[i] > now_ms - WINDOW_MS;
    return count;
}

static bool swinging(const struct swings *s, int64_t now_ms)
{
    return s->damped && recent(s, now_ms) > FLAPS_MAX / 2;
}

static void swing(struct world *w, struct row *r, int a)
{
    struct swings *s = &w->swings[a];
    s->damped = swinging(s, w->now_ms);
    r->damped = s->damped;
    s->begun[s->n++] = w->now_ms;
    if (s->damped || recent(s, w->now_ms) <= FLAPS_MAX)
        return;
    s->damped = true;
    s->said = false;
    s->since = r->n.id;
}

static void take(void *ctx, const struct notice *n)
{
    struct world *w = ctx;
    if (w->m)
        mutes_take(w->m, n);
    if (alert_of(&n->labels) == 0)
        w->source = n->to == ALERT_FIRING;
}

static unsigned muted(void *ctx, const struct notice *n, uint32_t lane)
{
    const struct world *w = ctx;
    int a = alert_of(&n->labels);
    CU_ASSERT_EQUAL(lane, 7);
    static const struct time_limits always;
    return (w->silenced[a] ? MUTE_SILENCE : 0u) |
           (w->m ? mutes_of(w->m, n, lane, &always, w->now_ms) : 0u) |
           (a == 1 && w->kind == INHIBITS && w->source ? MUTE_INHIBITION : 0u);
}

// The one too many says so, once; nothing else does.
static void check_marked(struct world *w, uint32_t lane, const struct notice *n)
{
    struct swings *s = &w->swings[alert_of(&n->labels)];
    struct notice *marked = mutes_said(w->m, n, lane, w->now_ms);
    bool first = w->kind == FLAPS && n->to == ALERT_FIRING && n->id >= s->since &&
                 swinging(s, w->now_ms);
    w->wrong |= (marked != NULL) != first || (first && s->said);
    w->wrong |= marked && !*labels_get(&marked->annotations, FLAP_ANNOTATION);
    s->said |= first;
    notice_free(marked);
}

static void say(void *ctx, uint32_t lane, const struct notice *n)
{
    struct world *w = ctx;
    w->spoke_muted |= muted(ctx, n, lane) != 0;
    w->spoke_muted |=
        w->kind == DEPENDS && !w->reloaded && w->source && alert_of(&n->labels) == 1;
    if (w->m)
        check_marked(w, lane, n);
    w->queue[w->queued].id = n->alert_id;
    w->queue[w->queued++].over = n->to != ALERT_FIRING;
}

static void nothing(void *ctx, uint32_t lane, uint64_t id)
{
    struct world *w = ctx;
    (void)lane;
    w->row[id - 1].told = TOLD_OVER;
}

static void again(void *ctx, uint32_t lane, const struct notice *n)
{
    struct world *w = ctx;
    (void)lane;
    (void)n;
    w->wrong = true; // nobody has acknowledged anything here: test_ack.c
}

static bool one_source(void *ctx, const struct ledger_entry *e)
{
    struct world *w = ctx;
    if (e->notice->to == ALERT_FIRING)
        mutes_source(w->m, e->notice);
    return true;
}

static void use_policies(struct world *w)
{
    if (!w->m)
        return;
    CU_ASSERT_EQUAL(mutes_policies(w->m, w->reloaded ? w->none : w->policies), 0);
    ledger_each(w->l, one_source, w);
}

static struct policies *read_policies(const char *overrides, uint64_t *ret_rule)
{
    struct diags d;
    struct ruleset *set = ruleset_new();
    diags_init(&d);
    CU_ASSERT_EQUAL_FATAL(ruleset_add(set, "r", RULES, strlen(RULES), &d), 0);
    CU_ASSERT_EQUAL_FATAL(ruleset_override(set, "o", overrides, strlen(overrides), &d), 0);
    struct policies *p = policies_new(set);
    for (int i = 0; i < ALERTS; i++)
        ret_rule[i] = set->groups[0].rules[i].identity;
    ruleset_free(set);
    diags_done(&d);
    return p;
}

static void open_ledger(struct world *w)
{
    if (w->kind == DEPENDS || w->kind == FLAPS)
        w->m = mutes_new(NULL, 0);
    struct ledger_options o = {.ctx = w,
        .route = route,
        .take = take,
        .muted = muted,
        .say = say,
        .again = again,
        .nothing = nothing};
    w->l = ledger_new(&o);
}

static const struct notice *toggle(struct world *w, int a)
{
    struct row *r;
    if (w->open[a]) {
        r = &w->row[w->open[a] - 1];
        r->n.id = ++w->last_id;
        r->n.decided_ms = w->now_ms;
        r->n.from = ALERT_FIRING;
        r->n.to = ALERT_INACTIVE;
        w->open[a] = 0;
        return &r->n;
    }
    static const char *const NAMES[] = {"0", "1"};
    r = &w->row[w->rows++];
    r->label[0] = (struct label){"alertname", NAMES[a]};
    r->n = (struct notice){.id = ++w->last_id,
        .alert_id = w->rows,
        .rule_identity = w->rule[a],
        .fingerprint = (uint64_t)a + 1,
        .decided_ms = w->now_ms,
        .labels = {r->label, 1},
        .group = "",
        .file = "",
        .expr = "",
        .from = ALERT_PENDING,
        .to = ALERT_FIRING};
    w->open[a] = w->rows;
    if (w->kind == FLAPS)
        swing(w, r, a);
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
    mutes_free(w->m);
    memset(w->swings, 0, sizeof(w->swings));
    w->told_late = true;
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
    use_policies(w);
    ledger_recheck(w->l);
}

enum { TOGGLE_0, TOGGLE_1, SILENCE_0, OTHER, DELIVER, CRASH, BOTH, EVENTS };

// What each kind has besides.
static void other(struct world *w)
{
    switch (w->kind) {
    case SILENCES:
    case INHIBITS: w->silenced[1] ^= true; break;
    case DEPENDS:
        w->reloaded ^= true;
        use_policies(w);
        break;
    case FLAPS: w->now_ms += WINDOW_MS; break;
    }
    ledger_recheck(w->l);
}

static void step(struct world *w, int event)
{
    const struct notice *n[2];
    w->now_ms++;
    switch (event) {
    case TOGGLE_0:
    case TOGGLE_1:
        n[0] = toggle(w, event);
        ledger_add(w->l, n, 1);
        ledger_recheck(w->l); // an inhibition may have ended
        break;
    case SILENCE_0:
        w->silenced[0] ^= true;
        w->told_late = true;
        ledger_recheck(w->l);
        break;
    case OTHER: other(w); break;
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

static bool run_all(const int *events, size_t n, const struct world *start)
{
    struct world w = *start;
    open_ledger(&w);
    use_policies(&w);
    for (size_t i = 0; i < n; i++)
        step(&w, events[i]);
    w.silenced[0] = w.silenced[1] = false;
    w.reloaded = true; // what it depends on is no reason any more
    if (w.kind != FLAPS)
        use_policies(&w);
    if (w.kind == INHIBITS)
        w.kind = SILENCES;
    w.now_ms += WINDOW_MS;
    ledger_recheck(w.l);
    while (w.queued)
        deliver(&w);
    bool ok = !w.spoke_muted && !w.wrong;
    for (size_t i = 0; i < w.rows; i++) {
        const struct row *r = &w.row[i];
        bool firing = r->n.to == ALERT_FIRING;
        ok = ok && (firing ? r->firing == 1 && !r->over : r->firing == r->over);
        ok = ok && r->told == (firing ? TOLD_FIRING : TOLD_OVER);
        // What began before it was damped was told, and so was the one that said it is.
        ok = ok && (w.kind != FLAPS || w.told_late || r->damped || r->firing == 1);
    }
    size_t open = (w.open[0] != 0) + (w.open[1] != 0);
    ok = ok && ledger_count(w.l) == open;
    ledger_free(w.l);
    mutes_free(w.m);
    return ok;
}

// Every order of `depth` events, after alert 0 has begun and ended `swings` times.
static void enumerate(enum kind kind, size_t swings, size_t depth)
{
    int all[DEPTH + 4] = {TOGGLE_0, TOGGLE_0, TOGGLE_0, TOGGLE_0};
    int *events = all + swings * 2;
    struct world start = {.kind = kind, .now_ms = 1000000};
    start.policies = read_policies(kind == FLAPS ? OVERRIDES : DEPENDENCY, start.rule);
    start.none = read_policies("overrides: []", start.rule);
    size_t failed = 0;
    for (;;) {
        if (!run_all(all, swings * 2 + depth, &start) && failed++ < 3) {
            printf("kind %d, %zu swings, events", kind, swings);
            for (size_t i = 0; i < depth; i++)
                printf(" %d", events[i]);
            printf("\n");
        }
        size_t at = 0;
        while (at < depth && ++events[at] == EVENTS)
            events[at++] = 0;
        if (at == depth)
            break;
    }
    policies_free(start.policies);
    policies_free(start.none);
    CU_ASSERT_EQUAL(failed, 0);
}

static void every_order_with_silences(void)
{
    enumerate(SILENCES, 0, DEPTH);
}

static void every_order_with_inhibition(void)
{
    enumerate(INHIBITS, 0, DEPTH);
}

static void every_order_with_dependencies(void)
{
    enumerate(DEPENDS, 0, DEPTH - 1);
}

static void every_order_with_flapping(void)
{
    enumerate(FLAPS, 0, DEPTH - 1);
    enumerate(FLAPS, 1, DEPTH - 1); // the next begin is one too many
    enumerate(FLAPS, 2, DEPTH - 2); // it has been said
}

static void a_source_mutes_what_came_before_it_in_its_drain(void)
{
    struct world w = {.kind = INHIBITS};
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
    {"every order of six events with depends_on and reloads", every_order_with_dependencies},
    {"every order of six events, before and while an alert flaps", every_order_with_flapping},
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
