// SPDX-License-Identifier: Apache-2.0
// What agent.yaml says of connections: in how many network namespaces, and up to which rate each.
#include "agent/closes_limit.h"
#include "agent/config_read.h"
#include "agent/netns.h"

#define CLOSES_MAX 1000000

void config_network_namespaces(struct config_reader *r, const struct yaml_node *n, void *to)
{
    static const struct config_limit LIMIT = {NETNS_MAX};
    static const struct config_key KEYS[] = {
        {"max", config_count, offsetof(struct agent_config, netns_max), &LIMIT}};
    config_section(
        r, n, KEYS, 1, to, "network_namespaces", "e.g. network_namespaces: {max: 64}");
}

void config_connections(struct config_reader *r, const struct yaml_node *n, void *to)
{
    static const struct config_limit LIMIT = {CLOSES_MAX};
    static const struct config_key KEYS[] = {{"closes_per_second", config_count,
        offsetof(struct agent_config, closes_per_second), &LIMIT}};
    config_section(
        r, n, KEYS, 1, to, "connections", "e.g. connections: {closes_per_second: 10000}");
}

void config_net_defaults(struct agent_config *c)
{
    c->netns_max = NETNS_MAX;
    c->closes_per_second = CLOSES_PER_S;
}

void config_print_net(const struct agent_config *c, struct buf *out)
{
    buf_addf(out, "\nnetwork_namespaces: {max: %u}\nconnections: {closes_per_second: %u}",
        c->netns_max, c->closes_per_second);
}
