// SPDX-License-Identifier: Apache-2.0
#include "collector/repair_mail.h"
#include "base/map.h"
#include <stdlib.h>
#include <string.h>

struct letter {
    struct letter *next; // of its host
    struct repair_order *order;
    int64_t expires_ms, ask_ms; // asked again from ask_ms on
    bool asked, started;
    uint8_t agent_id[16]; // who was asked
};
struct repair_mail {
    struct map by_host; // host -> first letter
    size_t n;
    repair_mail_fn *answer;
    void *ctx;
    int64_t started_ms;
};

struct repair_mail *repair_mail_new(repair_mail_fn *answer, void *ctx, int64_t now_ms)
{
    struct repair_mail *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    map_init(&m->by_host);
    m->answer = answer;
    m->ctx = ctx;
    m->started_ms = now_ms;
    return m;
}

static void letter_free(struct letter *l)
{
    free(l->order);
    free(l);
}

void repair_mail_free(struct repair_mail *m)
{
    size_t it = 0, len;
    const void *key;
    void *value;
    if (!m)
        return;
    while (map_next(&m->by_host, &it, &key, &len, &value))
        for (struct letter *l = value, *next; l; l = next) {
            next = l->next;
            letter_free(l);
        }
    map_done(&m->by_host);
    free(m);
}

size_t repair_mail_count(const struct repair_mail *m)
{
    return m->n;
}

static struct letter *letters_of(const struct repair_mail *m, const char *host)
{
    return map_get(&m->by_host, host, strlen(host));
}

static void take_out(struct repair_mail *m, const char *host, struct letter *l)
{
    struct letter *first = letters_of(m, host), **at = &first;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    // The host is known, so nothing is allocated.
    if (first)
        (void)map_set(&m->by_host, host, strlen(host), first);
    else
        map_del(&m->by_host, host, strlen(host));
    m->n--;
    l->next = NULL;
}

// Tells the desk. False: it is offered again later, so the letter has to stay.
static bool tell(struct repair_mail *m, const struct wire_repair_result *r, int outcome)
{
    struct repair_answer *a = repair_answer_new(r);
    if (!a)
        return false;
    if (outcome)
        a->outcome = outcome;
    if (m->answer(m->ctx, a))
        return true;
    free(a);
    return false;
}

static void end(struct repair_mail *m, struct letter *l, int outcome, const char *why)
{
    struct wire_repair_result r = {.id = l->order->id, .reason = why};
    if (!tell(m, &r, outcome))
        return;
    take_out(m, l->order->instance, l);
    letter_free(l);
}

static struct letter *find(const struct repair_mail *m, const char *id)
{
    size_t it = 0, len;
    const void *key;
    void *value;
    while (map_next(&m->by_host, &it, &key, &len, &value))
        for (struct letter *l = value; l; l = l->next)
            if (strcmp(l->order->id, id) == 0)
                return l;
    return NULL;
}

void repair_mail_put(struct repair_mail *m, struct repair_order *o, int64_t now_ms)
{
    if (o->cancel) {
        struct letter *l = find(m, o->id);
        if (l) {
            take_out(m, l->order->instance, l);
            letter_free(l);
        }
        free(o);
        return;
    }
    struct letter *l = m->n < MAIL_ORDERS_MAX ? calloc(1, sizeof(*l)) : NULL;
    struct letter *first = letters_of(m, o->instance), **at = &first;
    if (l)
        *l = (struct letter){.order = o, .expires_ms = now_ms + o->valid_ms};
    while (*at)
        at = &(*at)->next;
    *at = l;
    if (l && map_set(&m->by_host, o->instance, strlen(o->instance), first) == 0) {
        m->n++;
        return;
    }
    *at = NULL;
    // Without room the desk is not told either: it has a time of its own for the answer.
    free(l);
    free(o);
}

static bool settled(
    const struct repair_mail *m, struct repair_hearing *h, bool whole, int64_t now_ms)
{
    if (!whole || !h->last_ms || now_ms - h->last_ms > MAIL_GAP_MS)
        h->since_ms = now_ms;
    h->last_ms = now_ms;
    return now_ms - h->since_ms >= MAIL_SETTLE_MS && now_ms - m->started_ms >= MAIL_START_MS;
}

size_t repair_mail_body(struct repair_mail *m, struct repair_hearing *h,
    const uint8_t agent_id[16], const char *host, bool whole, bool able, int64_t now_ms,
    struct wire_repair ret[static MAIL_REPLY_MAX])
{
    size_t n = 0;
    if (!settled(m, h, whole, now_ms) || !m->n)
        return 0;
    for (struct letter *l = letters_of(m, host), *next; l && n < MAIL_REPLY_MAX; l = next) {
        next = l->next;
        if (!able) {
            end(m, l, ORDER_NO_EXECUTOR, "the agent has no `repairs`");
            continue;
        }
        if (now_ms < l->ask_ms || (l->asked && memcmp(l->agent_id, agent_id, 16) != 0) ||
            (!l->started && now_ms >= l->expires_ms))
            continue;
        ret[n] = l->order->request;
        // One that has been started is only asked about: it must never begin now.
        ret[n++].valid_ms = l->started ? 0 : (uint32_t)(l->expires_ms - now_ms);
        memcpy(l->agent_id, agent_id, 16);
        l->asked = true;
        l->ask_ms = l->started ? now_ms + MAIL_LOOK_MS : 0;
    }
    return n;
}

void repair_mail_result(struct repair_mail *m, const uint8_t agent_id[16],
    const struct wire_repair_result *r, int64_t now_ms)
{
    struct letter *l = find(m, r->id);
    if (!l || !l->asked || memcmp(l->agent_id, agent_id, 16) != 0)
        return;
    if (r->outcome == REPAIR_STARTED) {
        if (!l->started && tell(m, r, 0))
            l->started = true;
        l->ask_ms = now_ms + MAIL_LOOK_MS;
        return;
    }
    if (!tell(m, r, 0))
        return; // asked for again, and answered again
    take_out(m, l->order->instance, l);
    letter_free(l);
}

void repair_mail_sweep(struct repair_mail *m, int64_t now_ms)
{
    size_t it = 0, len, n = 0;
    const void *key;
    void *value;
    struct letter *over[64]; // the rest next time: the map must not change while it is walked
    while (n < 64 && map_next(&m->by_host, &it, &key, &len, &value))
        for (struct letter *l = value; l && n < 64; l = l->next)
            if (!l->started && now_ms >= l->expires_ms + (l->asked ? MAIL_GRACE_MS : 0))
                over[n++] = l;
    for (size_t i = 0; i < n; i++)
        end(m, over[i], ORDER_NOT_TAKEN,
            over[i]->asked ? "the agent did not answer" : "the agent was not heard");
}
