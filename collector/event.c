// SPDX-License-Identifier: Apache-2.0
#include "collector/event.h"
#include <stdlib.h>
#include <string.h>

static size_t size_of(const char *s)
{
    return s ? strlen(s) + 1 : 1;
}

static const char *put(char **at, const char *s)
{
    char *to = *at;
    *at = stpcpy(to, s ? s : "") + 1;
    return to;
}

struct event *event_copy(const struct event *e)
{
    size_t labels = e->labels.n * sizeof(struct label);
    size_t size = sizeof(*e) + labels + size_of(e->group) + size_of(e->file) + size_of(e->who) +
                  size_of(e->note) + size_of(e->subject) + size_of(e->matchers);
    for (size_t i = 0; i < e->labels.n; i++)
        size += size_of(e->labels.l[i].name) + size_of(e->labels.l[i].value);
    struct event *c = malloc(size);
    if (!c)
        return NULL;
    struct label *l = (struct label *)(c + 1);
    char *at = (char *)(l + e->labels.n);
    *c = *e;
    for (size_t i = 0; i < e->labels.n; i++) {
        l[i].name = put(&at, e->labels.l[i].name);
        l[i].value = put(&at, e->labels.l[i].value);
    }
    c->labels = (struct labels){l, e->labels.n};
    c->group = put(&at, e->group);
    c->file = put(&at, e->file);
    c->who = put(&at, e->who);
    c->note = put(&at, e->note);
    c->subject = put(&at, e->subject);
    c->matchers = put(&at, e->matchers);
    return c;
}

const char *event_kind_name(enum event_kind k)
{
    switch (k) {
    case EVENT_PENDING: return "pending";
    case EVENT_FIRING: return "firing";
    case EVENT_RESOLVED: return "resolved";
    case EVENT_CLEARED: return "cleared";
    case EVENT_SILENCE_MADE: return "silence_made";
    case EVENT_SILENCE_CHANGED: return "silence_changed";
    case EVENT_SILENCE_ENDED: return "silence_ended";
    case EVENT_ACKNOWLEDGED: return "acknowledged";
    case EVENT_ACKNOWLEDGEMENT_ENDED: return "acknowledgement_ended";
    }
    return NULL;
}

bool event_kind_parse(const char *name, enum event_kind *ret)
{
    for (int k = EVENT_PENDING; k <= EVENT_ACKNOWLEDGEMENT_ENDED; k++) {
        const char *is = event_kind_name((enum event_kind)k);
        if (!is || strcmp(is, name) != 0)
            continue;
        *ret = (enum event_kind)k;
        return true;
    }
    return false;
}
