// SPDX-License-Identifier: Apache-2.0
#include "agent/news.h"
#include "agent/shown.h"
#include "wire/tocsin.pb-c.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WHERE_MAX (SERVICE_PATH_MAX + 8)

static void on_hold(void *ctx, int64_t due, int64_t now)
{
    (void)due;
    (void)now;
    news_flush(ctx);
}

int news_open(struct news *n, struct env *env)
{
    *n = (struct news){.env = env};
    n->hold = loop_timer_new(env->loop, on_hold, n);
    return n->hold ? 0 : -ENOMEM;
}

void news_done(struct news *n)
{
    loop_timer_free(n->hold);
    *n = (struct news){0};
}

static void tell(struct news *n, const struct service *s, int kind, const char *detail)
{
    const struct clock *c = &n->env->clock;

    output_event(n->env->out, kind, c->wall_ns(c->ctx) / 1000, s->name, detail);
    n->told = true;
}

// In words, for the log of events: "on port 80", "at /run/php.sock".
static const char *where(const struct service *s, char text[static WHERE_MAX])
{
    if (s->path[0])
        snprintf(text, WHERE_MAX, "at %s", s->path);
    else
        snprintf(text, WHERE_MAX, "on port %u", s->port);
    return text;
}

static void turned(struct news *n, const struct service *s)
{
    if (!s->path[0] && n->n_turned < NEWS_TURNED_MAX)
        n->turned[n->n_turned++] = s->port;
}

static void appeared(struct news *n, struct service *s)
{
    struct output *o = n->env->out;
    char place[WHERE_MAX], text[WHERE_MAX + 16];

    shown_declare(s, o);
    if (s->data[0])
        shown_state(s->data[0], o, s);
    // UNIX sockets that come and go are too many to tell of each.
    if (s->present || (s->ephemeral && s->path[0]))
        return;
    snprintf(text, sizeof(text), "listens %s", where(s, place));
    tell(n, s, TOCSIN__V1__EVENT_KIND__EVENT_LISTENER_UP, text);
    turned(n, s);
}

static void changed(
    struct news *n, struct service *s, enum service_state from, const char *detail)
{
    char place[WHERE_MAX], text[WHERE_MAX + 16];

    if ((from == SERVICE_UP) != (s->state == SERVICE_UP))
        turned(n, s);
    if (s->data[0])
        shown_state(s->data[0], n->env->out, s);
    switch (s->state) {
    case SERVICE_UP:
        // A restart within its grace is no news.
        if (from != SERVICE_STARTING) {
            snprintf(text, sizeof(text), "listens %s again", where(s, place));
            tell(n, s, TOCSIN__V1__EVENT_KIND__EVENT_LISTENER_UP, text);
        }
        break;
    case SERVICE_STARTING:
        if (s->settled && !s->ephemeral) {
            snprintf(text, sizeof(text), "nobody listens %s", where(s, place));
            tell(n, s, TOCSIN__V1__EVENT_KIND__EVENT_LISTENER_DOWN, text);
        }
        break;
    case SERVICE_STOPPED:
        snprintf(text, sizeof(text), "%s closed", where(s, place) + strlen("on "));
        tell(n, s, TOCSIN__V1__EVENT_KIND__EVENT_SERVICE_STOPPED, text);
        break;
    case SERVICE_CRASHED:
        tell(n, s, TOCSIN__V1__EVENT_KIND__EVENT_SERVICE_CRASHED, detail);
        break;
    }
}

void news_change(struct news *n, struct service *s, enum service_change change,
    enum service_state from, const char *detail)
{
    struct output *o = n->env->out;
    int64_t stamp_ms = clock_wall_ms(&n->env->clock);

    // What goes between two flushes has one stamp, so that a crash takes the place of the `starting`
    // it was for a moment: rules take that for a planned restart.
    if (change == SERVICE_TURNED && s->state != SERVICE_UP)
        n->went_ms = stamp_ms = n->went_ms ? n->went_ms : stamp_ms;
    output_group(o, 0, 0, stamp_ms);
    switch (change) {
    case SERVICE_APPEARED: appeared(n, s); break;
    case SERVICE_TURNED: changed(n, s, from, detail); break;
    case SERVICE_ENDED:
        if (s->data[0])
            shown_end(s->data[0], o);
        shown_free(s);
        break;
    }
}

void news_drops(struct news *n, const struct service *s)
{
    int64_t now_ms = clock_wall_ms(&n->env->clock);
    struct shown *w = s->data[0];
    bool first = now_ms - w->drops_told_ms >= NEWS_DROPS_MS || now_ms < w->drops_told_ms;

    w->drops_told_ms = now_ms;
    if (!first)
        return;
    output_group(n->env->out, 0, 0, now_ms);
    output_set(n->env->out, w->drops, (double)w->drops_total);
    output_hurry(n->env->out);
    n->told = true;
}

void news_flush(struct news *n)
{
    loop_timer_stop(n->hold);
    n->held = false;
    if (n->told && n->env->flush)
        n->env->flush(n->env->core);
    n->told = false;
    n->went_ms = 0;
    for (size_t i = 0; i < n->n_turned && n->on_turn; i++)
        n->on_turn(n->on_turn_ctx, n->turned[i]);
    n->n_turned = 0;
}

void news_flush_unless_held(struct news *n)
{
    if (!n->held)
        news_flush(n);
}

void news_flush_soon(struct news *n)
{
    if (!n->told) {
        n->went_ms = 0;
        return;
    }
    if (!n->held)
        loop_timer_set(n->hold, clock_mono_ns(&n->env->clock) + NEWS_HOLD_NS);
    n->held = true;
}
