// SPDX-License-Identifier: Apache-2.0
#include "agent/probe_session.h"
#include "agent/probe_state.h"
#include "agent/talk.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define ROUND_MS            1000
#define FIRST_NS            (50 * NS_PER_MS)
#define SESSION_AWAY_MAX_NS (60 * NS_PER_S)

struct probe_session {
    struct probe *probe;
    struct talk talk;
    struct loop_timer *timer; // the next round, or the end of this one's time
    struct page_sink sink;
    int64_t away_ns; // how long to stay away next
    bool asking;
    enum probe_class refused; // CLASS_NONE: it is not
    char detail[DIALOGUE_DETAIL_MAX];
};

static void round_over(struct probe_session *s, bool whole)
{
    numbers_end(s->probe->numbers, s, whole);
    s->asking = false;
}

// Later again, not at once: it is a service in trouble.
static void stay_away(struct probe_session *s)
{
    if (s->asking)
        round_over(s, false);
    loop_timer_set(s->timer, probe_now_ns(s->probe) + s->away_ns);
    s->away_ns = s->away_ns * 2 < SESSION_AWAY_MAX_NS ? s->away_ns * 2 : SESSION_AWAY_MAX_NS;
}

static void on_answered(struct talk *t)
{
    (void)t; // the round tells
}

static void on_talked(struct talk *t)
{
    struct probe_session *s =
        (struct probe_session *)((char *)t - offsetof(struct probe_session, talk));
    const struct dialogue *d = &t->dialogue;
    if (d->state == DIALOGUE_RESTS) {
        round_over(s, true);
        s->refused = CLASS_NONE;
        s->away_ns = ROUND_MS * NS_PER_MS;
        loop_timer_set(s->timer, probe_now_ns(s->probe) + ROUND_MS * NS_PER_MS);
        return;
    }
    bool refused = d->class == CLASS_LOGIN || d->class == CLASS_CERTIFICATE;
    s->refused = refused ? d->class : CLASS_NONE;
    memcpy(s->detail, d->detail, sizeof(s->detail));
    stay_away(s);
}

static void connect_to(struct probe_session *s)
{
    struct probe *p = s->probe;
    const struct probe_config *c = p->config;
    struct talk_to to = {.address = &p->endpoint.to.any,
        .len = p->endpoint.len,
        .name = c->host,
        .pulse = p->engine->env->pulse};
    char detail[DIALOGUE_DETAIL_MAX];
    // Its address is looked up by the probe's own turns.
    if (!to.len || (c->words.tls && !(to.trust = probe_trust(p, detail, sizeof(detail))))) {
        stay_away(s);
        return;
    }
    talk_start(&s->talk, &to, c->dialogue->kept, &c->words, true);
    s->talk.dialogue.sink = &s->sink;
}

static void on_timer(void *ctx, int64_t due_ns, int64_t at_ns)
{
    struct probe_session *s = ctx;
    (void)due_ns;
    if (s->asking) { // it did not come to an end in time
        talk_stop(&s->talk);
        stay_away(s);
        return;
    }
    struct clock *clock = &s->probe->engine->env->clock;
    struct numbers *n = probe_numbers(s->probe);
    s->asking = true;
    // Nobody else asks for this probe's, and the turns are ours: 0.
    if (!n || !numbers_begin(n, s, at_ns, clock_wall_ms(clock), 0)) {
        stay_away(s);
        return;
    }
    s->sink = numbers_sink(n);
    loop_timer_set(s->timer, at_ns + s->probe->config->timeout_ms * NS_PER_MS);
    if (s->talk.resting)
        talk_resume(&s->talk);
    else
        connect_to(s);
}

struct probe_session *probe_session_new(struct probe *p)
{
    struct probe_session *s = calloc(1, sizeof(*s));
    struct loop *loop = p->engine->env->loop;
    if (!s)
        return NULL;
    s->probe = p;
    s->away_ns = ROUND_MS * NS_PER_MS;
    s->timer = loop_timer_new(loop, on_timer, s);
    if (talk_init(&s->talk, loop, on_answered, on_talked) < 0 || !s->timer) {
        probe_session_free(s);
        return NULL;
    }
    loop_timer_set(s->timer, probe_now_ns(p) + FIRST_NS);
    return s;
}

void probe_session_free(struct probe_session *s)
{
    if (!s)
        return;
    talk_free(&s->talk);
    loop_timer_free(s->timer);
    free(s);
}

void probe_session_renew(struct probe_session *s)
{
    if (s)
        s->talk.dialogue.words = s->probe->config->words;
}

const char *probe_session_refused(const struct probe_session *s, enum probe_class *ret)
{
    if (!s || s->refused == CLASS_NONE)
        return NULL;
    *ret = s->refused;
    return s->detail;
}
