// SPDX-License-Identifier: Apache-2.0
#include "agent/listen_view.h"
#include "agent/service.h"
#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>

static bool add(struct listen_view *v, const struct sockdiag *k)
{
    if (v->n == v->cap) {
        size_t cap = v->cap ? v->cap * 2 : 64;
        struct sockdiag *grown =
            cap <= SERVICE_SOCKETS_MAX ? realloc(v->sockets, cap * sizeof(*grown)) : NULL;
        if (!grown)
            return false;
        v->sockets = grown;
        v->cap = cap;
    }
    v->sockets[v->n++] = *k;
    return true;
}

int listen_view_read(struct listen_view *v, struct netlink *nl)
{
    uint8_t request[SOCKDIAG_REQUEST_MAX];
    uint16_t type, flags;
    size_t len =
        sockdiag_request(request, SOCKDIAG_BIT(SOCKDIAG_LISTEN), false, true, &type, &flags);
    int rc = netlink_send(nl, type, flags, request, len);

    v->n = 0;
    while (rc == 0) {
        int n = netlink_receive(nl);
        size_t at = 0;
        struct netlink_message m;
        if (n <= 0)
            return n < 0 ? n : -EAGAIN;
        while (netlink_next(nl->chunk, (size_t)n, &at, &m)) {
            struct sockdiag k;
            if (m.seq != nl->seq)
                continue;
            if (m.flags & NLM_F_DUMP_INTR)
                rc = -EAGAIN;
            if (m.type == NLMSG_DONE)
                return rc;
            if (m.type == NLMSG_ERROR)
                return netlink_status(&m) ? netlink_status(&m) : -EBADMSG;
            if (sockdiag_is_socket(m.type) && sockdiag_parse(m.body, m.len, &k) == 0 &&
                k.state == SOCKDIAG_LISTEN && !add(v, &k))
                return -ENOMEM;
        }
    }
    return rc;
}

void listen_view_done(struct listen_view *v)
{
    free(v->sockets);
    *v = (struct listen_view){0};
}
