// SPDX-License-Identifier: Apache-2.0
#include "rules/audience.h"
#include <errno.h>
#include <stdlib.h>

#define LINKS_MAX (AUDIENCE_KNOWN - 1)

struct listener_group {
    struct listener *first;
    char *key;
    size_t len;
};

void audience_init(struct audience *a, const struct source *src)
{
    *a = (struct audience){.src = src, .n_links = 1, .packed = 1, .valid = true};
    map_init(&a->groups);
}

void audience_done(struct audience *a)
{
    map_done(&a->groups);
    free(a->head);
    free(a->link);
    free(a->fresh.id);
    *a = (struct audience){0};
}

void audience_begin(struct audience *a)
{
    for (struct listener *l = a->all; l; l = l->all_next) {
        l->open = false;
        l->born.n = 0;
    }
    if (a->n_ids)
        memset(a->head, 0, a->n_ids * sizeof(*a->head));
    a->n_links = a->packed = 1;
    a->fresh.n = 0;
    a->valid = true;
    a->lost = false;
}

size_t audience_bytes(const struct audience *a)
{
    return a->n_ids * sizeof(*a->head) + a->cap_links * sizeof(*a->link) +
           a->fresh.cap * sizeof(*a->fresh.id) +
           a->groups.n * (sizeof(struct listener_group) + 64);
}

// --- groups --------------------------------------------------------------------------------------

static void key_of(struct buf *key, const char *name, const struct label *l)
{
    key->len = 0;
    buf_add(key, name, strlen(name) + 1);
    if (!l)
        return;
    buf_add(key, l->name, strlen(l->name) + 1);
    buf_add(key, l->value, strlen(l->value) + 1);
}

// What every series it accepts has: a metric name ("" = any), and a label when it names one.
static void key_of_listener(const struct listener *l, struct buf *key)
{
    const char *name = "";
    struct label one;
    bool labelled = false;
    for (size_t i = 0; i < l->n; i++) {
        if (l->m[i].op != MATCH_EQ || !*l->m[i].value)
            continue;
        if (!strcmp(l->m[i].name, LABEL_NAME)) {
            name = l->m[i].value;
        } else if (!labelled) {
            one = (struct label){l->m[i].name, l->m[i].value};
            labelled = true;
        }
    }
    key_of(key, name, labelled ? &one : NULL);
}

static struct listener_group *group_get(struct audience *a, const struct buf *key)
{
    struct listener_group *g = map_get(&a->groups, key->data, key->len);
    if (g)
        return g;
    g = calloc(1, sizeof(*g));
    char *copy = malloc(key->len);
    if (!g || !copy || map_set(&a->groups, key->data, key->len, g) < 0) {
        free(copy);
        free(g);
        return NULL;
    }
    memcpy(copy, key->data, key->len);
    g->key = copy;
    g->len = key->len;
    a->n_groups_unnamed += !*copy;
    return g;
}

static void group_release(struct audience *a, struct listener_group *g)
{
    if (g->first)
        return;
    a->n_groups_unnamed -= !*g->key;
    map_del(&a->groups, g->key, g->len);
    free(g->key);
    free(g);
}

int audience_join(struct audience *a, struct listener *l)
{
    struct buf key;
    buf_init(&key, 1u << 20);
    key_of_listener(l, &key);
    l->group = key.failed ? NULL : group_get(a, &key);
    buf_done(&key);
    if (!l->group)
        return -ENOMEM;
    l->open = false;
    l->next = l->group->first;
    l->at = &l->group->first;
    if (l->next)
        l->next->at = &l->next;
    l->group->first = l;
    l->all_next = a->all;
    l->all_at = &a->all;
    if (l->all_next)
        l->all_next->all_at = &l->all_next;
    a->all = l;
    return 0;
}

void audience_leave(struct audience *a, struct listener *l)
{
    if (!l->group)
        return;
    *l->at = l->next;
    if (l->next)
        l->next->at = l->at;
    *l->all_at = l->all_next;
    if (l->all_next)
        l->all_next->all_at = l->all_at;
    group_release(a, l->group);
    free(l->born.id);
    l->born = (struct series_ids){0};
    l->group = NULL;
    a->valid &= !l->ids->n;
}

// --- links -----------------------------------------------------------------------------------------

static bool ids_room(struct audience *a, uint32_t id)
{
    if (id < a->n_ids)
        return true;
    size_t n = a->n_ids ? a->n_ids : 1024;
    while (n <= id)
        n *= 2;
    uint32_t *head = realloc(a->head, n * sizeof(*head));
    if (!head)
        return false;
    memset(head + a->n_ids, 0, (n - a->n_ids) * sizeof(*head));
    a->head = head;
    a->n_ids = n;
    return true;
}

static bool links_room(struct audience *a, size_t more)
{
    size_t want = a->n_links + more, cap = a->cap_links ? a->cap_links : 1024;
    if (want <= a->cap_links)
        return true;
    if (want > LINKS_MAX)
        return false;
    while (cap < want)
        cap *= 2;
    struct link *grown = realloc(a->link, cap * sizeof(*grown));
    if (!grown)
        return false;
    a->link = grown;
    a->cap_links = (uint32_t)cap;
    return true;
}

void audience_link(struct audience *a, struct listener *l, size_t from)
{
    size_t n = l->ids->n;
    if (!a->valid || a->lost || from == n)
        return; // the next repack does it
    // Links that came one by one are scattered: they are put together before they are many.
    if (a->n_links + (n - from) > 2 * (size_t)a->packed + 4096) {
        a->valid = false;
        return;
    }
    if (!ids_room(a, l->ids->id[n - 1]) || !links_room(a, n - from)) {
        a->lost = true;
        return;
    }
    for (size_t i = from; i < n; i++) {
        uint32_t *head = &a->head[l->ids->id[i]];
        a->link[a->n_links] = (struct link){l, (uint32_t)i, *head & ~AUDIENCE_KNOWN};
        *head = a->n_links++ | (*head & AUDIENCE_KNOWN);
    }
}

// All links anew, those of one series side by side.
static bool repack(struct audience *a)
{
    size_t total = 1;
    uint32_t last = 0;
    for (const struct listener *l = a->all; l; l = l->all_next) {
        if (!l->open || !l->ids->n)
            continue;
        total += l->ids->n;
        if (l->ids->id[l->ids->n - 1] > last)
            last = l->ids->id[l->ids->n - 1];
    }
    a->n_links = 0;
    if (!ids_room(a, last) || !links_room(a, total))
        return false;
    // First how many links each series has, then where they end: filled in backwards, each head
    // comes to rest where they begin.
    for (size_t i = 0; i < a->n_ids; i++)
        a->head[i] &= AUDIENCE_KNOWN;
    for (const struct listener *l = a->all; l; l = l->all_next)
        for (size_t i = 0; l->open && i < l->ids->n; i++)
            a->head[l->ids->id[i]]++;
    uint32_t end = 1;
    for (size_t i = 0; i < a->n_ids; i++) {
        uint32_t n = a->head[i] & ~AUDIENCE_KNOWN;
        end += n;
        a->head[i] += n ? end - n : 0;
        if (n)
            a->link[end - 1].next = 0;
        for (uint32_t k = end - n; k + 1 < end; k++)
            a->link[k].next = k + 1;
    }
    for (struct listener *l = a->all; l; l = l->all_next)
        for (size_t i = 0; l->open && i < l->ids->n; i++) {
            struct link *to = &a->link[--a->head[l->ids->id[i]] & ~AUDIENCE_KNOWN];
            to->by = l;
            to->slot = (uint32_t)i;
        }
    a->n_links = a->packed = end;
    a->valid = true;
    return true;
}

uint32_t audience_miss(struct audience *a, uint32_t id)
{
    if (a->lost)
        return 0;
    if ((!a->valid && !repack(a)) || !ids_room(a, id)) {
        a->lost = true;
        return 0;
    }
    if (!(a->head[id] & AUDIENCE_KNOWN)) {
        if (!series_ids_add(&a->fresh, id)) {
            a->lost = true;
            return 0;
        }
        a->head[id] |= AUDIENCE_KNOWN;
    }
    return a->head[id] & ~AUDIENCE_KNOWN;
}

// --- births ----------------------------------------------------------------------------------------

static bool listens(const struct listener *l, uint32_t id)
{
    size_t lo = 0, hi = l->ids->n;
    if (!hi || l->ids->id[hi - 1] < id)
        return false;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (l->ids->id[mid] < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return l->ids->id[lo] == id;
}

static bool offer(const struct listener_group *g, uint32_t id, const struct labels *labels)
{
    for (struct listener *l = g ? g->first : NULL; l; l = l->next) {
        if (!l->open || !matchers_labels(l->m, l->n, labels) || listens(l, id))
            continue;
        l->mixed |= l->born.n && l->born.id[l->born.n - 1] > id;
        if (!series_ids_add(&l->born, id))
            return false;
    }
    return true;
}

static bool offer_named(struct audience *a, struct buf *key, const char *name, uint32_t id,
    const struct labels *labels)
{
    bool ok = true;
    for (size_t i = 0; ok && i <= labels->n; i++) {
        const struct label *l = i < labels->n ? &labels->l[i] : NULL;
        if (l && !strcmp(l->name, LABEL_NAME))
            continue;
        key_of(key, name, l);
        ok = !key->failed && offer(map_get(&a->groups, key->data, key->len), id, labels);
    }
    return ok;
}

static int by_id(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

int audience_meet(struct audience *a)
{
    bool ok = !a->lost;
    struct buf key;
    if (!a->fresh.n || !ok)
        return ok ? 0 : -ENOMEM;
    buf_init(&key, 1u << 20);
    qsort(a->fresh.id, a->fresh.n, sizeof(*a->fresh.id), by_id);
    for (size_t i = 0; ok && i < a->fresh.n; i++) {
        uint32_t id = a->fresh.id[i];
        struct labels labels = a->src->labels(a->src->self, id);
        const char *name = labels_get(&labels, LABEL_NAME);
        if (*name)
            ok = offer_named(a, &key, name, id, &labels);
        if (ok && a->n_groups_unnamed)
            ok = offer_named(a, &key, "", id, &labels);
    }
    buf_done(&key);
    a->fresh.n = 0;
    a->lost = !ok;
    return ok ? 0 : -ENOMEM;
}
