// SPDX-License-Identifier: Apache-2.0
#include "base/err.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void set(struct err *err, int line, int col, const char *fmt, va_list ap)
    __attribute__((format(printf, 4, 0)));

static void set(struct err *err, int line, int col, const char *fmt, va_list ap)
{
    // Formatted aside first: callers may pass err->msg itself as an argument.
    char msg[sizeof(err->msg)];
    if (vsnprintf(msg, sizeof(msg), fmt, ap) < 0 || msg[0] == '\0')
        snprintf(msg, sizeof(msg), "unknown error");
    err->line = line;
    err->col = col;
    memcpy(err->msg, msg, sizeof(msg));
}

void err_set(struct err *err, const char *fmt, ...)
{
    if (!err)
        return;
    va_list ap;
    va_start(ap, fmt);
    set(err, 0, 0, fmt, ap);
    va_end(ap);
}

void err_at(struct err *err, int line, int col, const char *fmt, ...)
{
    if (!err)
        return;
    va_list ap;
    va_start(ap, fmt);
    set(err, line, col, fmt, ap);
    va_end(ap);
}

// Appends as much of s as fits; returns the new length.
static size_t append(char *msg, size_t size, size_t len, const char *s)
{
    size_t n = strlen(s);
    if (n > size - 1 - len)
        n = size - 1 - len;
    memcpy(msg + len, s, n);
    msg[len + n] = '\0';
    return len + n;
}

void err_prefix(struct err *err, const char *fmt, ...)
{
    if (!err)
        return;
    char msg[sizeof(err->msg)];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof(msg) ? (size_t)n : sizeof(msg) - 1;
    len = append(msg, sizeof(msg), len, ": ");
    append(msg, sizeof(msg), len, err->msg);
    memcpy(err->msg, msg, sizeof(msg));
}
