// SPDX-License-Identifier: Apache-2.0
#include "collector/inhibit.h"
#include "base/map.h"
#include <stdlib.h>
#include <string.h>

// Sources that fire with the same `equal` labels.
struct sources {
    size_t all, plain; // plain: those that do not match the target side too
};
struct rule_state {
    const struct inhibit_rule *rule;
    struct map by_equal; // values of the equal labels -> struct sources
};
struct inhibitor {
    struct rule_state *r;
    size_t n;
    struct map firing; // alert ids that are counted
    bool moved;
};

struct inhibitor *inhibitor_new(const struct inhibit_rule *rules, size_t n)
{
    struct inhibitor *h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    h->r = calloc(n ? n : 1, sizeof(*h->r));
    if (!h->r) {
        free(h);
        return NULL;
    }
    h->n = n;
    map_init(&h->firing);
    for (size_t i = 0; i < n; i++) {
        h->r[i].rule = &rules[i];
        map_init(&h->r[i].by_equal);
    }
    return h;
}

void inhibitor_free(struct inhibitor *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->n; i++) {
        size_t it = 0, len;
        const void *key;
        void *value;
        while (map_next(&h->r[i].by_equal, &it, &key, &len, &value))
            free(value);
        map_done(&h->r[i].by_equal);
    }
    map_done(&h->firing);
    free(h->r);
    free(h);
}

static bool source_side(const struct inhibit_rule *r, const struct labels *l)
{
    return matchers_labels(r->source.m, r->source.n, l);
}

static bool target_side(const struct inhibit_rule *r, const struct labels *l)
{
    return matchers_labels(r->target.m, r->target.n, l);
}

static bool key_of(const struct inhibit_rule *r, const struct labels *l, struct buf *key)
{
    buf_init(key, 1u << 20);
    buf_addc(key, '='); // no equal labels: one key, and not an empty one
    for (size_t i = 0; i < r->n_equal; i++) {
        const char *v = labels_get(l, r->equal[i]);
        buf_add(key, v, strlen(v) + 1);
    }
    return !key->failed;
}

static void count(struct rule_state *s, const struct labels *l, bool begins)
{
    struct buf key;
    if (!source_side(s->rule, l))
        return;
    bool plain = !target_side(s->rule, l);
    if (key_of(s->rule, l, &key)) {
        struct sources *c = map_get(&s->by_equal, key.data, key.len);
        if (!c && begins) {
            c = calloc(1, sizeof(*c));
            if (c && map_set(&s->by_equal, key.data, key.len, c) < 0) {
                free(c);
                c = NULL;
            }
        }
        if (c && begins) {
            c->all++;
            c->plain += plain;
        } else if (c && c->all) {
            c->all--;
            c->plain -= plain && c->plain;
            if (!c->all)
                free(map_del(&s->by_equal, key.data, key.len));
        }
    }
    buf_done(&key);
}

static bool is_source(const struct inhibitor *h, const struct labels *l)
{
    for (size_t i = 0; i < h->n; i++)
        if (source_side(h->r[i].rule, l))
            return true;
    return false;
}

void inhibitor_take(struct inhibitor *h, const struct notice *n)
{
    bool fires = n->to == ALERT_FIRING;
    bool counted = map_get(&h->firing, &n->alert_id, sizeof(n->alert_id)) != NULL;
    if (fires == counted || !is_source(h, &n->labels))
        return;
    if (fires && map_set(&h->firing, &n->alert_id, sizeof(n->alert_id), h) < 0)
        return;
    if (!fires)
        map_del(&h->firing, &n->alert_id, sizeof(n->alert_id));
    for (size_t i = 0; i < h->n; i++)
        count(&h->r[i], &n->labels, fires);
    h->moved = true;
}

bool inhibitor_muted(const struct inhibitor *h, const struct labels *l)
{
    bool muted = false;
    for (size_t i = 0; !muted && i < h->n; i++) {
        const struct rule_state *s = &h->r[i];
        struct buf key;
        if (!s->by_equal.n || !target_side(s->rule, l))
            continue;
        if (key_of(s->rule, l, &key)) {
            const struct sources *c = map_get(&s->by_equal, key.data, key.len);
            muted = c && (source_side(s->rule, l) ? c->plain > 0 : c->all > 0);
        }
        buf_done(&key);
    }
    return muted;
}

bool inhibitor_moved(struct inhibitor *h)
{
    bool moved = h->moved;
    h->moved = false;
    return moved;
}
