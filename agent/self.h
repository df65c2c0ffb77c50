// SPDX-License-Identifier: Apache-2.0
/*
 * What the agent tells about itself, job="tocsin": cost and state of each sampler, what was late,
 * lost, dropped or could not be sent. A caller-owned sampler: schedule_add(s, &sampler_self, 1000,
 * self_new(...)), the last in the list so that it sees the second it closes.
 */
#pragma once
#include "agent/feed.h"
#include "agent/sampler.h"
#include "agent/schedule.h"

struct self_sources {
    struct schedule *schedule;
    struct feed *feed;
    const struct spool *spool;
    const struct pusher *push;
};

struct self *self_new(const struct env *env, const struct self_sources *from); // NULL: memory
extern const struct sampler_ops sampler_self; // closes and frees what self_new made
