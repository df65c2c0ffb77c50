// SPDX-License-Identifier: Apache-2.0
#include "agent/schedule.h"
#include "agent/demand.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct entry {
    struct sampler sampler;
    int64_t due_ns;
    double cost_ns;    // moving average of one tick
    uint32_t usual_ms; // nothing demanded
    unsigned writer;   // its number with output; 0: one too many
    bool dropped;
};

struct schedule {
    struct env *env;
    struct clock clock; // env's when we were made: it may show our wall clock afterwards
    schedule_frame_fn *frame;
    void *ctx;
    struct loop_timer *timer;
    struct entry **entries; // pointers: samplers are held by others
    size_t n, cap;
    int64_t base_ns;     // monotonic instant of tick 0 of every interval
    int64_t wall_off_ns; // wall = monotonic + this
    int64_t frame_due_ns;
    int64_t late_ns;
    uint32_t looked_id; // the newest series when demand was last compared with the samplers
    unsigned writers;
    bool started, running, demand_new, faster_ran;
};

static int64_t thread_cpu_ns(void)
{
    struct timespec ts = {0};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t sampler_cpu_begin(void)
{
    return thread_cpu_ns();
}

void sampler_cpu_end(struct sampler *s, int64_t begun)
{
    s->cpu_ns += thread_cpu_ns() - begun;
}

static int64_t wall_offset(const struct schedule *s)
{
    const struct clock *c = &s->clock;
    return c->wall_ns(c->ctx) - c->mono_ns(c->ctx);
}

int64_t schedule_wall_us(const struct schedule *s, int64_t mono_ns)
{
    return (mono_ns + s->wall_off_ns) / 1000;
}

static int64_t wall_ms(const struct schedule *s, int64_t mono_ns)
{
    return (mono_ns + s->wall_off_ns) / NS_PER_MS;
}

// The first instant of the interval's grid after now.
static int64_t next_due(const struct schedule *s, uint32_t interval_ms, int64_t now_ns)
{
    int64_t step = interval_ms * NS_PER_MS;
    int64_t since = now_ns - s->base_ns;
    return since < 0 ? s->base_ns : s->base_ns + (since / step + 1) * step;
}

static void arm(struct schedule *s)
{
    int64_t due = s->frame_due_ns;
    for (size_t i = 0; i < s->n; i++) {
        const struct entry *e = s->entries[i];
        if (e->sampler.available && e->sampler.interval_ms && e->due_ns < due)
            due = e->due_ns;
    }
    loop_timer_set(s->timer, due);
}

static void clock_check(struct schedule *s, int64_t now_ns)
{
    int64_t off = wall_offset(s), moved = off - s->wall_off_ns;
    if (moved > -NS_PER_MS && moved < NS_PER_MS)
        return; // noise of the two readings: stamps stay on their grid
    if (moved > -SCHEDULE_STEP_MS * NS_PER_MS && moved < SCHEDULE_STEP_MS * NS_PER_MS) {
        s->wall_off_ns = off; // slewed
        return;
    }
    s->frame(s->ctx, wall_ms(s, now_ns), now_ns, FRAME_CUT);
    s->wall_off_ns = off;
    output_clock_step(s->env->out, moved / NS_PER_MS);
    for (size_t i = 0; i < s->n; i++) {
        struct sampler *p = &s->entries[i]->sampler;
        if (p->available && p->ops->clock_cut)
            p->ops->clock_cut(p);
    }
}

// Over its share for long: half as often. Under a quarter of it: as before.
static void budget(struct entry *e, int64_t spent_ns)
{
    struct sampler *p = &e->sampler;
    e->cost_ns += ((double)spent_ns - e->cost_ns) / (p->ticks < 16 ? (double)p->ticks : 16.0);
    double share = e->cost_ns / ((double)p->interval_ms * NS_PER_MS);
    uint32_t wanted = p->wanted_ms;
    if (p->ticks >= 8 && share > SCHEDULE_SHARE &&
        p->interval_ms < wanted * SCHEDULE_STRETCH_MAX)
        p->interval_ms *= 2;
    else if (p->interval_ms > wanted && share < SCHEDULE_SHARE / 4)
        p->interval_ms /= 2;
}

// *cpu_ns: our CPU time when the one before was through; that is one reading for two.
static void run(struct schedule *s, struct entry *e, int64_t now_ns, int64_t *cpu_ns)
{
    struct sampler *p = &e->sampler;
    int64_t step = p->interval_ms * NS_PER_MS;
    if (now_ns - e->due_ns > s->late_ns)
        s->late_ns = now_ns - e->due_ns;
    if (now_ns >= e->due_ns + step) {
        int64_t skip = (now_ns - e->due_ns) / step;
        p->missed += skip;
        e->due_ns += skip * step;
    }
    struct tick t = {.n = (e->due_ns - s->base_ns) / step,
        .intended_ns = e->due_ns,
        .now_ns = now_ns,
        .wall_ms = wall_ms(s, e->due_ns),
        .interval_ms = p->interval_ms};
    output_group(s->env->out, t.interval_ms, t.n, t.wall_ms);
    output_writer(s->env->out, e->writer);
    p->ops->tick(p, &t);
    output_writer(s->env->out, 0);
    s->faster_ran |= p->wanted_ms < e->usual_ms;
    int64_t spent = -*cpu_ns;
    *cpu_ns = thread_cpu_ns();
    spent += *cpu_ns;
    p->cpu_ns += spent;
    p->ticks++;
    budget(e, spent);
    e->due_ns = next_due(s, p->interval_ms, e->due_ns);
}

static void sweep(struct schedule *s)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->n; i++) {
        struct entry *e = s->entries[i];
        if (!e->dropped) {
            s->entries[kept++] = e;
            continue;
        }
        if (e->sampler.ops->close)
            e->sampler.ops->close(&e->sampler);
        free(e);
    }
    s->n = kept;
}

static bool wanted_faster(void *ctx, const char *name)
{
    const struct schedule *s = ctx;
    return demand_faster(s->env->demand, name);
}

// Which sampler writes what is known by what it wrote, so a series that is new is looked at a second later.
static void follow_demand(struct schedule *s, int64_t now_ns)
{
    const struct demand *d = s->env->demand;
    uint32_t newest = output_last_id(s->env->out);
    if (!d || (!s->demand_new && (!d->n_faster || newest == s->looked_id)))
        return;
    s->demand_new = false;
    s->looked_id = newest;
    for (size_t i = 0; i < s->n; i++) {
        struct entry *e = s->entries[i];
        struct sampler *p = &e->sampler;
        bool faster = e->usual_ms > DEMAND_FASTER_MS && !p->ops->prompt && e->writer &&
                      d->n_faster && output_wrote(s->env->out, e->writer, wanted_faster, s);
        uint32_t wanted = faster ? DEMAND_FASTER_MS : e->usual_ms;
        if (wanted == p->wanted_ms)
            continue;
        p->interval_ms = p->wanted_ms = wanted;
        e->due_ns = next_due(s, wanted, now_ns);
    }
}

void schedule_demand(struct schedule *s)
{
    s->demand_new = true;
}

void schedule_run(struct schedule *s, int64_t now_ns)
{
    s->running = true;
    clock_check(s, now_ns);
    int64_t cpu_ns = thread_cpu_ns();
    for (size_t i = 0; i < s->n; i++) {
        struct entry *e = s->entries[i];
        if (e->sampler.available && e->sampler.interval_ms && !e->dropped &&
            e->due_ns <= now_ns)
            run(s, e, now_ns, &cpu_ns);
    }
    s->running = false;
    sweep(s);
    if (s->frame_due_ns <= now_ns) {
        s->frame_due_ns = next_due(s, SCHEDULE_FRAME_MS, now_ns);
        // The last whole second, should we have slept through some.
        int64_t at = s->frame_due_ns - SCHEDULE_FRAME_MS * NS_PER_MS;
        s->frame(s->ctx, wall_ms(s, at), at, FRAME_SECOND);
        follow_demand(s, now_ns);
    } else if (s->faster_ran || output_urgent(s->env->out)) {
        s->frame(s->ctx, wall_ms(s, now_ns), now_ns, FRAME_FASTER);
    }
    s->faster_ran = false;
    arm(s);
}

static void on_timer(void *ctx, int64_t due_ns, int64_t now_ns)
{
    (void)due_ns;
    schedule_run(ctx, now_ns);
}

struct schedule *schedule_new(struct env *env, schedule_frame_fn *frame, void *ctx)
{
    struct schedule *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->env = env;
    s->clock = env->clock;
    s->frame = frame;
    s->ctx = ctx;
    s->wall_off_ns = wall_offset(s);
    s->timer = loop_timer_new(env->loop, on_timer, s);
    if (!s->timer) {
        free(s);
        return NULL;
    }
    return s;
}

void schedule_free(struct schedule *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++)
        s->entries[i]->dropped = true;
    sweep(s);
    loop_timer_free(s->timer);
    free(s->entries);
    free(s);
}

static struct entry *entry_new(
    struct schedule *s, const struct sampler_ops *ops, uint32_t interval_ms)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 16;
        struct entry **entries = realloc(s->entries, cap * sizeof(*entries));
        if (!entries)
            return NULL;
        s->entries = entries;
        s->cap = cap;
    }
    struct entry *e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    e->sampler = (struct sampler){
        .ops = ops, .env = s->env, .interval_ms = interval_ms, .wanted_ms = interval_ms};
    e->usual_ms = interval_ms;
    e->writer = s->writers < OUTPUT_WRITER_MAX ? ++s->writers : 0;
    s->entries[s->n++] = e;
    return e;
}

struct sampler *schedule_open(struct schedule *s, const struct sampler_ops *ops)
{
    struct entry *e = entry_new(s, ops, ops->interval_ms);
    if (!e)
        return NULL;
    int64_t begun = thread_cpu_ns();
    e->sampler.available = ops->open(&e->sampler) == 0;
    e->sampler.cpu_ns += thread_cpu_ns() - begun;
    if (s->started)
        e->due_ns = next_due(s, e->sampler.interval_ms, loop_now_ns(s->env->loop));
    return &e->sampler;
}

struct sampler *schedule_add(
    struct schedule *s, const struct sampler_ops *ops, uint32_t interval_ms, void *state)
{
    struct entry *e = entry_new(s, ops, interval_ms);
    if (!e)
        return NULL;
    e->sampler.state = state;
    e->sampler.available = true;
    if (s->started && interval_ms) {
        e->due_ns = next_due(s, interval_ms, loop_now_ns(s->env->loop));
        if (!s->running)
            arm(s);
    }
    return &e->sampler;
}

void schedule_drop(struct schedule *s, struct sampler *sampler)
{
    for (size_t i = 0; i < s->n; i++)
        if (&s->entries[i]->sampler == sampler)
            s->entries[i]->dropped = true;
    if (!s->running)
        sweep(s);
}

int64_t schedule_start(struct schedule *s, unsigned phase_ms)
{
    const struct clock *c = &s->clock;
    int64_t now = c->mono_ns(c->ctx);
    s->wall_off_ns = wall_offset(s);
    int64_t wall = now + s->wall_off_ns;
    // Tick 0: the first instant from now on that lies phase_ms behind a whole second.
    int64_t into = (wall - phase_ms * NS_PER_MS) % NS_PER_S;
    s->base_ns = now + (into ? NS_PER_S - into : 0);
    s->frame_due_ns = s->base_ns;
    for (size_t i = 0; i < s->n; i++)
        s->entries[i]->due_ns = s->base_ns;
    s->started = true;
    arm(s);
    return s->base_ns;
}

bool schedule_running(const struct schedule *s)
{
    return s->running;
}

size_t schedule_count(const struct schedule *s)
{
    return s->n;
}

struct sampler *schedule_at(const struct schedule *s, size_t i)
{
    return &s->entries[i]->sampler;
}

int64_t schedule_lateness_take(struct schedule *s)
{
    int64_t late = s->late_ns;
    s->late_ns = 0;
    return late;
}
