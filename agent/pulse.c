// SPDX-License-Identifier: Apache-2.0
#include "agent/pulse.h"
#include "base/clock.h"
#include <errno.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t page(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static int64_t grid(const struct pulse *p, int64_t now_ns, int64_t hz)
{
    int64_t step = NS_PER_S / hz, base = p ? p->base_ns : 0;
    return base + ((now_ns - base) / step + 1) * step;
}

static uint64_t accepted(const struct pulse *p)
{
    return __atomic_load_n(&p->head->accepted, __ATOMIC_ACQUIRE);
}

static void on_ring(void *ctx, int fd, uint32_t events)
{
    struct pulse *p = ctx;
    // What is in there says nothing: taken as read.
    uint64_t end = __atomic_load_n((const uint64_t *)p->producer, __ATOMIC_ACQUIRE);

    (void)fd;
    (void)events;
    __atomic_store_n((uint64_t *)p->consumer, end, __ATOMIC_RELEASE);
    pulse_seen(p, loop_now_ns(p->loop));
}

void pulse_init(struct pulse *p, struct loop *loop)
{
    *p = (struct pulse){.loop = loop};
}

// A page of the ring; NULL, errno.
static void *ring_page(int fd, int access, size_t offset)
{
    void *at = mmap(NULL, page(), access, MAP_SHARED, fd, (off_t)offset);

    if (at == MAP_FAILED)
        return NULL;
    return at;
}

int pulse_attach(struct pulse *p, struct connection_head *head, int ring_fd)
{
    p->consumer = ring_page(ring_fd, PROT_READ | PROT_WRITE, 0);
    p->producer = p->consumer ? ring_page(ring_fd, PROT_READ, page()) : NULL;
    if (p->producer)
        p->io = loop_io_add(p->loop, ring_fd, EPOLLIN, on_ring, p);
    if (!p->io) {
        int rc = errno ? -errno : -ENOMEM;
        pulse_detach(p);
        return rc;
    }
    p->head = head;
    p->accepted = accepted(p);
    return 0;
}

void pulse_detach(struct pulse *p)
{
    loop_io_del(p->io);
    if (p->consumer)
        munmap(p->consumer, page());
    if (p->producer)
        munmap((void *)(uintptr_t)p->producer, page());
    p->io = NULL;
    p->consumer = NULL;
    p->producer = NULL;
    p->head = NULL;
    pulse_seen(p, loop_now_ns(p->loop));
}

void pulse_align(struct pulse *p, int64_t base_ns)
{
    p->base_ns = base_ns;
}

void pulse_hook(struct pulse *p, struct pulse_hook *h)
{
    if (!p)
        return;
    h->next = p->hooks;
    p->hooks = h;
}

void pulse_unhook(struct pulse *p, struct pulse_hook *h)
{
    for (struct pulse_hook **at = p ? &p->hooks : NULL; at && *at; at = &(*at)->next)
        if (*at == h) {
            *at = h->next;
            return;
        }
}

void pulse_seen(struct pulse *p, int64_t now_ns)
{
    if (!p)
        return;
    p->busy_ns = now_ns;
    if (!p->quiet)
        return;
    p->quiet = false;
    for (struct pulse_hook *h = p->hooks; h; h = h->next)
        h->wake(h->ctx);
}

int64_t pulse_next_ns(struct pulse *p, int64_t now_ns)
{
    if (!p || !p->head)
        return grid(p, now_ns, PULSE_BUSY_HZ);
    if (!p->quiet && now_ns - p->busy_ns > PULSE_REST_NS) {
        // First asked, then looked: what is accepted in between is in one of the two.
        __atomic_store_n(&p->head->watched, 1, __ATOMIC_SEQ_CST);
        p->quiet = true;
    }
    uint64_t n = accepted(p);
    if (n != p->accepted) {
        p->accepted = n;
        pulse_seen(p, now_ns);
    }
    return grid(p, now_ns, p->quiet ? PULSE_QUIET_HZ : PULSE_BUSY_HZ);
}

bool pulse_is_quiet(const struct pulse *p)
{
    return p && p->quiet;
}

uint64_t pulse_own_begin(struct pulse *p)
{
    if (!p || !p->head)
        return 0;
    __atomic_store_n(&p->head->watched, 0, __ATOMIC_SEQ_CST);
    return accepted(p);
}

void pulse_own_end(struct pulse *p, uint64_t begun, bool connected, int64_t now_ns)
{
    if (!p || !p->head)
        return;
    // First asked to be woken, then counted: what others have accepted meanwhile is in one of the two.
    if (p->quiet)
        __atomic_store_n(&p->head->watched, 1, __ATOMIC_SEQ_CST);
    // All since the last look is theirs, not only since begun: the program counts, and then looks whether it
    // is to wake us. Who was counted just before we began found us not to be woken.
    uint64_t n = accepted(p);
    if (connected && n != begun) {
        p->own++;
        p->accepted++;
    }
    if (n != p->accepted)
        pulse_seen(p, now_ns);
}

uint64_t pulse_own(const struct pulse *p)
{
    return p ? p->own : 0;
}
