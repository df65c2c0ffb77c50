// SPDX-License-Identifier: Apache-2.0
#include "agent/replay.h"

static bool held(const struct spool *s, uint64_t seq)
{
    return spool_find(s, seq) < spool_count(s);
}

bool replay_begin(struct replay *r, struct spool *s, uint64_t from, uint64_t to, int64_t now_ns)
{
    struct spool_frame f;
    if (r->next || !from || to < from)
        return false;
    if (!held(s, from))
        return false; // the session's oldest_seq has said so
    if (from >= r->sent_from && to <= r->sent_to && now_ns - r->sent_ns < REPLAY_HOLD_NS)
        return false;
    if (!spool_at(s, spool_replay(s, from), &f) || f.seq > to)
        return false;
    spool_delivered(s, from, to, false);
    r->sent_from = from;
    r->next = f.seq;
    r->end = to;
    return true;
}

uint64_t replay_next(struct replay *r, const struct spool *s)
{
    struct spool_frame f;
    if (!r->next)
        return 0;
    if (r->next < spool_oldest(s))
        r->next = spool_oldest(s); // evicted meanwhile; the oldest is a key frame
    if (!spool_at(s, spool_find(s, r->next), &f) || f.seq > r->end)
        r->next = 0;
    return r->next;
}

// From a key frame again, unless that is what was just sent; then from the next one.
static uint64_t key_for(const struct spool *s, uint64_t first, uint64_t next)
{
    struct spool_frame f;
    size_t i = spool_replay(s, first);
    if (spool_at(s, i, &f) && f.seq < first)
        return f.seq;
    for (i = spool_find(s, next); spool_at(s, i, &f) && !f.key; i++)
        next = f.seq + 1;
    return next;
}

void replay_taken(struct replay *r, const struct spool *s, uint64_t first, uint64_t last,
    bool need_key, int64_t now_ns)
{
    r->next = need_key ? key_for(s, first, last + 1) : last + 1;
    if (r->next <= r->end && held(s, r->next))
        return;
    r->sent_to = r->end;
    r->sent_ns = now_ns;
    r->next = 0;
}
