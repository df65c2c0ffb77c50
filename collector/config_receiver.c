// SPDX-License-Identifier: Apache-2.0
// `receivers` of the configuration: who is told, and how. What a kind's keys are stands in its table.
#include "base/auth.h"
#include "collector/config_read.h"
#include "collector/receiver_text.h"
#include <stdio.h>
#include <string.h>

#define RECEIVERS_MAX  1000
#define TRY_TIMEOUT_MS 10000
#define NAMES_MAX      64
#define RESPONDERS_MAX 50

static const char *const RECEIVER_NOT_YET[] = {"victorops_configs", "pushover_configs",
    "sns_configs", "webex_configs", "wechat_configs", "jira_configs", "rocketchat_configs",
    "incidentio_configs", "mattermost_configs", NULL};
static const char *const COMMON[] = {
    "send_resolved", "http_config", "secret_file", "insecure", "timeout", NULL};

static void text(
    struct config_reader *r, const struct yaml_node *v, const char *key, const char **ret)
{
    const char *s = config_scalar(r, v, key);
    if (!s)
        return;
    if (strstr(s, "{{"))
        config_bad(r, v, "C003", NULL, "`%s` cannot hold a template", key);
    else
        *ret = config_keep(r, s);
}

bool config_is_http(const char *url, char host[static 300])
{
    bool tls = strncmp(url, "https://", 8) == 0;
    return (tls || strncmp(url, "http://", 7) == 0) && auth_url_host(url, host, 300);
}

static void number(
    struct config_reader *r, const struct yaml_node *v, const char *key, const char **ret)
{
    const char *s = config_scalar(r, v, key);
    const char *digits = s && *s == '-' ? s + 1 : s;
    if (!s)
        return;
    if (!*digits || strspn(digits, "0123456789") != strlen(digits) || strlen(digits) > 18)
        config_bad(r, v, "C001", NULL, "`%s` is a whole number", key);
    else
        *ret = config_keep(r, s);
}

// One of two words; true for the first.
static bool word(struct config_reader *r, const struct yaml_node *v, const char *key,
    const char *yes, const char *no)
{
    const char *s = config_scalar(r, v, key);
    if (s && strcmp(s, yes) != 0 && strcmp(s, no) != 0)
        config_bad(
            r, v, "C001", NULL, "`%s` is %s%s%s", key, yes, *no ? " or " : " or left out", no);
    return s && strcmp(s, yes) == 0;
}

static void responder(struct config_reader *r, const struct yaml_node *n, struct buf *out)
{
    static const char *const TYPES[] = {"team", "user", "escalation", "schedule"};
    bool typed = false, named = false;
    buf_addc(out, '{');
    for (size_t i = 0; n->kind == YAML_MAP && i < n->n; i++) {
        const char *key = n->keys[i]->text, *value = NULL;
        bool type = strcmp(key, "type") == 0;
        if (!type && strcmp(key, "id") != 0 && strcmp(key, "name") != 0 &&
            strcmp(key, "username") != 0) {
            config_bad(r, n->keys[i], "C001", NULL, "unknown key `%.60s` in responders", key);
            continue;
        }
        text(r, n->items[i], key, &value);
        for (size_t k = 0; type && value && k < sizeof(TYPES) / sizeof(TYPES[0]); k++)
            typed |= strcmp(TYPES[k], value) == 0;
        named |= !type && value && *value;
        if (value)
            text_pair(key, value, out);
    }
    buf_addc(out, '}');
    if (!typed || !named)
        config_bad(r, n, "C001", "e.g. {type: team, name: ops}",
            "a responder has a `type` (team, user, escalation, schedule) and a `name`, `id` or "
            "`username`");
}

static void responders(
    struct config_reader *r, const struct yaml_node *n, const char *key, const char **ret)
{
    struct buf list;
    if (n->kind != YAML_SEQ || n->n > RESPONDERS_MAX) {
        config_bad(r, n, "C001", NULL, "`%s` is a list of at most %d", key, RESPONDERS_MAX);
        return;
    }
    buf_init(&list, CONFIG_FILE_MAX);
    buf_addc(&list, '[');
    for (size_t i = 0; i < n->n; i++) {
        if (i)
            buf_addc(&list, ',');
        responder(r, n->items[i], &list);
    }
    buf_addc(&list, ']');
    r->oom |= list.failed != 0;
    *ret = r->oom ? NULL : config_keep(r, buf_cstr(&list));
    buf_done(&list);
}

static enum template_escape escape_of(const struct receiver_field *f, const struct yaml_node *n)
{
    const struct yaml_node *mode =
        f->type == RECEIVER_MESSAGE && n->kind == YAML_MAP ? yaml_get(n, "parse_mode") : NULL;
    bool html = mode && mode->kind == YAML_SCALAR && strcmp(mode->text, "HTML") == 0;
    return f->type == RECEIVER_BODY           ? TEMPLATE_JSON
           : f->type == RECEIVER_HTML || html ? TEMPLATE_HTML
                                              : TEMPLATE_PLAIN;
}

static void format(
    struct config_reader *r, const struct yaml_node *v, const char *key, struct integration *to)
{
    const char *s = config_scalar(r, v, key);
    if (!s)
        return;
    to->standard = strcmp(s, "standard") == 0;
    to->templated = strcmp(s, "template") == 0;
    if (!to->standard && !to->templated && strcmp(s, "alertmanager") != 0)
        config_bad(r, v, "C001", NULL, "`%s` is alertmanager, standard or template", key);
}

// Takes the value if the key is the field's (or, in `global`, what fills it).
static bool field(struct config_reader *r, const struct receiver_field *f, const char *name,
    const struct yaml_node *n, const struct yaml_node *key, const struct yaml_node *v,
    struct integration *to)
{
    void *at = (char *)to + f->offset;
    char host[300];
    if (f->type == RECEIVER_SECRET || f->type == RECEIVER_URL) {
        struct receiver_secret *s = at;
        if (!config_secret(r, key, v, name, s))
            return false;
        if (s->text && key->text[strlen(name)])
            return true; // this was the file
        if (f->type == RECEIVER_URL && s->text && strstr(s->text, "{{"))
            config_bad(r, v, "C003", NULL, "`%s` cannot hold a template", name);
        else if (f->type == RECEIVER_URL && s->text && !config_is_http(s->text, host))
            config_bad(
                r, v, "C001", "e.g. http://127.0.0.1:7319/", "`%s` is not an http URL", name);
        char hint[96];
        snprintf(hint, sizeof(hint), "%s_file: PATH", name);
        if (f->type == RECEIVER_SECRET && s->text)
            config_warn(r, v, "C007", hint, "`%s` is a secret in the configuration", name);
        return true;
    }
    if (strcmp(key->text, name) != 0)
        return false;
    switch (f->type) {
    case RECEIVER_FIXED: text(r, v, name, at); break;
    case RECEIVER_TEXT:
    case RECEIVER_HTML:
    case RECEIVER_MESSAGE:
    case RECEIVER_BODY: config_text(r, v, name, f->offset, escape_of(f, n), to); break;
    case RECEIVER_MAP:
    case RECEIVER_LIST: config_tree(r, v, f, to); break;
    case RECEIVER_RESPONDERS: responders(r, v, name, at); break;
    case RECEIVER_BOOL: config_bool(r, v, name, at); break;
    case RECEIVER_NUMBER: number(r, v, name, at); break;
    case RECEIVER_FORMAT: format(r, v, name, to); break;
    case RECEIVER_PARSE_MODE:
        *(const char **)at = word(r, v, name, "HTML", "") ? "HTML" : "";
        break;
    case RECEIVER_REPAIR: config_repair(r, v, name, &to->repair); break;
    case RECEIVER_SECRET:
    case RECEIVER_URL: break;
    }
    return true;
}

static bool common(struct config_reader *r, const struct yaml_node *key,
    const struct yaml_node *v, struct integration *to)
{
    const char *name = key->text;
    uint64_t most = 0;
    if (to->kind->repair)
        return false;
    if (strcmp(name, "send_resolved") == 0)
        config_bool(r, v, name, &to->send_resolved);
    else if (strcmp(name, "tls_config") == 0 && to->kind->mail)
        config_tls(r, v, &to->http);
    else if (strcmp(name, "timeout") == 0)
        config_duration(r, v, name, 100, 60000, &to->timeout_ms);
    else if (to->kind->mail)
        return false;
    else if (strcmp(name, "http_config") == 0)
        config_http(r, v, &to->http);
    else if (strcmp(name, "secret_file") == 0)
        to->secret_file = config_path(r, v, name);
    else if (strcmp(name, "insecure") == 0)
        config_bool(r, v, name, &to->insecure);
    else if (strcmp(name, "max_alerts") == 0 && to->kind == &RECEIVER_WEBHOOK &&
             config_count(r, v, name, 0, 1000000, &most))
        to->max_alerts = (size_t)most;
    else
        return strcmp(name, "max_alerts") == 0 && to->kind == &RECEIVER_WEBHOOK;
    return true;
}

static void unknown(
    struct config_reader *r, const struct yaml_node *key, const struct receiver_kind *kind)
{
    const char *names[NAMES_MAX];
    size_t n = 0;
    char hint[96] = "";
    for (const char *const *s = kind->not_yet; *s; s++)
        if (strcmp(*s, key->text) == 0) {
            config_other_key(r, key, kind->not_yet, kind->key);
            return;
        }
    for (const char *const *s = COMMON; *s && !kind->repair; s++)
        names[n++] = *s;
    for (const struct receiver_field *f = kind->fields; f->name && n < NAMES_MAX; f++)
        names[n++] = f->name;
    const char *near = diag_nearest(key->text, key->len, names, n);
    if (near)
        snprintf(hint, sizeof(hint), "did you mean `%s`?", near);
    config_bad(
        r, key, "C001", near ? hint : NULL, "unknown key `%.60s` in %s", key->text, kind->key);
}

static bool given(const struct yaml_node *n, const char *name, bool file)
{
    char named[80];
    const struct yaml_node *v = yaml_get(n, name);
    snprintf(named, sizeof(named), "%s_file", name);
    const struct yaml_node *f = file ? yaml_get(n, named) : NULL;
    return (v && v->kind != YAML_NULL) || (f && f->kind != YAML_NULL);
}

// What the integration does not say, from `global`; and what nobody says.
static void rest(struct config_reader *r, const struct yaml_node *n, struct integration *to)
{
    for (const struct receiver_field *f = to->kind->fields; f->name; f++) {
        bool secret = f->type == RECEIVER_SECRET || f->type == RECEIVER_URL;
        const struct receiver_secret *s = (const void *)((const char *)to + f->offset);
        if (secret && s->text && s->file)
            config_bad(r, n, "C001", NULL, "`%s` or `%s_file`, not both", f->name, f->name);
        if (given(n, f->name, secret))
            continue;
        bool found = false;
        for (size_t i = 0; r->global && f->global && i < r->global->n; i++)
            if (r->global->items[i]->kind != YAML_NULL)
                found |= field(r, f, f->global, n, r->global->keys[i], r->global->items[i], to);
        if (f->needed && !found && secret)
            config_bad(r, n, "C001", NULL, "%s need `%s` or `%s_file`", to->kind->key, f->name,
                f->name);
        else if (f->needed && !found)
            config_bad(r, n, "C001", NULL, "%s need `%s`", to->kind->key, f->name);
        else if (!found)
            config_standard_text(r, n, f, escape_of(f, n), to);
    }
    bool body = to->texts && given(n, "body", false);
    if (to->templated && !given(n, "body", false))
        config_bad(r, n, "C001", NULL, "`format: template` needs a `body`");
    if (to->standard && body)
        config_bad(r, n, "C001", NULL, "a `body` has `format: template`");
    if (to->key.text && to->kind->mail && !to->mail.user)
        config_bad(r, n, "C001", NULL, "a password without `auth_username`");
}

void config_plain_http(
    struct config_reader *r, const struct yaml_node *n, struct integration *to)
{
    char host[300];
    if (to->url.text && strncmp(to->url.text, "http://", 7) == 0 &&
        config_is_http(to->url.text, host) && !auth_host_loopback(host) && !to->insecure) {
        // Alertmanager's file has no such key, and is to be taken as it is.
        if (r->file)
            config_warn(r, n, "C007", NULL, "alerts go to %.100s over plain http", host);
        else
            config_bad(r, n, "C008", "or `insecure: true` on a network you trust",
                "%.100s is not this machine: https is needed", host);
    }
    to->insecure |= r->file != NULL;
}

static void integration(struct config_reader *r, const struct yaml_node *n,
    const struct receiver_kind *kind, struct integration *to)
{
    to->kind = kind;
    to->send_resolved = kind->send_resolved;
    to->timeout_ms = TRY_TIMEOUT_MS;
    to->mail.require_tls = true;
    config_repair_defaults(&to->repair);
    const struct yaml_node *http = r->global ? yaml_get(r->global, "http_config") : NULL;
    if (http && !kind->mail && !yaml_get(n, "http_config"))
        config_http(r, http, &to->http);
    if (n->kind != YAML_MAP) {
        config_bad(r, n, "C001", NULL, "%s are a list of maps", kind->key);
        return;
    }
    for (size_t i = 0; i < n->n && !r->oom; i++) {
        const struct yaml_node *key = n->keys[i], *v = n->items[i];
        bool taken = v->kind == YAML_NULL || common(r, key, v, to);
        for (const struct receiver_field *f = kind->fields; f->name && !taken; f++)
            taken = field(r, f, f->name, n, key, v, to);
        if (!taken)
            unknown(r, key, kind);
    }
    if (r->oom)
        return;
    rest(r, n, to);
    config_plain_http(r, n, to);
}

static void integrations(struct config_reader *r, const struct yaml_node *n,
    const struct receiver_kind *kind, struct config_receiver *to)
{
    if (n->kind == YAML_NULL)
        return;
    if (n->kind != YAML_SEQ || n->n > RECEIVERS_MAX) {
        config_bad(
            r, n, "C001", NULL, "`%s` is a list of at most %d", kind->key, RECEIVERS_MAX);
        return;
    }
    struct integration *all = arena_alloc(&r->c->arena, (to->n + n->n + 1) * sizeof(*all));
    if (!all) {
        r->oom = true;
        return;
    }
    if (to->n)
        memcpy(all, to->integrations, to->n * sizeof(*all));
    to->integrations = all;
    for (size_t i = 0; i < n->n && !r->oom; i++) {
        all[to->n].number = i;
        integration(r, n->items[i], kind, &all[to->n++]);
    }
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
        const struct receiver_kind *kind = NULL;
        for (size_t k = 0; k < RECEIVER_KINDS; k++)
            if (strcmp(RECEIVERS[k]->key, key) == 0)
                kind = RECEIVERS[k];
        if (strcmp(key, "name") == 0) {
            const char *s = config_scalar(r, n->items[i], key);
            to->name = s ? config_keep(r, s) : "";
        } else if (kind) {
            integrations(r, n->items[i], kind, to);
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
