// SPDX-License-Identifier: Apache-2.0
// `fallbacks` of the configuration: who is told when a receiver is not reached. Ours, not Alertmanager's.
#include "collector/config_read.h"
#include <stdio.h>
#include <string.h>

#define FALLBACKS_MAX 1000
#define AFTER_MIN_MS  1000
#define AFTER_MAX_MS  (12 * 3600 * 1000LL) // a message is given up after 24 h
#define NAMES_MAX     256

static const char *const KEYS[] = {"receiver", "to", "after"};
static const char EXAMPLE[] = "e.g. fallbacks: [{receiver: chat, to: pager, after: 2m}]";

static const char *name_of(struct config_reader *r, const struct yaml_node *n, const char *key,
    struct config_place *ret_at)
{
    const char *s = config_scalar(r, n, key);
    *ret_at = (struct config_place){
        n->line, n->col, n->end > n->offset ? (int)(n->end - n->offset) : 1};
    if (!s)
        return NULL;
    for (const char *c = s; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            config_bad(r, n, "C001", NULL, "`%s`: a control byte cannot go into a header", key);
            return NULL;
        }
    return config_keep(r, s);
}

static void unknown(struct config_reader *r, const struct yaml_node *key)
{
    char hint[96] = "";
    const char *near = diag_nearest(key->text, key->len, KEYS, sizeof(KEYS) / sizeof(KEYS[0]));
    if (near)
        snprintf(hint, sizeof(hint), "did you mean `%s`?", near);
    config_bad(
        r, key, "C001", near ? hint : NULL, "unknown key `%.60s` in fallbacks", key->text);
}

// False: there is nothing to keep of it.
static bool fallback(
    struct config_reader *r, const struct yaml_node *n, struct config_fallback *to)
{
    size_t errors = r->d->errors;
    *to = (struct config_fallback){0};
    if (n->kind != YAML_MAP) {
        config_bad(r, n, "C001", EXAMPLE, "a fallback is a map");
        return false;
    }
    for (size_t i = 0; i < n->n; i++) {
        const char *key = n->keys[i]->text;
        const struct yaml_node *v = n->items[i];
        if (strcmp(key, "receiver") == 0)
            to->receiver = name_of(r, v, key, &to->receiver_at);
        else if (strcmp(key, "to") == 0)
            to->to = name_of(r, v, key, &to->to_at);
        else if (strcmp(key, "after") == 0)
            config_duration(r, v, key, AFTER_MIN_MS, AFTER_MAX_MS, &to->after_ms);
        else
            unknown(r, n->keys[i]);
    }
    if (r->d->errors > errors)
        return false;
    if (!to->receiver || !to->to || !to->after_ms) {
        config_bad(r, n, "C001", EXAMPLE, "a fallback needs `receiver`, `to` and `after`");
        return false;
    }
    if (strcmp(to->receiver, to->to) == 0)
        config_bad(r, yaml_get(n, "to"), "C001", "name another receiver",
            "`%.60s` cannot stand in for itself", to->to);
    if (config_fallback(r->c, to->receiver))
        config_bad(r, yaml_get(n, "receiver"), "C001",
            "one that is not reached either may have one of its own",
            "`%.60s` has a fallback already", to->receiver);
    return r->d->errors == errors;
}

void config_fallbacks(struct config_reader *r, const struct yaml_node *n)
{
    if (n->kind == YAML_NULL)
        return;
    if (n->kind != YAML_SEQ || n->n > FALLBACKS_MAX) {
        config_bad(r, n, "C001", EXAMPLE, "`fallbacks` is a list of at most %d", FALLBACKS_MAX);
        return;
    }
    r->c->fallbacks = arena_alloc(&r->c->arena, (n->n + 1) * sizeof(*r->c->fallbacks));
    if (!r->c->fallbacks) {
        r->oom = true;
        return;
    }
    for (size_t i = 0; i < n->n && !r->oom; i++)
        if (fallback(r, n->items[i], &r->c->fallbacks[r->c->n_fallbacks]))
            r->c->n_fallbacks++;
}

const struct config_fallback *config_fallback(const struct config *c, const char *receiver)
{
    for (size_t i = 0; i < c->n_fallbacks; i++)
        if (strcmp(c->fallbacks[i].receiver, receiver) == 0)
            return &c->fallbacks[i];
    return NULL;
}

// A receiver that is there, and through which somebody is told.
static void check_name(
    const struct config *c, struct diags *d, const char *name, const struct config_place *at)
{
    const struct config_receiver *r = config_receiver(c, name);
    const char *names[NAMES_MAX];
    size_t n = 0;
    char hint[96] = "";
    for (; !r && n < c->n_receivers && n < NAMES_MAX; n++)
        names[n] = c->receivers[n].name;
    const char *near = diag_nearest(name, strlen(name), names, n);
    if (near)
        snprintf(hint, sizeof(hint), "did you mean `%.60s`?", near);
    for (size_t i = 0; r && i < r->n; i++)
        if (!r->integrations[i].kind->repair)
            return;
    diags_add(d, DIAG_ERROR, "C001", at->line, at->col, at->len, near ? hint : NULL,
        r ? "receiver `%.60s` has nobody it tells" : "there is no receiver `%.60s`", name);
}

// Whether one comes back to where it began. Said once of each circle, at the first of it in the file.
static bool circle(const struct config *c, size_t first)
{
    const struct config_fallback *f = &c->fallbacks[first];
    for (size_t steps = 0; f && steps <= c->n_fallbacks; steps++) {
        f = config_fallback(c, f->to);
        if (f == &c->fallbacks[first])
            return true;
        if (f && f < &c->fallbacks[first])
            return false;
    }
    return false;
}

bool config_fallbacks_check(const struct config *c, struct diags *d)
{
    size_t errors = d->errors;
    for (size_t i = 0; i < c->n_fallbacks; i++) {
        const struct config_fallback *f = &c->fallbacks[i];
        check_name(c, d, f->receiver, &f->receiver_at);
        check_name(c, d, f->to, &f->to_at);
        if (circle(c, i))
            diags_add(d, DIAG_ERROR, "C001", f->to_at.line, f->to_at.col, f->to_at.len,
                "the last one has nobody behind it",
                "fallbacks go round in a circle, from `%.60s` back to it", f->receiver);
    }
    return d->errors == errors;
}
