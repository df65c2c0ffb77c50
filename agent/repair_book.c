// SPDX-License-Identifier: Apache-2.0
#include "agent/repair_book.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS (3600 * 1000LL)
#define DAY_MS  (24 * HOUR_MS)

struct entry {
    char id[WIRE_REPAIR_ID_MAX + 1], action[WIRE_REPAIR_ACTION_MAX + 1];
    int64_t started_ms; // wall
    enum repair_outcome outcome;
    int32_t code;
    uint32_t duration_ms;
};
struct repair_book {
    const struct repair_action *list;
    size_t n_list;
    struct entry *entries; // oldest first
    size_t n, cap;
    char reason[REPAIR_REASON_MAX];
};

struct repair_book *repair_book_new(const struct repair_action *list, size_t n)
{
    struct repair_book *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    b->list = list;
    b->n_list = n;
    return b;
}

void repair_book_free(struct repair_book *b)
{
    if (!b)
        return;
    free(b->entries);
    free(b);
}

size_t repair_book_count(const struct repair_book *b)
{
    return b->n;
}

static struct entry *find(const struct repair_book *b, const char *id)
{
    for (size_t i = b->n; i-- > 0;)
        if (strcmp(b->entries[i].id, id) == 0)
            return &b->entries[i];
    return NULL;
}

// Room for one more. NULL: no memory, or all are young.
static struct entry *push(struct repair_book *b, int64_t wall_ms)
{
    if (b->n >= REPAIR_BOOK_MAX) {
        const struct entry *old = &b->entries[0];
        int64_t age = wall_ms - old->started_ms;
        if (old->outcome == REPAIR_STARTED || age < HOUR_MS)
            return NULL;
        memmove(&b->entries[0], &b->entries[1], (b->n - 1) * sizeof(*old));
        b->n--;
    }
    if (b->n == b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 16;
        struct entry *grown = realloc(b->entries, cap * sizeof(*grown));
        if (!grown)
            return NULL;
        b->entries = grown;
        b->cap = cap;
    }
    return &b->entries[b->n++];
}

static bool runs(const struct repair_book *b, const char *action)
{
    for (size_t i = 0; i < b->n; i++)
        if (b->entries[i].outcome == REPAIR_STARTED &&
            strcmp(b->entries[i].action, action) == 0)
            return true;
    return false;
}

static unsigned spent(const struct repair_book *b, const char *action, int64_t wall_ms)
{
    unsigned n = 0;
    for (size_t i = 0; i < b->n; i++)
        n += strcmp(b->entries[i].action, action) == 0 &&
             b->entries[i].started_ms > wall_ms - HOUR_MS;
    return n;
}

static const struct repair_action *refuse(struct repair_book *b, enum repair_outcome outcome,
    const char *reason, struct wire_repair_result *ret)
{
    ret->outcome = outcome;
    if (reason)
        snprintf(b->reason, sizeof(b->reason), "%s", reason);
    ret->reason = b->reason;
    return NULL;
}

const struct repair_action *repair_book_ask(struct repair_book *b, const struct wire_repair *r,
    int64_t expires_ns, int64_t now_ns, int64_t wall_ms, struct wire_repair_result *ret)
{
    *ret = (struct wire_repair_result){.id = r->id};
    const struct entry *known = find(b, r->id);
    if (known) {
        ret->outcome = known->outcome;
        ret->code = known->code;
        ret->duration_ms = known->duration_ms;
        ret->again = true;
        return NULL;
    }
    if (now_ns > expires_ns)
        return refuse(b, REPAIR_EXPIRED, "the request was too old when it came", ret);
    enum repair_outcome outcome = REPAIR_NOT_LISTED;
    const struct repair_action *a = repair_find(b->list, b->n_list, r, &outcome, b->reason);
    if (!a)
        return refuse(b, outcome, NULL, ret);
    if (runs(b, a->name))
        return refuse(b, REPAIR_BUSY, "the action runs already", ret);
    if (spent(b, a->name, wall_ms) >= a->max_per_hour) {
        char text[REPAIR_REASON_MAX];
        snprintf(text, sizeof(text), "it ran %u times within an hour, its max_per_hour",
            a->max_per_hour);
        return refuse(b, REPAIR_OVER_BUDGET, text, ret);
    }
    struct entry *e = push(b, wall_ms);
    if (!e)
        return refuse(b, REPAIR_FAILED, "no room to remember it", ret);
    *e = (struct entry){.started_ms = wall_ms,
        .outcome = REPAIR_STARTED,
        .duration_ms = (uint32_t)a->timeout_ms};
    snprintf(e->id, sizeof(e->id), "%s", r->id);
    snprintf(e->action, sizeof(e->action), "%s", a->name);
    return a;
}

void repair_book_end(struct repair_book *b, const struct wire_repair_result *r)
{
    struct entry *e = find(b, r->id);
    if (!e)
        return;
    e->outcome = r->outcome;
    e->code = r->code;
    e->duration_ms = r->duration_ms;
}

static int print(const struct entry *e, struct buf *out)
{
    return buf_addf(out, "2 %s %s %" PRId64 " %d %" PRId32 " %" PRIu32 "\n", e->id, e->action,
        e->started_ms, (int)e->outcome, e->code, e->duration_ms);
}

int repair_book_line(const struct repair_book *b, const char *id, struct buf *out)
{
    const struct entry *e = find(b, id);
    return e ? print(e, out) : -ENOENT;
}

int repair_book_print(const struct repair_book *b, struct buf *out)
{
    for (size_t i = 0; i < b->n; i++)
        print(&b->entries[i], out);
    return out->failed;
}

bool repair_book_read(struct repair_book *b, const char *line, int64_t wall_ms)
{
    struct entry e = {0};
    int outcome = 0, end = 0;
    if (strlen(line) >= REPAIR_LINE_MAX ||
        sscanf(line, "2 %64[^ ] %64[^ ] %" SCNd64 " %d %" SCNd32 " %" SCNu32 "%n", e.id,
            e.action, &e.started_ms, &outcome, &e.code, &e.duration_ms, &end) != 6 ||
        line[end] || outcome < REPAIR_STARTED || outcome >= REPAIR_OUTCOMES ||
        !wire_repair_action_ok(e.action))
        return false;
    e.outcome = (enum repair_outcome)outcome;
    if (e.started_ms < wall_ms - DAY_MS)
        return true;
    struct entry *at = find(b, e.id);
    if (!at)
        at = push(b, wall_ms);
    if (at)
        *at = e;
    return at != NULL;
}

void repair_book_opened(struct repair_book *b)
{
    for (size_t i = 0; i < b->n; i++)
        if (b->entries[i].outcome == REPAIR_STARTED)
            b->entries[i].outcome = REPAIR_LOST;
}
