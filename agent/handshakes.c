// SPDX-License-Identifier: Apache-2.0
#include "agent/handshakes.h"
#include <stdlib.h>

struct handshake_line {
    struct handshake *first, *last;
    size_t n;
};

struct handshakes {
    struct loop_timer *timer;
    struct handshake_line waiting, under_way;
};

static void join(struct handshake_line *line, struct handshake *h, int64_t now_ns)
{
    h->line = line;
    h->since_ns = now_ns;
    h->next = NULL;
    h->prev = line->last;
    *(h->prev ? &h->prev->next : &line->first) = h;
    line->last = h;
    line->n++;
}

static void step_out(struct handshake *h)
{
    struct handshake_line *line = h->line;
    *(h->prev ? &h->prev->next : &line->first) = h->next;
    *(h->next ? &h->next->prev : &line->last) = h->prev;
    line->n--;
    h->line = NULL;
}

// When something happens next by itself.
static void watch_time(struct handshakes *s)
{
    if (!s->waiting.first) {
        loop_timer_stop(s->timer);
        return;
    }
    int64_t due = s->waiting.first->since_ns + HANDSHAKE_WAIT_NS;
    if (s->under_way.n < HANDSHAKES_MAX)
        due = s->waiting.first->since_ns;
    else if (s->under_way.first->since_ns + HANDSHAKE_HOLD_NS < due)
        due = s->under_way.first->since_ns + HANDSHAKE_HOLD_NS;
    loop_timer_set(s->timer, due);
}

static void lend_out(struct handshakes *s, int64_t now_ns)
{
    while (s->under_way.first && now_ns >= s->under_way.first->since_ns + HANDSHAKE_HOLD_NS)
        step_out(s->under_way.first);
}

static void on_timer(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct handshakes *s = ctx;
    (void)due_ns;
    lend_out(s, now_ns);
    while (s->waiting.first && (s->under_way.n < HANDSHAKES_MAX ||
                                   now_ns >= s->waiting.first->since_ns + HANDSHAKE_WAIT_NS)) {
        struct handshake *h = s->waiting.first;
        int64_t waited = now_ns - h->since_ns;
        step_out(h);
        join(&s->under_way, h, now_ns);
        h->go(h, waited);
    }
    watch_time(s);
}

bool handshake_enter(struct handshakes *s, struct handshake *h, int64_t now_ns)
{
    lend_out(s, now_ns);
    bool now = s->under_way.n < HANDSHAKES_MAX && !s->waiting.first;
    join(now ? &s->under_way : &s->waiting, h, now_ns);
    watch_time(s);
    return now;
}

void handshake_leave(struct handshakes *s, struct handshake *h)
{
    if (!h->line)
        return;
    step_out(h);
    watch_time(s);
}

struct handshakes *handshakes_new(struct loop *loop)
{
    struct handshakes *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->timer = loop_timer_new(loop, on_timer, s);
    if (s->timer)
        return s;
    free(s);
    return NULL;
}

void handshakes_free(struct handshakes *s)
{
    if (!s)
        return;
    loop_timer_free(s->timer);
    free(s);
}
