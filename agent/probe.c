// SPDX-License-Identifier: Apache-2.0
#include "agent/probe.h"
#include "agent/listen.h"
#include "wire/tocsin.pb-c.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// Buckets of scale 4: bucket i covers (2^((i-1)/16), 2^(i/16)] seconds, from 1 us to 64 s.
#define BUCKET_LOW     (-320)
#define BUCKET_HIGH    96
#define N_BUCKETS      (BUCKET_HIGH - BUCKET_LOW + 1)
#define ZERO_THRESHOLD 0x1p-20

// The agent's own start: listeners get their names meanwhile.
#define FIRST_START_NS (20 * NS_PER_MS)

static const char *const PHASES[PROBE_PHASES] = {
    "resolve", "connect", "tls", "processing", "transfer"};

enum verdict { UNKNOWN, FAILED, SUCCEEDED };

enum {
    ID_SUCCESS,
    ID_DURATION,
    ID_DURATION_MAX,
    ID_IN_FLIGHT,
    ID_SLOW,
    ID_SKIPPED,
    ID_LAG_MAX,
    ID_LATENCY,
    ID_STATUS,
    ID_EXPIRY,
    ID_PHASE,
    N_IDS = ID_PHASE + PROBE_PHASES
};

struct probe {
    struct probes *engine;
    const struct probe_config *config;
    struct probe_attempt attempts[PROBE_FLIGHTS];
    struct loop_timer *timer; // the next start
    struct loop_timer *extra; // one out of turn
    int64_t due_ns;
    int64_t judged_ns; // intended start of what the verdict is from
    uint32_t ids[N_IDS];
    enum verdict verdict;
    struct probe_result last;
    double duration, duration_max, lag_max;
    bool fresh; // a result came since the last sample
    uint64_t skipped, zero_count;
    double sum;
    uint32_t buckets[N_BUCKETS];
    bool interned;
    bool kept; // during apply
};

// Probes of one interval are sampled by one sampler.
struct group {
    struct probes *engine;
    uint32_t interval_ms;
    struct sampler *sampler;
};

struct probes {
    struct env *env;
    struct schedule *schedule;
    struct transfers *transfers;
    struct probe *all[CONFIG_PROBES_MAX];
    size_t n;
    struct group *groups[CONFIG_PROBES_MAX];
    size_t n_groups;
};

const struct probe_config *probe_config(const struct probe *p)
{
    return p->config;
}

static int64_t now_ns(const struct probe *p)
{
    return clock_mono_ns(&p->engine->env->clock);
}

// --- what is written ---------------------------------------------------------------------------

// At the first start, when the listeners have their names. `port` is what rules join a probe of a
// local target with its service by, so it is there always; `service` when it is known by now.
static void intern(struct probe *p)
{
    static const struct {
        const char *name, *unit;
        enum series_kind kind;
    } SERIES[] = {
        [ID_SUCCESS] = {"probe_success", "1", SERIES_STATE},
        [ID_DURATION] = {"probe_duration_seconds", "s", SERIES_GAUGE},
        [ID_DURATION_MAX] = {"tocsin_probe_duration_seconds_max", "s", SERIES_GAUGE},
        [ID_IN_FLIGHT] = {"tocsin_probe_in_flight_seconds", "s", SERIES_GAUGE},
        [ID_SLOW] = {"tocsin_probe_slow_threshold_seconds", "s", SERIES_GAUGE},
        [ID_SKIPPED] = {"tocsin_probe_skipped_total", "1", SERIES_COUNTER},
        [ID_LAG_MAX] = {"tocsin_probe_start_lag_seconds_max", "s", SERIES_GAUGE},
        [ID_LATENCY] = {"tocsin_probe_latency_seconds", "s", SERIES_HISTOGRAM},
        [ID_STATUS] = {"probe_http_status_code", "1", SERIES_GAUGE},
        [ID_EXPIRY] = {"probe_ssl_earliest_cert_expiry", "s", SERIES_GAUGE},
        [ID_PHASE] = {"probe_http_duration_seconds", "s", SERIES_GAUGE},
    };
    const struct probe_config *c = p->config;
    const struct env *env = p->engine->env;
    const char *service = c->service;
    char port[8] = "";
    p->interned = true;
    if (c->local) {
        snprintf(port, sizeof(port), "%u", c->port);
        const struct service *known =
            !service && env->listen ? listen_service(env->listen, c->port) : NULL;
        if (known)
            service = known->name;
    }
    for (int i = 0; i < N_IDS; i++) {
        int s = i < ID_PHASE ? i : ID_PHASE;
        if (c->kind == PROBE_TCP && s >= ID_STATUS)
            continue;
        if (i == ID_EXPIRY && strncasecmp(c->target, "https", 5) != 0)
            continue;
        struct wire_label l[] = {{"job", "probe"}, {"probe", c->name}, {"target", c->target},
            {"port", port}, {"service", service},
            {"phase", i >= ID_PHASE ? PHASES[i - ID_PHASE] : NULL}};
        p->ids[i] =
            output_series(env->out, SERIES[s].name, l, 6, SERIES[s].kind, SERIES[s].unit);
    }
}

static double in_flight_s(const struct probe *p, int64_t at_ns)
{
    int64_t oldest = at_ns;
    for (int i = 0; i < PROBE_FLIGHTS; i++)
        if (p->attempts[i].active && p->attempts[i].intended_ns < oldest)
            oldest = p->attempts[i].intended_ns;
    return (double)(at_ns - oldest) / 1e9;
}

static void write_result(struct probe *p, struct output *o)
{
    if (p->verdict == UNKNOWN)
        return;
    output_set(o, p->ids[ID_SUCCESS], p->verdict == SUCCEEDED);
    output_set(o, p->ids[ID_DURATION], p->duration);
    output_set(o, p->ids[ID_STATUS], p->last.status);
    if (p->last.cert_expiry > 0)
        output_set(o, p->ids[ID_EXPIRY], p->last.cert_expiry);
    for (int i = 0; i < PROBE_PHASES; i++)
        output_set(o, p->ids[ID_PHASE + i], p->last.phases[i]);
}

static void write_latency(struct probe *p, struct output *o)
{
    int32_t index[N_BUCKETS];
    uint64_t count[N_BUCKETS];
    struct wire_histogram h = {.scale = WIRE_SCALE,
        .zero_threshold = ZERO_THRESHOLD,
        .zero_count = p->zero_count,
        .sum = p->sum,
        .index = index,
        .count = count};
    for (int i = 0; i < N_BUCKETS; i++)
        if (p->buckets[i]) {
            index[h.n] = BUCKET_LOW + i;
            count[h.n++] = p->buckets[i];
        }
    output_histogram(o, p->ids[ID_LATENCY], &h);
}

static void observe(struct probe *p, double s)
{
    p->duration = s;
    p->fresh = true;
    if (s > p->duration_max)
        p->duration_max = s;
    p->sum += s;
    if (s <= ZERO_THRESHOLD) {
        p->zero_count++;
        return;
    }
    int i = (int)ceil(log2(s) * (1 << WIRE_SCALE));
    i = i < BUCKET_LOW ? BUCKET_LOW : i > BUCKET_HIGH ? BUCKET_HIGH : i;
    p->buckets[i - BUCKET_LOW]++;
}

static void group_tick(struct sampler *s, const struct tick *t)
{
    const struct group *g = s->state;
    struct output *o = s->env->out;
    for (size_t i = 0; i < g->engine->n; i++) {
        struct probe *p = g->engine->all[i];
        if (p->config->every_ms != g->interval_ms)
            continue;
        output_set(o, p->ids[ID_IN_FLIGHT], in_flight_s(p, t->now_ns));
        output_set(o, p->ids[ID_SLOW], (double)p->config->slow_ms / 1e3);
        output_set(o, p->ids[ID_SKIPPED], (double)p->skipped);
        output_set(o, p->ids[ID_LAG_MAX], p->lag_max);
        p->lag_max = 0;
        write_result(p, o);
        if (p->fresh) {
            output_set(o, p->ids[ID_DURATION_MAX], p->duration_max);
            write_latency(p, o);
        }
        p->fresh = false;
        p->duration_max = 0;
    }
}

static void group_close(struct sampler *s)
{
    free(s->state);
    s->state = NULL;
}

static const struct sampler_ops SAMPLER_PROBES = {
    .name = "probe", .tick = group_tick, .close = group_close};

static void tell(struct probe *p, int kind, const char *detail)
{
    struct env *env = p->engine->env;
    char text[WIRE_DETAIL_MAX + 1];
    snprintf(text, sizeof(text), "probe %.60s: %.130s", p->config->name, detail);
    output_event(
        env->out, kind, env->clock.wall_ns(env->clock.ctx) / 1000, p->config->service, text);
}

// --- attempts ----------------------------------------------------------------------------------

static void attempt_end(struct probe_attempt *a)
{
    a->active = false;
    loop_timer_stop(a->timer);
    probe_tcp_stop(a);
    if (a->easy)
        probe_http_stop(a, a->probe->engine->transfers);
}

// An older question's answer that arrives after a younger one's still counts as latency, but the
// verdict is that of the younger.
static void conclude(struct probe_attempt *a, const struct probe_result *r, double duration_s)
{
    struct probe *p = a->probe;
    struct env *env = p->engine->env;
    attempt_end(a);
    observe(p, duration_s);
    bool changed = false;
    if (a->intended_ns >= p->judged_ns) {
        enum verdict verdict = r->success ? SUCCEEDED : FAILED;
        changed = verdict != p->verdict && (p->verdict != UNKNOWN || verdict == FAILED);
        p->judged_ns = a->intended_ns;
        p->verdict = verdict;
        p->last = *r;
    }
    if (!changed && !a->slow_told)
        return;
    bool held =
        changed && !r->success && p->config->local && env->listen && listen_check(env->listen);
    // The new verdict, or the end of a slow answer, travels at once.
    output_group(env->out, 0, 0, clock_wall_ms(&env->clock));
    write_result(p, env->out);
    output_set(env->out, p->ids[ID_IN_FLIGHT], in_flight_s(p, now_ns(p)));
    if (!changed)
        return;
    tell(p, TOCSIN__V1__EVENT_KIND__EVENT_PROBE_CHANGED,
        r->success ? "answers again" : r->detail);
    if (!held)
        env->flush(env->core);
}

void probe_done(struct probe_attempt *a, const struct probe_result *r)
{
    if (a->active)
        conclude(a, r, (double)(now_ns(a->probe) - a->intended_ns) / 1e9);
}

static void on_attempt_timer(void *ctx, int64_t due_ns, int64_t at_ns)
{
    struct probe_attempt *a = ctx;
    struct probe *p = a->probe;
    struct env *env = p->engine->env;
    const struct probe_config *c = p->config;
    (void)due_ns;
    if (at_ns >= a->intended_ns + c->timeout_ms * NS_PER_MS) {
        struct probe_result r = {0};
        snprintf(
            r.detail, sizeof(r.detail), "no answer within %lld ms", (long long)c->timeout_ms);
        conclude(a, &r, (double)c->timeout_ms / 1e3);
        return;
    }
    bool told = false; // by an older one that still hangs
    for (int i = 0; i < PROBE_FLIGHTS; i++)
        told = told || (p->attempts[i].active && p->attempts[i].slow_told);
    a->slow_told = true;
    loop_timer_set(a->timer, a->intended_ns + c->timeout_ms * NS_PER_MS);
    if (told)
        return;
    char detail[64];
    snprintf(detail, sizeof(detail), "no answer for %lld ms", (long long)c->slow_ms);
    output_group(env->out, 0, 0, clock_wall_ms(&env->clock));
    output_set(env->out, p->ids[ID_IN_FLIGHT], in_flight_s(p, at_ns));
    output_set(env->out, p->ids[ID_SLOW], (double)c->slow_ms / 1e3);
    tell(p, TOCSIN__V1__EVENT_KIND__EVENT_PROBE_SLOW, detail);
    env->flush(env->core);
}

// False: as many are in flight as may be.
static bool ask(struct probe *p, int64_t intended_ns, int64_t at_ns)
{
    const struct probe_config *c = p->config;
    struct probe_attempt *a = NULL;
    for (int i = 0; i < PROBE_FLIGHTS && !a; i++)
        if (!p->attempts[i].active)
            a = &p->attempts[i];
    if (!a)
        return false;
    struct probe_result r = {0};
    a->active = true;
    a->slow_told = false;
    a->intended_ns = intended_ns;
    a->begun_ns = at_ns;
    loop_timer_set(a->timer,
        intended_ns + (c->slow_ms < c->timeout_ms ? c->slow_ms : c->timeout_ms) * NS_PER_MS);
    int rc = c->kind == PROBE_TCP && probe_is_address(c->host)
                 ? probe_tcp_start(a, c, p->engine->env->loop, r.detail, sizeof(r.detail))
                 : probe_http_start(a, c, p->engine->transfers, r.detail, sizeof(r.detail));
    if (rc < 0)
        probe_done(a, &r);
    return true;
}

static void on_start(void *ctx, int64_t due_ns, int64_t at_ns)
{
    struct probe *p = ctx;
    int64_t step = p->config->every_ms * NS_PER_MS;
    (void)due_ns;
    if (!p->interned)
        intern(p);
    // What was missed by whole intervals (the host stalled) is skipped, not made up for in a bunch.
    int64_t behind = (at_ns - p->due_ns) / step;
    p->skipped += (uint64_t)behind;
    int64_t intended = p->due_ns + behind * step;
    p->due_ns = intended + step;
    loop_timer_set(p->timer, p->due_ns);
    double lag = (double)(at_ns - intended) / 1e9;
    if (lag > p->lag_max)
        p->lag_max = lag;
    if (!ask(p, intended, at_ns))
        p->skipped++;
}

static void on_extra(void *ctx, int64_t due_ns, int64_t at_ns)
{
    (void)due_ns;
    ask(ctx, at_ns, at_ns);
}

void probes_port_turned(struct probes *e, uint16_t port)
{
    for (size_t i = 0; i < e->n; i++) {
        struct probe *p = e->all[i];
        // One that never ran has its first turn in a moment. By timer: we are called while others
        // work on what the answer would change.
        if (p->interned && p->config->local && p->config->port == port)
            loop_timer_set(p->extra, now_ns(p));
    }
}

static void on_port_turned(void *ctx, uint16_t port)
{
    probes_port_turned(ctx, port);
}

// --- the set of probes -------------------------------------------------------------------------

static void probe_free(struct probe *p, bool end_series)
{
    if (!p)
        return;
    for (int i = 0; i < PROBE_FLIGHTS; i++) {
        struct probe_attempt *a = &p->attempts[i];
        if (a->timer)
            attempt_end(a);
        curl_easy_cleanup(a->easy);
        buf_done(&a->body);
        loop_timer_free(a->timer);
    }
    loop_timer_free(p->timer);
    loop_timer_free(p->extra);
    for (int i = 0; end_series && i < N_IDS; i++)
        output_end(p->engine->env->out, p->ids[i]);
    free(p);
}

static struct probe *probe_new(struct probes *e, const struct probe_config *c)
{
    struct probe *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->engine = e;
    p->config = c;
    p->timer = loop_timer_new(e->env->loop, on_start, p);
    p->extra = loop_timer_new(e->env->loop, on_extra, p);
    bool ok = p->timer && p->extra;
    for (int i = 0; i < PROBE_FLIGHTS; i++) {
        struct probe_attempt *a = &p->attempts[i];
        a->probe = p;
        a->fd = -1;
        a->timer = loop_timer_new(e->env->loop, on_attempt_timer, a);
        ok = ok && a->timer;
    }
    if (ok)
        return p;
    probe_free(p, false);
    return NULL;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_config(const struct probe_config *a, const struct probe_config *b)
{
    return a->kind == b->kind && same_text(a->name, b->name) &&
           same_text(a->target, b->target) && same_text(a->service, b->service) &&
           same_text(a->method, b->method) && same_text(a->body, b->body) &&
           a->every_ms == b->every_ms && a->timeout_ms == b->timeout_ms &&
           a->slow_ms == b->slow_ms && a->n_status == b->n_status &&
           memcmp(a->status, b->status, sizeof(a->status)) == 0;
}

static int groups_for(struct probes *e, const struct agent_config *c)
{
    for (size_t i = 0; i < c->n_probes; i++) {
        uint32_t ms = (uint32_t)c->probes[i].every_ms;
        size_t k = 0;
        while (k < e->n_groups && e->groups[k]->interval_ms != ms)
            k++;
        if (k < e->n_groups || e->n_groups == CONFIG_PROBES_MAX)
            continue;
        struct group *g = calloc(1, sizeof(*g));
        if (!g)
            return -ENOMEM;
        *g = (struct group){.engine = e, .interval_ms = ms};
        g->sampler = schedule_add(e->schedule, &SAMPLER_PROBES, ms, g);
        if (!g->sampler) {
            free(g);
            return -ENOMEM;
        }
        e->groups[e->n_groups++] = g;
    }
    return 0;
}

// Groups no probe is in any more.
static void groups_sweep(struct probes *e)
{
    size_t kept = 0;
    for (size_t k = 0; k < e->n_groups; k++) {
        bool used = false;
        for (size_t i = 0; i < e->n && !used; i++)
            used = e->all[i]->config->every_ms == e->groups[k]->interval_ms;
        if (used)
            e->groups[kept++] = e->groups[k];
        else
            schedule_drop(e->schedule, e->groups[k]->sampler);
    }
    e->n_groups = kept;
}

int probes_apply(struct probes *e, const struct agent_config *c)
{
    struct probe *next[CONFIG_PROBES_MAX] = {0}, *made[CONFIG_PROBES_MAX];
    size_t n_made = 0;
    for (size_t i = 0; i < e->n; i++)
        e->all[i]->kept = false;
    for (size_t i = 0; i < c->n_probes; i++) {
        for (size_t k = 0; k < e->n && !next[i]; k++)
            if (same_config(e->all[k]->config, &c->probes[i])) {
                next[i] = e->all[k];
                next[i]->kept = true;
            }
        if (next[i])
            continue;
        next[i] = probe_new(e, &c->probes[i]);
        if (!next[i])
            goto no_memory;
        made[n_made++] = next[i];
    }
    if (groups_for(e, c) < 0)
        goto no_memory;
    // From here on nothing fails.
    output_group(e->env->out, 0, 0, clock_wall_ms(&e->env->clock)); // for the stale markers
    for (size_t i = 0; i < e->n; i++)
        if (!e->all[i]->kept)
            probe_free(e->all[i], true);
    for (size_t i = 0; i < c->n_probes; i++) {
        e->all[i] = next[i];
        next[i]->config = &c->probes[i];
    }
    e->n = c->n_probes;
    int64_t now = clock_mono_ns(&e->env->clock);
    for (size_t i = 0; i < n_made; i++) {
        // Starts are spread over the interval: handshakes in one instant would wait for each other.
        struct probe *p = made[i];
        p->due_ns = now + FIRST_START_NS +
                    p->config->every_ms * NS_PER_MS * (int64_t)i / (int64_t)n_made;
        loop_timer_set(p->timer, p->due_ns);
    }
    groups_sweep(e);
    return 0;
no_memory:
    for (size_t i = 0; i < n_made; i++)
        probe_free(made[i], false);
    groups_sweep(e);
    return -ENOMEM;
}

struct probes *probes_new(struct env *env, struct schedule *s, struct transfers *m)
{
    struct probes *e = calloc(1, sizeof(*e));
    if (e)
        *e = (struct probes){.env = env, .schedule = s, .transfers = m};
    if (e && env->listen)
        listen_on_turn(env->listen, on_port_turned, e);
    return e;
}

void probes_free(struct probes *e)
{
    if (!e)
        return;
    if (e->env->listen)
        listen_on_turn(e->env->listen, NULL, NULL);
    for (size_t i = 0; i < e->n; i++)
        probe_free(e->all[i], false);
    e->n = 0;
    groups_sweep(e);
    free(e);
}
