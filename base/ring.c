// SPDX-License-Identifier: Apache-2.0
#include "base/ring.h"
#include <errno.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CACHE_LINE 64

/*
 * head and tail only grow; slots are indexed modulo the capacity. Each side writes one of them.
 *
 * The wake-up must not be lost between "the consumer found nothing" and "the producer added":
 * the producer stores tail, then loads head; the consumer stores head, then loads tail. All four
 * are sequentially consistent, so at least one side sees the other's store: either the consumer
 * finds the item, or the producer sees that everything before it was taken and writes the
 * eventfd.
 */
struct ring {
    alignas(CACHE_LINE) _Atomic size_t head; // next to take
    alignas(CACHE_LINE) _Atomic size_t tail; // next to fill
    alignas(CACHE_LINE) size_t mask;
    int event_fd;
    void *slots[];
};

struct ring *ring_new(size_t capacity)
{
    if (capacity == 0 || (capacity & (capacity - 1)) != 0 ||
        capacity > SIZE_MAX / 2 / sizeof(void *)) {
        errno = EINVAL;
        return NULL;
    }
    size_t size = sizeof(struct ring) + capacity * sizeof(void *);
    struct ring *r =
        aligned_alloc(CACHE_LINE, (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    if (!r)
        return NULL;
    r->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (r->event_fd == -1) {
        free(r);
        return NULL;
    }
    atomic_init(&r->head, 0);
    atomic_init(&r->tail, 0);
    r->mask = capacity - 1;
    return r;
}

void ring_free(struct ring *r)
{
    if (!r)
        return;
    close(r->event_fd);
    free(r);
}

size_t ring_push_all(struct ring *r, void *const *items, size_t n)
{
    size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    size_t room = r->mask + 1 - (tail - atomic_load_explicit(&r->head, memory_order_acquire));
    n = n < room ? n : room;
    if (!n)
        return 0;
    for (size_t i = 0; i < n; i++)
        r->slots[(tail + i) & r->mask] = items[i];
    atomic_store(&r->tail, tail + n);
    if (atomic_load(&r->head) == tail) {
        // Fails only with EAGAIN when the counter is full, and then the consumer is woken anyway.
        uint64_t one = 1;
        ssize_t written = write(r->event_fd, &one, sizeof(one));
        (void)written;
    }
    return n;
}

bool ring_push(struct ring *r, void *item)
{
    return ring_push_all(r, &item, 1) == 1;
}

void *ring_pop(struct ring *r)
{
    size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    if (head == atomic_load(&r->tail))
        return NULL;
    void *item = r->slots[head & r->mask];
    atomic_store(&r->head, head + 1);
    return item;
}

size_t ring_len(const struct ring *r)
{
    // head first: tail can only have moved on since, so the difference is never negative.
    size_t head = atomic_load(&r->head);
    return atomic_load(&r->tail) - head;
}

size_t ring_capacity(const struct ring *r)
{
    return r->mask + 1;
}

int ring_fd(const struct ring *r)
{
    return r->event_fd;
}

void ring_drain_wakeup(struct ring *r)
{
    uint64_t count;
    ssize_t n = read(r->event_fd, &count, sizeof(count));
    (void)n; // EAGAIN: nothing was written
}
