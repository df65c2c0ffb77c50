// SPDX-License-Identifier: Apache-2.0
// A value as JSON, with the names that Alertmanager's webhook has.
#include "base/num.h"
#include "rules/template_node.h"
#include <math.h>
#include <string.h>

static void pair(const char *name, const char *text, struct buf *out)
{
    buf_addf(out, "\"%s\":", name);
    buf_add_json(out, text ? text : "", text ? strlen(text) : 0);
}

static void add_labels(const struct labels *l, struct buf *out)
{
    if (l)
        labels_json(l, out);
    else
        buf_adds(out, "{}");
}

static void add_time(const struct tmpl_value *v, struct buf *out)
{
    static const char LAYOUT[] = "2006-01-02T15:04:05.999Z07:00";
    buf_addc(out, '"');
    tmpl_time_format(v, LAYOUT, sizeof(LAYOUT) - 1, out);
    buf_addc(out, '"');
}

static void add_alert(const struct template_alert *a, struct buf *out)
{
    struct tmpl_value from = tmpl_time(a->starts_at_ms), to = tmpl_time(a->ends_at_ms);
    buf_addc(out, '{');
    pair("status", a->status, out);
    buf_adds(out, ",\"labels\":");
    add_labels(a->labels, out);
    buf_adds(out, ",\"annotations\":");
    add_labels(a->annotations, out);
    buf_adds(out, ",\"startsAt\":");
    add_time(&from, out);
    buf_adds(out, ",\"endsAt\":");
    add_time(&to, out);
    buf_addc(out, ',');
    pair("generatorURL", a->generator_url, out);
    buf_addc(out, ',');
    pair("fingerprint", a->fingerprint, out);
    buf_addc(out, '}');
}

static void add_message(const struct template_message *m, struct buf *out)
{
    buf_addc(out, '{');
    pair("receiver", m->receiver, out);
    buf_addc(out, ',');
    pair("status", m->status, out);
    buf_adds(out, ",\"alerts\":[");
    for (size_t i = 0; i < m->n && !out->failed; i++) {
        buf_adds(out, i ? "," : "");
        add_alert(&m->alerts[i], out);
    }
    buf_adds(out, "],\"groupLabels\":");
    add_labels(m->group_labels, out);
    buf_adds(out, ",\"commonLabels\":");
    add_labels(m->common_labels, out);
    buf_adds(out, ",\"commonAnnotations\":");
    add_labels(m->common_annotations, out);
    buf_addc(out, ',');
    pair("externalURL", m->external_url, out);
    buf_addc(out, '}');
}

static void add_items(const struct tmpl_run *r, const struct tmpl_value *v, struct buf *out)
{
    buf_addc(out, '[');
    for (size_t i = 0; i < v->len && !out->failed; i++) {
        buf_adds(out, i ? "," : "");
        if (v->kind == TV_ALERTS)
            add_alert(v->alerts[i], out);
        else
            tmpl_json(r, &v->args[i], out);
    }
    buf_addc(out, ']');
}

static void add_dict(const struct tmpl_run *r, const struct tmpl_value *v, struct buf *out)
{
    buf_addc(out, '{');
    for (size_t i = 0; i < v->len && !out->failed; i++) {
        buf_adds(out, i ? "," : "");
        buf_add_json(out, v->args[2 * i].s, v->args[2 * i].len);
        buf_addc(out, ':');
        tmpl_json(r, &v->args[2 * i + 1], out);
    }
    buf_addc(out, '}');
}

static void add_text(const struct tmpl_run *r, const struct tmpl_value *v, struct buf *out)
{
    struct buf text;
    buf_init(&text, TMPL_RESULT_MAX);
    tmpl_print(r, v, &text);
    buf_add_json(out, (const char *)text.data, text.len);
    out->failed = out->failed ? out->failed : text.failed;
    buf_done(&text);
}

void tmpl_json(const struct tmpl_run *r, const struct tmpl_value *v, struct buf *out)
{
    char number[NUM_TEXT_MAX];
    switch (v->kind) {
    case TV_NIL: buf_adds(out, "null"); break;
    case TV_BOOL: buf_adds(out, v->b ? "true" : "false"); break;
    case TV_DURATION:
    case TV_INT: buf_addf(out, "%lld", (long long)v->i); break;
    case TV_FLOAT: // NaN and Inf are no numbers in JSON
        if (isfinite(v->f))
            buf_add(out, number, num_short(v->f, number));
        else
            add_text(r, v, out);
        break;
    case TV_STRING: buf_add_json(out, v->s, v->len); break;
    case TV_LABELS: add_labels(v->labels, out); break;
    case TV_MESSAGE: add_message(r->data->message, out); break;
    case TV_ALERT: add_alert(v->alert, out); break;
    case TV_ALERTS:
    case TV_ITEMS: add_items(r, v, out); break;
    case TV_DICT: add_dict(r, v, out); break;
    case TV_TIME: add_time(v, out); break;
    case TV_PAIR:
        buf_addc(out, '{');
        pair("Name", v->pair->name, out);
        buf_addc(out, ',');
        pair("Value", v->pair->value, out);
        buf_addc(out, '}');
        break;
    case TV_DATA:
    case TV_SAMPLE:
    case TV_LIST:
    case TV_ARGS: add_text(r, v, out); break;
    }
}
