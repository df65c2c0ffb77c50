// SPDX-License-Identifier: Apache-2.0
#include "agent/netlink.h"
#include <errno.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

// Of all sockets: netlink.h says why that will do.
static uint8_t chunk[NETLINK_CHUNK];

static int bind_to(struct netlink *nl, uint32_t groups, int receive_bytes)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = groups};

    // Beyond net.core.rmem_max only with CAP_NET_ADMIN; take what we get, and what it has already: whoever
    // made it for us may have been allowed more.
    int have = 0;
    socklen_t len = sizeof(have);
    if (getsockopt(nl->fd, SOL_SOCKET, SO_RCVBUF, &have, &len) == 0 && have < receive_bytes &&
        setsockopt(nl->fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_bytes, sizeof(receive_bytes)) ==
            -1)
        setsockopt(nl->fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
    if (bind(nl->fd, (struct sockaddr *)&address, sizeof(address)) == -1) {
        int rc = -errno;
        netlink_close(nl);
        return rc;
    }
    return 0;
}

int netlink_open(struct netlink *nl, int protocol, uint32_t groups, int receive_bytes)
{
    *nl = (struct netlink){.chunk = chunk};
    nl->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    if (nl->fd == -1) {
        int rc = -errno;
        netlink_close(nl);
        return rc;
    }
    return bind_to(nl, groups, receive_bytes);
}

int netlink_adopt(struct netlink *nl, int fd, uint32_t groups, int receive_bytes)
{
    *nl = (struct netlink){.fd = fd, .chunk = chunk};
    return bind_to(nl, groups, receive_bytes);
}

void netlink_close(struct netlink *nl)
{
    if (nl->chunk && nl->fd != -1)
        close(nl->fd);
    *nl = (struct netlink){.fd = -1};
}

int netlink_filter(struct netlink *nl, const struct sock_filter *code, unsigned short n)
{
    // setsockopt does not write through filter.
    struct sock_fprog program = {.len = n, .filter = (struct sock_filter *)(uintptr_t)code};

    if (setsockopt(nl->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == -1)
        return -errno;
    return 0;
}

int netlink_groups(struct netlink *nl, uint32_t groups, bool join)
{
    for (int group = 1; groups; group++, groups >>= 1)
        if ((groups & 1) && setsockopt(nl->fd, SOL_NETLINK,
                                join ? NETLINK_ADD_MEMBERSHIP : NETLINK_DROP_MEMBERSHIP, &group,
                                sizeof(group)) == -1)
            return -errno;
    return 0;
}

int netlink_drops(const struct netlink *nl, uint32_t *ret)
{
    uint32_t memory[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof(memory);

    if (getsockopt(nl->fd, SOL_SOCKET, SO_MEMINFO, memory, &len) == -1)
        return -errno;
    *ret = memory[SK_MEMINFO_DROPS];
    return 0;
}

int netlink_send(
    struct netlink *nl, uint16_t type, uint16_t flags, const void *body, size_t len)
{
    struct nlmsghdr header = {
        .nlmsg_len = (uint32_t)(sizeof(header) + len),
        .nlmsg_type = type,
        .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
        .nlmsg_seq = ++nl->seq,
    };
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    // sendmsg does not write through iov_base.
    struct iovec parts[2] = {{&header, sizeof(header)}, {(void *)(uintptr_t)body, len}};
    struct msghdr message = {
        .msg_name = &kernel, .msg_namelen = sizeof(kernel), .msg_iov = parts, .msg_iovlen = 2};

    return sendmsg(nl->fd, &message, 0) == -1 ? -errno : 0;
}

int netlink_send_all(struct netlink *nl, uint8_t *messages, size_t len)
{
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    size_t at = 0;

    nl->seq++;
    while (len - at >= sizeof(struct nlmsghdr)) {
        struct nlmsghdr header;
        memcpy(&header, messages + at, sizeof(header));
        header.nlmsg_seq = nl->seq;
        memcpy(messages + at, &header, sizeof(header));
        at += NLMSG_ALIGN((size_t)header.nlmsg_len);
    }
    return sendto(nl->fd, messages, len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) == -1
               ? -errno
               : 0;
}

int netlink_receive(struct netlink *nl)
{
    for (;;) {
        struct sockaddr_nl from = {0};
        socklen_t from_len = sizeof(from);
        ssize_t n = recvfrom(nl->fd, nl->chunk, NETLINK_CHUNK, MSG_DONTWAIT | MSG_TRUNC,
            (struct sockaddr *)&from, &from_len);
        if (n == -1) {
            if (errno == EINTR)
                continue;
            return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
        }
        if (from_len != sizeof(from) || from.nl_pid != 0 || n == 0)
            continue;
        // Cut short means a part is lost, which is what ENOBUFS means to the caller.
        return n > NETLINK_CHUNK ? -ENOBUFS : (int)n;
    }
}

bool netlink_next(const uint8_t *data, size_t size, size_t *offset, struct netlink_message *ret)
{
    struct nlmsghdr header;

    if (*offset > size || size - *offset < sizeof(header))
        return false;
    memcpy(&header, data + *offset, sizeof(header));
    if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > size - *offset)
        return false;
    *ret = (struct netlink_message){
        .type = header.nlmsg_type,
        .flags = header.nlmsg_flags,
        .seq = header.nlmsg_seq,
        .body = data + *offset + sizeof(header),
        .len = header.nlmsg_len - sizeof(header),
    };
    *offset += NLMSG_ALIGN((size_t)header.nlmsg_len);
    return true;
}

int netlink_status(const struct netlink_message *m)
{
    int32_t status = 0;

    if (m->len >= sizeof(status))
        memcpy(&status, m->body, sizeof(status));
    return status < 0 ? status : 0;
}
