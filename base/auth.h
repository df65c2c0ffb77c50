// SPDX-License-Identifier: Apache-2.0
/*
 * Who may speak to a port. Two rules, on both ports:
 *
 *   on loopback   no secret is needed, but any page in the user's browser can reach us too, so
 *                 Host must name this machine (or external_url's host: a proxy in front) and
 *                 Origin, when sent, must be the very host asked for. That stops DNS rebinding
 *                 and foreign pages.
 *   elsewhere     a bearer token, compared in constant time, in `Authorization: Bearer T` or, for
 *                 the page and its WebSocket, in the cookie `tocsin_token=T`; Origin as above.
 *                 Until TLS lands such a port must be wanted: `insecure_plaintext: true`.
 *
 * A token set for a loopback port is demanded there too.
 */
#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

struct auth {
    const char *token; // borrowed; NULL = none is demanded
    size_t token_len;
    bool loopback;             // the port is bound to a loopback address
    const char *external_host; // "tocsin.example.com[:port]" of external_url; NULL = none
};

// Header values as sent; NULL = not sent.
struct auth_request {
    const char *host, *origin, *authorization, *cookie;
};

enum auth_verdict {
    AUTH_OK,
    AUTH_NO_HOST,
    AUTH_FOREIGN_HOST,
    AUTH_FOREIGN_ORIGIN,
    AUTH_NO_TOKEN,
    AUTH_BAD_TOKEN
};

enum auth_verdict auth_check(const struct auth *a, const struct auth_request *r);
int auth_status(enum auth_verdict v);         // 200, 400, 403, 401
const char *auth_reason(enum auth_verdict v); // one line for the answer and the log

// May this address be listened on? 0; -EINVAL (no address), -EPERM with what to set.
int auth_policy(const char *key, const char *address, bool has_token, bool insecure_plaintext,
    struct err *err);
// "https://h:1/x" -> "h:1" in ret (cut to size); false when it is not a URL with a host.
bool auth_url_host(const char *url, char *ret, size_t size);
// localhost, 127.x.y.z or [::1], with or without a port.
bool auth_host_loopback(const char *host);
