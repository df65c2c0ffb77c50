// SPDX-License-Identifier: Apache-2.0
#include "agent/name_search.h"
#include <errno.h>

#define SLICE_NS (2 * NS_PER_MS)

// Of timers: the loop's own clock, which tests do not turn.
static int64_t loop_ns(const struct name_search *s)
{
    return loop_now_ns(s->sampler->env->loop);
}

static void on_timer(void *ctx, int64_t due, int64_t now)
{
    struct name_search *s = ctx;
    int64_t begun = sampler_cpu_begin();
    enum naming_search rc = s->has_naming ? naming_step(&s->naming, SLICE_NS) : NAMING_IDLE;

    (void)due;
    (void)now;
    if (rc == NAMING_MORE)
        loop_timer_set(s->timer, loop_ns(s));
    if (rc == NAMING_OVER && s->over)
        s->over(s->ctx);
    if (s->after_ns < loop_ns(s))
        s->after_ns = loop_ns(s);
    s->after_ns += (sampler_cpu_begin() - begun) * NAME_SEARCH_SHARE;
    sampler_cpu_end(s->sampler, begun);
}

int name_search_init(
    struct name_search *s, struct sampler *sampler, void (*over)(void *ctx), void *ctx)
{
    *s = (struct name_search){.sampler = sampler, .over = over, .ctx = ctx};
    s->timer = loop_timer_new(sampler->env->loop, on_timer, s);
    return s->timer ? 0 : -ENOMEM;
}

static void give_back(struct name_search *s)
{
    if (s->has_naming)
        naming_done(&s->naming);
    s->has_naming = false;
}

void name_search_done(struct name_search *s)
{
    loop_timer_free(s->timer);
    s->timer = NULL;
    give_back(s);
}

struct naming *name_search_naming(struct name_search *s)
{
    const struct env *env = s->sampler->env;
    struct identity_roots roots = {env->proc, env->cgroup, "/etc/services"};

    if (!s->has_naming && naming_open(&s->naming, &roots) != 0) {
        naming_done(&s->naming);
        return NULL;
    }
    s->has_naming = true;
    return &s->naming;
}

void name_search_looked(
    struct name_search *s, bool (*has)(const void *view, uint64_t cookie), const void *view)
{
    bool wanted = false;

    if (!s->has_naming)
        return;
    naming_keep(&s->naming, has, view);
    if (naming_is_searching(&s->naming))
        return;
    if (s->naming.n == 0) {
        give_back(s);
        return;
    }
    for (size_t i = 0; i < s->naming.n; i++)
        wanted |= !s->naming.items[i].searched;
    if (wanted)
        loop_timer_set(s->timer, s->after_ns > loop_ns(s) ? s->after_ns : loop_ns(s));
}
