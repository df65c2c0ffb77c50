// SPDX-License-Identifier: Apache-2.0
// `exec` of agent.yaml: programs that measure. See plugin.h.
#include "agent/config_read.h"
#include "agent/intake.h"
#include "wire/name.h"
#include <string.h>

static void read_name(struct config_reader *r, const struct yaml_node *n, void *to)
{
    if (config_scalar(r, n) && !wire_text_ok(n->text, 1, PLUGIN_NAME_MAX))
        config_bad(r, n, "e.g. disk", "a plugin's name has 1 to %d bytes", PLUGIN_NAME_MAX);
    else
        config_text(r, n, to);
}

static void read_command(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct plugin_config *p = to;
    p->n_argv = config_command(r, n, p->argv, PLUGIN_ARGS_MAX);
}

static void read_env(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct plugin_config *p = to;
    p->n_env = config_environment(r, n, p->env, PLUGIN_ENV_MAX);
}

static void read_format(struct config_reader *r, const struct yaml_node *n, void *to)
{
    if (!config_scalar(r, n))
        return;
    for (enum plugin_format f = PLUGIN_NAGIOS; f <= PLUGIN_LINES; f++)
        if (strcmp(plugin_format_name(f), n->text) == 0) {
            *(enum plugin_format *)to = f;
            return;
        }
    config_bad(r, n, "nagios, json or lines", "`%.40s` is not a format of plugins", n->text);
}

static void read_plugin(
    struct config_reader *r, const struct yaml_node *n, struct plugin_config *p)
{
    static const struct config_range EVERY = {100, 24 * 3600 * 1000},
                                     TIMEOUT = {100, PLUGIN_TIMEOUT_MS_MAX};
    static const struct config_key KEYS[] = {
        {"name", read_name, offsetof(struct plugin_config, name), NULL},
        {"command", read_command, 0, NULL},
        {"every", config_duration, offsetof(struct plugin_config, every_ms), &EVERY},
        {"timeout", config_duration, offsetof(struct plugin_config, timeout_ms), &TIMEOUT},
        {"format", read_format, offsetof(struct plugin_config, format), NULL},
        {"series_limit", config_series_limit, offsetof(struct plugin_config, series_limit),
            NULL},
        {"user", config_user, offsetof(struct plugin_config, user), NULL},
        {"env", read_env, 0, NULL},
    };
    *p = (struct plugin_config){.every_ms = PLUGIN_EVERY_MS,
        .timeout_ms = PLUGIN_TIMEOUT_MS,
        .series_limit = INTAKE_SERIES_DEFAULT};
    if (!config_section(r, n, KEYS, sizeof(KEYS) / sizeof(KEYS[0]), p, "a plugin",
            "e.g. {name: load, command: [/usr/lib/nagios/plugins/check_load]}"))
        return;
    if (!p->name && !r->oom)
        config_bad(r, n, NULL, "a plugin has a `name`");
    if (!p->n_argv && !r->oom)
        config_bad(r, n, NULL, "a plugin has a `command`");
}

void config_exec(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct agent_config *c = to;
    if (n->kind != YAML_SEQ || n->n > PLUGINS_MAX) {
        config_bad(r, n, NULL, "exec is a list of at most %d", PLUGINS_MAX);
        return;
    }
    if (!n->n)
        return;
    c->plugins = arena_alloc(&c->arena, n->n * sizeof(*c->plugins));
    if (!c->plugins) {
        r->oom = true;
        return;
    }
    for (size_t i = 0; i < n->n; i++) {
        struct plugin_config *p = &c->plugins[i];
        read_plugin(r, n->items[i], p);
        for (size_t k = 0; k < i && p->name; k++)
            if (c->plugins[k].name && strcmp(c->plugins[k].name, p->name) == 0)
                config_bad(
                    r, n->items[i], NULL, "a plugin named `%.60s` is there already", p->name);
        c->n_plugins = i + 1;
    }
}

void config_print_exec(const struct agent_config *c, struct buf *out)
{
    buf_adds(out, c->n_plugins ? "\nexec:" : "\nexec: []");
    for (size_t i = 0; i < c->n_plugins; i++) {
        const struct plugin_config *p = &c->plugins[i];
        config_add_value(out, "\n  - name: ", p->name);
        for (size_t k = 0; k < p->n_argv; k++)
            config_add_value(out, k ? ", " : "\n    command: [", p->argv[k]);
        buf_adds(out, "]");
        config_add_duration(out, "every", p->every_ms);
        config_add_duration(out, "timeout", p->timeout_ms);
        buf_addf(out, "\n    format: %s\n    series_limit: %zu", plugin_format_name(p->format),
            p->series_limit);
        if (p->user.name)
            config_add_value(out, "\n    user: ", p->user.name);
        for (size_t k = 0; k < p->n_env; k++) {
            buf_addf(out, "%s\n      %s: ", k ? "" : "\n    env:", p->env[k].name);
            config_add_value(out, "", p->env[k].value);
        }
    }
}
