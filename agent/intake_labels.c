// SPDX-License-Identifier: Apache-2.0
#include "agent/intake_labels.h"
#include "wire/name.h"
#include <string.h>

#define NAME     "__name__"
#define EXPORTED "exported_"

static bool among(const struct wire_label *l, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(l[i].name, name) == 0)
            return true;
    return false;
}

static const char *own_instance(const struct intake_options *o)
{
    for (size_t i = 0; i < o->n_labels; i++)
        if (strcmp(o->labels[i].name, "instance") == 0)
            return o->labels[i].value;
    return NULL;
}

// exported_NAME, with as many exported_ as it takes for a name nobody has.
static void put_exported(struct relabel_set *s, const struct intake_options *o,
    const struct wire_label *labels, size_t n, const char *name, const char *value)
{
    size_t len = strlen(name);
    for (int times = 1; times <= 8; times++) {
        size_t before = (size_t)times * strlen(EXPORTED);
        char *longer = arena_alloc(s->text, before + len + 1);
        if (!longer)
            break;
        for (int i = 0; i < times; i++)
            memcpy(longer + (size_t)i * strlen(EXPORTED), EXPORTED, strlen(EXPORTED));
        memcpy(longer + before, name, len + 1);
        if (!among(labels, n, longer) && !among(o->labels, o->n_labels, longer) &&
            !*relabel_get(s, longer)) {
            relabel_put(s, longer, value);
            return;
        }
    }
    s->failed = true;
}

// Those of the source and those of the series in one set.
static void join(const struct intake_options *o, const struct wire_label *labels, size_t n,
    struct relabel_set *s)
{
    for (size_t i = 0; i < n; i++)
        relabel_put(s, labels[i].name, labels[i].value);
    for (size_t i = 0; i < o->n_labels; i++) {
        const struct wire_label *l = &o->labels[i];
        // An empty label of the series is enough to keep ours away, and the way to say so.
        if (o->honor_labels && among(labels, n, l->name))
            continue;
        const char *there = relabel_get(s, l->name);
        if (*there && !o->honor_labels)
            put_exported(s, o, labels, n, l->name, there);
        relabel_put(s, l->name, l->value);
    }
}

// `instance` is the host here: that of the target leaves as `target`.
static void settle_instance(const struct intake_options *o, struct relabel_set *s)
{
    const char *own = own_instance(o), *there = relabel_get(s, "instance");
    if (own && !*there)
        return; // a rule took it away
    if (!own && !*there)
        return;
    relabel_put(s, "instance", NULL);
    if (!own || strcmp(own, there) != 0)
        put_exported(s, o, NULL, 0, "instance", there);
    if (!own)
        return;
    const char *target = relabel_get(s, "target");
    if (*target && strcmp(target, own) != 0) {
        relabel_put(s, "target", NULL);
        put_exported(s, o, NULL, 0, "target", target);
    }
    relabel_put(s, "target", own);
}

static bool label_name_ok(const char *s)
{
    return strcmp(s, NAME) == 0 || (wire_metric_ok(s) && !strchr(s, ':')) ||
           strlen(s) > WIRE_NAME_MAX;
}

// What Prometheus looks at when the rules are through.
static const char *fault_of(const struct intake_options *o, const struct relabel_set *s)
{
    const char *name = relabel_get(s, NAME);
    if (!*name)
        return "missing metric name";
    if (strlen(name) <= WIRE_NAME_MAX && !wire_metric_ok(name))
        return "invalid metric name";
    if (o->label_limit && s->n > o->label_limit)
        return "more labels than label_limit";
    for (size_t i = 0; i < s->n; i++) {
        if (!label_name_ok(s->l[i].name))
            return "invalid label name";
        if (o->label_name_length_limit && strlen(s->l[i].name) > o->label_name_length_limit)
            return "a label's name is longer than label_name_length_limit";
        if (o->label_value_length_limit && strlen(s->l[i].value) > o->label_value_length_limit)
            return "a label's value is longer than label_value_length_limit";
    }
    return NULL;
}

enum intake_verdict intake_labels(const struct intake_options *o, const char *name,
    const struct wire_label *labels, size_t n, struct relabel_set *s, struct err *err)
{
    relabel_put(s, NAME, name);
    join(o, labels, n, s);
    if (o->relabel && !s->failed && !relabel_apply(o->relabel, s))
        return INTAKE_DROPS;
    if (!s->failed && s->n == 0)
        return INTAKE_DROPS; // a labeldrop of everything
    const char *fault = s->failed ? NULL : fault_of(o, s);
    if (fault) {
        err_set(err, "%.100s: %s", name, fault);
        return INTAKE_FAULTY;
    }
    settle_instance(o, s);
    if (s->failed)
        return INTAKE_TOO_LARGE;
    struct wire_label l[RELABEL_LABELS_MAX];
    size_t kept = 0;
    relabel_sort(s);
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->l[i].name, NAME) != 0)
            l[kept++] = s->l[i];
    return kept <= WIRE_LABELS_MAX && wire_metric_ok(relabel_get(s, NAME)) &&
                   !wire_labels_fault(l, kept)
               ? INTAKE_GOES
               : INTAKE_TOO_LARGE;
}

void intake_own_labels(const struct intake_options *o, struct relabel_set *s)
{
    for (size_t i = 0; i < o->n_labels; i++)
        relabel_put(s, o->labels[i].name, o->labels[i].value);
    settle_instance(o, s);
}

uint32_t intake_declare(struct output *out, const char *name, const struct relabel_set *s,
    enum series_kind kind, const char *unit)
{
    struct wire_label l[RELABEL_LABELS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->l[i].name, NAME) != 0)
            l[n++] = s->l[i];
    return output_series(out, name, l, n, kind, unit);
}
