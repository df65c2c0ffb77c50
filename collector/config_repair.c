// SPDX-License-Identifier: Apache-2.0
// The keys of `repair_configs`: which action, of which host, how often.
#include "collector/config_read.h"
#include <string.h>

#define RETRY_MS      30000
#define EXPIRES_MS    30000
#define PER_HOUR      6
#define PER_HOUR_MAX  60
#define GIVE_UP_AFTER 3

void config_repair_defaults(struct repair_terms *to)
{
    *to = (struct repair_terms){.instance_label = "instance",
        .max_per_hour = PER_HOUR,
        .give_up_after = GIVE_UP_AFTER,
        .retry_ms = RETRY_MS,
        .expires_ms = EXPIRES_MS};
}

static void parameters(
    struct config_reader *r, const struct yaml_node *v, struct repair_terms *to)
{
    if (v->kind != YAML_SEQ || v->n > WIRE_REPAIR_PARAMETERS_MAX) {
        config_bad(r, v, "C001", "e.g. [service]",
            "`parameters` is a list of at most %d labels", WIRE_REPAIR_PARAMETERS_MAX);
        return;
    }
    to->n_parameters = 0;
    for (size_t i = 0; i < v->n && !r->oom; i++) {
        const char *name = config_scalar(r, v->items[i], "parameters");
        if (name && !wire_repair_parameter_ok(name))
            config_bad(r, v->items[i], "C001", NULL, "`%.60s` is not a label's name", name);
        const char *kept = name ? config_keep(r, name) : NULL;
        if (!kept)
            continue;
        size_t at = to->n_parameters++;
        for (; at > 0 && strcmp(to->parameters[at - 1], kept) > 0; at--)
            to->parameters[at] = to->parameters[at - 1];
        to->parameters[at] = kept;
        if (at > 0 && strcmp(to->parameters[at - 1], kept) == 0)
            config_bad(r, v->items[i], "C001", NULL, "`%.60s` is there twice", kept);
    }
}

void config_repair(struct config_reader *r, const struct yaml_node *v, const char *key,
    struct repair_terms *to)
{
    uint64_t n = 0;
    if (strcmp(key, "parameters") == 0) {
        parameters(r, v, to);
    } else if (strcmp(key, "max_per_hour") == 0) {
        if (config_count(r, v, key, 1, PER_HOUR_MAX, &n))
            to->max_per_hour = (unsigned)n;
    } else if (strcmp(key, "give_up_after") == 0) {
        if (config_count(r, v, key, 1, 100, &n))
            to->give_up_after = (unsigned)n;
    } else if (strcmp(key, "retry") == 0) {
        config_duration(r, v, key, 1000, 3600 * 1000, &to->retry_ms);
    } else if (strcmp(key, "expires") == 0) {
        config_duration(r, v, key, 2000, WIRE_REPAIR_VALID_MS_MAX, &to->expires_ms);
    } else if (strcmp(key, "instance_label") == 0) {
        const char *s = config_scalar(r, v, key);
        if (s && !wire_repair_parameter_ok(s))
            config_bad(r, v, "C001", NULL, "`%.60s` is not a label's name", s);
        else if (s)
            to->instance_label = config_keep(r, s);
    } else { // action
        const char *s = config_scalar(r, v, key);
        if (s && !wire_repair_action_ok(s))
            config_bad(r, v, "C001", "a name in the agent's `repairs`, e.g. restart-nginx",
                "`%.60s` is not an action's name", s);
        else if (s)
            to->action = config_keep(r, s);
    }
}
