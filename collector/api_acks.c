// SPDX-License-Identifier: Apache-2.0
#include "collector/api_acks.h"
#include "base/num.h"
#include "base/when.h"
#include "collector/api.h"
#include "collector/api_v2_alerts.h"
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

// What is meant: one fingerprint, or all that match.
struct choice {
    struct api_listing l;
    const char *fingerprint; // NULL: by matchers
    const char *owner, *note;
    int64_t until_ms;
    int rc; // the first that failed
};

static bool chosen(const struct choice *c, const struct notice *n)
{
    char text[20];
    if (n->to != ALERT_FIRING)
        return false;
    snprintf(text, sizeof(text), "%016" PRIx64, n->fingerprint);
    if (c->fingerprint)
        return strcmp(text, c->fingerprint) == 0;
    return matchers_labels(c->l.f->matchers.m, c->l.f->matchers.n, &n->labels);
}

static void add(struct choice *c, const struct notice *n, const struct ack *a)
{
    struct buf *b = c->l.b;
    buf_addf(b, "%s{\"fingerprint\":\"%016" PRIx64 "\",\"labels\":", c->l.n++ ? "," : "",
        n->fingerprint);
    labels_json(&n->labels, b);
    api_text(b, "owner", a->owner);
    api_text(b, "note", a->note);
    api_time(b, "startsAt", a->at_ms);
    api_time(b, "endsAt", a->until_ms);
    buf_addc(b, '}');
}

static bool list(void *ctx, const struct ledger_entry *e)
{
    struct choice *c = ctx;
    const struct ack *a = acks_get(c->l.a->acks, e->notice->alert_id);
    if (ack_active(a, c->l.now_ms) && chosen(c, e->notice))
        add(c, e->notice, a);
    return true;
}

static bool set(void *ctx, const struct ledger_entry *e)
{
    struct choice *c = ctx;
    struct ack a = {.alert_id = e->notice->alert_id,
        .owner = c->owner,
        .note = c->note,
        .at_ms = c->l.now_ms,
        .until_ms = c->until_ms};
    if (!chosen(c, e->notice))
        return true;
    c->rc = acks_put(c->l.a->acks, &a);
    if (c->rc < 0)
        return false;
    c->l.a->acked(c->l.a->ctx, &a, e->notice);
    add(c, e->notice, &a);
    return true;
}

static bool take_back(void *ctx, const struct ledger_entry *e)
{
    struct choice *c = ctx;
    const struct ack *a;
    if (!chosen(c, e->notice) ||
        acks_end(c->l.a->acks, e->notice->alert_id, c->l.now_ms, &a) < 0)
        return true;
    c->l.a->acked(c->l.a->ctx, a, e->notice);
    add(c, e->notice, a);
    return true;
}

// Walks; `none` is what is wrong when nothing was found, NULL = then the list is empty.
static void answer(struct choice *c, struct request *r,
    bool (*each)(void *ctx, const struct ledger_entry *e), const char *none)
{
    buf_addc(&r->body, '[');
    ledger_each(c->l.a->ledger, each, c);
    buf_addc(&r->body, ']');
    if (c->rc < 0)
        api_v2_refuse(r, 503,
            c->rc == -ENOSPC ? "too many alerts are acknowledged already" : "out of memory");
    else if (!c->l.n && none)
        api_v2_refuse(r, 404, none);
}

static const char *fingerprint_of(const struct request *r)
{
    const char *at = (const char *)r->query.data, *end = at ? at + r->query.len : at;
    while (at < end) {
        const char *value = at + strlen(at) + 1;
        if (strcmp(at, "fingerprint") == 0)
            return value;
        at = value + strlen(value) + 1;
    }
    return NULL;
}

static const char *string_of(const cJSON *o, const char *name)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);
    return cJSON_IsString(v) ? v->valuestring : NULL;
}

// The matchers of the body. 0, -EINVAL with err, -ENOMEM.
static int filter_of(const cJSON *o, struct api_filter *f, struct err *err)
{
    const cJSON *m, *all = cJSON_GetObjectItemCaseSensitive(o, "filter");
    int rc = 0;
    if (!cJSON_IsArray(all) || !all->child) {
        err_set(err, "a fingerprint, or a filter with at least one matcher, says which alerts");
        return -EINVAL;
    }
    cJSON_ArrayForEach(m, all)
    {
        if (!cJSON_IsString(m)) {
            err_set(err, "a filter is a list of matchers, e.g. [\"alertname=Slow\"]");
            return -EINVAL;
        }
        if (rc == 0)
            rc = matchers_parse(
                m->valuestring, strlen(m->valuestring), &f->arena, &f->matchers, err);
    }
    return rc;
}

static bool until(const cJSON *o, int64_t now_ms, int64_t *ret, struct err *err)
{
    const char *how_long = string_of(o, "for"), *end = string_of(o, "endsAt");
    int64_t ms;
    if (end && !how_long && when_parse(end, ret))
        return true;
    if (how_long && !end && duration_parse(how_long, strlen(how_long), &ms) && ms > 0 &&
        ms <= ACK_FOR_MAX) {
        *ret = now_ms + ms;
        return true;
    }
    err_set(err, "either \"for\", a duration up to 30d, or \"endsAt\", an RFC 3339 time, says "
                 "how long");
    return false;
}

static int read_posted(const cJSON *o, struct choice *c, struct api_filter *f, struct err *err)
{
    if (!cJSON_IsObject(o)) {
        err_set(err, "the body is a JSON object");
        return -EINVAL;
    }
    c->fingerprint = string_of(o, "fingerprint");
    c->owner = string_of(o, "owner") ? string_of(o, "owner") : "";
    c->note = string_of(o, "note") ? string_of(o, "note") : "";
    int rc = c->fingerprint ? 0 : filter_of(o, f, err);
    if (rc == 0 && !until(o, c->l.now_ms, &c->until_ms, err))
        rc = -EINVAL;
    struct ack a = {.owner = c->owner, .note = c->note, .until_ms = c->until_ms};
    return rc == 0 ? ack_check(&a, c->l.now_ms, err) : rc;
}

static void post(struct choice *c, struct request *r, struct api_filter *f)
{
    struct err err = {0};
    cJSON *o = cJSON_ParseWithLength((const char *)r->posted.data, r->posted.len);
    int rc = read_posted(o, c, f, &err);
    if (rc == 0)
        answer(c, r, set, "no alert that fires is meant");
    else
        api_v2_refuse(r, rc == -ENOMEM ? 503 : 400, rc == -ENOMEM ? "out of memory" : err.msg);
    cJSON_Delete(o);
}

void api_acks(const struct api_v2 *a, struct request *r, int64_t now_ms)
{
    struct api_filter f;
    struct choice c = {.l = {a, &f, &r->body, now_ms, 0}};
    if (!api_filter_read(r, &f))
        return;
    if (strcmp(r->method, "POST") == 0) {
        post(&c, r, &f);
    } else if (strcmp(r->method, "DELETE") == 0) {
        c.fingerprint = fingerprint_of(r);
        if (!c.fingerprint && !f.matchers.n)
            api_v2_refuse(r, 400, "fingerprint=, or filter= with a matcher, says which alerts");
        else
            answer(&c, r, take_back, "no alert that is meant is acknowledged");
    } else {
        answer(&c, r, list, NULL);
    }
    api_filter_done(&f);
}
