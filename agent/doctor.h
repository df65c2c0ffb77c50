// SPDX-License-Identifier: Apache-2.0
/* The table of --doctor: what this agent can measure here, and for what it cannot, why. */
#pragma once
#include "agent/agentid.h"
#include "agent/config.h"
#include "agent/schedule.h"

// id may be NULL: it could not be opened, and id_error says why. Returns the number of samplers that
// are not available; out holds the text.
int doctor_print(const struct schedule *s, const struct agent_config *c,
    const struct agentid *id, const char *id_error, struct buf *out);
// Plain http beyond this machine: who can speak in the collector's place can ask for repairs.
bool doctor_open_wire(const char *url);
// A line per action that may be run here.
void doctor_repairs(const struct agent_config *c, struct buf *out);
