// SPDX-License-Identifier: Apache-2.0
#include "collector/api_v2.h"
#include "base/num.h"
#include "base/secret.h"
#include "base/when.h"
#include "collector/api.h"
#include "collector/api_acks.h"
#include "collector/api_v2_alerts.h"
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "/api/v2/"
static void silence_json(const struct silence *s, int64_t now_ms, struct buf *b)
{
    buf_adds(b, "{\"id\":");
    buf_add_json(b, s->id, strlen(s->id));
    buf_addf(
        b, ",\"status\":{\"state\":\"%s\"}", silence_state_name(silence_state_at(s, now_ms)));
    api_time(b, "updatedAt", s->updated_ms);
    api_text(b, "comment", s->comment);
    api_text(b, "createdBy", s->created_by);
    api_time(b, "startsAt", s->starts_ms);
    api_time(b, "endsAt", s->ends_ms);
    api_key(b, "matchers");
    for (size_t i = 0; i < s->matchers.n; i++) {
        const struct matcher *m = &s->matchers.m[i];
        buf_addf(b, "%c{\"name\":", i ? ',' : '[');
        buf_add_json(b, m->name, strlen(m->name));
        api_text(b, "value", m->value);
        buf_addf(b, ",\"isRegex\":%s,\"isEqual\":%s}",
            m->op == MATCH_RE || m->op == MATCH_NRE ? "true" : "false",
            m->op == MATCH_EQ || m->op == MATCH_RE ? "true" : "false");
    }
    buf_adds(b, "]");
    // Ours, only where it is used, so that all others are Alertmanager's to the letter.
    char quiet[NUM_TEXT_MAX];
    if (s->quiet_ms) {
        duration_print(s->quiet_ms, quiet);
        api_text(b, "untilQuiet", quiet);
    }
    buf_addc(b, '}');
}

// --- silences ------------------------------------------------------------------------------------

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
    struct api_listing *l = ctx;
    if (!about(s, &l->f->matchers))
        return true;
    if (l->n++)
        buf_addc(l->b, ',');
    silence_json(s, l->now_ms, l->b);
    return true;
}

static void silences(const struct api_v2 *a, struct request *r, int64_t now_ms)
{
    struct api_filter f;
    struct api_listing l = {a, &f, &r->body, now_ms, 0};
    if (!api_filter_read(r, &f))
        return;
    buf_addc(&r->body, '[');
    silences_each(a->silences, list_silence, &l);
    buf_addc(&r->body, ']');
    api_filter_done(&f);
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
    const char *quiet = string_of(o, "untilQuiet");
    struct silence_draft d = {.id = string_of(o, "id"),
        .created_by = string_of(o, "createdBy"),
        .comment = string_of(o, "comment"),
        .random = random,
        .quiet_ms = SILENCE_QUIET_AS_IS};
    random_bytes(random, sizeof(random));
    buf_init(&matchers, 1u << 20);
    int rc = -EINVAL;
    if (!when_parse(string_of(o, "startsAt"), &d.starts_ms) ||
        !when_parse(string_of(o, "endsAt"), &d.ends_ms)) {
        err_set(&err, "startsAt and endsAt are RFC 3339 times");
    } else if (*quiet &&
               (!duration_parse(quiet, strlen(quiet), &d.quiet_ms) || d.quiet_ms < 0)) {
        err_set(&err, "untilQuiet is a duration, e.g. \"10m\"; 0s takes it away");
    } else if (posted_matchers(o, &matchers, &err)) {
        d.matchers = buf_cstr(&matchers);
        rc = silences_set(a->silences, &d, now_ms, &s, &ended, &err);
    }
    buf_done(&matchers);
    if (rc < 0) {
        api_v2_refuse(r, rc == -ENOENT ? 404 : rc == -EINVAL ? 400 : 503, err.msg);
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
        api_v2_refuse(r, 400, "the body is a JSON object of one silence");
    cJSON_Delete(o);
}

static void one_silence(
    const struct api_v2 *a, struct request *r, const char *id, int64_t now_ms)
{
    const struct silence *s = silences_get(a->silences, id);
    if (!s) {
        api_v2_refuse(r, 404, "there is no such silence");
    } else if (strcmp(r->method, "DELETE") != 0) {
        silence_json(s, now_ms, &r->body);
    } else {
        if (silences_expire(a->silences, id, now_ms, &s) == 0)
            a->changed(a->ctx, s);
        buf_adds(&r->body, "{}");
    }
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
    api_time(b, "uptime", a->started_ms);
    buf_adds(b, ",\"versionInfo\":{\"branch\":\"\",\"buildDate\":\"\",\"buildUser\":\"\","
                "\"goVersion\":\"\",\"revision\":\"\"");
    api_text(b, "version", a->version);
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
    else if (strcmp(path, "tocsin/acks") == 0)
        api_acks(a, r, now_ms);
    else if (strcmp(path, "alerts") == 0 && is_post)
        api_v2_refuse(r, 405, "alerts come from rules here, they cannot be posted");
    else if (!get)
        api_v2_refuse(r, 405, "this can only be read");
    else if (strcmp(path, "silences") == 0)
        silences(a, r, now_ms);
    else if (strcmp(path, "alerts") == 0)
        api_v2_alerts(a, r, now_ms);
    else if (strcmp(path, "alerts/groups") == 0)
        api_v2_groups(a, r, now_ms);
    else if (strcmp(path, "receivers") == 0)
        receivers(a, r);
    else if (strcmp(path, "status") == 0)
        status(a, r);
    else
        api_v2_refuse(r, 404, "there is no such endpoint");
    if (r->body.failed)
        api_v2_refuse(r, 503, "the answer is too large, or memory is out");
}
