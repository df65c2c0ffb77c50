// SPDX-License-Identifier: Apache-2.0
#include "agent/listen_view.h"
#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <sys/socket.h>

static bool add(struct listen_view *v, const struct sockdiag *k)
{
    if (v->n == v->cap) {
        size_t cap = v->cap ? v->cap * 2 : 32;
        struct sockdiag *grown =
            cap <= v->max ? realloc(v->sockets, cap * sizeof(*grown)) : NULL;
        if (!grown)
            return false;
        v->sockets = grown;
        v->cap = cap;
    }
    v->sockets[v->n++] = *k;
    return true;
}

// Adds what the kernel answers to the request, of sockets in that state.
static int read_table(struct listen_view *v, struct netlink *nl, const uint8_t *request,
    size_t len, uint16_t type, uint16_t flags, uint8_t state)
{
    int rc = netlink_send(nl, type, flags, request, len);

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
                k.state == state && k.local_port != 0 && !add(v, &k))
                return -ENOMEM;
        }
    }
    return rc;
}

int listen_view_read(struct listen_view *v, struct netlink *nl)
{
    uint8_t request[SOCKDIAG_REQUEST_MAX];
    uint16_t type, flags;
    size_t len =
        sockdiag_request(request, SOCKDIAG_BIT(SOCKDIAG_LISTEN), false, true, &type, &flags);

    v->n = 0;
    return read_table(v, nl, request, len, type, flags, SOCKDIAG_LISTEN);
}

int listen_view_read_udp(struct listen_view *v, struct netlink *nl)
{
    static const uint8_t FAMILIES[] = {AF_INET, AF_INET6};
    uint8_t request[SOCKDIAG_REQUEST_MAX];
    uint16_t type, flags;
    int rc = 0;

    v->n = 0;
    for (size_t i = 0; i < sizeof(FAMILIES) && rc == 0; i++) {
        size_t len = sockdiag_request_udp(request, FAMILIES[i], &type, &flags);
        rc = read_table(v, nl, request, len, type, flags, SOCKDIAG_CLOSE);
    }
    // A kernel without IPv6 has no such table.
    return rc == -ENOENT || rc == -EAFNOSUPPORT ? 0 : rc;
}

bool listen_view_has(const void *view, uint64_t cookie)
{
    const struct listen_view *v = view;

    for (size_t i = 0; i < v->n; i++)
        if (v->sockets[i].cookie == cookie)
            return true;
    return false;
}

void listen_view_done(struct listen_view *v)
{
    free(v->sockets);
    *v = (struct listen_view){.max = v->max};
}
