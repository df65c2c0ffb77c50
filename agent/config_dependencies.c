// SPDX-License-Identifier: Apache-2.0
#include "agent/config_read.h"
#include "agent/dependency.h"
#include <stddef.h>
#include <stdlib.h>

static void read_top(struct config_reader *r, const struct yaml_node *n, void *to)
{
    char *end;

    if (!config_scalar(r, n))
        return;
    unsigned long top = strtoul(n->text, &end, 10);
    if (n->text[0] < '0' || n->text[0] > '9' || *end || top > DEPENDENCIES_MAX)
        config_bad(r, n, "0 turns it off", "`%.40s` is not a number from 0 to %d", n->text,
            DEPENDENCIES_MAX);
    else
        *(uint32_t *)to = (uint32_t)top;
}

static const struct config_key KEYS[] = {
    {"top", read_top, offsetof(struct agent_config, dependencies), NULL},
};

void config_dependencies(struct config_reader *r, const struct yaml_node *n, void *to)
{
    if (n->kind == YAML_MAP)
        config_map(r, n, KEYS, sizeof(KEYS) / sizeof(KEYS[0]), to, "dependencies");
    else
        config_bad(r, n, "e.g. dependencies: {top: 50}", "dependencies are a map");
}
