// SPDX-License-Identifier: Apache-2.0
/*
 * Names to addresses without blocking the loop, by c-ares: /etc/hosts and the host's name servers, as
 * its resolv.conf says. libcurl's own resolver is never entered: its clean-up after a time-out can block
 * for seconds, and what it takes cannot be told from the time of the rest.
 *
 * An address is kept for as long as its record says, within RESOLVE_KEPT_MIN_NS and _MAX_NS. When the name
 * servers fail the last good one goes on being used, and the failure is told apart.
 *
 * Loop thread.
 */
#pragma once
#include "base/loop.h"
#include <stdbool.h>
#include <sys/socket.h>

#define RESOLVE_KEPT_MIN_NS (1LL * 1000000000)
#define RESOLVE_KEPT_MAX_NS (60LL * 1000000000)
#define RESOLVE_TIMEOUT_MS  1000 // of one question to one server; asked twice

struct resolver;
struct resolver *resolver_new(
    struct loop *loop);                 // NULL: memory, or no configuration of name servers
void resolver_free(struct resolver *r); // tells no lookup any more; NULL allowed

// A name and where it led. An address as text, or the path of a socket, is its own, for ever.
struct endpoint {
    const char *host; // borrowed; NULL: see resolver_server
    uint16_t port;
    union {
        struct sockaddr any;
        struct sockaddr_storage room;
    } to;
    socklen_t len;         // 0 = not known
    int64_t expires_ns;    // monotonic
    struct lookup *lookup; // under way
};
void endpoint_set(struct endpoint *e, const char *host, uint16_t port);
// Whether it can be used now without asking.
bool endpoint_fresh(const struct endpoint *e, int64_t now_ns);
bool endpoint_is_address(const char *host);
// "127.0.0.1" or "::1".
bool endpoint_text(const struct endpoint *e, char *ret, size_t size);

// Asks for e; done is called once, never from within: error NULL when it has a new address, else why not
// (e keeps its old one). One lookup of an endpoint at a time. 0, -ENOMEM.
int resolve_start(struct resolver *r, struct endpoint *e,
    void (*done)(void *ctx, const char *error), void *ctx);
// Makes e the first of the system's name servers, for a while. False: there is none.
bool resolver_server(struct resolver *r, struct endpoint *e);
void resolve_stop(struct endpoint *e); // without done
