// SPDX-License-Identifier: Apache-2.0
#include "collector/repair_desk.h"
#include "base/map.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS       (3600 * 1000LL)
#define LOOK_MS       1000  // until what cannot be done now is looked at again
#define ANSWER_MS     10000 // beyond an order's time, and an action's own
#define SWEEP_MS      60000
#define LANE_MAX      192
#define KEY_MAX       40
#define TIMES_MAX     60 // starts of one action on one host that a budget can count
#define ALERT_GAVE_UP "RepairGaveUp"

// One action on one host: what its budget and its rest are counted by.
struct place {
    struct place *next;
    unsigned active;
    int64_t ended_ms, started_ms[TIMES_MAX];
    size_t at;          // next of started_ms
    uint64_t ended_for; // parameters of the last one that ended; 0 = none did
    char name[];        // instance, NUL, action
};
struct episode {
    struct episode *next;
    const struct notice *notice;
    struct repair_order *order; // NULL: the alert lacks what it takes
    struct place *place;
    const char *lack; // why there is no order
    unsigned max_per_hour, give_up_after;
    int64_t retry_ms;
    enum repair_state state;
    unsigned attempts;
    bool queued; // it waits only for the place
    int64_t due_ms;
    struct repair_answer *last; // NULL: none yet
    const char *why;
    char lane[LANE_MAX], key[KEY_MAX], action[WIRE_REPAIR_ACTION_MAX + 1];
};
struct repair_desk {
    struct repair_desk_options o;
    struct episode *first, **end;
    struct place *places;
    size_t n, active;
    bool durable;
    int64_t look_ms, sweep_ms; // nothing is due before; when unused places go
    struct repair_stats stats;
};

const char *repair_state_name(enum repair_state s)
{
    static const char *const NAMES[] = {"waiting", "asked", "running", "well", "gave up"};
    return NAMES[s];
}

struct repair_desk *repair_desk_new(const struct repair_desk_options *o)
{
    struct repair_desk *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    d->o = *o;
    d->end = &d->first;
    return d;
}

static void episode_free(struct episode *e)
{
    notice_free(e->notice);
    free(e->order);
    free(e->last);
    free(e);
}

void repair_desk_free(struct repair_desk *d)
{
    if (!d)
        return;
    for (struct episode *e = d->first, *next; e; e = next) {
        next = e->next;
        episode_free(e);
    }
    for (struct place *p = d->places, *next; p; p = next) {
        next = p->next;
        free(p);
    }
    free(d);
}

// --- places --------------------------------------------------------------------------------------

static struct place *place_of(struct repair_desk *d, const char *instance, const char *action)
{
    size_t host = strlen(instance) + 1, len = host + strlen(action) + 1;
    for (struct place *p = d->places; p; p = p->next)
        if (strcmp(p->name, instance) == 0 && strcmp(p->name + host, action) == 0)
            return p;
    struct place *p = calloc(1, sizeof(*p) + len);
    if (!p)
        return NULL;
    memcpy(p->name, instance, host);
    memcpy(p->name + host, action, len - host);
    p->next = d->places;
    d->places = p;
    return p;
}

static unsigned spent(const struct place *p, int64_t now_ms)
{
    unsigned n = 0;
    for (size_t i = 0; i < TIMES_MAX; i++)
        n += p->started_ms[i] && now_ms - p->started_ms[i] < HOUR_MS;
    return n;
}

// Those nobody asks for and that have nothing to count any more.
static void places_sweep(struct repair_desk *d, int64_t now_ms)
{
    for (struct place **at = &d->places; *at;) {
        struct place *p = *at;
        bool used = p->active || spent(p, now_ms);
        for (const struct episode *e = d->first; e && !used; e = e->next)
            used = e->place == p;
        if (used) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        free(p);
    }
}

// --- episodes ------------------------------------------------------------------------------------

static struct repair_view view(const struct episode *e)
{
    const struct repair_answer *a = e->last;
    return (struct repair_view){.lane = e->lane,
        .notice = e->notice,
        .instance = e->order ? e->order->instance : "",
        .action = e->action,
        .state = e->state,
        .attempts = e->attempts,
        .give_up_after = e->give_up_after,
        .outcome = a ? a->outcome : 0,
        .code = a ? a->code : 0,
        .duration_ms = a ? a->duration_ms : 0,
        .output = a ? (const char *)a->output : "",
        .reason = a ? a->reason : "",
        .why = e->why ? e->why : "",
        .again = a && a->again,
        .due_ms = e->due_ms};
}

static void note(struct repair_desk *d, enum repair_event event, const struct episode *e)
{
    struct repair_view v = view(e);
    d->o.note(d->o.ctx, event, &v);
}

static bool busy(const struct episode *e)
{
    return e->state == REPAIR_ASKED || e->state == REPAIR_RUNNING;
}

static uint64_t parameters_of(const struct episode *e)
{
    uint64_t h = 1;
    for (size_t i = 0; i < e->order->request.n_parameters; i++) {
        const struct wire_label *l = &e->order->request.parameters[i];
        h = hash_bytes(l->value, strlen(l->value), h);
    }
    return h ? h : 1;
}

static void rest(struct repair_desk *d, struct episode *e, int64_t now_ms)
{
    if (!busy(e))
        return;
    d->active--;
    e->place->active--;
    e->place->ended_for = parameters_of(e);
    e->place->ended_ms = now_ms;
    for (struct episode *next = d->first; next; next = next->next)
        if (next->queued && next->place == e->place)
            next->due_ms = now_ms;
    d->look_ms = 0;
}

static void give_up(struct repair_desk *d, struct episode *e, const char *why, int64_t now_ms)
{
    rest(d, e, now_ms);
    e->state = REPAIR_GAVE_UP;
    e->due_ms = INT64_MAX;
    e->why = why;
    d->stats.gave_up++;
    d->o.told(d->o.ctx, e->lane, e->notice->alert_id, TOLD_FIRING);
    note(d, REPAIR_GIVES_UP, e);
}

// The same in every run: what a crash and a restart leave as they were.
static void key_of(const struct episode *e, char ret[static KEY_MAX])
{
    const struct notice *n = e->notice;
    int64_t m[] = {(int64_t)n->alert_id, (int64_t)n->fingerprint, n->active_at_ms};
    uint64_t a = hash_bytes(e->lane, strlen(e->lane), hash_bytes(m, sizeof(m), 1));
    uint64_t b = hash_bytes(e->lane, strlen(e->lane), hash_bytes(m, sizeof(m), 2));
    snprintf(ret, KEY_MAX, "%016" PRIx64 "%016" PRIx64, a, b);
}

static struct episode *episode_new(struct repair_desk *d, const char *lane,
    const struct repair_terms *terms, const struct notice *n)
{
    struct episode *e = calloc(1, sizeof(*e));
    const struct notice *kept = notice_keep(n);
    if (!e || !kept) {
        free(e);
        notice_free(kept);
        return NULL;
    }
    e->notice = kept;
    e->max_per_hour = terms->max_per_hour;
    e->give_up_after = terms->give_up_after;
    e->retry_ms = terms->retry_ms;
    snprintf(e->lane, sizeof(e->lane), "%s", lane);
    snprintf(e->action, sizeof(e->action), "%s", terms->action);
    key_of(e, e->key);
    e->order = repair_order_new(terms->action, terms->instance_label, terms->parameters,
        terms->n_parameters, &n->labels, &e->lack);
    if (e->order) {
        e->order->valid_ms = terms->expires_ms;
        e->place = place_of(d, e->order->instance, terms->action);
        if (!e->place) {
            free(e->order);
            e->order = NULL;
            e->lack = "out of memory";
        }
    }
    *d->end = e;
    d->end = &e->next;
    d->n++;
    d->look_ms = 0;
    return e;
}

static struct episode **find(struct repair_desk *d, const char *lane, uint64_t alert_id)
{
    struct episode **at = &d->first;
    while (*at && ((*at)->notice->alert_id != alert_id || strcmp((*at)->lane, lane) != 0))
        at = &(*at)->next;
    return at;
}

static void over(struct repair_desk *d, struct episode **at, int64_t now_ms)
{
    struct episode *e = *at;
    if (e->state == REPAIR_ASKED) {
        // Best effort: what the agent has begun goes on, and nobody waits for its answer.
        char id[WIRE_REPAIR_ID_MAX + 1];
        snprintf(id, sizeof(id), "%s/%u", e->key, e->attempts);
        struct repair_order *cancel = repair_order_cancel(id);
        if (cancel && !d->o.send(d->o.ctx, cancel))
            free(cancel);
    }
    rest(d, e, now_ms);
    note(d, REPAIR_OVER, e);
    *at = e->next;
    if (d->end == &e->next)
        d->end = at;
    d->n--;
    episode_free(e);
}

int repair_desk_take(struct repair_desk *d, const char *lane, const struct repair_terms *terms,
    const struct notice *n, int64_t now_ms)
{
    struct episode **at = find(d, lane, n->alert_id);
    if (n->to != ALERT_FIRING) {
        if (*at)
            over(d, at, now_ms);
        d->o.told(d->o.ctx, lane, n->alert_id, TOLD_OVER);
        return 0;
    }
    // What pages that repairs did not help is not repaired.
    if (*at || strcmp(labels_get(&n->labels, "alertname"), ALERT_GAVE_UP) == 0)
        return 0;
    if (d->n >= REPAIR_EPISODES_MAX) {
        d->stats.dropped++;
        return -ENOBUFS;
    }
    struct episode *e = episode_new(d, lane, terms, n);
    if (!e) {
        d->stats.dropped++;
        return -ENOMEM;
    }
    e->due_ms = now_ms;
    return 0;
}

int repair_desk_gave_up(struct repair_desk *d, const char *lane,
    const struct repair_terms *terms, const struct notice *n)
{
    if (d->n >= REPAIR_EPISODES_MAX)
        return -ENOBUFS;
    struct episode *e = episode_new(d, lane, terms, n);
    if (!e)
        return -ENOMEM;
    e->state = REPAIR_GAVE_UP;
    e->why = "before a restart";
    e->due_ms = INT64_MAX;
    return 0;
}

void repair_desk_reroute(struct repair_desk *d,
    bool (*goes)(void *ctx, const char *lane, const struct notice *n), void *ctx,
    int64_t now_ms)
{
    for (struct episode **at = &d->first; *at;)
        if (goes(ctx, (*at)->lane, (*at)->notice))
            at = &(*at)->next;
        else
            over(d, at, now_ms);
}

// --- answers -------------------------------------------------------------------------------------

static int64_t backoff(const struct episode *e)
{
    int64_t ms = e->retry_ms;
    for (unsigned i = 1; i < e->attempts && ms < REPAIR_BACKOFF_MAX_MS; i++)
        ms *= 2;
    return ms < REPAIR_BACKOFF_MAX_MS ? ms : REPAIR_BACKOFF_MAX_MS;
}

static void failed(struct repair_desk *d, struct episode *e, int64_t now_ms)
{
    d->stats.failed++;
    rest(d, e, now_ms);
    e->state = REPAIR_WAITING;
    e->due_ms = now_ms + backoff(e);
    note(d, REPAIR_ENDS, e);
    int outcome = e->last ? e->last->outcome : ORDER_NO_ANSWER;
    // Another attempt would be told the same.
    if (outcome == REPAIR_NOT_LISTED || outcome == REPAIR_BAD_PARAMETER ||
        outcome == ORDER_NO_EXECUTOR)
        give_up(d, e, repair_answer_name(outcome), now_ms);
    else if (e->attempts >= e->give_up_after)
        give_up(d, e, "attempts", now_ms);
}

static void answered(
    struct repair_desk *d, struct episode *e, const struct repair_answer *a, int64_t now_ms)
{
    if (a->outcome == REPAIR_STARTED) {
        e->state = REPAIR_RUNNING;
        e->due_ms = now_ms + a->duration_ms + ANSWER_MS;
        return;
    }
    // Nothing was run for this request, so it costs nothing.
    if (a->again) {
        e->place->at = (e->place->at + TIMES_MAX - 1) % TIMES_MAX;
        e->place->started_ms[e->place->at] = 0;
    }
    size_t size = sizeof(*a) + a->n_output + 1;
    free(e->last);
    e->last = malloc(size);
    if (e->last)
        memcpy(e->last, a, size);
    if (a->outcome != REPAIR_EXITED || a->code != 0) {
        failed(d, e, now_ms);
        return;
    }
    d->stats.succeeded++;
    rest(d, e, now_ms);
    e->state = REPAIR_WELL;
    e->due_ms = now_ms + backoff(e);
    note(d, REPAIR_ENDS, e);
}

void repair_desk_answer(struct repair_desk *d, const struct repair_answer *a, int64_t now_ms)
{
    const char *slash = strrchr(a->id, '/');
    size_t len = slash ? (size_t)(slash - a->id) : 0;
    for (struct episode *e = d->first; e; e = e->next) {
        if (!busy(e) || strlen(e->key) != len || memcmp(e->key, a->id, len) != 0)
            continue;
        d->look_ms = 0;
        if (strtoul(slash + 1, NULL, 10) == e->attempts)
            answered(d, e, a, now_ms);
        return;
    }
}

// --- what is due ---------------------------------------------------------------------------------

// Why not now: until then. 0 = now.
static int64_t hindered(struct repair_desk *d, const struct episode *e, int64_t now_ms)
{
    const struct place *p = e->place;
    if (p->active || d->active >= REPAIR_ACTIVE_MAX || d->o.muted(d->o.ctx, e->lane, e->notice))
        return now_ms + LOOK_MS;
    // Another alert's attempt may have helped this one too: its rest is ours.
    if (p->ended_for == parameters_of(e) && now_ms - p->ended_ms < e->retry_ms)
        return p->ended_ms + e->retry_ms;
    return 0;
}

static void attempt(struct repair_desk *d, struct episode *e, int64_t now_ms)
{
    if (!e->order) {
        give_up(d, e, e->lack, now_ms);
        return;
    }
    if (e->attempts >= e->give_up_after) {
        give_up(d, e, "attempts", now_ms);
        return;
    }
    int64_t until = hindered(d, e, now_ms);
    e->queued = until && e->place->active;
    if (until) {
        e->due_ms = until;
        return;
    }
    if (spent(e->place, now_ms) >= e->max_per_hour) {
        give_up(d, e, "max_per_hour", now_ms);
        return;
    }
    snprintf(e->order->id, sizeof(e->order->id), "%s/%u", e->key, e->attempts + 1);
    struct repair_order *o = repair_order_copy(e->order);
    if (!o || !d->o.send(d->o.ctx, o)) {
        free(o);
        e->due_ms = now_ms + LOOK_MS;
        return;
    }
    e->attempts++;
    e->state = REPAIR_ASKED;
    e->due_ms = now_ms + e->order->valid_ms + ANSWER_MS;
    e->place->started_ms[e->place->at] = now_ms;
    e->place->at = (e->place->at + 1) % TIMES_MAX;
    e->place->active++;
    d->active++;
    d->stats.asked++;
    note(d, REPAIR_ASKS, e);
}

static void overdue(struct repair_desk *d, struct episode *e, int64_t now_ms)
{
    struct repair_answer *a = calloc(1, sizeof(*a) + 1);
    if (a) {
        a->outcome = ORDER_NO_ANSWER;
        snprintf(a->reason, sizeof(a->reason), "the agent did not say how it ended");
    }
    free(e->last);
    e->last = a;
    failed(d, e, now_ms);
}

void repair_desk_run(struct repair_desk *d, int64_t now_ms, bool durable)
{
    if (now_ms < d->look_ms && durable == d->durable)
        return;
    d->durable = durable;
    for (struct episode *e = d->first; e; e = e->next) {
        if (e->due_ms > now_ms)
            continue;
        if (busy(e))
            overdue(d, e, now_ms);
        else if (durable)
            attempt(d, e, now_ms);
    }
    if (now_ms >= d->sweep_ms) {
        places_sweep(d, now_ms);
        d->sweep_ms = now_ms + SWEEP_MS;
    }
    d->look_ms = INT64_MAX;
    for (const struct episode *e = d->first; e; e = e->next)
        if (e->due_ms < d->look_ms && (durable || busy(e)))
            d->look_ms = e->due_ms;
}

int64_t repair_desk_next(const struct repair_desk *d)
{
    return d->look_ms;
}

void repair_desk_each(
    const struct repair_desk *d, void (*fn)(void *ctx, const struct repair_view *v), void *ctx)
{
    for (const struct episode *e = d->first; e; e = e->next) {
        struct repair_view v = view(e);
        fn(ctx, &v);
    }
}

struct repair_stats repair_desk_stats(const struct repair_desk *d)
{
    struct repair_stats s = d->stats;
    s.active = d->active;
    s.waiting = s.given_up = 0;
    for (const struct episode *e = d->first; e; e = e->next) {
        s.given_up += e->state == REPAIR_GAVE_UP;
        s.waiting += e->state == REPAIR_WAITING || e->state == REPAIR_WELL;
    }
    return s;
}
