// SPDX-License-Identifier: Apache-2.0
/*
 * The series of one listening service: whether it listens, its state, its accept queue. Hung to the
 * service as data[0] by tcp.listen, which fills the numbers in.
 *
 * One owner, loop thread.
 */
#pragma once
#include "agent/oom.h"
#include "agent/output.h"
#include "agent/service.h"
#include "agent/sockdiag.h"

struct shown {
    uint32_t listening, state[SERVICE_STATES], queue, queue_max, limit, drops;
    uint32_t queue_now, limit_now, queue_top;
    uint64_t drops_total;
    bool drops_known, dropped; // dropped: since the last look
    int64_t drops_told_ms;     // wall clock
    struct oom_watch oom;      // of its unit's or container's cgroup
};

// Names the series and hangs them to the service; out of memory: it shows nothing.
void shown_declare(struct service *s, struct output *o);
void shown_state(const struct shown *w, struct output *o, const struct service *s);
void shown_end(const struct shown *w, struct output *o); // stale markers
// One look at a service's queues: begin, then each of its sockets, then end. NULL shows nothing. drops is
// the kernel's count at the last look, and written: it goes with its socket, ours goes on.
void shown_look_begin(struct shown *w);
void shown_look_add(struct shown *w, const struct sockdiag *k, uint32_t *drops);
// True when connections were dropped since the look before.
bool shown_look_end(struct shown *w);
void shown_queues(struct shown *w, struct output *o); // the samples of a tick
void shown_free(struct service *s);
