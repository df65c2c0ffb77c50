// SPDX-License-Identifier: Apache-2.0
// The maps of agent.yaml that say one thing: how many of something are looked at.
#include "agent/cgroup.h"
#include "agent/closes_limit.h"
#include "agent/config_read.h"
#include "agent/dependency.h"
#include "agent/netns.h"
#include "agent/processes.h"
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define CLOSES_MAX 1000000

#define AT(field) offsetof(struct agent_config, field)
static const struct count {
    const char *map, *key;
    size_t offset; // of an unsigned
    unsigned initial;
    struct config_limit limit;
} COUNTS[] = {
    {"dependencies", "top", AT(dependencies), DEPENDENCIES_DEFAULT, {DEPENDENCIES_MAX}},
    {"cgroups", "max", AT(cgroups_max), CGROUP_MAX_DEFAULT, {CGROUP_MAX_LIMIT}},
    {"processes", "top", AT(processes_top), PROCESSES_TOP_DEFAULT, {PROCESSES_TOP_LIMIT}},
    {"network_namespaces", "max", AT(netns_max), NETNS_MAX, {NETNS_MAX}},
    {"connections", "closes_per_second", AT(closes_per_second), CLOSES_PER_S, {CLOSES_MAX}},
};
#define N_COUNTS (sizeof(COUNTS) / sizeof(COUNTS[0]))

static unsigned *value_of(struct agent_config *c, const struct count *of)
{
    return (unsigned *)(void *)((char *)c + of->offset);
}

void config_counts(struct config_reader *r, const struct yaml_node *n, void *to)
{
    const struct count *c = COUNTS;
    char what[32], hint[64];
    while (strcmp(c->map, r->key->name) != 0)
        c++;
    const struct config_key key = {c->key, config_count, c->offset, &c->limit};
    snprintf(what, sizeof(what), "`%s`", c->map);
    snprintf(hint, sizeof(hint), "e.g. %s: {%s: %u}", c->map, c->key, c->initial);
    config_section(r, n, &key, 1, to, what, hint);
}

void config_counts_defaults(struct agent_config *c)
{
    for (size_t i = 0; i < N_COUNTS; i++)
        *value_of(c, &COUNTS[i]) = COUNTS[i].initial;
}

void config_print_counts(const struct agent_config *c, struct buf *out)
{
    for (size_t i = 0; i < N_COUNTS; i++)
        buf_addf(out, "\n%s: {%s: %u}", COUNTS[i].map, COUNTS[i].key,
            *(const unsigned *)(const void *)((const char *)c + COUNTS[i].offset));
}
