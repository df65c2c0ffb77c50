// SPDX-License-Identifier: Apache-2.0
// Alerts of an earlier run go on in the rules of this one.
#include "base/map.h"
#include "rules/engine_state.h"
#include <errno.h>

static uint64_t mix(uint64_t h, const char *text)
{
    return hash_bytes(text, strlen(text) + 1, h);
}

// Without its place among equals.
static uint64_t base_identity(const struct rule_group *g, const struct rule *r)
{
    uint64_t h = mix(mix(r->kind, g->name), r->name);
    for (size_t i = 0; i < r->n_labels; i++)
        h = mix(mix(h, r->labels[i].name), r->labels[i].text);
    return h;
}

void ruleset_identify(struct ruleset *s)
{
    for (size_t i = 0; i < s->n_groups; i++) {
        struct rule_group *g = &s->groups[i];
        for (size_t k = 0; k < g->n_rules; k++)
            g->rules[k].identity = base_identity(g, &g->rules[k]);
        // From the end, so that those before still have the plain one.
        for (size_t k = g->n_rules; k-- > 0;) {
            uint64_t place = 0, *own = &g->rules[k].identity;
            for (size_t x = 0; x < k; x++)
                place += g->rules[x].identity == *own;
            *own = hash_bytes(&place, sizeof(place), *own);
        }
    }
}

int engine_restore(struct engine *e, uint64_t rule_identity, const struct alert *a)
{
    for (size_t i = 0; i < e->n_groups; i++)
        for (size_t k = 0; k < e->groups[i].group->n_rules; k++) {
            struct rule_state *r = &e->groups[i].rules[k];
            if (r->rule->disabled || r->rule->kind != RULE_ALERT ||
                r->rule->identity != rule_identity)
                continue;
            int rc = alert_set_restore(&r->alerts, a);
            if (rc == 0)
                engine_alert_ids(e, a->id);
            return rc;
        }
    return -ENOENT;
}

void engine_alert_ids(struct engine *e, uint64_t last)
{
    if (last > e->last_alert_id)
        e->last_alert_id = last;
}
