// SPDX-License-Identifier: Apache-2.0
#include "collector/notice.h"
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// Before each notice on the heap.
struct shared_notice {
    atomic_uint refs;
    struct notice n;
};

static struct shared_notice *shared_of(const struct notice *n)
{
    return (struct shared_notice *)((uintptr_t)n - offsetof(struct shared_notice, n));
}

static size_t labels_bytes(const struct labels *l)
{
    size_t bytes = 0;
    for (size_t i = 0; i < l->n; i++)
        bytes += sizeof(struct label) + strlen(l->l[i].name) + strlen(l->l[i].value) + 2;
    return bytes;
}

static const char *copy_text(char **at, const char *s)
{
    char *to = *at;
    size_t n = strlen(s) + 1;
    memcpy(to, s, n);
    *at = to + n;
    return to;
}

static void copy_labels(
    const struct labels *from, struct label *to, char **text, struct labels *ret)
{
    for (size_t i = 0; i < from->n; i++) {
        to[i].name = copy_text(text, from->l[i].name);
        to[i].value = copy_text(text, from->l[i].value);
    }
    *ret = (struct labels){to, from->n};
}

struct notice *notice_copy(const struct notice *from)
{
    size_t bytes = sizeof(struct shared_notice) + labels_bytes(&from->labels) +
                   labels_bytes(&from->annotations) + strlen(from->group) + strlen(from->file) +
                   strlen(from->expr) + 3;
    struct shared_notice *s = malloc(bytes);
    if (!s)
        return NULL;
    atomic_init(&s->refs, 1);
    struct notice *n = &s->n;
    struct label *l = (struct label *)(n + 1);
    char *text = (char *)(l + from->labels.n + from->annotations.n);
    *n = *from;
    n->shared = true;
    copy_labels(&from->labels, l, &text, &n->labels);
    copy_labels(&from->annotations, l + from->labels.n, &text, &n->annotations);
    n->group = copy_text(&text, from->group);
    n->file = copy_text(&text, from->file);
    n->expr = copy_text(&text, from->expr);
    return n;
}

struct notice *notice_annotated(const struct notice *n, const char *name, const char *value)
{
    struct label *l = calloc(n->annotations.n + 1, sizeof(*l));
    struct notice more = *n;
    size_t count = 0, i = 0;
    if (!l)
        return NULL;
    while (i < n->annotations.n && strcmp(n->annotations.l[i].name, name) < 0)
        l[count++] = n->annotations.l[i++];
    l[count++] = (struct label){name, value};
    i += i < n->annotations.n && strcmp(n->annotations.l[i].name, name) == 0;
    while (i < n->annotations.n)
        l[count++] = n->annotations.l[i++];
    more.annotations = (struct labels){l, count};
    struct notice *copy = notice_copy(&more);
    free(l);
    return copy;
}

const struct notice *notice_keep(const struct notice *n)
{
    if (!n->shared)
        return notice_copy(n);
    atomic_fetch_add_explicit(&shared_of(n)->refs, 1, memory_order_relaxed);
    return n;
}

void notice_free(const struct notice *n)
{
    if (n && atomic_fetch_sub_explicit(&shared_of(n)->refs, 1, memory_order_acq_rel) == 1)
        free(shared_of(n));
}

struct notice *notice_new(const struct transition *t, uint64_t id, int64_t decided_ms)
{
    static const struct labels NONE;
    const struct alert *a = t->alert;
    struct notice n = {.id = id,
        .alert_id = a->id,
        .rule_identity = t->rule->identity,
        .element_hash = a->element_hash,
        .fingerprint = a->fingerprint,
        .labels = a->labels ? *a->labels : NONE,
        .annotations = a->annotations ? *a->annotations : NONE,
        .group = t->group ? t->group->name : "",
        .file = t->group && t->group->file ? t->group->file : "",
        .expr = t->rule->expr.text ? t->rule->expr.text : "",
        .line = t->rule->line,
        .from = t->from,
        .to = t->to,
        .value = a->value,
        .starts_at_ms = a->fired_at_ms,
        .ends_at_ms =
            t->to == ALERT_INACTIVE ? (a->resolved_at_ms ? a->resolved_at_ms : t->at_ms) : 0,
        .active_at_ms = a->active_at_ms,
        .cause_ms = a->cause_ms,
        .silent_ms = a->silent_ms,
        .decided_ms = decided_ms};
    return notice_copy(&n);
}

struct alert notice_alert(const struct notice *n)
{
    return (struct alert){.id = n->alert_id,
        .labels = (struct labels *)(uintptr_t)&n->labels,
        .annotations = (struct labels *)(uintptr_t)&n->annotations,
        .fingerprint = n->fingerprint,
        .element_hash = n->element_hash,
        .state = n->to,
        .value = n->value,
        .active_at_ms = n->active_at_ms,
        .silent_ms = n->silent_ms,
        .fired_at_ms = n->starts_at_ms,
        .resolved_at_ms = n->ends_at_ms,
        .cause_ms = n->cause_ms};
}
