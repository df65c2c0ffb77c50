// SPDX-License-Identifier: Apache-2.0
#include "agent/config_read.h"
#include "agent/scrape_config.h"
#include "base/diag.h"
#include "wire/name.h"
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// --- where it is sent, and as whom --------------------------------------------------------------

static void read_host(struct config_reader *r, const struct yaml_node *n, void *to)
{
    if (config_scalar(r, n) && !wire_text_ok(n->text, 1, WIRE_HOST_MAX))
        config_bad(r, n, NULL, "a host name has 1 to %d bytes", WIRE_HOST_MAX);
    else
        config_text(r, n, to);
}

static void read_collector(struct config_reader *r, const struct yaml_node *n, void *to)
{
    const char **ret = to, *host, *text;
    uint16_t port;
    if (!config_scalar(r, n))
        return;
    text = n->text;
    if (!strstr(text, "://") && config_address(r, text, n->len, 7312, &host, &port)) {
        // A bare host:port means plain HTTP; TLS is asked for by https://.
        char *url = arena_alloc(&r->c->arena, n->len + 16);
        if (url)
            snprintf(url, n->len + 16, "http://%s%s", text, strrchr(text, ':') ? "" : ":7312");
        else
            r->oom = true;
        *ret = url;
    } else if (n->len > WIRE_VALUE_MAX || !config_url(r, text, &host, &port)) {
        config_bad(r, n, "e.g. http://127.0.0.1:7312 or https://mon.example.net:7312",
            "`%.60s` is not the address of a collector", text);
    } else {
        *ret = config_keep(r, text, n->len);
    }
}

// --- labels ------------------------------------------------------------------------------------

static void read_labels(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct agent_config *c = to;
    if (n->kind != YAML_MAP) {
        config_bad(r, n, "e.g. labels: {site: fra1}", "labels are a map of name and value");
        return;
    }
    for (size_t i = 0; i < n->n; i++) {
        const char *value = NULL;
        if (c->n_labels == CONFIG_LABELS_MAX) {
            config_bad(r, n->keys[i], NULL, "more than %d labels", CONFIG_LABELS_MAX);
            return;
        }
        config_text(r, n->items[i], &value);
        struct wire_label one = {config_keep(r, n->keys[i]->text, n->keys[i]->len), value};
        if (!value || !one.name)
            continue;
        const char *fault = wire_labels_fault(&one, 1);
        if (fault || strcmp(one.name, "job") == 0) {
            config_bad(r, n->keys[i], NULL, "label `%.60s`: %s", one.name,
                fault ? fault : "set by the agent");
            continue;
        }
        size_t at = c->n_labels++;
        for (; at > 0 && strcmp(c->labels[at - 1].name, one.name) > 0; at--)
            c->labels[at] = c->labels[at - 1];
        c->labels[at] = one;
    }
}

// --- the whole ---------------------------------------------------------------------------------

static const struct config_key TOP[] = {
    {"collector", read_collector, offsetof(struct agent_config, collector), NULL},
    {"token_file", config_text, offsetof(struct agent_config, token_file), NULL},
    {"ca_file", config_text, offsetof(struct agent_config, ca_file), NULL},
    {"state_dir", config_text, offsetof(struct agent_config, state_dir), NULL},
    {"host", read_host, offsetof(struct agent_config, host), NULL},
    {"labels", read_labels, 0, NULL},
    {"probes", config_probes, 0, NULL},
    {"scrape_configs", config_scrapes, 0, NULL},
    {"repairs", config_repairs, 0, NULL},
    {"dependencies", config_counts, 0, NULL},
    {"cgroups", config_counts, 0, NULL},
    {"processes", config_counts, 0, NULL},
    {"network_namespaces", config_counts, 0, NULL},
    {"connections", config_counts, 0, NULL},
    {"tls_ports", config_tls_ports, offsetof(struct agent_config, tls_ports), NULL},
    {"exec", config_exec, 0, NULL},
    {"statsd", config_statsd, offsetof(struct agent_config, statsd), NULL},
    {"otlp", config_otlp, offsetof(struct agent_config, otlp), NULL},
};

static const char *default_state_dir(struct config_reader *r)
{
    const char *dir = getenv("STATE_DIRECTORY"); // systemd; the first of a list
    if (dir && *dir)
        return config_keep(r, dir, strcspn(dir, ":"));
    const char *home = getenv("HOME"), *base = getenv("XDG_STATE_HOME");
    if (geteuid() == 0 || ((!home || !*home) && (!base || !*base)))
        return "/var/lib/tocsin-agent";
    bool xdg = base && *base;
    const char *tail = xdg ? "/tocsin-agent" : "/.local/state/tocsin-agent";
    size_t size = strlen(xdg ? base : home) + strlen(tail) + 1;
    char *path = arena_alloc(&r->c->arena, size);
    if (path)
        snprintf(path, size, "%s%s", xdg ? base : home, tail);
    else
        r->oom = true;
    return path;
}

static void fill_defaults(struct config_reader *r)
{
    struct agent_config *c = r->c;
    if (!c->collector)
        c->collector = "http://127.0.0.1:7312";
    if (!c->state_dir)
        c->state_dir = default_state_dir(r);
    if (!c->host) {
        char name[WIRE_HOST_MAX + 1] = "";
        if (gethostname(name, sizeof(name) - 1) < 0 || !wire_text_ok(name, 1, WIRE_HOST_MAX))
            c->host = "localhost";
        else
            c->host = config_keep(r, name, strlen(name));
    }
    for (size_t i = 0; i < c->n_probes && c->host; i++) {
        struct probe_config *p = &c->probes[i];
        p->local = p->host && config_is_this_host(p->host, c->host);
        if (!p->every_ms)
            p->every_ms = p->local && !p->page ? 250 : 1000;
    }
    for (size_t i = 0; i < c->n_targets && c->host; i++)
        c->targets[i].local = config_is_this_host(c->targets[i].host, c->host);
}

// A value from flag or environment goes through the same reader as one from the file.
static void read_outside(struct config_reader *r, const char *key, const char *value)
{
    if (!value || !*value)
        return;
    struct yaml_node n = {
        .kind = YAML_SCALAR, .text = value, .len = strlen(value), .line = 1, .col = 1};
    for (size_t i = 0; i < sizeof(TOP) / sizeof(TOP[0]); i++)
        if (strcmp(TOP[i].name, key) == 0)
            TOP[i].read(r, &n, (char *)r->c + TOP[i].offset);
}

static int load(const char *text, size_t len, const char *file, bool outside,
    const struct config_override *over, struct agent_config **ret, struct buf *problems)
{
    struct diags d, flags;
    struct arena tree;
    int rc = -ENOMEM;
    struct agent_config *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    diags_init(&d);
    diags_init(&flags);
    arena_init(&tree, 16u << 20);
    arena_init(&c->arena, 16u << 20);
    struct config_reader r = {.c = c, .d = &d};
    config_counts_defaults(c);

    const struct yaml_node *top = text ? yaml_parse(text, len, &tree, &d) : NULL;
    if (text && !top && !d.errors)
        goto out; // out of memory, nothing to say about the text
    if (top && top->kind == YAML_MAP)
        config_map(&r, top, TOP, sizeof(TOP) / sizeof(TOP[0]), c, "the agent's configuration");
    else if (top && top->kind != YAML_NULL)
        config_bad(
            &r, top, "e.g. collector: http://127.0.0.1:7312", "a map of keys is wanted here");
    if (outside) {
        r.d = &flags;
        read_outside(&r, "collector", getenv("TOCSIN_COLLECTOR"));
        read_outside(&r, "token_file", getenv("TOCSIN_TOKEN_FILE"));
        read_outside(&r, "ca_file", getenv("TOCSIN_CA_FILE"));
        read_outside(&r, "state_dir", getenv("TOCSIN_STATE_DIR"));
        read_outside(&r, "host", getenv("TOCSIN_HOST"));
        read_outside(&r, "collector", over ? over->collector : NULL);
        read_outside(&r, "state_dir", over ? over->state_dir : NULL);
    }
    fill_defaults(&r);
    c->path = file ? config_keep(&r, file, strlen(file)) : NULL;
    if (r.oom)
        goto out;
    if (d.errors || flags.errors) {
        rc = -EINVAL;
        diags_sort(&d);
        if (diags_print(&d, file ? file : "", text ? text : "", len, problems) < 0)
            rc = -ENOMEM;
        for (size_t i = 0; i < flags.n; i++)
            if (buf_addf(problems, "error[%s]: command line or environment: %s%s%s\n",
                    flags.items[i].code, flags.items[i].msg, flags.items[i].hint[0] ? "; " : "",
                    flags.items[i].hint) < 0)
                rc = -ENOMEM;
        goto out;
    }
    *ret = c;
    c = NULL;
    rc = 0;
out:
    config_free(c);
    arena_done(&tree);
    diags_done(&flags);
    diags_done(&d);
    return rc;
}

int config_parse(const char *text, size_t len, const char *file, struct agent_config **ret,
    struct buf *problems)
{
    return load(text, len, file, false, NULL, ret, problems);
}

static int guard_programs(const struct agent_config *c, struct buf *problems)
{
    const char *what = c->n_repairs ? "repairs" : c->n_plugins ? "exec" : NULL;
    return what ? config_program_guard(c->path, what, problems) : 0;
}

int config_load(const char *path, const struct config_override *over, struct agent_config **ret,
    struct buf *problems)
{
    struct buf text;
    bool named = path != NULL;
    if (!path)
        path = CONFIG_DEFAULT_PATH;
    buf_init(&text, CONFIG_FILE_MAX);
    int rc = buf_add_path(&text, path);
    if (rc == -ENOENT && !named) {
        rc = load(NULL, 0, NULL, true, over, ret, problems);
    } else if (rc < 0) {
        buf_addf(problems, "error[C000]: %s: %s\n", path,
            rc == -EMSGSIZE ? "file too large" : strerror(-rc));
    } else {
        rc = load(buf_cstr(&text), text.len, path, true, over, ret, problems);
        if (rc == 0 && (rc = guard_programs(*ret, problems)) < 0) {
            config_free(*ret);
            *ret = NULL;
        }
    }
    buf_done(&text);
    return rc;
}

bool config_same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

void config_free(struct agent_config *c)
{
    if (!c)
        return;
    config_free_relabel(c);
    arena_done(&c->arena);
    free(c);
}

int config_print(const struct agent_config *c, struct buf *out)
{
    buf_addf(out, "# %s\n", c->path ? c->path : "no file: defaults, environment and flags");
    config_add_value(out, "collector: ", c->collector);
    if (c->token_file)
        config_add_value(out, "\ntoken_file: ", c->token_file);
    if (c->ca_file)
        config_add_value(out, "\nca_file: ", c->ca_file);
    config_add_value(out, "\nstate_dir: ", c->state_dir);
    config_add_value(out, "\nhost: ", c->host);
    buf_adds(out, c->n_labels ? "\nlabels:" : "\nlabels: {}");
    for (size_t i = 0; i < c->n_labels; i++) {
        buf_addf(out, "\n  %s: ", c->labels[i].name);
        config_add_value(out, "", c->labels[i].value);
    }
    config_print_counts(c, out);
    config_print_tls_ports(c, out);
    config_print_probes(c, out);
    config_print_scrapes(c, out);
    config_print_repairs(c, out);
    config_print_exec(c, out);
    config_print_statsd(c, out);
    config_print_otlp(c, out);
    buf_adds(out, "\n");
    return out->failed;
}
