// SPDX-License-Identifier: Apache-2.0
// `heartbeats` of the configuration: who outside pages when we fall silent.
#include "collector/config_read.h"
#include "collector/heartbeat.h"
#include <string.h>

#define NAME_LEN_MAX   64
#define EVERY_MS       30000
#define EVERY_LOW_MS   10000
#define EVERY_HIGH_MS  3600000
#define TRY_TIMEOUT_MS 10000 // at most EVERY_LOW_MS, so that one has ended when the next is due

static const char *const KEYS[] = {
    "name", "url", "url_file", "every", "method", "secret_file", "http_config", "insecure"};
#define N_KEYS (sizeof(KEYS) / sizeof(KEYS[0]))

static void method(
    struct config_reader *r, const struct yaml_node *v, struct config_heartbeat *to)
{
    const char *s = config_scalar(r, v, "method");
    if (!s)
        return;
    to->to.get = strcmp(s, "GET") == 0;
    if (!to->to.get && strcmp(s, "POST") != 0)
        config_bad(r, v, "C001", NULL, "`method` is POST or GET");
}

static void name(
    struct config_reader *r, const struct yaml_node *v, struct config_heartbeat *to)
{
    const char *s = config_scalar(r, v, "name");
    if (s && strlen(s) > NAME_LEN_MAX)
        config_bad(r, v, "C002", NULL, "`name` is longer than %d bytes", NAME_LEN_MAX);
    else if (s)
        to->name = config_keep(r, s);
}

static void unknown(struct config_reader *r, const struct yaml_node *key)
{
    const char *near = diag_nearest(key->text, key->len, KEYS, N_KEYS);
    char hint[96] = "";
    if (near)
        snprintf(hint, sizeof(hint), "did you mean `%s`?", near);
    config_bad(
        r, key, "C001", near ? hint : NULL, "unknown key `%.60s` in heartbeats", key->text);
}

static void one_key(struct config_reader *r, const struct yaml_node *key,
    const struct yaml_node *v, struct config_heartbeat *to)
{
    const char *k = key->text;
    if (strcmp(k, "name") == 0)
        name(r, v, to);
    else if (strcmp(k, "every") == 0)
        config_duration(r, v, k, EVERY_LOW_MS, EVERY_HIGH_MS, &to->every_ms);
    else if (strcmp(k, "method") == 0)
        method(r, v, to);
    else if (strcmp(k, "secret_file") == 0)
        to->to.secret_file = config_path(r, v, k);
    else if (strcmp(k, "http_config") == 0)
        config_http(r, v, &to->to.http);
    else if (strcmp(k, "insecure") == 0)
        config_bool(r, v, k, &to->to.insecure);
    else if (!config_secret(r, key, v, "url", &to->to.url))
        unknown(r, key);
}

static void heartbeat(
    struct config_reader *r, const struct yaml_node *n, struct config_heartbeat *to)
{
    char host[300];
    to->name = "";
    to->every_ms = EVERY_MS;
    to->to.kind = &RECEIVER_HEARTBEAT;
    to->to.timeout_ms = TRY_TIMEOUT_MS;
    if (n->kind != YAML_MAP) {
        config_bad(
            r, n, "C001", "e.g. {name: watcher, url: \"https://...\"}", "a heartbeat is a map");
        return;
    }
    for (size_t i = 0; i < n->n && !r->oom; i++)
        if (n->items[i]->kind != YAML_NULL)
            one_key(r, n->keys[i], n->items[i], to);
    if (r->oom)
        return;
    if (!*to->name)
        config_bad(r, n, "C001", NULL, "a heartbeat needs a `name`");
    if (!to->to.url.text == !to->to.url.file)
        config_bad(r, n, "C001", NULL, "a heartbeat needs `url` or `url_file`%s",
            to->to.url.text ? ", not both" : "");
    else if (to->to.url.text && !config_is_http(to->to.url.text, host))
        config_bad(r, yaml_get(n, "url"), "C001", "e.g. http://127.0.0.1:7319/",
            "`url` is not an http URL");
    if (to->to.get && to->to.secret_file)
        config_bad(r, yaml_get(n, "secret_file"), "C001", "method: POST",
            "a GET has no body to sign: `secret_file` has no use");
    config_plain_http(r, n, &to->to);
}

void config_heartbeats(struct config_reader *r, const struct yaml_node *n)
{
    if (n->kind == YAML_NULL)
        return;
    if (n->kind != YAML_SEQ || n->n > HEARTBEATS_MAX) {
        config_bad(r, n, "C001", "e.g. [{name: watcher, url: \"https://...\"}]",
            "`heartbeats` is a list of at most %d", HEARTBEATS_MAX);
        return;
    }
    struct config *c = r->c;
    c->heartbeats = arena_alloc(&c->arena, (n->n + 1) * sizeof(*c->heartbeats));
    if (!c->heartbeats) {
        r->oom = true;
        return;
    }
    for (size_t i = 0; i < n->n && !r->oom; i++) {
        struct config_heartbeat *to = &c->heartbeats[i];
        heartbeat(r, n->items[i], to);
        c->n_heartbeats = i + 1;
        for (size_t k = 0; k < i && !r->oom; k++)
            if (*to->name && strcmp(c->heartbeats[k].name, to->name) == 0)
                config_bad(
                    r, n->items[i], "C001", NULL, "heartbeat `%s` is there twice", to->name);
    }
}
