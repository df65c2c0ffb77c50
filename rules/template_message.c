// SPDX-License-Identifier: Apache-2.0
// What Alertmanager hands to the templates of messages: fields, methods, and how they print. All was
// compared with amtool, see tests/e2e/39-templates.mjs.
#include "base/diag.h"
#include "rules/template_node.h"
#include <errno.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

const char TMPL_STRINGS[] = "[]string";
static const char PAIRS[] = "template.Pairs";
static const char ALERTNAME[] = "alertname";

struct tmpl_value tmpl_time(int64_t ms)
{
    return (struct tmpl_value){.kind = TV_TIME, .i = ms, .s = "UTC", .len = 3};
}

static struct tmpl_value labels_value(const struct labels *l)
{
    return (struct tmpl_value){.kind = TV_LABELS, .labels = l};
}

static bool no_memory(struct tmpl_run *r)
{
    r->rc = r->rc ? r->rc : -ENOMEM;
    return false;
}

bool tmpl_list(struct tmpl_run *r, const char *type, struct tmpl_value *items, size_t n,
    struct tmpl_value *ret)
{
    if (!items)
        return no_memory(r);
    *ret = (struct tmpl_value){.kind = TV_ITEMS, .s = type, .args = items, .len = n};
    return true;
}

// --- labels ----------------------------------------------------------------------------------
static bool is_name(const struct label *l)
{
    return !strcmp(l->name, ALERTNAME);
}

// By name, but alertname comes first.
static bool sorted_pairs(struct tmpl_run *r, const struct labels *l, struct tmpl_value *ret)
{
    size_t n = l ? l->n : 0, put = 0;
    struct tmpl_value *items = arena_alloc(&r->arena, (n + 1) * sizeof(*items));
    for (int pass = 0; items && pass < 2; pass++)
        for (size_t i = 0; i < n; i++)
            if (is_name(&l->l[i]) == (pass == 0))
                items[put++] = (struct tmpl_value){.kind = TV_PAIR, .pair = &l->l[i]};
    return tmpl_list(r, PAIRS, items, n, ret);
}

static bool column(
    struct tmpl_run *r, const struct tmpl_value *pairs, bool names, struct tmpl_value *ret)
{
    struct tmpl_value *items = arena_alloc(&r->arena, (pairs->len + 1) * sizeof(*items));
    for (size_t i = 0; items && i < pairs->len; i++)
        items[i] = tmpl_text(names ? pairs->args[i].pair->name : pairs->args[i].pair->value);
    return tmpl_list(r, TMPL_STRINGS, items, pairs->len, ret);
}

static bool is_in(const struct tmpl_value *names, const char *name)
{
    for (size_t i = 0; i < names->len; i++) {
        const struct tmpl_value *v = &names->args[i];
        if (v->kind == TV_STRING && strlen(name) == v->len && !memcmp(name, v->s, v->len))
            return true;
    }
    return false;
}

static bool without(struct tmpl_run *r, const struct labels *l, const struct tmpl_value *names,
    struct tmpl_value *ret)
{
    struct labels *kept = arena_alloc(&r->arena, sizeof(*kept));
    struct label *all = arena_alloc(&r->arena, ((l ? l->n : 0) + 1) * sizeof(*all));
    if (!kept || !all)
        return no_memory(r);
    for (size_t i = 0; l && i < l->n; i++)
        if (!is_in(names, l->l[i].name))
            all[kept->n++] = l->l[i];
    kept->l = all;
    *ret = labels_value(kept);
    return true;
}

static bool labels_field(struct tmpl_run *r, const struct tmpl_value *from, const char *name,
    const struct tmpl_value *a, size_t n, struct tmpl_value *ret)
{
    struct tmpl_value pairs;
    bool names = !strcmp(name, "Names"), values = !strcmp(name, "Values");
    if (!strcmp(name, "Remove")) {
        if (n != 1)
            return tmpl_fail(r, "`Remove` takes 1 argument, not %zu", n);
        if (a[0].kind != TV_ITEMS || a[0].s != TMPL_STRINGS)
            return tmpl_fail(
                r, "expected a %s, found a value of type %s", TMPL_STRINGS, tmpl_type(&a[0]));
        return without(r, from->labels, &a[0], ret);
    }
    if (n)
        return tmpl_fail(r, "`%.60s` takes no arguments", name);
    if (!strcmp(name, "SortedPairs"))
        return sorted_pairs(r, from->labels, ret);
    if (names || values)
        return sorted_pairs(r, from->labels, &pairs) && column(r, &pairs, names, ret);
    *ret = tmpl_text(from->labels ? labels_get(from->labels, name) : "");
    return true;
}

// --- alerts ----------------------------------------------------------------------------------
// All of them, or those of a status.
static bool alerts(struct tmpl_run *r, const char *status, struct tmpl_value *ret)
{
    const struct template_message *m = r->data->message;
    const struct template_alert **all = arena_alloc(&r->arena, (m->n + 1) * sizeof(*all));
    size_t n = 0;
    if (!all)
        return no_memory(r);
    for (size_t i = 0; i < m->n; i++)
        if (!status || !strcmp(m->alerts[i].status, status))
            all[n++] = &m->alerts[i];
    *ret = (struct tmpl_value){.kind = TV_ALERTS, .alerts = all, .len = n};
    return true;
}

static bool some(
    struct tmpl_run *r, const struct tmpl_value *of, const char *status, struct tmpl_value *ret)
{
    const struct template_alert **all = arena_alloc(&r->arena, (of->len + 1) * sizeof(*all));
    size_t n = 0;
    if (!all)
        return no_memory(r);
    for (size_t i = 0; i < of->len; i++)
        if (!strcmp(of->alerts[i]->status, status))
            all[n++] = of->alerts[i];
    *ret = (struct tmpl_value){.kind = TV_ALERTS, .alerts = all, .len = n};
    return true;
}

static bool no_field(struct tmpl_run *r, const struct tmpl_value *from, const char *name)
{
    static const char *const OF_MESSAGE[] = {"Receiver", "Status", "Alerts", "GroupLabels",
        "CommonLabels", "CommonAnnotations", "ExternalURL"};
    static const char *const OF_ALERT[] = {
        "Status", "Labels", "Annotations", "StartsAt", "EndsAt", "GeneratorURL", "Fingerprint"};
    bool message = from->kind == TV_MESSAGE;
    const char *near = NULL;
    if (message || from->kind == TV_ALERT)
        near = diag_nearest(name, strlen(name), message ? OF_MESSAGE : OF_ALERT, 7);
    return tmpl_fail_sure(r, "no field %.60s in a value of type %s%s%s%s", name,
        tmpl_type(from), near ? ", did you mean " : "", near ? near : "", near ? "?" : "");
}

static bool message_field(
    struct tmpl_run *r, const struct tmpl_value *from, const char *name, struct tmpl_value *ret)
{
    const struct template_message *m = r->data->message;
    if (!strcmp(name, "Alerts"))
        return alerts(r, NULL, ret);
    if (!strcmp(name, "Receiver"))
        *ret = tmpl_text(m->receiver);
    else if (!strcmp(name, "Status"))
        *ret = tmpl_text(m->status);
    else if (!strcmp(name, "ExternalURL"))
        *ret = tmpl_text(m->external_url);
    else if (!strcmp(name, "GroupLabels"))
        *ret = labels_value(m->group_labels);
    else if (!strcmp(name, "CommonLabels"))
        *ret = labels_value(m->common_labels);
    else if (!strcmp(name, "CommonAnnotations"))
        *ret = labels_value(m->common_annotations);
    else
        return no_field(r, from, name);
    return true;
}

static bool alert_field(
    struct tmpl_run *r, const struct tmpl_value *from, const char *name, struct tmpl_value *ret)
{
    const struct template_alert *a = from->alert;
    if (!strcmp(name, "Status"))
        *ret = tmpl_text(a->status);
    else if (!strcmp(name, "Labels"))
        *ret = labels_value(a->labels);
    else if (!strcmp(name, "Annotations"))
        *ret = labels_value(a->annotations);
    else if (!strcmp(name, "StartsAt"))
        *ret = tmpl_time(a->starts_at_ms);
    else if (!strcmp(name, "EndsAt"))
        *ret = tmpl_time(a->ends_at_ms);
    else if (!strcmp(name, "GeneratorURL"))
        *ret = tmpl_text(a->generator_url);
    else if (!strcmp(name, "Fingerprint"))
        *ret = tmpl_text(a->fingerprint);
    else
        return no_field(r, from, name);
    return true;
}

static bool entry(const struct tmpl_value *dict, const char *name, struct tmpl_value *ret)
{
    *ret = (struct tmpl_value){.kind = TV_NIL};
    for (size_t i = 0; i < dict->len; i++)
        if (strlen(name) == dict->args[2 * i].len &&
            !memcmp(name, dict->args[2 * i].s, dict->args[2 * i].len))
            *ret = dict->args[2 * i + 1];
    return true;
}

bool tmpl_message_field(struct tmpl_run *r, const struct tmpl_value *from, const char *name,
    const struct tmpl_value *args, size_t n, struct tmpl_value *ret)
{
    if (from->kind == TV_LABELS)
        return labels_field(r, from, name, args, n, ret);
    if (from->kind == TV_TIME || from->kind == TV_DURATION)
        return tmpl_time_field(r, from, name, args, n, ret);
    if (n)
        return tmpl_fail(r, "`%.60s` takes no arguments", name);
    if (from->kind == TV_MESSAGE)
        return message_field(r, from, name, ret);
    if (from->kind == TV_ALERT)
        return alert_field(r, from, name, ret);
    if (from->kind == TV_DICT)
        return entry(from, name, ret);
    if (from->kind == TV_ALERTS && !strcmp(name, "Firing"))
        return some(r, from, "firing", ret);
    if (from->kind == TV_ALERTS && !strcmp(name, "Resolved"))
        return some(r, from, "resolved", ret);
    if (from->kind == TV_PAIR && !strcmp(name, "Name"))
        *ret = tmpl_text(from->pair->name);
    else if (from->kind == TV_PAIR && !strcmp(name, "Value"))
        *ret = tmpl_text(from->pair->value);
    else if (from->kind == TV_ITEMS && from->s == PAIRS && !strcmp(name, "Names"))
        return column(r, from, true, ret);
    else if (from->kind == TV_ITEMS && from->s == PAIRS && !strcmp(name, "Values"))
        return column(r, from, false, ret);
    else if (from->kind == TV_ALERTS || from->kind == TV_PAIR || from->kind == TV_ITEMS)
        return no_field(r, from, name);
    else
        return tmpl_fail(r, "no field %.60s in a value of type %s", name, tmpl_type(from));
    return true;
}

// --- printing --------------------------------------------------------------------------------
static void print_alert(
    const struct tmpl_run *r, const struct template_alert *a, struct buf *out)
{
    struct tmpl_value labels = labels_value(a->labels), notes = labels_value(a->annotations),
                      from = tmpl_time(a->starts_at_ms), to = tmpl_time(a->ends_at_ms);
    buf_addf(out, "{%s ", a->status);
    tmpl_print(r, &labels, out);
    buf_addc(out, ' ');
    tmpl_print(r, &notes, out);
    buf_addc(out, ' ');
    tmpl_print(r, &from, out);
    buf_addc(out, ' ');
    tmpl_print(r, &to, out);
    buf_addf(out, " %s %s}", a->generator_url ? a->generator_url : "",
        a->fingerprint ? a->fingerprint : "");
}

static void print_message(const struct tmpl_run *r, struct buf *out)
{
    const struct template_message *m = r->data->message;
    const struct labels *maps[] = {m->group_labels, m->common_labels, m->common_annotations};
    buf_addf(out, "{%s %s [", m->receiver, m->status);
    for (size_t i = 0; i < m->n && !out->failed; i++) {
        buf_adds(out, i ? " " : "");
        print_alert(r, &m->alerts[i], out);
    }
    buf_addc(out, ']');
    for (size_t i = 0; i < COUNT(maps); i++) {
        struct tmpl_value v = labels_value(maps[i]);
        buf_addc(out, ' ');
        tmpl_print(r, &v, out);
    }
    buf_addf(out, " %s}", m->external_url ? m->external_url : "");
}

void tmpl_message_print(const struct tmpl_run *r, const struct tmpl_value *v, struct buf *out)
{
    bool dict = v->kind == TV_DICT;
    if (v->kind == TV_MESSAGE) {
        print_message(r, out);
    } else if (v->kind == TV_ALERT) {
        print_alert(r, v->alert, out);
    } else if (v->kind == TV_PAIR) {
        buf_addf(out, "{%s %s}", v->pair->name, v->pair->value);
    } else if (v->kind == TV_TIME) {
        tmpl_time_print(v, out);
    } else if (v->kind == TV_DURATION) {
        tmpl_duration_print(v->i, out);
    } else {
        buf_adds(out, dict ? "map[" : "[");
        for (size_t i = 0; i < v->len && !out->failed; i++) {
            buf_adds(out, i ? " " : "");
            if (v->kind == TV_ALERTS) {
                print_alert(r, v->alerts[i], out);
                continue;
            }
            tmpl_print(r, &v->args[dict ? 2 * i : i], out);
            buf_adds(out, dict ? ":" : "");
            if (dict)
                tmpl_print(r, &v->args[2 * i + 1], out);
        }
        buf_addc(out, ']');
    }
}
