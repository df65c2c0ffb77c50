// SPDX-License-Identifier: Apache-2.0
#include "collector/standing.h"

static bool add(void *ctx, const struct ledger_entry *e)
{
    struct standing *s = ctx;
    if (e->notice->to == ALERT_FIRING)
        (void)map_set(&s->firing, &e->notice->fingerprint, sizeof(e->notice->fingerprint), s);
    return true;
}

void standing_init(struct standing *s, const struct ledger *ledger)
{
    *s = (struct standing){.ledger = ledger};
    map_init(&s->firing);
    ledger_each(ledger, add, s);
}

void standing_done(struct standing *s)
{
    map_done(&s->firing);
}

// Of one that was to be over any episode counts, of one that was to fire only its own.
bool standing_fires(const struct standing *s, const struct letter_alert *a)
{
    if (a->resolved)
        return map_get(&s->firing, &a->fingerprint, sizeof(a->fingerprint));
    const struct notice *n = ledger_notice(s->ledger, a->alert_id);
    return n && n->to == ALERT_FIRING;
}

size_t standing_differs(const struct standing *s, const struct letter *l)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n_alerts; i++)
        n += standing_fires(s, &l->alerts[i]) == (l->alerts[i].resolved != 0);
    return n;
}
