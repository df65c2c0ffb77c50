// SPDX-License-Identifier: Apache-2.0
/*
 * What receivers were sent and did not take, and what a person has them sent:
 *
 *     GET  /api/v1/hooks                    each integration: how it goes, what waits, dead letters
 *     GET  /api/v1/hooks/letters            dead letters, oldest first; receiver, since, after, limit
 *     GET  /api/v1/hooks/letter?id=         one, with its body
 *     GET  /api/v1/hooks/errand?id=         what became of a test or a replay
 *     POST /api/v1/hooks/test?receiver=     a drill through all its integrations
 *     POST /api/v1/hooks/replay?id= | receiver=[&since=]   [&anyway=1]
 *     POST /api/v1/hooks/dismiss?id= | receiver=
 *     GET  /api/v1/hooks/log                the delivery log: answered by archive.h
 *
 * A receiver is named as in the configuration, which means all its integrations, or as "name/slack0",
 * one of them. Answers in the notify thread, in the Prometheus way: status and data.
 */
#pragma once
#include "collector/deliveries.h"
#include "collector/lanes.h"
#include "collector/ledger.h"
#include "collector/request.h"

#define API_HOOKS_PREFIX "/api/v1/hooks"

struct api_hooks {
    struct lanes *lanes;
    struct deliveries *deliveries;
    const struct ledger *ledger;
};
void api_hooks_answer(const struct api_hooks *a, struct request *r);
// The value of the last parameter of that name; NULL: it was not given.
const char *api_hooks_parameter(const struct request *r, const char *name);
// A parameter that is a number. False and *ret as it was: answered with 400 already.
bool api_hooks_number(struct request *r, const char *name, uint64_t *ret);
bool api_hooks_time(struct request *r, const char *name, int64_t *ret_ms); // likewise
