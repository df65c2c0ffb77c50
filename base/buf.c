// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"
#include "base/rune.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 64

void buf_init(struct buf *b, size_t max)
{
    // One byte is kept for the NUL of buf_cstr, so that it cannot overflow.
    *b = (struct buf){.max = max < SIZE_MAX ? max : SIZE_MAX - 1};
}

void buf_done(struct buf *b)
{
    if (!b)
        return;
    free(b->data);
    *b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = 0;
}

// Room for need bytes in all, at most max + 1.
static int grow(struct buf *b, size_t need)
{
    if (need <= b->cap)
        return 0;
    size_t cap = b->cap ? b->cap : FIRST_CAP;
    while (cap < need)
        cap = cap > (b->max + 1) / 2 ? b->max + 1 : cap * 2;
    if (cap > b->max + 1)
        cap = b->max + 1;
    uint8_t *data = realloc(b->data, cap);
    if (!data)
        return -ENOMEM;
    b->data = data;
    b->cap = cap;
    return 0;
}

int buf_reserve(struct buf *b, size_t more)
{
    if (b->failed)
        return b->failed;
    if (more > b->max - b->len)
        b->failed = -EMSGSIZE;
    else
        b->failed = grow(b, b->len + more);
    return b->failed;
}

int buf_add(struct buf *b, const void *data, size_t len)
{
    int rc = buf_reserve(b, len);
    if (rc == 0 && len > 0) {
        memcpy(b->data + b->len, data, len);
        b->len += len;
    }
    return rc;
}

int buf_adds(struct buf *b, const char *s)
{
    return buf_add(b, s, strlen(s));
}

int buf_addc(struct buf *b, char c)
{
    return buf_add(b, &c, 1);
}

int buf_addf(struct buf *b, const char *fmt, ...)
{
    if (b->failed)
        return b->failed;
    char small[256];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(small, sizeof(small), fmt, ap);
    va_end(ap);
    if (n < 0)
        return b->failed = -EINVAL;
    if ((size_t)n < sizeof(small))
        return buf_add(b, small, (size_t)n);
    int rc = buf_reserve(b, (size_t)n);
    if (rc == 0)
        rc = b->failed = grow(b, b->len + (size_t)n + 1); // vsnprintf writes the NUL too
    if (rc < 0)
        return rc;
    va_start(ap, fmt);
    vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
    return 0;
}

void buf_drop(struct buf *b, size_t n)
{
    if (n >= b->len) {
        b->len = 0;
        return;
    }
    if (n == 0)
        return;
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
}

const char *buf_cstr(struct buf *b)
{
    if (grow(b, b->len + 1) < 0)
        return "";
    b->data[b->len] = '\0';
    return (const char *)b->data;
}

int buf_add_stream(struct buf *b, FILE *f)
{
    size_t start = b->len;
    char chunk[4096];
    for (;;) {
        errno = 0;
        size_t n = fread(chunk, 1, sizeof(chunk), f);
        int rc = buf_add(b, chunk, n);
        if (rc == 0 && ferror(f))
            rc = errno ? -errno : -EIO;
        if (rc < 0) {
            b->len = start;
            return rc;
        }
        if (n < sizeof(chunk) && feof(f))
            return 0;
    }
}

int buf_add_path(struct buf *b, const char *path)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return -errno;
    int rc = buf_add_stream(b, f);
    fclose(f);
    return rc;
}

static void add_json_control(struct buf *b, uint8_t c)
{
    switch (c) {
    case '"': buf_adds(b, "\\\""); break;
    case '\\': buf_adds(b, "\\\\"); break;
    case '\n': buf_adds(b, "\\n"); break;
    case '\r': buf_adds(b, "\\r"); break;
    case '\t': buf_adds(b, "\\t"); break;
    default: buf_addf(b, "\\u%04x", c);
    }
}

int buf_add_json(struct buf *b, const char *text, size_t len)
{
    const uint8_t *s = (const uint8_t *)text;
    size_t start = b->len, plain = 0, i = 0;
    buf_addc(b, '"');
    while (i < len) {
        size_t n = s[i] < 0x80 ? 1 : rune_size(text + i, len - i);
        if (n > 1 || (n == 1 && s[i] >= 0x20 && s[i] != '"' && s[i] != '\\' && s[i] != 0x7F)) {
            i += n;
            continue;
        }
        buf_add(b, s + plain, i - plain);
        if (n == 0)
            buf_adds(b, "\xEF\xBF\xBD");
        else
            add_json_control(b, s[i]);
        plain = ++i;
    }
    if (len > 0)
        buf_add(b, s + plain, i - plain);
    buf_addc(b, '"');
    if (b->failed)
        b->len = start;
    return b->failed;
}
