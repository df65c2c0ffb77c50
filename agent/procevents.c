// SPDX-License-Identifier: Apache-2.0
#include "agent/procevents.h"
#include "agent/listen.h"
#include "agent/netlink.h"
#include "agent/unix_listen.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define RECEIVE_BYTES (1 << 20)

// The kernel's interface, by offset into the message: the structs of the installed headers may be
// older and shorter.
enum {
    AT_LENGTH = 16, // of cn_msg: 20 bytes, then the event
    AT_WHAT = 20,
    AT_ERROR = 36,
    AT_PID = 36,
    AT_TGID = 40,
    AT_CODE = 44,
    AT_PARENT_TGID = 56,
    HEADER = 16,
};
#define WHAT_NONE 0u
#define WHAT_EXIT 0x80000000u

struct procevents {
    struct netlink netlink;
    struct loop_io *io;
};

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

int procevents_parse(const uint8_t *body, size_t len, struct service_exit *ret, int *ret_error)
{
    uint16_t said;

    if (len < AT_WHAT + 4)
        return -EBADMSG;
    if (get32(body) != CN_IDX_PROC || get32(body + 4) != CN_VAL_PROC)
        return 0;
    memcpy(&said, body + AT_LENGTH, sizeof(said));
    if (said > len - AT_WHAT)
        return -EBADMSG;
    uint32_t what = get32(body + AT_WHAT);
    if (what == WHAT_NONE) {
        if (len < AT_ERROR + 4)
            return -EBADMSG;
        *ret_error = (int)get32(body + AT_ERROR);
        return 2;
    }
    if (what != WHAT_EXIT)
        return 0;
    if (len < AT_CODE + 4)
        return -EBADMSG;
    uint32_t status = get32(body + AT_CODE);
    int signal = status & 0x7f;
    // A thread that just ends is not the end of its process; one that dies by a signal is.
    if (get32(body + AT_PID) != get32(body + AT_TGID) && signal == 0)
        return 0;
    *ret = (struct service_exit){
        .pid = (int32_t)get32(body + AT_TGID),
        .parent = len >= AT_PARENT_TGID + 4 ? (int32_t)get32(body + AT_PARENT_TGID) : 0,
        .signal = signal,
        .core = status & 0x80,
        .code = signal ? 0 : (int)(status >> 8 & 0xff),
    };
    return 1;
}

#define DEAD_MAX 16 // of one datagram; the kernel tells of each in one of its own

// 1 = our subscription was answered.
static int receive(struct sampler *s, int *ret_error)
{
    struct procevents *p = s->state;
    struct service_exit dead[DEAD_MAX];
    int n, answered = 0;

    while ((n = netlink_receive(&p->netlink)) != 0) {
        size_t at = 0, n_dead = 0;
        struct netlink_message m;
        if (n == -ENOBUFS) // deaths were missed: their listeners are judged after the grace
            continue;
        if (n < 0)
            return n;
        while (netlink_next(p->netlink.chunk, (size_t)n, &at, &m)) {
            int kind = n_dead < DEAD_MAX
                           ? procevents_parse(m.body, m.len, &dead[n_dead], ret_error)
                           : 0;
            answered |= kind == 2;
            n_dead += kind == 1;
        }
        // Only now: who is told looks at the kernel's tables, into the same buffer.
        for (size_t i = 0; i < n_dead; i++) {
            if (s->env->listen)
                listen_exit(s->env->listen, &dead[i]);
            if (s->env->unix_listen)
                unix_listen_exit(s->env->unix_listen, &dead[i]);
        }
    }
    return answered;
}

static void on_readable(void *ctx, int fd, uint32_t events)
{
    struct sampler *s = ctx;
    int64_t begun = sampler_cpu_begin();
    int error;

    (void)fd;
    (void)events;
    receive(s, &error);
    sampler_cpu_end(s, begun);
}

unsigned short procevents_filter(
    struct sock_filter code[static PROCEVENTS_FILTER_MAX], const int32_t *owners, size_t n)
{
    // The filter reads big-endian words, the kernel wrote its own order: compare swapped.
    const struct sock_filter begin[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, HEADER + AT_WHAT),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, WHAT_NONE, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(WHAT_EXIT), 1, 8),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, HEADER + AT_CODE),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, htonl(0x7f), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        // A thread that just ends is not the end of its process.
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, HEADER + AT_PID),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, HEADER + AT_TGID),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const bool all = n > PROCEVENTS_OWNERS_MAX;
    unsigned short at = sizeof(begin) / sizeof(begin[0]);

    memcpy(code, begin, sizeof(begin));
    for (size_t i = 0; i < n && !all; i++) {
        uint32_t pid = htonl((uint32_t)owners[i]);
        code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, pid, 0, 1);
        code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
    }
    code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, all ? UINT32_MAX : 0);
    return at;
}

static int filter(struct sampler *s)
{
    struct procevents *p = s->state;
    struct sock_filter code[PROCEVENTS_FILTER_MAX];
    int32_t owners[PROCEVENTS_OWNERS_MAX];
    size_t n =
        s->env->listen ? listen_owners(s->env->listen, owners, PROCEVENTS_OWNERS_MAX) : 0;
    int rc = netlink_filter(&p->netlink, code, procevents_filter(code, owners, n));

    // The one before does not know a new owner: rather everybody than not that one.
    if (rc < 0)
        rc = netlink_filter(
            &p->netlink, code, procevents_filter(code, NULL, PROCEVENTS_OWNERS_MAX + 1));
    return rc;
}

static void on_owners(void *ctx)
{
    struct sampler *s = ctx;
    int rc = filter(s);

    s->reason[0] = '\0';
    if (rc < 0)
        snprintf(s->reason, sizeof(s->reason), "filter: %s (a non-zero exit may be missed)",
            strerror(-rc));
}

static int subscribe(struct procevents *p)
{
    uint8_t body[sizeof(struct cn_msg) + sizeof(uint32_t)] = {0};
    struct cn_msg head = {
        .id = {.idx = CN_IDX_PROC, .val = CN_VAL_PROC}, .len = sizeof(uint32_t)};
    uint32_t listen = PROC_CN_MCAST_LISTEN;

    memcpy(body, &head, sizeof(head));
    memcpy(body + sizeof(head), &listen, sizeof(listen));
    return netlink_send(&p->netlink, NLMSG_DONE, 0, body, sizeof(body));
}

static void sampler_close(struct sampler *s)
{
    struct procevents *p = s->state;

    if (!p)
        return;
    if (s->env->listen)
        listen_on_owners(s->env->listen, NULL, NULL);
    loop_io_del(p->io);
    netlink_close(&p->netlink);
    free(p);
    s->state = NULL;
}

static int sampler_open(struct sampler *s)
{
    struct procevents *p = calloc(1, sizeof(*p));
    const char *what = "process connector";
    int rc = -ENOMEM, error = 0;

    if (!p)
        goto fail;
    s->state = p;
    p->netlink.fd = -1;
    rc = netlink_open(&p->netlink, NETLINK_CONNECTOR, CN_IDX_PROC, RECEIVE_BYTES);
    if (rc == -EPERM) {
        what = "process connector needs CAP_NET_ADMIN (crashes are judged after 2 s)";
        s->lacks = 1ull << CAP_NET_ADMIN;
    }
    if (rc < 0)
        goto fail;
    rc = filter(s);
    if (rc == 0)
        rc = subscribe(p);
    if (rc < 0)
        goto fail;
    // The kernel answers within our send, or, outside the host's pid namespace, never.
    rc = receive(s, &error);
    if (rc == 1)
        rc = error ? -error : 0;
    else if (rc == 0) {
        what = "process connector answers only in the host's pid namespace";
        s->fix = "run the agent in the host's pid namespace (docker run --pid=host)";
        rc = -EOPNOTSUPP;
    }
    if (rc < 0)
        goto fail;
    rc = -ENOMEM;
    p->io = loop_io_add(s->env->loop, p->netlink.fd, EPOLLIN, on_readable, s);
    if (!p->io)
        goto fail;
    if (s->env->listen)
        listen_on_owners(s->env->listen, on_owners, s);
    return 0;
fail:
    snprintf(s->reason, sizeof(s->reason), "%s: %s", what, strerror(-rc));
    sampler_close(s);
    return rc;
}

const struct sampler_ops procevents_sampler = {
    .name = "proc.events",
    .interval_ms = 0,
    .open = sampler_open,
    .close = sampler_close,
};
