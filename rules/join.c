// SPDX-License-Identifier: Apache-2.0
// Hash tables of label sets that live for one evaluation.
#include "rules/eval_node.h"
#include <errno.h>

static uint64_t hash_of(const struct join_key *k, const struct labels *s)
{
    switch (k->kind) {
    case KEY_ON: return labels_hash_on(s, k->names, k->n);
    case KEY_WITHOUT: return labels_hash_without(s, k->names, k->n);
    case KEY_BUT: {
        static const char *const NAME[] = {LABEL_NAME};
        return labels_hash_without(s, k->names, k->n) * 31 + labels_hash_on(s, NAME, 1);
    }
    case KEY_ALL: break;
    }
    return labels_hash(s);
}

static bool ignored(const struct join_key *k, const char *name)
{
    if (!strcmp(name, LABEL_NAME))
        return true;
    for (size_t i = 0; i < k->n; i++)
        if (!strcmp(k->names[i], name))
            return true;
    return false;
}

static bool same(const struct join_key *k, const struct labels *a, const struct labels *b)
{
    if (a->l == b->l && a->n == b->n)
        return true;
    if (k->kind == KEY_ALL)
        return labels_equal(a, b);
    if (k->kind == KEY_BUT && strcmp(labels_get(a, LABEL_NAME), labels_get(b, LABEL_NAME)) != 0)
        return false;
    if (k->kind == KEY_ON) {
        for (size_t i = 0; i < k->n; i++)
            if (strcmp(labels_get(a, k->names[i]), labels_get(b, k->names[i])) != 0)
                return false;
        return true;
    }
    size_t i = 0, j = 0;
    for (;;) {
        while (i < a->n && ignored(k, a->l[i].name))
            i++;
        while (j < b->n && ignored(k, b->l[j].name))
            j++;
        if (i == a->n || j == b->n)
            return i == a->n && j == b->n;
        if (strcmp(a->l[i].name, b->l[j].name) != 0 ||
            strcmp(a->l[i].value, b->l[j].value) != 0)
            return false;
        i++;
        j++;
    }
}

int join_init(struct eval *e, struct join *j, size_t room)
{
    size_t slots = 16;
    while (slots < room * 2)
        slots *= 2;
    *j = (struct join){.mask = slots - 1, .cap = room};
    j->slot = eval_alloc(e, slots, sizeof(*j->slot));
    j->entry = eval_alloc(e, room ? room : 1, sizeof(*j->entry));
    if (!j->slot || !j->entry)
        return eval_full(e, slots, sizeof(*j->slot) + sizeof(*j->entry));
    return 0;
}

struct join_entry *join_find(
    const struct join *j, const struct join_key *k, const struct labels *s)
{
    if (!j->n)
        return NULL;
    uint64_t h = hash_of(k, s);
    for (size_t at = h & j->mask; j->slot[at]; at = (at + 1) & j->mask) {
        struct join_entry *en = &j->entry[j->slot[at] - 1];
        if (en->hash == h && same(k, en->labels, s))
            return en;
    }
    return NULL;
}

struct join_entry *join_put(struct join *j, const struct join_key *k, const struct labels *s,
    uint32_t value, bool *ret_new)
{
    uint64_t h = hash_of(k, s);
    size_t at = h & j->mask;
    for (; j->slot[at]; at = (at + 1) & j->mask) {
        struct join_entry *en = &j->entry[j->slot[at] - 1];
        if (en->hash == h && same(k, en->labels, s)) {
            *ret_new = false;
            return en;
        }
    }
    struct join_entry *en = &j->entry[j->n++];
    *en = (struct join_entry){.hash = h, .labels = s, .value = value};
    j->slot[at] = (uint32_t)j->n;
    *ret_new = true;
    return en;
}
