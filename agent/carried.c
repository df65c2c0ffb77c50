// SPDX-License-Identifier: Apache-2.0
#include "agent/carried.h"
#include "agent/listen.h"
#include "agent/turnover.h"
#include <stdlib.h>
#include <string.h>

static const bool ALWAYS[SOCKDIAG_STATES] = {
    [SOCKDIAG_ESTABLISHED] = true, [SOCKDIAG_SYN_RECV] = true, [SOCKDIAG_CLOSE_WAIT] = true};
static const char *const HOW[CLOSED_HOWS] = {"fin", "reset", "timeout", "unknown"};
static const char *const LIMITED_BY[LIMITED_BYS] = {"receiver_window", "send_buffer", "busy"};

struct carried *carried_of(struct carried_list *l, struct listen *listen, uint16_t port)
{
    struct service *s;
    struct carried *c;
    size_t at = port % CARRIED_CACHE;

    if (l->cache[at].known && l->cache[at].port == port)
        return l->cache[at].carried;
    s = listen ? listen_service(listen, port) : NULL;
    c = s ? s->data[1] : NULL;
    if (s && !c && (c = calloc(1, sizeof(*c)))) {
        c->service = s;
        c->next = l->first;
        l->first = c;
        s->data[1] = c;
        l->added = true;
    }
    // One that stopped listening still has connections to finish.
    for (struct carried *old = l->first; !s && !c && old; old = old->next)
        if (old->service->port == port)
            c = old;
    l->cache[at].port = port;
    l->cache[at].known = true;
    l->cache[at].carried = c;
    return c;
}

void carried_all(struct carried_list *l, struct listen *listen)
{
    if (!listen)
        return;
    for (struct service *v = listen_services(listen); v; v = v->next)
        if (v->announced && v->sockets > 0 && !v->data[1])
            carried_of(l, listen, v->port);
}

void carried_forget(struct carried_list *l)
{
    memset(l->cache, 0, sizeof(l->cache));
}

void carried_round(struct carried_list *l)
{
    carried_forget(l);
    for (struct carried *c = l->first; c; c = c->next)
        traffic_round(&c->traffic);
}

void carried_publish(struct carried_list *l)
{
    for (struct carried *c = l->first; c; c = c->next) {
        const struct traffic *t = &c->traffic;
        memcpy(c->live, t->live, sizeof(c->live));
        c->has_live = true;
        c->has_rtt = t->rtt_n > 0;
        c->rtt_s = c->has_rtt ? (double)t->rtt_sum_us / t->rtt_n / 1e6 : 0;
        c->rtt_max_s = t->rtt_top_us / 1e6;
        c->has_min = t->rtt_least_us != 0;
        c->rtt_min_s = t->rtt_least_us / 1e6;
        c->has_rate = t->rate_n > 0;
        c->rate_bytes = c->has_rate ? (double)t->rate_sum / t->rate_n : 0;
        c->walked = true;
    }
}

uint64_t carried_opened(const struct carried_list *l)
{
    uint64_t n = l->opened_gone;

    for (const struct carried *c = l->first; c; c = c->next)
        n += c->traffic.opened;
    return n;
}

static uint64_t sum_of(const uint64_t closed[static CLOSED_HOWS])
{
    uint64_t sum = 0;

    for (int i = 0; i < CLOSED_HOWS; i++)
        sum += closed[i];
    return sum;
}

static void raise_to(uint64_t *shown, uint64_t n)
{
    if (n > *shown)
        *shown = n;
}

void carried_count(struct carried *c, struct turnover *kernel, uint32_t netns)
{
    const struct traffic *t = &c->traffic;
    uint64_t opened, closed[CLOSED_HOWS];

    if (!kernel || !turnover_take(kernel, netns, c->service->port, &opened, closed)) {
        c->counted = false;
        raise_to(&c->opened_shown, t->opened);
        for (int i = 0; i < CLOSED_HOWS; i++)
            c->closed_shown[i] += t->closed[i] - c->closed_seen[i];
        memcpy(c->closed_seen, t->closed, sizeof(c->closed_seen));
        return;
    }
    if (!c->counted) {
        c->counted = true;
        c->before_opened = t->opened > opened ? t->opened - opened : 0;
        for (int i = 0; i < CLOSED_HOWS; i++)
            c->before_closed[i] = t->closed[i] > closed[i] ? t->closed[i] - closed[i] : 0;
    }
    opened += c->before_opened;
    for (int i = 0; i < CLOSED_HOWS; i++)
        closed[i] += c->before_closed[i];
    raise_to(&c->opened_shown, opened > t->opened ? opened : t->opened);
    // Those that only we know of ended in order, unless we know of more resets.
    uint64_t kernels = sum_of(closed), ours = sum_of(t->closed);
    if (ours > kernels) {
        uint64_t more = ours - kernels, resets = closed[CLOSED_RESET] + closed[CLOSED_TIMEOUT];
        uint64_t reset =
            t->closed[CLOSED_RESET] > resets ? t->closed[CLOSED_RESET] - resets : 0;
        if (reset > more)
            reset = more;
        closed[CLOSED_RESET] += reset;
        closed[CLOSED_FIN] += more - reset;
    }
    for (int i = 0; i < CLOSED_HOWS; i++)
        raise_to(&c->closed_shown[i], closed[i]);
    memcpy(c->closed_seen, t->closed, sizeof(c->closed_seen));
}

// --- series --------------------------------------------------------------------------------------

static void declare_all(struct carried *c, struct output *o, struct wire_label *labels)
{
    const struct {
        uint32_t *id;
        const char *name;
        enum series_kind kind;
        const char *unit;
    } series[] = {
        {&c->opened, "tocsin_service_connections_opened_total", SERIES_COUNTER, ""},
        {&c->received, "tocsin_service_received_bytes_total", SERIES_COUNTER, "bytes"},
        {&c->sent, "tocsin_service_sent_bytes_total", SERIES_COUNTER, "bytes"},
        {&c->rtt, "tocsin_service_rtt_seconds", SERIES_GAUGE, "seconds"},
        {&c->rtt_max, "tocsin_service_rtt_seconds_max", SERIES_GAUGE, "seconds"},
        {&c->retransmitted, "tocsin_service_segments_retransmitted_total", SERIES_COUNTER, ""},
        {&c->segments, "tocsin_service_segments_sent_total", SERIES_COUNTER, ""},
    };
    for (size_t i = 0; i < sizeof(series) / sizeof(series[0]); i++)
        *series[i].id = output_series(
            o, series[i].name, labels, LISTEN_LABELS, series[i].kind, series[i].unit);
    for (int i = 0; i < LIMITED_BYS; i++) {
        labels[LISTEN_LABELS] = (struct wire_label){"by", LIMITED_BY[i]};
        c->limited[i] = output_series(o, "tocsin_service_send_limited_seconds_total", labels,
            LISTEN_LABELS + 1, SERIES_COUNTER, "seconds");
    }
    c->declared = true;
}

static void declare(struct carried *c, struct output *o)
{
    struct wire_label labels[LISTEN_LABELS + 1];
    char port[8];
    const size_t n = LISTEN_LABELS;

    listen_labels(c->service, labels, port);
    if (!c->declared)
        declare_all(c, o, labels);
    // Of a service nobody is connected to, or that only answers, there is nothing to show.
    if (c->has_min && !c->rtt_min)
        c->rtt_min = output_series(
            o, "tocsin_service_min_rtt_seconds", labels, n, SERIES_GAUGE, "seconds");
    if (c->has_rate && !c->rate)
        c->rate = output_series(o, "tocsin_service_delivery_rate_bytes_per_second", labels, n,
            SERIES_GAUGE, "bytes");
    for (unsigned i = 1; i < SOCKDIAG_STATES; i++) {
        // The kernel's two names of a handshake are one state to anybody else.
        if (c->live_ids[i] || i == SOCKDIAG_NEW_SYN_RECV || (!ALWAYS[i] && c->live[i] == 0))
            continue;
        labels[n] = (struct wire_label){"state", sockdiag_state_name(i)};
        c->live_ids[i] =
            output_series(o, "tocsin_service_connections", labels, n + 1, SERIES_GAUGE, "");
    }
    for (int i = 0; i < CLOSED_HOWS; i++) {
        if (c->closed[i] || (i >= CLOSED_TIMEOUT && c->closed_shown[i] == 0))
            continue;
        labels[n] = (struct wire_label){"how", HOW[i]};
        c->closed[i] = output_series(
            o, "tocsin_service_connections_closed_total", labels, n + 1, SERIES_COUNTER, "");
    }
}

void carried_show(struct carried *c, struct output *o)
{
    const struct traffic *t = &c->traffic;

    declare(c, o);
    for (unsigned i = 1; i < SOCKDIAG_STATES; i++) {
        uint32_t n = c->live[i];
        if (i == SOCKDIAG_SYN_RECV)
            n += c->live[SOCKDIAG_NEW_SYN_RECV];
        if (c->live_ids[i] && c->has_live)
            output_set(o, c->live_ids[i], n);
    }
    for (int i = 0; i < CLOSED_HOWS; i++)
        if (c->closed[i])
            output_set(o, c->closed[i], (double)c->closed_shown[i]);
    output_set(o, c->opened, (double)c->opened_shown);
    output_set(o, c->received, (double)t->received);
    output_set(o, c->sent, (double)t->sent);
    output_set(o, c->retransmitted, (double)t->retransmitted);
    output_set(o, c->segments, (double)t->segments);
    for (int i = 0; i < LIMITED_BYS; i++)
        output_set(o, c->limited[i], (double)t->limited_ms[i] / 1e3);
    if (c->has_rtt) {
        output_set(o, c->rtt, c->rtt_s);
        output_set(o, c->rtt_max, c->rtt_max_s);
    }
    if (c->has_min)
        output_set(o, c->rtt_min, c->rtt_min_s);
    if (c->has_rate)
        output_set(o, c->rate, c->rate_bytes);
}

static void end_series(struct output *o, const struct carried *c)
{
    for (int i = 0; i < SOCKDIAG_STATES; i++)
        if (c->live_ids[i])
            output_end(o, c->live_ids[i]);
    for (int i = 0; i < CLOSED_HOWS; i++)
        if (c->closed[i])
            output_end(o, c->closed[i]);
    for (int i = 0; i < LIMITED_BYS; i++)
        if (c->limited[i])
            output_end(o, c->limited[i]);
    const uint32_t ids[] = {c->opened, c->received, c->sent, c->rtt, c->rtt_max, c->rtt_min,
        c->rate, c->retransmitted, c->segments};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
        if (ids[i])
            output_end(o, ids[i]);
}

void carried_end(struct carried_list *l, struct carried *c, struct output *o)
{
    struct carried **at = &l->first;

    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    carried_forget(l);
    l->opened_gone += c->traffic.opened;
    end_series(o, c);
    c->service->data[1] = NULL;
    free(c);
}
