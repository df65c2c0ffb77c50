// SPDX-License-Identifier: Apache-2.0
#include "collector/config.h"
#include <stdlib.h>
#include <string.h>

struct config *config_share(struct config *c)
{
    struct config *shared = malloc(sizeof(*shared));
    if (!shared)
        return NULL;
    memcpy(shared, c, sizeof(*shared)); // all it points to is on the heap
    memset(c, 0, sizeof(*c));
    atomic_init(&shared->refs, 1);
    return shared;
}

struct config *config_ref(struct config *c)
{
    if (atomic_load(&c->refs))
        atomic_fetch_add(&c->refs, 1);
    return c;
}

void config_unref(struct config *c)
{
    if (!c || !atomic_load(&c->refs) || atomic_fetch_sub(&c->refs, 1) > 1)
        return;
    config_done(c);
    free(c);
}
