// SPDX-License-Identifier: Apache-2.0
// `time_intervals` of the configuration, and the older `mute_time_intervals`, as Alertmanager writes them.
#include "collector/config_read.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INTERVALS_MAX 1000
#define SPECS_MAX     256
#define RANGES_MAX    256

static const char *const NONE_NOT_YET[] = {NULL};
static const char *const FIELDS[TIME_FIELDS] = {"weekdays", "days_of_month", "months", "years"};

static bool list(
    struct config_reader *r, const struct yaml_node *n, const char *key, size_t most)
{
    if (n->kind == YAML_SEQ && n->n <= most)
        return true;
    config_bad(r, n, "C001", NULL, "`%s` is a list of at most %zu", key, most);
    return false;
}

static struct time_range *ranges(
    struct config_reader *r, const struct yaml_node *n, const char *key, struct time_ranges *to)
{
    if (!list(r, n, key, RANGES_MAX))
        return NULL;
    struct time_range *made = arena_alloc(&r->c->arena, (n->n + 1) * sizeof(*made));
    if (!made)
        r->oom = true;
    *to = (struct time_ranges){.r = made, .n = n->n, .set = true};
    return made;
}

static void field(struct config_reader *r, const struct yaml_node *n, enum time_field which,
    struct time_ranges *to)
{
    struct time_range *made = ranges(r, n, FIELDS[which], to);
    for (size_t i = 0; made && i < n->n; i++) {
        struct err err = {0};
        const char *s = config_scalar(r, n->items[i], FIELDS[which]);
        if (s && time_range_parse(which, s, &made[i], &err) < 0)
            config_bad(r, n->items[i], "C001", NULL, "`%s`: %s", FIELDS[which], err.msg);
    }
}

static bool clock_time(
    struct config_reader *r, const struct yaml_node *n, const char *key, int *ret)
{
    const struct yaml_node *v = yaml_get(n, key);
    const char *s = v ? config_scalar(r, v, key) : NULL;
    if (s && time_minutes_parse(s, ret))
        return true;
    if (!v || s)
        config_bad(
            r, v ? v : n, "C001", "e.g. '09:00', at most '24:00'", "`times` need a `%s`", key);
    return false;
}

static void times(struct config_reader *r, const struct yaml_node *n, struct time_ranges *to)
{
    struct time_range *made = ranges(r, n, "times", to);
    for (size_t i = 0; made && i < n->n; i++) {
        const struct yaml_node *v = n->items[i];
        if (v->kind != YAML_MAP) {
            config_bad(r, v, "C001", "e.g. {start_time: '09:00', end_time: '17:00'}",
                "`times` are a list of maps");
            continue;
        }
        for (size_t k = 0; k < v->n; k++)
            if (strcmp(v->keys[k]->text, "start_time") != 0 &&
                strcmp(v->keys[k]->text, "end_time") != 0)
                config_other_key(r, v->keys[k], NONE_NOT_YET, "times");
        if (clock_time(r, v, "start_time", &made[i].begin) &&
            clock_time(r, v, "end_time", &made[i].end) && made[i].begin >= made[i].end)
            config_bad(r, v, "C001", "over midnight: two, one to '24:00', one from '00:00'",
                "`start_time` is not before `end_time`");
    }
}

static void location(struct config_reader *r, const struct yaml_node *n, struct time_spec *to)
{
    struct err err = {0};
    const char *s = config_scalar(r, n, "location");
    if (!s)
        return;
    struct zone *z = arena_alloc(&r->c->arena, sizeof(*z));
    int rc = z ? zone_read(s, &r->c->arena, z, &err) : -ENOMEM;
    to->zone = z;
    if (rc == -ENOMEM)
        r->oom = true;
    else if (rc < 0)
        config_bad(r, n, "C001", NULL, "`location`: %s", err.msg);
}

static void spec(struct config_reader *r, const struct yaml_node *n, struct time_spec *to)
{
    if (!config_is_map(r, n, "time_intervals"))
        return;
    for (size_t i = 0; i < n->n && !r->oom; i++) {
        const char *key = n->keys[i]->text;
        const struct yaml_node *v = n->items[i];
        int which = 0;
        while (which < TIME_FIELDS && strcmp(FIELDS[which], key) != 0)
            which++;
        if (v->kind == YAML_NULL)
            continue;
        if (which < TIME_FIELDS)
            field(r, v, (enum time_field)which, &to->fields[which]);
        else if (strcmp(key, "times") == 0)
            times(r, v, &to->times);
        else if (strcmp(key, "location") == 0)
            location(r, v, to);
        else
            config_other_key(r, n->keys[i], NONE_NOT_YET, "time_intervals");
    }
}

static void interval(
    struct config_reader *r, const struct yaml_node *n, struct time_interval *to)
{
    to->name = "";
    if (n->kind != YAML_MAP) {
        config_bad(
            r, n, "C001", NULL, "a time interval is a map with `name` and `time_intervals`");
        return;
    }
    for (size_t i = 0; i < n->n && !r->oom; i++) {
        const char *key = n->keys[i]->text;
        const struct yaml_node *v = n->items[i];
        if (strcmp(key, "name") == 0) {
            const char *s = config_scalar(r, v, key);
            to->name = s ? config_keep(r, s) : "";
        } else if (strcmp(key, "time_intervals") == 0 && v->kind != YAML_NULL) {
            if (!list(r, v, key, SPECS_MAX))
                continue;
            struct time_spec *made = arena_alloc(&r->c->arena, (v->n + 1) * sizeof(*made));
            if (!made) {
                r->oom = true;
                return;
            }
            to->specs = made;
            to->n = v->n;
            for (size_t k = 0; k < v->n && !r->oom; k++)
                spec(r, v->items[k], &made[k]);
        } else if (strcmp(key, "time_intervals") != 0) {
            config_other_key(r, n->keys[i], NONE_NOT_YET, "a time interval");
        }
    }
    if (to->name && !*to->name)
        config_bad(r, n, "C001", NULL, "a time interval needs a `name`");
}

const struct time_interval *config_interval(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->n_intervals; i++)
        if (strcmp(c->intervals[i].name, name) == 0)
            return &c->intervals[i];
    return NULL;
}

// Both lists go into one: names are unique over both.
void config_intervals(struct config_reader *r, const struct yaml_node *n, const char *key)
{
    struct config *c = r->c;
    if (n->kind == YAML_NULL || !list(r, n, key, INTERVALS_MAX))
        return;
    struct time_interval *all =
        arena_alloc(&c->arena, (c->n_intervals + n->n + 1) * sizeof(*all));
    if (!all) {
        r->oom = true;
        return;
    }
    if (c->n_intervals)
        memcpy(all, c->intervals, c->n_intervals * sizeof(*all));
    c->intervals = all;
    for (size_t i = 0; i < n->n && !r->oom; i++) {
        struct time_interval one = {0};
        interval(r, n->items[i], &one);
        if (!r->oom && config_interval(c, one.name))
            config_bad(
                r, n->items[i], "C001", NULL, "time interval `%.60s` is there twice", one.name);
        if (!r->oom)
            all[c->n_intervals++] = one;
    }
}
