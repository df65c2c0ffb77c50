// SPDX-License-Identifier: Apache-2.0
/*
 * What is scraped of a job: each of its targets as Prometheus would have it, with the labels that begin
 * with __ for relabel_configs to read and write, and then the URL and the labels they make.
 */
#include "agent/config_read.h"
#include "agent/scrape_config.h"
#include "base/num.h"
#include "wire/name.h"
#include <stdlib.h>
#include <string.h>

#define PARAM "__param_"

static const char *text_of(struct config_reader *r, int64_t ms)
{
    char text[NUM_TEXT_MAX];
    return config_keep(r, text, duration_print(ms, text));
}

// The labels a target has before the rules, in the order in which Prometheus lays them over each other.
static void begin(struct config_reader *r, const struct scrape_job *j,
    const struct scrape_group *g, const char *address, struct relabel_set *s)
{
    const struct wire_label base[] = {{"job", j->name},
        {"__scrape_interval__", text_of(r, j->every_ms)},
        {"__scrape_timeout__", text_of(r, j->timeout_ms)}, {"__metrics_path__", j->path},
        {"__scheme__", j->scheme}, {"__address__", address}};
    for (size_t i = 0; i < sizeof(base) / sizeof(base[0]); i++)
        relabel_put(s, base[i].name, base[i].value);
    for (size_t i = 0; i < j->n_params; i++) {
        size_t len = strlen(j->params[i].name);
        char *name = arena_alloc(s->text, sizeof(PARAM) + len);
        if (!name) {
            s->failed = true;
            return;
        }
        memcpy(name, PARAM, sizeof(PARAM));
        memcpy(name + sizeof(PARAM) - 1, j->params[i].name, len + 1);
        if (!*relabel_get(s, name)) // only the first of a name
            relabel_put(s, name, j->params[i].value);
    }
    for (size_t i = 0; i < g->labels.n; i++)
        relabel_put(s, g->labels.l[i].name, g->labels.l[i].value);
}

// --- the URL -----------------------------------------------------------------------------------------

static void add_escaped(struct buf *out, const char *s, const char *safe, bool plus)
{
    for (; *s; s++) {
        uint8_t c = (uint8_t)*s;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     (c >= '0' && c <= '9') || strchr(safe, c);
        if (plain)
            buf_addc(out, (char)c);
        else if (c == ' ' && plus)
            buf_addc(out, '+');
        else
            buf_addf(out, "%%%02X", c);
    }
}

static void add_param(struct buf *out, bool *first, const char *name, const char *value)
{
    buf_addc(out, *first ? '?' : '&');
    *first = false;
    add_escaped(out, name, "-_.~", true);
    buf_addc(out, '=');
    add_escaped(out, value, "-_.~", true);
}

static const char *make_url(struct config_reader *r, const struct scrape_job *j,
    const char *address, const struct relabel_set *s)
{
    struct buf out;
    bool first = true;
    buf_init(&out, CONFIG_FILE_MAX);
    buf_addf(&out, "%s://%s", relabel_get(s, "__scheme__"), address);
    add_escaped(&out, relabel_get(s, "__metrics_path__"), "-_.~/$&+,:;=@", false);
    // Of params with several values the rules see, and change, the first.
    for (size_t i = 0; i < j->n_params; i++) {
        char name[WIRE_NAME_MAX];
        bool again = false;
        for (size_t k = 0; k < i && !again; k++)
            again = strcmp(j->params[k].name, j->params[i].name) == 0;
        snprintf(name, sizeof(name), PARAM "%s", j->params[i].name);
        const char *value = again ? j->params[i].value : relabel_get(s, name);
        if (again || *value)
            add_param(&out, &first, j->params[i].name, value);
    }
    for (size_t i = 0; i < s->n; i++) {
        bool known = strncmp(s->l[i].name, PARAM, sizeof(PARAM) - 1) != 0;
        for (size_t k = 0; k < j->n_params && !known; k++)
            known = strcmp(j->params[k].name, s->l[i].name + sizeof(PARAM) - 1) == 0;
        if (!known)
            add_param(&out, &first, s->l[i].name + sizeof(PARAM) - 1, s->l[i].value);
    }
    const char *url = out.failed ? NULL : config_keep(r, buf_cstr(&out), out.len);
    r->oom |= out.failed != 0;
    buf_done(&out);
    return url;
}

// --- a target ----------------------------------------------------------------------------------------

static bool keep_labels(struct config_reader *r, struct relabel_set *s, struct scrape_target *t)
{
    relabel_sort(s);
    t->labels.l = arena_alloc(&r->c->arena, (s->n + 1) * sizeof(*t->labels.l));
    if (!t->labels.l) {
        r->oom = true;
        return false;
    }
    for (size_t i = 0; i < s->n; i++)
        if (strncmp(s->l[i].name, "__", 2) != 0)
            t->labels.l[t->labels.n++] = s->l[i];
    return t->labels.n < WIRE_LABELS_MAX;
}

static bool same_target(const struct scrape_target *a, const struct scrape_target *b)
{
    if (strcmp(a->url, b->url) != 0 || a->labels.n != b->labels.n)
        return false;
    for (size_t i = 0; i < a->labels.n; i++)
        if (strcmp(a->labels.l[i].name, b->labels.l[i].name) != 0 ||
            strcmp(a->labels.l[i].value, b->labels.l[i].value) != 0)
            return false;
    return true;
}

static struct scrape_target *place(struct config_reader *r, const struct yaml_node *n)
{
    struct agent_config *c = r->c;
    if (c->n_targets == SCRAPE_TARGETS_MAX) {
        config_bad(r, n, NULL, "more than %d targets", SCRAPE_TARGETS_MAX);
        return NULL;
    }
    if ((c->n_targets & (c->n_targets - 1)) == 0 && (c->n_targets == 0 || c->n_targets >= 16)) {
        size_t cap = c->n_targets ? c->n_targets * 2 : 16;
        struct scrape_target *grown = arena_alloc(&c->arena, cap * sizeof(*grown));
        if (!grown) {
            r->oom = true;
            return NULL;
        }
        if (c->n_targets)
            memcpy(grown, c->targets, c->n_targets * sizeof(*grown));
        c->targets = grown;
    }
    return &c->targets[c->n_targets];
}

static bool take_interval(struct config_reader *r, const struct yaml_node *n,
    const struct relabel_set *s, struct scrape_target *t)
{
    const char *every = relabel_get(s, "__scrape_interval__"),
               *timeout = relabel_get(s, "__scrape_timeout__");
    if (duration_parse(every, strlen(every), &t->every_ms) && t->every_ms >= 100 &&
        duration_parse(timeout, strlen(timeout), &t->timeout_ms) && t->timeout_ms >= 1 &&
        t->timeout_ms <= t->every_ms)
        return true;
    config_bad(r, n, NULL,
        "__scrape_interval__ `%.20s` and __scrape_timeout__ `%.20s` do not do", every, timeout);
    return false;
}

static void add_target(struct config_reader *r, const struct yaml_node *n,
    const struct scrape_job *j, const struct scrape_group *g, const char *written)
{
    struct relabel_set s;
    struct scrape_target t = {.job = j};
    relabel_set_init(&s, &r->c->arena);
    begin(r, j, g, written, &s);
    if (r->oom || (!s.failed && !relabel_apply(&j->relabel, &s)))
        return;
    const char *address = relabel_get(&s, "__address__"),
               *scheme = relabel_get(&s, "__scheme__");
    bool https = strcmp(scheme, "https") == 0;
    if (s.failed) {
        config_bad(r, n, NULL, "target `%.60s` has more labels than fit", written);
        return;
    }
    if (!https && strcmp(scheme, "http") != 0) {
        config_bad(r, n, NULL, "__scheme__ is http or https, not `%.20s`", scheme);
        return;
    }
    if (!config_address(r, address, strlen(address), https ? 443 : 80, &t.host, &t.port)) {
        config_bad(r, n, "e.g. 127.0.0.1:9100", "`%.60s` is not host:port", address);
        return;
    }
    if (!take_interval(r, n, &s, &t))
        return;
    if (!*relabel_get(&s, "instance"))
        relabel_put(&s, "instance", address);
    t.instance = relabel_get(&s, "instance");
    t.url = make_url(r, j, address, &s);
    if (r->oom)
        return;
    if (!keep_labels(r, &s, &t)) {
        if (!r->oom)
            config_bad(r, n, NULL, "target `%.60s` has more than %d labels", written,
                WIRE_LABELS_MAX - 1);
        return;
    }
    for (size_t i = 0; i < r->c->n_targets; i++)
        if (same_target(&r->c->targets[i], &t))
            return; // written twice is asked once
    struct scrape_target *to = place(r, n);
    if (!to)
        return;
    *to = t;
    r->c->n_targets++;
}

void config_scrape_targets(
    struct config_reader *r, const struct yaml_node *n, const struct scrape_job *j)
{
    for (size_t i = 0; i < j->n_groups; i++)
        for (size_t k = 0; k < j->groups[i].n_targets; k++)
            add_target(r, n, j, &j->groups[i], j->groups[i].targets[k]);
}
