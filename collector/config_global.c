// SPDX-License-Identifier: Apache-2.0
// `global` of the configuration, as Alertmanager writes it: what receivers say nothing of.
#include "collector/config_read.h"
#include <string.h>

static const char *const GLOBAL_NOT_YET[] = {"smtp_from", "smtp_smarthost", "smtp_hello",
    "smtp_auth_username", "smtp_auth_password", "smtp_auth_password_file", "smtp_auth_secret",
    "smtp_auth_identity", "smtp_require_tls", "smtp_tls_config", "slack_api_url",
    "slack_api_url_file", "pagerduty_url", "opsgenie_api_url", "opsgenie_api_key",
    "opsgenie_api_key_file", "telegram_api_url", "wechat_api_url", "wechat_api_secret",
    "wechat_api_corp_id", "victorops_api_url", "victorops_api_key", "victorops_api_key_file",
    "webex_api_url", "http_config", NULL};

void config_global(struct config_reader *r, const struct yaml_node *n)
{
    if (!config_is_map(r, n, "global"))
        return;
    for (size_t i = 0; i < n->n; i++) {
        int64_t ms;
        // When alerts without an end are over: ours always say when they are.
        if (strcmp(n->keys[i]->text, "resolve_timeout") == 0)
            config_duration(r, n->items[i], "resolve_timeout", 0, INT64_MAX, &ms);
        else
            config_other_key(r, n->keys[i], GLOBAL_NOT_YET, "global");
    }
}
