// SPDX-License-Identifier: Apache-2.0
/*
 * What an agent says of itself with every body: who it is, its labels, its samplers, what it can do. Filled
 * in at the start; the pusher borrows it and adds which frames are held.
 *
 * Borrows the configuration of the start and the names of samplers. Loop thread.
 */
#pragma once
#include "agent/agentid.h"
#include "agent/config.h"
#include "agent/schedule.h"
#include "wire/batch.h"

struct session {
    struct wire_session wire;
    struct wire_sampler samplers[WIRE_SAMPLERS_MAX];
};

// Must not move afterwards. repairs: some may be asked of it.
void session_init(struct session *s, const struct agentid *id, const struct agent_config *c,
    const char *version, bool repairs);
void session_samplers(
    struct session *s, const struct schedule *schedule); // those there are now
