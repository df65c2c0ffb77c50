// SPDX-License-Identifier: Apache-2.0
#include "collector/api_v2_alerts.h"
#include "collector/api.h"
#include "collector/webhook.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

void api_v2_refuse(struct request *r, int status, const char *why)
{
    buf_reset(&r->body);
    r->http_status = status;
    buf_add_json(&r->body, why, strlen(why));
}

// --- parameters ----------------------------------------------------------------------------------

void api_filter_done(struct api_filter *f)
{
    matcher_list_done(&f->matchers);
    regex_free(f->receiver_re);
    arena_done(&f->arena);
}

static bool is_true(const char *value)
{
    return strcmp(value, "false") != 0 && strcmp(value, "0") != 0;
}

static int filter_add(
    struct api_filter *f, const char *name, const char *value, struct err *err)
{
    if (strcmp(name, "filter") == 0)
        return matchers_parse(value, strlen(value), &f->arena, &f->matchers, err);
    if (strcmp(name, "active") == 0)
        f->active = is_true(value);
    else if (strcmp(name, "silenced") == 0)
        f->silenced = is_true(value);
    else if (strcmp(name, "inhibited") == 0)
        f->inhibited = is_true(value);
    else if (strcmp(name, "receiver") == 0 && *value && !f->receiver_re) {
        f->receiver_re = regex_new(value, strlen(value), err);
        return f->receiver_re ? 0 : err->msg[0] ? -EINVAL : -ENOMEM;
    }
    return 0;
}

// False: answered already.
bool api_filter_read(struct request *r, struct api_filter *f)
{
    struct err err = {0};
    *f = (struct api_filter){.active = true, .silenced = true, .inhibited = true};
    arena_init(&f->arena, 1u << 20);
    const char *at = (const char *)r->query.data, *end = at ? at + r->query.len : at;
    int rc = 0;
    while (rc == 0 && at < end) { // name NUL value NUL ...
        const char *value = at + strlen(at) + 1;
        rc = filter_add(f, at, value, &err);
        at = value + strlen(value) + 1;
    }
    if (rc == 0)
        return true;
    api_filter_done(f);
    api_v2_refuse(r, rc == -ENOMEM ? 503 : 400, rc == -ENOMEM ? "out of memory" : err.msg);
    return false;
}

bool api_filter_receiver(const struct api_filter *f, const char *name)
{
    return !f->receiver_re || regex_full_match(f->receiver_re, name, strlen(name));
}

// --- alerts --------------------------------------------------------------------------------------

struct api_v2_alert api_v2_alert_of(const struct api_listing *l, const struct ledger_entry *e)
{
    struct api_v2_alert a = {.notice = e->notice};
    for (size_t i = 0; i < e->n; i++)
        a.muted |= e->muted[i];
    a.muted &= ~(unsigned)MUTE_ACK; // Alertmanager's API knows of none: it goes on being active
    a.silenced =
        silences_muting(l->a->silences, &e->notice->labels, l->now_ms, a.silences, SILENCED_BY);
    return a;
}

bool api_v2_alert_wanted(const struct api_listing *l, const struct api_v2_alert *a)
{
    bool inhibited = a->muted & (MUTE_INHIBITION | MUTE_DEPENDENCY);
    return (l->f->silenced || !a->silenced) && (l->f->inhibited || !inhibited) &&
           (l->f->active || a->silenced || inhibited) &&
           matchers_labels(l->f->matchers.m, l->f->matchers.n, &a->notice->labels);
}

// The names of what mutes, as JSON strings.
static void muted_by(unsigned muted, unsigned one, const char *its, unsigned other,
    const char *others, struct buf *b)
{
    bool both = (muted & one) && (muted & other);
    buf_addf(
        b, "[%s%s%s]", muted & one ? its : "", both ? "," : "", muted & other ? others : "");
}

void api_v2_alert_json(const struct api_listing *l, const struct api_v2_alert *a,
    const char *const *receivers, size_t n_receivers)
{
    struct buf *b = l->b;
    const struct notice *n = a->notice;
    struct buf url;
    buf_adds(b, "{\"annotations\":");
    labels_json(&n->annotations, b);
    // It fires as long as its rule says so: the end is a promise that is renewed.
    api_time(b, "endsAt", n->ends_at_ms ? n->ends_at_ms : l->now_ms + 240000);
    buf_addf(b, ",\"fingerprint\":\"%016" PRIx64 "\",\"receivers\":[", n->fingerprint);
    for (size_t i = 0; i < n_receivers; i++) {
        buf_adds(b, i ? ",{\"name\":" : "{\"name\":");
        buf_add_json(b, receivers[i], strlen(receivers[i]));
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
    api_time(b, "startsAt", n->starts_at_ms);
    buf_adds(b, ",\"status\":{\"inhibitedBy\":");
    muted_by(
        a->muted, MUTE_INHIBITION, "\"inhibit_rules\"", MUTE_DEPENDENCY, "\"depends_on\"", b);
    buf_adds(b, ",\"silencedBy\":[");
    for (size_t i = 0; i < a->silenced && i < SILENCED_BY; i++)
        buf_addf(b, "%s\"%s\"", i ? "," : "", a->silences[i]);
    buf_adds(b, "],\"mutedBy\":");
    muted_by(a->muted, MUTE_TIME, "\"time_intervals\"", MUTE_FLAP, "\"flap\"", b);
    buf_addf(b, ",\"state\":\"%s\"}", a->silenced || a->muted ? "suppressed" : "active");
    api_time(b, "updatedAt", n->decided_ms);
    buf_init(&url, 65536);
    if (webhook_generator_url(l->a->external_url, n->expr, &url) == 0)
        api_text(b, "generatorURL", buf_cstr(&url));
    buf_done(&url);
    buf_adds(b, ",\"labels\":");
    labels_json(&n->labels, b);
    buf_addc(b, '}');
}

static bool list_alert(void *ctx, const struct ledger_entry *e)
{
    struct api_listing *l = ctx;
    const char *shown[RECEIVERS_SHOWN];
    size_t n = 0;
    bool receiver = !l->f->receiver_re;
    if (e->notice->to != ALERT_FIRING)
        return true;
    for (size_t i = 0; i < e->n; i++) {
        const char *name = l->a->receiver(l->a->ctx, e->lane[i]);
        bool there = false;
        for (size_t k = 0; k < n; k++)
            there |= strcmp(shown[k], name) == 0;
        receiver = receiver || api_filter_receiver(l->f, name);
        if (!there && n < RECEIVERS_SHOWN)
            shown[n++] = name;
    }
    struct api_v2_alert a = api_v2_alert_of(l, e);
    if (!receiver || !api_v2_alert_wanted(l, &a))
        return true;
    if (l->n++)
        buf_addc(l->b, ',');
    api_v2_alert_json(l, &a, shown, n);
    return true;
}

void api_v2_alerts(const struct api_v2 *a, struct request *r, int64_t now_ms)
{
    struct api_filter f;
    struct api_listing l = {a, &f, &r->body, now_ms, 0};
    if (!api_filter_read(r, &f))
        return;
    buf_addc(&r->body, '[');
    ledger_each(a->ledger, list_alert, &l);
    buf_addc(&r->body, ']');
    api_filter_done(&f);
}
