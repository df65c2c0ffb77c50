// SPDX-License-Identifier: Apache-2.0
#include "agent/queues.h"
#include <errno.h>
#include <linux/netlink.h>
#include <string.h>

void queues_learn(struct queues *q, const struct sockdiag *view, size_t n)
{
    bool same = n == q->n;

    for (size_t i = 0; i < n && same; i++)
        same = q->cookies[i] == view[i].cookie;
    if (same)
        return;
    q->n = 0;
    if (n > QUEUES_MAX)
        return;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++)
            if (view[k].local_port == view[i].local_port && view[k].family == view[i].family &&
                memcmp(view[k].local, view[i].local, sizeof(view[i].local)) == 0)
                return;
        q->cookies[i] = view[i].cookie;
        sockdiag_ask(q->requests + i * SOCKDIAG_ASK_SIZE, &view[i], false);
    }
    q->n = n;
}

// The index of the answered socket, -1 = none of ours.
static int index_of(const struct queues *q, uint64_t cookie)
{
    for (size_t i = 0; i < q->n; i++)
        if (q->cookies[i] == cookie)
            return (int)i;
    return -1;
}

int queues_ask(struct queues *q, struct netlink *nl, struct sockdiag *ret)
{
    size_t answers = 0, known = 0;

    if (q->n == 0)
        return -EAGAIN;
    int rc = netlink_send_all(nl, q->requests, q->n * SOCKDIAG_ASK_SIZE);
    // The kernel has answered within our send: each request with a datagram of its own.
    while (rc == 0 && answers < q->n) {
        int n = netlink_receive(nl);
        size_t at = 0;
        struct netlink_message m;
        struct sockdiag k;
        if (n <= 0)
            return n < 0 ? n : -EAGAIN;
        while (netlink_next(nl->chunk, (size_t)n, &at, &m)) {
            if (m.seq != nl->seq)
                continue;
            answers++;
            if (!sockdiag_is_socket(m.type) || sockdiag_parse(m.body, m.len, &k) != 0)
                continue; // gone, or another socket has its address now
            int i = index_of(q, k.cookie);
            if (i < 0 || k.state != SOCKDIAG_LISTEN)
                continue;
            ret[i] = k;
            known++;
        }
    }
    return rc < 0 ? rc : known == q->n ? 0 : -EAGAIN;
}
