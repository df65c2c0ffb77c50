// SPDX-License-Identifier: Apache-2.0
#include "collector/connection.h"
#include "base/num.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static size_t on_reply(char *data, size_t size, size_t n, void *ctx)
{
    struct connection *c = ctx;
    size_t room = sizeof(c->reply) - 1 - c->reply_len, take = size * n < room ? size * n : room;
    memcpy(c->reply + c->reply_len, data, take);
    c->reply_len += take;
    c->reply[c->reply_len] = '\0';
    return size * n;
}

// Retry-After in seconds, or as a date.
static size_t on_header(char *data, size_t size, size_t n, void *ctx)
{
    static const char NAME[] = "retry-after:";
    struct connection *c = ctx;
    size_t len = size * n, at = sizeof(NAME) - 1;
    if (len <= at || strncasecmp(data, NAME, at) != 0)
        return len;
    while (at < len && (data[at] == ' ' || data[at] == '\t'))
        at++;
    size_t end = len;
    while (end > at && (data[end - 1] == '\r' || data[end - 1] == '\n' || data[end - 1] == ' '))
        end--;
    char text[64];
    uint64_t seconds;
    if (end - at >= sizeof(text))
        return len;
    memcpy(text, data + at, end - at);
    text[end - at] = '\0';
    if (num_parse_u64(text, end - at, &seconds)) {
        c->retry_after_ms = seconds < 86400 ? (int64_t)seconds * 1000 : 86400 * 1000;
        return len;
    }
    time_t when = curl_getdate(text, NULL);
    if (when != -1) {
        int64_t wait = (int64_t)when * 1000 - clock_wall_ms(&c->o.clock);
        c->retry_after_ms = wait > 0 ? wait : 0;
    }
    return len;
}

void connection_close(struct connection *c)
{
    if (!c)
        return;
    if (c->flying)
        transfer_stop(c->o.transfers, c->curl);
    curl_easy_cleanup(c->curl);
    receiver_wire_close(c->wire);
    buf_done(&c->body);
    buf_done(&c->path);
    config_unref(c->o.config);
    free(c);
}

struct connection *connection_open(const struct connection_options *o, struct err *err)
{
    struct connection *c = calloc(1, sizeof(*c));
    if (c)
        c->curl = curl_easy_init();
    if (!c || !c->curl) {
        err_set(err, "out of memory");
        connection_close(c);
        return NULL;
    }
    c->o = *o;
    config_ref(o->config);
    c->lane = o->lane;
    c->transfer.done = o->landed;
    buf_init(&c->body, DELIVER_BODY_MAX);
    buf_init(&c->path, DELIVER_PATH_MAX);
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "tocsin-collector");
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->error);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_reply);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, c);
    if (receiver_wire_open(o->integration, &c->wire, err) == 0 &&
        receiver_wire_setup(c->wire, c->curl, err) == 0)
        return c;
    connection_close(c);
    return NULL;
}

void connection_move(
    struct connection *c, struct config *config, const struct integration *integration)
{
    config_ref(config);
    config_unref(c->o.config);
    c->o.config = config;
    c->o.integration = integration;
    receiver_wire_move(c->wire, integration);
}

bool connection_try(struct connection *c, bool durable)
{
    c->reply_len = 0;
    c->reply[0] = '\0';
    c->error[0] = '\0';
    c->retry_after_ms = -1;
    c->flying =
        receiver_wire_try(c->wire, c->curl, &c->message, clock_wall_ms(&c->o.clock), durable) &&
        transfer_start(c->o.transfers, c->curl, &c->transfer) == 0;
    return c->flying;
}

struct connection *connection_of(struct transfer *t)
{
    return (struct connection *)t;
}

int connection_landed(struct connection *c, CURLcode code, int64_t *ret_took_us)
{
    curl_off_t took_us = 0;
    int status = receiver_wire_status(c->wire, c->curl, code);
    curl_easy_getinfo(c->curl, CURLINFO_TOTAL_TIME_T, &took_us);
    *ret_took_us = took_us;
    c->flying = false;
    if (code != CURLE_OK && !c->error[0])
        snprintf(c->error, sizeof(c->error), "%s", curl_easy_strerror(code));
    receiver_wire_hide(c->wire, c->error);
    receiver_wire_hide(c->wire, c->reply);
    return status;
}
