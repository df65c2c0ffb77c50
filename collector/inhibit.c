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
    struct rule_state **by_source, **by_target; // in the order of their rule
    struct map firing;                          // alert ids that are counted
    bool moved;
};

static int by_source(const void *a, const void *b)
{
    const struct rule_state *const *x = a, *const *y = b;
    uint64_t i = (*x)->rule->source_rule, k = (*y)->rule->source_rule;
    return i < k ? -1 : i > k;
}

static int by_target(const void *a, const void *b)
{
    const struct rule_state *const *x = a, *const *y = b;
    uint64_t i = (*x)->rule->target_rule, k = (*y)->rule->target_rule;
    return i < k ? -1 : i > k;
}

// Those whose side is of this rule, out of a list in the order of that side.
static struct rule_state **of_rule(
    const struct inhibitor *h, bool source, uint64_t rule, size_t *ret_n)
{
    struct rule_state **list = source ? h->by_source : h->by_target;
    size_t lo = 0, hi = h->n, end;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        uint64_t at = source ? list[mid]->rule->source_rule : list[mid]->rule->target_rule;
        if (at < rule)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (end = lo; end < h->n; end++)
        if ((source ? list[end]->rule->source_rule : list[end]->rule->target_rule) != rule)
            break;
    *ret_n = end - lo;
    return list + lo;
}

struct inhibitor *inhibitor_new(const struct inhibit_rule *rules, size_t n)
{
    struct inhibitor *h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    map_init(&h->firing);
    h->r = calloc(n ? n : 1, sizeof(*h->r));
    h->by_source = calloc(n ? n : 1, sizeof(struct rule_state *));
    h->by_target = calloc(n ? n : 1, sizeof(struct rule_state *));
    if (!h->r || !h->by_source || !h->by_target) {
        inhibitor_free(h);
        return NULL;
    }
    h->n = n;
    for (size_t i = 0; i < n; i++) {
        h->r[i].rule = &rules[i];
        map_init(&h->r[i].by_equal);
        h->by_source[i] = h->by_target[i] = &h->r[i];
    }
    qsort(h->by_source, n, sizeof(struct rule_state *), by_source);
    qsort(h->by_target, n, sizeof(struct rule_state *), by_target);
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
    free(h->by_source);
    free(h->by_target);
    free(h->r);
    free(h);
}

static bool source_side(const struct inhibit_rule *r, const struct notice *n)
{
    return (!r->source_rule || r->source_rule == n->rule_identity) &&
           matchers_labels(r->source.m, r->source.n, &n->labels);
}

static bool target_side(const struct inhibit_rule *r, const struct notice *n)
{
    return (!r->target_rule || r->target_rule == n->rule_identity) &&
           matchers_labels(r->target.m, r->target.n, &n->labels);
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

static void count(struct rule_state *s, const struct notice *n, bool begins)
{
    struct buf key;
    if (!source_side(s->rule, n))
        return;
    bool plain = !target_side(s->rule, n);
    if (key_of(s->rule, &n->labels, &key)) {
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

static bool is_source(const struct inhibitor *h, const struct notice *n, uint64_t rule)
{
    size_t count;
    struct rule_state **list = of_rule(h, true, rule, &count);
    for (size_t i = 0; i < count; i++)
        if (source_side(list[i]->rule, n))
            return true;
    return false;
}

static void count_all(struct inhibitor *h, const struct notice *n, uint64_t rule, bool begins)
{
    size_t many;
    struct rule_state **list = of_rule(h, true, rule, &many);
    for (size_t i = 0; i < many; i++)
        count(list[i], n, begins);
}

void inhibitor_take(struct inhibitor *h, const struct notice *n)
{
    bool fires = n->to == ALERT_FIRING;
    bool counted = map_get(&h->firing, &n->alert_id, sizeof(n->alert_id)) != NULL;
    if (fires == counted || (!is_source(h, n, 0) && !is_source(h, n, n->rule_identity)))
        return;
    if (fires && map_set(&h->firing, &n->alert_id, sizeof(n->alert_id), h) < 0)
        return;
    if (!fires)
        map_del(&h->firing, &n->alert_id, sizeof(n->alert_id));
    count_all(h, n, 0, fires);
    if (n->rule_identity)
        count_all(h, n, n->rule_identity, fires);
    h->moved = true;
}

static bool muted_by(const struct inhibitor *h, const struct notice *n, uint64_t rule)
{
    bool muted = false;
    size_t count;
    struct rule_state **list = of_rule(h, false, rule, &count);
    for (size_t i = 0; !muted && i < count; i++) {
        const struct rule_state *s = list[i];
        struct buf key;
        if (!s->by_equal.n || !target_side(s->rule, n))
            continue;
        if (key_of(s->rule, &n->labels, &key)) {
            const struct sources *c = map_get(&s->by_equal, key.data, key.len);
            muted = c && (source_side(s->rule, n) ? c->plain > 0 : c->all > 0);
        }
        buf_done(&key);
    }
    return muted;
}

bool inhibitor_muted(const struct inhibitor *h, const struct notice *n)
{
    return muted_by(h, n, 0) || (n->rule_identity && muted_by(h, n, n->rule_identity));
}

bool inhibitor_moved(struct inhibitor *h)
{
    bool moved = h->moved;
    h->moved = false;
    return moved;
}
