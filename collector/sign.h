// SPDX-License-Identifier: Apache-2.0
/*
 * Signatures of Standard Webhooks 1.0.0: HMAC-SHA256 over `id.timestamp.body`, in base64. A secret is
 * whsec_ and the base64 of 24 to 64 bytes. Two may live at once, one a line of the file: then a
 * message carries both signatures, and receivers can be moved from one to the other.
 *
 * Pure. sign_keys_wipe when done.
 */
#pragma once
#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

#define SIGN_KEYS_MAX 2
#define SIGN_KEY_MIN  24
#define SIGN_KEY_MAX  64
#define SIGN_TEXT_MAX 128 // "v1,... v1,..."

struct sign_keys {
    uint8_t key[SIGN_KEYS_MAX][SIGN_KEY_MAX];
    size_t len[SIGN_KEYS_MAX];
    size_t n;
};
// The text of a secret file. 0; -EINVAL with err, which never holds the secret.
int sign_keys_parse(const char *text, struct sign_keys *ret, struct err *err);
// The value of the header webhook-signature. 0; -ENOMEM.
int sign_message(const struct sign_keys *k, const char *id, int64_t timestamp_s,
    const void *body, size_t len, char ret[static SIGN_TEXT_MAX]);
void sign_keys_wipe(struct sign_keys *k);
