// SPDX-License-Identifier: Apache-2.0
#include "collector/fallback.h"

struct looking {
    const struct fallback *f;
    uint32_t from;
    size_t said;
};

static bool goes_there(
    const struct fallback *f, const struct ledger_lane *l, size_t n, uint32_t to)
{
    for (size_t i = 0; i < n; i++)
        if (f->same(f->ctx, l[i].lane, to) && !(l[i].left && l[i].said == TOLD_OVER))
            return true;
    return false;
}

// False: to be asked again.
static bool late(void *ctx, uint64_t alert_id)
{
    struct looking *x = ctx;
    const struct fallback *f = x->f;
    struct ledger_lane there[LEDGER_LANES_MAX];
    uint32_t to[FALLBACK_LANES_MAX];
    const struct notice *n = ledger_notice(f->ledger, alert_id);
    bool done = true;
    if (!n || n->to != ALERT_FIRING)
        return true; // there is nothing to do about it any more
    size_t lanes = f->lanes(f->ctx, x->from, to, FALLBACK_LANES_MAX);
    for (size_t i = 0; i < lanes; i++) {
        size_t count = ledger_lanes(f->ledger, alert_id, there);
        if (goes_there(f, there, count, to[i]))
            continue;
        if (f->muted(f->ctx, n, to[i]) ||
            ledger_join(f->ledger, alert_id, to[i], TOLD_FIRING, true) < 0) {
            done = false;
            continue;
        }
        f->joined(f->ctx, alert_id);
        f->say(f->ctx, to[i], n);
        x->said++;
    }
    return done;
}

size_t fallback_look(
    const struct fallback *f, uint32_t from, struct deliver *queue, int64_t now_ms)
{
    struct looking x = {.f = f, .from = from};
    if (deliver_late_next(queue) <= now_ms)
        deliver_late(queue, now_ms, now_ms + FALLBACK_LOOK_MS, late, &x);
    return x.said;
}
