// SPDX-License-Identifier: Apache-2.0
#include "base/listener.h"
#include "base/map.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 8192
#define PER_IP_MAX      512
#define REQUEST_MS      9000 // with one scan more it is still within 10 s
#define REPLY_MS        30000
#define IDLE_MS         65000
#define MEMORY          8192
#define SCAN_MS         500
#define PAUSE_MS        100 // no descriptors: how long not to accept
#define ACCEPT_BATCH    64  // per turn of the loop, so that requests are not starved
#define HEADROOM        256 // evicted connections that MHD has not closed yet
#define BACKLOG         4096

enum phase { PHASE_FRESH, PHASE_BODY, PHASE_REPLY, PHASE_IDLE, PHASE_UPGRADED, PHASE_ENDING };

struct conn {
    struct listener_conn pub; // first: a listener_conn is a conn
    struct listener *l;
    struct conn *next, *prev;             // all, newest first
    struct conn *fresh_next, *fresh_prev; // never finished a request, oldest first
    bool fresh;
    enum phase phase;
    int64_t due_ms;
    uint64_t idle_bytes; // received, as first seen while idle; 0 = not looked yet
    uint8_t peer[16];
};

struct listener {
    struct loop *loop;
    struct listener_options o;
    struct listener_handler h;
    struct MHD_Daemon *mhd;
    int fd, spare;
    struct loop_io *accept_io, *mhd_io;
    struct loop_timer *scan, *mhd_timer, *pause;
    struct conn *all, *fresh, *fresh_last;
    struct map peers;    // address -> connections, as a pointer
    struct conn *adding; // during MHD_add_connection
    struct listener_stats stats;
    char address[80];
    bool loopback, accepting;
};

// --- addresses ---------------------------------------------------------------------------------

int address_parse(
    const char *text, struct sockaddr_storage *ret, socklen_t *ret_len, struct err *err)
{
    char host[64];
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    if (!colon || len == 0 || len >= sizeof(host)) {
        err_set(err, "`%s` is not an address: write host:port, e.g. 127.0.0.1:7312", text);
        return -EINVAL;
    }
    char *end;
    errno = 0;
    long port = strtol(colon + 1, &end, 10);
    if (errno || *end || end == colon + 1 || port < 0 || port > 65535) {
        err_set(err, "`%s`: the port must be 0 to 65535", text);
        return -EINVAL;
    }
    bool v6 = text[0] == '[' && text[len - 1] == ']';
    memcpy(host, text + v6, len - 2 * v6);
    host[len - 2 * v6] = '\0';
    if (strcmp(host, "localhost") == 0)
        strcpy(host, "127.0.0.1");
    memset(ret, 0, sizeof(*ret));
    struct sockaddr_in *in = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
    if (!v6 && inet_pton(AF_INET, host, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)port);
        *ret_len = sizeof(*in);
        return 0;
    }
    if (v6 && inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)port);
        *ret_len = sizeof(*in6);
        return 0;
    }
    err_set(err, "`%s` is not an address to listen on: write a literal one, e.g. 0.0.0.0:7312",
        text);
    return -EINVAL;
}

bool address_loopback(const struct sockaddr_storage *a)
{
    if (a->ss_family == AF_INET)
        return (ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24) == 127;
    return a->ss_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

// One peer is one IPv4 address, or one /64: that is what one host is given.
static void peer_key(const struct sockaddr_storage *a, uint8_t key[16])
{
    memset(key, 0, 16);
    if (a->ss_family == AF_INET) {
        key[15] = 4;
        memcpy(key, &((const struct sockaddr_in *)a)->sin_addr, 4);
    } else if (a->ss_family == AF_INET6) {
        memcpy(key, &((const struct sockaddr_in6 *)a)->sin6_addr, 8);
    }
}

// --- connections -------------------------------------------------------------------------------

static int64_t now_ms(const struct listener *l)
{
    return loop_now_ns(l->loop) / 1000000;
}

static void fresh_add(struct conn *c)
{
    struct listener *l = c->l;
    c->fresh = true;
    c->fresh_prev = l->fresh_last;
    if (l->fresh_last)
        l->fresh_last->fresh_next = c;
    else
        l->fresh = c;
    l->fresh_last = c;
}

static void fresh_del(struct conn *c)
{
    struct listener *l = c->l;
    if (!c->fresh)
        return;
    c->fresh = false;
    if (c->fresh_prev)
        c->fresh_prev->fresh_next = c->fresh_next;
    else
        l->fresh = c->fresh_next;
    if (c->fresh_next)
        c->fresh_next->fresh_prev = c->fresh_prev;
    else
        l->fresh_last = c->fresh_prev;
    c->fresh_next = c->fresh_prev = NULL;
}

static size_t peer_count(const struct listener *l, const uint8_t key[16])
{
    return (size_t)(uintptr_t)map_get(&l->peers, key, 16);
}

static struct conn *conn_new(struct listener *l, int fd, const struct sockaddr_storage *peer)
{
    struct conn *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->l = l;
    c->pub.fd = fd;
    c->pub.peer = *peer;
    c->due_ms = now_ms(l) + l->o.request_ms;
    peer_key(peer, c->peer);
    if (map_set(&l->peers, c->peer, 16, (void *)(uintptr_t)(peer_count(l, c->peer) + 1)) < 0) {
        free(c);
        return NULL;
    }
    c->next = l->all;
    if (l->all)
        l->all->prev = c;
    l->all = c;
    fresh_add(c);
    l->stats.connections++;
    return c;
}

static void conn_free(struct conn *c)
{
    struct listener *l = c->l;
    size_t left = peer_count(l, c->peer) - 1;
    if (left)
        (void)map_set(
            &l->peers, c->peer, 16, (void *)(uintptr_t)left); // replaces: allocates nothing
    else
        map_del(&l->peers, c->peer, 16);
    fresh_del(c);
    if (c->next)
        c->next->prev = c->prev;
    if (c->prev)
        c->prev->next = c->next;
    else
        l->all = c->next;
    l->stats.connections--;
    free(c);
}

// MHD owns the descriptor: the socket is only shut down, MHD sees the end and closes it.
static void conn_end(struct conn *c)
{
    c->phase = PHASE_ENDING;
    fresh_del(c);
    shutdown(c->pub.fd, SHUT_RDWR);
}

struct listener *listener_of(const struct listener_conn *conn)
{
    return ((const struct conn *)conn)->l;
}

void listener_upgraded(struct listener_conn *conn)
{
    struct conn *c = (struct conn *)conn;
    c->phase = PHASE_UPGRADED;
    fresh_del(c);
}

// --- MHD ---------------------------------------------------------------------------------------

static void on_connection(void *ctx, struct MHD_Connection *m, void **socket_context,
    enum MHD_ConnectionNotificationCode what)
{
    struct listener *l = ctx;
    (void)m;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *socket_context = l->adding;
        l->adding = NULL;
        return;
    }
    struct conn *c = *socket_context;
    *socket_context = NULL;
    if (!c)
        return;
    if (l->h.closed)
        l->h.closed(l->h.ctx, &c->pub);
    conn_free(c);
}

static struct conn *conn_of(struct MHD_Connection *m)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(m, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *m, const char *url,
    const char *method, const char *version, const char *upload, size_t *upload_len, void **req)
{
    struct listener *l = ctx;
    struct conn *c = conn_of(m);
    (void)version;
    if (!c || c->phase == PHASE_ENDING)
        return MHD_NO;
    if (c->phase == PHASE_IDLE)
        c->due_ms = now_ms(l) + l->o.request_ms;
    if (c->phase == PHASE_IDLE || c->phase == PHASE_FRESH) {
        c->phase = PHASE_BODY;
    } else if (*upload_len == 0 && c->phase == PHASE_BODY) {
        c->phase = PHASE_REPLY;
        c->due_ms = now_ms(l) + l->o.reply_ms;
    }
    return l->h.request(l->h.ctx, &c->pub, m, url, method, upload, upload_len, req);
}

static void on_completed(
    void *ctx, struct MHD_Connection *m, void **req, enum MHD_RequestTerminationCode why)
{
    struct listener *l = ctx;
    struct conn *c = conn_of(m);
    if (!c)
        return;
    l->h.completed(l->h.ctx, &c->pub, req, why);
    *req = NULL;
    if (c->phase == PHASE_BODY || c->phase == PHASE_REPLY) {
        c->phase = PHASE_IDLE;
        c->idle_bytes = 0;
        c->due_ms = now_ms(l) + l->o.idle_ms;
        if (why == MHD_REQUEST_TERMINATED_COMPLETED_OK)
            fresh_del(c);
    }
}

// The daemon's descriptor is edge-triggered inside: what it wants run again is told by its timeout
// only, and ignoring that makes requests hang.
static void run_mhd(struct listener *l)
{
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;
    for (int i = 0; i < 4; i++) {
        MHD_run(l->mhd);
        if (MHD_get_timeout(l->mhd, &wait_ms) != MHD_YES) {
            loop_timer_stop(l->mhd_timer);
            return;
        }
        if (wait_ms > 0)
            break;
    }
    loop_timer_set(l->mhd_timer, loop_now_ns(l->loop) + (int64_t)wait_ms * 1000000);
}

static void on_mhd(void *ctx, int fd, uint32_t events)
{
    (void)fd;
    (void)events;
    run_mhd(ctx);
}

static void on_mhd_timer(void *ctx, int64_t due_ns, int64_t now_ns)
{
    (void)due_ns;
    (void)now_ns;
    run_mhd(ctx);
}

void listener_kick(struct listener *l)
{
    loop_timer_set(l->mhd_timer, loop_now_ns(l->loop));
}

// --- accept ------------------------------------------------------------------------------------

static void accept_pause(struct listener *l)
{
    l->stats.accept_paused++;
    loop_io_mod(l->accept_io, 0);
    loop_timer_set(l->pause, loop_now_ns(l->loop) + PAUSE_MS * 1000000LL);
}

static void on_pause_over(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct listener *l = ctx;
    (void)due_ns;
    (void)now_ns;
    if (l->spare == -1)
        l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (l->accepting)
        loop_io_mod(l->accept_io, EPOLLIN);
}

// Out of descriptors: the spare one takes a peer off the queue and lets it go with an end it can
// see; then the oldest that never spoke makes room.
static void accept_without_fds(struct listener *l)
{
    if (l->spare != -1) {
        close(l->spare);
        // cppcheck-suppress nullPointer ; accept4 may be told to forget the peer's address
        int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd != -1)
            close(fd);
        l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    if (l->fresh) {
        l->stats.evicted++;
        conn_end(l->fresh);
    }
    accept_pause(l);
}

static void admit(
    struct listener *l, int fd, const struct sockaddr_storage *peer, socklen_t len)
{
    uint8_t key[16];
    peer_key(peer, key);
    if (peer_count(l, key) >= l->o.per_ip_max) {
        l->stats.refused_ip++;
        close(fd);
        return;
    }
    if (l->stats.connections >= l->o.connections_max) {
        if (!l->fresh || l->stats.connections >= l->o.connections_max + HEADROOM / 2) {
            l->stats.evicted++;
            close(fd);
            return;
        }
        l->stats.evicted++;
        conn_end(l->fresh);
    }
    struct conn *c = conn_new(l, fd, peer);
    if (!c) {
        close(fd);
        return;
    }
    l->adding = c;
    l->stats.accepted++;
    // Closes fd itself when it fails.
    if (MHD_add_connection(l->mhd, fd, (const struct sockaddr *)peer, len) != MHD_YES &&
        l->adding) {
        l->adding = NULL;
        conn_free(c);
    }
}

static void on_accept(void *ctx, int fd, uint32_t events)
{
    struct listener *l = ctx;
    (void)events;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof(peer);
        int peer_fd = accept4(fd, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (peer_fd != -1) {
            admit(l, peer_fd, &peer, len);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            accept_without_fds(l);
        if (errno != EINTR && errno != ECONNABORTED)
            break;
    }
    run_mhd(l);
}

// --- deadlines ---------------------------------------------------------------------------------

static uint64_t bytes_received(int fd)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    memset(&info, 0, sizeof(info));
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == -1)
        return 0;
    return info.tcpi_bytes_received;
}

// MHD says nothing of a request before its header is whole, but the kernel counts its bytes.
static void look_at_idle(struct conn *c, int64_t now)
{
    uint64_t bytes = bytes_received(c->pub.fd);
    if (c->idle_bytes == 0) {
        c->idle_bytes = bytes;
    } else if (bytes != c->idle_bytes) {
        c->phase = PHASE_FRESH;
        c->due_ms = now + c->l->o.request_ms;
    }
}

static void on_scan(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct listener *l = ctx;
    int64_t now = now_ns / 1000000;
    (void)due_ns;
    for (struct conn *c = l->all, *next; c; c = next) {
        next = c->next;
        if (c->phase == PHASE_UPGRADED || c->phase == PHASE_ENDING)
            continue;
        if (now >= c->due_ms) {
            l->stats.overdue++;
            conn_end(c);
        } else if (c->phase == PHASE_IDLE) {
            look_at_idle(c, now);
        }
    }
    loop_timer_set(l->scan, now_ns + SCAN_MS * 1000000LL);
}

// --- open and close ----------------------------------------------------------------------------

static int bind_listen(struct listener *l, struct err *err)
{
    struct sockaddr_storage a;
    socklen_t len;
    int rc = address_parse(l->o.address, &a, &len, err);
    if (rc < 0)
        return rc;
    l->loopback = address_loopback(&a);
    int one = 1;
    l->fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd != -1 && a.ss_family == AF_INET6)
        setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    if (l->fd == -1 || setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == -1 ||
        bind(l->fd, (struct sockaddr *)&a, len) == -1 || listen(l->fd, BACKLOG) == -1) {
        rc = -errno;
        err_set(err, "cannot listen on %s: %s", l->o.address, strerror(-rc));
        return rc;
    }
    len = sizeof(a);
    char host[INET6_ADDRSTRLEN] = "";
    getsockname(l->fd, (struct sockaddr *)&a, &len);
    if (a.ss_family == AF_INET) {
        const struct sockaddr_in *in = (struct sockaddr_in *)&a;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        snprintf(l->address, sizeof(l->address), "%s:%u", host, ntohs(in->sin_port));
    } else {
        const struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        snprintf(l->address, sizeof(l->address), "[%s]:%u", host, ntohs(in6->sin6_port));
    }
    return 0;
}

static int start_mhd(struct listener *l, struct err *err)
{
    unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET;
    if (l->o.upgrade)
        flags |= MHD_ALLOW_UPGRADE;
    if (l->o.suspend)
        flags |= MHD_ALLOW_SUSPEND_RESUME;
    l->mhd = MHD_start_daemon(flags, 0, NULL, NULL, on_request, l, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)(l->o.connections_max + HEADROOM), MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        l->o.memory_per_connection, MHD_OPTION_CONNECTION_TIMEOUT, 0u,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, l, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, l, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        l->mhd ? MHD_get_daemon_info(l->mhd, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info) {
        err_set(err, "cannot start the HTTP server for %s", l->o.address);
        return -ENOMEM;
    }
    l->mhd_io = loop_io_add(l->loop, info->epoll_fd, EPOLLIN, on_mhd, l);
    return l->mhd_io ? 0 : -ENOMEM;
}

int listener_open(struct loop *loop, const struct listener_options *o,
    const struct listener_handler *h, struct listener **ret, struct err *err)
{
    struct listener *l = calloc(1, sizeof(*l));
    if (!l) {
        err_set(err, "out of memory");
        return -ENOMEM;
    }
    l->loop = loop;
    l->o = *o;
    l->h = *h;
    l->fd = -1;
    l->accepting = true;
    l->o.connections_max = o->connections_max ? o->connections_max : CONNECTIONS_MAX;
    l->o.per_ip_max = o->per_ip_max ? o->per_ip_max : PER_IP_MAX;
    l->o.request_ms = o->request_ms ? o->request_ms : REQUEST_MS;
    l->o.reply_ms = o->reply_ms ? o->reply_ms : REPLY_MS;
    l->o.idle_ms = o->idle_ms ? o->idle_ms : IDLE_MS;
    l->o.memory_per_connection = o->memory_per_connection ? o->memory_per_connection : MEMORY;
    map_init(&l->peers);
    l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int rc = bind_listen(l, err);
    if (rc == 0)
        rc = start_mhd(l, err);
    if (rc < 0)
        goto fail;
    rc = -ENOMEM;
    l->scan = loop_timer_new(loop, on_scan, l);
    l->mhd_timer = loop_timer_new(loop, on_mhd_timer, l);
    l->pause = loop_timer_new(loop, on_pause_over, l);
    l->accept_io = loop_io_add(loop, l->fd, EPOLLIN, on_accept, l);
    if (!l->scan || !l->mhd_timer || !l->pause || !l->accept_io) {
        err_set(err, "out of memory");
        goto fail;
    }
    loop_timer_set(l->scan, loop_now_ns(loop) + SCAN_MS * 1000000LL);
    *ret = l;
    return 0;
fail:
    listener_free(l);
    return rc;
}

void listener_stop_accepting(struct listener *l)
{
    l->accepting = false;
    loop_io_mod(l->accept_io, 0);
}

void listener_free(struct listener *l)
{
    if (!l)
        return;
    loop_io_del(l->accept_io);
    loop_io_del(l->mhd_io);
    loop_timer_free(l->scan);
    loop_timer_free(l->mhd_timer);
    loop_timer_free(l->pause);
    if (l->fd != -1)
        close(l->fd);
    if (l->mhd)
        MHD_stop_daemon(l->mhd);
    while (l->all)
        conn_free(l->all);
    if (l->spare != -1)
        close(l->spare);
    map_done(&l->peers);
    free(l);
}

const char *listener_address(const struct listener *l)
{
    return l->address;
}

bool listener_loopback(const struct listener *l)
{
    return l->loopback;
}

void listener_stats(const struct listener *l, struct listener_stats *ret)
{
    *ret = l->stats;
    ret->peers = l->peers.n;
}
