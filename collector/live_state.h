// SPDX-License-Identifier: Apache-2.0
/*
 * The JSON of LIVE_STATE (see live.h): alerts, agents, rule health and the banner as they are now.
 * The engine forgets when an alert was decided and what was resolved; this remembers both from
 * the notices, for LIVE_RESOLVED_MS and at most LIVE_RESOLVED_MAX alerts. Shard thread.
 */
#pragma once
#include "collector/api.h"

#define LIVE_RESOLVED_MAX 500

struct live_state;
struct live_state *live_state_new(const struct api_context *c); // c borrowed, may be NULL
void live_state_free(struct live_state *s);
void live_state_notice(struct live_state *s, const struct notice *n);
int live_state_json(struct live_state *s, struct pipeline *p, int64_t now_ms, struct buf *out);
