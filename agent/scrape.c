// SPDX-License-Identifier: Apache-2.0
#include "agent/config_read.h"
#include "agent/scrape_state.h"
#include "base/map.h"
#include "wire/tocsin.pb-c.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OTHERS_KEPT 8 // idle connections of the push and of probes

static const struct sampler_ops COST = {.name = "scrape"}; // only counts what it costs

static int64_t now_ns(const struct scrapes *e)
{
    return clock_mono_ns(&e->env->clock);
}

// --- a turn ------------------------------------------------------------------------------------------

// What there is of a target whatever its page held.
static void write_own(struct scrape *s, bool good)
{
    struct intake_round round = intake_so_far(s->in);
    const struct {
        const char *name, *unit;
        enum series_kind kind;
        double v;
    } own[] = {{"up", "1", SERIES_STATE, good},
        {"scrape_duration_seconds", "s", SERIES_GAUGE,
            (double)(now_ns(s->engine) - s->begun_ns) / 1e9},
        {"scrape_samples_scraped", "1", SERIES_GAUGE, (double)round.samples},
        {"scrape_samples_post_metric_relabeling", "1", SERIES_GAUGE, (double)round.kept},
        {"scrape_series_added", "1", SERIES_GAUGE, (double)intake_coming(s->in, good)},
        {"tocsin_scrape_skipped_total", "1", SERIES_COUNTER, (double)s->skipped}};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        intake_own(s->in, own[i].name, own[i].kind, own[i].unit, own[i].v);
}

// That a target came or went is told at once, in words too.
static void tell(struct scrape *s, bool good)
{
    struct scrapes *e = s->engine;
    enum verdict verdict = good ? VERDICT_UP : VERDICT_DOWN;
    char detail[WIRE_DETAIL_MAX + 1];
    if (verdict == s->verdict || (good && s->verdict == VERDICT_NONE)) {
        s->verdict = verdict;
        return;
    }
    s->verdict = verdict;
    snprintf(detail, sizeof(detail), "scrape %.60s %s%s%.100s", s->source,
        good ? "ok" : "failed", good ? "" : ": ", good ? "" : s->err.msg);
    output_event(e->env->out, TOCSIN__V1__EVENT_KIND__EVENT_PROBE_CHANGED,
        schedule_wall_us(e->schedule, now_ns(e)), "", detail);
}

void scrape_done(struct scrape *s, bool good)
{
    struct scrapes *e = s->engine;
    s->active = false;
    write_own(s, good);
    intake_end(s->in, good, NULL);
    tell(s, good);
    e->env->flush(e->env->core);
}

static void fail(struct scrape *s)
{
    scrape_done(s, false);
}

static void fetch(struct scrape *s)
{
    if (scrape_fetch(s) < 0)
        fail(s);
}

static void on_address(void *ctx, const char *error)
{
    struct scrape *s = ctx;
    s->looking_up = false;
    if (error && !s->endpoint.len) {
        err_set(&s->err, "no address of %.100s: %.100s", s->target->host, error);
        fail(s);
        return;
    }
    fetch(s);
}

static void look_up(struct scrape *s)
{
    struct scrapes *e = s->engine;
    if (!e->resolver)
        e->resolver = resolver_new(e->env->loop);
    if (e->resolver && resolve_start(e->resolver, &s->endpoint, on_address, s) == 0) {
        s->looking_up = true;
        return;
    }
    err_set(&s->err, "no address of %.100s: out of memory", s->target->host);
    fail(s);
}

// The last turn still runs: it had its time.
static void end_late(struct scrape *s)
{
    if (s->looking_up)
        resolve_stop(&s->endpoint);
    else
        scrape_fetch_stop(s);
    s->looking_up = false;
    err_set(&s->err, "not through after %lld ms", (long long)s->target->timeout_ms);
    fail(s);
}

static void on_turn(void *ctx, int64_t due_ns, int64_t at_ns)
{
    struct scrape *s = ctx;
    struct scrapes *e = s->engine;
    int64_t step = s->target->every_ms * NS_PER_MS;
    (void)due_ns;
    // What was missed by whole intervals is skipped, not made up for.
    int64_t behind = (at_ns - s->due_ns) / step, intended = s->due_ns + behind * step;
    s->skipped += (uint64_t)behind;
    s->due_ns = intended + step;
    loop_timer_set(s->timer, s->due_ns);
    if (s->active)
        end_late(s);
    s->active = true;
    s->begun_ns = at_ns;
    s->wall_ms = schedule_wall_us(e->schedule, intended) / 1000;
    s->err.msg[0] = '\0';
    intake_begin(s->in, s->wall_ms);
    if (endpoint_fresh(&s->endpoint, at_ns))
        fetch(s);
    else
        look_up(s);
}

// --- the set of targets ------------------------------------------------------------------------------

static struct intake_options options_of(const struct scrape *s)
{
    const struct scrape_target *t = s->target;
    const struct scrape_job *j = t->job;
    return (struct intake_options){.source = s->source,
        .labels = t->labels.l,
        .n_labels = t->labels.n,
        .honor_labels = j->honor_labels,
        .relabel = j->metric_relabel.n ? &j->metric_relabel : NULL,
        .series_limit = j->series_limit,
        .label_limit = j->label_limit,
        .label_name_length_limit = j->label_name_limit,
        .label_value_length_limit = j->label_value_limit};
}

static void scrape_free(struct scrape *s, int64_t wall_ms)
{
    if (!s)
        return;
    resolve_stop(&s->endpoint);
    if (s->easy)
        scrape_fetch_stop(s);
    scrape_fetch_free(s);
    intake_free(s->in, wall_ms);
    loop_timer_free(s->timer);
    free(s->source);
    free(s);
}

static struct scrape *scrape_new(struct scrapes *e, const struct scrape_target *t)
{
    struct scrape *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    size_t size = strlen(t->job->name) + strlen(t->instance) + 2;
    s->engine = e;
    s->target = t;
    s->timer = loop_timer_new(e->env->loop, on_turn, s);
    s->source = malloc(size);
    if (s->source) {
        snprintf(s->source, size, "%s %s", t->job->name, t->instance);
        struct intake_options o = options_of(s);
        s->in = intake_new(e->env->out, &o);
    }
    endpoint_set(&s->endpoint, t->host, t->port);
    if (s->timer && s->in) {
        write_own(s, false); // so that its pages cannot take their places
        return s;
    }
    scrape_free(s, 0);
    return NULL;
}

// The same place within its interval after each start, another one on each host.
static void start(struct scrape *s, int64_t at_ns)
{
    const struct scrape_target *t = s->target;
    const char *host = s->engine->env->config ? s->engine->env->config->host : "";
    uint64_t hash = hash_bytes(t->url, strlen(t->url), hash_bytes(host, strlen(host), 0));
    int64_t step = t->every_ms, wall = schedule_wall_us(s->engine->schedule, at_ns) / 1000;
    int64_t phase = (int64_t)(hash % (uint64_t)step), into = (wall - phase) % step;
    s->due_ns = at_ns + (step - into) * NS_PER_MS;
    loop_timer_set(s->timer, s->due_ns);
}

// Everything a job says about its targets, as text: what prints alike is alike.
static int job_text(const struct scrape_job *j, struct buf *out)
{
    struct scrape_job copy = *j;
    struct agent_config one = {.scrapes = &copy, .n_scrapes = 1};
    copy.groups = NULL;
    copy.n_groups = 0;
    buf_reset(out);
    config_print_scrapes(&one, out);
    buf_adds(out, j->auth.password ? j->auth.password : "");
    buf_adds(out, j->auth.credentials ? j->auth.credentials : "");
    return out->failed;
}

static bool same_target(const struct scrape_target *a, const struct scrape_target *b)
{
    if (strcmp(a->url, b->url) != 0 || a->every_ms != b->every_ms ||
        a->timeout_ms != b->timeout_ms || a->labels.n != b->labels.n || a->local != b->local)
        return false;
    for (size_t i = 0; i < a->labels.n; i++)
        if (strcmp(a->labels.l[i].name, b->labels.l[i].name) != 0 ||
            strcmp(a->labels.l[i].value, b->labels.l[i].value) != 0)
            return false;
    return true;
}

// The running scrape of the same target of the same job, or NULL.
static struct scrape *there(
    struct scrapes *e, const struct scrape_target *t, struct buf *one, struct buf *other)
{
    for (size_t i = 0; i < e->n; i++) {
        struct scrape *s = e->all[i];
        if (s->kept || !same_target(s->target, t) || job_text(s->target->job, one) != 0 ||
            job_text(t->job, other) != 0 || one->len != other->len ||
            memcmp(one->data, other->data, one->len) != 0)
            continue;
        return s;
    }
    return NULL;
}

static int find_all(struct scrapes *e, const struct agent_config *c, struct scrape **next)
{
    struct buf one, other;
    int rc = 0;
    buf_init(&one, CONFIG_FILE_MAX);
    buf_init(&other, CONFIG_FILE_MAX);
    for (size_t i = 0; i < e->n; i++)
        e->all[i]->kept = false;
    for (size_t i = 0; rc == 0 && i < c->n_targets; i++) {
        next[i] = there(e, &c->targets[i], &one, &other);
        if (next[i])
            next[i]->kept = true;
        else
            next[i] = scrape_new(e, &c->targets[i]);
        rc = next[i] ? 0 : -ENOMEM;
    }
    buf_done(&one);
    buf_done(&other);
    return rc;
}

int scrapes_apply(struct scrapes *e, const struct agent_config *c)
{
    struct scrape **next = calloc(c->n_targets + 1, sizeof(struct scrape *));
    int rc = next ? find_all(e, c, next) : -ENOMEM;
    int64_t now = now_ns(e), wall = schedule_wall_us(e->schedule, now) / 1000;
    if (rc < 0) {
        for (size_t i = 0; next && i < c->n_targets; i++)
            if (next[i] && !next[i]->kept)
                scrape_free(next[i], wall);
        free(next);
        return rc;
    }
    // From here on nothing fails.
    for (size_t i = 0; i < e->n; i++)
        if (!e->all[i]->kept)
            scrape_free(e->all[i], wall);
    free(e->all);
    e->all = next;
    e->n = c->n_targets;
    transfers_keep(e->transfers, (long)e->n + OTHERS_KEPT);
    for (size_t i = 0; i < e->n; i++) {
        struct scrape *s = e->all[i];
        s->target = &c->targets[i];
        s->endpoint.host = s->target->host;
        struct intake_options o = options_of(s);
        intake_moved(s->in, &o);
        if (!s->kept)
            start(s, now);
    }
    return 0;
}

struct scrapes *scrapes_new(struct env *env, struct schedule *schedule, struct transfers *m)
{
    struct scrapes *e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    *e = (struct scrapes){.env = env, .schedule = schedule, .transfers = m};
    e->cost = schedule_add(schedule, &COST, 0, NULL);
    if (e->cost)
        return e;
    free(e);
    return NULL;
}

void scrapes_free(struct scrapes *e)
{
    if (!e)
        return;
    for (size_t i = 0; i < e->n; i++)
        scrape_free(e->all[i], 0);
    resolver_free(e->resolver);
    schedule_drop(e->schedule, e->cost);
    free(e->all);
    free(e);
}

static bool part_wanted(const struct agent_config *c)
{
    return c->n_targets > 0;
}

static void *part_open(struct env *env, struct schedule *s, struct transfers *m)
{
    return scrapes_new(env, s, m);
}

static int part_apply(void *state, const struct agent_config *c)
{
    return scrapes_apply(state, c);
}

static void part_free(void *state)
{
    scrapes_free(state);
}

const struct part_ops scrapes_part = {.name = "scrape_configs",
    .wanted = part_wanted,
    .open = part_open,
    .apply = part_apply,
    .free = part_free};
