// SPDX-License-Identifier: Apache-2.0
#include "collector/auth.h"
#include "collector/config_read.h"
#include <stdio.h>
#include <string.h>

#define RECEIVERS_MAX 256
#define GROUP_BY_MAX  64
#define DAY_MS        86400000LL

static const char *const ROUTE_NOT_YET[] = {"routes", "match", "match_re", "matchers",
    "continue", "mute_time_intervals", "active_time_intervals", NULL};
static const char *const RECEIVER_NOT_YET[] = {"email_configs", "slack_configs",
    "pagerduty_configs", "opsgenie_configs", "victorops_configs", "pushover_configs",
    "telegram_configs", "discord_configs", "msteams_configs", "msteamsv2_configs",
    "sns_configs", "webex_configs", "wechat_configs", "jira_configs", "rocketchat_configs",
    "incidentio_configs", "mattermost_configs", NULL};
static const char *const WEBHOOK_NOT_YET[] = {"http_config", "timeout", "payload", NULL};

static void other_key(struct config_reader *r, const struct yaml_node *key,
    const char *const *not_yet, const char *where)
{
    for (; *not_yet; not_yet++)
        if (strcmp(*not_yet, key->text) == 0) {
            config_bad(
                r, key, "C003", NULL, "`%s` in %s is not supported yet", key->text, where);
            return;
        }
    config_bad(r, key, "C001", NULL, "unknown key `%.60s` in %s", key->text, where);
}

static void group_by(struct config_reader *r, const struct yaml_node *n)
{
    struct config_route *route = &r->c->route;
    if (n->kind != YAML_SEQ || n->n > GROUP_BY_MAX) {
        config_bad(
            r, n, "C001", NULL, "`group_by` is a list of at most %d label names", GROUP_BY_MAX);
        return;
    }
    route->group_by = arena_alloc(&r->c->arena, (n->n + 1) * sizeof(char *));
    route->n_group_by = 0;
    route->group_by_all = false;
    if (!route->group_by) {
        r->oom = true;
        return;
    }
    for (size_t i = 0; i < n->n; i++) {
        const char *s = config_scalar(r, n->items[i], "group_by");
        if (!s)
            continue;
        if (strcmp(s, "...") == 0)
            route->group_by_all = true;
        else
            route->group_by[route->n_group_by++] = config_keep(r, s);
    }
    if (route->group_by_all && route->n_group_by)
        config_bad(r, n, "C001", NULL, "`...` stands for all labels: it stands alone");
    // Who groups looks them up in order of name.
    for (size_t i = 1; !r->oom && i < route->n_group_by; i++)
        for (size_t k = i; k > 0 && strcmp(route->group_by[k - 1], route->group_by[k]) > 0;
             k--) {
            const char *swap = route->group_by[k];
            route->group_by[k] = route->group_by[k - 1];
            route->group_by[k - 1] = swap;
        }
}

void config_route(struct config_reader *r, const struct yaml_node *n)
{
    struct config_route *route = &r->c->route;
    if (!config_is_map(r, n, "route"))
        return;
    // Alertmanager's defaults, but for group_wait: what pages is not held back to be grouped.
    *route = (struct config_route){
        .group_wait_ms = 0, .group_interval_ms = 5 * 60000, .repeat_interval_ms = 4 * 3600000};
    r->c->has_route = true;
    for (size_t i = 0; i < n->n; i++) {
        const char *key = n->keys[i]->text;
        const struct yaml_node *v = n->items[i];
        if (v->kind == YAML_NULL)
            continue;
        if (strcmp(key, "receiver") == 0) {
            const char *s = config_scalar(r, v, key);
            route->receiver = s ? config_keep(r, s) : NULL;
        } else if (strcmp(key, "group_by") == 0) {
            group_by(r, v);
        } else if (strcmp(key, "group_wait") == 0) {
            config_duration(r, v, key, 0, DAY_MS, &route->group_wait_ms);
        } else if (strcmp(key, "group_interval") == 0) {
            config_duration(r, v, key, 0, DAY_MS, &route->group_interval_ms);
        } else if (strcmp(key, "repeat_interval") == 0) {
            config_duration(r, v, key, 1000, 366 * DAY_MS, &route->repeat_interval_ms);
        } else {
            other_key(r, n->keys[i], ROUTE_NOT_YET, "route");
        }
    }
}

static void webhook(
    struct config_reader *r, const struct yaml_node *n, struct config_webhook *w)
{
    w->send_resolved = true;
    if (n->kind != YAML_MAP) {
        config_bad(r, n, "C001", NULL, "a webhook is a map with `url` or `url_file`");
        return;
    }
    for (size_t i = 0; i < n->n; i++) {
        const char *key = n->keys[i]->text;
        const struct yaml_node *v = n->items[i];
        if (v->kind == YAML_NULL)
            continue;
        if (strcmp(key, "url") == 0) {
            const char *s = config_scalar(r, v, key);
            char host[300];
            bool http = s && (strncmp(s, "http://", 7) == 0 || strncmp(s, "https://", 8) == 0);
            if (s && (!http || !auth_url_host(s, host, sizeof(host))))
                config_bad(
                    r, v, "C001", "e.g. http://127.0.0.1:7319/", "`url` is not an http URL");
            else if (s)
                w->url = config_keep(r, s);
        } else if (strcmp(key, "url_file") == 0) {
            const char *s = config_scalar(r, v, key);
            w->url_file = s ? config_keep(r, s) : NULL;
        } else if (strcmp(key, "send_resolved") == 0) {
            config_bool(r, v, key, &w->send_resolved);
        } else if (strcmp(key, "max_alerts") == 0) {
            uint64_t max = 0;
            config_count(r, v, key, 0, 1000000, &max);
            w->max_alerts = (size_t)max;
        } else {
            other_key(r, n->keys[i], WEBHOOK_NOT_YET, "webhook_configs");
        }
    }
    if (yaml_get(n, "url") && yaml_get(n, "url_file"))
        config_bad(r, n, "C001", NULL, "a webhook has `url` or `url_file`, not both");
    else if (!yaml_get(n, "url") && !yaml_get(n, "url_file"))
        config_bad(r, n, "C001", NULL, "a webhook needs `url` or `url_file`");
}

static void webhooks(
    struct config_reader *r, const struct yaml_node *n, struct config_receiver *to)
{
    if (n->kind != YAML_SEQ || n->n > RECEIVERS_MAX) {
        config_bad(
            r, n, "C001", NULL, "`webhook_configs` is a list of at most %d", RECEIVERS_MAX);
        return;
    }
    to->webhooks = arena_alloc(&r->c->arena, (n->n + 1) * sizeof(*to->webhooks));
    if (!to->webhooks) {
        r->oom = true;
        return;
    }
    to->n_webhooks = n->n;
    for (size_t i = 0; i < n->n; i++)
        webhook(r, n->items[i], &to->webhooks[i]);
}

static void receiver(
    struct config_reader *r, const struct yaml_node *n, struct config_receiver *to)
{
    to->name = "";
    if (n->kind != YAML_MAP) {
        config_bad(r, n, "C001", NULL, "a receiver is a map with `name`");
        return;
    }
    for (size_t i = 0; i < n->n; i++) {
        const char *key = n->keys[i]->text;
        if (strcmp(key, "name") == 0) {
            const char *s = config_scalar(r, n->items[i], key);
            to->name = s ? config_keep(r, s) : "";
        } else if (strcmp(key, "webhook_configs") == 0) {
            webhooks(r, n->items[i], to);
        } else {
            other_key(r, n->keys[i], RECEIVER_NOT_YET, "a receiver");
        }
    }
    if (to->name && !*to->name)
        config_bad(r, n, "C001", NULL, "a receiver needs a `name`");
}

void config_receivers(struct config_reader *r, const struct yaml_node *n)
{
    if (n->kind == YAML_NULL)
        return;
    if (n->kind != YAML_SEQ || n->n > RECEIVERS_MAX) {
        config_bad(r, n, "C001", NULL, "`receivers` is a list of at most %d", RECEIVERS_MAX);
        return;
    }
    r->c->receivers = arena_alloc(&r->c->arena, (n->n + 1) * sizeof(*r->c->receivers));
    if (!r->c->receivers) {
        r->oom = true;
        return;
    }
    for (size_t i = 0; i < n->n && !r->oom; i++) {
        struct config_receiver *to = &r->c->receivers[i];
        receiver(r, n->items[i], to);
        for (size_t k = 0; k < i && !r->oom; k++)
            if (strcmp(r->c->receivers[k].name, to->name) == 0)
                config_bad(
                    r, n->items[i], "C001", NULL, "receiver `%.60s` is there twice", to->name);
        r->c->n_receivers = i + 1;
    }
}

void config_route_check(struct config_reader *r, const struct yaml_node *route)
{
    const struct config *c = r->c;
    if (!c->has_route) {
        if (c->n_receivers)
            config_bad(r, route, "C001", "route: {receiver: NAME}",
                "there are receivers but no `route` to them");
        return;
    }
    if (!c->route.receiver)
        config_bad(r, route, "C001", NULL, "`route` needs a `receiver`");
    else if (!config_receiver(c, c->route.receiver))
        config_bad(r, route, "C001", NULL, "there is no receiver `%.60s`", c->route.receiver);
}

const struct config_receiver *config_receiver(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->n_receivers; i++)
        if (strcmp(c->receivers[i].name, name) == 0)
            return &c->receivers[i];
    return NULL;
}
