// SPDX-License-Identifier: Apache-2.0
#include "agent/config_read.h"
#include "agent/dependency.h"
#include <stddef.h>

static const struct config_limit LIMIT = {DEPENDENCIES_MAX};
static const struct config_key KEYS[] = {
    {"top", config_count, offsetof(struct agent_config, dependencies), &LIMIT},
};

void config_dependencies(struct config_reader *r, const struct yaml_node *n, void *to)
{
    if (n->kind == YAML_MAP)
        config_map(r, n, KEYS, sizeof(KEYS) / sizeof(KEYS[0]), to, "dependencies");
    else
        config_bad(r, n, "e.g. dependencies: {top: 50}", "dependencies are a map");
}
