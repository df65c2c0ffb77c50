// SPDX-License-Identifier: Apache-2.0
#include "agent/listen.h"
#include "agent/probe_state.h"
#include "wire/tocsin.pb-c.h"
#include <stdio.h>
#include <stdlib.h>

#define VALUES_EVERY_NS NS_PER_S

static void tell(struct probe *p, int kind, const char *detail)
{
    struct env *env = p->engine->env;
    char text[WIRE_DETAIL_MAX + 1];
    snprintf(text, sizeof(text), "probe %.60s: %.130s", p->config->name, detail);
    output_event(
        env->out, kind, env->clock.wall_ns(env->clock.ctx) / 1000, p->config->service, text);
}

static void attempt_end(struct probe_attempt *a)
{
    a->active = a->looking_up = false;
    handshake_leave(a->probe->engine->handshakes, &a->handshake);
    loop_timer_stop(a->timer);
    a->probe->ops->stop(a);
}

// An older question's answer that arrives after a younger one's still counts as latency, but the
// verdict is that of the younger.
static void conclude(struct probe_attempt *a, const struct probe_result *r, double duration_s)
{
    struct probe *p = a->probe;
    struct env *env = p->engine->env;
    attempt_end(a);
    probe_pass_on(p);
    probe_observe(p, duration_s);
    probe_latency_settle(&p->latency, a->intended_ns + (int64_t)(duration_s * 1e9),
        p->config->every_ms * NS_PER_MS, p->config->timeout_ms * NS_PER_MS);
    if (!r->success)
        probe_count_failure(p, r->class);
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
    probe_write_result(p, env->out);
    output_set(env->out, p->ids[ID_IN_FLIGHT], probe_in_flight_s(p, probe_now_ns(p)));
    if (!changed)
        return;
    tell(p, TOCSIN__V1__EVENT_KIND__EVENT_PROBE_CHANGED,
        r->success ? "answers again" : r->detail);
    if (!held)
        env->flush(env->core);
}

void probe_answered(struct probe_attempt *a, int64_t at_ns)
{
    a->answered_ns = at_ns;
}

void probe_done(struct probe_attempt *a, const struct probe_result *r)
{
    int64_t at = a->answered_ns ? a->answered_ns : probe_now_ns(a->probe);
    if (a->active)
        conclude(a, r, (double)(at - a->intended_ns) / 1e9);
}

bool probe_wants_values(struct probe *p)
{
    int64_t now = probe_now_ns(p);
    bool wants = p->value_ids && now - p->values_ns >= VALUES_EVERY_NS;
    if (wants)
        p->values_ns = now;
    return wants;
}

static void on_attempt_timer(void *ctx, int64_t due_ns, int64_t at_ns)
{
    struct probe_attempt *a = ctx;
    struct probe *p = a->probe;
    struct env *env = p->engine->env;
    const struct probe_config *c = p->config;
    (void)due_ns;
    if (a->answered_ns) {
        if (at_ns >= a->intended_ns + c->timeout_ms * NS_PER_MS)
            p->ops->cut(a);
        else
            loop_timer_set(a->timer, a->intended_ns + c->timeout_ms * NS_PER_MS);
        return;
    }
    if (at_ns >= a->intended_ns + c->timeout_ms * NS_PER_MS) {
        struct probe_result r = {.class = CLASS_TIMEOUT};
        snprintf(
            r.detail, sizeof(r.detail), "no answer within %lld ms", (long long)c->timeout_ms);
        conclude(a, &r, (double)c->timeout_ms / 1e3);
        return;
    }
    bool told = false; // by an older one that still hangs
    for (int i = 0; i < PROBE_FLIGHTS; i++)
        told = told || (p->attempts[i] && p->attempts[i]->active && p->attempts[i]->slow_told);
    a->slow_told = true;
    loop_timer_set(a->timer, a->intended_ns + c->timeout_ms * NS_PER_MS);
    if (told)
        return;
    char detail[64];
    snprintf(detail, sizeof(detail), "no answer for %lld ms", (long long)c->slow_ms);
    output_group(env->out, 0, 0, clock_wall_ms(&env->clock));
    output_set(env->out, p->ids[ID_IN_FLIGHT], probe_in_flight_s(p, at_ns));
    output_set(env->out, p->ids[ID_SLOW], (double)c->slow_ms / 1e3);
    tell(p, TOCSIN__V1__EVENT_KIND__EVENT_PROBE_SLOW, detail);
    env->flush(env->core);
}

void probe_attempt_free(struct probe_attempt *a)
{
    if (!a)
        return;
    if (a->timer)
        attempt_end(a);
    a->probe->ops->free(a);
    loop_timer_free(a->timer);
    free(a);
}

static struct probe_attempt *attempt_new(struct probe *p)
{
    const struct probe_ops *ops = p->ops;
    struct probe_attempt *a = calloc(1, ops->size);
    if (!a)
        return NULL;
    a->probe = p;
    a->timer = loop_timer_new(p->engine->env->loop, on_attempt_timer, a);
    if (a->timer && (!ops->init || ops->init(a) == 0))
        return a;
    probe_attempt_free(a);
    return NULL;
}

// A free one; NULL: as many are in flight as may be, or there is no memory.
static struct probe_attempt *attempt_of(struct probe *p)
{
    for (int i = 0; i < PROBE_FLIGHTS; i++) {
        if (!p->attempts[i])
            return p->attempts[i] = attempt_new(p);
        if (!p->attempts[i]->active)
            return p->attempts[i];
    }
    return NULL;
}

bool probe_is_full(const struct probe *p)
{
    int n = 0;
    while (n < PROBE_FLIGHTS && p->attempts[n] && p->attempts[n]->active)
        n++;
    return n == PROBE_FLIGHTS;
}

static void ask(struct probe_attempt *a)
{
    struct probe *p = a->probe;
    struct probe_result r = {.class = CLASS_LOCAL};
    if (p->ops->start(a, &p->endpoint, r.detail, sizeof(r.detail)) < 0)
        probe_done(a, &r);
}

static void on_turn(struct handshake *h, int64_t waited_ns)
{
    struct probe_attempt *a =
        (struct probe_attempt *)((char *)h - offsetof(struct probe_attempt, handshake));
    double waited = (double)waited_ns / 1e9;
    if (waited > a->probe->lag_max)
        a->probe->lag_max = waited;
    ask(a);
}

// The address is known: asks, when its turn for a handshake has come.
static void begin(struct probe_attempt *a)
{
    struct probe *p = a->probe;
    int64_t now = probe_now_ns(p);
    a->looking_up = false;
    a->resolve_s = (double)(now - a->begun_ns) / 1e9;
    a->handshake.go = on_turn;
    if (!probe_config_tls(p->config) ||
        handshake_enter(p->engine->handshakes, &a->handshake, now))
        ask(a);
}

// Without any address it failed; with an old one the lookup alone did.
static void on_address(void *ctx, const char *error)
{
    struct probe *p = ctx;
    struct probe_result r = {.class = CLASS_RESOLVE};
    if (error && p->endpoint.len)
        probe_count_failure(p, CLASS_RESOLVE);
    if (error)
        snprintf(r.detail, sizeof(r.detail), "%.60s has no address: %s",
            p->config->host ? p->config->host : "the system's name server", error);
    for (int i = 0; i < PROBE_FLIGHTS; i++) {
        struct probe_attempt *a = p->attempts[i];
        if (a && a->looking_up && p->endpoint.len)
            begin(a);
        else if (a && a->looking_up)
            probe_done(a, &r);
    }
}

static void find_address(struct probe_attempt *a)
{
    struct probe *p = a->probe;
    if (endpoint_fresh(&p->endpoint, a->begun_ns)) {
        begin(a);
        return;
    }
    a->looking_up = true;
    if (p->endpoint.lookup)
        return; // another attempt asked already
    if (!p->engine->resolver ||
        (!p->config->host && !resolver_server(p->engine->resolver, &p->endpoint)))
        on_address(p, "no name server is known here");
    else if (!p->config->host)
        on_address(p, NULL);
    else if (resolve_start(p->engine->resolver, &p->endpoint, on_address, p) < 0)
        on_address(p, "out of memory");
}

bool probe_ask(struct probe *p, int64_t intended_ns, int64_t at_ns)
{
    const struct probe_config *c = p->config;
    struct probe_attempt *a = attempt_of(p);
    if (!a)
        return false;
    a->active = true;
    a->slow_told = false;
    a->answered_ns = 0;
    a->intended_ns = intended_ns;
    a->begun_ns = at_ns;
    loop_timer_set(a->timer,
        intended_ns + (c->slow_ms < c->timeout_ms ? c->slow_ms : c->timeout_ms) * NS_PER_MS);
    find_address(a);
    return true;
}
