// SPDX-License-Identifier: Apache-2.0
#include "collector/ack.h"
#include "base/map.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct acks {
    struct map by_alert; // of struct ack, each with its text in one block
};

bool ack_active(const struct ack *a, int64_t now_ms)
{
    return a && now_ms < a->until_ms;
}

struct acks *acks_new(void)
{
    struct acks *s = calloc(1, sizeof(*s));
    if (s)
        map_init(&s->by_alert);
    return s;
}

void acks_each(const struct acks *s, void (*fn)(void *ctx, const struct ack *a), void *ctx)
{
    size_t at = 0, len;
    const void *key;
    void *a;
    while (map_next(&s->by_alert, &at, &key, &len, &a))
        fn(ctx, a);
}

void acks_free(struct acks *s)
{
    size_t at = 0, len;
    const void *key;
    void *a;
    if (!s)
        return;
    while (map_next(&s->by_alert, &at, &key, &len, &a))
        free(a);
    map_done(&s->by_alert);
    free(s);
}

int ack_check(const struct ack *a, int64_t now_ms, struct err *err)
{
    if (!*a->owner)
        err_set(err, "it must be said who takes it on (owner)");
    else if (strlen(a->owner) > ACK_OWNER_MAX)
        err_set(err, "the owner is longer than %d bytes", ACK_OWNER_MAX);
    else if (strlen(a->note) > ACK_NOTE_MAX)
        err_set(err, "the note is longer than %d bytes", ACK_NOTE_MAX);
    else if (a->until_ms <= now_ms)
        err_set(err, "the end is in the past");
    else if (a->until_ms - now_ms > ACK_FOR_MAX)
        err_set(err, "an alert can be acknowledged for 30 days at most");
    else
        return 0;
    return -EINVAL;
}

int acks_put(struct acks *s, const struct ack *a)
{
    size_t owner = strlen(a->owner) + 1, note = strlen(a->note) + 1;
    struct ack *old = map_get(&s->by_alert, &a->alert_id, sizeof(a->alert_id));
    if (!old && s->by_alert.n >= ACKS_MAX)
        return -ENOSPC;
    struct ack *own = malloc(sizeof(*own) + owner + note);
    if (!own)
        return -ENOMEM;
    char *text = (char *)(own + 1);
    *own = *a;
    own->owner = memcpy(text, a->owner, owner);
    own->note = memcpy(text + owner, a->note, note);
    if (map_set(&s->by_alert, &own->alert_id, sizeof(own->alert_id), own) < 0) {
        free(own);
        return -ENOMEM;
    }
    free(old);
    return 0;
}

int acks_end(struct acks *s, uint64_t alert_id, int64_t now_ms, const struct ack **ret)
{
    struct ack *a = map_get(&s->by_alert, &alert_id, sizeof(alert_id));
    if (!ack_active(a, now_ms))
        return -ENOENT;
    a->until_ms = now_ms;
    *ret = a;
    return 0;
}

bool acks_forget(struct acks *s, uint64_t alert_id)
{
    struct ack *a = map_del(&s->by_alert, &alert_id, sizeof(alert_id));
    free(a);
    return a != NULL;
}

const struct ack *acks_get(const struct acks *s, uint64_t alert_id)
{
    return map_get(&s->by_alert, &alert_id, sizeof(alert_id));
}

int64_t acks_next(const struct acks *s, int64_t now_ms)
{
    int64_t next = INT64_MAX;
    size_t at = 0, len;
    const void *key;
    void *v;
    while (map_next(&s->by_alert, &at, &key, &len, &v)) {
        const struct ack *a = v;
        if (ack_active(a, now_ms) && a->until_ms < next)
            next = a->until_ms;
    }
    return next;
}
