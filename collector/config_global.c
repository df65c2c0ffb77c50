// SPDX-License-Identifier: Apache-2.0
// `global` of the configuration, as Alertmanager writes it: what receivers that say nothing of it take.
#include "collector/config_read.h"
#include <string.h>

// What only receivers that are not there would read, or how: harmless to nobody, so it is told.
static const char *const GLOBAL_NOT_YET[] = {"smtp_auth_secret", "smtp_auth_secret_file",
    "smtp_auth_identity", "smtp_tls_config", "wechat_api_url", "wechat_api_secret",
    "wechat_api_corp_id", "victorops_api_url", "victorops_api_key", "victorops_api_key_file",
    "webex_api_url", "jira_api_url", "rocketchat_api_url", "slack_app_token", "slack_app_url",
    NULL};

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

void config_global(struct config_reader *r, const struct yaml_node *n)
{
    struct receiver_http http;
    if (!config_is_map(r, n, "global"))
        return;
    r->global = n;
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
