// SPDX-License-Identifier: Apache-2.0
#include "collector/ws.h"
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <wslay/wslay.h>

#define TURN_BYTES                                                                             \
    65536              // read in one turn of the loop, so that one peer cannot hold the others
#define CONTROL_MAX 32 // pongs waiting for a peer that asks but does not read
#define KEY_LEN     24
#define NS_PER_MS   1000000LL
#define HEAD_MAX    10

struct ws {
    struct loop *loop;
    struct loop_io *io;
    int fd;
    uint32_t events;
    struct ws_handler h;
    wslay_event_context_ptr wslay;
    const uint8_t *early; // bytes of ws_feed not read yet
    size_t early_len, turn;
    // The message on its way.
    const uint8_t *body;
    size_t body_len, sent; // sent counts the header too
    uint8_t head[HEAD_MAX];
    size_t head_len;
    int64_t progress_ns; // last time the peer took something, or had taken all
    bool ended;          // our close frame has gone
    bool dead;           // shut down; `closed` is due
};

// Not the end of the object: the loop still reports the hang-up, and then the handler is told.
static void die(struct ws *w)
{
    w->dead = true;
    shutdown(w->fd, SHUT_RDWR);
}

// --- receiving ---------------------------------------------------------------------------------

static ssize_t on_recv(
    wslay_event_context_ptr ctx, uint8_t *buf, size_t len, int flags, void *user)
{
    struct ws *w = user;
    (void)flags;
    if (w->early_len) {
        size_t n = len < w->early_len ? len : w->early_len;
        memcpy(buf, w->early, n);
        w->early += n;
        w->early_len -= n;
        return (ssize_t)n;
    }
    if (w->turn == 0 || w->dead) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    ssize_t n;
    do
        n = recv(w->fd, buf, len < w->turn ? len : w->turn, MSG_DONTWAIT);
    while (n == -1 && errno == EINTR);
    if (n > 0) {
        w->turn -= (size_t)n;
        return n;
    }
    if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
        die(w);
    wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
    return -1;
}

static void on_message(
    wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *arg, void *user)
{
    struct ws *w = user;
    (void)ctx;
    if (arg->opcode == WSLAY_TEXT_FRAME)
        w->h.text(w->h.ctx, (const char *)arg->msg, arg->msg_length);
    else if (arg->opcode == WSLAY_BINARY_FRAME)
        ws_close(w, WSLAY_CODE_UNSUPPORTED_DATA, "commands are text");
}

// After our close frame what still comes is read and forgotten: a socket closed with unread bytes
// is reset, and the peer might never see why it was closed.
static void drain(struct ws *w)
{
    uint8_t scrap[4096];
    ssize_t n;
    for (size_t got = 0; got < TURN_BYTES; got += (size_t)n) {
        n = recv(w->fd, scrap, sizeof(scrap), MSG_DONTWAIT);
        if (n == -1 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            die(w);
            return;
        }
    }
}

static void receive(struct ws *w)
{
    w->turn = TURN_BYTES;
    if (!wslay_event_get_read_enabled(w->wslay))
        drain(w);
    else if (wslay_event_recv(w->wslay) != 0 && wslay_event_get_read_enabled(w->wslay))
        die(w); // no memory; for a mistake of the peer's a close frame is queued
    if (wslay_event_get_queued_msg_count(w->wslay) > CONTROL_MAX)
        die(w);
}

// --- sending -----------------------------------------------------------------------------------

static ssize_t on_send(
    wslay_event_context_ptr ctx, const uint8_t *data, size_t len, int flags, void *user)
{
    struct ws *w = user;
    ssize_t n;
    do
        n = send(w->fd, data, len,
            MSG_DONTWAIT | MSG_NOSIGNAL | (flags & WSLAY_MSG_MORE ? MSG_MORE : 0));
    while (n == -1 && errno == EINTR);
    if (n >= 0) {
        w->progress_ns = loop_now_ns(w->loop);
        return n;
    }
    wslay_event_set_error(ctx, errno == EAGAIN || errno == EWOULDBLOCK
                                   ? WSLAY_ERR_WOULDBLOCK
                                   : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

// True when the message has gone.
static bool write_body(struct ws *w)
{
    size_t total = w->head_len + w->body_len;
    while (w->sent < total) {
        size_t in_head = w->sent < w->head_len ? w->sent : w->head_len;
        size_t in_body = w->sent - in_head;
        // sendmsg does not write through these, but iovec has no const.
        struct iovec v[2] = {{w->head + in_head, w->head_len - in_head},
            {(void *)(uintptr_t)(w->body + in_body), w->body_len - in_body}};
        struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
        ssize_t n = sendmsg(w->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1) {
            if (errno != EAGAIN && errno != EWOULDBLOCK)
                die(w);
            return false;
        }
        w->sent += (size_t)n;
        w->progress_ns = loop_now_ns(w->loop);
    }
    w->body = NULL;
    return true;
}

// Writes what the socket takes; true when the message of ours has gone.
static bool flush(struct ws *w)
{
    if (w->dead)
        return false;
    bool gone = w->body && w->sent > 0 && write_body(w);
    if (w->dead || (w->body && w->sent > 0))
        return gone;
    if (wslay_event_want_write(w->wslay) && wslay_event_send(w->wslay) != 0) {
        die(w);
        return gone;
    }
    if (wslay_event_get_close_sent(w->wslay)) {
        if (wslay_event_get_close_received(w->wslay)) {
            die(w);
        } else if (!w->ended) {
            w->ended = true;
            w->progress_ns = loop_now_ns(w->loop);
            shutdown(w->fd, SHUT_WR);
        }
        return gone;
    }
    if (w->body && !wslay_event_want_write(w->wslay))
        gone = write_body(w);
    return gone;
}

static void watch(struct ws *w)
{
    uint32_t events = EPOLLIN;
    if (!w->ended && (w->body || wslay_event_want_write(w->wslay)))
        events |= EPOLLOUT;
    if (events != w->events && loop_io_mod(w->io, events) == 0)
        w->events = events;
}

bool ws_idle(const struct ws *w)
{
    return !w->body && !w->dead && !w->ended;
}

bool ws_send(struct ws *w, const uint8_t *msg, size_t len)
{
    size_t n = 0;
    w->head[n++] = 0x80 | WSLAY_BINARY_FRAME;
    if (len < 126) {
        w->head[n++] = (uint8_t)len;
    } else {
        int bytes = len <= 0xffff ? 2 : 8;
        w->head[n++] = bytes == 2 ? 126 : 127;
        for (int i = bytes - 1; i >= 0; i--)
            w->head[n++] = (uint8_t)((uint64_t)len >> (8 * i));
    }
    w->head_len = n;
    w->body = msg;
    w->body_len = len;
    w->sent = 0;
    w->progress_ns = loop_now_ns(w->loop);
    bool gone = flush(w);
    watch(w);
    return gone;
}

// --- life --------------------------------------------------------------------------------------

static void on_io(void *ctx, int fd, uint32_t events)
{
    struct ws *w = ctx;
    (void)fd;
    if (!w->dead && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        receive(w);
    if (flush(w))
        w->h.ready(w->h.ctx);
    if (!w->dead) {
        watch(w);
        return;
    }
    loop_io_del(w->io);
    w->io = NULL;
    w->h.closed(w->h.ctx); // frees w
}

void ws_feed(struct ws *w, const void *data, size_t len)
{
    w->early = data;
    w->early_len = len;
    if (len)
        receive(w);
    w->early_len = 0;
    if (flush(w))
        w->h.ready(w->h.ctx);
    watch(w);
}

void ws_close(struct ws *w, uint16_t code, const char *reason)
{
    if (wslay_event_queue_close(w->wslay, code, (const uint8_t *)reason, strlen(reason)) != 0)
        die(w);
    wslay_event_shutdown_read(w->wslay);
    watch(w);
}

void ws_tick(struct ws *w, int64_t now_ns, int64_t silent_ms)
{
    bool waiting = w->body || wslay_event_want_write(w->wslay);
    int64_t quiet_ms = (now_ns - w->progress_ns) / NS_PER_MS;
    if (!w->dead &&
        ((waiting && quiet_ms >= silent_ms) || (w->ended && quiet_ms >= WS_LINGER_MS)))
        die(w);
}

struct ws *ws_new(struct loop *l, int fd, size_t text_max, const struct ws_handler *h)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv, .send_callback = on_send, .on_msg_recv_callback = on_message};
    struct ws *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->loop = l;
    w->fd = fd;
    w->h = *h;
    w->events = EPOLLIN;
    w->progress_ns = loop_now_ns(l);
    if (wslay_event_context_server_init(&w->wslay, &callbacks, w) != 0)
        w->wslay = NULL;
    else
        wslay_event_config_set_max_recv_msg_length(w->wslay, text_max);
    w->io = w->wslay ? loop_io_add(l, fd, EPOLLIN, on_io, w) : NULL;
    if (w->io)
        return w;
    ws_free(w);
    return NULL;
}

void ws_free(struct ws *w)
{
    if (!w)
        return;
    loop_io_del(w->io);
    if (w->wslay)
        wslay_event_context_free(w->wslay);
    free(w);
}

bool ws_accept(const char *key, char ret[WS_ACCEPT_SIZE])
{
    static const char BASE64[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char GUID[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t digest[EVP_MAX_MD_SIZE], text[KEY_LEN + sizeof(GUID) - 1];
    if (strlen(key) != KEY_LEN || strspn(key, BASE64) != KEY_LEN - 2 ||
        strcmp(key + KEY_LEN - 2, "==") != 0)
        return false;
    memcpy(text, key, KEY_LEN);
    memcpy(text + KEY_LEN, GUID, sizeof(GUID) - 1);
    if (EVP_Digest(text, sizeof(text), digest, NULL, EVP_sha1(), NULL) != 1)
        return false;
    EVP_EncodeBlock((uint8_t *)ret, digest, 20);
    return true;
}
