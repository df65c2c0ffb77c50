// SPDX-License-Identifier: Apache-2.0
#include "collector/api.h"
#include "collector/webhook.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void request_free(struct request *r)
{
    if (!r)
        return;
    free(r->expr);
    buf_done(&r->query);
    buf_done(&r->posted);
    buf_done(&r->body);
    free(r);
}

void live_out_free(struct live_out *m)
{
    if (!m)
        return;
    buf_done(&m->message);
    free(m);
}

void api_error(struct request *r, int status, const char *type, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    buf_reset(&r->body);
    r->http_status = status;
    buf_addf(&r->body, "{\"status\":\"error\",\"errorType\":\"%s\",\"error\":", type);
    buf_add_json(&r->body, text, strlen(text));
    buf_addc(&r->body, '}');
}

void request_answer(
    struct pipeline *p, const struct api_context *c, struct request *r, int64_t now_ms)
{
    static const struct api_context NONE = {.version = "", .external_url = ""};
    if (!c)
        c = &NONE;
    buf_done(&r->body);
    buf_init(&r->body, REQUEST_REPLY_MAX);
    r->http_status = 200;
    switch (r->kind) {
    case REQUEST_QUERY: api_query(p, r, now_ms); break;
    case REQUEST_QUERY_RANGE: api_query_range(p, r); break;
    case REQUEST_SERIES: api_names(p, r); break;
    case REQUEST_ALERTS: api_alerts(p, r); break;
    case REQUEST_RULES: api_rules(p, r); break;
    case REQUEST_STATUS: api_status(p, c, r, now_ms); break;
    case REQUEST_METRICS: api_metrics(p, c, r); break;
    case REQUEST_ALERTMANAGER:
    case REQUEST_HOOKS:
    case REQUEST_ARCHIVE:
    case REQUEST_EVENTS:
    case REQUEST_RELOAD:
    case REQUEST_EXPLAIN:
    case REQUEST_SUBSCRIBE:
    case REQUEST_UNSUBSCRIBE:
    case REQUEST_CLIENT_GONE:
        api_error(r, 500, "internal", "this is not answered by the shard");
        break;
    }
    // A cut text would not be JSON any more: better a clear answer that says what to do.
    if (r->body.failed == -EMSGSIZE)
        api_error(r, 422, "execution",
            "the answer is over %u MiB: select less or use a longer step",
            REQUEST_REPLY_MAX >> 20);
    else if (r->body.failed)
        api_error(r, 503, "execution", "out of memory");
}

void api_time_json(int64_t ms, struct buf *out)
{
    buf_addc(out, '"');
    if (ms)
        webhook_time(ms, out);
    else
        buf_adds(out, "0001-01-01T00:00:00Z");
    buf_addc(out, '"');
}

void api_key(struct buf *b, const char *name)
{
    buf_addf(b, ",\"%s\":", name);
}

void api_text(struct buf *b, const char *name, const char *value)
{
    api_key(b, name);
    buf_add_json(b, value, strlen(value));
}

void api_time(struct buf *b, const char *name, int64_t ms)
{
    api_key(b, name);
    api_time_json(ms, b);
}

void api_when(struct buf *b, const char *name, int64_t ms)
{
    if (ms)
        api_time(b, name, ms);
}
