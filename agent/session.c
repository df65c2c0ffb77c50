// SPDX-License-Identifier: Apache-2.0
#include "agent/session.h"
#include "agent/sampler.h"
#include <string.h>

void session_init(struct session *s, const struct agentid *id, const struct agent_config *c,
    const char *version, bool repairs)
{
    static const char *const CAPABILITIES[] = {WIRE_CAPABILITY_REPAIRS};
    s->wire = (struct wire_session){.epoch = id->epoch,
        .nonce = id->nonce,
        .host = c->host,
        .version = version,
        .protocol_min = WIRE_PROTOCOL,
        .protocol_max = WIRE_PROTOCOL,
        .labels = c->labels,
        .n_labels = c->n_labels,
        .samplers = s->samplers,
        .capabilities = CAPABILITIES,
        .n_capabilities = repairs ? 1 : 0};
    memcpy(s->wire.agent_id, id->id, sizeof(s->wire.agent_id));
    memcpy(s->wire.boot_id, id->boot_id, sizeof(s->wire.boot_id));
}

void session_samplers(struct session *s, const struct schedule *schedule)
{
    size_t n = schedule_count(schedule);
    if (n > WIRE_SAMPLERS_MAX)
        n = WIRE_SAMPLERS_MAX;
    for (size_t i = 0; i < n; i++) {
        const struct sampler *from = schedule_at(schedule, i);
        s->samplers[i] = (struct wire_sampler){from->ops->name, from->interval_ms};
    }
    s->wire.n_samplers = n;
}
