// SPDX-License-Identifier: Apache-2.0
#include "agent/listen.h"
#include "agent/probe_state.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define LABELS 6

static const char *const PHASES[PROBE_PHASES] = {
    "resolve", "connect", "tls", "processing", "transfer"};

// `port` is what rules join a probe of a local target with its service by, so it is there always;
// `service` when it is known by now. The first label is the caller's.
static void labels_of(const struct probe *p, struct wire_label l[LABELS], char port[8])
{
    const struct probe_config *c = p->config;
    const struct env *env = p->engine->env;
    const char *service = c->service;
    port[0] = '\0';
    if (c->local && c->port) {
        snprintf(port, 8, "%u", c->port);
        const struct service *known =
            !service && env->listen ? listen_service(env->listen, c->port) : NULL;
        if (known)
            service = known->name;
    }
    l[0] = (struct wire_label){NULL, NULL};
    l[1] = (struct wire_label){"job", "probe"};
    l[2] = (struct wire_label){"probe", c->name};
    l[3] = (struct wire_label){"target", c->target};
    l[4] = (struct wire_label){"port", port};
    l[5] = (struct wire_label){"service", service};
}

// At the first start, when the listeners have their names.
void probe_intern(struct probe *p)
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
    struct output *out = p->engine->env->out;
    bool tls = probe_config_tls(c);
    struct wire_label l[LABELS];
    char port[8];
    p->interned = true;
    labels_of(p, l, port);
    for (int i = 0; i < N_IDS; i++) {
        int s = i < ID_PHASE ? i : ID_PHASE;
        if (i == ID_EXPIRY ? !tls : s >= ID_STATUS && c->kind != PROBE_HTTP)
            continue;
        l[0] = (struct wire_label){"phase", i >= ID_PHASE ? PHASES[i - ID_PHASE] : NULL};
        p->ids[i] =
            output_series(out, SERIES[s].name, l, LABELS, SERIES[s].kind, SERIES[s].unit);
    }
}

// A class of failures has its series from the first one on.
void probe_count_failure(struct probe *p, enum probe_class class)
{
    struct wire_label l[LABELS];
    char port[8];
    p->failures[class]++;
    if (p->failure_ids[class])
        return;
    labels_of(p, l, port);
    l[0] = (struct wire_label){"class", probe_class_name(class)};
    p->failure_ids[class] = output_series(
        p->engine->env->out, "tocsin_probe_failures_total", l, LABELS, SERIES_COUNTER, "1");
}

// What the service told of itself. Values it does not have get no series.
void probe_take_values(struct probe *p, const struct dialogue *d)
{
    struct wire_label l[LABELS];
    char port[8];
    labels_of(p, l, port);
    for (size_t i = 0; i < d->kind->n_values; i++) {
        const struct dialogue_value *v = &d->kind->values[i];
        p->values[i] = d->values[i];
        if (d->kind->value_labels)
            l[0] = d->kind->value_labels[i];
        if (!isnan(d->values[i]) && !p->value_ids[i])
            p->value_ids[i] =
                output_series(p->engine->env->out, v->name, l, LABELS, v->kind, v->unit);
        p->values_fresh |= !isnan(d->values[i]);
    }
}

struct numbers *probe_numbers(struct probe *p)
{
    struct wire_label l[LABELS];
    char port[8];
    if (p->numbers)
        return p->numbers;
    labels_of(p, l, port);
    return p->numbers = numbers_new(p->engine->env->out, p->config->name, l, LABELS);
}

double probe_in_flight_s(const struct probe *p, int64_t at_ns)
{
    int64_t oldest = at_ns;
    for (int i = 0; i < PROBE_FLIGHTS; i++) {
        const struct probe_attempt *a = p->attempts[i];
        if (a && a->active && !a->answered_ns && a->intended_ns < oldest)
            oldest = a->intended_ns;
    }
    return (double)(at_ns - oldest) / 1e9;
}

void probe_write_result(struct probe *p, struct output *o)
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
    for (int i = 0; i < PROBE_CLASSES; i++)
        output_set(o, p->failure_ids[i], p->failures[i]); // id 0 is ignored
}

static void write_values(struct probe *p, struct output *o)
{
    const struct dialogue_kind *kind = p->config->dialogue;
    for (size_t i = 0; p->values_fresh && i < kind->n_values; i++)
        if (p->value_ids[i] && isnan(p->values[i]))
            output_absent(o, p->value_ids[i]);
        else
            output_set(o, p->value_ids[i], p->values[i]);
    p->values_fresh = false;
}

static void write_le_counts(struct probe *p, struct output *o)
{
    const struct demand *d = p->engine->env->demand;
    struct wire_label l[LABELS];
    char port[8];
    if (d && d->version != p->latency.le.version) {
        labels_of(p, l, port);
        le_counts_follow(&p->latency.le, o, d, "tocsin_probe_latency_seconds", l, LABELS);
    }
    le_counts_write(&p->latency.le, o);
}

static void write_histogram(const struct probe_latency *l, uint32_t id, struct output *o)
{
    int32_t index[PROBE_BUCKETS];
    uint64_t count[PROBE_BUCKETS];
    struct wire_histogram h;
    probe_latency_read(l, index, count, &h);
    output_histogram(o, id, &h);
}

void probes_intern(struct probes *e)
{
    struct wire_label l = {"job", "tocsin"};
    e->lag_id = output_series(
        e->env->out, "tocsin_agent_probe_start_lag_seconds", &l, 1, SERIES_HISTOGRAM, "s");
}

void probes_write(struct probes *e, struct output *o)
{
    write_histogram(&e->lag, e->lag_id, o);
}

void probes_end_series(struct probes *e)
{
    output_end(e->env->out, e->lag_id);
    e->lag_id = 0;
    e->lag = (struct probe_latency){0};
}

void probe_observe(struct probe *p, double s)
{
    p->duration = s;
    p->fresh = true;
    if (s > p->duration_max)
        p->duration_max = s;
    probe_latency_book(&p->latency, s);
}

void probe_write(struct probe *p, struct output *o, int64_t now_ns)
{
    output_set(o, p->ids[ID_IN_FLIGHT], probe_in_flight_s(p, now_ns));
    output_set(o, p->ids[ID_SLOW], (double)p->config->slow_ms / 1e3);
    output_set(o, p->ids[ID_SKIPPED], (double)p->skipped);
    output_set(o, p->ids[ID_LAG_MAX], p->lag_max);
    p->lag_max = 0;
    probe_write_result(p, o);
    if (p->fresh) {
        output_set(o, p->ids[ID_DURATION_MAX], p->duration_max);
        write_histogram(&p->latency, p->ids[ID_LATENCY], o);
        write_le_counts(p, o);
    }
    write_values(p, o);
    p->fresh = false;
    p->duration_max = 0;
}

void probe_end_series(struct probe *p)
{
    struct output *out = p->engine->env->out;
    for (int i = 0; i < N_IDS; i++)
        output_end(out, p->ids[i]);
    for (int i = 0; i < PROBE_CLASSES; i++)
        output_end(out, p->failure_ids[i]);
    le_counts_end(&p->latency.le, out);
    for (size_t i = 0; p->value_ids && i < p->config->dialogue->n_values; i++)
        output_end(out, p->value_ids[i]);
}
