// SPDX-License-Identifier: Apache-2.0
// `global` of the configuration, as Alertmanager writes it: what receivers that say nothing of it take.
#include "collector/config_read.h"
#include <stdio.h>
#include <string.h>

// What only receivers that are not there would read, or how: harmless to nobody, so it is told.
static const char *const GLOBAL_NOT_YET[] = {"smtp_auth_secret", "smtp_auth_secret_file",
    "smtp_auth_identity", "smtp_tls_config", "smtp_force_implicit_tls", "slack_app_token",
    "slack_app_token_file", "slack_app_url", "wechat_api_url", "wechat_api_secret",
    "wechat_api_secret_file", "wechat_api_corp_id", "victorops_api_url", "victorops_api_key",
    "victorops_api_key_file", "webex_api_url", "jira_api_url", "rocketchat_api_url",
    "rocketchat_token", "rocketchat_token_file", "rocketchat_token_id",
    "rocketchat_token_id_file", "mattermost_webhook_url", "mattermost_webhook_url_file", NULL};

// A key that some field of some kind is filled in from.
static bool fills(const char *key)
{
    for (size_t k = 0; k < RECEIVER_KINDS; k++)
        for (const struct receiver_field *f = RECEIVERS[k]->fields; f->name; f++) {
            size_t n = f->global ? strlen(f->global) : 0;
            bool file = f->type == RECEIVER_SECRET || f->type == RECEIVER_URL;
            if (n && strncmp(key, f->global, n) == 0 &&
                (!key[n] || (file && strcmp(key + n, "_file") == 0)))
                return true;
        }
    return false;
}

// A secret is in the file or in a file of its own.
static void not_both(struct config_reader *r, const struct yaml_node *n)
{
    char file[80];
    for (size_t i = 0; i < n->n; i++) {
        snprintf(file, sizeof(file), "%.60s_file", n->keys[i]->text);
        if (yaml_get(n, file))
            config_bad(r, n->keys[i], "C001", NULL, "`%.60s` or `%.70s`, not both",
                n->keys[i]->text, file);
    }
}

void config_global(struct config_reader *r, const struct yaml_node *n)
{
    struct receiver_http http;
    if (!config_is_map(r, n, "global"))
        return;
    r->global = n;
    not_both(r, n);
    for (size_t i = 0; i < n->n; i++) {
        const char *key = n->keys[i]->text;
        int64_t ms;
        // When alerts without an end are over: ours always say when they are.
        if (strcmp(key, "resolve_timeout") == 0)
            config_duration(r, n->items[i], key, 0, INT64_MAX, &ms);
        else if (strcmp(key, "http_config") == 0)
            config_http(r, n->items[i], &http); // read again for each receiver that takes it
        else if (!fills(key))
            config_other_key(r, n->keys[i], GLOBAL_NOT_YET, "global");
    }
}
