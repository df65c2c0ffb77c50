// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"
#include "collector/deliver_queue.h"
#include "collector/webhook.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

// The delivery key: the same content has the same key, in every run of the program.
static void key_of(const struct deliver *d, const struct group *g,
    const struct webhook_alert *alerts, size_t n, char ret[static DELIVER_KEY_MAX])
{
    uint64_t a = hash_bytes(g->key, strlen(g->key), 1),
             b = hash_bytes(g->key, strlen(g->key), 2);
    a = hash_bytes(d->o.receiver, strlen(d->o.receiver), a);
    b = hash_bytes(d->o.receiver, strlen(d->o.receiver), b);
    for (size_t i = 0; i < n; i++) {
        uint64_t m[3] = {
            alerts[i].fingerprint, alerts[i].firing ? 1 : 0, (uint64_t)alerts[i].active_at_ms};
        a = hash_bytes(m, sizeof(m), a);
        b = hash_bytes(m, sizeof(m), b);
    }
    snprintf(ret, DELIVER_KEY_MAX, "%016" PRIx64 "%016" PRIx64, a, b);
}

// The links of a message's alerts. Neighbours mostly come from one rule: it is made once for them.
struct links {
    struct arena arena;
    struct buf buf;
    const char *expr, *url; // of the last one
};

// An expression too long for a link leaves the link at the front page. NULL: no memory.
static const char *link_of(struct links *l, const struct deliver *d, const struct notice *n)
{
    if (l->expr && strcmp(l->expr, n->expr) == 0)
        return l->url;
    buf_reset(&l->buf);
    if (webhook_generator_url(d->o.external_url, n->expr, &l->buf) < 0) {
        buf_reset(&l->buf);
        buf_adds(&l->buf, d->o.external_url);
    }
    l->expr = n->expr;
    l->url = arena_strndup(&l->arena, buf_cstr(&l->buf), l->buf.len);
    return l->url;
}

static int show(
    struct links *l, const struct deliver *d, const struct notice *n, struct webhook_alert *ret)
{
    *ret = (struct webhook_alert){
        .labels = &n->labels,
        .annotations = &n->annotations,
        .firing = n->to == ALERT_FIRING,
        .starts_at_ms = n->starts_at_ms,
        .ends_at_ms = n->ends_at_ms,
        .generator_url = link_of(l, d, n),
        .fingerprint = n->fingerprint,
        .value = n->value,
        .active_at_ms = n->active_at_ms,
        .cause_ms = n->cause_ms,
        .decided_ms = n->decided_ms,
        .group = n->group,
        .file = n->file,
        .line = n->line,
    };
    return ret->generator_url ? 0 : -ENOMEM;
}

static int make(struct deliver *d, struct flight *f, const struct webhook_message *m)
{
    buf_reset(&f->body);
    buf_reset(&f->path);
    return d->o.make ? d->o.make(d->o.make_ctx, m, &f->body, &f->path)
                     : webhook_body(m, &f->body);
}

ssize_t deliver_render(struct deliver *d, struct flight *f, const struct item *it)
{
    const struct group *g = it->group;
    size_t max = g->known.count + it->changes.count, n = 0, c = 0, k = 0;
    ssize_t rc = -ENOMEM;
    bool changed = false;
    struct webhook_alert *alerts = calloc(max + 1, sizeof(*alerts));
    struct deliver_member *members = calloc(it->changes.count + 1, sizeof(*members));
    struct links links = {0};
    arena_init(&links.arena, 0);
    buf_init(&links.buf, 4096);
    if (!alerts || !members)
        goto out;
    f->message = (struct deliver_message){.fallback_for = d->o.fallback_for};
    for (;;) { // both sets are sorted
        const struct notice *known = k < g->known.count ? g->known.n[k] : NULL;
        const struct notice *change = c < it->changes.count ? it->changes.n[c] : NULL;
        if (known && (!change || known->fingerprint < change->fingerprint)) {
            if (known->to == ALERT_FIRING && show(&links, d, known, &alerts[n++]) < 0)
                goto out;
            k++;
            continue;
        }
        if (!change)
            break;
        bool told = known && known->fingerprint == change->fingerprint;
        k += told;
        c++;
        bool firing = change->to == ALERT_FIRING;
        if (!firing && (!told || !d->o.send_resolved))
            continue;
        if (show(&links, d, change, &alerts[n++]) < 0)
            goto out;
        changed = true;
        members[f->message.n_changed++] = (struct deliver_member){change->alert_id,
            change->fingerprint, !firing, labels_get(&change->labels, "alertname")};
        if (change->cause_ms > f->message.cause_ms)
            f->message.cause_ms = change->cause_ms;
        if (change->decided_ms > f->message.decided_ms)
            f->message.decided_ms = change->decided_ms;
    }
    rc = 0;
    if (!n || (!changed && it->changes.count))
        goto out;
    key_of(d, g, alerts, n, f->message.key);
    struct webhook_message m = {
        .receiver = d->o.receiver,
        .external_url = d->o.external_url,
        .group_key = g->key,
        .delivery_key = f->message.key,
        .fallback_for = d->o.fallback_for,
        .group_labels = g->labels,
        .alerts = alerts,
        .n = n,
        .max_alerts = d->o.max_alerts,
    };
    rc = make(d, f, &m);
    // Too large for anybody: as many alerts as surely fit, the rest is counted in the message.
    for (m.max_alerts = n / 2; rc == -EMSGSIZE && m.max_alerts; m.max_alerts /= 2)
        rc = make(d, f, &m);
    if (rc == 0)
        rc = (ssize_t)n;
out:
    buf_done(&links.buf);
    arena_done(&links.arena);
    free(alerts);
    free(f->changed);
    f->changed = members;
    f->message.changed = members;
    f->message.body = &f->body;
    f->message.path = buf_cstr(&f->path);
    return rc;
}
