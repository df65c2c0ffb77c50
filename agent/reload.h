// SPDX-License-Identifier: Apache-2.0
/*
 * SIGHUP: the configuration is read again and taken over by those parts of the agent that can follow it
 * (parts.h), the whole of it or nothing. What it would change of the rest - identity, labels, where frames
 * go, the executor's list - is told in the log, for it needs a restart.
 *
 * Loop thread. Logs itself: a signal has nobody to answer to.
 */
#pragma once
#include "agent/config_read.h"
#include "agent/parts.h"

// The configuration that is in force from now on, the caller's; old is not looked at by parts any more. NULL:
// old stays in force.
struct agent_config *reload(const char *path, const struct config_override *over,
    const struct agent_config *old, struct parts *parts);
