// SPDX-License-Identifier: Apache-2.0
// `route` and `inhibit_rules` of the configuration, as Alertmanager writes them.
#include "collector/config_read.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROUP_BY_MAX 64
#define NAMES_MAX    256
#define DAY_MS       86400000LL

static const char *const NONE_NOT_YET[] = {NULL};

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// A list of texts, sorted.
static bool names(struct config_reader *r, const struct yaml_node *n, const char *key,
    size_t most, const char ***ret, size_t *ret_n)
{
    if (n->kind != YAML_SEQ || n->n > most) {
        config_bad(r, n, "C001", NULL, "`%s` is a list of at most %zu names", key, most);
        return false;
    }
    *ret_n = 0;
    *ret = arena_alloc(&r->c->arena, (n->n + 1) * sizeof(char *));
    if (!*ret) {
        r->oom = true;
        return false;
    }
    for (size_t i = 0; i < n->n; i++) {
        const char *s = config_scalar(r, n->items[i], key);
        if (s)
            (*ret)[(*ret_n)++] = config_keep(r, s);
    }
    if (r->oom)
        return false;
    if (*ret_n)
        qsort(*ret, *ret_n, sizeof(char *), by_text);
    return true;
}

static void group_by(struct config_reader *r, const struct yaml_node *n, struct route *to)
{
    if (n->kind == YAML_SEQ && !n->n)
        return; // says nothing, as in Alertmanager: the parent's stands
    to->group_by_all = false;
    if (!names(r, n, "group_by", GROUP_BY_MAX, &to->group_by, &to->n_group_by))
        return;
    for (size_t i = 0; i < to->n_group_by; i++)
        to->group_by_all |= strcmp(to->group_by[i], "...") == 0;
    if (to->group_by_all && to->n_group_by > 1)
        config_bad(r, n, "C001", NULL, "`...` stands for all labels: it stands alone");
    if (to->group_by_all)
        to->n_group_by = 0;
}

static void matcher_mistake(
    struct config_reader *r, const struct yaml_node *n, int rc, const struct err *err)
{
    if (rc == -ENOMEM)
        r->oom = true;
    else
        config_bad(r, n, "C001", "e.g. severity=~\"page|critical\"", "%s", err->msg);
}

static void matchers(
    struct config_reader *r, const struct yaml_node *n, struct matcher_list *to)
{
    if (n->kind != YAML_SEQ) {
        config_bad(r, n, "C001", "e.g. [severity=\"page\"]", "matchers are a list of texts");
        return;
    }
    for (size_t i = 0; i < n->n; i++) {
        struct err err = {0};
        const char *s = config_scalar(r, n->items[i], "matchers");
        int rc = s ? matchers_parse(s, strlen(s), &r->c->arena, to, &err) : 0;
        if (rc < 0)
            matcher_mistake(r, n->items[i], rc, &err);
    }
}

// The older form: a map of label to value.
static void match(struct config_reader *r, const struct yaml_node *n, const char *key,
    bool is_regex, struct matcher_list *to)
{
    if (!config_is_map(r, n, key))
        return;
    for (size_t i = 0; i < n->n; i++) {
        struct err err = {0};
        const char *s = config_scalar(r, n->items[i], key);
        int rc =
            s ? matchers_add(n->keys[i]->text, s, true, is_regex, &r->c->arena, to, &err) : 0;
        if (rc < 0)
            matcher_mistake(r, n->items[i], rc, &err);
    }
}

static bool durations(
    struct config_reader *r, const char *key, const struct yaml_node *v, struct route *to)
{
    if (strcmp(key, "group_wait") == 0)
        config_duration(r, v, key, 0, DAY_MS, &to->group_wait_ms);
    else if (strcmp(key, "group_interval") == 0)
        config_duration(r, v, key, 0, DAY_MS, &to->group_interval_ms);
    else if (strcmp(key, "repeat_interval") == 0)
        config_duration(r, v, key, 1000, 366 * DAY_MS, &to->repeat_interval_ms);
    else
        return false;
    return true;
}

static void route_key(struct config_reader *r, const struct yaml_node *key,
    const struct yaml_node *v, struct route *to)
{
    const char *name = key->text;
    if (v->kind == YAML_NULL || durations(r, name, v, to) || strcmp(name, "routes") == 0)
        return;
    if (strcmp(name, "receiver") == 0) {
        const char *s = config_scalar(r, v, name);
        to->receiver = s ? config_keep(r, s) : NULL;
    } else if (strcmp(name, "group_by") == 0) {
        group_by(r, v, to);
    } else if (strcmp(name, "continue") == 0) {
        config_bool(r, v, name, &to->go_on);
    } else if (strcmp(name, "matchers") == 0) {
        matchers(r, v, &to->matchers);
    } else if (strcmp(name, "match") == 0) {
        match(r, v, name, false, &to->matchers);
    } else if (strcmp(name, "match_re") == 0) {
        match(r, v, name, true, &to->matchers);
    } else if (strcmp(name, "mute_time_intervals") == 0) {
        names(r, v, name, NAMES_MAX, &to->mute_times, &to->n_mute_times);
    } else if (strcmp(name, "active_time_intervals") == 0) {
        names(r, v, name, NAMES_MAX, &to->active_times, &to->n_active_times);
    } else {
        config_other_key(r, key, NONE_NOT_YET, "route");
    }
}

static int by_matcher(const void *a, const void *b)
{
    const struct matcher *x = a, *y = b;
    int c = strcmp(x->name, y->name);
    return c ? c : strcmp(x->value, y->value);
}

static void key_of(struct config_reader *r, struct route *to)
{
    struct buf b;
    buf_init(&b, 1u << 20);
    if (to->matchers.n)
        qsort(to->matchers.m, to->matchers.n, sizeof(*to->matchers.m), by_matcher);
    if (to->parent)
        buf_addf(&b, "%s/", to->parent->key);
    matchers_print(to->matchers.m, to->matchers.n, &b);
    r->oom |= b.failed != 0;
    to->key = config_keep(r, buf_cstr(&b));
    buf_done(&b);
}

static void route(struct config_reader *r, const struct yaml_node *n, struct route *to,
    uint32_t *number, int depth)
{
    const struct yaml_node *children = yaml_get(n, "routes");
    to->number = (*number)++;
    for (size_t i = 0; i < n->n; i++)
        route_key(r, n->keys[i], n->items[i], to);
    if (r->oom)
        return;
    key_of(r, to);
    if (!children || children->kind == YAML_NULL)
        return;
    if (children->kind != YAML_SEQ || *number + children->n > ROUTES_MAX ||
        depth == ROUTE_DEPTH_MAX) {
        config_bad(r, children, "C001", NULL, "`routes` is a list; at most %d routes, %d deep",
            ROUTES_MAX, ROUTE_DEPTH_MAX);
        return;
    }
    to->routes = arena_alloc(&r->c->arena, (children->n + 1) * sizeof(*to->routes));
    if (!to->routes) {
        r->oom = true;
        return;
    }
    for (size_t i = 0; i < children->n && !r->oom; i++) {
        struct route *child = &to->routes[i];
        if (!config_is_map(r, children->items[i], "routes"))
            continue;
        *child = (struct route){.parent = to,
            .receiver = to->receiver,
            .group_by = to->group_by,
            .n_group_by = to->n_group_by,
            .group_by_all = to->group_by_all,
            .group_wait_ms = to->group_wait_ms,
            .group_interval_ms = to->group_interval_ms,
            .repeat_interval_ms = to->repeat_interval_ms};
        to->n_routes = i + 1;
        route(r, children->items[i], child, number, depth + 1);
    }
}

void config_route(struct config_reader *r, const struct yaml_node *n)
{
    uint32_t number = 0;
    if (!config_is_map(r, n, "route"))
        return;
    struct route *root = arena_alloc(&r->c->arena, sizeof(*root));
    if (!root) {
        r->oom = true;
        return;
    }
    // Alertmanager's defaults, but for group_wait: what pages is not held back to be grouped.
    *root = (struct route){.group_interval_ms = 5 * 60000, .repeat_interval_ms = 4 * 3600000};
    r->c->route = root;
    route(r, n, root, &number, 0);
    if (root->matchers.n || root->go_on || root->n_mute_times || root->n_active_times)
        config_bad(r, n, "C001", NULL,
            "the first route takes every alert: no matchers, `continue` or time intervals");
}

static void inhibit(struct config_reader *r, const struct yaml_node *n, struct inhibit_rule *to)
{
    for (size_t i = 0; i < n->n; i++) {
        const char *key = n->keys[i]->text;
        const struct yaml_node *v = n->items[i];
        if (v->kind == YAML_NULL)
            continue;
        if (strcmp(key, "source_matchers") == 0)
            matchers(r, v, &to->source);
        else if (strcmp(key, "source_match") == 0)
            match(r, v, key, false, &to->source);
        else if (strcmp(key, "source_match_re") == 0)
            match(r, v, key, true, &to->source);
        else if (strcmp(key, "target_matchers") == 0)
            matchers(r, v, &to->target);
        else if (strcmp(key, "target_match") == 0)
            match(r, v, key, false, &to->target);
        else if (strcmp(key, "target_match_re") == 0)
            match(r, v, key, true, &to->target);
        else if (strcmp(key, "equal") == 0)
            names(r, v, key, INHIBIT_EQUAL_MAX, &to->equal, &to->n_equal);
        else
            config_other_key(r, n->keys[i], NONE_NOT_YET, "inhibit_rules");
    }
}

void config_inhibit(struct config_reader *r, const struct yaml_node *n)
{
    if (n->kind == YAML_NULL)
        return;
    if (n->kind != YAML_SEQ || n->n > INHIBIT_RULES_MAX) {
        config_bad(
            r, n, "C001", NULL, "`inhibit_rules` is a list of at most %d", INHIBIT_RULES_MAX);
        return;
    }
    r->c->inhibit = arena_alloc(&r->c->arena, (n->n + 1) * sizeof(*r->c->inhibit));
    if (!r->c->inhibit) {
        r->oom = true;
        return;
    }
    for (size_t i = 0; i < n->n && !r->oom; i++) {
        if (config_is_map(r, n->items[i], "inhibit_rules"))
            inhibit(r, n->items[i], &r->c->inhibit[i]);
        r->c->n_inhibit = i + 1;
    }
}

static void receiver_check(
    struct config_reader *r, const struct yaml_node *n, const struct route *to)
{
    const struct yaml_node *at = yaml_get(n, "receiver");
    if (!to->receiver)
        config_bad(r, n, "C001", NULL, "`route` needs a `receiver`");
    else if (!config_receiver(r->c, to->receiver))
        config_bad(r, at ? at : n, "C001", NULL, "there is no receiver `%.60s`", to->receiver);
}

static const struct time_interval **resolve(struct config_reader *r, const struct yaml_node *n,
    const char *const *name, size_t count, size_t *ret_n)
{
    const struct time_interval **found =
        arena_alloc(&r->c->arena, (count + 1) * sizeof(struct time_interval *));
    if (!found) {
        r->oom = true;
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        found[*ret_n] = config_interval(r->c, name[i]);
        if (found[*ret_n])
            (*ret_n)++;
        else
            config_bad(r, n, "C001", NULL, "there is no time interval `%.60s`", name[i]);
    }
    return found;
}

static void check_route(struct config_reader *r, const struct yaml_node *n, struct route *to)
{
    const struct yaml_node *children = yaml_get(n, "routes");
    const struct yaml_node *mute = yaml_get(n, "mute_time_intervals"),
                           *active = yaml_get(n, "active_time_intervals");
    // What the parent lacks is not missed again in each child.
    if (!to->parent || yaml_get(n, "receiver"))
        receiver_check(r, n, to);
    to->times.mute =
        resolve(r, mute ? mute : n, to->mute_times, to->n_mute_times, &to->times.n_mute);
    to->times.active = resolve(
        r, active ? active : n, to->active_times, to->n_active_times, &to->times.n_active);
    for (size_t i = 0; i < to->n_routes && !r->oom; i++)
        if (children->items[i]->kind == YAML_MAP)
            check_route(r, children->items[i], &to->routes[i]);
}

void config_route_check(struct config_reader *r, const struct yaml_node *root)
{
    const struct config *c = r->c;
    const struct yaml_node *n = yaml_get(root, "route");
    if (c->route && n)
        check_route(r, n, c->route);
    else if (c->n_receivers)
        config_bad(r, root, "C001", "route: {receiver: NAME}",
            "there are receivers but no `route` to them");
}
