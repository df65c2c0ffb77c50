// SPDX-License-Identifier: Apache-2.0
/*
 * The series of connections that are of a network namespace as a whole and of no service: connects of
 * this host's that came to nothing, and how much of what closes and opens is known.
 *
 *     tocsin_connects_failed_total{error}    a socket that closes unheard-of    refused: it was answered
 *     tocsin_agent_events_lost_total         multicasts there was no room for
 *     tocsin_agent_events_subscribed         0 while they are left (closes_limit.h)
 *     tocsin_agent_coverage_ratio            coverage.h
 *
 * Owned by tcp.established, one for each network namespace, loop thread.
 */
#pragma once
#include "agent/coverage.h"
#include "agent/output.h"
#include "agent/sockdiag.h"

enum {
    NAMESPACE_LOST,
    NAMESPACE_TOLD,
    NAMESPACE_COVERED,
    NAMESPACE_REFUSED,
    NAMESPACE_UNANSWERED,
    NAMESPACE_SERIES
};

struct namespace_shown {
    uint32_t ids[NAMESPACE_SERIES];
    uint64_t refused, unanswered;
    struct coverage coverage; // the owner's to fill
};

// netns: the value of that label, "" = the agent's own.
void namespace_declare(struct namespace_shown *w, struct output *o, const char *netns);
// A socket of no service closed: counts it if it was a connect that failed.
void namespace_closed(struct namespace_shown *w, const struct sockdiag *k);
// The samples of a tick. told: multicasts come, of which `lost` were lost in all.
void namespace_show(
    const struct namespace_shown *w, struct output *o, uint64_t lost, bool told);
void namespace_end(const struct namespace_shown *w, struct output *o); // stale markers
