// SPDX-License-Identifier: Apache-2.0
// `repairs` of agent.yaml: the actions an alert may ask for. See repair_list.h.
#include "agent/config_read.h"
#include "base/num.h"
#include "wire/name.h"
#include <stdio.h>
#include <string.h>

static void read_name(struct config_reader *r, const struct yaml_node *n, void *to)
{
    const char **ret = to;
    if (!config_scalar(r, n))
        return;
    if (wire_repair_action_ok(n->text))
        *ret = config_keep(r, n->text, n->len);
    else
        config_bad(r, n, "e.g. restart-nginx",
            "an action's name is 1 to %d of a-z A-Z 0-9 _ . -", WIRE_REPAIR_ACTION_MAX);
}

static void read_command(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct repair_action *a = to;
    a->n_argv = config_command(r, n, a->argv, REPAIR_ARGS_MAX);
}

static void read_budget(struct config_reader *r, const struct yaml_node *n, void *to)
{
    uint64_t v;
    if (!config_scalar(r, n))
        return;
    if (num_parse_u64(n->text, n->len, &v) && v >= 1 && v <= REPAIR_PER_HOUR_MAX)
        *(unsigned *)to = (unsigned)v;
    else
        config_bad(r, n, NULL, "max_per_hour is 1 to %d", REPAIR_PER_HOUR_MAX);
}

static void read_env(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct repair_action *a = to;
    a->n_env = config_environment(r, n, a->env, REPAIR_ENV_MAX);
}

static void read_parameters(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct repair_action *a = to;
    if (n->kind != YAML_MAP || n->n > WIRE_REPAIR_PARAMETERS_MAX) {
        config_bad(r, n, "e.g. parameters: {service: \"[a-z0-9-]+\"}",
            "parameters are a map of at most %d names and patterns",
            WIRE_REPAIR_PARAMETERS_MAX);
        return;
    }
    for (size_t i = 0; i < n->n; i++) {
        const char *name = n->keys[i]->text, *pattern = NULL;
        config_text(r, n->items[i], &pattern);
        if (!wire_repair_parameter_ok(name))
            config_bad(r, n->keys[i], NULL, "`%.60s` is not a label's name", name);
        else if (pattern && !repair_pattern_ok(pattern))
            config_bad(r, n->items[i], "e.g. \"[a-z0-9-]+\": the whole value has to match",
                "`%.60s` is not a POSIX extended regular expression", pattern);
        else if (pattern)
            a->parameters[a->n_parameters++] =
                (struct repair_parameter){config_keep(r, name, n->keys[i]->len), pattern};
    }
}

static bool declared(const struct repair_action *a, const char *name, size_t len)
{
    for (size_t i = 0; i < a->n_parameters; i++)
        if (strlen(a->parameters[i].name) == len &&
            memcmp(a->parameters[i].name, name, len) == 0)
            return true;
    return false;
}

// A typo in {service} must not become an argument as it stands.
static void check_placeholders(
    struct config_reader *r, const struct yaml_node *n, const struct repair_action *a)
{
    for (size_t i = 0; i < a->n_argv && !r->oom; i++)
        for (const char *at = a->argv[i]; *at; at++) {
            size_t len = repair_placeholder(at);
            if (len && i == 0)
                config_bad(r, n, NULL, "what is run does not depend on a parameter");
            else if (len && !declared(a, at + 1, len))
                config_bad(r, n, "name it under `parameters`, with a pattern",
                    "`{%.*s}` in the command is not a parameter of this action", (int)len,
                    at + 1);
        }
}

static void read_repair(
    struct config_reader *r, const struct yaml_node *n, struct repair_action *a)
{
    static const struct config_range TIMEOUT = {100, REPAIR_TIMEOUT_MS_MAX};
    static const struct config_key KEYS[] = {
        {"name", read_name, offsetof(struct repair_action, name), NULL},
        {"command", read_command, 0, NULL},
        {"timeout", config_duration, offsetof(struct repair_action, timeout_ms), &TIMEOUT},
        {"max_per_hour", read_budget, offsetof(struct repair_action, max_per_hour), NULL},
        {"user", config_user, offsetof(struct repair_action, user), NULL},
        {"env", read_env, 0, NULL},
        {"parameters", read_parameters, 0, NULL},
    };
    *a = (struct repair_action){
        .timeout_ms = REPAIR_TIMEOUT_MS, .max_per_hour = REPAIR_PER_HOUR};
    if (!config_section(r, n, KEYS, sizeof(KEYS) / sizeof(KEYS[0]), a, "a repair",
            "e.g. {name: restart-nginx, command: [/usr/bin/systemctl, restart, nginx]}"))
        return;
    if (!a->name && !r->oom)
        config_bad(r, n, NULL, "a repair has a `name`");
    if (!a->n_argv && !r->oom)
        config_bad(r, n, NULL, "a repair has a `command`");
    check_placeholders(r, n, a);
}

void config_repairs(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct agent_config *c = to;
    if (n->kind != YAML_SEQ || n->n > REPAIR_ACTIONS_MAX) {
        config_bad(r, n, NULL, "repairs are a list of at most %d", REPAIR_ACTIONS_MAX);
        return;
    }
    if (!n->n)
        return;
    c->repairs = arena_alloc(&c->arena, n->n * sizeof(*c->repairs));
    if (!c->repairs) {
        r->oom = true;
        return;
    }
    for (size_t i = 0; i < n->n; i++) {
        struct repair_action *a = &c->repairs[i];
        read_repair(r, n->items[i], a);
        for (size_t k = 0; k < i && a->name; k++)
            if (c->repairs[k].name && strcmp(c->repairs[k].name, a->name) == 0)
                config_bad(
                    r, n->items[i], NULL, "a repair named `%.60s` is there already", a->name);
        c->n_repairs = i + 1;
    }
}

static void print_map(
    struct buf *out, const char *key, const char *name, const char *value, bool first)
{
    if (first)
        buf_addf(out, "\n    %s:", key);
    buf_addf(out, "\n      %s: ", name);
    config_add_value(out, "", value);
}

void config_print_repairs(const struct agent_config *c, struct buf *out)
{
    buf_adds(out, c->n_repairs ? "\nrepairs:" : "\nrepairs: []");
    for (size_t i = 0; i < c->n_repairs; i++) {
        const struct repair_action *a = &c->repairs[i];
        config_add_value(out, "\n  - name: ", a->name);
        for (size_t k = 0; k < a->n_argv; k++)
            config_add_value(out, k ? ", " : "\n    command: [", a->argv[k]);
        buf_adds(out, "]");
        config_add_duration(out, "timeout", a->timeout_ms);
        buf_addf(out, "\n    max_per_hour: %u", a->max_per_hour);
        if (a->user.name)
            config_add_value(out, "\n    user: ", a->user.name);
        for (size_t k = 0; k < a->n_env; k++)
            print_map(out, "env", a->env[k].name, a->env[k].value, k == 0);
        for (size_t k = 0; k < a->n_parameters; k++)
            print_map(
                out, "parameters", a->parameters[k].name, a->parameters[k].pattern, k == 0);
    }
}
