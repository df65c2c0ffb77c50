// SPDX-License-Identifier: Apache-2.0
#include "agent/config_read.h"
#include "agent/output.h"
#include "base/num.h"
#include "base/secret.h"
#include "wire/name.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

void config_bad(
    struct config_reader *r, const struct yaml_node *n, const char *hint, const char *fmt, ...)
{
    char msg[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    int len = n->end > n->offset ? (int)(n->end - n->offset) : 1;
    diags_add(r->d, DIAG_ERROR, "C001", n->line, n->col, len, hint, "%s", msg);
}

const char *config_keep(struct config_reader *r, const char *s, size_t len)
{
    char *copy = arena_strndup(&r->c->arena, s, len);
    if (!copy)
        r->oom = true;
    return copy;
}

// --- keys of a map -----------------------------------------------------------------------------

void config_map(struct config_reader *r, const struct yaml_node *map,
    const struct config_key *keys, size_t n_keys, void *to, const char *what)
{
    const char *names[CONFIG_KEYS_MAX];
    const struct config_key *outer = r->key;
    assert(n_keys <= CONFIG_KEYS_MAX);
    for (size_t i = 0; i < n_keys; i++)
        names[i] = keys[i].name;
    for (size_t i = 0; i < map->n; i++) {
        const struct yaml_node *k = map->keys[i];
        size_t at = 0;
        while (at < n_keys && strcmp(keys[at].name, k->text) != 0)
            at++;
        if (at < n_keys) {
            r->key = &keys[at];
            if (map->items[i]->kind != YAML_NULL)
                keys[at].read(r, map->items[i], (char *)to + keys[at].offset);
            continue;
        }
        const char *near = diag_nearest(k->text, k->len, names, n_keys);
        char hint[96] = "";
        if (near)
            snprintf(hint, sizeof(hint), "did you mean `%s`?", near);
        config_bad(r, k, near ? hint : NULL, "unknown key `%.60s` in %s", k->text, what);
    }
    r->key = outer;
}

bool config_section(struct config_reader *r, const struct yaml_node *n,
    const struct config_key *keys, size_t n_keys, void *to, const char *what, const char *hint)
{
    if (n->kind != YAML_MAP) {
        config_bad(r, n, hint, "%s is a map", what);
        return false;
    }
    config_map(r, n, keys, n_keys, to, what);
    return true;
}

bool config_scalar(struct config_reader *r, const struct yaml_node *n)
{
    if (n->kind == YAML_SCALAR && strlen(n->text) == n->len)
        return true;
    config_bad(r, n, NULL, "one value is wanted here");
    return false;
}

void config_text(struct config_reader *r, const struct yaml_node *n, void *to)
{
    const char **ret = to;
    if (!config_scalar(r, n))
        return;
    if (!wire_text_ok(n->text, 1, WIRE_VALUE_MAX))
        config_bad(r, n, NULL, "1 to %d bytes of UTF-8 are wanted here", WIRE_VALUE_MAX);
    else
        *ret = config_keep(r, n->text, n->len);
}

void config_duration(struct config_reader *r, const struct yaml_node *n, void *to)
{
    const struct config_range *range = r->key->context;
    int64_t *ret = to, ms;
    if (!config_scalar(r, n))
        return;
    if (!duration_parse(n->text, n->len, &ms)) {
        config_bad(r, n, "write it with a unit, e.g. 250ms, 2s, 1m",
            "`%.40s` is not a duration", n->text);
    } else if (ms < range->low_ms || ms > range->high_ms) {
        char a[NUM_TEXT_MAX + 1], b[NUM_TEXT_MAX + 1];
        a[duration_print(range->low_ms, a)] = 0;
        b[duration_print(range->high_ms, b)] = 0;
        config_bad(r, n, NULL, "`%.40s` is not between %s and %s", n->text, a, b);
    } else {
        *ret = ms;
    }
}

void config_count(struct config_reader *r, const struct yaml_node *n, void *to)
{
    const struct config_limit *limit = r->key->context;
    unsigned *ret = to;
    uint64_t v;
    if (!config_scalar(r, n))
        return;
    if (!num_parse_u64(n->text, n->len, &v) || v > limit->max)
        config_bad(r, n, "0 turns it off", "`%.40s` is not a number from 0 to %u", n->text,
            limit->max);
    else
        *ret = (unsigned)v;
}

void config_port(struct config_reader *r, const struct yaml_node *n, void *to)
{
    uint16_t *ret = to;
    uint64_t port;
    if (!config_scalar(r, n))
        return;
    if (!num_parse_u64(n->text, n->len, &port) || !port || port > UINT16_MAX)
        config_bad(r, n, "1 to 65535", "`%.20s` is not a port", n->text);
    else
        *ret = (uint16_t)port;
}

void config_series_limit(struct config_reader *r, const struct yaml_node *n, void *to)
{
    uint64_t v;
    if (!config_scalar(r, n))
        return;
    if (num_parse_u64(n->text, n->len, &v) && v >= 1 && v <= OUTPUT_SERIES_MAX)
        *(size_t *)to = v;
    else
        config_bad(r, n, NULL, "series_limit is 1 to %d", OUTPUT_SERIES_MAX);
}

// As YAML 1.1 has it, and so Prometheus.
void config_flag(struct config_reader *r, const struct yaml_node *n, void *to)
{
    static const char *const WORDS[2][3] = {{"false", "no", "off"}, {"true", "yes", "on"}};
    if (!config_scalar(r, n))
        return;
    for (size_t i = 0; i < 6; i++)
        if (strcasecmp(n->text, WORDS[i / 3][i % 3]) == 0) {
            *(bool *)to = i >= 3;
            return;
        }
    config_bad(r, n, NULL, "true or false is wanted here");
}

// Kept, so that a reload takes a new one and nothing has to be read later.
void config_secret(struct config_reader *r, const struct yaml_node *n, const char **ret_content,
    const char **ret_file)
{
    char *secret;
    struct err err;
    if (!config_scalar(r, n))
        return;
    if (secret_read(n->text, &secret, &err) < 0) {
        config_bad(r, n, "a file that only the agent may read: chmod 600", "%s", err.msg);
        return;
    }
    *ret_content = config_keep(r, secret, strlen(secret));
    *ret_file = config_keep(r, n->text, n->len);
    secret_free(secret);
}

// --- printed again -------------------------------------------------------------------------------

void config_add_value(struct buf *out, const char *before, const char *s)
{
    buf_adds(out, before);
    buf_add_json(out, s, strlen(s)); // a JSON string is a YAML string
}

void config_add_duration(struct buf *out, const char *key, int64_t ms)
{
    char text[NUM_TEXT_MAX + 1];
    text[duration_print(ms, text)] = 0;
    buf_addf(out, "\n    %s: %s", key, text);
}
