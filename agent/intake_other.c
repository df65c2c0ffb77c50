// SPDX-License-Identifier: Apache-2.0
#include "agent/intake_other.h"
#include "agent/intake_labels.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

// A sum of these says something; one of ratios, temperatures or points in time does not.
static bool adds_up(const char *name, enum series_kind kind)
{
    static const char *const NOT[] = {"_ratio", "_percent", "_celsius", "_seconds",
        "_timestamp", "_info", "_average", "_max", "_min", "_limit"};
    if (kind == SERIES_COUNTER)
        return true;
    if (kind != SERIES_GAUGE)
        return false;
    size_t len = strlen(name);
    for (size_t i = 0; i < sizeof(NOT) / sizeof(NOT[0]); i++) {
        size_t tail = strlen(NOT[i]);
        if (len >= tail && strcmp(name + len - tail, NOT[i]) == 0)
            return false;
    }
    return true;
}

int intake_others_of(struct intake_others *o, struct output *out,
    const struct intake_options *options, struct arena *text, const char *name,
    enum series_kind kind, const char *unit)
{
    if (!adds_up(name, kind))
        return -1;
    for (size_t i = 0; i < o->n; i++)
        if (o->all[i].kind == kind && strcmp(o->all[i].name, name) == 0)
            return (int)i;
    if (o->n == INTAKE_OTHERS_MAX)
        return -1;
    struct relabel_set s;
    relabel_set_init(&s, text);
    intake_own_labels(options, &s);
    relabel_put(&s, "other", "true");
    struct intake_other *made = &o->all[o->n];
    *made = (struct intake_other){.kind = kind, .name = strdup(name)};
    made->id = made->name ? intake_declare(out, name, &s, kind, unit) : 0;
    if (!made->id) {
        free(made->name);
        return -1;
    }
    return (int)o->n++;
}

void intake_others_begin(struct intake_others *o)
{
    for (size_t i = 0; i < o->n; i++)
        o->all[i].seen = false;
}

void intake_others_add(struct intake_others *o, size_t number, double value, double *last)
{
    struct intake_other *t = &o->all[number];
    if (t->kind != SERIES_COUNTER && !t->seen)
        t->value = 0;
    t->seen = true;
    if (isnan(value))
        return;
    if (t->kind != SERIES_COUNTER)
        t->value += value;
    else if (isnan(*last)) // what it counted before we saw it is no increase
        t->value += t->told ? 0 : value;
    else
        t->value += value >= *last ? value - *last : value;
    *last = value;
}

void intake_others_write(struct intake_others *o, struct output *out, bool whole)
{
    for (size_t i = 0; i < o->n; i++) {
        struct intake_other *t = &o->all[i];
        if (t->seen)
            output_set(out, t->id, t->value);
        else if (whole)
            output_stale(out, t->id);
        t->told |= t->seen;
    }
}

void intake_others_stale(const struct intake_others *o, struct output *out)
{
    for (size_t i = 0; i < o->n; i++)
        output_stale(out, o->all[i].id);
}

void intake_others_end(const struct intake_others *o, struct output *out)
{
    for (size_t i = 0; i < o->n; i++)
        output_end(out, o->all[i].id);
}

void intake_others_done(struct intake_others *o)
{
    for (size_t i = 0; i < o->n; i++)
        free(o->all[i].name);
}
