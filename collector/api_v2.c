// SPDX-License-Identifier: Apache-2.0
#include "collector/api_v2.h"
#include "base/secret.h"
#include "base/when.h"
#include "collector/api.h"
#include "collector/webhook.h"
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX          "/api/v2/"
#define SILENCED_BY     16
#define RECEIVERS_SHOWN 16

// The error is a JSON string, as Alertmanager's is.
static void refuse(struct request *r, int status, const char *why)
{
    buf_reset(&r->body);
    r->http_status = status;
    buf_add_json(&r->body, why, strlen(why));
}

// --- parameters ----------------------------------------------------------------------------------

struct filter {
    struct arena arena;
    struct matcher_list matchers;
    bool active, silenced, inhibited;
    const char *receiver; // a regex over the whole name; NULL = any
    struct regex *receiver_re;
};

static void filter_done(struct filter *f)
{
    matcher_list_done(&f->matchers);
    regex_free(f->receiver_re);
    arena_done(&f->arena);
}

static bool is_true(const char *value)
{
    return strcmp(value, "false") != 0 && strcmp(value, "0") != 0;
}

static int filter_add(struct filter *f, const char *name, const char *value, struct err *err)
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
static bool filter_read(struct request *r, struct filter *f)
{
    struct err err = {0};
    *f = (struct filter){.active = true, .silenced = true, .inhibited = true};
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
    filter_done(f);
    refuse(r, rc == -ENOMEM ? 503 : 400, rc == -ENOMEM ? "out of memory" : err.msg);
    return false;
}

// --- pieces --------------------------------------------------------------------------------------

static void key(struct buf *b, const char *name)
{
    buf_addf(b, ",\"%s\":", name);
}

static void text(struct buf *b, const char *name, const char *value)
{
    key(b, name);
    buf_add_json(b, value, strlen(value));
}

static void when(struct buf *b, const char *name, int64_t ms)
{
    key(b, name);
    api_time_json(ms, b);
}

static void silence_json(const struct silence *s, int64_t now_ms, struct buf *b)
{
    buf_adds(b, "{\"id\":");
    buf_add_json(b, s->id, strlen(s->id));
    buf_addf(
        b, ",\"status\":{\"state\":\"%s\"}", silence_state_name(silence_state_at(s, now_ms)));
    when(b, "updatedAt", s->updated_ms);
    text(b, "comment", s->comment);
    text(b, "createdBy", s->created_by);
    when(b, "startsAt", s->starts_ms);
    when(b, "endsAt", s->ends_ms);
    key(b, "matchers");
    for (size_t i = 0; i < s->matchers.n; i++) {
        const struct matcher *m = &s->matchers.m[i];
        buf_addf(b, "%c{\"name\":", i ? ',' : '[');
        buf_add_json(b, m->name, strlen(m->name));
        text(b, "value", m->value);
        buf_addf(b, ",\"isRegex\":%s,\"isEqual\":%s}",
            m->op == MATCH_RE || m->op == MATCH_NRE ? "true" : "false",
            m->op == MATCH_EQ || m->op == MATCH_RE ? "true" : "false");
    }
    buf_adds(b, "]}");
}

// --- silences ------------------------------------------------------------------------------------

struct listing {
    const struct api_v2 *a;
    struct filter *f;
    struct buf *b;
    int64_t now_ms;
    size_t n;
};

// A filter on silences is over their own matchers: label = the value they name.
static bool about(const struct silence *s, const struct matcher_list *filter)
{
    for (size_t i = 0; i < filter->n; i++) {
        bool found = false;
        for (size_t k = 0; k < s->matchers.n; k++)
            found |= strcmp(s->matchers.m[k].name, filter->m[i].name) == 0 &&
                     matcher_value(&filter->m[i], s->matchers.m[k].value);
        if (!found)
            return false;
    }
    return true;
}

static bool list_silence(void *ctx, const struct silence *s)
{
    struct listing *l = ctx;
    if (!about(s, &l->f->matchers))
        return true;
    if (l->n++)
        buf_addc(l->b, ',');
    silence_json(s, l->now_ms, l->b);
    return true;
}

static void silences(const struct api_v2 *a, struct request *r, int64_t now_ms)
{
    struct filter f;
    struct listing l = {a, &f, &r->body, now_ms, 0};
    if (!filter_read(r, &f))
        return;
    buf_addc(&r->body, '[');
    silences_each(a->silences, list_silence, &l);
    buf_addc(&r->body, ']');
    filter_done(&f);
}

static const char *string_of(const cJSON *o, const char *name)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);
    return cJSON_IsString(v) ? v->valuestring : "";
}

// The matchers of a posted silence as text. False with err.
static bool posted_matchers(const cJSON *o, struct buf *b, struct err *err)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(o, "matchers"), *m;
    struct arena arena;
    struct matcher_list l = {0};
    int rc = cJSON_IsArray(list) ? 0 : -EINVAL;
    if (rc < 0)
        err_set(err, "matchers is a list");
    arena_init(&arena, 1u << 20);
    cJSON_ArrayForEach(m, list)
    {
        const cJSON *equal = cJSON_GetObjectItemCaseSensitive(m, "isEqual");
        rc = rc < 0 ? rc
                    : matchers_add(string_of(m, "name"), string_of(m, "value"),
                          !cJSON_IsFalse(equal),
                          cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(m, "isRegex")), &arena,
                          &l, err);
    }
    if (rc == 0)
        matchers_print(l.m, l.n, b);
    if (rc == -ENOMEM || b->failed)
        err_set(err, "out of memory");
    matcher_list_done(&l);
    arena_done(&arena);
    return rc == 0 && !b->failed;
}

static void post(const struct api_v2 *a, struct request *r, const cJSON *o, int64_t now_ms)
{
    struct buf matchers;
    struct err err = {0};
    uint8_t random[16];
    const struct silence *s = NULL, *ended;
    struct silence_draft d = {.id = string_of(o, "id"),
        .created_by = string_of(o, "createdBy"),
        .comment = string_of(o, "comment"),
        .random = random};
    random_bytes(random, sizeof(random));
    buf_init(&matchers, 1u << 20);
    int rc = -EINVAL;
    if (!when_parse(string_of(o, "startsAt"), &d.starts_ms) ||
        !when_parse(string_of(o, "endsAt"), &d.ends_ms)) {
        err_set(&err, "startsAt and endsAt are RFC 3339 times");
    } else if (posted_matchers(o, &matchers, &err)) {
        d.matchers = buf_cstr(&matchers);
        rc = silences_set(a->silences, &d, now_ms, &s, &ended, &err);
    }
    buf_done(&matchers);
    if (rc < 0) {
        refuse(r, rc == -ENOENT ? 404 : rc == -EINVAL ? 400 : 503, err.msg);
        return;
    }
    if (ended)
        a->changed(a->ctx, ended);
    a->changed(a->ctx, s);
    buf_addf(&r->body, "{\"silenceID\":\"%s\"}", s->id);
}

static void post_silence(const struct api_v2 *a, struct request *r, int64_t now_ms)
{
    cJSON *o = cJSON_ParseWithLength((const char *)r->posted.data, r->posted.len);
    if (cJSON_IsObject(o))
        post(a, r, o, now_ms);
    else
        refuse(r, 400, "the body is a JSON object of one silence");
    cJSON_Delete(o);
}

static void one_silence(
    const struct api_v2 *a, struct request *r, const char *id, int64_t now_ms)
{
    const struct silence *s = silences_get(a->silences, id);
    if (!s) {
        refuse(r, 404, "there is no such silence");
    } else if (strcmp(r->method, "DELETE") != 0) {
        silence_json(s, now_ms, &r->body);
    } else {
        if (silences_expire(a->silences, id, now_ms, &s) == 0)
            a->changed(a->ctx, s);
        buf_adds(&r->body, "{}");
    }
}

// --- alerts --------------------------------------------------------------------------------------

static bool wanted(const struct listing *l, const struct ledger_entry *e, size_t silenced)
{
    unsigned muted = 0;
    bool receiver = !l->f->receiver_re;
    for (size_t i = 0; i < e->n; i++) {
        const char *name = l->a->receiver(l->a->ctx, e->lane[i]);
        muted |= e->muted[i];
        receiver = receiver || regex_full_match(l->f->receiver_re, name, strlen(name));
    }
    bool inhibited = muted & (MUTE_INHIBITION | MUTE_DEPENDENCY);
    return receiver && (l->f->silenced || !silenced) && (l->f->inhibited || !inhibited) &&
           (l->f->active || silenced || inhibited) &&
           matchers_labels(l->f->matchers.m, l->f->matchers.n, &e->notice->labels);
}

static void receivers_of(const struct api_v2 *a, const struct ledger_entry *e, struct buf *b)
{
    const char *shown[RECEIVERS_SHOWN];
    size_t n = 0;
    buf_addc(b, '[');
    for (size_t i = 0; i < e->n && n < RECEIVERS_SHOWN; i++) {
        const char *name = a->receiver(a->ctx, e->lane[i]);
        bool there = false;
        for (size_t k = 0; k < n; k++)
            there |= strcmp(shown[k], name) == 0;
        if (there)
            continue;
        buf_adds(b, n ? ",{\"name\":" : "{\"name\":");
        buf_add_json(b, name, strlen(name));
        buf_addc(b, '}');
        shown[n++] = name;
    }
    buf_addc(b, ']');
}

// The names of what mutes, as JSON strings.
static void muted_by(unsigned muted, unsigned one, const char *its, unsigned other,
    const char *others, struct buf *b)
{
    bool both = (muted & one) && (muted & other);
    buf_addf(
        b, "[%s%s%s]", muted & one ? its : "", both ? "," : "", muted & other ? others : "");
}

static void alert_json(
    const struct listing *l, const struct ledger_entry *e, const char **ids, size_t silenced)
{
    struct buf *b = l->b;
    const struct notice *n = e->notice;
    struct buf url;
    unsigned muted = 0;
    for (size_t i = 0; i < e->n; i++)
        muted |= e->muted[i];
    buf_adds(b, "{\"annotations\":");
    labels_json(&n->annotations, b);
    // It fires as long as its rule says so: the end is a promise that is renewed.
    when(b, "endsAt", n->ends_at_ms ? n->ends_at_ms : l->now_ms + 240000);
    buf_addf(b, ",\"fingerprint\":\"%016" PRIx64 "\",\"receivers\":", n->fingerprint);
    receivers_of(l->a, e, b);
    when(b, "startsAt", n->starts_at_ms);
    buf_adds(b, ",\"status\":{\"inhibitedBy\":");
    muted_by(muted, MUTE_INHIBITION, "\"inhibit_rules\"", MUTE_DEPENDENCY, "\"depends_on\"", b);
    buf_adds(b, ",\"silencedBy\":[");
    for (size_t i = 0; i < silenced && i < SILENCED_BY; i++)
        buf_addf(b, "%s\"%s\"", i ? "," : "", ids[i]);
    buf_adds(b, "],\"mutedBy\":");
    muted_by(muted, MUTE_TIME, "\"time_intervals\"", MUTE_FLAP, "\"flap\"", b);
    buf_addf(b, ",\"state\":\"%s\"}", silenced || muted ? "suppressed" : "active");
    when(b, "updatedAt", n->decided_ms);
    buf_init(&url, 65536);
    if (webhook_generator_url(l->a->external_url, n->expr, &url) == 0)
        text(b, "generatorURL", buf_cstr(&url));
    buf_done(&url);
    buf_adds(b, ",\"labels\":");
    labels_json(&n->labels, b);
    buf_addc(b, '}');
}

static bool list_alert(void *ctx, const struct ledger_entry *e)
{
    struct listing *l = ctx;
    const char *ids[SILENCED_BY];
    if (e->notice->to != ALERT_FIRING)
        return true;
    size_t silenced =
        silences_muting(l->a->silences, &e->notice->labels, l->now_ms, ids, SILENCED_BY);
    if (!wanted(l, e, silenced))
        return true;
    if (l->n++)
        buf_addc(l->b, ',');
    alert_json(l, e, ids, silenced);
    return true;
}

static void alerts(const struct api_v2 *a, struct request *r, int64_t now_ms)
{
    struct filter f;
    struct listing l = {a, &f, &r->body, now_ms, 0};
    if (!filter_read(r, &f))
        return;
    buf_addc(&r->body, '[');
    ledger_each(a->ledger, list_alert, &l);
    buf_addc(&r->body, ']');
    filter_done(&f);
}

// --- the rest ------------------------------------------------------------------------------------

static void receivers(const struct api_v2 *a, struct request *r)
{
    buf_addc(&r->body, '[');
    for (size_t i = 0; i < a->config->n_receivers; i++) {
        const char *name = a->config->receivers[i].name;
        buf_adds(&r->body, i ? ",{\"name\":" : "{\"name\":");
        buf_add_json(&r->body, name, strlen(name));
        buf_addc(&r->body, '}');
    }
    buf_addc(&r->body, ']');
}

static void status(const struct api_v2 *a, struct request *r)
{
    struct buf *b = &r->body;
    buf_adds(b, "{\"cluster\":{\"status\":\"disabled\",\"peers\":[]},"
                "\"config\":{\"original\":\"\"}");
    when(b, "uptime", a->started_ms);
    buf_adds(b, ",\"versionInfo\":{\"branch\":\"\",\"buildDate\":\"\",\"buildUser\":\"\","
                "\"goVersion\":\"\",\"revision\":\"\"");
    text(b, "version", a->version);
    buf_adds(b, "}}");
}

void api_v2_answer(const struct api_v2 *a, struct request *r, int64_t now_ms)
{
    const char *path = r->expr ? r->expr + sizeof(PREFIX) - 1 : "";
    bool get = strcmp(r->method, "GET") == 0 || strcmp(r->method, "HEAD") == 0;
    bool is_post = strcmp(r->method, "POST") == 0;
    static const char ONE[] = "silence/";
    r->http_status = 200;
    if (strcmp(path, "silences") == 0 && is_post)
        post_silence(a, r, now_ms);
    else if (strncmp(path, ONE, sizeof(ONE) - 1) == 0 && !is_post)
        one_silence(a, r, path + sizeof(ONE) - 1, now_ms);
    else if (strcmp(path, "alerts") == 0 && is_post)
        refuse(r, 405, "alerts come from rules here, they cannot be posted");
    else if (!get)
        refuse(r, 405, "this can only be read");
    else if (strcmp(path, "silences") == 0)
        silences(a, r, now_ms);
    else if (strcmp(path, "alerts") == 0)
        alerts(a, r, now_ms);
    else if (strcmp(path, "receivers") == 0)
        receivers(a, r);
    else if (strcmp(path, "status") == 0)
        status(a, r);
    else
        refuse(r, 404, "there is no such endpoint");
    if (r->body.failed)
        refuse(r, 503, "the answer is too large, or memory is out");
}
