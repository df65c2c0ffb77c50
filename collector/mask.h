// SPDX-License-Identifier: Apache-2.0
/*
 * Secrets in text that is kept or shown. A message may hold one (PagerDuty's routing key in the body,
 * Telegram's token in the path) and an answer may quote one, so each is covered before it is written:
 *
 *     mask_put     secret -> one byte that no JSON text has, and mask_take puts it back: what is sent
 *                  again is to the byte what was sent, with the secret of today
 *     mask_hide    secret -> ***, for good
 *
 * Pure. 0, -EMSGSIZE, -ENOMEM where a buffer takes the result.
 */
#pragma once
#include "base/buf.h"

#define MASK_BYTE     0x1a // JSON escapes it, so it cannot come from what an alert says
#define MASK_SHORTEST 4    // a shorter secret is none, and would be found everywhere

// -EINVAL: data has the byte already, so it could not be told apart.
int mask_put(const void *data, size_t len, const char *secret, struct buf *out);
int mask_take(const void *data, size_t len, const char *secret, struct buf *out);
// Covers a secret wherever it stands in text, which changes in place. NULL and short ones are passed over.
void mask_hide(char *text, const char *secret);
// As a JSON string, *** for each masked place.
int mask_json(const void *data, size_t len, struct buf *out);
