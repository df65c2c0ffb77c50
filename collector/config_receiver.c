// SPDX-License-Identifier: Apache-2.0
// `receivers` of the configuration: who is told, and how.
#include "collector/auth.h"
#include "collector/config_read.h"
#include <stdio.h>
#include <string.h>

#define RECEIVERS_MAX 256

static const char *const RECEIVER_NOT_YET[] = {"email_configs", "slack_configs",
    "pagerduty_configs", "opsgenie_configs", "victorops_configs", "pushover_configs",
    "telegram_configs", "discord_configs", "msteams_configs", "msteamsv2_configs",
    "sns_configs", "webex_configs", "wechat_configs", "jira_configs", "rocketchat_configs",
    "incidentio_configs", "mattermost_configs", NULL};
static const char *const WEBHOOK_NOT_YET[] = {"http_config", "timeout", "payload", NULL};

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
            w->url_file = config_path(r, v, key);
        } else if (strcmp(key, "send_resolved") == 0) {
            config_bool(r, v, key, &w->send_resolved);
        } else if (strcmp(key, "max_alerts") == 0) {
            uint64_t max = 0;
            config_count(r, v, key, 0, 1000000, &max);
            w->max_alerts = (size_t)max;
        } else {
            config_other_key(r, n->keys[i], WEBHOOK_NOT_YET, "webhook_configs");
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
            config_other_key(r, n->keys[i], RECEIVER_NOT_YET, "a receiver");
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

const struct config_receiver *config_receiver(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->n_receivers; i++)
        if (strcmp(c->receivers[i].name, name) == 0)
            return &c->receivers[i];
    return NULL;
}
