// SPDX-License-Identifier: Apache-2.0
#include "collector/mask.h"
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define STARS "***"

static bool is_secret(const char *secret)
{
    return secret && strlen(secret) >= MASK_SHORTEST;
}

int mask_put(const void *data, size_t len, const char *secret, struct buf *out)
{
    const uint8_t *at = data, *end = at ? at + len : at, *found;
    if (len && memchr(data, MASK_BYTE, len))
        return -EINVAL;
    size_t n = is_secret(secret) ? strlen(secret) : 0;
    while (n && at < end && (found = memmem(at, (size_t)(end - at), secret, n))) {
        buf_add(out, at, (size_t)(found - at));
        buf_addc(out, MASK_BYTE);
        at = found + n;
    }
    buf_add(out, at, (size_t)(end - at));
    return out->failed;
}

int mask_take(const void *data, size_t len, const char *secret, struct buf *out)
{
    const uint8_t *at = data, *end = at ? at + len : at, *found;
    while (at < end && (found = memchr(at, MASK_BYTE, (size_t)(end - at)))) {
        buf_add(out, at, (size_t)(found - at));
        buf_adds(out, secret ? secret : "");
        at = found + 1;
    }
    buf_add(out, at, (size_t)(end - at));
    return out->failed;
}

void mask_hide(char *text, const char *secret)
{
    char *found;
    if (!is_secret(secret))
        return;
    size_t n = strlen(secret);
    while ((found = strstr(text, secret))) {
        memcpy(found, STARS, sizeof(STARS) - 1);
        memmove(found + sizeof(STARS) - 1, found + n, strlen(found + n) + 1);
        text = found + sizeof(STARS) - 1;
    }
}

int mask_json(const void *data, size_t len, struct buf *out)
{
    struct buf shown;
    buf_init(&shown, len * 4 + 64);
    int rc = mask_take(data, len, STARS, &shown);
    if (rc == 0)
        rc = buf_add_json(out, (const char *)shown.data, shown.len);
    buf_done(&shown);
    return rc;
}
