// SPDX-License-Identifier: Apache-2.0
/* A piece of somebody else's text: no NUL at its end, valid as long as that text. A value. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
    const char *at;
    size_t len;
};

static inline bool span_is(struct span s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.at, text, s.len) == 0;
}

static inline bool span_begins(struct span s, const char *text)
{
    size_t n = strlen(text);
    return s.len >= n && memcmp(s.at, text, n) == 0;
}
