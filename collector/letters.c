// SPDX-License-Identifier: Apache-2.0
#include "collector/letters.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TEXTS 6

size_t letter_bytes(const struct letter *l)
{
    const char *text[TEXTS] = {l->lane, l->receiver, l->key, l->to, l->path, l->why};
    size_t size = sizeof(*l) + l->n_alerts * sizeof(*l->alerts) + l->body_len + 1;
    for (size_t i = 0; i < TEXTS; i++)
        size += strlen(text[i]) + 1;
    return size;
}

static const char *put(char **at, const char *text, size_t len)
{
    char *to = *at;
    if (len)
        memcpy(to, text, len);
    to[len] = '\0';
    *at += len + 1;
    return to;
}

struct letter *letter_copy(const struct letter *l)
{
    struct letter *c = malloc(letter_bytes(l));
    if (!c)
        return NULL;
    struct letter_alert *alerts = (struct letter_alert *)(c + 1);
    char *at = (char *)(alerts + l->n_alerts);
    *c = *l;
    if (l->n_alerts)
        memcpy(alerts, l->alerts, l->n_alerts * sizeof(*alerts));
    c->alerts = alerts;
    c->lane = put(&at, l->lane, strlen(l->lane));
    c->receiver = put(&at, l->receiver, strlen(l->receiver));
    c->key = put(&at, l->key, strlen(l->key));
    c->to = put(&at, l->to, strlen(l->to));
    c->path = put(&at, l->path, strlen(l->path));
    c->why = put(&at, l->why, strlen(l->why));
    c->body = put(&at, l->body, l->body_len);
    return c;
}

void letters_done(struct letters *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->l[i]);
    free(s->l);
    *s = (struct letters){0};
}

static void remove_at(struct letters *s, size_t i)
{
    s->bytes -= letter_bytes(s->l[i]);
    free(s->l[i]);
    s->n--;
    memmove(&s->l[i], &s->l[i + 1], (s->n - i) * sizeof(struct letter *));
}

static size_t find(const struct letters *s, const char *lane, const char *key)
{
    size_t i = 0;
    while (i < s->n && (strcmp(s->l[i]->key, key) != 0 || strcmp(s->l[i]->lane, lane) != 0))
        i++;
    return i;
}

int letters_add(struct letters *s, struct letter *l,
    void (*gone)(void *ctx, const struct letter *l), void *ctx)
{
    size_t size = letter_bytes(l);
    if (size > LETTERS_BYTES_MAX) {
        s->lost++;
        free(l);
        return -EMSGSIZE;
    }
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 8;
        struct letter **grown = realloc(s->l, cap * sizeof(struct letter *));
        if (!grown) {
            s->lost++;
            free(l);
            return -ENOMEM;
        }
        s->l = grown;
        s->cap = cap;
    }
    size_t same = find(s, l->lane, l->key);
    if (same < s->n) {
        gone(ctx, s->l[same]);
        remove_at(s, same);
    }
    while (s->n && (s->n >= LETTERS_MAX || s->bytes + size > LETTERS_BYTES_MAX)) {
        s->lost++;
        gone(ctx, s->l[0]);
        remove_at(s, 0);
    }
    s->l[s->n++] = l;
    s->bytes += size;
    return 0;
}

const struct letter *letters_get(const struct letters *s, uint64_t id)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->l[i]->id == id)
            return s->l[i];
    return NULL;
}

const struct letter *letters_find(const struct letters *s, const char *lane, const char *key)
{
    size_t i = find(s, lane, key);
    return i < s->n ? s->l[i] : NULL;
}

bool letters_remove(struct letters *s, uint64_t id)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->l[i]->id == id) {
            remove_at(s, i);
            return true;
        }
    return false;
}

size_t letters_of(const struct letters *s, const char *lane)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        n += strcmp(s->l[i]->lane, lane) == 0;
    return n;
}
