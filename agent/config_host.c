// SPDX-License-Identifier: Apache-2.0
// What agent.yaml says of the host's samplers: how many cgroups and process groups are shown.
#include "agent/cgroup.h"
#include "agent/config_read.h"
#include "agent/processes.h"
#include "base/num.h"

void config_count(struct config_reader *r, const struct yaml_node *n, void *to)
{
    const struct config_limit *limit = r->key->context;
    unsigned *ret = to;
    uint64_t v;
    if (!config_scalar(r, n))
        return;
    if (!num_parse_u64(n->text, n->len, &v) || v > limit->max)
        config_bad(r, n, "0 turns it off", "`%.40s` is not a number from 0 to %u", n->text,
            limit->max);
    else
        *ret = (unsigned)v;
}

void config_cgroups(struct config_reader *r, const struct yaml_node *n, void *to)
{
    static const struct config_limit LIMIT = {CGROUP_MAX_LIMIT};
    static const struct config_key KEYS[] = {
        {"max", config_count, offsetof(struct agent_config, cgroups_max), &LIMIT}};
    config_section(r, n, KEYS, 1, to, "cgroups", "e.g. cgroups: {max: 200}");
}

void config_processes(struct config_reader *r, const struct yaml_node *n, void *to)
{
    static const struct config_limit LIMIT = {PROCESSES_TOP_LIMIT};
    static const struct config_key KEYS[] = {
        {"top", config_count, offsetof(struct agent_config, processes_top), &LIMIT}};
    config_section(r, n, KEYS, 1, to, "processes", "e.g. processes: {top: 10}");
}

void config_host_defaults(struct agent_config *c)
{
    c->cgroups_max = CGROUP_MAX_DEFAULT;
    c->processes_top = PROCESSES_TOP_DEFAULT;
}

void config_print_host(const struct agent_config *c, struct buf *out)
{
    buf_addf(
        out, "\ncgroups: {max: %u}\nprocesses: {top: %u}", c->cgroups_max, c->processes_top);
}
