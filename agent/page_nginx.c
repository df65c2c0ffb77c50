// SPDX-License-Identifier: Apache-2.0
// stub_status. Source: nginx's documentation of ngx_http_stub_status_module.
#include "agent/page.h"
#include "base/num.h"
#include <string.h>

struct text {
    const char *at, *end;
};

static bool word(struct text *t, const char *w)
{
    size_t len = strlen(w);
    while (t->at < t->end && strchr(" \r\n", *t->at))
        t->at++;
    if ((size_t)(t->end - t->at) < len || memcmp(t->at, w, len) != 0)
        return false;
    t->at += len;
    return true;
}

static bool number(struct text *t, uint64_t *ret)
{
    const char *begin;
    (void)word(t, "");
    for (begin = t->at; t->at < t->end && *t->at >= '0' && *t->at <= '9';)
        t->at++;
    return num_parse_u64(begin, (size_t)(t->at - begin), ret);
}

static bool nginx_read(struct page_round *round, size_t nth, const char *text, size_t len,
    const struct page_sink *sink)
{
    enum { ACTIVE, ACCEPTED, HANDLED, REQUESTS, READING, WRITING, WAITING, NUMBERS };
    static const struct {
        const char *before, *name;
        enum series_kind kind;
    } SHOWN[NUMBERS] = {
        [ACTIVE] = {"Active connections:", "nginx_connections_active", SERIES_GAUGE},
        [ACCEPTED] = {"server accepts handled requests", "nginx_connections_accepted",
            SERIES_COUNTER},
        [HANDLED] = {"", "nginx_connections_handled", SERIES_COUNTER},
        [REQUESTS] = {"", "nginx_http_requests_total", SERIES_COUNTER},
        [READING] = {"Reading:", "nginx_connections_reading", SERIES_GAUGE},
        [WRITING] = {"Writing:", "nginx_connections_writing", SERIES_GAUGE},
        [WAITING] = {"Waiting:", "nginx_connections_waiting", SERIES_GAUGE},
    };
    struct text t = {text, text + len};
    uint64_t v[NUMBERS];
    (void)round;
    (void)nth;
    for (size_t i = 0; i < NUMBERS; i++)
        if (!word(&t, SHOWN[i].before) || !number(&t, &v[i]))
            return false;
    if (!word(&t, "") || t.at != t.end)
        return false;
    for (size_t i = 0; sink && i < NUMBERS; i++)
        sink->value(sink->ctx, SHOWN[i].name, NULL, 0, SHOWN[i].kind, "1", (double)v[i]);
    // Taken and closed again unserved: worker_connections were used up.
    if (sink && v[ACCEPTED] >= v[HANDLED])
        sink->value(sink->ctx, "tocsin_nginx_connections_dropped_total", NULL, 0,
            SERIES_COUNTER, "1", (double)(v[ACCEPTED] - v[HANDLED]));
    return true;
}

const struct page_kind PAGE_NGINX = {.name = "nginx",
    .example = "e.g. http://127.0.0.1/nginx_status",
    .pages = {""},
    .limit_bytes = 4096,
    .values_ms = 1000,
    .read = nginx_read};
