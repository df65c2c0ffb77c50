// SPDX-License-Identifier: Apache-2.0
#include "collector/pipeline.h"
#include "collector/known_agent.h"
#include <stdlib.h>
#include <string.h>

// gcc 12's -fanalyzer loses what agents own, and takes them for leaked.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

#define AGENTS_MAX   16384
#define HOUSE_MS     1000
#define RETENTION_MS 600000
#define WARM_STEP_MS 20
#define SUSPECT_STEP_MS                                                                        \
    50 // suspicion may be this late, so that 10,000 agents are not walked at each frame
#define EVENT_GOODBYE 7 // EventKind of tocsin.proto; a test holds the two together

// An alert of an earlier run goes on as long as the agent it is about has not come back.
static bool holds(void *ctx, const struct labels *labels)
{
    const struct pipeline *p = ctx;
    const char *instance = labels_get(labels, "instance");
    for (const struct agent *a = p->first; *instance && a; a = a->next)
        if (strcmp(a->host, instance) == 0 && a->live.state != LIVENESS_GONE)
            return !agent_caught_up(a);
    return false;
}

// Before the agents are back, an expression about what is missing would be true of nothing.
static bool warm(struct pipeline *p)
{
    if (p->warm)
        return true;
    p->warm = true;
    for (const struct agent *a = p->first; a && p->warm; a = a->next)
        p->warm = !a->expected || a->live.state == LIVENESS_GONE || agent_caught_up(a);
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

void pipeline_clocks(struct pipeline *p, int64_t now_ms, int64_t mono_ms)
{
    if (now_ms > p->now_ms)
        p->now_ms = now_ms;
    if (mono_ms > p->mono_ms)
        p->mono_ms = mono_ms;
}

// --- what the collector itself writes ----------------------------------------------------------

void pipeline_put(struct pipeline *p, const struct label *l, size_t n, int64_t t_ms, double v,
    bool feed, bool event)
{
    struct labels labels = {l, n};
    uint32_t id;
    if (double_bits(v) != NAN_ABSENT_BITS &&
        store_record(p->store, &labels, t_ms, v, NULL, &id) == 0 && feed)
        engine_feed(p->engine, id, t_ms, event);
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
    pipeline_put(p, l, k, t_ms, v, true, false);
}

// --- frames ------------------------------------------------------------------------------------

static void fed(void *ctx, uint32_t series, int64_t t_ms)
{
    const struct feed_ctx *feed = ctx;
    if (feed->live)
        engine_feed(feed->engine, series, t_ms, feed->event);
}

void pipeline_frame(struct pipeline *p, const struct frame *f, int64_t now_ms, int64_t mono_ms)
{
    pipeline_clocks(p, now_ms, mono_ms);
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
    agent_count_seq(a, b->seq);
    p->stats.frames++;
    p->stats.backfilled += f->backfill;

    bool after_goodbye = a->goodbye_seq && (f->backfill || b->seq <= a->goodbye_seq);
    if (!after_goodbye)
        agent_heard(a, t_ms, f->backfill);
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
        agent_tick_up(a, t_ms, f->backfill);
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
    pipeline_clocks(p, now_ms, mono_ms);
    struct agent *a = map_get(&p->agents, agent_id, 16);
    if (!a)
        return;
    if (liveness_closed(&a->live, p->mono_ms)) {
        agent_silence(a, true);
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
    pipeline_clocks(p, now_ms, mono_ms);
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
