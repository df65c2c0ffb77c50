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

struct shown {
    uint32_t listening, state[SERVICE_STATES], queue, queue_max, limit, drops;
    uint32_t queue_now, limit_now, queue_top;
    uint64_t drops_total;
    bool drops_known;
    struct oom_watch oom; // of its unit's or container's cgroup
};

// Names the series and hangs them to the service; out of memory: it shows nothing.
void shown_declare(struct service *s, struct output *o);
void shown_state(const struct shown *w, struct output *o, const struct service *s);
void shown_end(const struct shown *w, struct output *o); // stale markers
void shown_free(struct service *s);
