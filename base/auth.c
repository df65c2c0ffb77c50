// SPDX-License-Identifier: Apache-2.0
#include "base/auth.h"
#include "base/listener.h"
#include "base/secret.h"
#include <errno.h>
#include <string.h>
#include <strings.h>

#define COOKIE "tocsin_token"

// "name:port", "[::1]:port" or either without a port: how long the name is.
static size_t host_len(const char *host)
{
    if (host[0] == '[') {
        const char *end = strchr(host, ']');
        return end ? (size_t)(end - host) + 1 : strlen(host);
    }
    return strcspn(host, ":");
}

bool auth_host_loopback(const char *host)
{
    size_t n = host_len(host);
    if (n == 9 && strncasecmp(host, "localhost", 9) == 0)
        return true;
    if (n == 5 && strncmp(host, "[::1]", 5) == 0)
        return true;
    // A dotted quad 127.x.y.z and nothing else: "127.evil.example" begins so too.
    if (strncmp(host, "127.", 4) != 0)
        return false;
    int dots = 0;
    for (size_t i = 0; i < n; i++) {
        if (host[i] == '.')
            dots++;
        else if (host[i] < '0' || host[i] > '9')
            return false;
    }
    return dots == 3 && host[n - 1] != '.';
}

static bool same_host(const char *a, const char *b)
{
    return strcasecmp(a, b) == 0;
}

bool auth_url_host(const char *url, char *ret, size_t size)
{
    const char *p = strstr(url, "://");
    if (!p || p == url || size == 0)
        return false;
    p += 3;
    size_t n = strcspn(p, "/?#");
    if (n == 0 || memchr(p, '@', n))
        return false;
    if (n >= size)
        n = size - 1;
    memcpy(ret, p, n);
    ret[n] = '\0';
    return true;
}

static bool origin_ok(const struct auth *a, const struct auth_request *r)
{
    char host[300];
    if (!auth_url_host(r->origin, host, sizeof(host)))
        return false; // "null" of a sandboxed frame, or a file
    return same_host(host, r->host) || (a->external_host && same_host(host, a->external_host));
}

static enum auth_verdict token_ok(const struct auth *a, const char *token, size_t len)
{
    return secret_equal(token, len, a->token, a->token_len) ? AUTH_OK : AUTH_BAD_TOKEN;
}

// Finds name=value in a Cookie header.
static bool cookie_find(const char *cookie, const char **ret, size_t *ret_len)
{
    while (*cookie) {
        cookie += strspn(cookie, " ;\t");
        size_t n = strcspn(cookie, ";");
        if (n > sizeof(COOKIE) - 1 && strncmp(cookie, COOKIE "=", sizeof(COOKIE)) == 0) {
            *ret = cookie + sizeof(COOKIE);
            *ret_len = n - sizeof(COOKIE);
            return true;
        }
        cookie += n;
    }
    return false;
}

static enum auth_verdict check_token(const struct auth *a, const struct auth_request *r)
{
    if (r->authorization) {
        if (strncasecmp(r->authorization, "Bearer ", 7) != 0)
            return AUTH_BAD_TOKEN;
        const char *token = r->authorization + 7 + strspn(r->authorization + 7, " ");
        return token_ok(a, token, strlen(token));
    }
    const char *token;
    size_t len;
    if (r->cookie && cookie_find(r->cookie, &token, &len))
        return token_ok(a, token, len);
    return AUTH_NO_TOKEN;
}

enum auth_verdict auth_check(const struct auth *a, const struct auth_request *r)
{
    if (!r->host || !*r->host)
        return AUTH_NO_HOST;
    if (a->loopback && !auth_host_loopback(r->host) &&
        !(a->external_host && same_host(r->host, a->external_host)))
        return AUTH_FOREIGN_HOST;
    if (r->origin && !origin_ok(a, r))
        return AUTH_FOREIGN_ORIGIN;
    return a->token ? check_token(a, r) : AUTH_OK;
}

int auth_status(enum auth_verdict v)
{
    switch (v) {
    case AUTH_OK: return 200;
    case AUTH_NO_HOST: return 400;
    case AUTH_FOREIGN_HOST:
    case AUTH_FOREIGN_ORIGIN: return 403;
    case AUTH_NO_TOKEN:
    case AUTH_BAD_TOKEN: return 401;
    }
    return 403;
}

const char *auth_reason(enum auth_verdict v)
{
    switch (v) {
    case AUTH_OK: return "ok";
    case AUTH_NO_HOST: return "the request has no Host header";
    case AUTH_FOREIGN_HOST:
        return "this port answers on loopback names only; set external_url when a proxy stands in front";
    case AUTH_FOREIGN_ORIGIN: return "a page of another origin may not ask this";
    case AUTH_NO_TOKEN: return "a bearer token is needed: Authorization: Bearer ...";
    case AUTH_BAD_TOKEN: return "the token is not the one of token_file";
    }
    return "refused";
}

int auth_policy(const char *key, const char *address, bool has_token, bool insecure_plaintext,
    struct err *err)
{
    struct sockaddr_storage a;
    socklen_t len;
    int rc = address_parse(address, &a, &len, err);
    if (rc < 0) {
        err_prefix(err, "%s", key);
        return rc;
    }
    if (address_loopback(&a))
        return 0;
    if (!has_token) {
        err_set(err, "%s: %s is reachable from other hosts: set token_file", key, address);
        return -EPERM;
    }
    if (!insecure_plaintext) {
        err_set(err,
            "%s: %s is reachable from other hosts and this version has no TLS: set "
            "`insecure_plaintext: true` if the network is trusted, or put a TLS proxy in front",
            key, address);
        return -EPERM;
    }
    return 0;
}
