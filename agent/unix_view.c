// SPDX-License-Identifier: Apache-2.0
#include "agent/unix_view.h"
#include "agent/sockdiag.h"
#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <sys/socket.h>

static bool add(struct unix_view *v, const struct unixdiag *d)
{
    if (v->n == v->cap) {
        size_t cap = v->cap ? v->cap * 2 : 32;
        struct unixdiag *grown =
            cap <= UNIX_VIEW_MAX ? realloc(v->sockets, cap * sizeof(*grown)) : NULL;
        if (!grown)
            return false;
        v->sockets = grown;
        v->cap = cap;
    }
    v->sockets[v->n++] = *d;
    return true;
}

static int take(struct unix_view *v, const struct unixdiag *d)
{
    if (d->name_hash == 0 || d->type == SOCK_DGRAM)
        return 0;
    if (d->state == SOCKDIAG_LISTEN)
        return add(v, d) ? 0 : -ENOMEM;
    v->connection(v->ctx, d->name_hash);
    return 0;
}

int unix_view_begin(struct unix_view *v, bool with_connections)
{
    uint8_t request[UNIXDIAG_REQUEST_MAX];
    uint16_t type, flags;
    uint32_t states = SOCKDIAG_BIT(SOCKDIAG_LISTEN);

    if (with_connections)
        states |= SOCKDIAG_BIT(SOCKDIAG_ESTABLISHED);
    v->n = 0;
    v->with_connections = with_connections;
    size_t len = unixdiag_request(request, states, &type, &flags);
    int rc = netlink_send(&v->netlink, type, flags, request, len);
    v->reading = rc == 0;
    return rc;
}

static int read_datagram(struct unix_view *v)
{
    int n = netlink_receive(&v->netlink);
    size_t at = 0;
    struct netlink_message m;

    if (n <= 0)
        return n < 0 ? n : -EAGAIN;
    while (netlink_next(v->netlink.chunk, (size_t)n, &at, &m)) {
        struct unixdiag d;
        int rc = 0;
        if (m.seq != v->netlink.seq)
            continue;
        if (m.type == NLMSG_DONE)
            return 1;
        if (m.type == NLMSG_ERROR)
            return netlink_status(&m) ? netlink_status(&m) : -EBADMSG;
        if (sockdiag_is_socket(m.type) && unixdiag_parse(m.body, m.len, &d) == 0)
            rc = take(v, &d);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int unix_view_read(struct unix_view *v)
{
    int rc = read_datagram(v);

    v->reading = rc == 0;
    return rc;
}

bool unix_view_has(const void *view, uint64_t cookie)
{
    const struct unix_view *v = view;

    for (size_t i = 0; i < v->n; i++)
        if (v->sockets[i].cookie == cookie)
            return true;
    return false;
}

int unix_view_open(struct unix_view *v)
{
    int rc = netlink_open(&v->netlink, NETLINK_SOCK_DIAG, 0, 0);

    if (rc == 0)
        rc = unix_view_begin(v, false);
    if (rc == 0)
        rc = unix_view_read(v);
    // How the rest of it goes is for the dumps to come: there may be too many only now.
    while (v->reading)
        (void)unix_view_read(v);
    v->n = 0;
    return rc < 0 ? rc : 0;
}

void unix_view_close(struct unix_view *v)
{
    netlink_close(&v->netlink);
    free(v->sockets);
    v->sockets = NULL;
    v->n = v->cap = 0;
}
