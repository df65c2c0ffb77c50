// SPDX-License-Identifier: Apache-2.0
/*
 * The life of one agent: identity, samplers, frames, push and the one loop they share.
 *
 *     configuration --> identity --> push --> samplers --> parts --> loop
 *                                     ^ SIGHUP: read again              | SIGTERM, SIGINT: goodbye, told
 *                                                                       | ids used up: CORE_RENEW
 *
 * Wiring only. What is decided here: what is logged, when to stop, when to start anew. One per process,
 * on the thread that calls; nothing of it is left when a function returns.
 */
#pragma once
#include "agent/config_read.h"
#include "agent/executor.h"
#include "base/clock.h"

#ifndef TOCSIN_VERSION
#define TOCSIN_VERSION "0.1.0"
#endif

struct netns_door;

struct core_options {
    const char *config_path; // NULL: where it usually is
    struct config_override over;
    struct agent_config *config; // what these two gave at the start; taken over
    struct executor executor;    // fd -1: none
    struct netns_door *netns_door;
    struct clock clock; // the host's
};

enum core_end {
    CORE_STOPPED, // as asked
    CORE_FAILED,  // it is logged why
    CORE_RENEW,   // by another process: ids are never given twice in a session
};

enum core_end core_run(const struct core_options *o);
// What can be measured here, to stdout. CORE_FAILED: not all of it.
enum core_end core_doctor(const struct core_options *o);
