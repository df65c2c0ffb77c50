// SPDX-License-Identifier: Apache-2.0
// /api/v1/rules and /api/v1/alerts, field by field as Prometheus writes them.
#include "base/num.h"
#include "collector/api.h"
#include "collector/webhook.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void add_text(const char *s, struct buf *out)
{
    buf_add_json(out, s, strlen(s));
}

// Go's 'e' format with the fewest digits that read back as the same number: "1e+00".
static void add_exponent(double v, struct buf *out)
{
    char text[40];
    if (isnan(v)) {
        buf_adds(out, "\"NaN\"");
        return;
    }
    if (isinf(v)) {
        buf_adds(out, v > 0 ? "\"+Inf\"" : "\"-Inf\"");
        return;
    }
    for (int digits = 0; digits <= 17; digits++) {
        double back;
        int n = snprintf(text, sizeof(text), "%.*e", digits, v);
        if (num_parse(text, (size_t)n, &back) && back == v)
            break;
    }
    buf_addf(out, "\"%s\"", text);
}

static void add_alert(const struct alert *a, struct buf *out)
{
    static const struct labels NONE;
    buf_adds(out, "{\"labels\":");
    labels_json(a->labels, out);
    buf_adds(out, ",\"annotations\":");
    labels_json(a->annotations ? a->annotations : &NONE, out);
    buf_addf(out, ",\"state\":\"%s\",\"activeAt\":", alert_state_name(a->state));
    api_time_json(a->active_at_ms, out);
    buf_adds(out, ",\"value\":");
    add_exponent(a->value, out);
    buf_adds(out, a->stale ? ",\"stale\":true}" : "}"); // ours: its source is silent
}

struct live_alert {
    const struct rule *rule;
    const struct alert *alert;
};
struct alerts {
    struct live_alert *a;
    size_t n, cap;
    bool failed;
};

static bool keep_alert(
    void *ctx, const struct rule_group *g, const struct rule *r, const struct alert *a)
{
    struct alerts *s = ctx;
    (void)g;
    if (a->state == ALERT_INACTIVE)
        return true;
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 64;
        struct live_alert *grown = realloc(s->a, cap * sizeof(*grown));
        if (!grown) {
            s->failed = true;
            return false;
        }
        s->a = grown;
        s->cap = cap;
    }
    s->a[s->n++] = (struct live_alert){r, a};
    return true;
}

void api_alerts(struct pipeline *p, struct request *r)
{
    struct alerts s = {0};
    engine_each_alert(pipeline_engine(p), keep_alert, &s);
    buf_adds(&r->body, "{\"status\":\"success\",\"data\":{\"alerts\":[");
    for (size_t i = 0; i < s.n; i++) {
        if (i)
            buf_addc(&r->body, ',');
        add_alert(s.a[i].alert, &r->body);
    }
    buf_adds(&r->body, "]}}");
    free(s.a);
    if (s.failed)
        api_error(r, 503, "execution", "out of memory");
}

static void add_texts(const struct rule_text *t, size_t n, struct buf *out)
{
    buf_addc(out, '{');
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_addc(out, ',');
        add_text(t[i].name, out);
        buf_addc(out, ':');
        add_text(t[i].text, out);
    }
    buf_addc(out, '}');
}

struct writer {
    struct buf *out;
    const struct rule_group *group; // open one
    const struct alerts *alerts;    // in the same order as the rules
    size_t next_alert;
    int64_t group_ns, group_last_ms;
};

static void group_close(struct writer *w)
{
    if (!w->group)
        return;
    buf_addf(w->out,
        "],\"interval\":%g,\"limit\":%zu,\"evaluationTime\":%.9g,\"lastEvaluation\":",
        (double)w->group->interval_ms / 1000, w->group->limit, (double)w->group_ns / NS_PER_S);
    api_time_json(w->group_last_ms, w->out);
    buf_addc(w->out, '}');
}

static bool add_rule(void *ctx, const struct rule_status *s)
{
    struct writer *w = ctx;
    struct buf *out = w->out;
    if (s->group != w->group) {
        group_close(w);
        buf_adds(out, w->group ? ",{\"name\":" : "{\"name\":");
        add_text(s->group->name, out);
        buf_adds(out, ",\"file\":");
        add_text(s->group->file, out);
        buf_adds(out, ",\"rules\":[");
        w->group = s->group;
        w->group_ns = 0;
        w->group_last_ms = 0;
    } else {
        buf_addc(out, ',');
    }
    w->group_ns += s->last_ns;
    if (s->last_ms > w->group_last_ms)
        w->group_last_ms = s->last_ms;

    const struct rule *r = s->rule;
    bool alerting = r->kind == RULE_ALERT;
    buf_addc(out, '{');
    if (alerting)
        buf_addf(out, "\"state\":\"%s\",", alert_state_name(s->state));
    buf_adds(out, "\"name\":");
    add_text(r->name, out);
    buf_adds(out, ",\"query\":");
    add_text(r->expr.text ? r->expr.text : "", out);
    if (alerting)
        buf_addf(out, ",\"duration\":%g,\"keepFiringFor\":%g", (double)r->for_ms / 1000,
            (double)r->keep_firing_for_ms / 1000);
    buf_adds(out, ",\"labels\":");
    add_texts(r->labels, r->n_labels, out);
    if (alerting) {
        buf_adds(out, ",\"annotations\":");
        add_texts(r->annotations, r->n_annotations, out);
        buf_adds(out, ",\"alerts\":[");
        bool first = true;
        for (; w->next_alert < w->alerts->n && w->alerts->a[w->next_alert].rule == r;
             w->next_alert++) {
            if (!first)
                buf_addc(out, ',');
            first = false;
            add_alert(w->alerts->a[w->next_alert].alert, out);
        }
        buf_addc(out, ']');
    }
    buf_addf(out, ",\"health\":\"%s\"", s->health);
    if (s->error && s->error[0]) {
        buf_adds(out, ",\"lastError\":");
        add_text(s->error, out);
    }
    buf_addf(out, ",\"elements\":%zu,\"evaluationTime\":%.9g,\"lastEvaluation\":", s->elements,
        (double)s->last_ns / NS_PER_S);
    api_time_json(s->last_ms, out);
    buf_addf(out, ",\"type\":\"%s\"}", alerting ? "alerting" : "recording");
    return !out->failed;
}

void api_rules(struct pipeline *p, struct request *r)
{
    struct alerts s = {0};
    struct writer w = {.out = &r->body, .alerts = &s};
    engine_each_alert(pipeline_engine(p), keep_alert, &s);
    buf_adds(&r->body, "{\"status\":\"success\",\"data\":{\"groups\":[");
    engine_each_rule(pipeline_engine(p), add_rule, &w);
    group_close(&w);
    buf_adds(&r->body, "]}}");
    free(s.a);
    if (s.failed)
        api_error(r, 503, "execution", "out of memory");
}
