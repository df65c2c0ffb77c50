// SPDX-License-Identifier: Apache-2.0
#include "agent/probe_numbers.h"
#include "agent/intake.h"
#include "base/clock.h"
#include <stdlib.h>
#include <string.h>

#define LABELS_MAX 8

struct numbers {
    struct intake *intake;
    const void *who; // asks for them now
    int64_t begun_ns;
    struct wire_label labels[LABELS_MAX];
    char text[]; // of labels and source
};

struct numbers *numbers_new(
    struct output *out, const char *source, const struct wire_label *labels, size_t n)
{
    size_t size = strlen(source) + 1;
    for (size_t i = 0; i < n; i++)
        size += labels[i].value ? strlen(labels[i].name) + strlen(labels[i].value) + 2 : 0;
    struct numbers *m = calloc(1, sizeof(*m) + size);
    if (!m)
        return NULL;
    char *at = m->text;
    struct intake_options o = {.source = at, .labels = m->labels};
    at = stpcpy(at, source) + 1;
    for (size_t i = 0; i < n && o.n_labels < LABELS_MAX; i++) {
        if (!labels[i].value || !*labels[i].value)
            continue;
        m->labels[o.n_labels].name = at;
        at = stpcpy(at, labels[i].name) + 1;
        m->labels[o.n_labels++].value = at;
        at = stpcpy(at, labels[i].value) + 1;
    }
    m->intake = intake_new(out, &o);
    if (m->intake)
        return m;
    free(m);
    return NULL;
}

void numbers_free(struct numbers *n, int64_t wall_ms)
{
    if (!n)
        return;
    intake_free(n->intake, wall_ms);
    free(n);
}

bool numbers_begin(
    struct numbers *n, const void *who, int64_t now_ns, int64_t wall_ms, uint32_t every_ms)
{
    // A turn that comes a little early is the turn all the same.
    int64_t every_ns = every_ms * NS_PER_MS * 9 / 10;
    if (n->who || (n->begun_ns && now_ns - n->begun_ns < every_ns))
        return false;
    n->who = who;
    n->begun_ns = now_ns;
    intake_begin(n->intake, wall_ms);
    return true;
}

static void value(void *ctx, const char *name, const struct wire_label *labels, size_t n,
    enum series_kind kind, const char *unit, double v)
{
    struct numbers *m = ctx;
    struct err err;
    // One that is refused is counted there; the others stand.
    (void)intake_value(m->intake, name, labels, n, kind, unit, v, &err);
}

struct page_sink numbers_sink(struct numbers *n)
{
    return (struct page_sink){.value = value, .ctx = n};
}

void numbers_end(struct numbers *n, const void *who, bool whole)
{
    struct intake_round round;
    if (!n || n->who != who)
        return;
    n->who = NULL;
    intake_end(n->intake, whole, &round);
}
