// SPDX-License-Identifier: Apache-2.0
#include "collector/config.h"
#include "base/auth.h"
#include "base/log.h"
#include "collector/config_read.h"
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define RULES_MAX 1024

enum type { TEXT, PATH, BOOL, DURATION, COUNT, PATHS };

// The table: what can be set, and what --print-config says about it.
static const struct key {
    const char *section, *name; // section NULL = top level
    enum type type;
    size_t offset;
    int64_t low, high;    // of durations (ms) and counts
    const char *fallback; // as written; NULL = not set
    const char *help;
} KEYS[] = {
    {"listen", "http", TEXT, offsetof(struct config, listen_http), 0, 0, "127.0.0.1:7311",
        "Page, API and /metrics. Port 0 takes any; the address is written to <state_dir>/http.addr."},
    {"listen", "agents", TEXT, offsetof(struct config, listen_agents), 0, 0, "127.0.0.1:7312",
        "Where agents send their frames; written to <state_dir>/ingest.addr."},
    {NULL, "state_dir", TEXT, offsetof(struct config, state_dir), 0, 0, "/var/lib/tocsin",
        "What must survive a restart: the agents ever seen."},
    {NULL, "token_file", TEXT, offsetof(struct config, token_file), 0, 0, NULL,
        "File with the bearer token of agents and page. Needed when a port is not on loopback."},
    {NULL, "insecure_plaintext", BOOL, offsetof(struct config, insecure_plaintext), 0, 0,
        "false", "Listen beyond loopback without TLS. Only on a network you trust."},
    {NULL, "external_url", TEXT, offsetof(struct config, external_url), 0, 0, "",
        "How this page is reached from outside: links in messages. Empty: http://<listen.http>."},
    {NULL, "log_level", TEXT, offsetof(struct config, log_level), 0, 0, "info",
        "debug, info, warn or error."},
    {NULL, "rules", PATHS, offsetof(struct config, rules), 0, 0, "[]",
        "Prometheus rule files, overrides documents, and folders of both (*.yaml, *.yml)."},
    {NULL, "alertmanager_file", PATH, offsetof(struct config, alertmanager_file), 0, 0, NULL,
        "Alertmanager's own file: route, receivers, inhibit_rules, time_intervals, global. Or here, below."},
    {"evaluation", "interval", DURATION, offsetof(struct config, interval_ms), 100, 3600000,
        "1s", "Of rule groups that name none."},
    {"evaluation", "grace", DURATION, offsetof(struct config, grace_ms), 0, 60000, "250ms",
        "How long a tick waits for late agents."},
    {NULL, "retention", DURATION, offsetof(struct config, retention_ms), 60000, 86400000, "10m",
        "Samples kept in memory; at least what the longest rule looks back."},
    {"limits", "series_per_agent", COUNT, offsetof(struct config, series_per_agent), 100, 65536,
        "20000", "What an agent has beyond this is refused, counted and alerted."},
    {"limits", "series", COUNT, offsetof(struct config, series_max), 1000, 100000000, "2000000",
        "Of all agents and rules together."},
    {"limits", "connections", COUNT, offsetof(struct config, connections_max), 16, 100000,
        "8192", "Open connections per port."},
    {"limits", "connections_per_ip", COUNT, offsetof(struct config, connections_per_ip), 4,
        100000, "512", "Open connections per port from one address."},
};
#define N_KEYS (sizeof(KEYS) / sizeof(KEYS[0]))

// --- reading one value ---------------------------------------------------------------------------

static void add_diag(struct config_reader *r, enum diag_severity severity,
    const struct yaml_node *n, const char *code, const char *hint, const char *fmt, va_list ap)
{
    char msg[256];
    vsnprintf(msg, sizeof(msg), fmt, ap);
    int len = n->end > n->offset ? (int)(n->end - n->offset) : 1;
    diags_add(r->d, severity, code, n->line, n->col, len, hint, "%s", msg);
}

void config_bad(struct config_reader *r, const struct yaml_node *n, const char *code,
    const char *hint, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_diag(r, DIAG_ERROR, n, code, hint, fmt, ap);
    va_end(ap);
}

void config_warn(struct config_reader *r, const struct yaml_node *n, const char *code,
    const char *hint, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_diag(r, DIAG_WARNING, n, code, hint, fmt, ap);
    va_end(ap);
}

const char *config_keep(struct config_reader *r, const char *text)
{
    const char *copy = arena_strndup(&r->c->arena, text, strlen(text));
    if (!copy)
        r->oom = true;
    return copy;
}

const char *config_path(struct config_reader *r, const struct yaml_node *n, const char *key)
{
    const char *s = config_scalar(r, n, key);
    const char *slash = r->file ? strrchr(r->file, '/') : NULL;
    if (!s)
        return NULL;
    if (!*s) {
        config_bad(r, n, "C001", NULL, "`%s` is empty", key);
        return NULL;
    }
    if (*s == '/' || !slash)
        return config_keep(r, s);
    size_t folder = (size_t)(slash - r->file) + 1, len = strlen(s);
    char *path = arena_alloc(&r->c->arena, folder + len + 1);
    if (!path) {
        r->oom = true;
        return NULL;
    }
    memcpy(path, r->file, folder);
    memcpy(path + folder, s, len);
    return path;
}

const char *config_scalar(struct config_reader *r, const struct yaml_node *n, const char *key)
{
    if (n->kind == YAML_SCALAR && strlen(n->text) == n->len)
        return n->text;
    config_bad(r, n, "C001", NULL, "`%s` is one value", key);
    return NULL;
}

bool config_bool(struct config_reader *r, const struct yaml_node *n, const char *key, bool *ret)
{
    const char *s = config_scalar(r, n, key);
    if (!s)
        return false;
    bool yes = strcmp(s, "true") == 0;
    if (!yes && strcmp(s, "false") != 0) {
        config_bad(r, n, "C001", NULL, "`%s` is true or false", key);
        return false;
    }
    *ret = yes;
    return true;
}

bool config_duration(struct config_reader *r, const struct yaml_node *n, const char *key,
    int64_t low, int64_t high, int64_t *ret)
{
    const char *s = config_scalar(r, n, key);
    int64_t ms;
    if (!s)
        return false;
    if (!duration_parse(s, n->len, &ms)) {
        config_bad(
            r, n, "C001", "e.g. 250ms, 30s, 1h30m", "`%s`: `%.40s` is not a duration", key, s);
        return false;
    }
    if (ms < low || ms > high) {
        char a[NUM_TEXT_MAX], b[NUM_TEXT_MAX];
        int la = (int)duration_print(low, a), lb = (int)duration_print(high, b);
        config_bad(r, n, "C002", NULL, "`%s` is %.*s to %.*s", key, la, a, lb, b);
        return false;
    }
    *ret = ms;
    return true;
}

bool config_count(struct config_reader *r, const struct yaml_node *n, const char *key,
    uint64_t low, uint64_t high, uint64_t *ret)
{
    const char *s = config_scalar(r, n, key);
    uint64_t v;
    if (!s)
        return false;
    if (!num_parse_u64(s, n->len, &v) || v < low || v > high) {
        config_bad(r, n, "C002", NULL, "`%s` is a number from %llu to %llu", key,
            (unsigned long long)low, (unsigned long long)high);
        return false;
    }
    *ret = v;
    return true;
}

bool config_is_map(struct config_reader *r, const struct yaml_node *n, const char *key)
{
    if (n->kind == YAML_MAP)
        return true;
    if (n->kind != YAML_NULL)
        config_bad(r, n, "C001", NULL, "`%s` is a map", key);
    return false;
}

static void read_paths(struct config_reader *r, const struct yaml_node *n, const char *key)
{
    if (n->kind != YAML_SEQ) {
        config_bad(r, n, "C001", "e.g. rules: [rules.d]", "`%s` is a list of paths", key);
        return;
    }
    if (n->n > RULES_MAX) {
        config_bad(
            r, n, "C002", NULL, "`%s` has more than %d entries: name a folder", key, RULES_MAX);
        return;
    }
    const char **paths = arena_alloc(&r->c->arena, (n->n + 1) * sizeof(char *));
    if (!paths) {
        r->oom = true;
        return;
    }
    size_t k = 0;
    for (size_t i = 0; i < n->n; i++) {
        const char *s = config_scalar(r, n->items[i], key);
        if (!s)
            continue;
        if (strpbrk(s, "*?["))
            config_bad(r, n->items[i], "C003", "name the folder",
                "patterns in paths are not supported yet");
        else if (*s)
            paths[k++] = config_keep(r, s);
    }
    r->c->rules = paths;
    r->c->n_rules = k;
}

static void read_key(struct config_reader *r, const struct key *k, const struct yaml_node *n)
{
    void *to = (char *)r->c + k->offset;
    if (n->kind == YAML_NULL)
        return; // `key:` with nothing: the default stands
    switch (k->type) {
    case TEXT: {
        const char *s = config_scalar(r, n, k->name);
        if (s)
            *(const char **)to = config_keep(r, s);
        return;
    }
    case PATH: *(const char **)to = config_path(r, n, k->name); return;
    case BOOL: config_bool(r, n, k->name, to); return;
    case DURATION: config_duration(r, n, k->name, k->low, k->high, to); return;
    case COUNT: config_count(r, n, k->name, (uint64_t)k->low, (uint64_t)k->high, to); return;
    case PATHS: read_paths(r, n, k->name); return;
    }
}

// --- the document --------------------------------------------------------------------------------

static const char *const NOT_YET[] = {"tls", NULL};
// What a reload brings into force; all else in the table needs a restart.
static const char *const LIVE[] = {"log_level", "rules", "alertmanager_file", NULL};

static bool in_list(const char *const *list, const char *word)
{
    for (; *list; list++)
        if (strcmp(*list, word) == 0)
            return true;
    return false;
}

static bool is_section(const char *name)
{
    for (size_t i = 0; i < N_KEYS; i++)
        if (KEYS[i].section && strcmp(KEYS[i].section, name) == 0)
            return true;
    return false;
}

static const struct key *key_find(const char *section, const char *name)
{
    for (size_t i = 0; i < N_KEYS; i++)
        if (strcmp(KEYS[i].name, name) == 0 &&
            (section ? KEYS[i].section && strcmp(KEYS[i].section, section) == 0
                     : !KEYS[i].section))
            return &KEYS[i];
    return NULL;
}

void config_other_key(struct config_reader *r, const struct yaml_node *key,
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

static void unknown(struct config_reader *r, const struct yaml_node *key, const char *section)
{
    const char *names[N_KEYS * 2 + CONFIG_ALERTING_KEYS + 2];
    size_t n = 0;
    for (size_t i = 0; i < N_KEYS; i++) {
        if (!section && KEYS[i].section)
            names[n++] = KEYS[i].section;
        if (section ? KEYS[i].section && strcmp(KEYS[i].section, section) == 0
                    : !KEYS[i].section)
            names[n++] = KEYS[i].name;
    }
    if (!section) {
        n += config_alerting_names(&names[n]);
        names[n++] = "fallbacks";
        names[n++] = "heartbeats";
    }
    const char *near = diag_nearest(key->text, key->len, names, n);
    char hint[96] = "";
    if (near)
        snprintf(hint, sizeof(hint), "did you mean `%s`?", near);
    if (!section && in_list(NOT_YET, key->text))
        config_bad(r, key, "C003", NULL, "`%s` is not supported yet", key->text);
    else
        config_bad(r, key, "C001", near ? hint : NULL, "unknown key `%.60s`%s%s", key->text,
            section ? " in " : "", section ? section : "");
}

static void read_section(
    struct config_reader *r, const char *section, const struct yaml_node *map)
{
    if (!config_is_map(r, map, section))
        return;
    for (size_t i = 0; i < map->n; i++) {
        const struct key *k = key_find(section, map->keys[i]->text);
        if (k)
            read_key(r, k, map->items[i]);
        else
            unknown(r, map->keys[i], section);
    }
}

static const struct yaml_node *node_of(
    const struct yaml_node *root, const char *section, const char *name)
{
    const struct yaml_node *n = section ? yaml_get(root, section) : root;
    n = n && n->kind == YAML_MAP ? yaml_get(n, name) : NULL;
    return n ? n : root;
}

static void check_address(struct config_reader *r, const struct yaml_node *root,
    const char *name, const char *address)
{
    struct err err = {0};
    char key[32];
    snprintf(key, sizeof(key), "listen.%s", name);
    if (address &&
        auth_policy(key, address, r->c->token_file != NULL, r->c->insecure_plaintext, &err) < 0)
        config_bad(r, node_of(root, "listen", name), "C004", NULL, "%s", err.msg);
}

// What only the whole can tell.
static void check(struct config_reader *r, const struct yaml_node *root)
{
    struct config *c = r->c;
    check_address(r, root, "http", c->listen_http);
    check_address(r, root, "agents", c->listen_agents);
    if (c->log_level && log_level_parse(c->log_level) < 0)
        config_bad(r, node_of(root, NULL, "log_level"), "C001", NULL,
            "`log_level` is debug, info, warn or error");
    char host[300];
    if (c->external_url && *c->external_url &&
        !auth_url_host(c->external_url, host, sizeof(host)))
        config_bad(r, node_of(root, NULL, "external_url"), "C001", NULL,
            "`external_url` is not a URL");
    if (c->state_dir && !*c->state_dir)
        config_bad(r, node_of(root, NULL, "state_dir"), "C001", NULL, "`state_dir` is empty");
}

// Alertmanager's part: here or in a file of its own.
static void alerting(struct config_reader *r, const struct yaml_node *root)
{
    if (!r->c->alertmanager_file) {
        config_alerting(r, root);
        return;
    }
    for (size_t i = 0; i < root->n; i++)
        if (config_alerting_key(root->keys[i]->text))
            config_bad(r, root->keys[i], "C001", "one of the two",
                "`%s` is here, and `alertmanager_file` is named too", root->keys[i]->text);
}

int config_defaults(struct config *ret)
{
    memset(ret, 0, sizeof(*ret));
    arena_init(&ret->arena, CONFIG_FILE_MAX * 32);
    for (size_t i = 0; i < N_KEYS; i++) {
        const struct key *k = &KEYS[i];
        void *to = (char *)ret + k->offset;
        size_t len = k->fallback ? strlen(k->fallback) : 0;
        switch (k->type) {
        case TEXT:
        case PATH: *(const char **)to = k->fallback; break;
        case BOOL: *(bool *)to = strcmp(k->fallback, "true") == 0; break;
        case DURATION: (void)duration_parse(k->fallback, len, to); break;
        case COUNT: (void)num_parse_u64(k->fallback, len, to); break;
        case PATHS: break;
        }
    }
    return 0;
}

int config_parse(const char *text, size_t len, struct config *ret, struct diags *d)
{
    config_defaults(ret);
    struct config_reader r = {.c = ret, .d = d, .text = text, .len = len};
    if (len > CONFIG_FILE_MAX) {
        diags_add(d, DIAG_ERROR, "C002", 1, 1, 1, NULL, "the file is larger than 1 MiB");
        return -EINVAL;
    }
    // Everything that is kept is copied, so the tree can go.
    struct arena tree;
    arena_init(&tree, CONFIG_FILE_MAX * 64);
    struct yaml_node *root = yaml_parse(text, len, &tree, d);
    if (root && root->kind != YAML_NULL && root->kind != YAML_MAP)
        config_bad(&r, root, "C001", NULL, "the file is a map of keys");
    if (root && root->kind == YAML_MAP) {
        for (size_t i = 0; i < root->n; i++) {
            const char *name = root->keys[i]->text;
            const struct key *k = key_find(NULL, name);
            if (k)
                read_key(&r, k, root->items[i]);
            else if (is_section(name))
                read_section(&r, name, root->items[i]);
            else if (strcmp(name, "fallbacks") == 0)
                config_fallbacks(&r, root->items[i]);
            else if (strcmp(name, "heartbeats") == 0)
                config_heartbeats(&r, root->items[i]);
            else if (!config_alerting_key(name))
                unknown(&r, root->keys[i], NULL);
        }
        if (!r.oom)
            alerting(&r, root);
    }
    if (root && !r.oom)
        check(&r, root);
    if (root && !r.oom && !ret->alertmanager_file)
        (void)config_fallbacks_check(ret, d);
    arena_done(&tree);
    if (r.oom)
        return -ENOMEM;
    return d->errors || !root ? -EINVAL : 0;
}

void config_done(struct config *c)
{
    if (!c)
        return;
    route_done(c->route);
    for (size_t i = 0; i < c->n_inhibit; i++) {
        matcher_list_done(&c->inhibit[i].source);
        matcher_list_done(&c->inhibit[i].target);
    }
    arena_done(&c->arena);
    memset(c, 0, sizeof(*c));
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_key(const struct key *k, const struct config *a, const struct config *b)
{
    const void *x = (const char *)a + k->offset, *y = (const char *)b + k->offset;
    switch (k->type) {
    case TEXT:
    case PATH: return same_text(*(const char *const *)x, *(const char *const *)y);
    case BOOL: return *(const bool *)x == *(const bool *)y;
    case DURATION: return *(const int64_t *)x == *(const int64_t *)y;
    case COUNT: return *(const uint64_t *)x == *(const uint64_t *)y;
    case PATHS: return true; // live
    }
    return true;
}

int config_restart_keys(
    const struct config *running, const struct config *next, struct buf *out)
{
    size_t before = out->len;
    for (size_t i = 0; i < N_KEYS; i++) {
        const struct key *k = &KEYS[i];
        if (!in_list(LIVE, k->name) && !same_key(k, running, next))
            buf_addf(out, "%s%s%s%s", out->len > before ? ", " : "",
                k->section ? k->section : "", k->section ? "." : "", k->name);
    }
    return out->failed;
}

int config_print(struct buf *out)
{
    const char *section = NULL;
    buf_adds(out,
        "# tocsin-collector: every key with its default. SIGHUP reads the file anew; what is marked\n"
        "# (restart) takes effect at the next start.\n");
    for (size_t i = 0; i < N_KEYS; i++) {
        const struct key *k = &KEYS[i];
        const char *indent = k->section ? "  " : "";
        if (k->section && (!section || strcmp(section, k->section) != 0))
            buf_addf(out, "\n%s:\n", k->section);
        else if (!k->section)
            buf_addc(out, '\n');
        section = k->section;
        buf_addf(
            out, "%s# %s%s\n", indent, k->help, in_list(LIVE, k->name) ? "" : " (restart)");
        if (!k->fallback)
            buf_addf(out, "%s#%s: /etc/tocsin/%s\n", indent, k->name,
                k->type == PATH ? "alertmanager.yml" : "token");
        else if (!*k->fallback)
            buf_addf(out, "%s%s: \"\"\n", indent, k->name);
        else
            buf_addf(out, "%s%s: %s\n", indent, k->name, k->fallback);
    }
    buf_adds(out,
        "\n# Where alerts go, as Alertmanager writes it. Without a route they are shown and sent nowhere.\n"
        "#route: {receiver: default, group_by: [alertname], group_wait: 0s, group_interval: 5m, "
        "repeat_interval: 4h}\n"
        "#receivers:\n"
        "#  - name: default\n"
        "#    webhook_configs:\n"
        "#      - url: http://127.0.0.1:7319/        # or url_file\n"
        "#        send_resolved: true\n"
        "#        max_alerts: 0\n"
        "#        format: alertmanager               # or standard, which says more; or template:\n"
        "#        body: '{\"text\": \"{{ .Status }}\"}'    # JSON, in which values are escaped\n"
        "#        secret_file: /etc/tocsin/signing   # whsec_..., one or two lines: signs what is sent\n"
        "#        http_config: {authorization: {credentials_file: /etc/tocsin/hook-token}}\n"
        "# Beyond this machine a URL is https, or `insecure: true` stands beside it. Texts may be\n"
        "# templates, as Alertmanager's, and call what the files of `templates: [GLOB]` define. What else "
        "there is:\n");
    for (size_t i = 1; i < RECEIVER_KINDS; i++) {
        buf_addf(out, "#    %s:", RECEIVERS[i]->key);
        for (const struct receiver_field *f = RECEIVERS[i]->fields; f->name; f++)
            buf_addf(out, "%s %s%s%s", f == RECEIVERS[i]->fields ? "" : ",", f->name,
                f->type == RECEIVER_SECRET || f->type == RECEIVER_URL ? "[_file]" : "",
                f->needed ? "" : "?");
        buf_addc(out, '\n');
    }
    buf_adds(out,
        "# A receiver that has not taken an alert 2m after it could: another one is told too. Also beside\n"
        "# an alertmanager_file.\n"
        "#fallbacks: [{receiver: default, to: pager, after: 2m}]\n"
        "#time_intervals:\n"
        "#  - name: nights\n"
        "#    time_intervals:\n"
        "#      - {times: [{start_time: '22:00', end_time: '24:00'}], location: Europe/Berlin}\n"
        "\n# Signs of life for somebody outside, who pages when they stay away. None is sent while rules are\n"
        "# not evaluated or the journal cannot be written.\n"
        "#heartbeats:\n"
        "#  - name: watcher\n"
        "#    url: https://watcher.example.net/      # or url_file\n"
        "#    every: 30s                             # 10s to 1h\n"
        "#    method: POST                           # or GET, without a body\n"
        "#    secret_file: /etc/tocsin/signing       # signs a POST, as of webhooks; http_config, insecure too\n");
    return out->failed;
}
