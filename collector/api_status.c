// SPDX-License-Identifier: Apache-2.0
// /api/v1/status/tocsin: what is wrong first, then agents, rules, queues and receivers.
// /metrics: the shard's part, in the text exposition format.
#include "base/num.h"
#include "collector/api.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct tally {
    struct buf *out, problems;
    size_t n_problems, agents, by_state[4], rules, unhealthy;
    size_t firing, pending;
    uint64_t evaluations, missed, refused;
    int64_t rule_ns;
};

static void add_text(const char *s, struct buf *out)
{
    buf_add_json(out, s, strlen(s));
}

static void problem(struct tally *t, const char *severity, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void problem(struct tally *t, const char *severity, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    buf_addf(
        &t->problems, "%s{\"severity\":\"%s\",\"what\":", t->n_problems++ ? "," : "", severity);
    add_text(text, &t->problems);
    buf_addc(&t->problems, '}');
}

static bool each_agent(void *ctx, const struct agent_info *a)
{
    struct tally *t = ctx;
    const char *host = a->host ? a->host : "";
    buf_adds(t->out, t->agents++ ? ",{\"host\":" : "{\"host\":");
    add_text(host, t->out);
    buf_addf(t->out, ",\"state\":\"%s\",\"version\":", liveness_name(a->state));
    add_text(a->version ? a->version : "", t->out);
    buf_addf(t->out,
        ",\"last_frame_ms\":%" PRId64 ",\"seq\":%" PRIu64 ",\"series\":%zu,\"refused\":%" PRIu64
        ",\"missing\":%" PRIu64 ",\"skew_ms\":%" PRId64 "}",
        a->last_frame_ms, a->last_seq, a->series, a->refused, a->missing, a->skew_ms);
    t->by_state[a->state]++;
    t->refused += a->refused;
    if (a->state == LIVENESS_DOWN)
        problem(t, "error", "agent %s is down", host);
    else if (a->state == LIVENESS_SUSPECT)
        problem(t, "warning", "agent %s is silent", host);
    if (a->refused)
        problem(t, "warning", "agent %s: %" PRIu64 " series over the limit are not kept", host,
            a->refused);
    return true;
}

static bool each_rule(void *ctx, const struct rule_status *s)
{
    struct tally *t = ctx;
    t->rules++;
    t->evaluations += s->evaluations;
    t->missed += s->missed;
    t->rule_ns += s->total_ns;
    if (s->rule->kind == RULE_ALERT) {
        t->firing += s->firing;
        t->pending += s->pending;
    }
    if (s->error && s->error[0]) {
        t->unhealthy++;
        problem(t, "error", "rule %s/%s cannot be evaluated: %s", s->group->name, s->rule->name,
            s->error);
    }
    return true;
}

static void add_receivers(struct tally *t, struct board *board)
{
    struct board_receiver *r = board ? calloc(BOARD_RECEIVERS_MAX, sizeof(*r)) : NULL;
    size_t n = r ? board_receivers(board, r, BOARD_RECEIVERS_MAX) : 0;
    for (size_t i = 0, shown = 0; i < n; i++) {
        if (!r[i].name[0])
            continue;
        buf_adds(t->out, shown++ ? ",{\"name\":" : "{\"name\":");
        add_text(r[i].name, t->out);
        buf_addf(t->out,
            ",\"queued\":%zu,\"sent\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"dropped\":%" PRIu64
            ",\"alerts_dropped\":%" PRIu64 ",\"last_sent_ms\":%" PRId64
            ",\"failing_since_ms\":%" PRId64 ",\"last_status\":%d,\"last_error\":",
            r[i].queued, r[i].sent, r[i].failed, r[i].dropped, r[i].alerts_dropped,
            r[i].last_sent_ms, r[i].failing_since_ms, r[i].last_status);
        add_text(r[i].last_error, t->out);
        buf_addc(t->out, '}');
        if (r[i].failing_since_ms)
            problem(t, "error", "receiver %s cannot be reached, %zu alert changes wait: %s",
                r[i].name, r[i].queued, r[i].last_error);
        if (r[i].template_failures)
            problem(t, "warning", "receiver %s: a template failed, its own text went out: %s",
                r[i].name, r[i].template_error);
        if (r[i].alerts_dropped)
            problem(t, "error", "receiver %s: %" PRIu64 " alert changes were dropped",
                r[i].name, r[i].alerts_dropped);
    }
    free(r);
}

static void add_heartbeats(struct tally *t, struct board *board)
{
    struct board_heartbeat *h = board ? calloc(BOARD_HEARTBEATS_MAX, sizeof(*h)) : NULL;
    size_t n = h ? board_heartbeats(board, h) : 0;
    for (size_t i = 0; i < n; i++) {
        buf_adds(t->out, i ? ",{\"name\":" : "{\"name\":");
        add_text(h[i].name, t->out);
        buf_adds(t->out, ",\"to\":");
        add_text(h[i].to, t->out);
        buf_addf(t->out,
            ",\"sent\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"last_sent_ms\":%" PRId64
            ",\"failing_since_ms\":%" PRId64 ",\"last_status\":%d,\"last_error\":",
            h[i].sent, h[i].failed, h[i].last_sent_ms, h[i].failing_since_ms, h[i].last_status);
        add_text(h[i].last_error, t->out);
        buf_adds(t->out, ",\"held\":");
        add_text(h[i].held, t->out);
        buf_addc(t->out, '}');
        if (h[i].held[0])
            problem(t, "error", "heartbeat %s is held back: %s", h[i].name, h[i].held);
        else if (h[i].failing_since_ms)
            problem(t, "error", "heartbeat %s does not get through: %s", h[i].name,
                h[i].last_error);
    }
    free(h);
}

void api_status(
    struct pipeline *p, const struct api_context *c, struct request *r, int64_t now_ms)
{
    struct buf rest;
    struct tally t = {.out = &rest};
    struct store_stats store;
    char banner[BOARD_TEXT_MAX] = "";

    buf_init(&rest, REQUEST_REPLY_MAX);
    buf_init(&t.problems, REQUEST_REPLY_MAX);
    if (c->board)
        board_banner_read(c->board, banner);
    if (banner[0])
        problem(&t, "error", "%s", banner);
    buf_adds(&rest, "\"agents\":[");
    pipeline_each_agent(p, each_agent, &t);
    buf_adds(&rest, "],\"receivers\":[");
    add_receivers(&t, c->board);
    buf_adds(&rest, "],\"heartbeats\":[");
    add_heartbeats(&t, c->board);
    buf_adds(&rest, "],\"repairs\":");
    repair_board_json(c->repairs, &rest);
    engine_each_rule(pipeline_engine(p), each_rule, &t);
    if (t.firing)
        problem(&t, "error", "%zu alert%s firing", t.firing, t.firing == 1 ? " is" : "s are");
    if (t.missed)
        problem(&t, "warning", "%" PRIu64 " rule evaluations were missed", t.missed);
    if (!t.agents)
        problem(&t, "warning", "no agent has reported yet");
    if (c->frames_max && c->frames_queued > c->frames_max / 4 * 3)
        problem(&t, "warning", "the frame queue is over three quarters full: agents wait");
    store_stats(pipeline_store(p), &store);

    buf_addf(&r->body, "{\"status\":\"success\",\"data\":{\"problems\":[");
    buf_add(&r->body, t.problems.data, t.problems.len);
    buf_adds(&r->body, "],\"version\":");
    add_text(c->version, &r->body);
    buf_addf(&r->body, ",\"now_ms\":%" PRId64 ",\"started_ms\":%" PRId64 ",\"banner\":", now_ms,
        c->started_ms);
    add_text(banner, &r->body);
    buf_addf(&r->body,
        ",\"alerts\":{\"firing\":%zu,\"pending\":%zu},\"rules\":{\"total\":%zu,\"unhealthy\":%zu},"
        "\"store\":{\"series\":%zu,\"bytes\":%zu,\"samples\":%" PRIu64 ",\"refused\":%" PRIu64
        "},\"queues\":{\"frames\":%zu,\"frames_max\":%zu,\"notices\":%zu},",
        t.firing, t.pending, t.rules, t.unhealthy, store.series, store.bytes, store.samples,
        store.refused, c->frames_queued, c->frames_max, c->notices_queued);
    buf_add(&r->body, rest.data, rest.len);
    buf_adds(&r->body, "}}");
    if (rest.failed || t.problems.failed)
        api_error(r, 503, "execution", "out of memory");
    buf_done(&rest);
    buf_done(&t.problems);
}

static void metric(
    struct buf *out, const char *name, const char *type, const char *help, double v)
{
    char text[NUM_TEXT_MAX];
    buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n%s ", name, help, name, type, name);
    buf_add(out, text, num_short(v, text));
    buf_addc(out, '\n');
}

static void add_receiver_metrics(struct buf *out, struct board *board)
{
    static const char *const NAME[] = {"notify_messages_total", "notify_failures_total",
        "notify_dropped_alerts_total", "notify_template_failures_total",
        "receiver_fallback_alerts_total"};
    static const char *const HELP[] = {"Messages a receiver accepted.", "Tries that failed.",
        "Alert changes that were given up.",
        "Messages with a template that failed: they went out with a text of ours.",
        "Alerts told to a fallback, because the receiver did not take them in time."};
    struct board_receiver *r = board ? calloc(BOARD_RECEIVERS_MAX, sizeof(*r)) : NULL;
    size_t n = r ? board_receivers_by_name(board, r, BOARD_RECEIVERS_MAX) : 0;
    for (size_t k = 0; k < sizeof(NAME) / sizeof(NAME[0]) && n; k++) {
        buf_addf(
            out, "# HELP tocsin_%s %s\n# TYPE tocsin_%s counter\n", NAME[k], HELP[k], NAME[k]);
        for (size_t i = 0; i < n; i++) {
            uint64_t v[] = {r[i].sent, r[i].failed, r[i].alerts_dropped, r[i].template_failures,
                r[i].fallback_alerts};
            buf_addf(out, "tocsin_%s{receiver=", NAME[k]);
            label_quote(r[i].name, strlen(r[i].name), out);
            buf_addf(out, "} %" PRIu64 "\n", v[k]);
        }
    }
    free(r);
}

static void add_heartbeat_metrics(struct buf *out, struct board *board)
{
    static const char *const NAME[] = {"sent_total", "failures_total"};
    static const char *const HELP[] = {"Heartbeats that were taken.", "Tries that failed."};
    struct board_heartbeat *h = board ? calloc(BOARD_HEARTBEATS_MAX, sizeof(*h)) : NULL;
    size_t n = h ? board_heartbeats(board, h) : 0;
    for (int k = 0; k < 2 && n; k++) {
        buf_addf(out, "# HELP tocsin_heartbeat_%s %s\n# TYPE tocsin_heartbeat_%s counter\n",
            NAME[k], HELP[k], NAME[k]);
        for (size_t i = 0; i < n; i++) {
            buf_addf(out, "tocsin_heartbeat_%s{name=", NAME[k]);
            label_quote(h[i].name, strlen(h[i].name), out);
            buf_addf(out, "} %" PRIu64 "\n", k ? h[i].failed : h[i].sent);
        }
    }
    free(h);
}

void api_metrics(struct pipeline *p, const struct api_context *c, struct request *r)
{
    static const enum liveness_state STATES[] = {
        LIVENESS_UP, LIVENESS_SUSPECT, LIVENESS_DOWN, LIVENESS_GONE};
    struct buf unused;
    struct tally t = {.out = &unused};
    struct store_stats s;
    struct buf *out = &r->body;

    buf_init(&unused, REQUEST_REPLY_MAX);
    buf_init(&t.problems, REQUEST_REPLY_MAX);
    pipeline_each_agent(p, each_agent, &t);
    engine_each_rule(pipeline_engine(p), each_rule, &t);
    store_stats(pipeline_store(p), &s);
    buf_done(&unused);
    buf_done(&t.problems);

    buf_adds(out, "# HELP tocsin_collector_agents Agents by state.\n"
                  "# TYPE tocsin_collector_agents gauge\n");
    for (size_t i = 0; i < sizeof(STATES) / sizeof(STATES[0]); i++)
        buf_addf(out, "tocsin_collector_agents{state=\"%s\"} %zu\n", liveness_name(STATES[i]),
            t.by_state[STATES[i]]);
    metric(out, "tocsin_collector_series", "gauge", "Series in memory.", (double)s.series);
    metric(out, "tocsin_collector_store_bytes", "gauge", "Memory of recent samples.",
        (double)s.bytes);
    metric(
        out, "tocsin_collector_samples_total", "counter", "Samples stored.", (double)s.samples);
    metric(out, "tocsin_collector_duplicate_samples_total", "counter",
        "Samples that were there already.", (double)s.duplicates);
    metric(out, "tocsin_collector_refused_series_total", "counter",
        "Series over a limit, not kept.", (double)s.refused);
    metric(out, "tocsin_collector_frames_queued", "gauge", "Frames waiting for the shard.",
        (double)c->frames_queued);
    metric(out, "tocsin_rules", "gauge", "Rules loaded.", (double)t.rules);
    metric(out, "tocsin_rules_unhealthy", "gauge", "Rules whose last evaluation failed.",
        (double)t.unhealthy);
    metric(out, "tocsin_rule_evaluations_total", "counter", "Evaluations of all rules.",
        (double)t.evaluations);
    metric(out, "tocsin_rule_evaluations_missed_total", "counter", "Evaluations left out.",
        (double)t.missed);
    metric(out, "tocsin_rule_seconds_total", "counter", "Time spent in rules.",
        (double)t.rule_ns / NS_PER_S);
    metric(out, "tocsin_alerts_firing", "gauge", "Alerts firing now.", (double)t.firing);
    metric(out, "tocsin_alerts_pending", "gauge", "Alerts pending now.", (double)t.pending);
    add_receiver_metrics(out, c->board);
    add_heartbeat_metrics(out, c->board);
    repair_board_metrics(c->repairs, out);
}
