// SPDX-License-Identifier: Apache-2.0
/*
 * Bounded queue of pointers from exactly one producer thread to exactly one consumer thread: the
 * only way ownership passes between threads here. Lock-free; an eventfd wakes the consumer only
 * when the ring was empty.
 *
 *     producer thread                     consumer thread
 *     ring_push -> slots[tail++] ........ ring_pop <- slots[head++]
 *                  eventfd  ............. loop watches ring_fd, calls ring_drain_wakeup
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct ring;
struct ring *ring_new(size_t capacity); // power of two; NULL on failure
void ring_free(struct ring *r);         // what is still inside is the caller's: pop first
bool ring_push(
    struct ring *r, void *item); // producer only; false = full, item still yours; not NULL
// Producer only. As many of the items, in order, as there is room for; the consumer sees all of those
// at once or none. Returns how many; the rest are still yours.
size_t ring_push_all(struct ring *r, void *const *items, size_t n);
void *ring_pop(struct ring *r);        // consumer only; NULL = empty
size_t ring_len(const struct ring *r); // either side; a snapshot
size_t ring_capacity(const struct ring *r);
int ring_fd(const struct ring *r); // readable when there may be items
// Consumer, before popping; then pop until NULL, because no further wake-up comes for what is left.
void ring_drain_wakeup(struct ring *r);
