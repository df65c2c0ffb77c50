// SPDX-License-Identifier: Apache-2.0
#include "collector/route.h"

size_t route_match(
    const struct route *root, const struct labels *l, const struct route **ret, size_t max)
{
    size_t n = 0;
    if (!max || !matchers_labels(root->matchers.m, root->matchers.n, l))
        return 0;
    for (size_t i = 0; i < root->n_routes; i++) {
        size_t more = route_match(&root->routes[i], l, ret + n, max - n);
        n += more;
        if (more && !root->routes[i].go_on)
            break;
    }
    if (!n)
        ret[n++] = root;
    return n;
}

bool route_each(
    const struct route *root, bool (*fn)(void *ctx, const struct route *r), void *ctx)
{
    if (!fn(ctx, root))
        return false;
    for (size_t i = 0; i < root->n_routes; i++)
        if (!route_each(&root->routes[i], fn, ctx))
            return false;
    return true;
}

void route_done(struct route *root)
{
    if (!root)
        return;
    matcher_list_done(&root->matchers);
    for (size_t i = 0; i < root->n_routes; i++)
        route_done(&root->routes[i]);
}
