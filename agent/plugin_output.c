// SPDX-License-Identifier: Apache-2.0
#include "agent/plugin_output.h"
#include "agent/exposition.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define LABELS_MAX (WIRE_LABELS_MAX - 4) // room for job, plugin and what they may be renamed to

// --- performance data ----------------------------------------------------------------------------

struct staging {
    struct intake *in;
    struct plugin_reading *ret;
};

static void stage_limit(
    struct staging *s, const struct nagios_value *v, const char *limit, double at)
{
    struct wire_label l[] = {{"label", v->label}, {"limit", limit}, {"unit", v->unit}};
    if (isfinite(at) &&
        !intake_value(s->in, "tocsin_plugin_perfdata_limit", l, 3, SERIES_GAUGE, "1", at, NULL))
        s->ret->unreadable++;
}

static void stage_range(struct staging *s, const struct nagios_value *v, const char *what,
    const struct nagios_range *r)
{
    char limit[32];
    if (!r->given)
        return;
    snprintf(limit, sizeof(limit), "%s_%slow", what, r->inside ? "inside_" : "");
    stage_limit(s, v, limit, r->low);
    snprintf(limit, sizeof(limit), "%s_%shigh", what, r->inside ? "inside_" : "");
    stage_limit(s, v, limit, r->high);
}

static void on_value(void *ctx, const struct nagios_value *v)
{
    static const struct {
        const char *name, *unit;
        enum series_kind kind;
    } SERIES[] = {
        [NAGIOS_PLAIN] = {"tocsin_plugin_perfdata", "1", SERIES_GAUGE},
        [NAGIOS_SECONDS] = {"tocsin_plugin_perfdata_seconds", "s", SERIES_GAUGE},
        [NAGIOS_BYTES] = {"tocsin_plugin_perfdata_bytes", "By", SERIES_GAUGE},
        [NAGIOS_RATIO] = {"tocsin_plugin_perfdata_ratio", "1", SERIES_GAUGE},
        [NAGIOS_COUNTER] = {"tocsin_plugin_perfdata_total", "1", SERIES_COUNTER},
    };
    struct staging *s = ctx;
    struct wire_label l[] = {{"label", v->label}, {"unit", v->unit}};
    if (isnan(v->value))
        return; // the plugin could not tell
    if (!intake_value(s->in, SERIES[v->kind].name, l, 2, SERIES[v->kind].kind,
            SERIES[v->kind].unit, v->value, NULL))
        s->ret->unreadable++;
    stage_range(s, v, "warning", &v->warning);
    stage_range(s, v, "critical", &v->critical);
    stage_limit(s, v, "min", v->min);
    stage_limit(s, v, "max", v->max);
}

void plugin_read_nagios(
    struct intake *in, const char *output, size_t len, struct plugin_reading *ret)
{
    struct staging s = {in, ret};
    ret->status = -1;
    ret->unreadable = 0;
    ret->unreadable += nagios_read(output, len, ret->text, on_value, &s);
}

// --- JSON ----------------------------------------------------------------------------------------

static const char *text_of(const cJSON *o, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));
}

static bool json_metric(struct intake *in, const cJSON *m)
{
    struct wire_label l[LABELS_MAX];
    char numbers[LABELS_MAX][32];
    size_t n = 0;
    const char *name = text_of(m, "name"), *type = text_of(m, "type"),
               *unit = text_of(m, "unit");
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(m, "value");
    const cJSON *labels = cJSON_GetObjectItemCaseSensitive(m, "labels");
    bool counter = type && strcmp(type, "counter") == 0;
    if (!name || !(cJSON_IsNumber(value) || cJSON_IsBool(value)) ||
        (type && !counter && strcmp(type, "gauge") != 0) || (labels && !cJSON_IsObject(labels)))
        return false;
    for (const cJSON *item = labels ? labels->child : NULL; item; item = item->next) {
        const char *text = cJSON_GetStringValue(item);
        if (n == LABELS_MAX || (!text && !cJSON_IsNumber(item)))
            return false;
        if (!text) {
            snprintf(numbers[n], sizeof(numbers[n]), "%.15g", item->valuedouble);
            text = numbers[n];
        }
        l[n++] = (struct wire_label){item->string, text};
    }
    return intake_value(in, name, l, n, counter ? SERIES_COUNTER : SERIES_GAUGE,
        unit ? unit : "1", cJSON_IsBool(value) ? cJSON_IsTrue(value) : value->valuedouble,
        NULL);
}

static int json_status(const cJSON *status)
{
    static const char *const NAMES[] = {"ok", "warning", "critical", "unknown"};
    if (cJSON_IsNumber(status) && status->valuedouble >= 0 && status->valuedouble <= 3)
        return status->valueint;
    for (int i = 0; cJSON_IsString(status) && i < 4; i++)
        if (strcasecmp(status->valuestring, NAMES[i]) == 0)
            return i;
    return -1;
}

bool plugin_read_json(
    struct intake *in, const char *output, size_t len, struct plugin_reading *ret)
{
    cJSON *top = cJSON_ParseWithLength(output, len);
    const cJSON *metrics = cJSON_GetObjectItemCaseSensitive(top, "metrics");
    const char *text = text_of(top, "text");
    bool ok = cJSON_IsObject(top) && (!metrics || cJSON_IsArray(metrics));
    *ret = (struct plugin_reading){.status = -1};
    if (ok) {
        ret->status = json_status(cJSON_GetObjectItemCaseSensitive(top, "status"));
        for (size_t i = 0; text && text[i] && i < NAGIOS_TEXT_MAX; i++)
            ret->text[i] = text[i] >= ' ' && text[i] < 0x7f ? text[i] : '?';
        for (const cJSON *m = metrics ? metrics->child : NULL; m; m = m->next)
            ret->unreadable += !json_metric(in, m);
    }
    cJSON_Delete(top);
    return ok;
}

// --- Prometheus's text ---------------------------------------------------------------------------

static bool on_line(
    void *ctx, struct exposition *x, const struct exposition_sample *m, struct err *err)
{
    struct staging *s = ctx;
    const char *name;
    const struct wire_label *labels;
    size_t n;
    uint32_t series = intake_find(s->in, m->key, m->key_len);
    if (!series && !exposition_labels(x, &name, &labels, &n, err))
        return false;
    if (!series)
        series = intake_add(s->in, m->key, m->key_len, name, labels, n, m->kind, m->unit, NULL);
    // A time of its own is not kept: the plugin ran now.
    if (!series || m->unsupported || !intake_set(s->in, series, m->value, 0))
        s->ret->unreadable++;
    return true;
}

bool plugin_read_lines(
    struct intake *in, const char *output, size_t len, struct plugin_reading *ret)
{
    struct staging s = {in, ret};
    struct err err = {.msg = "out of memory"};
    *ret = (struct plugin_reading){.status = -1};
    struct exposition *x = exposition_new(on_line, &s);
    int rc = -1;
    if (x) {
        exposition_begin(x, EXPOSITION_TEXT);
        rc = exposition_feed(x, output, len, &err);
        if (rc == 0)
            rc = exposition_end(x, &err);
    }
    exposition_free(x);
    if (rc < 0)
        snprintf(ret->text, sizeof(ret->text), "line %d: %.120s", err.line, err.msg);
    return rc == 0;
}

// --- a run -----------------------------------------------------------------------------------------

static bool read_output(struct intake *in, enum plugin_format format,
    const struct child_end *end, struct plugin_reading *ret)
{
    switch (format) {
    case PLUGIN_NAGIOS: plugin_read_nagios(in, end->output, end->n_output, ret); return true;
    case PLUGIN_JSON: return plugin_read_json(in, end->output, end->n_output, ret);
    case PLUGIN_LINES: return plugin_read_lines(in, end->output, end->n_output, ret);
    }
    return false;
}

bool plugin_judge(struct intake *in, const struct plugin_config *c, const struct child_end *end,
    struct plugin_reading *ret)
{
    *ret = (struct plugin_reading){.status = -1};
    if (end->how == CHILD_TIMED_OUT)
        snprintf(ret->text, sizeof(ret->text), "did not end within %lld ms",
            (long long)c->timeout_ms);
    else if (end->how == CHILD_KILLED)
        snprintf(ret->text, sizeof(ret->text), "ended by signal %d", end->code);
    else if (end->cut)
        snprintf(ret->text, sizeof(ret->text), "printed more than %u bytes", PLUGIN_OUTPUT_MAX);
    else if (end->code < 0 || end->code > NAGIOS_UNKNOWN)
        snprintf(ret->text, sizeof(ret->text), "exit status %d", end->code);
    else if (read_output(in, c->format, end, ret)) {
        ret->status = ret->status >= 0 ? ret->status : end->code;
        return true;
    } else if (!ret->text[0])
        snprintf(ret->text, sizeof(ret->text), "printed no %s", plugin_format_name(c->format));
    ret->status = NAGIOS_UNKNOWN;
    return false;
}
