// SPDX-License-Identifier: Apache-2.0
/*
 * The head of a request that brings a body, read and judged before the body is taken: what is the same
 * wherever bodies come in. Pointers live as long as the request.
 */
#pragma once
#include "base/auth.h"
#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

struct post_head {
    const char *host, *origin, *authorization, *cookie, *type, *encoding, *length; // NULL: none
    int lengths, codings; // how often Content-Length and Transfer-Encoding stand there
};

void post_head_read(struct MHD_Connection *c, struct post_head *ret);
// What refuses it whatever it is about: a length that is stated twice (400), or who speaks (auth_status).
// 0 = nothing; else the status, with why for a person.
int post_head_fault(const struct post_head *h, const struct auth *auth, const char **why);
bool post_head_type_is(const struct post_head *h, const char *type); // parameters aside
bool post_head_over(const struct post_head *h, size_t max); // it says to bring more bytes
