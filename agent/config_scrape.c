// SPDX-License-Identifier: Apache-2.0
// `scrape_configs` of agent.yaml.
#include "agent/config_read.h"
#include "agent/scrape_config.h"
#include "base/map.h"
#include "base/num.h"
#include "wire/name.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const struct config_range EVERY = {100, 24 * 3600 * 1000LL}, TIMEOUT = {10, 3600 * 1000};

// --- small readers -----------------------------------------------------------------------------------

static void read_compression(struct config_reader *r, const struct yaml_node *n, void *to)
{
    bool on = false;
    config_flag(r, n, &on);
    *(int *)to = on;
}

static void read_count(struct config_reader *r, const struct yaml_node *n, void *to)
{
    if (config_scalar(r, n) && !num_parse_u64(n->text, n->len, to))
        config_bad(r, n, NULL, "`%.40s` is not a whole number", n->text);
}

// 10MB, 512KiB, 4096: either way powers of 1024, as Prometheus has it.
static void read_size(struct config_reader *r, const struct yaml_node *n, void *to)
{
    char text[32];
    uint64_t v;
    size_t len = n->len;
    if (!config_scalar(r, n))
        return;
    if (len > 1 && len < sizeof(text) - 2 && strcasecmp(n->text + len - 1, "B") == 0) {
        len -= n->text[len - 2] == 'i' || n->text[len - 2] == 'I' ? 2 : 1;
        memcpy(text, n->text, len);
        bool unit = strchr("KMGkmg", text[len - 1]) != NULL;
        memcpy(text + len, unit ? "iB" : "", unit ? 3 : 1);
        len += unit ? 2 : 0;
    } else {
        snprintf(text, sizeof(text), "%.30s", n->text);
    }
    if (!size_parse(text, len, &v) || v == 0 || v > SCRAPE_BODY_MAX)
        config_bad(r, n, "e.g. 10MB", "`%.40s` is not a size up to %u MiB", n->text,
            SCRAPE_BODY_MAX >> 20);
    else
        *(uint64_t *)to = v;
}

static void read_scheme(struct config_reader *r, const struct yaml_node *n, void *to)
{
    if (!config_scalar(r, n))
        return;
    if (strcmp(n->text, "http") != 0 && strcmp(n->text, "https") != 0)
        config_bad(r, n, NULL, "scheme is http or https");
    else
        *(const char **)to = config_keep(r, n->text, n->len);
}

static void read_file(struct config_reader *r, const struct yaml_node *n, void *to)
{
    const char **ret = to;
    config_text(r, n, to);
    if (*ret && access(*ret, R_OK) == -1)
        config_bad(r, n, NULL, "%.200s cannot be read", *ret);
}

// What is understood and not done: the context says why and what to do.
static void read_unsupported(struct config_reader *r, const struct yaml_node *n, void *to)
{
    (void)to;
    config_bad(r, n, r->key->context, "`%s` is not supported", r->key->name);
}

static void read_ignored(struct config_reader *r, const struct yaml_node *n, void *to)
{
    (void)to; // it changes how, not what
    config_scalar(r, n);
}

// A whole map as a struct of its own, under the context's name.
struct section {
    const struct config_key *keys;
    size_t n;
    const char *what;
};

static void read_section(struct config_reader *r, const struct yaml_node *n, void *to)
{
    const struct section *s = r->key->context;
    config_section(r, n, s->keys, s->n, to, s->what, NULL);
}

// --- who we are, whom we trust -----------------------------------------------------------------------

static const char INLINE[] = "write it into a file that only the agent may read, and name that";

static void read_password_file(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct scrape_job *j = to;
    config_secret(r, n, &j->auth.password, &j->auth.password_file);
}

static void read_credentials_file(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct scrape_job *j = to;
    config_secret(r, n, &j->auth.credentials, &j->auth.file);
}

static const struct config_key BASIC[] = {
    {"username", config_text, offsetof(struct scrape_job, auth.user), NULL},
    {"password_file", read_password_file, 0, NULL},
    {"password", read_unsupported, 0, INLINE},
};
static const struct config_key AUTHORIZATION[] = {
    {"type", config_text, offsetof(struct scrape_job, auth.type), NULL},
    {"credentials_file", read_credentials_file, 0, NULL},
    {"credentials", read_unsupported, 0, INLINE},
};
static const struct config_key TLS[] = {
    {"ca_file", read_file, offsetof(struct scrape_job, tls.ca_file), NULL},
    {"cert_file", read_file, offsetof(struct scrape_job, tls.cert_file), NULL},
    {"key_file", read_file, offsetof(struct scrape_job, tls.key_file), NULL},
    {"insecure_skip_verify", config_flag, offsetof(struct scrape_job, tls.insecure), NULL},
    {"server_name", read_unsupported, 0, "name the target as its certificate does"},
    {"min_version", read_ignored, 0, NULL},
};
#define SECTION(keys_, what_)                                                                  \
    {                                                                                          \
        keys_, sizeof(keys_) / sizeof((keys_)[0]), what_                                       \
    }
static const struct section BASIC_SECTION = SECTION(BASIC, "basic_auth"),
                            AUTHORIZATION_SECTION = SECTION(AUTHORIZATION, "authorization"),
                            TLS_SECTION = SECTION(TLS, "tls_config");

// --- targets and what is asked of them ---------------------------------------------------------------

static int by_name(const void *a, const void *b)
{
    const struct wire_label *one = a, *other = b;
    return strcmp(one->name, other->name);
}

static void read_labels(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct scrape_group *g = to;
    if (n->kind != YAML_MAP) {
        config_bad(r, n, "e.g. labels: {site: fra1}", "labels are a map of name and value");
        return;
    }
    g->labels.l = arena_alloc(&r->c->arena, (n->n + 1) * sizeof(*g->labels.l));
    if (!g->labels.l) {
        r->oom = true;
        return;
    }
    for (size_t i = 0; i < n->n; i++) {
        const struct yaml_node *k = n->keys[i], *v = n->items[i];
        if (!wire_metric_ok(k->text) || strchr(k->text, ':'))
            config_bad(r, k, NULL, "`%.60s` is not the name of a label", k->text);
        else if (v->kind != YAML_SCALAR || !wire_text_ok(v->text, 0, WIRE_VALUE_MAX))
            config_bad(r, k, NULL, "label `%.60s` wants up to %d bytes of UTF-8", k->text,
                WIRE_VALUE_MAX);
        else
            g->labels.l[g->labels.n++] = (struct wire_label){
                config_keep(r, k->text, k->len), config_keep(r, v->text, v->len)};
    }
    if (!r->oom)
        qsort(g->labels.l, g->labels.n, sizeof(*g->labels.l), by_name);
}

static void read_targets(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct scrape_group *g = to;
    if (n->kind != YAML_SEQ) {
        config_bad(r, n, "e.g. targets: [\"127.0.0.1:9100\"]", "targets are a list");
        return;
    }
    g->targets = arena_alloc(&r->c->arena, (n->n + 1) * sizeof(*g->targets));
    if (!g->targets) {
        r->oom = true;
        return;
    }
    for (size_t i = 0; i < n->n; i++) {
        const struct yaml_node *item = n->items[i];
        if (!config_scalar(r, item))
            continue;
        if (strchr(item->text, '/') || !wire_text_ok(item->text, 1, WIRE_HOST_MAX + 8))
            config_bad(r, item, "scheme and metrics_path are keys of the job",
                "`%.60s` is not host:port", item->text);
        else
            g->targets[g->n_targets++] = config_keep(r, item->text, item->len);
    }
}

static const struct config_key GROUP[] = {
    {"targets", read_targets, 0, NULL},
    {"labels", read_labels, 0, NULL},
};

static void read_groups(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct scrape_job *j = to;
    if (n->kind != YAML_SEQ) {
        config_bad(r, n, "e.g. - {targets: [\"127.0.0.1:9100\"]}", "static_configs are a list");
        return;
    }
    j->groups = arena_alloc(&r->c->arena, (n->n + 1) * sizeof(*j->groups));
    if (!j->groups) {
        r->oom = true;
        return;
    }
    for (size_t i = 0; i < n->n; i++)
        if (n->items[i]->kind != YAML_MAP)
            config_bad(r, n->items[i], NULL, "a group of targets is a map");
        else
            config_map(r, n->items[i], GROUP, sizeof(GROUP) / sizeof(GROUP[0]),
                &j->groups[j->n_groups++], "static_configs");
}

static void read_params(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct scrape_job *j = to;
    size_t total = 0;
    if (n->kind != YAML_MAP) {
        config_bad(r, n, "e.g. params: {module: [http_2xx]}", "params are a map of lists");
        return;
    }
    for (size_t i = 0; i < n->n; i++)
        total += n->items[i]->kind == YAML_SEQ ? n->items[i]->n : 1;
    j->params = arena_alloc(&r->c->arena, (total + 1) * sizeof(*j->params));
    if (!j->params) {
        r->oom = true;
        return;
    }
    for (size_t i = 0; i < n->n; i++) {
        const struct yaml_node *list = n->items[i];
        if (list->kind != YAML_SEQ) {
            config_bad(r, n->keys[i], "e.g. module: [http_2xx]", "a param is a list of values");
            continue;
        }
        for (size_t k = 0; k < list->n; k++)
            if (config_scalar(r, list->items[k]))
                j->params[j->n_params++] =
                    (struct scrape_param){config_keep(r, n->keys[i]->text, n->keys[i]->len),
                        config_keep(r, list->items[k]->text, list->items[k]->len)};
    }
}

static void read_protocols(struct config_reader *r, const struct yaml_node *n, void *to)
{
    static const char *const NAMES[SCRAPE_PROTOCOLS] = {"PrometheusProto",
        "OpenMetricsText1.0.0", "OpenMetricsText0.0.1", "PrometheusText0.0.4"};
    struct scrape_job *j = to;
    if (n->kind != YAML_SEQ || n->n == 0 || n->n > SCRAPE_PROTOCOLS) {
        config_bad(r, n, "e.g. [PrometheusProto, PrometheusText0.0.4]",
            "scrape_protocols are a list of 1 to %d", SCRAPE_PROTOCOLS);
        return;
    }
    j->n_protocols = 0;
    for (size_t i = 0; i < n->n; i++) {
        size_t k = 0;
        while (k < SCRAPE_PROTOCOLS && strcmp(NAMES[k], n->items[i]->text) != 0)
            k++;
        if (k == SCRAPE_PROTOCOLS)
            config_bad(r, n->items[i],
                "PrometheusProto, OpenMetricsText1.0.0, OpenMetricsText0.0.1 or PrometheusText0.0.4",
                "`%.40s` is not supported", n->items[i]->text);
        else
            j->protocols[j->n_protocols++] = NAMES[k];
    }
}

// --- a job -------------------------------------------------------------------------------------------

#define FIELD(name) offsetof(struct scrape_job, name)
static const char NO_PROXY[] = "the agent asks its targets itself";
static const struct config_key KEYS[] = {
    {"job_name", config_text, FIELD(name), NULL},
    {"scrape_interval", config_duration, FIELD(every_ms), &EVERY},
    {"scrape_timeout", config_duration, FIELD(timeout_ms), &TIMEOUT},
    {"metrics_path", config_text, FIELD(path), NULL},
    {"scheme", read_scheme, FIELD(scheme), NULL},
    {"params", read_params, 0, NULL},
    {"static_configs", read_groups, 0, NULL},
    {"honor_labels", config_flag, FIELD(honor_labels), NULL},
    {"honor_timestamps", config_flag, FIELD(honor_timestamps), NULL},
    {"follow_redirects", config_flag, FIELD(follow_redirects), NULL},
    {"enable_compression", read_compression, FIELD(compression), NULL},
    {"enable_http2", read_ignored, 0, NULL},
    {"scrape_protocols", read_protocols, 0, NULL},
    {"basic_auth", read_section, 0, &BASIC_SECTION},
    {"authorization", read_section, 0, &AUTHORIZATION_SECTION},
    {"bearer_token_file", read_credentials_file, 0, NULL},
    {"bearer_token", read_unsupported, 0, INLINE},
    {"tls_config", read_section, 0, &TLS_SECTION},
    {"sample_limit", read_count, FIELD(sample_limit), NULL},
    {"series_limit", read_count, FIELD(series_limit), NULL},
    {"label_limit", read_count, FIELD(label_limit), NULL},
    {"label_name_length_limit", read_count, FIELD(label_name_limit), NULL},
    {"label_value_length_limit", read_count, FIELD(label_value_limit), NULL},
    {"body_size_limit", read_size, FIELD(body_limit), NULL},
    {"relabel_configs", config_relabel, FIELD(relabel), NULL},
    {"metric_relabel_configs", config_relabel, FIELD(metric_relabel), NULL},
    {"oauth2", read_unsupported, 0,
        "fetch the token elsewhere: authorization.credentials_file"},
    {"proxy_url", read_unsupported, 0, NO_PROXY},
    {"proxy_from_environment", read_unsupported, 0, NO_PROXY},
    {"target_limit", read_unsupported, 0, "the targets are listed"},
    {"scrape_classic_histograms", read_unsupported, 0,
        "leave PrometheusProto out of scrape_protocols for classic histograms"},
    {"native_histogram_bucket_limit", read_unsupported, 0,
        "buckets are joined until 512 are left"},
};

static bool discovery(const struct yaml_node *key)
{
    static const char TAIL[] = "_sd_configs";
    return key->len > sizeof(TAIL) - 1 &&
           strcmp(key->text + key->len - (sizeof(TAIL) - 1), TAIL) == 0;
}

// The same map without service discovery, which is a mistake of its own.
static struct yaml_node without_discovery(struct config_reader *r, const struct yaml_node *n)
{
    struct yaml_node left = *n;
    const struct yaml_node **keys = arena_alloc(&r->c->arena, (n->n + 1) * sizeof(*keys)),
                           **items = arena_alloc(&r->c->arena, (n->n + 1) * sizeof(*items));
    if (!keys || !items) {
        r->oom = true;
        return left;
    }
    left.n = 0;
    for (size_t i = 0; i < n->n; i++) {
        if (discovery(n->keys[i])) {
            config_bad(r, n->keys[i],
                "an agent on each host scrapes its own: list the targets in static_configs",
                "service discovery (`%.40s`) is not supported", n->keys[i]->text);
            continue;
        }
        keys[left.n] = n->keys[i];
        items[left.n++] = n->items[i];
    }
    left.keys = (struct yaml_node **)(uintptr_t)keys;
    left.items = (struct yaml_node **)(uintptr_t)items;
    return left;
}

static void check_job(struct config_reader *r, const struct yaml_node *n, struct scrape_job *j)
{
    if (!j->timeout_ms)
        j->timeout_ms = j->every_ms < 10000 ? j->every_ms : 10000;
    if (j->timeout_ms > j->every_ms)
        config_bad(r, n, NULL, "scrape_timeout is longer than scrape_interval");
    if (j->path[0] != '/')
        config_bad(r, n, NULL, "metrics_path begins with /");
    if (!j->auth.user != !j->auth.password)
        config_bad(r, n, NULL, "basic_auth wants a username and a password_file");
    if (j->auth.user && j->auth.credentials)
        config_bad(r, n, NULL, "there is one way to authorize: basic_auth or a token");
    if (!j->auth.type)
        j->auth.type = "Bearer";
    for (const char *s = j->auth.type; *s; s++)
        if (*s <= ' ' || *s > '~') {
            config_bad(r, n, NULL, "the type of an authorization is one word");
            break;
        }
    if (!j->tls.cert_file != !j->tls.key_file)
        config_bad(r, n, NULL, "cert_file and key_file belong together");
}

static void read_job(
    struct config_reader *r, const struct yaml_node *n, struct scrape_job *j, struct map *names)
{
    size_t before = r->d->errors;
    if (n->kind != YAML_MAP) {
        config_bad(r, n,
            "e.g. - {job_name: node, static_configs: [{targets: [\"127.0.0.1:9100\"]}]}",
            "a scrape job is a map");
        return;
    }
    *j = (struct scrape_job){.every_ms = SCRAPE_EVERY_MS,
        .scheme = "http",
        .path = "/metrics",
        .honor_timestamps = true,
        .follow_redirects = true,
        .compression = -1,
        .protocols = {"OpenMetricsText1.0.0", "OpenMetricsText0.0.1", "PrometheusText0.0.4"},
        .n_protocols = 3,
        .body_limit = SCRAPE_BODY_MAX};
    struct yaml_node left = without_discovery(r, n);
    config_map(r, &left, KEYS, sizeof(KEYS) / sizeof(KEYS[0]), j, "a scrape job");
    if (r->oom)
        return;
    if (!j->name)
        config_bad(r, n, "e.g. job_name: node", "a scrape job needs a job_name");
    else if (map_get(names, j->name, strlen(j->name)))
        config_bad(r, n, NULL, "a scrape job named `%.60s` is there already", j->name);
    else if (map_set(names, j->name, strlen(j->name), j) < 0)
        r->oom = true;
    check_job(r, n, j);
    if (r->d->errors == before)
        config_scrape_targets(r, n, j);
}

void config_scrapes(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct agent_config *c = to;
    struct map names;
    if (n->kind != YAML_SEQ) {
        config_bad(r, n, NULL, "scrape_configs are a list");
        return;
    }
    if (n->n > SCRAPE_JOBS_MAX) {
        config_bad(
            r, n->items[SCRAPE_JOBS_MAX], NULL, "more than %d scrape jobs", SCRAPE_JOBS_MAX);
        return;
    }
    c->scrapes = arena_alloc(&c->arena, (n->n + 1) * sizeof(*c->scrapes));
    if (!c->scrapes) {
        r->oom = true;
        return;
    }
    c->n_scrapes = n->n;
    map_init(&names);
    for (size_t i = 0; i < n->n; i++)
        read_job(r, n->items[i], &c->scrapes[i], &names);
    map_done(&names);
}
