// SPDX-License-Identifier: Apache-2.0
#include "collector/hub.h"
#include "collector/api.h"
#include "collector/viewer.h"
#include "collector/ws.h"
#include "wire/live.h"
#include <assert.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define BEAT_NS 1000000000LL

struct client {
    struct viewer *viewer;
    struct MHD_UpgradeResponseHandle *urh;
};

// A client that left and of whom the shard must hear: its ring was full.
struct leaver {
    struct leaver *next;
    struct request *gone;
};

struct hub {
    struct hub_options o;
    struct listener *listener; // of the connections that came so far; it outlives the hub
    struct loop_timer *beat;
    struct client *clients; // by ascending number: each new one has the highest
    size_t n, cap;
    uint64_t next_number;
    struct leaver *leavers;
};

static bool ask(void *ctx, struct request *r)
{
    struct hub *h = ctx;
    return shard_request(h->o.shard, r);
}

static int64_t wall_ms(void *ctx)
{
    struct hub *h = ctx;
    return clock_wall_ms(&h->o.clock);
}

static struct client *client_find(struct hub *h, uint64_t number)
{
    size_t lo = 0, hi = h->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (viewer_number(h->clients[mid].viewer) < number)
            lo = mid + 1;
        else
            hi = mid;
    }
    bool found = lo < h->n && viewer_number(h->clients[lo].viewer) == number;
    return found ? &h->clients[lo] : NULL;
}

// The shard forgets a client that left. Whoever cannot be told of now is told of at a later beat.
static void leave(struct hub *h, uint64_t number)
{
    struct request *r = calloc(1, sizeof(*r));
    struct leaver *l = calloc(1, sizeof(*l));
    if (r && l) {
        *r = (struct request){.kind = REQUEST_CLIENT_GONE, .client = number};
        if (h->leavers || !ask(h, r)) {
            *l = (struct leaver){h->leavers, r};
            h->leavers = l;
            return;
        }
        r = NULL;
    }
    free(l);
    request_free(r);
}

static void leavers_out(struct hub *h)
{
    while (h->leavers && ask(h, h->leavers->gone)) {
        struct leaver *l = h->leavers;
        h->leavers = l->next;
        free(l);
    }
}

static void on_closed(void *ctx, struct viewer *v)
{
    struct hub *h = ctx;
    uint64_t number = viewer_number(v);
    struct client *c = client_find(h, number);
    assert(c);
    struct MHD_UpgradeResponseHandle *urh = c->urh;
    size_t after = h->n - (size_t)(c - h->clients) - 1;
    memmove(c, c + 1, after * sizeof(*c));
    h->n--;
    viewer_free(v);
    MHD_upgrade_action(urh, MHD_UPGRADE_ACTION_CLOSE);
    listener_kick(h->listener);
    leave(h, number);
}

// --- messages ----------------------------------------------------------------------------------

static struct live_shared *message(
    struct hub *h, uint64_t client, enum live_type type, const struct buf *json)
{
    struct live_out *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    *m = (struct live_out){.client = client, .type = (uint8_t)type};
    struct live_head head = {.type = type, .server_ms = (double)wall_ms(h)};
    size_t len = json ? json->len : 0;
    buf_init(&m->message, LIVE_HEADER + len);
    if (live_encode_json(&head, json ? (const char *)json->data : "", len, &m->message) < 0) {
        live_out_free(m);
        return NULL;
    }
    return live_shared_new(m);
}

static void say_hello(struct hub *h, struct viewer *v)
{
    struct buf json;
    buf_init(&json, 4096);
    buf_adds(&json, "{\"version\":");
    buf_add_json(&json, h->o.version, strlen(h->o.version));
    buf_adds(&json, ",\"instance\":");
    buf_add_json(&json, h->o.instance, strlen(h->o.instance));
    buf_addf(&json, ",\"server_ms\":%lld,\"interval_ms\":%lld}", (long long)wall_ms(h),
        (long long)h->o.interval_ms);
    struct live_shared *s =
        json.failed ? NULL : message(h, viewer_number(v), LIVE_HELLO, &json);
    if (s)
        viewer_send(v, s);
    live_shared_unref(s);
    buf_done(&json);
}

static void send_all(struct hub *h, struct live_shared *s)
{
    for (size_t i = 0; i < h->n; i++)
        viewer_send(h->clients[i].viewer, s);
}

static void on_beat(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct hub *h = ctx;
    (void)due_ns;
    leavers_out(h);
    struct live_shared *s = h->n ? message(h, 0, LIVE_BEAT, NULL) : NULL;
    if (s)
        send_all(h, s);
    live_shared_unref(s);
    for (size_t i = 0; i < h->n; i++)
        viewer_tick(h->clients[i].viewer, now_ns, HUB_SILENT_MS);
    loop_timer_set(h->beat, now_ns + BEAT_NS);
}

void hub_deliver(struct hub *h, struct live_out *m)
{
    uint64_t number = m->client;
    struct live_shared *s = live_shared_new(m);
    struct client *c = number ? client_find(h, number) : NULL;
    if (s && !number)
        send_all(h, s);
    else if (s && c)
        viewer_send(c->viewer, s);
    live_shared_unref(s);
}

// --- the handshake -----------------------------------------------------------------------------

static enum MHD_Result refuse(struct MHD_Connection *c, unsigned status, const char *text)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(
        strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
    if (!r)
        return MHD_NO;
    (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; charset=utf-8");
    if (status == MHD_HTTP_UPGRADE_REQUIRED) {
        (void)MHD_add_response_header(r, MHD_HTTP_HEADER_SEC_WEBSOCKET_VERSION, "13");
        (void)MHD_add_response_header(r, MHD_HTTP_HEADER_UPGRADE, "websocket");
    }
    enum MHD_Result rc = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return rc;
}

// Whether a comma-separated header holds the word.
static bool header_has(struct MHD_Connection *c, const char *name, const char *word)
{
    const char *s = MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
    while (s && *s) {
        s += strspn(s, " \t,");
        size_t len = strcspn(s, " \t,");
        if (len == strlen(word) && strncasecmp(s, word, len) == 0)
            return true;
        s += len;
    }
    return false;
}

static void on_upgrade(void *ctx, struct MHD_Connection *m, void *req, const char *extra,
    size_t extra_len, MHD_socket fd, struct MHD_UpgradeResponseHandle *urh)
{
    struct hub *h = ctx;
    struct viewer_options o = {.loop = h->o.loop,
        .fd = fd,
        .number = h->next_number,
        .text_max = HUB_COMMAND_MAX,
        .wall_ms = wall_ms,
        .ask = ask,
        .closed = on_closed,
        .ctx = h};
    (void)m;
    (void)req;
    if (h->n == HUB_CLIENTS_MAX) // the last places went to others while we shook hands
        goto fail;
    if (h->n == h->cap) {
        size_t cap = h->cap ? h->cap * 2 : 16;
        struct client *grown = realloc(h->clients, cap * sizeof(*grown));
        if (!grown)
            goto fail;
        h->clients = grown;
        h->cap = cap;
    }
    int flags = fcntl(fd, F_GETFL);
    if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1)
        goto fail;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    struct viewer *v = viewer_new(&o);
    if (!v)
        goto fail;
    h->next_number++;
    h->clients[h->n++] = (struct client){v, urh};
    say_hello(h, v);
    viewer_feed(v, extra, extra_len);
    return;
fail:
    MHD_upgrade_action(urh, MHD_UPGRADE_ACTION_CLOSE);
    listener_kick(h->listener);
}

enum MHD_Result hub_upgrade(struct hub *h, struct listener_conn *conn, struct MHD_Connection *c)
{
    char accept[WS_ACCEPT_SIZE];
    const char *key =
        MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_SEC_WEBSOCKET_KEY);
    const char *version =
        MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_SEC_WEBSOCKET_VERSION);
    if (!header_has(c, MHD_HTTP_HEADER_UPGRADE, "websocket") ||
        !header_has(c, MHD_HTTP_HEADER_CONNECTION, "upgrade"))
        return refuse(c, MHD_HTTP_UPGRADE_REQUIRED, "this address speaks WebSocket\n");
    if (!version || strcmp(version, "13") != 0)
        return refuse(c, MHD_HTTP_UPGRADE_REQUIRED, "WebSocket version 13 is needed\n");
    if (!key || !ws_accept(key, accept))
        return refuse(c, MHD_HTTP_BAD_REQUEST, "Sec-WebSocket-Key is not 16 bytes in base64\n");
    if (h->n == HUB_CLIENTS_MAX)
        return refuse(c, MHD_HTTP_SERVICE_UNAVAILABLE, "too many live pages are open\n");
    struct MHD_Response *r = MHD_create_response_for_upgrade(on_upgrade, h);
    if (!r)
        return MHD_NO;
    enum MHD_Result rc = MHD_NO;
    if (MHD_add_response_header(r, MHD_HTTP_HEADER_UPGRADE, "websocket") == MHD_YES &&
        MHD_add_response_header(r, MHD_HTTP_HEADER_SEC_WEBSOCKET_ACCEPT, accept) == MHD_YES)
        rc = MHD_queue_response(c, MHD_HTTP_SWITCHING_PROTOCOLS, r);
    MHD_destroy_response(r);
    if (rc == MHD_YES) {
        h->listener = listener_of(conn);
        listener_upgraded(conn);
    }
    return rc;
}

// --- life --------------------------------------------------------------------------------------

struct hub *hub_new(const struct hub_options *o)
{
    struct hub *h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    h->o = *o;
    h->next_number = 1;
    h->beat = loop_timer_new(o->loop, on_beat, h);
    if (!h->beat) {
        free(h);
        return NULL;
    }
    loop_timer_set(h->beat, loop_now_ns(o->loop) + BEAT_NS);
    return h;
}

void hub_free(struct hub *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->n; i++) {
        viewer_free(h->clients[i].viewer);
        MHD_upgrade_action(h->clients[i].urh, MHD_UPGRADE_ACTION_CLOSE);
    }
    while (h->leavers) {
        struct leaver *l = h->leavers;
        h->leavers = l->next;
        request_free(l->gone);
        free(l);
    }
    loop_timer_free(h->beat);
    free(h->clients);
    free(h);
}

size_t hub_clients(const struct hub *h)
{
    return h->n;
}
