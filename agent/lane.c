// SPDX-License-Identifier: Apache-2.0
#include "agent/lane.h"
#include "base/secret.h"
#include <errno.h>
#include <string.h>
#include <strings.h>

#define REPLY_MAX       (64u << 10)
#define CONNECT_MS      2000L
#define CONNECTION_S    600L
#define RETRY_AFTER_MAX 3600 // s

// --- waiting ---------------------------------------------------------------------------------

static void on_wake(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct lane *l = ctx;
    (void)due_ns;
    (void)now_ns;
    l->waiting = false;
    l->wake(l);
}

void lane_wait(struct lane *l, int64_t ms)
{
    l->waiting = true;
    loop_timer_set(l->timer, clock_mono_ns(l->clock) + ms * NS_PER_MS);
}

// Between the minimum and three times the last wait.
void lane_back_off(struct lane *l, int64_t at_least_ms)
{
    uint32_t r = 0;
    if (random_bytes(&r, sizeof(r)) < 0)
        r = (uint32_t)(l->clock->wall_ns(l->clock->ctx) / 1000); // still no two hosts in step
    int64_t last = l->backoff_ms < LANE_BACKOFF_MIN_MS ? LANE_BACKOFF_MIN_MS : l->backoff_ms;
    int64_t span = last * 3 - LANE_BACKOFF_MIN_MS;
    int64_t ms = LANE_BACKOFF_MIN_MS + r % span;
    l->backoff_ms = ms > LANE_BACKOFF_MAX_MS ? LANE_BACKOFF_MAX_MS : ms;
    lane_wait(l, at_least_ms > l->backoff_ms ? at_least_ms : l->backoff_ms);
}

void lane_well(struct lane *l)
{
    l->backoff_ms = 0;
}

// --- a body and its answer -------------------------------------------------------------------

static size_t on_reply(char *data, size_t size, size_t n, void *ctx)
{
    struct lane *l = ctx;
    return buf_add(&l->reply, data, size * n) == 0 ? size * n : 0;
}

static size_t on_header(char *data, size_t size, size_t n, void *ctx)
{
    static const char NAME[] = "retry-after:";
    struct lane *l = ctx;
    size_t len = size * n;
    if (len > sizeof(NAME) - 1 && strncasecmp(data, NAME, sizeof(NAME) - 1) == 0) {
        int64_t s = 0;
        const char *p = data + sizeof(NAME) - 1, *end = data + len;
        while (p < end && *p == ' ')
            p++;
        for (; p < end && *p >= '0' && *p <= '9' && s < RETRY_AFTER_MAX; p++)
            s = s * 10 + (*p - '0');
        l->retry_after_ms = (s > RETRY_AFTER_MAX ? RETRY_AFTER_MAX : s) * 1000;
    }
    return len;
}

static void on_done(struct transfer *t, CURLcode result)
{
    struct lane *l = (struct lane *)t;
    long status = 0;
    l->in_flight = false;
    if (result == CURLE_OK)
        curl_easy_getinfo(l->easy, CURLINFO_RESPONSE_CODE, &status);
    l->over(l, status, l->error[0] ? l->error : curl_easy_strerror(result));
}

bool lane_ready(const struct lane *l)
{
    return !l->in_flight && !l->waiting;
}

int lane_send(struct lane *l)
{
    buf_reset(&l->reply);
    l->retry_after_ms = 0;
    l->error[0] = 0;
    l->sent_ns = clock_mono_ns(l->clock);
    curl_easy_setopt(l->easy, CURLOPT_POSTFIELDS, l->body.len ? (char *)l->body.data : "");
    curl_easy_setopt(l->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)l->body.len);
    l->in_flight = true;
    int rc = transfer_start(l->transfers, l->easy, &l->transfer);
    if (rc < 0)
        l->in_flight = false;
    return rc;
}

// --- the handle ------------------------------------------------------------------------------

int lane_url(struct lane *l, const char *url)
{
    return curl_easy_setopt(l->easy, CURLOPT_URL, url) == CURLE_OK ? 0 : -ENOMEM;
}

int lane_init(struct lane *l, struct loop *loop, struct transfers *m, const struct clock *clock,
    const struct lane_options *o)
{
    // No Expect: it costs a round trip, and a second of waiting where it is not known.
    static const char *const FIXED[] = {
        "Content-Type: application/x-protobuf", "Expect:", "Accept:"};
    l->transfer.done = on_done;
    l->transfers = m;
    l->clock = clock;
    l->timer = loop_timer_new(loop, on_wake, l);
    l->easy = curl_easy_init();
    buf_init(&l->body, o->body_max);
    buf_init(&l->reply, REPLY_MAX);
    if (!l->timer || !l->easy)
        return -ENOMEM;
    for (size_t i = 0; i < sizeof(FIXED) / sizeof(FIXED[0]); i++) {
        struct curl_slist *more = curl_slist_append(l->headers, FIXED[i]);
        if (!more)
            return -ENOMEM;
        l->headers = more;
    }
    CURLcode rc = CURLE_OK;
#define SET(option, value)                                                                     \
    do {                                                                                       \
        if (rc == CURLE_OK)                                                                    \
            rc = curl_easy_setopt(l->easy, option, value);                                     \
    } while (0)
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_HTTPHEADER, l->headers);
    SET(CURLOPT_WRITEFUNCTION, on_reply);
    SET(CURLOPT_WRITEDATA, l);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, l);
    SET(CURLOPT_ERRORBUFFER, l->error);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    SET(CURLOPT_TIMEOUT_MS, o->timeout_ms);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_MAXLIFETIME_CONN, CONNECTION_S);
    SET(CURLOPT_BUFFERSIZE, 16384L);
    SET(CURLOPT_UPLOAD_BUFFERSIZE, 16384L);
    if (o->token) {
        SET(CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        SET(CURLOPT_XOAUTH2_BEARER, o->token);
    }
    if (o->ca_file)
        SET(CURLOPT_CAINFO, o->ca_file);
#undef SET
    return rc == CURLE_OK ? 0 : rc == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL;
}

void lane_done(struct lane *l)
{
    transfer_stop(l->transfers, l->easy);
    curl_easy_cleanup(l->easy);
    curl_slist_free_all(l->headers);
    loop_timer_free(l->timer);
    buf_done(&l->body);
    buf_done(&l->reply);
}
