// SPDX-License-Identifier: Apache-2.0
#include "agent/resolve.h"
#include "base/clock.h"
#include <ares.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/un.h>

#define SOCKETS_MAX 64 // c-ares keeps one or two a server

struct resolver {
    struct loop *loop;
    ares_channel channel;
    struct loop_timer *timer;
    struct lookup *waiting,
        *ended; // ended: told from the timer, never from within resolve_start
    struct watched {
        int fd;
        struct loop_io *io;
    } sockets[SOCKETS_MAX];
};

struct lookup {
    struct lookup *next, **at; // of its resolver
    struct resolver *resolver;
    struct endpoint *endpoint; // NULL: nobody waits any more
    const char *error;
    void (*done)(void *ctx, const char *error);
    void *ctx;
};

static int64_t mono_ns(void)
{
    struct clock c = clock_system();
    return clock_mono_ns(&c);
}

// --- endpoints -----------------------------------------------------------------------------------

static socklen_t parse(const char *host, uint16_t port, struct sockaddr_storage *to)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)to;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;
    struct sockaddr_un *path = (struct sockaddr_un *)to;
    memset(to, 0, sizeof(*to));
    if (*host == '/' && strlen(host) < sizeof(path->sun_path)) {
        path->sun_family = AF_UNIX;
        strcpy(path->sun_path, host);
        return sizeof(*path);
    }
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return sizeof(*v4);
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        return sizeof(*v6);
    }
    return 0;
}

bool endpoint_is_address(const char *host)
{
    struct sockaddr_storage to;
    return parse(host, 1, &to) != 0;
}

void endpoint_set(struct endpoint *e, const char *host, uint16_t port)
{
    *e = (struct endpoint){.host = host, .port = port};
    e->len = host ? parse(host, port, &e->to.room) : 0;
    if (e->len)
        e->expires_ns = INT64_MAX;
}

bool endpoint_fresh(const struct endpoint *e, int64_t now_ns)
{
    return e->len && now_ns < e->expires_ns;
}

bool endpoint_text(const struct endpoint *e, char *ret, size_t size)
{
    const void *at = e->to.any.sa_family == AF_INET
                         ? (const void *)&((const struct sockaddr_in *)&e->to.room)->sin_addr
                         : (const void *)&((const struct sockaddr_in6 *)&e->to.room)->sin6_addr;
    return e->len && inet_ntop(e->to.any.sa_family, at, ret, (socklen_t)size);
}

// --- c-ares in our loop --------------------------------------------------------------------------

static void watch_time(struct resolver *r)
{
    struct timeval tv;
    if (r->ended)
        loop_timer_set(r->timer, mono_ns());
    else if (ares_timeout(r->channel, NULL, &tv))
        loop_timer_set(r->timer, mono_ns() + tv.tv_sec * NS_PER_S + (int64_t)tv.tv_usec * 1000);
    else
        loop_timer_stop(r->timer);
}

static void lookup_free(struct lookup *l)
{
    *l->at = l->next;
    if (l->next)
        l->next->at = l->at;
    free(l);
}

static void lookup_put(struct lookup **list, struct lookup *l)
{
    l->next = *list;
    l->at = list;
    if (l->next)
        l->next->at = &l->next;
    *list = l;
}

static void tell_ended(struct resolver *r)
{
    while (r->ended) {
        struct lookup *l = r->ended;
        struct endpoint *e = l->endpoint;
        void (*done)(void *, const char *) = l->done;
        void *ctx = l->ctx;
        const char *error = l->error;
        lookup_free(l);
        if (!e)
            continue;
        e->lookup = NULL;
        done(ctx, error);
    }
}

static void on_socket(void *ctx, int fd, uint32_t events)
{
    struct resolver *r = ctx;
    bool in = events & (EPOLLIN | EPOLLERR | EPOLLHUP), out = events & EPOLLOUT;
    ares_process_fd(r->channel, in ? fd : ARES_SOCKET_BAD, out ? fd : ARES_SOCKET_BAD);
    tell_ended(r);
    watch_time(r);
}

static void on_timer(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct resolver *r = ctx;
    (void)due_ns;
    (void)now_ns;
    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    tell_ended(r);
    watch_time(r);
}

// A socket there is no place for is not heard: its question runs into its time limit.
static void on_state(void *ctx, ares_socket_t fd, int readable, int writable)
{
    struct resolver *r = ctx;
    struct watched *at = NULL;
    uint32_t events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u);
    for (size_t i = 0; i < SOCKETS_MAX; i++) {
        if (r->sockets[i].io && r->sockets[i].fd == fd) {
            at = &r->sockets[i];
            break;
        }
        if (!r->sockets[i].io && !at)
            at = &r->sockets[i];
    }
    if (!at)
        return;
    if (!at->io && events) {
        at->fd = fd;
        at->io = loop_io_add(r->loop, fd, events, on_socket, r);
    } else if (at->io && events) {
        loop_io_mod(at->io, events);
    } else if (at->io) {
        loop_io_del(at->io);
        at->io = NULL;
    }
}

struct resolver *resolver_new(struct loop *loop)
{
    struct resolver *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    struct ares_options o = {.sock_state_cb = on_state,
        .sock_state_cb_data = r,
        .timeout = RESOLVE_TIMEOUT_MS,
        .tries = 2};
    r->loop = loop;
    r->timer = loop_timer_new(loop, on_timer, r);
    bool ready = ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS;
    if (ready && r->timer &&
        ares_init_options(&r->channel, &o,
            ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES) == ARES_SUCCESS)
        return r;
    loop_timer_free(r->timer);
    if (ready)
        ares_library_cleanup();
    free(r);
    return NULL;
}

void resolver_free(struct resolver *r)
{
    if (!r)
        return;
    for (struct lookup *l = r->waiting; l; l = l->next)
        l->endpoint = NULL;
    for (struct lookup *l = r->ended; l; l = l->next)
        l->endpoint = NULL;
    ares_destroy(r->channel); // ends every question
    tell_ended(r);
    for (size_t i = 0; i < SOCKETS_MAX; i++)
        loop_io_del(r->sockets[i].io);
    loop_timer_free(r->timer);
    ares_library_cleanup();
    free(r);
}

// --- lookups -------------------------------------------------------------------------------------

static void take(struct endpoint *e, const struct ares_addrinfo *found)
{
    const struct ares_addrinfo_node *first = found->nodes;
    int64_t kept = (int64_t)first->ai_ttl * NS_PER_S;
    memcpy(&e->to.room, first->ai_addr, first->ai_addrlen);
    e->len = first->ai_addrlen;
    if (e->to.any.sa_family == AF_INET)
        ((struct sockaddr_in *)&e->to.room)->sin_port = htons(e->port);
    else
        ((struct sockaddr_in6 *)&e->to.room)->sin6_port = htons(e->port);
    kept = kept < RESOLVE_KEPT_MIN_NS   ? RESOLVE_KEPT_MIN_NS
           : kept > RESOLVE_KEPT_MAX_NS ? RESOLVE_KEPT_MAX_NS
                                        : kept;
    e->expires_ns = mono_ns() + kept;
}

static bool usable(const struct ares_addrinfo *found)
{
    return found && found->nodes &&
           (found->nodes->ai_family == AF_INET || found->nodes->ai_family == AF_INET6) &&
           found->nodes->ai_addrlen <= (socklen_t)sizeof(struct sockaddr_storage);
}

static void on_found(void *ctx, int status, int timeouts, struct ares_addrinfo *found)
{
    struct lookup *l = ctx;
    struct resolver *r = l->resolver;
    (void)timeouts;
    if (status == ARES_SUCCESS && usable(found)) {
        if (l->endpoint)
            take(l->endpoint, found);
    } else {
        l->error = status == ARES_SUCCESS ? "the name has no address" : ares_strerror(status);
    }
    ares_freeaddrinfo(found);
    *l->at = l->next;
    if (l->next)
        l->next->at = l->at;
    lookup_put(&r->ended, l);
}

int resolve_start(struct resolver *r, struct endpoint *e,
    void (*done)(void *ctx, const char *error), void *ctx)
{
    static const struct ares_addrinfo_hints HINTS = {.ai_socktype = SOCK_STREAM};
    struct lookup *l = calloc(1, sizeof(*l));
    if (!l)
        return -ENOMEM;
    *l = (struct lookup){.resolver = r, .endpoint = e, .done = done, .ctx = ctx};
    lookup_put(&r->waiting, l);
    e->lookup = l;
    ares_getaddrinfo(r->channel, e->host, NULL, &HINTS, on_found, l);
    watch_time(r);
    return 0;
}

bool resolver_server(struct resolver *r, struct endpoint *e)
{
    struct ares_addr_port_node *servers = NULL;
    char text[INET6_ADDRSTRLEN];
    e->len = 0;
    if (ares_get_servers_ports(r->channel, &servers) == ARES_SUCCESS && servers &&
        inet_ntop(servers->family, &servers->addr, text, sizeof(text)))
        e->len = parse(
            text, (uint16_t)(servers->udp_port ? servers->udp_port : e->port), &e->to.room);
    ares_free_data(servers);
    e->expires_ns = mono_ns() + RESOLVE_KEPT_MAX_NS;
    return e->len != 0;
}

void resolve_stop(struct endpoint *e)
{
    if (!e->lookup)
        return;
    e->lookup->endpoint = NULL;
    e->lookup = NULL;
}
