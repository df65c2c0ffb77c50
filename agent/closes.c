// SPDX-License-Identifier: Apache-2.0
#include "agent/closes.h"
#include "agent/listen.h"
#include "agent/sockdiag.h"
#include <errno.h>
#include <sys/socket.h>

#define SLICE_NS      150000
#define MANY          100
#define MANY_NS       (10 * NS_PER_MS)
#define RECEIVE_BYTES (8 << 20)
#define ROOMY_BYTES   (4 << 20) // for 3,000 closes and more
#define REST_NS       (430 * NS_PER_MS)

// Offsets into the message: netlink header 16; then family, state, timer, retransmits, local port, peer
// port; attributes after 72 bytes.
enum {
    AT_LOCAL_PORT = 16 + 4,
    AT_PEER_PORT = 16 + 6,
    AT_ATTRIBUTES = 16 + 72,
    ATTRIBUTE_INFO = 2,
    INFO_BYTES_ACKED = 4 + 120, // within the attribute
    INFO_SEGS_OUT = 4 + 136,
};

static int64_t real_ns(void)
{
    struct clock c = clock_system();
    return clock_mono_ns(&c);
}

unsigned short closes_filter(
    struct sock_filter code[static CLOSES_FILTER_MAX], const uint16_t *ports, size_t n)
{
    const struct sock_filter pass = BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
    const struct sock_filter has_peer[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, AT_PEER_PORT),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), // a listener
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, AT_LOCAL_PORT),
    };
    // Nothing acknowledged, not even its SYN, but something sent: an abort has cleared both.
    const struct sock_filter failed[] = {
        BPF_STMT(BPF_LDX | BPF_IMM, ATTRIBUTE_INFO),
        BPF_STMT(BPF_LD | BPF_IMM, AT_ATTRIBUTES),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_NLATTR)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 7, 0),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_IND, INFO_BYTES_ACKED),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_IND, INFO_BYTES_ACKED + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_IND, INFO_SEGS_OUT),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    unsigned short at = 0;

    for (size_t i = 0; i < sizeof(has_peer) / sizeof(has_peer[0]); i++)
        code[at++] = has_peer[i];
    if (n > CLOSES_PORTS_MAX) {
        code[at++] = pass;
        return at;
    }
    for (size_t i = 0; i < n; i++) {
        code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ports[i], 0, 1);
        code[at++] = pass;
    }
    for (size_t i = 0; i < sizeof(failed) / sizeof(failed[0]); i++)
        code[at++] = failed[i];
    code[at++] = pass;
    _Static_assert(sizeof(has_peer) + sizeof(failed) + sizeof(pass) <=
                       (CLOSES_FILTER_MAX - 2 * CLOSES_PORTS_MAX) * sizeof(pass),
        "room for the program");
    return at;
}

int closes_ports(struct closes *c, const uint16_t *ports, size_t n)
{
    struct sock_filter code[CLOSES_FILTER_MAX];

    return netlink_filter(&c->netlink, code, closes_filter(code, ports, n));
}

// The kernel says that there was no room once for each time; how many they were is counted apart, and
// goes on until the buffer was empty.
static void count_lost(struct closes *c)
{
    uint32_t drops;

    if (netlink_drops(&c->netlink, &drops) < 0)
        return;
    c->lost += (uint32_t)(drops - c->drops);
    c->drops = drops;
}

bool closes_of_others(struct closes *c, uint64_t own, uint64_t taken)
{
    uint64_t open = c->own_open + own - c->own, left = open > taken ? open - taken : 0;

    c->own = own;
    c->own_open = left < CLOSES_OWN_OPEN ? left : CLOSES_OWN_OPEN;
    return taken > open;
}

bool closes_drain(struct closes *c)
{
    int64_t wall = real_ns(), begun = 0;
    int n, taken = 0;

    while ((n = netlink_receive(&c->netlink)) != 0) {
        size_t at = 0;
        struct netlink_message m;
        if (taken++ == 0) {
            // Not before: most drains find nothing, and reading that clock costs as much.
            begun = sampler_cpu_begin();
            c->begin(c->ctx);
        }
        if (n == -ENOBUFS) {
            c->overrun = true;
            count_lost(c);
        } else if (n < 0) {
            break;
        }
        while (n > 0 && netlink_next(c->netlink.chunk, (size_t)n, &at, &m))
            if (sockdiag_is_socket(m.type))
                c->event(c->ctx, &m);
        if (real_ns() - wall >= SLICE_NS)
            break;
    }
    if (n == 0 && c->overrun) {
        count_lost(c);
        c->overrun = false;
    }
    if (taken)
        sampler_cpu_end(c->sampler, begun);
    // Being woken for each close costs ten times as much as taking them by the batch, so nothing
    // wakes us for them: we look when tcp.listen does, and sooner while there are many.
    int64_t now = real_ns();
    if (closes_of_others(c, pulse_own(c->sampler->env->pulse), (uint64_t)taken))
        pulse_seen(c->sampler->env->pulse, now);
    // In another namespace, where nobody wakes us, twice a second while nothing comes and there is room
    // for what may.
    int64_t from = c->roomy && !taken && c->sampler->env->netns ? now + REST_NS : now;
    loop_timer_set(c->timer, n > 0          ? now
                             : taken < MANY ? pulse_next_ns(c->sampler->env->pulse, from)
                                            : now + MANY_NS);
    return n == 0;
}

void closes_soon(struct closes *c)
{
    loop_timer_set(c->timer, real_ns());
}

int closes_leave(struct closes *c, bool leave)
{
    int rc = netlink_groups(&c->netlink, SOCKDIAG_GROUPS_DESTROY, !leave);

    if (rc == 0)
        c->left = leave;
    return rc;
}

static void on_timer(void *ctx, int64_t due, int64_t now)
{
    struct closes *c = ctx;

    (void)due;
    (void)now;
    closes_drain(c);
    c->drained(c->ctx);
}

static void on_wake(void *ctx)
{
    closes_soon(ctx);
}

int closes_open(struct closes *c, struct sampler *s)
{
    int rc;

    c->sampler = s;
    c->netlink.fd = -1;
    c->timer = loop_timer_new(s->env->loop, on_timer, c);
    if (!c->timer)
        return -ENOMEM;
    rc = netns_netlink(
        s->env->netns, NETNS_CLOSES, &c->netlink, SOCKDIAG_GROUPS_DESTROY, RECEIVE_BYTES);
    if (rc == 0) {
        int bytes = 0;
        socklen_t len = sizeof(bytes);
        c->roomy = getsockopt(c->netlink.fd, SOL_SOCKET, SO_RCVBUF, &bytes, &len) == 0 &&
                   bytes >= ROOMY_BYTES;
    }
    // Until it is known who the services are, all connections.
    if (rc == 0)
        rc = closes_ports(c, NULL, CLOSES_PORTS_MAX + 1);
    if (rc == 0)
        loop_timer_set(c->timer, pulse_next_ns(s->env->pulse, real_ns()));
    c->hook = (struct pulse_hook){.wake = on_wake, .ctx = c};
    pulse_hook(s->env->pulse, &c->hook);
    return rc;
}

void closes_close(struct closes *c)
{
    if (c->sampler)
        pulse_unhook(c->sampler->env->pulse, &c->hook);
    loop_timer_free(c->timer);
    c->timer = NULL;
    netlink_close(&c->netlink);
}
