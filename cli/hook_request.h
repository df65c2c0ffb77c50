// SPDX-License-Identifier: Apache-2.0
/*
 * One HTTP/1.x request at the front of received bytes, as far as a webhook receiver must know it.
 * Pure: bytes in, lengths out, so that any split of the input gives the same result.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOOK_HEAD_MAX (16u << 10)
#define HOOK_BODY_MAX (4u << 20)

struct hook_request {
    const char *body; // inside data
    size_t body_len;
    bool post;        // POST or PUT; else a look of a browser or a health check
    bool keep_alive;  // the sender wants the connection to stay
    int64_t cause_ms; // Tocsin-Cause-Ms: the newest sample behind the message; 0 = not told
};
// Bytes the whole request takes; 0 = not all here yet; negative: refuse with that HTTP status and
// close. While it is 0, *ret_expects says that the sender waits for "100 Continue".
long hook_request_parse(
    const char *data, size_t len, struct hook_request *ret, bool *ret_expects);
