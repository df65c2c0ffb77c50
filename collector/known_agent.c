// SPDX-License-Identifier: Apache-2.0
#include "collector/known_agent.h"
#include <stdlib.h>
#include <string.h>

// gcc 12's -fanalyzer loses what agents own, and takes them for leaked.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

#define SWEEP_MS  5000 // a new session has shown all it has by then
#define NOTE_MS   60000
#define REFILL_MS 3000 // what an agent kept for us is here by then, or does not come

bool agent_caught_up(const struct agent *a)
{
    if (a->epoch == 0)
        return false;
    bool from_start = !a->oldest_seq || a->first_seq <= a->oldest_seq;
    bool whole = from_start && a->frames > a->last_seq - a->first_seq;
    return a->watermark_ms && (whole || a->p->mono_ms - a->came_ms >= REFILL_MS);
}

void agent_free(struct agent *a)
{
    free(a->host);
    free(a->version);
    free(a->labels);
    free(a);
}

static void agent_record(struct agent *a, const char *name, const char *job, int64_t t_ms,
    double v, bool feed, bool event)
{
    struct label l[] = {{LABEL_NAME, name}, {"instance", a->host}, {"job", job}};
    pipeline_put(a->p, l, 3, t_ms, v, feed, event);
}

// A steady 1 is no news to a rule that waits for arrivals; the grid reads it anyway.
static void agent_record_up(struct agent *a, int64_t t_ms, double v, bool event)
{
    bool news = double_bits(a->up) != double_bits(v);
    if (t_ms <= a->up_ms)
        t_ms = a->up_ms + 1;
    a->up = v;
    a->up_ms = t_ms;
    agent_record(a, "up", "node", t_ms, v, news, event);
}

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

struct agent *agent_add(struct pipeline *p, const uint8_t id[16], const char *host,
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

static void agent_changed(struct agent *a)
{
    a->dirty = true;
    a->last_seen_ms = a->p->now_ms;
}

void agent_silence(struct agent *a, bool silent)
{
    if (a->silent != silent)
        store_agent_silent(a->store, silent);
    a->silent = silent;
}

void agent_end(struct agent *a, int64_t t_ms)
{
    liveness_goodbye(&a->live, a->p->mono_ms);
    agent_silence(a, false);
    store_agent_end(a->store, t_ms);
    a->watermark_ms = 0;
    a->p->watermark_moved = true;
    if (double_bits(a->up) != NAN_ABSENT_BITS) {
        agent_record_up(a, t_ms, double_from_bits(NAN_STALE_BITS), false);
        a->up = double_from_bits(NAN_ABSENT_BITS);
    }
    agent_changed(a);
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
    pipeline_clocks(p, p->now_ms, mono_ms);
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

void agent_session(struct agent *a, const struct frame *f)
{
    // With no memory the old name stays: better than no samples.
    (void)agent_describe(a, f->host, f->version, f->host_labels, f->n_host_labels);
    store_agent_session(a->store, f->epoch);
    agent_silence(a, true); // until a live frame comes
    a->epoch = f->epoch;
    a->nonce = f->nonce;
    a->first_seq = a->last_seq = a->frames = a->goodbye_seq = 0;
    a->oldest_seq = f->oldest_seq;
    a->came_ms = a->p->mono_ms;
    a->sweep_ms = a->p->now_ms + SWEEP_MS;
    agent_changed(a);
    replace_same_host(a);
}

void agent_heard(struct agent *a, int64_t t_ms, bool backfill)
{
    struct pipeline *p = a->p;
    bool was_down = a->live.state == LIVENESS_DOWN;
    (void)liveness_frame(&a->live, p->mono_ms);
    // What it kept for us says that it lives, but not how things are now.
    if (!backfill)
        agent_silence(a, false);
    int64_t next = liveness_next(&a->live);
    if (next < p->alive_next)
        p->alive_next = next;
    a->last_frame_ms = a->last_seen_ms = p->now_ms;
    if (was_down)
        a->down_to_ms = p->now_ms;
    if (was_down || (!backfill && a->up != 1))
        agent_record_up(a, backfill ? p->now_ms : t_ms, 1, true);
}

void agent_tick_up(struct agent *a, int64_t t_ms, bool backfill)
{
    if (!backfill) {
        if (t_ms > a->up_ms)
            agent_record_up(a, t_ms, 1, false);
    } else if (t_ms < a->down_from_ms || t_ms > a->down_to_ms) {
        agent_record(a, "up", "node", t_ms, 1, false, false);
    }
    agent_record(a, "tocsin_agent_clock_skew_seconds", "tocsin", t_ms,
        (double)a->skew_ms / 1000, false, false);
}

void agent_count_seq(struct agent *a, uint64_t seq)
{
    if (a->first_seq == 0 || seq < a->first_seq)
        a->first_seq = seq;
    if (seq > a->last_seq)
        a->last_seq = seq;
    a->frames++;
}

void agent_alive(struct agent *a)
{
    struct pipeline *p = a->p;
    if (!liveness_advance(&a->live, p->mono_ms))
        return;
    if (a->live.state == LIVENESS_SUSPECT || a->live.state == LIVENESS_DOWN) {
        agent_silence(a, true);
        p->watermark_moved = true;
    }
    if (a->live.state == LIVENESS_DOWN) {
        a->down_from_ms = p->now_ms;
        a->down_to_ms = INT64_MAX;
        agent_record_up(a, p->now_ms, 0, true);
    }
}

void agent_house(struct agent *a, int64_t t_ms)
{
    // Said again each second, so that a rule's look back never runs out of it.
    if (a->live.state == LIVENESS_DOWN && t_ms > a->up_ms)
        agent_record_up(a, t_ms, 0, false);
    if (a->sweep_ms && a->p->now_ms >= a->sweep_ms) {
        a->sweep_ms = 0;
        store_agent_sweep(a->store, t_ms);
    }
    uint64_t refused = agent_store_refused(a->store);
    if (refused || a->refused_before) {
        a->refused_before = true;
        agent_record(a, "tocsin_collector_series_refused_total", "tocsin", t_ms,
            (double)refused, true, false);
    }
}

bool agent_over(const struct agent *a)
{
    return a->live.state == LIVENESS_GONE && !a->dirty && agent_store_series(a->store) == 0 &&
           a->p->now_ms - a->last_seen_ms > a->p->o.store.retention_ms;
}

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
