// SPDX-License-Identifier: Apache-2.0
#include "agent/icmp.h"
#include "agent/listen.h"
#include "agent/probe_state.h"
#include "agent/secure.h"
#include "base/map.h"
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The agent's own start: listeners get their names meanwhile.
#define FIRST_START_NS (20 * NS_PER_MS)

const struct probe_config *probe_config(const struct probe *p)
{
    return p->config;
}

struct env *probe_env(const struct probe *p)
{
    return p->engine->env;
}

const struct endpoint *probe_endpoint(const struct probe *p)
{
    return &p->endpoint;
}

struct transfers *probe_transfers(const struct probe *p)
{
    return p->engine->transfers;
}

struct secure_trust *probe_trust(struct probe *p, char *detail, size_t size)
{
    const char *ca_file = p->config->ca_file;
    struct secure_trust **at = ca_file ? &p->trust : &p->engine->trust;
    struct err err;
    if (!*at && secure_trust_new(ca_file, at, &err) < 0)
        snprintf(detail, size, "%.150s", err.msg);
    return *at;
}

static void group_tick(struct sampler *s, const struct tick *t)
{
    const struct group *g = s->state;
    if (g == g->engine->groups[0])
        probes_write(g->engine, s->env->out);
    for (size_t i = 0; i < g->engine->n; i++)
        if (g->engine->all[i]->config->every_ms == g->interval_ms)
            probe_write(g->engine->all[i], s->env->out, t->now_ns);
}

static void group_close(struct sampler *s)
{
    free(s->state);
    s->state = NULL;
}

static const struct sampler_ops SAMPLER_PROBES = {
    .name = "probe", .prompt = true, .tick = group_tick, .close = group_close};

// A row of the ladder while probes want it: it has no turns of its own.
static const struct sampler_ops SAMPLER_ICMP = {.name = "probe.icmp"};

// --- turns --------------------------------------------------------------------------------------

static void on_start(void *ctx, int64_t due_ns, int64_t at_ns)
{
    struct probe *p = ctx;
    int64_t step = p->config->every_ms * NS_PER_MS;
    (void)due_ns;
    if (!p->ops)
        return;
    if (!p->engine->lag_id)
        probes_intern(p->engine);
    if (!p->interned)
        probe_intern(p);
    if (!p->session && p->config->dialogue && p->config->dialogue->kept &&
        p->config->words.user)
        p->session = probe_session_new(p); // without memory the next turn tries again
    // Ahead of its turn nothing is left out: one in flight may end until then.
    if (at_ns < p->due_ns && probe_is_full(p)) {
        loop_timer_set(p->timer, p->due_ns);
        return;
    }
    // What was missed by whole intervals (the host stalled) is skipped, not made up for in a bunch.
    int64_t behind = at_ns > p->due_ns ? (at_ns - p->due_ns) / step : 0;
    p->skipped += (uint64_t)behind;
    int64_t turn = p->due_ns + behind * step;
    p->due_ns = turn + step;
    loop_timer_set(p->timer, p->due_ns);
    // at_ns is when the loop's round began: others had their turn in it before us.
    int64_t now = probe_now_ns(p);
    int64_t intended = turn < now ? turn : now;
    double lag = (double)(now - intended) / 1e9;
    if (lag > p->lag_max)
        p->lag_max = lag;
    probe_latency_book(&p->engine->lag, lag);
    // The agent is short of CPU time: the answer would tell of the agent, and asking would make everything
    // later still, the host's own samples too.
    if (now - intended > step / 2) {
        p->skipped++;
        return;
    }
    if (!probe_ask(p, intended, now)) {
        p->skipped++;
        probe_latency_owe(&p->latency, turn, step);
    }
}

void probe_pass_on(struct probe *p)
{
    struct probe *b = p->behind;
    int64_t now = loop_now_ns(p->engine->env->loop);
    // In its own turn p is a whole interval ahead of who has not had it. Who is overdue is in its place
    // already, before others.
    if (b && b->due_ns < p->due_ns && b->due_ns > now)
        loop_timer_set(b->timer, now);
}

static void on_extra(void *ctx, int64_t due_ns, int64_t at_ns)
{
    (void)due_ns;
    probe_ask(ctx, at_ns, at_ns);
}

void probes_port_turned(struct probes *e, uint16_t port)
{
    for (size_t i = 0; i < e->n; i++) {
        struct probe *p = e->all[i];
        // One that never ran has its first turn in a moment. By timer: we are called while others
        // work on what the answer would change.
        if (p->interned && p->config->local && p->config->port == port)
            loop_timer_set(p->extra, probe_now_ns(p));
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
    if (p->before)
        p->before->behind = p->behind;
    if (p->behind)
        p->behind->before = p->before;
    resolve_stop(&p->endpoint);
    for (int i = 0; i < PROBE_FLIGHTS; i++)
        probe_attempt_free(p->attempts[i]);
    loop_timer_free(p->timer);
    loop_timer_free(p->extra);
    probe_session_free(p->session);
    secure_trust_free(p->trust);
    int64_t wall_ms = end_series ? clock_wall_ms(&p->engine->env->clock) : 0;
    numbers_free(p->numbers, wall_ms);
    if (end_series)
        probe_end_series(p);
    free(p->value_ids);
    free(p->values);
    free(p);
}

// Decided once: an attempt is made for its way of asking.
static const struct probe_ops *ops_for(const struct probes *e, const struct probe_config *c)
{
    static const struct probe_ops *const OPS[] = {[PROBE_TALK] = &PROBE_OPS_TALK,
        [PROBE_HTTP] = &PROBE_OPS_HTTP,
        [PROBE_PAGE] = &PROBE_OPS_PAGE,
        [PROBE_ICMP] = &PROBE_OPS_ICMP};
    int family = c->host && strchr(c->host, ':') ? AF_INET6 : AF_INET;
    if (c->kind != PROBE_ICMP || icmp_usable(e->icmp, family))
        return OPS[c->kind];
    return c->port ? &PROBE_OPS_TALK : NULL;
}

static struct probe *probe_new(struct probes *e, const struct probe_config *c)
{
    struct probe *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->engine = e;
    p->config = c;
    p->ops = ops_for(e, c);
    p->timer = loop_timer_new(e->env->loop, on_start, p);
    p->extra = loop_timer_new(e->env->loop, on_extra, p);
    bool ok = p->timer && p->extra;
    if (c->dialogue && c->dialogue->n_values) {
        p->value_ids = calloc(c->dialogue->n_values, sizeof(*p->value_ids));
        p->values = calloc(c->dialogue->n_values, sizeof(*p->values));
        ok = ok && p->value_ids && p->values;
    }
    endpoint_set(&p->endpoint, c->host, c->port);
    if (ok)
        return p;
    probe_free(p, false);
    return NULL;
}

static bool same_config(const struct probe_config *a, const struct probe_config *b)
{
    return a->kind == b->kind && a->dialogue == b->dialogue && a->page == b->page &&
           config_same_text(a->name, b->name) && a->words.tls == b->words.tls &&
           config_same_text(a->ca_file, b->ca_file) &&
           config_same_text(a->words.user, b->words.user) &&
           config_same_text(a->words.password, b->words.password) &&
           config_same_text(a->words.send, b->words.send) &&
           config_same_text(a->words.expect, b->words.expect) &&
           config_same_text(a->target, b->target) && a->port == b->port &&
           config_same_text(a->server, b->server) && a->words.dns.type == b->words.dns.type &&
           a->words.dns.rcode == b->words.dns.rcode &&
           config_same_text(a->words.dns.answer, b->words.dns.answer) &&
           config_same_text(a->service, b->service) && config_same_text(a->method, b->method) &&
           config_same_text(a->body, b->body) && a->every_ms == b->every_ms &&
           a->timeout_ms == b->timeout_ms && a->slow_ms == b->slow_ms &&
           a->n_status == b->n_status && memcmp(a->status, b->status, sizeof(a->status)) == 0;
}

static int groups_for(struct probes *e, const struct agent_config *c)
{
    for (size_t i = 0; i < c->n_probes; i++) {
        uint32_t ms = (uint32_t)c->probes[i].every_ms;
        size_t k = 0;
        while (k < e->n_groups && e->groups[k]->interval_ms != ms)
            k++;
        if (k < e->n_groups)
            continue;
        if (e->n_groups == e->cap_groups) {
            size_t cap = e->cap_groups ? e->cap_groups * 2 : 4;
            struct group **grown = realloc(e->groups, cap * sizeof(struct group *));
            if (!grown)
                return -ENOMEM;
            e->groups = grown;
            e->cap_groups = cap;
        }
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

// Those there were, by name.
static int by_name(const struct probes *e, struct map *ret)
{
    map_init(ret);
    for (size_t i = 0; i < e->n; i++) {
        const char *name = e->all[i]->config->name;
        e->all[i]->kept = false;
        if (map_set(ret, name, strlen(name), e->all[i]) < 0)
            return -ENOMEM;
    }
    return 0;
}

// A train is no longer than a quarter of its interval. Handshakes side by side would wait for each other:
// who makes one goes alone.
static void couple(struct group *g, struct probe *p)
{
    size_t room = (size_t)(g->interval_ms * NS_PER_MS / 4 / PROBE_TRAIN_GAP_NS);
    bool alone = probe_config_tls(p->config);
    if (alone || !g->last || g->n_last >= (room < PROBE_TRAIN ? room : PROBE_TRAIN)) {
        if (!alone) {
            g->last = p;
            g->n_last = 1;
        }
        return;
    }
    p->before = g->last;
    g->last = g->last->behind = p;
    g->n_last++;
}

// The starts of trains are spread over the interval.
static void start_new(struct probes *e)
{
    int64_t now = clock_mono_ns(&e->env->clock);
    int64_t n_trains = 0, nth = 0;
    for (size_t k = 0; k < e->n_groups; k++) {
        struct group *g = e->groups[k];
        g->last = NULL;
        for (size_t i = 0; i < e->n; i++) {
            struct probe *p = e->all[i];
            if (p->kept || p->config->every_ms != g->interval_ms)
                continue;
            couple(g, p);
            n_trains += !p->before;
        }
    }
    for (size_t i = 0; i < e->n; i++) {
        struct probe *p = e->all[i];
        if (p->kept)
            continue;
        p->due_ns = p->before ? p->before->due_ns + PROBE_TRAIN_GAP_NS
                              : now + FIRST_START_NS +
                                    p->config->every_ms * NS_PER_MS * nth++ / n_trains;
        loop_timer_set(p->timer, p->due_ns);
    }
}

// With the first probe that wants it: the privilege may be gone later.
static int open_icmp(struct probes *e, const struct agent_config *c)
{
    size_t i = 0;
    while (i < c->n_probes && c->probes[i].kind != PROBE_ICMP)
        i++;
    if (e->icmp || i == c->n_probes)
        return 0;
    e->icmp = icmp_new(e->env->loop);
    struct sampler *row = e->icmp ? schedule_add(e->schedule, &SAMPLER_ICMP, 0, NULL) : NULL;
    if (!row)
        return -ENOMEM;
    row->available = icmp_usable(e->icmp, AF_INET);
    if (row->available)
        return 0;
    snprintf(row->reason, sizeof(row->reason), "%s", ICMP_REASON);
    row->fix = ICMP_FIX;
    row->lacks = 1ull << CAP_NET_RAW;
    return 0;
}

int probes_apply(struct probes *e, const struct agent_config *c)
{
    struct map old;
    struct probe **next = calloc(c->n_probes + 1, sizeof(struct probe *));
    int rc = by_name(e, &old);
    if (!next)
        rc = -ENOMEM;
    if (rc == 0)
        rc = open_icmp(e, c);
    for (size_t i = 0; rc == 0 && i < c->n_probes; i++) {
        const struct probe_config *p = &c->probes[i];
        struct probe *there = map_get(&old, p->name, strlen(p->name));
        if (there && same_config(there->config, p)) {
            next[i] = there;
            there->kept = true;
            continue;
        }
        next[i] = probe_new(e, p);
        rc = next[i] ? 0 : -ENOMEM;
    }
    map_done(&old);
    if (rc == 0)
        rc = groups_for(e, c);
    if (rc < 0) {
        for (size_t i = 0; next && i < c->n_probes; i++)
            if (next[i] && !next[i]->kept)
                probe_free(next[i], false);
        free(next);
        groups_sweep(e);
        return rc;
    }
    // From here on nothing fails.
    output_group(e->env->out, 0, 0, clock_wall_ms(&e->env->clock)); // for the stale markers
    for (size_t i = 0; i < e->n; i++)
        if (!e->all[i]->kept)
            probe_free(e->all[i], true);
    free(e->all);
    e->all = next;
    e->n = c->n_probes;
    for (size_t i = 0; i < e->n; i++) {
        e->all[i]->config = &c->probes[i];
        e->all[i]->endpoint.host = c->probes[i].host;
        probe_session_renew(e->all[i]->session);
        for (int k = 0; k < PROBE_FLIGHTS; k++)
            if (e->all[i]->attempts[k] && e->all[i]->ops->renew)
                e->all[i]->ops->renew(e->all[i]->attempts[k]);
    }
    if (!e->n)
        probes_end_series(e);
    start_new(e);
    groups_sweep(e);
    return 0;
}

struct probes *probes_new(struct env *env, struct schedule *s, struct transfers *m)
{
    struct probes *e = calloc(1, sizeof(*e));
    if (e)
        *e = (struct probes){.env = env,
            .schedule = s,
            .transfers = m,
            .resolver = resolver_new(env->loop),
            .handshakes = handshakes_new(env->loop)};
    if (e && !e->handshakes) {
        resolver_free(e->resolver);
        free(e);
        return NULL;
    }
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
    resolver_free(e->resolver);
    handshakes_free(e->handshakes);
    secure_trust_free(e->trust);
    icmp_free(e->icmp);
    free(e->groups);
    free(e->all);
    free(e);
}

static bool part_wanted(const struct agent_config *c)
{
    return c->n_probes > 0;
}

static void *part_open(struct env *env, struct schedule *s, struct transfers *m)
{
    return probes_new(env, s, m);
}

static int part_apply(void *state, const struct agent_config *c)
{
    return probes_apply(state, c);
}

static void part_free(void *state)
{
    probes_free(state);
}

const struct part_ops probes_part = {.name = "probes",
    .wanted = part_wanted,
    .open = part_open,
    .apply = part_apply,
    .free = part_free};
