// SPDX-License-Identifier: Apache-2.0
// `http_config` and `tls_config` of receivers, as Alertmanager writes them.
#include "collector/config_read.h"
#include <string.h>

static const char *const NONE_NOT_YET[] = {NULL};
static const char *const HTTP_NOT_YET[] = {"proxy_url", "no_proxy", "proxy_from_environment",
    "proxy_connect_header", "oauth2", "http_headers", NULL};
static const char *const TLS_NOT_YET[] = {
    "server_name", "min_version", "max_version", "ca", "cert", "key", NULL};

bool config_secret(struct config_reader *r, const struct yaml_node *key,
    const struct yaml_node *v, const char *name, struct receiver_secret *to)
{
    size_t n = strlen(name);
    if (strncmp(key->text, name, n) != 0)
        return false;
    if (strcmp(key->text + n, "_file") == 0) {
        to->file = config_path(r, v, key->text);
        return true;
    }
    if (key->text[n])
        return false;
    const char *s = config_scalar(r, v, name);
    to->text = s ? config_keep(r, s) : NULL;
    return true;
}

// A secret that is written here: it works, and is told.
static void told(struct config_reader *r, const struct yaml_node *n, const char *name)
{
    char hint[96];
    const struct yaml_node *v = yaml_get(n, name);
    snprintf(hint, sizeof(hint), "%s_file: PATH", name);
    if (v && v->kind == YAML_SCALAR)
        config_warn(r, v, "C007", hint, "`%s` is a secret in the configuration", name);
}

static void basic(struct config_reader *r, const struct yaml_node *n, struct receiver_http *to)
{
    if (!config_is_map(r, n, "basic_auth"))
        return;
    for (size_t i = 0; i < n->n; i++) {
        const struct yaml_node *v = n->items[i];
        if (strcmp(n->keys[i]->text, "username") == 0) {
            const char *s = config_scalar(r, v, "username");
            to->user = s ? config_keep(r, s) : NULL;
        } else if (!config_secret(r, n->keys[i], v, "password", &to->password)) {
            config_other_key(r, n->keys[i], NONE_NOT_YET, "basic_auth");
        }
    }
    told(r, n, "password");
    if (!yaml_get(n, "username"))
        config_bad(r, n, "C001", NULL, "`basic_auth` needs a `username`");
}

static void authorization(
    struct config_reader *r, const struct yaml_node *n, struct receiver_http *to)
{
    if (!config_is_map(r, n, "authorization"))
        return;
    for (size_t i = 0; i < n->n; i++) {
        const struct yaml_node *v = n->items[i];
        if (strcmp(n->keys[i]->text, "type") == 0) {
            const char *s = config_scalar(r, v, "type");
            to->scheme = s ? config_keep(r, s) : NULL;
        } else if (!config_secret(r, n->keys[i], v, "credentials", &to->credentials)) {
            config_other_key(r, n->keys[i], NONE_NOT_YET, "authorization");
        }
    }
    told(r, n, "credentials");
}

void config_tls(struct config_reader *r, const struct yaml_node *n, struct receiver_http *to)
{
    if (!config_is_map(r, n, "tls_config"))
        return;
    for (size_t i = 0; i < n->n; i++) {
        const char *key = n->keys[i]->text;
        const struct yaml_node *v = n->items[i];
        if (v->kind == YAML_NULL)
            continue;
        if (strcmp(key, "ca_file") == 0)
            to->ca_file = config_path(r, v, key);
        else if (strcmp(key, "cert_file") == 0)
            to->cert_file = config_path(r, v, key);
        else if (strcmp(key, "key_file") == 0)
            to->key_file = config_path(r, v, key);
        else if (strcmp(key, "insecure_skip_verify") == 0)
            config_bool(r, v, key, &to->insecure_skip_verify);
        else
            config_other_key(r, n->keys[i], TLS_NOT_YET, "tls_config");
    }
}

void config_http(struct config_reader *r, const struct yaml_node *n, struct receiver_http *to)
{
    bool flag = false;
    memset(to, 0, sizeof(*to));
    if (!config_is_map(r, n, "http_config"))
        return;
    for (size_t i = 0; i < n->n; i++) {
        const char *key = n->keys[i]->text;
        const struct yaml_node *v = n->items[i];
        if (v->kind == YAML_NULL) {
            continue;
        } else if (strcmp(key, "basic_auth") == 0) {
            basic(r, v, to);
        } else if (strcmp(key, "authorization") == 0) {
            authorization(r, v, to);
        } else if (strcmp(key, "tls_config") == 0) {
            config_tls(r, v, to);
        } else if (strcmp(key, "enable_http2") == 0) {
            config_bool(r, v, key, &flag); // the two ends agree on what they both know
        } else if (strcmp(key, "follow_redirects") == 0) {
            if (config_bool(r, v, key, &flag) && flag)
                config_bad(
                    r, v, "C003", "name the URL it leads to", "redirects are not followed");
        } else if (!config_secret(r, n->keys[i], v, "bearer_token", &to->credentials)) {
            config_other_key(r, n->keys[i], HTTP_NOT_YET, "http_config");
        }
    }
    told(r, n, "bearer_token");
    if (to->user && (to->credentials.text || to->credentials.file))
        config_bad(r, n, "C001", NULL, "`basic_auth` or a token, not both");
}
