// SPDX-License-Identifier: Apache-2.0
// Probes that are a dialogue over a connection.
#include "agent/probe_numbers.h"
#include "agent/probe_state.h"
#include "agent/talk.h"
#include <errno.h>
#include <stddef.h>
#include <stdio.h>

struct talk_attempt {
    struct probe_attempt attempt;
    struct talk talk;
    struct page_sink sink; // of the numbers, when this attempt asks for them
    bool numbers;
};

static void numbers_over(struct talk_attempt *a, bool whole)
{
    if (a->numbers)
        numbers_end(probe_numbers(a->attempt.probe), a, whole);
    a->numbers = false;
}

static struct talk_attempt *of(struct probe_attempt *a)
{
    return (struct talk_attempt *)a;
}

// It answered, or it never will. What it did not tell of itself by then it does not tell.
static void talk_over(struct probe_attempt *a)
{
    const struct dialogue *d = &of(a)->talk.dialogue;
    struct probe_result r = {
        .success = d->answered, .class = d->class, .cert_expiry = of(a)->talk.cert_expiry};
    if (d->answered)
        probe_answered(a, of(a)->talk.answered_ns);
    else
        snprintf(r.detail, sizeof(r.detail), "%s", d->detail);
    const char *refused = probe_session_refused(a->probe->session, &r.class);
    if (d->answered && refused) { // alive, but not as it was configured
        r.success = false;
        snprintf(r.detail, sizeof(r.detail), "%s", refused);
    }
    if (d->wants_values && d->answered)
        probe_take_values(a->probe, d);
    numbers_over(of(a), d->state == DIALOGUE_DONE);
    probe_done(a, &r);
}

static void on_answered(struct talk *t)
{
    struct talk_attempt *a =
        (struct talk_attempt *)((char *)t - offsetof(struct talk_attempt, talk));
    probe_answered(&a->attempt, t->answered_ns);
}

static void on_talked(struct talk *t)
{
    struct talk_attempt *a =
        (struct talk_attempt *)((char *)t - offsetof(struct talk_attempt, talk));
    talk_over(&a->attempt);
}

static int talk_attempt_init(struct probe_attempt *a)
{
    return talk_init(&of(a)->talk, probe_env(a->probe)->loop, on_answered, on_talked);
}

// Whether this attempt asks for the numbers of an answer that is a page or has rows.
static void ask_numbers(struct talk_attempt *a, const struct probe_config *c)
{
    struct env *env = probe_env(a->attempt.probe);
    uint32_t every_ms = c->page ? c->page->values_ms : c->dialogue->rows_ms;
    struct numbers *n = every_ms ? probe_numbers(a->attempt.probe) : NULL;
    a->numbers = n && numbers_begin(n, a, clock_mono_ns(&env->clock),
                          clock_wall_ms(&env->clock), every_ms);
    if (a->numbers)
        a->sink = numbers_sink(n);
    a->talk.dialogue.sink = a->numbers ? &a->sink : NULL;
}

static int talk_attempt_start(
    struct probe_attempt *a, const struct endpoint *to, char *detail, size_t size)
{
    const struct probe_config *c = probe_config(a->probe);
    struct talk_to where = {.address = &to->to.any,
        .len = to->len,
        .name = c->host,
        .pulse = probe_env(a->probe)->pulse};
    if (c->words.tls && !(where.trust = probe_trust(a->probe, detail, size)))
        return -EINVAL;
    talk_start(&of(a)->talk, &where, c->dialogue, &c->words, probe_wants_values(a->probe));
    ask_numbers(of(a), c);
    return 0;
}

static void talk_attempt_stop(struct probe_attempt *a)
{
    talk_stop(&of(a)->talk);
    numbers_over(of(a), false);
}

static void talk_attempt_renew(struct probe_attempt *a)
{
    of(a)->talk.dialogue.words = probe_config(a->probe)->words;
}

static void talk_attempt_free(struct probe_attempt *a)
{
    talk_free(&of(a)->talk);
}

const struct probe_ops PROBE_OPS_TALK = {.size = sizeof(struct talk_attempt),
    .init = talk_attempt_init,
    .start = talk_attempt_start,
    .stop = talk_attempt_stop,
    .free = talk_attempt_free,
    .cut = talk_over,
    .renew = talk_attempt_renew};
