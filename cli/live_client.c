// SPDX-License-Identifier: Apache-2.0
#include "cli/live_client.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/secret.h"
#include "cli/client.h"
#include "wire/live.h"
#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <wslay/wslay.h>

#define HEAD_MAX (16u << 10)

struct live_client {
    CURL *curl;
    int fd;
    struct buf in; // what came behind the handshake's answer
    wslay_event_context_ptr ws;
    live_message_fn *fn;
    void *ctx;
};

static ssize_t on_recv(
    wslay_event_context_ptr ws, uint8_t *data, size_t len, int flags, void *ctx)
{
    struct live_client *l = ctx;
    size_t n = 0;
    (void)flags;
    if (l->in.len > 0) {
        n = len < l->in.len ? len : l->in.len;
        memcpy(data, l->in.data, n);
        buf_drop(&l->in, n);
        return (ssize_t)n;
    }
    CURLcode code = curl_easy_recv(l->curl, data, len, &n);
    if (code == CURLE_OK && n > 0)
        return (ssize_t)n;
    wslay_event_set_error(
        ws, code == CURLE_AGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static ssize_t on_send(
    wslay_event_context_ptr ws, const uint8_t *data, size_t len, int flags, void *ctx)
{
    struct live_client *l = ctx;
    size_t n = 0;
    (void)flags;
    CURLcode code = curl_easy_send(l->curl, data, len, &n);
    if (code == CURLE_OK)
        return (ssize_t)n;
    wslay_event_set_error(
        ws, code == CURLE_AGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static int on_mask(wslay_event_context_ptr ws, uint8_t *data, size_t len, void *ctx)
{
    (void)ctx;
    if (random_bytes(data, len) == 0)
        return 0;
    wslay_event_set_error(ws, WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static void on_message(
    wslay_event_context_ptr ws, const struct wslay_event_on_msg_recv_arg *m, void *ctx)
{
    struct live_client *l = ctx;
    (void)ws;
    if (m->opcode == WSLAY_BINARY_FRAME)
        l->fn(l->ctx, m->msg, m->msg_length);
}

// Waits until the socket can be read or written, until deadline_ns.
static bool wait_for(struct live_client *l, short events, int64_t deadline_ns)
{
    struct clock clock = clock_system();
    int64_t left_ms = (deadline_ns - clock_mono_ns(&clock)) / NS_PER_MS;
    struct pollfd p = {.fd = l->fd, .events = events};
    return left_ms > 0 && poll(&p, 1, (int)left_ms) > 0;
}

static bool send_all(struct live_client *l, const struct buf *text, int64_t deadline_ns)
{
    size_t at = 0;
    while (at < text->len) {
        size_t n = 0;
        CURLcode code = curl_easy_send(l->curl, text->data + at, text->len - at, &n);
        at += n;
        if (code == CURLE_AGAIN ? !wait_for(l, POLLOUT, deadline_ns) : code != CURLE_OK)
            return false;
    }
    return true;
}

// The head of the answer; what follows stays in l->in. NULL: none came.
static char *read_head(struct live_client *l, int64_t deadline_ns)
{
    char data[4096];
    for (;;) {
        const uint8_t *end = l->in.len ? memmem(l->in.data, l->in.len, "\r\n\r\n", 4) : NULL;
        if (end) {
            size_t len = (size_t)(end - l->in.data);
            char *head = strndup((const char *)l->in.data, len);
            buf_drop(&l->in, len + 4);
            return head;
        }
        size_t n = 0;
        CURLcode code = curl_easy_recv(l->curl, data, sizeof(data), &n);
        if (code == CURLE_AGAIN) {
            if (!wait_for(l, POLLIN, deadline_ns))
                return NULL;
        } else if (code != CURLE_OK || n == 0 || l->in.len > HEAD_MAX ||
                   buf_add(&l->in, data, n) < 0) {
            return NULL;
        }
    }
}

static void base64(const uint8_t *data, size_t len, struct buf *out)
{
    static const char ALPHABET[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i += 3) {
        unsigned v = (unsigned)data[i] << 16;
        if (i + 1 < len)
            v |= (unsigned)data[i + 1] << 8;
        if (i + 2 < len)
            v |= data[i + 2];
        buf_addc(out, ALPHABET[v >> 18]);
        buf_addc(out, ALPHABET[v >> 12 & 63]);
        buf_addc(out, i + 1 < len ? ALPHABET[v >> 6 & 63] : '=');
        buf_addc(out, i + 2 < len ? ALPHABET[v & 63] : '=');
    }
}

// Sec-WebSocket-Accept is not compared: it tells a WebSocket server from a confused cache, and
// the LIVE_HELLO that must follow tells that better.
static int handshake(
    struct live_client *l, const struct cli *c, const char *token, struct err *err)
{
    struct clock clock = clock_system();
    int64_t deadline_ns = clock_mono_ns(&clock) + CLIENT_CONNECT_MS * NS_PER_MS;
    uint8_t key[16];
    struct buf ask;
    const char *host = strstr(c->url, "://");
    host = host ? host + 3 : c->url;
    int host_len = (int)strcspn(host, "/");
    if (random_bytes(key, sizeof(key)) < 0)
        return CLI_UNREACHABLE;
    buf_init(&ask, HEAD_MAX);
    buf_addf(&ask,
        "GET %s/v1/live HTTP/1.1\r\nHost: %.*s\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ",
        host + host_len, host_len, host);
    base64(key, sizeof(key), &ask);
    if (token)
        buf_addf(&ask, "\r\nAuthorization: Bearer %s", token);
    buf_adds(&ask, "\r\n\r\n");
    char *head =
        !ask.failed && send_all(l, &ask, deadline_ns) ? read_head(l, deadline_ns) : NULL;
    int rc = CLI_YES, status = 0;
    if (!head || strncmp(head, "HTTP/1.", 7) != 0) {
        err_set(err, "%s: no answer to the live connection", c->url);
        rc = CLI_UNREACHABLE;
    } else {
        status = atoi(head + strcspn(head, " "));
        if (status == 401 || status == 403)
            rc = CLI_DENIED;
        else if (status != 101 || !strcasestr(head, "upgrade: websocket"))
            rc = CLI_UNREACHABLE;
        if (rc == CLI_DENIED)
            err_set(err, "%s: not allowed (HTTP %d)%s", c->url, status,
                c->token_file ? "" : "; give a token with --token-file or TOCSIN_TOKEN_FILE");
        else if (rc != CLI_YES)
            err_set(err, "%s: the live connection was refused: HTTP %d", c->url, status);
    }
    free(head);
    if (ask.data)
        explicit_bzero(ask.data, ask.len);
    buf_done(&ask);
    return rc;
}

static int connect_to(struct live_client *l, const struct cli *c, struct err *err)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    char why[CURL_ERROR_SIZE] = "";
    curl_easy_setopt(l->curl, CURLOPT_URL, c->url);
    curl_easy_setopt(l->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(l->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(l->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(l->curl, CURLOPT_CONNECT_ONLY, 1L);
    // A later protocol would have no Upgrade.
    curl_easy_setopt(l->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(l->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CLIENT_CONNECT_MS);
    curl_easy_setopt(l->curl, CURLOPT_ERRORBUFFER, why);
    CURLcode code = curl_easy_perform(l->curl);
    // The buffer dies with this function.
    curl_easy_setopt(l->curl, CURLOPT_ERRORBUFFER, NULL);
    if (code == CURLE_OK)
        code = curl_easy_getinfo(l->curl, CURLINFO_ACTIVESOCKET, &fd);
    l->fd = fd;
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL) {
        err_set(err, "--url %s: not an http:// or https:// address", c->url);
        return CLI_USAGE;
    }
    if (code == CURLE_OK && fd != CURL_SOCKET_BAD)
        return CLI_YES;
    err_set(err, "%s: the collector is not reachable: %s", c->url,
        why[0] ? why : curl_easy_strerror(code));
    return CLI_UNREACHABLE;
}

int live_client_open(const struct cli *c, live_message_fn *fn, void *ctx,
    struct live_client **ret, struct err *err)
{
    static const struct wslay_event_callbacks CALLBACKS = {
        .recv_callback = on_recv,
        .send_callback = on_send,
        .genmask_callback = on_mask,
        .on_msg_recv_callback = on_message,
    };
    char *token = NULL;
    int rc = client_token(c, &token, err);
    if (rc != CLI_YES)
        return rc;
    struct live_client *l = calloc(1, sizeof(*l));
    if (!l) {
        err_set(err, "out of memory");
        secret_free(token);
        return CLI_UNREACHABLE;
    }
    buf_init(&l->in, 2 * HEAD_MAX);
    l->fn = fn;
    l->ctx = ctx;
    l->fd = -1;
    l->curl = curl_easy_init();
    rc = l->curl ? connect_to(l, c, err) : CLI_UNREACHABLE;
    if (rc == CLI_YES)
        rc = handshake(l, c, token, err);
    if (rc == CLI_YES && wslay_event_context_client_init(&l->ws, &CALLBACKS, l) != 0)
        rc = CLI_UNREACHABLE;
    secret_free(token);
    if (rc != CLI_YES) {
        if (err && !err->msg[0])
            err_set(err, "out of memory");
        live_client_free(l);
        return rc;
    }
    wslay_event_config_set_max_recv_msg_length(l->ws, LIVE_HEADER + LIVE_PAYLOAD_MAX);
    *ret = l;
    return CLI_YES;
}

void live_client_free(struct live_client *l)
{
    if (!l)
        return;
    if (l->ws)
        wslay_event_context_free(l->ws);
    curl_easy_cleanup(l->curl);
    buf_done(&l->in);
    free(l);
}

int live_client_fd(const struct live_client *l)
{
    return l->fd;
}

bool live_client_wants_write(const struct live_client *l)
{
    return wslay_event_want_write(l->ws);
}

int live_client_send(struct live_client *l, const char *json)
{
    struct wslay_event_msg m = {
        .opcode = WSLAY_TEXT_FRAME, .msg = (const uint8_t *)json, .msg_length = strlen(json)};
    return wslay_event_queue_msg(l->ws, &m) == 0 ? 0 : -ENOMEM;
}

int live_client_step(struct live_client *l)
{
    if (wslay_event_recv(l->ws) != 0 || wslay_event_send(l->ws) != 0)
        return -ECONNRESET;
    return wslay_event_want_read(l->ws) ? 0 : -ECONNRESET;
}
