// SPDX-License-Identifier: Apache-2.0
/*
 * Alertmanager's API, version 2, over the ledger and the silences: what amtool and dashboards ask.
 *
 *     GET  /api/v2/status, receivers, alerts, alerts/groups, silences, silence/ID
 *     POST /api/v2/silences          DELETE /api/v2/silence/ID
 *     GET, POST, DELETE /api/v2/tocsin/acks      our own, see api_acks.h
 *
 * Alerts cannot be posted: they come from rules here. Answers in the notify thread, which owns
 * both; every answer is a whole JSON text and a status. Source: Alertmanager's OpenAPI document.
 */
#pragma once
#include "collector/ack.h"
#include "collector/config.h"
#include "collector/ledger.h"
#include "collector/request.h"
#include "collector/silence.h"

struct api_v2 {
    const struct config *config;
    const struct ledger *ledger;
    struct silences *silences;
    const char *version, *external_url;
    int64_t started_ms;
    void *ctx;
    const char *(*receiver)(void *ctx, uint32_t lane); // name of the lane's receiver
    const struct route *(*route)(void *ctx, uint32_t lane);
    struct acks *acks;
    // A silence was made, changed or ended: to be kept, and alerts to be looked at.
    void (*changed)(void *ctx, const struct silence *s);
    // The same of an acknowledgement of n.
    void (*acked)(void *ctx, const struct ack *a, const struct notice *n);
};
void api_v2_answer(const struct api_v2 *a, struct request *r, int64_t now_ms);
