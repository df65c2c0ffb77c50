// SPDX-License-Identifier: Apache-2.0
// links: rules base
/*
 * The bytes up to the first newline are a pattern, the rest is the text. The fast paths and the
 * machine must agree, spans must lie inside the text, and a full match must also be found.
 */
#include "rules/regex.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *pattern = (const char *)data, *text = "";
    const uint8_t *newline = memchr(data, '\n', size);
    size_t len = newline ? (size_t)(newline - data) : size, text_len = 0;
    struct regex_span spans[REGEX_GROUPS_MAX];
    struct err err = {0};

    if (newline) {
        text = (const char *)newline + 1;
        text_len = size - len - 1;
    }
    // Length times program is the promise; beyond this it only takes the fuzzer's time.
    if (text_len > 500)
        text_len = 500;
    struct regex *re = regex_new(pattern, len, &err);
    if (!re) {
        if (!err.msg[0] || err.col < 0 || (size_t)err.col > len + 1)
            abort();
        return 0;
    }
    size_t n = regex_captures(re, text, text_len, spans, REGEX_GROUPS_MAX);
    if (regex_full_match(re, text, text_len) != (n > 0))
        abort();
    for (size_t i = 0; i < n; i++)
        if (spans[i].start > spans[i].end || spans[i].end > (int)text_len ||
            (spans[i].start < 0) != (spans[i].end < 0))
            abort();
    bool whole = n > 0;
    n = regex_search(re, text, text_len, 0, spans, REGEX_GROUPS_MAX);
    if (whole && (n == 0 || spans[0].start != 0))
        abort();
    if (n) {
        struct buf out;
        buf_init(&out, 1U << 16);
        regex_expand(re, pattern, len, text, spans, n, &out);
        buf_done(&out);
    }
    regex_free(re);
    return 0;
}
