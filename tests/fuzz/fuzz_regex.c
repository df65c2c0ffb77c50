// SPDX-License-Identifier: Apache-2.0
// links: rules base
/*
 * The bytes up to the first newline are a pattern, the rest is the text. The fast paths and the
 * machine must agree, spans must lie inside the text, and a full match must also be found. Beside
 * RE2, where it is linked (peer_regex.cc): the same patterns are taken, and the same spans found.
 */
#include "base/regex.h"
#include "base/rune.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Not there when old inputs are replayed without a fuzzer.
int regex_peer(const char *pattern, size_t pattern_len, const char *text, size_t len, int whole,
    int *spans, int n) __attribute__((weak));

static bool valid_utf8(const char *s, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t before = at;
        if (rune_decode(s, len, &at) == 0xfffd && at == before + 1)
            return false;
    }
    return true;
}

// What Go's regexp, which Prometheus uses, and RE2 see differently, and what we do not have.
static bool comparable(const char *pattern, size_t len)
{
    static const char *const words[] = {"\\C", "\\p", "\\P", "(?<"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (memmem(pattern, len, words[i], strlen(words[i])))
            return false;
    // RE2 takes letters outside ASCII in the name of a group, Go does not.
    bool ascii = true;
    for (size_t i = 0; i < len; i++)
        ascii &= (signed char)pattern[i] >= 0;
    if (!ascii && memmem(pattern, len, "(?P<", 4))
        return false;
    // A count past 10^8 is too large to Go, and ordinary text to RE2.
    for (size_t i = 0, digits = 0; i < len; i++) {
        digits = pattern[i] >= '0' && pattern[i] <= '9' ? digits + 1 : 0;
        if (digits > 8)
            return false;
    }
    return valid_utf8(pattern, len);
}

static void disagree(const char *what, const char *pattern, size_t len)
{
    fprintf(stderr, "%s: %.*s\n", what, (int)len, pattern);
    abort();
}

static void beside_peer(const char *pattern, size_t len, const char *text, size_t text_len,
    const struct regex *re, bool too_large)
{
    struct regex_span ours[REGEX_GROUPS_MAX];
    int theirs[2 * REGEX_GROUPS_MAX];
    if (!regex_peer || !comparable(pattern, len) || !valid_utf8(text, text_len))
        return;
    for (int whole = 0; whole < 2; whole++) {
        int rc = regex_peer(pattern, len, text, text_len, whole, theirs, REGEX_GROUPS_MAX);
        if (rc == -2 || (!re && too_large))
            return;
        if (rc == -1 && re)
            disagree("RE2 refuses it, we do not", pattern, len);
        if (rc >= 0 && !re)
            disagree("we refuse it, RE2 does not", pattern, len);
        if (rc < 0)
            return;
        size_t n = whole ? regex_captures(re, text, text_len, ours, REGEX_GROUPS_MAX)
                         : regex_search(re, text, text_len, 0, ours, REGEX_GROUPS_MAX);
        if ((rc == 1) != (n > 0))
            disagree(rc ? "only RE2 matches" : "only we match", pattern, len);
        for (size_t i = 0; i < n; i++)
            if (ours[i].start != theirs[2 * i] || ours[i].end != theirs[2 * i + 1])
                disagree("other spans", pattern, len);
    }
}

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
        bool limit = strstr(err.msg, "too ") || strstr(err.msg, "more than");
        beside_peer(pattern, len, text, text_len, NULL, limit);
        return 0;
    }
    beside_peer(pattern, len, text, text_len, re, false);
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
