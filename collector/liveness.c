// SPDX-License-Identifier: Apache-2.0
#include "collector/liveness.h"

void liveness_init(struct liveness *l, int64_t now_ms)
{
    *l = (struct liveness){.state = LIVENESS_UP, .heard_ms = now_ms};
}

static bool go(struct liveness *l, enum liveness_state to)
{
    bool changed = l->state != to;
    l->state = to;
    return changed;
}

bool liveness_frame(struct liveness *l, int64_t now_ms)
{
    l->heard_ms = now_ms;
    l->closed_ms = 0;
    l->excused_ms = 0;
    return go(l, LIVENESS_UP);
}

bool liveness_closed(struct liveness *l, int64_t now_ms)
{
    // Gone said goodbye first; down is known already and stays so until a frame.
    if (l->state == LIVENESS_GONE || l->state == LIVENESS_DOWN)
        return false;
    l->closed_ms = now_ms;
    l->excused_ms = 0;
    return go(l, LIVENESS_SUSPECT);
}

bool liveness_goodbye(struct liveness *l, int64_t now_ms)
{
    l->heard_ms = now_ms;
    return go(l, LIVENESS_GONE);
}

void liveness_stall(struct liveness *l, int64_t stalled_ms)
{
    if (stalled_ms > 0)
        l->excused_ms += stalled_ms;
}

// When it is down if nothing more is heard. Silence before the close counts too: whichever comes
// first, but a connection that closes late is not excused by its close.
static int64_t down_at(const struct liveness *l)
{
    int64_t silent = l->heard_ms + LIVENESS_DOWN_MS;
    int64_t closed = l->closed_ms ? l->closed_ms + LIVENESS_CLOSED_DOWN_MS : INT64_MAX;
    return (closed < silent ? closed : silent) + l->excused_ms;
}

bool liveness_advance(struct liveness *l, int64_t now_ms)
{
    switch (l->state) {
    case LIVENESS_UP:
        if (now_ms >= down_at(l))
            return go(l, LIVENESS_DOWN);
        if (now_ms >= l->heard_ms + LIVENESS_SUSPECT_MS + l->excused_ms)
            return go(l, LIVENESS_SUSPECT);
        return false;
    case LIVENESS_SUSPECT: return now_ms >= down_at(l) && go(l, LIVENESS_DOWN);
    case LIVENESS_DOWN:
    case LIVENESS_GONE: return false;
    }
    return false;
}

int64_t liveness_next(const struct liveness *l)
{
    switch (l->state) {
    case LIVENESS_UP: {
        int64_t suspect = l->heard_ms + LIVENESS_SUSPECT_MS + l->excused_ms;
        return suspect < down_at(l) ? suspect : down_at(l);
    }
    case LIVENESS_SUSPECT: return down_at(l);
    case LIVENESS_DOWN:
    case LIVENESS_GONE: return INT64_MAX;
    }
    return INT64_MAX;
}

const char *liveness_name(enum liveness_state s)
{
    switch (s) {
    case LIVENESS_UP: return "up";
    case LIVENESS_SUSPECT: return "suspect";
    case LIVENESS_DOWN: return "down";
    case LIVENESS_GONE: return "gone";
    }
    return "unknown";
}
