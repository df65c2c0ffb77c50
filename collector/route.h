// SPDX-License-Identifier: Apache-2.0
/*
 * Alertmanager's routing tree: an alert goes down to the first child whose matchers hold, and on to
 * the next ones while `continue` is set; a node without a matching child takes it. What a node does
 * not say it has from its parent. Source: Alertmanager's configuration documentation, checked
 * beside amtool.
 *
 * A tree and all its text live in the arena of the configuration; regexes are freed by route_done.
 */
#pragma once
#include "collector/matcher_text.h"
#include "collector/time_interval.h"

#define ROUTES_MAX      1000
#define ROUTE_DEPTH_MAX 32

struct route {
    const struct route *parent;
    struct matcher_list matchers;
    const char *receiver;
    const char **group_by; // sorted
    size_t n_group_by;
    bool group_by_all; // ['...']
    bool go_on;        // continue
    int64_t group_wait_ms, group_interval_ms, repeat_interval_ms;
    const char **mute_times, **active_times; // names of time intervals; not inherited
    size_t n_mute_times, n_active_times;
    struct time_limits times; // what these names mean
    const char *key;          // {}/{team="web"}: from the root, as in Alertmanager's group keys
    uint32_t number;          // in the order of the file, root 0
    struct route *routes;
    size_t n_routes;
};
// The nodes that take an alert, in the order of the file; at most max. Returns how many.
size_t route_match(
    const struct route *root, const struct labels *l, const struct route **ret, size_t max);
// Every node, root first. Return false to stop.
bool route_each(
    const struct route *root, bool (*fn)(void *ctx, const struct route *r), void *ctx);
void route_done(struct route *root); // NULL allowed
