// SPDX-License-Identifier: Apache-2.0
/*
 * What waits for one slow viewer: shared messages, oldest first, at most the newest of each kind.
 *
 *     SERIES 2   STATE   POINTS 2   BEAT          STATE: takes the place of the older one
 *
 * Which message replaces which: the same type of the same subscription. A snapshot of points goes
 * to the end instead, because it must follow its table. Points that would replace points that are
 * no snapshot are refused: then something is missing in between, and the viewer has to ask.
 */
#pragma once
#include "collector/request.h"

#define OUTBOX_BYTES_MAX (32u << 20) // beyond, series and points are refused

// A message on its way to many viewers: one copy, freed with the last reference.
struct live_shared {
    size_t refs;
    struct live_out *m;
};
struct live_shared *live_shared_new(
    struct live_out *m);                       // owns m; one reference; NULL: no memory
void live_shared_unref(struct live_shared *s); // NULL allowed

struct outbox { // all zero is empty
    struct live_shared **s;
    size_t n, cap, bytes;
};
void outbox_done(struct outbox *b);
// Takes a reference of its own. 0; -ENOBUFS: points would be missing; -ENOMEM.
int outbox_put(struct outbox *b, struct live_shared *s);
struct live_shared *outbox_take(struct outbox *b); // the oldest with its reference; NULL: empty
void outbox_clear(struct outbox *b, uint16_t sub); // drops what waits of a subscription
