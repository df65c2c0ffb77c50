// SPDX-License-Identifier: Apache-2.0
#include "agent/few.h"
#include <errno.h>

void few_begin(struct few *f, const struct opens *o)
{
    f->n = 0;
    f->closed_since = 0;
    f->usable = o->known;
    f->opens = o->passive;
}

void few_add(struct few *f, const struct sockdiag *s)
{
    if (f->n == FEW_MAX)
        f->usable = false;
    else if (f->usable)
        sockdiag_ask(f->requests + f->n++ * SOCKDIAG_ASK_SIZE, s, true);
}

void few_end(struct few *f, bool whole)
{
    if (!whole)
        f->usable = false;
}

bool few_complete(const struct few *f, const struct opens *o)
{
    return f->usable && o->known && o->passive - f->opens <= f->closed_since;
}

int few_ask(struct few *f, struct netlink *nl,
    bool (*fn)(void *ctx, const struct netlink_message *m), void *ctx)
{
    size_t answers = 0;
    int rc = f->n > 0 ? netlink_send_all(nl, f->requests, f->n * SOCKDIAG_ASK_SIZE) : 0;

    while (rc == 0 && answers < f->n) {
        int n = netlink_receive(nl);
        size_t at = 0;
        struct netlink_message m;
        if (n <= 0)
            return n < 0 ? n : -EAGAIN;
        while (netlink_next(nl->chunk, (size_t)n, &at, &m)) {
            if (m.seq != nl->seq)
                continue;
            answers++;
            if (!sockdiag_is_socket(m.type) || !fn(ctx, &m))
                return -EAGAIN;
        }
    }
    return rc;
}
