// SPDX-License-Identifier: Apache-2.0
// Addresses in agent.yaml.
#include "agent/config_read.h"
#include "base/num.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

bool config_address(struct config_reader *r, const char *s, size_t len, uint16_t def,
    const char **ret_host, uint16_t *ret_port)
{
    const char *end = s + len, *host = s, *host_end, *rest;
    if (len && *s == '[') {
        host++;
        host_end = memchr(s, ']', len);
        if (!host_end)
            return false;
        rest = host_end + 1;
    } else {
        host_end = memchr(s, ':', len);
        if (!host_end)
            host_end = end;
        rest = host_end;
    }
    uint64_t port = def;
    if (rest < end &&
        (*rest != ':' || !num_parse_u64(rest + 1, (size_t)(end - rest - 1), &port)))
        return false;
    if (host_end == host || host_end - host > WIRE_HOST_MAX || port == 0 || port > 65535)
        return false;
    for (const char *p = host; p < host_end; p++)
        if (*p <= ' ' || strchr("/?#@\\\"'", *p))
            return false;
    *ret_host = config_keep(r, host, (size_t)(host_end - host));
    *ret_port = (uint16_t)port;
    return true;
}

bool config_url(
    struct config_reader *r, const char *url, const char **ret_host, uint16_t *ret_port)
{
    uint16_t def;
    if (strncasecmp(url, "http://", 7) == 0) {
        url += 7;
        def = 80;
    } else if (strncasecmp(url, "https://", 8) == 0) {
        url += 8;
        def = 443;
    } else {
        return false;
    }
    for (const char *p = url; *p; p++)
        if (*p <= ' ')
            return false;
    return config_address(r, url, strcspn(url, "/?#"), def, ret_host, ret_port);
}

bool config_host_loopback(const char *host)
{
    struct in_addr in;
    struct in6_addr in6;
    if (inet_pton(AF_INET, host, &in) == 1)
        return ntohl(in.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &in6) == 1 && IN6_IS_ADDR_LOOPBACK(&in6);
}

bool config_is_this_host(const char *host, const char *own)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (*host == '/')
        return true; // a socket's path
    bool is_v4 = inet_pton(AF_INET, host, &v4) == 1;
    bool is_v6 = !is_v4 && inet_pton(AF_INET6, host, &v6) == 1;
    if (!is_v4 && !is_v6)
        return strcasecmp(host, "localhost") == 0 || strcasecmp(host, own) == 0;
    if (config_host_loopback(host))
        return true;
    struct ifaddrs *all;
    bool found = false;
    if (getifaddrs(&all) < 0)
        return false;
    for (struct ifaddrs *i = all; i && !found; i = i->ifa_next) {
        if (is_v4 && i->ifa_addr && i->ifa_addr->sa_family == AF_INET)
            found = memcmp(&((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr, &v4,
                        sizeof(v4)) == 0;
        if (is_v6 && i->ifa_addr && i->ifa_addr->sa_family == AF_INET6)
            found = memcmp(&((struct sockaddr_in6 *)(void *)i->ifa_addr)->sin6_addr, &v6,
                        sizeof(v6)) == 0;
    }
    freeifaddrs(all);
    return found;
}

bool config_listen(struct config_reader *r, const struct yaml_node *n, uint16_t port,
    const char **ret_host, uint16_t *ret_port)
{
    struct in_addr in;
    struct in6_addr in6;
    const char *host;
    if (!config_scalar(r, n))
        return false;
    if (!config_address(r, n->text, n->len, port, &host, ret_port) ||
        (inet_pton(AF_INET, host, &in) != 1 && inet_pton(AF_INET6, host, &in6) != 1)) {
        config_bad(r, n, "a literal address of this host, e.g. 127.0.0.1 or [::1]",
            "`%.60s` is not an address to listen on", n->text);
        return false;
    }
    *ret_host = host;
    return true;
}

void config_add_address(struct buf *out, const char *host, uint16_t port)
{
    bool v6 = strchr(host, ':') != NULL;
    buf_addf(out, "\"%s%s%s:%u\"", v6 ? "[" : "", host, v6 ? "]" : "", port);
}
