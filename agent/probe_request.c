// SPDX-License-Identifier: Apache-2.0
#include "agent/probe_request.h"
#include "agent/dial.h"
#include "agent/talk.h"
#include "base/clock.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

// The earliest notAfter of the chain: "Expire date:Nov 25 04:20:01 2026 GMT".
double request_cert_expiry(const struct request *r)
{
    static const char KEY[] = "Expire date:";
    struct curl_certinfo *chain = NULL;
    double earliest = 0;
    if (curl_easy_getinfo(r->easy, CURLINFO_CERTINFO, &chain) != CURLE_OK || !chain)
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

static enum probe_class class_of(const struct request *r, CURLcode result)
{
    long error = r->refused;
    switch ((int)result) {
    case CURLE_COULDNT_RESOLVE_HOST: return CLASS_RESOLVE;
    case CURLE_COULDNT_CONNECT:
        if (!error)
            curl_easy_getinfo(r->easy, CURLINFO_OS_ERRNO, &error);
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

enum probe_class request_failed(
    const struct request *r, CURLcode result, char *detail, size_t size)
{
    snprintf(detail, size, "%s%.140s", result == CURLE_COULDNT_CONNECT ? "not connected: " : "",
        r->refused    ? talk_reason(r->refused)
        : r->error[0] ? r->error
                      : curl_easy_strerror(result));
    return class_of(r, result);
}

static void hang_up(struct request *r)
{
    loop_io_del(r->io);
    r->io = NULL;
    if (r->dialed)
        close(r->fd);
    r->dialed = false;
}

// libcurl connects it once more, and hears that it is connected; of one that still waits it would hear
// "already", which it takes for a failure.
static curl_socket_t on_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct request *r = ctx;
    (void)purpose;
    if (r->refused)
        return CURL_SOCKET_BAD;
    if (!r->dialed)
        return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
    r->dialed = false;
    return r->fd;
}

static bool go(struct request *r)
{
    r->connect_s = (double)(clock_mono_ns(&r->env->clock) - r->begun_ns) / 1e9;
    return transfer_start(r->transfers, r->easy, &r->transfer) == 0;
}

static void on_connected(void *ctx, int fd, uint32_t events)
{
    struct request *r = ctx;
    socklen_t len = sizeof(r->refused);
    (void)events;
    loop_io_del(r->io);
    r->io = NULL;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &r->refused, &len) == -1)
        r->refused = errno;
    if (r->refused)
        hang_up(r);
    if (!go(r))
        r->transfer.done(&r->transfer, CURLE_OUT_OF_MEMORY);
}

// False: memory. A refusal is told by libcurl, as any other.
static bool connect_here(struct request *r, const struct endpoint *to)
{
    bool is_there = false;
    int fd = dial(r->env->pulse, &to->to.any, to->len, SOCK_STREAM, &is_there);
    r->refused = fd < 0 ? -fd : 0;
    r->dialed = fd >= 0;
    r->fd = fd;
    if (fd < 0 || is_there)
        return go(r);
    r->io = loop_io_add(r->env->loop, fd, EPOLLOUT, on_connected, r);
    return r->io != NULL;
}

bool request_setup(struct request *r, const struct probe_config *c, struct env *env,
    void (*done)(struct transfer *t, CURLcode result),
    size_t (*body)(char *data, size_t size, size_t n, void *ctx), void *ctx)
{
    CURLcode rc = CURLE_OK;
    r->transfer.done = done;
    r->env = env;
    r->easy = curl_easy_init();
    if (!r->easy)
        return false;
#define SET(option, value)                                                                     \
    do {                                                                                       \
        if (rc == CURLE_OK)                                                                    \
            rc = curl_easy_setopt(r->easy, option, value);                                     \
    } while (0)
    if (probe_config_tls(c))
        SET(CURLOPT_CERTINFO, 1L);
    if (c->ca_file)
        SET(CURLOPT_CAINFO, c->ca_file);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_socket);
    SET(CURLOPT_OPENSOCKETDATA, r);
    SET(CURLOPT_WRITEFUNCTION, body);
    SET(CURLOPT_WRITEDATA, ctx);
    SET(CURLOPT_ERRORBUFFER, r->error);
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
    if (rc == CURLE_OK)
        return true;
    curl_easy_cleanup(r->easy);
    r->easy = NULL;
    return false;
}

// What libcurl is to take for the name's address; one of an old round is replaced.
static bool tell_address(
    struct request *r, const struct probe_config *c, const struct endpoint *to)
{
    char address[INET6_ADDRSTRLEN], entry[WIRE_HOST_MAX + sizeof(address) + 16];
    if (endpoint_is_address(c->host))
        return true;
    if (!endpoint_text(to, address, sizeof(address)))
        return false;
    bool v6 = strchr(address, ':');
    snprintf(entry, sizeof(entry), "%s:%u:%s%s%s", c->host, c->port, v6 ? "[" : "", address,
        v6 ? "]" : "");
    curl_slist_free_all(r->address);
    r->address = curl_slist_append(NULL, entry);
    return r->address && curl_easy_setopt(r->easy, CURLOPT_RESOLVE, r->address) == CURLE_OK;
}

bool request_start(struct request *r, struct transfers *m, const struct probe_config *c,
    const struct endpoint *to)
{
    hang_up(r);
    r->error[0] = 0;
    r->refused = 0;
    r->transfers = m;
    r->begun_ns = clock_mono_ns(&r->env->clock);
    if (!tell_address(r, c, to))
        return false;
    return dial_is_here(&to->to.any) ? connect_here(r, to) : go(r);
}

void request_stop(struct request *r, struct transfers *m)
{
    transfer_stop(m, r->easy);
    hang_up(r);
}

void request_free(struct request *r)
{
    hang_up(r);
    curl_easy_cleanup(r->easy);
    curl_slist_free_all(r->address);
}
