// SPDX-License-Identifier: Apache-2.0
#include "collector/notice.h"
#include <stdlib.h>
#include <string.h>

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

struct notice *notice_new(const struct transition *t, uint64_t id, int64_t decided_ms)
{
    static const struct labels NONE;
    const struct alert *a = t->alert;
    const struct labels *labels = a->labels ? a->labels : &NONE;
    const struct labels *annotations = a->annotations ? a->annotations : &NONE;
    const char *group = t->group ? t->group->name : "", *file = t->group ? t->group->file : "";
    const char *expr = t->rule->expr.text ? t->rule->expr.text : "";
    size_t bytes = sizeof(struct notice) + labels_bytes(labels) + labels_bytes(annotations) +
                   strlen(group) + strlen(file) + strlen(expr) + 3;
    struct notice *n = malloc(bytes);
    if (!n)
        return NULL;
    struct label *l = (struct label *)(n + 1);
    char *text = (char *)(l + labels->n + annotations->n);
    *n = (struct notice){.id = id,
        .line = t->rule->line,
        .fingerprint = a->fingerprint,
        .from = t->from,
        .to = t->to,
        .value = a->value,
        .starts_at_ms = a->fired_at_ms,
        .ends_at_ms =
            t->to == ALERT_INACTIVE ? (a->resolved_at_ms ? a->resolved_at_ms : t->at_ms) : 0,
        .active_at_ms = a->active_at_ms,
        .cause_ms = a->cause_ms,
        .decided_ms = decided_ms};
    copy_labels(labels, l, &text, &n->labels);
    copy_labels(annotations, l + labels->n, &text, &n->annotations);
    n->group = copy_text(&text, group);
    n->file = copy_text(&text, file);
    n->expr = copy_text(&text, expr);
    return n;
}
