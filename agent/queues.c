// SPDX-License-Identifier: Apache-2.0
#include "agent/queues.h"
#include <errno.h>
#include <linux/netlink.h>
#include <string.h>

static uint8_t *at(uint8_t *messages, size_t i)
{
    return messages + i * SOCKDIAG_ASK_SIZE;
}

static void gone_drop(struct queues *q, size_t i)
{
    size_t behind = --q->n_gone - i;

    memmove(&q->gone_ports[i], &q->gone_ports[i + 1], behind * sizeof(q->gone_ports[0]));
    memmove(at(q->gone, i), at(q->gone, i + 1), behind * SOCKDIAG_ASK_SIZE);
}

void queues_gone(struct queues *q, uint16_t port)
{
    for (size_t i = 0; i < q->n; i++)
        if (q->ports[i] == port) {
            if (q->n_gone == QUEUES_GONE_MAX)
                gone_drop(q, 0);
            // Whoever is there: the cookie, which stands last, is none.
            uint8_t *ask = at(q->gone, q->n_gone);
            memcpy(ask, at(q->requests, i), SOCKDIAG_ASK_SIZE);
            memset(ask + SOCKDIAG_ASK_SIZE - 8, 0xff, 8);
            q->gone_ports[q->n_gone++] = port;
        }
}

void queues_gone_forget(struct queues *q)
{
    q->n_gone = 0;
}

void queues_learn(struct queues *q, const struct sockdiag *view, size_t n)
{
    bool same = n == q->n;

    for (size_t i = 0; i < n && same; i++)
        same = q->cookies[i] == view[i].cookie;
    if (same)
        return;
    for (size_t g = 0; g < q->n_gone;) {
        bool back = false;
        for (size_t i = 0; i < n && !back; i++)
            back = view[i].local_port == q->gone_ports[g];
        if (back)
            gone_drop(q, g);
        else
            g++;
    }
    q->n = 0;
    if (n > QUEUES_MAX)
        return;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++)
            if (view[k].local_port == view[i].local_port && view[k].family == view[i].family &&
                memcmp(view[k].local, view[i].local, sizeof(view[i].local)) == 0)
                return;
        q->cookies[i] = view[i].cookie;
        q->ports[i] = view[i].local_port;
        sockdiag_ask(at(q->requests, i), &view[i], false);
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
    bool back = false;

    if (q->n == 0)
        return -EAGAIN;
    const size_t all = q->n + q->n_gone;
    memcpy(at(q->requests, q->n), q->gone, q->n_gone * SOCKDIAG_ASK_SIZE);
    int rc = netlink_send_all(nl, q->requests, all * SOCKDIAG_ASK_SIZE);
    // The kernel has answered within our send: each request with a datagram of its own, in order.
    while (rc == 0 && answers < all) {
        int n = netlink_receive(nl);
        size_t from = 0;
        struct netlink_message m;
        struct sockdiag k;
        if (n <= 0)
            return n < 0 ? n : -EAGAIN;
        while (netlink_next(nl->chunk, (size_t)n, &from, &m)) {
            if (m.seq != nl->seq)
                continue;
            if (answers++ >= q->n) {
                back = back || sockdiag_is_socket(m.type);
                continue;
            }
            if (!sockdiag_is_socket(m.type) || sockdiag_parse(m.body, m.len, &k) != 0)
                continue; // gone, or another socket has its address now
            int i = index_of(q, k.cookie);
            if (i < 0 || k.state != SOCKDIAG_LISTEN)
                continue;
            ret[i] = k;
            known++;
        }
    }
    return rc < 0 ? rc : known == q->n && !back ? 0 : -EAGAIN;
}
