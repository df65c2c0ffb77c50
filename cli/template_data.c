// SPDX-License-Identifier: Apache-2.0
#include "cli/template_data.h"
#include "base/when.h"
#include <cjson/cJSON.h>
#include <errno.h>
#include <string.h>

#define NO_TIME "0001-01-01T00:00:00Z"

const char TEMPLATE_DATA_SAMPLE[] =
    "{\"receiver\":\"team\",\"status\":\"firing\",\"externalURL\":\"http://localhost:7311\","
    "\"groupLabels\":{\"alertname\":\"ServiceDown\"},"
    "\"commonLabels\":{\"alertname\":\"ServiceDown\",\"service\":\"api\",\"severity\":\"page\"},"
    "\"commonAnnotations\":{\"summary\":\"api does not answer\"},\"alerts\":["
    "{\"status\":\"firing\",\"labels\":{\"alertname\":\"ServiceDown\",\"instance\":\"web-1\","
    "\"service\":\"api\",\"severity\":\"page\"},\"annotations\":{\"summary\":"
    "\"api does not answer\"},\"startsAt\":\"2026-11-25T04:20:01.123Z\",\"endsAt\":\"" NO_TIME
    "\",\"generatorURL\":\"http://localhost:7311/graph?g0.expr=up+%3D%3D+0&g0.tab=1\","
    "\"fingerprint\":\"1f2e3d4c5b6a7988\"},"
    "{\"status\":\"resolved\",\"labels\":{\"alertname\":\"ServiceDown\",\"instance\":\"web-2\","
    "\"service\":\"api\",\"severity\":\"page\"},\"annotations\":{\"summary\":"
    "\"api does not answer\"},\"startsAt\":\"2026-11-25T04:19:31Z\",\"endsAt\":"
    "\"2026-11-25T04:20:00Z\",\"generatorURL\":"
    "\"http://localhost:7311/graph?g0.expr=up+%3D%3D+0&g0.tab=1\","
    "\"fingerprint\":\"2f2e3d4c5b6a7988\"}]}";

struct reader {
    struct arena *a;
    struct err *err;
    int rc;
};

static const char *text(struct reader *r, const cJSON *of, const char *name)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(of, name);
    const char *s = v && !cJSON_IsNull(v) ? cJSON_GetStringValue(v) : "";
    if (!s && !r->rc) {
        err_set(r->err, "`%s` is a text", name);
        r->rc = -EINVAL;
    }
    char *copy = arena_strndup(r->a, s ? s : "", s ? strlen(s) : 0);
    if (!copy)
        r->rc = -ENOMEM;
    return copy ? copy : "";
}

static const struct labels *labels(struct reader *r, const cJSON *of, const char *name)
{
    const cJSON *map = cJSON_GetObjectItemCaseSensitive(of, name), *v;
    size_t n = 0, max = map ? (size_t)cJSON_GetArraySize(map) : 0;
    struct labels *ret = arena_alloc(r->a, sizeof(*ret));
    struct label *pairs = arena_alloc(r->a, (max + 1) * sizeof(*pairs));
    if (map && !cJSON_IsObject(map) && !cJSON_IsNull(map) && !r->rc) {
        err_set(r->err, "`%s` is a map of texts", name);
        r->rc = -EINVAL;
    }
    if (!ret || !pairs)
        r->rc = -ENOMEM;
    if (r->rc)
        return NULL;
    cJSON_ArrayForEach(v, map)
    {
        if (!v->string)
            continue;
        pairs[n++] = (struct label){v->string, text(r, map, v->string)};
    }
    if (!r->rc && !labels_make(r->a, pairs, n, ret))
        r->rc = -ENOMEM;
    return ret;
}

static int64_t instant(struct reader *r, const cJSON *of, const char *name)
{
    const char *s = text(r, of, name);
    int64_t ms = TEMPLATE_NO_TIME;
    if (*s && strcmp(s, NO_TIME) != 0 && !when_parse(s, &ms) && !r->rc) {
        err_set(r->err, "`%s` is a time such as 2026-11-25T04:20:00Z", name);
        r->rc = -EINVAL;
    }
    return ms;
}

static struct template_alert alert(struct reader *r, const cJSON *v)
{
    return (struct template_alert){.status = text(r, v, "status"),
        .labels = labels(r, v, "labels"),
        .annotations = labels(r, v, "annotations"),
        .starts_at_ms = instant(r, v, "startsAt"),
        .ends_at_ms = instant(r, v, "endsAt"),
        .generator_url = text(r, v, "generatorURL"),
        .fingerprint = text(r, v, "fingerprint")};
}

static void read_message(struct reader *r, const cJSON *j, struct template_message *ret)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(j, "alerts"), *v;
    size_t n = 0, max = cJSON_IsArray(list) ? (size_t)cJSON_GetArraySize(list) : 0;
    struct template_alert *alerts = arena_alloc(r->a, (max + 1) * sizeof(*alerts));
    if (!alerts)
        r->rc = -ENOMEM;
    for (v = max ? list->child : NULL; v && !r->rc; v = v->next)
        alerts[n++] = alert(r, v);
    *ret = (struct template_message){.receiver = text(r, j, "receiver"),
        .status = text(r, j, "status"),
        .external_url = text(r, j, "externalURL"),
        .alerts = alerts,
        .n = n,
        .group_labels = labels(r, j, "groupLabels"),
        .common_labels = labels(r, j, "commonLabels"),
        .common_annotations = labels(r, j, "commonAnnotations")};
}

int template_data_parse(const char *json, size_t len, struct arena *a,
    struct template_message *ret, struct err *err)
{
    struct reader r = {a, err, 0};
    struct template_message m = {0};
    cJSON *j = cJSON_ParseWithLength(json, len);
    if (!cJSON_IsObject(j)) {
        err_set(err, "the data are no JSON object");
        r.rc = -EINVAL;
    }
    if (r.rc == 0)
        read_message(&r, j, &m);
    cJSON_Delete(j);
    if (r.rc == -ENOMEM)
        err_set(err, "out of memory");
    if (r.rc == 0)
        *ret = m;
    return r.rc;
}
