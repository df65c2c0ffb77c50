// SPDX-License-Identifier: Apache-2.0
/*
 * One HTTP request (probe_request.h), judged by its status and body: a 3xx is an answer.
 */
#include "agent/probe.h"
#include "agent/probe_request.h"
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define BODY_LOOKED_AT (64u << 10)

struct http_attempt {
    struct probe_attempt attempt;
    struct request request;
    struct buf body;
};

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    struct http_attempt *a = ctx;
    size_t len = size * n, room = BODY_LOOKED_AT - a->body.len;
    if (probe_config(a->attempt.probe)->body &&
        buf_add(&a->body, data, len < room ? len : room) < 0)
        return 0;
    return len;
}

// libcurl's times are since the start and 0 for what did not happen; we want each phase.
static void phases(CURL *easy, double out[PROBE_PHASES])
{
    static const CURLINFO INFO[] = {CURLINFO_NAMELOOKUP_TIME_T, CURLINFO_CONNECT_TIME_T,
        CURLINFO_APPCONNECT_TIME_T, CURLINFO_STARTTRANSFER_TIME_T, CURLINFO_TOTAL_TIME_T};
    curl_off_t before = 0;
    for (int i = 0; i < PROBE_PHASES; i++) {
        curl_off_t at = 0;
        curl_easy_getinfo(easy, INFO[i], &at);
        out[i] = at > before ? (double)(at - before) / 1e6 : 0;
        if (at > before)
            before = at;
    }
}

static void on_done(struct transfer *t, CURLcode result)
{
    struct http_attempt *a =
        (struct http_attempt *)((char *)t - offsetof(struct http_attempt, request.transfer));
    const struct probe_config *c = probe_config(a->attempt.probe);
    struct probe_result r = {0};
    long status = 0;
    curl_easy_getinfo(a->request.easy, CURLINFO_RESPONSE_CODE, &status);
    r.status = (int)status;
    if (result != CURLE_OK) {
        r.class = request_failed(&a->request, result, r.detail, sizeof(r.detail));
    } else {
        phases(a->request.easy, r.phases);
        r.phases[PHASE_RESOLVE] = a->attempt.resolve_s;
        r.phases[PHASE_CONNECT] += a->request.connect_s;
        if (probe_config_tls(c))
            r.cert_expiry = request_cert_expiry(&a->request);
        r.class = CLASS_STATUS;
        for (size_t i = 0; i < c->n_status; i++)
            r.success =
                r.success || (status >= c->status[i].low && status <= c->status[i].high);
        if (!r.success)
            snprintf(r.detail, sizeof(r.detail), "status %ld", status);
        else if (c->body && (!a->body.len ||
                                !memmem(a->body.data, a->body.len, c->body, strlen(c->body)))) {
            r.success = false;
            r.class = CLASS_CONTENT;
            snprintf(r.detail, sizeof(r.detail), "the body does not hold \"%.80s\"", c->body);
        }
    }
    probe_done(&a->attempt, &r);
}

static bool setup(struct http_attempt *a, const struct probe_config *c)
{
    CURLcode rc;
    if (!request_setup(&a->request, c, probe_env(a->attempt.probe), on_done, on_body, a))
        return false;
    CURL *easy = a->request.easy;
    buf_init(&a->body, BODY_LOOKED_AT + 1);
    rc = curl_easy_setopt(easy, CURLOPT_URL, c->target);
    if (rc == CURLE_OK && strcmp(c->method, "HEAD") == 0)
        rc = curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else if (rc == CURLE_OK && strcmp(c->method, "GET") != 0)
        rc = curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, c->method);
    return rc == CURLE_OK;
}

static int http_start(
    struct probe_attempt *attempt, const struct endpoint *to, char *detail, size_t size)
{
    struct http_attempt *a = (struct http_attempt *)attempt;
    const struct probe_config *c = probe_config(attempt->probe);
    if (!a->request.easy && !setup(a, c)) {
        request_free(&a->request);
        a->request = (struct request){0};
        snprintf(detail, size, "cannot set up the request");
        return -ENOMEM;
    }
    buf_reset(&a->body);
    if (!request_start(&a->request, probe_transfers(attempt->probe), c, to)) {
        snprintf(detail, size, "out of memory");
        return -ENOMEM;
    }
    return 0;
}

static void http_stop(struct probe_attempt *attempt)
{
    struct http_attempt *a = (struct http_attempt *)attempt;
    request_stop(&a->request, probe_transfers(attempt->probe));
}

static void http_free(struct probe_attempt *attempt)
{
    struct http_attempt *a = (struct http_attempt *)attempt;
    request_free(&a->request);
    buf_done(&a->body);
}

const struct probe_ops PROBE_OPS_HTTP = {.size = sizeof(struct http_attempt),
    .start = http_start,
    .stop = http_stop,
    .free = http_free};
