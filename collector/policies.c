// SPDX-License-Identifier: Apache-2.0
#include "collector/policies.h"
#include "base/map.h"
#include "rules/parse.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct flap_rule {
    uint64_t rule;
    struct flap_limit limit;
};
struct policies {
    atomic_int refs;
    struct arena arena; // everything below
    struct inhibit_rule *depends;
    size_t n_depends;
    struct expr_root *selectors; // hold the regexes
    size_t n_selectors;
    struct flap_rule *flaps; // by rule
    size_t n_flaps;
};
// The rules of one group and name.
struct namesake {
    uint64_t rule;
    struct namesake *next;
};
struct making {
    struct policies *p;
    struct map rules; // group NUL name -> struct namesake
    struct arena scratch;
    bool failed;
};

static bool told(const struct rule *r)
{
    return r->kind == RULE_ALERT && r->name && !r->disabled;
}

static struct namesake *namesakes(
    struct making *m, const char *group, const char *name, bool add)
{
    struct buf key;
    buf_init(&key, 1u << 20);
    buf_add(&key, group, strlen(group) + 1);
    buf_adds(&key, name);
    struct namesake *first = key.failed ? NULL : map_get(&m->rules, key.data, key.len);
    if (add) {
        struct namesake *one = arena_alloc(&m->scratch, sizeof(*one));
        m->failed |= key.failed || !one;
        if (!m->failed) {
            one->next = first;
            m->failed |= map_set(&m->rules, key.data, key.len, one) < 0;
            first = one;
        }
    }
    m->failed |= key.failed;
    buf_done(&key);
    return first;
}

static const char **names_copy(struct making *m, const char **names, size_t n)
{
    const char **copy = arena_alloc(&m->p->arena, (n ? n : 1) * sizeof(*copy));
    for (size_t i = 0; copy && i < n; i++) {
        copy[i] = arena_strndup(&m->p->arena, names[i], strlen(names[i]));
        m->failed |= !copy[i];
    }
    m->failed |= !copy;
    return copy;
}

static void add(struct making *m, const struct inhibit_rule *r)
{
    struct inhibit_rule *depends = m->p->depends;
    size_t n = m->p->n_depends;
    if ((n & (n - 1)) == 0) { // full at each power of two
        depends = arena_alloc(&m->p->arena, (n ? n * 2 : 1) * sizeof(*depends));
        if (!depends) {
            m->failed = true;
            return;
        }
        if (n)
            memcpy(depends, m->p->depends, n * sizeof(*depends));
        m->p->depends = depends;
    }
    depends[m->p->n_depends++] = *r;
}

// The selector once more: that of the set dies with the set.
static void add_selector(struct making *m, const struct dependency *d, struct inhibit_rule *r)
{
    struct policies *p = m->p;
    struct parse_error e;
    struct expr_root *root = &p->selectors[p->n_selectors];
    if (expr_parse(d->selector.text, d->selector.len, &p->arena, root, &e) < 0) {
        m->failed = true;
        return;
    }
    p->n_selectors++;
    r->source.m = root->root->matchers;
    r->source.n = root->root->n_matchers;
    for (size_t i = 0; i < r->source.n; i++)
        if (strcmp(r->source.m[i].name, LABEL_NAME) == 0)
            r->source.m[i].name = "alertname";
    add(m, r);
}

static void add_rule(struct making *m, const struct rule *rule)
{
    if (rule->flap.max)
        m->p->flaps[m->p->n_flaps++] = (struct flap_rule){rule->identity, rule->flap};
    for (size_t i = 0; i < rule->n_depends && !m->failed; i++) {
        const struct dependency *d = &rule->depends[i];
        struct inhibit_rule r = {.target_rule = rule->identity,
            .equal = names_copy(m, d->equal, d->n_equal),
            .n_equal = d->n_equal};
        if (!d->rule)
            add_selector(m, d, &r);
        for (const struct namesake *s = d->rule ? namesakes(m, d->group, d->rule, false) : NULL;
             s && !m->failed; s = s->next) {
            r.source_rule = s->rule;
            add(m, &r);
        }
    }
}

static int by_rule(const void *a, const void *b)
{
    const struct flap_rule *x = a, *y = b;
    return x->rule < y->rule ? -1 : x->rule > y->rule;
}

struct policies *policies_new(struct ruleset *set)
{
    struct policies *p = calloc(1, sizeof(*p));
    struct making m = {.p = p};
    size_t flaps = 0, selectors = 0;
    if (!p)
        return NULL;
    atomic_init(&p->refs, 1);
    arena_init(&p->arena, 0);
    arena_init(&m.scratch, 0);
    map_init(&m.rules);
    ruleset_identify(set);
    for (size_t i = 0; i < set->n_groups && !m.failed; i++)
        for (size_t k = 0; k < set->groups[i].n_rules && !m.failed; k++) {
            const struct rule *r = &set->groups[i].rules[k];
            if (!told(r))
                continue;
            struct namesake *one = namesakes(&m, set->groups[i].name, r->name, true);
            if (one)
                one->rule = r->identity;
            flaps += r->flap.max > 0;
            for (size_t d = 0; d < r->n_depends; d++)
                selectors += !r->depends[d].rule;
        }
    p->flaps = arena_alloc(&p->arena, (flaps + 1) * sizeof(*p->flaps));
    p->selectors = arena_alloc(&p->arena, (selectors + 1) * sizeof(*p->selectors));
    m.failed |= !p->flaps || !p->selectors;
    for (size_t i = 0; i < set->n_groups; i++)
        for (size_t k = 0; k < set->groups[i].n_rules && !m.failed; k++)
            if (told(&set->groups[i].rules[k]))
                add_rule(&m, &set->groups[i].rules[k]);
    map_done(&m.rules);
    arena_done(&m.scratch);
    if (m.failed) {
        policies_free(p);
        return NULL;
    }
    qsort(p->flaps, p->n_flaps, sizeof(*p->flaps), by_rule);
    return p;
}

struct policies *policies_keep(struct policies *p)
{
    atomic_fetch_add(&p->refs, 1);
    return p;
}

void policies_free(struct policies *p)
{
    if (!p || atomic_fetch_sub(&p->refs, 1) > 1)
        return;
    for (size_t i = 0; i < p->n_selectors; i++)
        expr_done(&p->selectors[i]);
    arena_done(&p->arena);
    free(p);
}

const struct inhibit_rule *policies_dependencies(const struct policies *p, size_t *ret_n)
{
    *ret_n = p->n_depends;
    return p->depends;
}

struct flap_limit policies_flap(const struct policies *p, uint64_t rule_identity)
{
    struct flap_rule key = {.rule = rule_identity};
    const struct flap_rule *found =
        p->n_flaps ? bsearch(&key, p->flaps, p->n_flaps, sizeof(key), by_rule) : NULL;
    return found ? found->limit : key.limit;
}
