// SPDX-License-Identifier: Apache-2.0
// Probes that are an echo. Values have blackbox_exporter's names. Where ICMP is not permitted and a port is
// named, the probe is a TCP connection to it (probe.c picks), of the same dialogue: nothing is said.
#include "agent/icmp.h"
#include "agent/probe_state.h"
#include "agent/talk.h"
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>

enum { ICMP_RTT, ICMP_RESOLVE, ICMP_HOP_LIMIT };

struct icmp_attempt {
    struct probe_attempt attempt;
    struct icmp_echo echo;
    struct loop_timer *now; // a failure that was known at once is told from here
    int64_t sent_ns;
};

static struct icmp_attempt *of(struct probe_attempt *a)
{
    return (struct icmp_attempt *)a;
}

static void tell(struct icmp_attempt *a)
{
    const struct icmp_echo *e = &a->echo;
    struct probe *p = a->attempt.probe;
    struct probe_result r = {.success = e->error == 0};
    if (e->error) {
        r.class = talk_class(e->error);
        snprintf(r.detail, sizeof(r.detail), "%s", talk_reason(e->error));
    } else {
        probe_answered(&a->attempt, e->at_ns);
    }
    if (!e->error && probe_wants_values(p)) {
        struct dialogue d = {.kind = &DIALOGUE_ICMP};
        d.values[ICMP_RTT] = (double)(e->at_ns - a->sent_ns) / 1e9;
        d.values[ICMP_RESOLVE] = a->attempt.resolve_s;
        d.values[ICMP_HOP_LIMIT] = e->hop_limit < 0 ? (double)NAN : (double)e->hop_limit;
        probe_take_values(p, &d);
    }
    probe_done(&a->attempt, &r);
}

static void on_echo(struct icmp_echo *e)
{
    tell((struct icmp_attempt *)((char *)e - offsetof(struct icmp_attempt, echo)));
}

static void on_now(void *ctx, int64_t due_ns, int64_t at_ns)
{
    (void)due_ns;
    (void)at_ns;
    tell(ctx);
}

static int icmp_init(struct probe_attempt *a)
{
    of(a)->echo.done = on_echo;
    of(a)->now = loop_timer_new(probe_env(a->probe)->loop, on_now, a);
    return of(a)->now ? 0 : -ENOMEM;
}

static int icmp_start(
    struct probe_attempt *a, const struct endpoint *to, char *detail, size_t size)
{
    struct icmp_attempt *i = of(a);
    (void)detail;
    (void)size;
    i->sent_ns = probe_now_ns(a->probe);
    int rc = icmp_send(a->probe->engine->icmp, &i->echo, &to->to.any, to->len);
    if (rc < 0) {
        i->echo.error = -rc;
        loop_timer_set(i->now, i->sent_ns);
    }
    return 0;
}

static void icmp_stop(struct probe_attempt *a)
{
    icmp_forget(&of(a)->echo);
    if (of(a)->now)
        loop_timer_stop(of(a)->now);
}

static void icmp_attempt_free(struct probe_attempt *a)
{
    loop_timer_free(of(a)->now);
}

const struct probe_ops PROBE_OPS_ICMP = {.size = sizeof(struct icmp_attempt),
    .init = icmp_init,
    .start = icmp_start,
    .stop = icmp_stop,
    .free = icmp_attempt_free};

// Never asked for while echoes are permitted.
static void connected(struct dialogue *d)
{
    d->answered = true;
    d->state = DIALOGUE_DONE;
}

static size_t nothing_heard(struct dialogue *d, const uint8_t *data, size_t len)
{
    (void)d;
    (void)data;
    return len;
}

static const struct dialogue_value ICMP[] = {
    [ICMP_RTT] = {"rtt", "probe_icmp_duration_seconds", "s", SERIES_GAUGE, 1},
    [ICMP_RESOLVE] = {"resolve", "probe_icmp_duration_seconds", "s", SERIES_GAUGE, 1},
    [ICMP_HOP_LIMIT] = {"hops", "probe_icmp_reply_hop_limit", "1", SERIES_GAUGE, 1},
};
static const struct wire_label LABELS[] = {[ICMP_RTT] = {"phase", "rtt"},
    [ICMP_RESOLVE] = {"phase", "resolve"},
    [ICMP_HOP_LIMIT] = {NULL, NULL}};
const struct dialogue_kind DIALOGUE_ICMP = {.name = "icmp",
    .begin = connected,
    .hear = nothing_heard,
    .values = ICMP,
    .value_labels = LABELS,
    .n_values = sizeof(ICMP) / sizeof(ICMP[0])};
