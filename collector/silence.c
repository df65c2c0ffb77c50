// SPDX-License-Identifier: Apache-2.0
#include "collector/silence.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kept {
    struct silence s;
    struct arena arena;
    int64_t matched_ms; // last; INT64_MIN = not known, an earlier run saw it
};
struct silences {
    struct kept **k;
    size_t n, cap;
};

enum silence_state silence_state_at(const struct silence *s, int64_t now_ms)
{
    return now_ms < s->starts_ms ? SILENCE_PENDING
           : now_ms < s->ends_ms ? SILENCE_ACTIVE
                                 : SILENCE_EXPIRED;
}

const char *silence_state_name(enum silence_state s)
{
    switch (s) {
    case SILENCE_PENDING: return "pending";
    case SILENCE_ACTIVE: return "active";
    case SILENCE_EXPIRED: break;
    }
    return "expired";
}

struct silences *silences_new(void)
{
    return calloc(1, sizeof(struct silences));
}

static void kept_free(struct kept *k)
{
    if (!k)
        return;
    matcher_list_done(&k->s.matchers);
    arena_done(&k->arena);
    free(k);
}

void silences_free(struct silences *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++)
        kept_free(s->k[i]);
    free(s->k);
    free(s);
}

static struct kept *find(const struct silences *s, const char *id)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->k[i]->s.id, id) == 0)
            return s->k[i];
    return NULL;
}

const struct silence *silences_get(const struct silences *s, const char *id)
{
    const struct kept *k = find(s, id);
    return k ? &k->s : NULL;
}

// Takes k over.
static int push(struct silences *s, struct kept *k)
{
    int rc = s->n >= SILENCES_MAX ? -ENOSPC : 0;
    if (rc == 0 && s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 16;
        struct kept **grown = realloc(s->k, cap * sizeof(struct kept *));
        if (grown) {
            s->k = grown;
            s->cap = cap;
        } else {
            rc = -ENOMEM;
        }
    }
    if (rc < 0)
        kept_free(k);
    else
        s->k[s->n++] = k;
    return rc;
}

static struct kept *make(const char *matchers, const char *created_by, const char *comment,
    int *ret_rc, struct err *err)
{
    struct kept *k = calloc(1, sizeof(*k));
    *ret_rc = -ENOMEM;
    if (!k)
        return NULL;
    arena_init(&k->arena, 1u << 20);
    k->s.created_by = arena_strndup(&k->arena, created_by, strlen(created_by));
    k->s.comment = arena_strndup(&k->arena, comment, strlen(comment));
    if (k->s.created_by && k->s.comment)
        *ret_rc = matchers_parse(matchers, strlen(matchers), &k->arena, &k->s.matchers, err);
    if (*ret_rc == 0)
        return k;
    kept_free(k);
    return NULL;
}

static int check(
    const struct silence_draft *d, const struct kept *k, int64_t now_ms, struct err *err)
{
    bool selects = false;
    for (size_t i = 0; i < k->s.matchers.n; i++)
        selects |= !matcher_value(&k->s.matchers.m[i], "");
    if (!selects)
        err_set(err, "at least one matcher must not match the empty string: this would silence "
                     "everything");
    else if (d->ends_ms <= d->starts_ms)
        err_set(err, "the end must be after the start");
    else if (d->ends_ms <= now_ms)
        err_set(err, "the end is in the past");
    else if (d->quiet_ms < SILENCE_QUIET_AS_IS)
        err_set(err, "the time to be quiet is negative");
    else if (!*d->created_by)
        err_set(err, "it must be said who silences (createdBy)");
    else if (!*d->comment)
        err_set(err, "a comment must say why");
    else if (strlen(d->comment) > SILENCE_TEXT_MAX || strlen(d->created_by) > 256)
        err_set(err, "the comment is longer than %d bytes", SILENCE_TEXT_MAX);
    else
        return 0;
    return -EINVAL;
}

static void name(const uint8_t *random, char ret[static SILENCE_ID_MAX])
{
    uint8_t b[16];
    char *to = ret;
    memcpy(b, random, 16);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); // version 4, variant 1
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    for (int i = 0; i < 16; i++)
        to += sprintf(to, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
}

static bool same_matchers(const struct matcher_list *a, const struct matcher_list *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->m[i].op != b->m[i].op || strcmp(a->m[i].name, b->m[i].name) != 0 ||
            strcmp(a->m[i].value, b->m[i].value) != 0)
            return false;
    return true;
}

static void swap_in(struct silences *s, struct kept *old, struct kept *new)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->k[i] == old)
            s->k[i] = new;
    kept_free(old);
}

int silences_set(struct silences *s, const struct silence_draft *d, int64_t now_ms,
    const struct silence **ret, const struct silence **ret_ended, struct err *err)
{
    int rc;
    *ret_ended = NULL;
    struct kept *old = *d->id ? find(s, d->id) : NULL;
    if (*d->id && !old) {
        err_set(err, "there is no silence %.40s", d->id);
        return -ENOENT;
    }
    struct kept *k = make(d->matchers, d->created_by, d->comment, &rc, err);
    if (!k)
        return rc;
    rc = check(d, k, now_ms, err);
    if (rc < 0) {
        kept_free(k);
        return rc;
    }
    k->s.starts_ms = d->starts_ms < now_ms ? now_ms : d->starts_ms;
    k->s.ends_ms = d->ends_ms;
    k->s.updated_ms = now_ms;
    k->s.quiet_ms = d->quiet_ms;
    if (d->quiet_ms == SILENCE_QUIET_AS_IS)
        k->s.quiet_ms = old ? old->s.quiet_ms : 0;
    k->matched_ms = k->s.starts_ms;
    *ret = &k->s;
    // The same one with another end, or one that has not begun: its id stands.
    enum silence_state state = old ? silence_state_at(&old->s, now_ms) : SILENCE_EXPIRED;
    bool same = old && same_matchers(&old->s.matchers, &k->s.matchers);
    if (old && (state == SILENCE_PENDING || (state == SILENCE_ACTIVE && same))) {
        if (state == SILENCE_ACTIVE)
            k->s.starts_ms = old->s.starts_ms;
        memcpy(k->s.id, old->s.id, sizeof(k->s.id));
        swap_in(s, old, k);
        return 0;
    }
    name(d->random, k->s.id);
    rc = push(s, k);
    if (rc == -ENOSPC)
        err_set(err, "there are %d silences already", SILENCES_MAX);
    if (rc == 0 && old && state == SILENCE_ACTIVE) {
        old->s.ends_ms = old->s.updated_ms = now_ms;
        *ret_ended = &old->s;
    }
    return rc;
}

int silences_expire(
    struct silences *s, const char *id, int64_t now_ms, const struct silence **ret)
{
    struct kept *k = find(s, id);
    if (!k)
        return -ENOENT;
    if (silence_state_at(&k->s, now_ms) == SILENCE_EXPIRED)
        return -EALREADY;
    if (k->s.starts_ms > now_ms)
        k->s.starts_ms = now_ms;
    k->s.ends_ms = k->s.updated_ms = now_ms;
    *ret = &k->s;
    return 0;
}

int silences_restore(struct silences *s, const struct silence *from, const char *matchers)
{
    struct err err = {0};
    int rc;
    struct kept *k = make(matchers, from->created_by, from->comment, &rc, &err);
    if (!k)
        return rc;
    memcpy(k->s.id, from->id, sizeof(k->s.id));
    k->s.starts_ms = from->starts_ms;
    k->s.ends_ms = from->ends_ms;
    k->s.updated_ms = from->updated_ms;
    k->s.quiet_ms = from->quiet_ms;
    k->matched_ms = INT64_MIN;
    return push(s, k);
}

size_t silences_muting(const struct silences *s, const struct labels *l, int64_t now_ms,
    const char **ret_ids, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct silence *x = &s->k[i]->s;
        if (silence_state_at(x, now_ms) != SILENCE_ACTIVE ||
            !matchers_labels(x->matchers.m, x->matchers.n, l))
            continue;
        if (n < max)
            ret_ids[n] = x->id;
        n++;
    }
    return n;
}

// When it has been quiet for long enough, as far as is known; INT64_MAX: not by itself.
static int64_t quiet_at(const struct kept *k, int64_t now_ms)
{
    if (!k->s.quiet_ms || silence_state_at(&k->s, now_ms) != SILENCE_ACTIVE)
        return INT64_MAX;
    return k->matched_ms == INT64_MIN ? now_ms : k->matched_ms + k->s.quiet_ms;
}

void silences_saw(struct silences *s, const struct labels *l, int64_t now_ms)
{
    for (size_t i = 0; i < s->n; i++)
        if (quiet_at(s->k[i], now_ms) != INT64_MAX &&
            matchers_labels(s->k[i]->s.matchers.m, s->k[i]->s.matchers.n, l))
            s->k[i]->matched_ms = now_ms;
}

bool silences_quiet_due(const struct silences *s, int64_t now_ms)
{
    for (size_t i = 0; i < s->n; i++)
        if (quiet_at(s->k[i], now_ms) <= now_ms)
            return true;
    return false;
}

void silences_end_quiet(struct silences *s, int64_t now_ms,
    void (*fn)(void *ctx, const struct silence *silence), void *ctx)
{
    for (size_t i = 0; i < s->n; i++) {
        struct kept *k = s->k[i];
        if (quiet_at(k, now_ms) > now_ms)
            continue;
        if (k->matched_ms == INT64_MIN) { // after a restart its time begins anew
            k->matched_ms = now_ms;
            continue;
        }
        k->s.ends_ms = k->s.updated_ms = now_ms;
        fn(ctx, &k->s);
    }
}

int64_t silences_next(const struct silences *s, int64_t now_ms)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < s->n; i++) {
        const struct silence *x = &s->k[i]->s;
        int64_t at = now_ms < x->starts_ms ? x->starts_ms
                     : now_ms < x->ends_ms ? x->ends_ms
                                           : INT64_MAX;
        int64_t quiet_ms = quiet_at(s->k[i], now_ms);
        at = quiet_ms < at ? quiet_ms : at;
        next = at < next ? at : next;
    }
    return next;
}

void silences_each(
    const struct silences *s, bool (*fn)(void *ctx, const struct silence *silence), void *ctx)
{
    for (size_t i = 0; i < s->n; i++)
        if (!fn(ctx, &s->k[i]->s))
            return;
}

void silences_sweep(struct silences *s, int64_t now_ms,
    void (*fn)(void *ctx, const struct silence *silence), void *ctx)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (s->k[i]->s.ends_ms + SILENCE_KEPT_MS > now_ms) {
            s->k[kept++] = s->k[i];
            continue;
        }
        fn(ctx, &s->k[i]->s);
        kept_free(s->k[i]);
    }
    s->n = kept;
}
