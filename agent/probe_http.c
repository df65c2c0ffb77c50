// SPDX-License-Identifier: Apache-2.0
/*
 * One HTTP request on a connection of its own: a kept one would not notice that nobody listens any
 * more. Certificates are verified, redirects are not followed (a 3xx is an answer). A `tls` probe is the
 * same without the request. libcurl is told the address: its resolver is never asked.
 */
#include "agent/probe.h"
#include "agent/talk.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define BODY_LOOKED_AT (64u << 10)

struct http_attempt {
    struct probe_attempt attempt;
    struct transfer transfer;
    CURL *easy;
    struct curl_slist *address; // where curl finds the name's
    struct buf body;
    char error[CURL_ERROR_SIZE];
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

// The earliest notAfter of the chain: "Expire date:Nov 25 04:20:01 2026 GMT".
static double earliest_expiry(CURL *easy)
{
    static const char KEY[] = "Expire date:";
    struct curl_certinfo *chain = NULL;
    double earliest = 0;
    if (curl_easy_getinfo(easy, CURLINFO_CERTINFO, &chain) != CURLE_OK || !chain)
        return 0;
    for (int i = 0; i < chain->num_of_certs; i++)
        for (struct curl_slist *l = chain->certinfo[i]; l; l = l->next) {
            struct tm tm = {0};
            if (strncmp(l->data, KEY, sizeof(KEY) - 1) != 0 ||
                !strptime(l->data + sizeof(KEY) - 1, "%b %d %H:%M:%S %Y", &tm))
                continue;
            double at = (double)timegm(&tm);
            if (earliest == 0 || at < earliest)
                earliest = at;
        }
    return earliest;
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

static enum probe_class class_of(CURL *easy, CURLcode result)
{
    long error = 0;
    switch ((int)result) {
    case CURLE_COULDNT_RESOLVE_HOST: return CLASS_RESOLVE;
    case CURLE_COULDNT_CONNECT:
        curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &error);
        return error ? talk_class((int)error) : CLASS_UNREACHABLE;
    case CURLE_OPERATION_TIMEDOUT: return CLASS_TIMEOUT;
    case CURLE_PEER_FAILED_VERIFICATION: return CLASS_CERTIFICATE;
    case CURLE_SSL_CONNECT_ERROR: return CLASS_TLS;
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE: return CLASS_CLOSED;
    case CURLE_OUT_OF_MEMORY: return CLASS_LOCAL;
    default: return CLASS_PROTOCOL;
    }
}

static void on_done(struct transfer *t, CURLcode result)
{
    struct http_attempt *a =
        (struct http_attempt *)((char *)t - offsetof(struct http_attempt, transfer));
    const struct probe_config *c = probe_config(a->attempt.probe);
    struct probe_result r = {0};
    long status = 0;
    curl_easy_getinfo(a->easy, CURLINFO_RESPONSE_CODE, &status);
    r.status = (int)status;
    if (result != CURLE_OK) {
        r.class = class_of(a->easy, result);
        snprintf(r.detail, sizeof(r.detail), "%s%.140s",
            result == CURLE_COULDNT_CONNECT ? "not connected: " : "",
            a->error[0] ? a->error : curl_easy_strerror(result));
    } else if (c->kind == PROBE_TLS) {
        r.success = true;
        r.cert_expiry = earliest_expiry(a->easy);
    } else {
        phases(a->easy, r.phases);
        r.phases[PHASE_RESOLVE] = a->attempt.resolve_s;
        if (strncasecmp(c->target, "https:", 6) == 0)
            r.cert_expiry = earliest_expiry(a->easy);
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

static CURLcode prepare(struct http_attempt *a, const struct probe_config *c)
{
    CURLcode rc = CURLE_OK;
    char url[512];
#define SET(option, value)                                                                     \
    do {                                                                                       \
        if (rc == CURLE_OK)                                                                    \
            rc = curl_easy_setopt(a->easy, option, value);                                     \
    } while (0)
    if (c->kind == PROBE_TLS) {
        bool v6 = strchr(c->host, ':');
        snprintf(url, sizeof(url), "https://%s%s%s:%u/", v6 ? "[" : "", c->host, v6 ? "]" : "",
            c->port);
        SET(CURLOPT_URL, url);
        SET(CURLOPT_CONNECT_ONLY, 1L);
        SET(CURLOPT_CERTINFO, 1L);
    } else {
        SET(CURLOPT_URL, c->target);
        if (strcmp(c->method, "HEAD") == 0)
            SET(CURLOPT_NOBODY, 1L);
        else if (strcmp(c->method, "GET") != 0)
            SET(CURLOPT_CUSTOMREQUEST, c->method);
        if (strncasecmp(c->target, "https:", 6) == 0)
            SET(CURLOPT_CERTINFO, 1L);
    }
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, a);
    SET(CURLOPT_ERRORBUFFER, a->error);
    SET(CURLOPT_USERAGENT, "tocsin-agent");
    SET(CURLOPT_FRESH_CONNECT, 1L);
    SET(CURLOPT_FORBID_REUSE, 1L);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_BUFFERSIZE, 4096L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)c->timeout_ms);
#undef SET
    return rc;
}

// What libcurl is to take for the name's address; one of an old round is replaced.
static bool tell_address(
    struct http_attempt *a, const struct probe_config *c, const struct endpoint *to)
{
    char address[INET6_ADDRSTRLEN], entry[WIRE_HOST_MAX + sizeof(address) + 16];
    if (endpoint_is_address(c->host))
        return true;
    if (!endpoint_text(to, address, sizeof(address)))
        return false;
    bool v6 = strchr(address, ':');
    snprintf(entry, sizeof(entry), "%s:%u:%s%s%s", c->host, c->port, v6 ? "[" : "", address,
        v6 ? "]" : "");
    curl_slist_free_all(a->address);
    a->address = curl_slist_append(NULL, entry);
    return a->address && curl_easy_setopt(a->easy, CURLOPT_RESOLVE, a->address) == CURLE_OK;
}

static int http_start(
    struct probe_attempt *attempt, const struct endpoint *to, char *detail, size_t size)
{
    struct http_attempt *a = (struct http_attempt *)attempt;
    const struct probe_config *c = probe_config(attempt->probe);
    // Handles are kept from round to round; they are set up once per configuration.
    if (!a->easy) {
        a->easy = curl_easy_init();
        a->transfer.done = on_done;
        buf_init(&a->body, BODY_LOOKED_AT + 1);
        if (!a->easy || prepare(a, c) != CURLE_OK) {
            snprintf(detail, size, "cannot set up the request");
            curl_easy_cleanup(a->easy);
            a->easy = NULL;
            return -ENOMEM;
        }
    }
    a->error[0] = 0;
    buf_reset(&a->body);
    if (!tell_address(a, c, to) ||
        transfer_start(probe_transfers(attempt->probe), a->easy, &a->transfer) < 0) {
        snprintf(detail, size, "out of memory");
        return -ENOMEM;
    }
    return 0;
}

static void http_stop(struct probe_attempt *attempt)
{
    struct http_attempt *a = (struct http_attempt *)attempt;
    transfer_stop(probe_transfers(attempt->probe), a->easy);
}

static void http_free(struct probe_attempt *attempt)
{
    struct http_attempt *a = (struct http_attempt *)attempt;
    curl_easy_cleanup(a->easy);
    curl_slist_free_all(a->address);
    buf_done(&a->body);
}

const struct probe_ops PROBE_OPS_HTTP = {.size = sizeof(struct http_attempt),
    .start = http_start,
    .stop = http_stop,
    .free = http_free};
