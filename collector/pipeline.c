// SPDX-License-Identifier: Apache-2.0
#include "collector/pipeline.h"
#include "base/map.h"
#include <stdlib.h>
#include <string.h>

// gcc 12's -fanalyzer loses what agents own, and takes them for leaked.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

#define AGENTS_MAX   16384
#define HOUSE_MS     1000
#define SWEEP_MS     5000 // a new session has shown all it has by then
#define NOTE_MS      60000
#define RETENTION_MS 600000
#define REFILL_MS    3000 // what an agent kept for us is here by then, or does not come
#define WARM_STEP_MS 20
#define SUSPECT_STEP_MS                                                                        \
    50 // suspicion may be this late, so that 10,000 agents are not walked at each frame
#define EVENT_GOODBYE 7 // EventKind of tocsin.proto; a test holds the two together

struct agent {
    struct agent *next;
    struct pipeline *p;
    uint8_t id[16];
    uint64_t epoch, nonce; // 0 = not heard yet
    char *host, *version;
    struct wire_label *labels; // one block with its strings
    size_t n_labels;
    struct agent_store *store;
    struct liveness live;
    uint64_t first_seq, last_seq, frames; // of the running session
    uint64_t oldest_seq;                  // it held when its session came to us; 0 = unsaid
    bool expected;                        // by the inventory: known to an earlier run
    int64_t came_ms;                      // when that was, monotonic
    int64_t last_frame_ms, last_seen_ms, skew_ms;
    int64_t watermark_ms;             // newest live frame, collector time; 0 = none
    int64_t sweep_ms;                 // 0 = nothing to sweep
    double up;                        // last recorded; NaN = none
    int64_t up_ms;                    // its time
    int64_t down_from_ms, down_to_ms; // last time up was 0
    uint64_t goodbye_seq;             // of the running session, 0 = none
    bool silent;                      // what there is of it is not how things are now
    bool refused_before;
    bool dirty; // the inventory does not know yet
    int64_t noted_ms;
};

struct pipeline {
    struct pipeline_options o;
    struct store *store;
    struct engine *engine;
    struct map agents;
    struct agent *first;
    size_t n_agents;
    int64_t now_ms, mono_ms;
    int64_t alive_next; // no liveness deadline before this, monotonic
    int64_t house_ms;   // next housekeeping, wall
    int64_t watermark_ms;
    const struct agent
        *slowest; // who holds the watermark back: only its moves need a look at all
    bool watermark_moved;
    bool warm; // rules are evaluated
    int64_t started_ms;
    uint64_t notice_id;
    struct pipeline_stats stats;
    struct feed_ctx {
        struct engine *engine;
        bool live, event;
    } feed;
};

// Whether the windows of this agent's series are what they were before we started.
static bool caught_up(const struct agent *a)
{
    if (a->epoch == 0)
        return false;
    bool from_start = !a->oldest_seq || a->first_seq <= a->oldest_seq;
    bool whole = from_start && a->frames > a->last_seq - a->first_seq;
    return a->watermark_ms && (whole || a->p->mono_ms - a->came_ms >= REFILL_MS);
}

// An alert of an earlier run goes on as long as the agent it is about has not come back.
static bool holds(void *ctx, const struct labels *labels)
{
    const struct pipeline *p = ctx;
    const char *instance = labels_get(labels, "instance");
    for (const struct agent *a = p->first; *instance && a; a = a->next)
        if (strcmp(a->host, instance) == 0 && a->live.state != LIVENESS_GONE)
            return !caught_up(a);
    return false;
}

// Before the agents are back, an expression about what is missing would be true of nothing.
static bool warm(struct pipeline *p)
{
    if (p->warm)
        return true;
    p->warm = true;
    for (const struct agent *a = p->first; a && p->warm; a = a->next)
        p->warm = !a->expected || a->live.state == LIVENESS_GONE || caught_up(a);
    p->warm |= p->mono_ms - p->started_ms >= p->o.start_grace_ms;
    return p->warm;
}

struct pipeline *pipeline_new(const struct pipeline_options *o, int64_t now_ms, int64_t mono_ms)
{
    struct pipeline *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->o = *o;
    if (!p->o.instance)
        p->o.instance = "collector";
    if (!p->o.agents_max)
        p->o.agents_max = AGENTS_MAX;
    if (p->o.store.retention_ms < RETENTION_MS)
        p->o.store.retention_ms = RETENTION_MS;
    p->now_ms = now_ms;
    p->mono_ms = p->started_ms = mono_ms;
    p->o.engine.holds = holds;
    p->o.engine.holds_ctx = p;
    p->alive_next = INT64_MAX;
    p->house_ms = now_ms - now_ms % HOUSE_MS + HOUSE_MS;
    map_init(&p->agents);
    p->store = store_new(&p->o.store);
    p->engine = p->store ? engine_new(store_source(p->store), &p->o.engine) : NULL;
    if (!p->engine) {
        pipeline_free(p);
        return NULL;
    }
    p->feed.engine = p->engine;
    return p;
}

static void agent_free(struct agent *a)
{
    free(a->host);
    free(a->version);
    free(a->labels);
    free(a);
}

void pipeline_free(struct pipeline *p)
{
    if (!p)
        return;
    engine_free(p->engine);
    store_free(p->store);
    while (p->first) {
        struct agent *next = p->first->next;
        agent_free(p->first);
        p->first = next;
    }
    map_done(&p->agents);
    free(p);
}

void frame_free(struct frame *f)
{
    if (!f)
        return;
    arena_done(&f->arena);
    free(f);
}

static void clocks(struct pipeline *p, int64_t now_ms, int64_t mono_ms)
{
    if (now_ms > p->now_ms)
        p->now_ms = now_ms;
    if (mono_ms > p->mono_ms)
        p->mono_ms = mono_ms;
}

// --- what the collector itself writes ----------------------------------------------------------

// Records and, when live, tells the engine. l is sorted.
static void record(struct pipeline *p, const struct label *l, size_t n, int64_t t_ms, double v,
    bool feed, bool event)
{
    struct labels labels = {l, n};
    uint32_t id;
    if (double_bits(v) != NAN_ABSENT_BITS &&
        store_record(p->store, &labels, t_ms, v, NULL, &id) == 0 && feed)
        engine_feed(p->engine, id, t_ms, event);
}

static void record_of(struct agent *a, const char *name, const char *job, int64_t t_ms,
    double v, bool feed, bool event)
{
    struct label l[] = {{LABEL_NAME, name}, {"instance", a->host}, {"job", job}};
    record(a->p, l, 3, t_ms, v, feed, event);
}

// A steady 1 is no news to a rule that waits for arrivals; the grid reads it anyway.
static void record_up(struct agent *a, int64_t t_ms, double v, bool event)
{
    bool news = double_bits(a->up) != double_bits(v);
    if (t_ms <= a->up_ms)
        t_ms = a->up_ms + 1;
    a->up = v;
    a->up_ms = t_ms;
    record_of(a, "up", "node", t_ms, v, news, event);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct label *)a)->name, ((const struct label *)b)->name);
}

#define OWN_LABELS_MAX 16
void pipeline_record(struct pipeline *p, const char *name, const struct label *labels, size_t n,
    int64_t t_ms, double v)
{
    struct label l[OWN_LABELS_MAX + 3];
    size_t k = 0;
    bool instance = false, job = false;
    l[k++] = (struct label){LABEL_NAME, name};
    for (size_t i = 0; i < n && i < OWN_LABELS_MAX; i++) {
        instance |= strcmp(labels[i].name, "instance") == 0;
        job |= strcmp(labels[i].name, "job") == 0;
        l[k++] = labels[i];
    }
    if (!instance)
        l[k++] = (struct label){"instance", p->o.instance};
    if (!job)
        l[k++] = (struct label){"job", "tocsin"};
    qsort(l, k, sizeof(*l), by_name);
    record(p, l, k, t_ms, v, true, false);
}

// --- agents ------------------------------------------------------------------------------------

static struct wire_label *labels_copy(const struct wire_label *l, size_t n)
{
    size_t bytes = sizeof(struct wire_label) * (n + 1);
    for (size_t i = 0; i < n; i++)
        bytes += strlen(l[i].name) + strlen(l[i].value) + 2;
    struct wire_label *copy = malloc(bytes);
    if (!copy)
        return NULL;
    char *text = (char *)(copy + n + 1);
    for (size_t i = 0; i < n; i++) {
        copy[i].name = strcpy(text, l[i].name);
        text += strlen(text) + 1;
        copy[i].value = strcpy(text, l[i].value);
        text += strlen(text) + 1;
    }
    return copy;
}

// Names, labels and place in the store; false on no memory, the agent is as before then.
static bool agent_describe(struct agent *a, const char *host, const char *version,
    const struct wire_label *labels, size_t n)
{
    char *h = strdup(host), *v = strdup(version);
    struct wire_label *l = labels_copy(labels, n);
    struct agent_store *store =
        h && v && l ? store_agent(a->p->store, a->id, host, labels, n) : NULL;
    if (!store) {
        free(h);
        free(v);
        free(l);
        return false;
    }
    free(a->host);
    free(a->version);
    free(a->labels);
    a->host = h;
    a->version = v;
    a->labels = l;
    a->n_labels = n;
    a->store = store;
    return true;
}

static struct agent *agent_add(struct pipeline *p, const uint8_t id[16], const char *host,
    const char *version, const struct wire_label *labels, size_t n)
{
    if (p->n_agents >= p->o.agents_max)
        return NULL;
    struct agent *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->p = p;
    memcpy(a->id, id, 16);
    a->up = double_from_bits(NAN_ABSENT_BITS);
    a->up_ms = a->down_from_ms = a->down_to_ms = INT64_MIN;
    if (!agent_describe(a, host, version, labels, n) || map_set(&p->agents, id, 16, a) < 0) {
        if (a->store)
            store_agent_forget(p->store, a->store);
        agent_free(a);
        return NULL;
    }
    a->next = p->first;
    p->first = a;
    p->n_agents++;
    return a;
}

static void changed(struct agent *a)
{
    a->dirty = true;
    a->last_seen_ms = a->p->now_ms;
}

static void silence(struct agent *a, bool silent)
{
    if (a->silent != silent)
        store_agent_silent(a->store, silent);
    a->silent = silent;
}

// It is over with this agent as planned: its series end, and nobody waits for it.
static void agent_end(struct agent *a, int64_t t_ms)
{
    liveness_goodbye(&a->live, a->p->mono_ms);
    silence(a, false);
    store_agent_end(a->store, t_ms);
    a->watermark_ms = 0;
    a->p->watermark_moved = true;
    if (double_bits(a->up) != NAN_ABSENT_BITS) {
        record_up(a, t_ms, double_from_bits(NAN_STALE_BITS), false);
        a->up = double_from_bits(NAN_ABSENT_BITS);
    }
    changed(a);
}

// A host that was installed anew speaks with a new id; nobody shall be paged for the old one.
static void replace_same_host(struct agent *a)
{
    for (struct agent *x = a->p->first; x; x = x->next)
        if (x != a && strcmp(x->host, a->host) == 0 && x->live.state != LIVENESS_GONE &&
            (x->live.state != LIVENESS_UP || x->epoch == 0))
            agent_end(x, a->p->now_ms);
}

void pipeline_expect(struct pipeline *p, const uint8_t agent_id[16], const char *host,
    const struct wire_label *labels, size_t n, int64_t last_seen_ms, int64_t mono_ms)
{
    clocks(p, p->now_ms, mono_ms);
    if (map_get(&p->agents, agent_id, 16))
        return;
    struct agent *a = agent_add(p, agent_id, host, "", labels, n);
    if (!a)
        return;
    a->expected = true;
    a->last_seen_ms = last_seen_ms;
    a->noted_ms = p->now_ms;
    liveness_init(&a->live, mono_ms);
    liveness_stall(&a->live, p->o.start_grace_ms);
    int64_t next = liveness_next(&a->live);
    if (next < p->alive_next)
        p->alive_next = next;
}

static void agent_session(struct agent *a, const struct frame *f)
{
    // With no memory the old name stays: better than no samples.
    (void)agent_describe(a, f->host, f->version, f->host_labels, f->n_host_labels);
    store_agent_session(a->store, f->epoch);
    silence(a, true); // until a live frame comes
    a->epoch = f->epoch;
    a->nonce = f->nonce;
    a->first_seq = a->last_seq = a->frames = a->goodbye_seq = 0;
    a->oldest_seq = f->oldest_seq;
    a->came_ms = a->p->mono_ms;
    a->sweep_ms = a->p->now_ms + SWEEP_MS;
    changed(a);
    replace_same_host(a);
}

// --- frames ------------------------------------------------------------------------------------

static void fed(void *ctx, uint32_t series, int64_t t_ms)
{
    const struct feed_ctx *feed = ctx;
    if (feed->live)
        engine_feed(feed->engine, series, t_ms, feed->event);
}

static void heard(struct agent *a, int64_t t_ms, bool backfill)
{
    struct pipeline *p = a->p;
    bool was_down = a->live.state == LIVENESS_DOWN;
    (void)liveness_frame(&a->live, p->mono_ms);
    // What it kept for us says that it lives, but not how things are now.
    if (!backfill)
        silence(a, false);
    int64_t next = liveness_next(&a->live);
    if (next < p->alive_next)
        p->alive_next = next;
    a->last_frame_ms = a->last_seen_ms = p->now_ms;
    if (was_down)
        a->down_to_ms = p->now_ms;
    if (was_down || (!backfill && a->up != 1))
        record_up(a, backfill ? p->now_ms : t_ms, 1, true);
}

// up = 1 at each tick of the agent; history filled in later leaves the time out in which we said 0.
static void tick_up(struct agent *a, int64_t t_ms, bool backfill)
{
    if (!backfill) {
        if (t_ms > a->up_ms)
            record_up(a, t_ms, 1, false);
    } else if (t_ms < a->down_from_ms || t_ms > a->down_to_ms) {
        record_of(a, "up", "node", t_ms, 1, false, false);
    }
    record_of(a, "tocsin_agent_clock_skew_seconds", "tocsin", t_ms, (double)a->skew_ms / 1000,
        false, false);
}

static void count_seq(struct agent *a, uint64_t seq)
{
    if (a->first_seq == 0 || seq < a->first_seq)
        a->first_seq = seq;
    if (seq > a->last_seq)
        a->last_seq = seq;
    a->frames++;
}

void pipeline_frame(struct pipeline *p, const struct frame *f, int64_t now_ms, int64_t mono_ms)
{
    clocks(p, now_ms, mono_ms);
    struct agent *a = map_get(&p->agents, f->agent_id, 16);
    if (!a) {
        a = agent_add(p, f->agent_id, f->host, f->version, f->host_labels, f->n_host_labels);
        if (!a)
            return;
        liveness_init(&a->live, p->mono_ms);
    }
    if (a->epoch != f->epoch || a->nonce != f->nonce)
        agent_session(a, f);
    const struct batch *b = &f->batch;
    int64_t t_ms = b->wall_ms + f->skew_ms;
    a->skew_ms = f->skew_ms;
    count_seq(a, b->seq);
    p->stats.frames++;
    p->stats.backfilled += f->backfill;

    bool after_goodbye = a->goodbye_seq && (f->backfill || b->seq <= a->goodbye_seq);
    if (!after_goodbye)
        heard(a, t_ms, f->backfill);
    for (size_t i = 0; i < b->n_declares; i++)
        store_declare(a->store, &b->declares[i]);
    bool ticked = false;
    for (size_t i = 0; i < b->n_groups; i++) {
        const struct batch_group *g = &b->groups[i];
        p->feed.live = !f->backfill;
        p->feed.event = g->interval_ms == 0;
        ticked |= g->interval_ms != 0;
        if (store_group(a->store, g, g->stamp_ms + f->skew_ms, fed, &p->feed) < 0)
            p->stats.groups_refused++;
    }
    for (size_t i = 0; i < b->n_retired; i++)
        store_retire(a->store, b->retired[i]);
    if (ticked && !after_goodbye)
        tick_up(a, t_ms, f->backfill);
    if (ticked && !f->backfill && t_ms > a->watermark_ms) {
        a->watermark_ms = t_ms < p->now_ms ? t_ms : p->now_ms;
        p->watermark_moved |= !p->slowest || p->slowest == a;
    }
    for (size_t i = 0; i < b->n_events; i++)
        if (b->events[i].kind == EVENT_GOODBYE && b->seq >= a->last_seq) {
            a->goodbye_seq = b->seq;
            agent_end(a, t_ms);
        }
}

void pipeline_closed(
    struct pipeline *p, const uint8_t agent_id[16], int64_t now_ms, int64_t mono_ms)
{
    clocks(p, now_ms, mono_ms);
    struct agent *a = map_get(&p->agents, agent_id, 16);
    if (!a)
        return;
    if (liveness_closed(&a->live, p->mono_ms)) {
        silence(a, true);
        p->watermark_moved = true;
    }
    int64_t next = liveness_next(&a->live);
    if (next < p->alive_next)
        p->alive_next = next;
}

void pipeline_stall(struct pipeline *p, int64_t stalled_ms)
{
    p->stats.stalled_ms += (uint64_t)(stalled_ms > 0 ? stalled_ms : 0);
    for (struct agent *a = p->first; a; a = a->next)
        liveness_stall(&a->live, stalled_ms);
}

int pipeline_restore(struct pipeline *p, const struct notice *n)
{
    struct alert a = notice_alert(n);
    return engine_restore(p->engine, n->rule_identity, &a);
}

void pipeline_alert_ids(struct pipeline *p, uint64_t last)
{
    engine_alert_ids(p->engine, last);
}

int pipeline_load(struct pipeline *p, struct ruleset *set)
{
    int rc = engine_load(p->engine, set);
    if (rc < 0)
        return rc;
    int64_t reach = engine_reach_ms(p->engine);
    store_retention(
        p->store, reach > p->o.store.retention_ms ? reach : p->o.store.retention_ms);
    return 0;
}

// --- time --------------------------------------------------------------------------------------

static void agent_alive(struct agent *a)
{
    struct pipeline *p = a->p;
    if (!liveness_advance(&a->live, p->mono_ms))
        return;
    if (a->live.state == LIVENESS_SUSPECT || a->live.state == LIVENESS_DOWN) {
        silence(a, true);
        p->watermark_moved = true;
    }
    if (a->live.state == LIVENESS_DOWN) {
        a->down_from_ms = p->now_ms;
        a->down_to_ms = INT64_MAX;
        record_up(a, p->now_ms, 0, true);
    }
}

static void alive(struct pipeline *p)
{
    if (p->mono_ms < p->alive_next)
        return;
    p->alive_next = INT64_MAX;
    for (struct agent *a = p->first; a; a = a->next) {
        agent_alive(a);
        int64_t next = liveness_next(&a->live);
        if (a->live.state == LIVENESS_UP && next < p->mono_ms + SUSPECT_STEP_MS)
            next = p->mono_ms + SUSPECT_STEP_MS;
        if (next < p->alive_next)
            p->alive_next = next;
    }
}

static void agent_house(struct agent *a, int64_t t_ms)
{
    // Said again each second, so that a rule's look back never runs out of it.
    if (a->live.state == LIVENESS_DOWN && t_ms > a->up_ms)
        record_up(a, t_ms, 0, false);
    if (a->sweep_ms && a->p->now_ms >= a->sweep_ms) {
        a->sweep_ms = 0;
        store_agent_sweep(a->store, t_ms);
    }
    uint64_t refused = agent_store_refused(a->store);
    if (refused || a->refused_before) {
        a->refused_before = true;
        record_of(a, "tocsin_collector_series_refused_total", "tocsin", t_ms, (double)refused,
            true, false);
    }
}

// An agent that said goodbye and whose series have all gone too.
static bool agent_over(const struct agent *a)
{
    return a->live.state == LIVENESS_GONE && !a->dirty && agent_store_series(a->store) == 0 &&
           a->p->now_ms - a->last_seen_ms > a->p->o.store.retention_ms;
}

static void house(struct pipeline *p)
{
    if (p->now_ms < p->house_ms)
        return;
    int64_t t_ms = p->now_ms - p->now_ms % HOUSE_MS;
    p->house_ms = t_ms + HOUSE_MS;
    for (struct agent **at = &p->first; *at;) {
        struct agent *a = *at;
        agent_house(a, t_ms);
        if (agent_over(a)) {
            *at = a->next;
            p->n_agents--;
            if (p->slowest == a) {
                p->slowest = NULL;
                p->watermark_moved = true;
            }
            map_del(&p->agents, a->id, 16);
            store_agent_forget(p->store, a->store);
            agent_free(a);
        } else {
            at = &a->next;
        }
    }
    store_expire(p->store, p->now_ms);
}

static void watermark(struct pipeline *p)
{
    if (!p->watermark_moved)
        return;
    p->watermark_moved = false;
    int64_t lowest = INT64_MAX;
    p->slowest = NULL;
    for (const struct agent *a = p->first; a; a = a->next)
        if (a->live.state == LIVENESS_UP && a->watermark_ms && a->watermark_ms < lowest) {
            lowest = a->watermark_ms;
            p->slowest = a;
        }
    if (lowest != INT64_MAX && lowest > p->watermark_ms) {
        p->watermark_ms = lowest;
        engine_watermark(p->engine, lowest);
    }
}

int64_t pipeline_next(const struct pipeline *p)
{
    int64_t next = p->warm ? engine_next(p->engine) : p->now_ms + WARM_STEP_MS;
    if (p->house_ms < next)
        next = p->house_ms;
    if (p->alive_next != INT64_MAX) {
        int64_t wait = p->alive_next - p->mono_ms;
        int64_t at = p->now_ms + (wait > 0 ? wait : 0);
        if (at < next)
            next = at;
    }
    return next;
}

void pipeline_advance(
    struct pipeline *p, int64_t now_ms, int64_t mono_ms, pipeline_notice_fn *fn, void *ctx)
{
    clocks(p, now_ms, mono_ms);
    alive(p);
    house(p);
    watermark(p);
    if (!warm(p) || engine_next(p->engine) > p->now_ms)
        return;
    struct transitions ts = {0};
    (void)engine_advance(p->engine, p->now_ms, &ts); // out of memory: it tries again itself
    for (size_t i = 0; i < ts.n; i++) {
        struct notice *n = notice_new(&ts.t[i], ++p->notice_id, p->now_ms);
        if (n)
            fn(ctx, n);
        else
            p->stats.notices_lost++;
    }
}

// --- reading -----------------------------------------------------------------------------------

void agent_note_free(struct agent_note *n)
{
    if (!n)
        return;
    free(n->host);
    free(n->labels);
    free(n);
}

static struct agent_note *note_of(const struct agent *a)
{
    struct agent_note *n = calloc(1, sizeof(*n));
    if (!n)
        return NULL;
    memcpy(n->agent_id, a->id, 16);
    n->host = strdup(a->host);
    n->labels = labels_copy(a->labels, a->n_labels);
    n->n_labels = a->n_labels;
    n->epoch = a->epoch;
    n->last_seen_ms = a->last_seen_ms;
    n->gone = a->live.state == LIVENESS_GONE;
    if (!n->host || !n->labels) {
        agent_note_free(n);
        return NULL;
    }
    return n;
}

void pipeline_notes(struct pipeline *p, bool (*fn)(void *ctx, struct agent_note *n), void *ctx)
{
    for (struct agent *a = p->first; a; a = a->next) {
        bool due = a->last_seen_ms - a->noted_ms >= NOTE_MS;
        if (!a->dirty && !due)
            continue;
        struct agent_note *n = note_of(a);
        if (!n)
            return;
        if (!fn(ctx, n)) {
            agent_note_free(n);
            return;
        }
        a->dirty = false;
        a->noted_ms = p->now_ms;
    }
}

void pipeline_each_agent(
    const struct pipeline *p, bool (*fn)(void *ctx, const struct agent_info *a), void *ctx)
{
    for (const struct agent *a = p->first; a; a = a->next) {
        uint64_t span = a->frames ? a->last_seq - a->first_seq + 1 : 0;
        struct agent_info info = {.agent_id = a->id,
            .host = a->host,
            .version = a->version,
            .epoch = a->epoch,
            .last_seq = a->last_seq,
            .missing = span > a->frames ? span - a->frames : 0,
            .state = a->live.state,
            .last_frame_ms = a->last_frame_ms,
            .newest_ms = a->watermark_ms,
            .skew_ms = a->skew_ms,
            .series = agent_store_series(a->store),
            .refused = agent_store_refused(a->store)};
        if (!fn(ctx, &info))
            return;
    }
}

const struct source *pipeline_source(const struct pipeline *p)
{
    return store_source(p->store);
}

const struct engine *pipeline_engine(const struct pipeline *p)
{
    return p->engine;
}

struct store *pipeline_store(struct pipeline *p)
{
    return p->store;
}

void pipeline_stats(const struct pipeline *p, struct pipeline_stats *ret)
{
    *ret = p->stats;
}
