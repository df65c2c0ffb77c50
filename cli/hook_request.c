// SPDX-License-Identifier: Apache-2.0
#include "cli/hook_request.h"
#include "base/num.h"
#include <stdint.h>
#include <string.h>
#include <strings.h>

#define CAUSE_MS_MAX 253402300799999 // end of the year 9999

struct head {
    bool has_length, chunked, expects, close, keep;
    uint64_t length;
    int64_t cause_ms;
};

// Whether a header line is `name: value`; the value without blanks around it.
static bool header(
    const char *line, size_t len, const char *name, const char **ret, size_t *ret_len)
{
    size_t n = strlen(name);
    if (len <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
        return false;
    const char *p = line + n + 1, *end = line + len;
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *ret = p;
    *ret_len = (size_t)(end - p);
    return true;
}

static bool same(const char *value, size_t len, const char *word)
{
    return len == strlen(word) && strncasecmp(value, word, len) == 0;
}

// 0 or the negative status.
static long take_header(struct head *h, const char *line, size_t len)
{
    const char *v;
    size_t n;
    if (header(line, len, "Content-Length", &v, &n)) {
        uint64_t length;
        // Two lengths that differ are the classic way to make two readers see two requests.
        if (!num_parse_u64(v, n, &length) || (h->has_length && length != h->length))
            return -400;
        h->has_length = true;
        h->length = length;
        return length > HOOK_BODY_MAX ? -413 : 0;
    }
    if (header(line, len, "Transfer-Encoding", &v, &n))
        h->chunked = true;
    else if (header(line, len, "Expect", &v, &n))
        h->expects = same(v, n, "100-continue");
    else if (header(line, len, "Connection", &v, &n)) {
        h->close |= same(v, n, "close");
        h->keep |= same(v, n, "keep-alive");
    } else if (header(line, len, "Tocsin-Cause-Ms", &v, &n)) {
        // A fact to show, not one to refuse a message for: what is no time is passed over.
        uint64_t ms;
        h->cause_ms = num_parse_u64(v, n, &ms) && ms <= CAUSE_MS_MAX ? (int64_t)ms : 0;
    }
    return 0;
}

// The request line: "METHOD target HTTP/1.x".
static bool request_line(const char *line, size_t len, bool *ret_post, bool *ret_11)
{
    const char *method_end = memchr(line, ' ', len);
    if (!method_end || len < 14 || memchr(line, '\0', len))
        return false;
    const char *version = line + len - 9;
    if (version <= method_end || strncmp(version, " HTTP/1.", 8) != 0)
        return false;
    size_t method = (size_t)(method_end - line);
    *ret_post = same(line, method, "POST") || same(line, method, "PUT");
    *ret_11 = version[8] == '1';
    return version[8] == '0' || version[8] == '1';
}

long hook_request_parse(
    const char *data, size_t len, struct hook_request *ret, bool *ret_expects)
{
    struct head h = {0};
    bool post = false, http11 = false;
    *ret_expects = false;
    const char *end = memmem(data, len < HOOK_HEAD_MAX ? len : HOOK_HEAD_MAX, "\r\n\r\n", 4);
    if (!end)
        return len >= HOOK_HEAD_MAX ? -431 : 0;
    size_t head_len = (size_t)(end - data) + 4;
    bool first = true;
    for (const char *line = data; line < end + 2;) {
        const char *stop = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        size_t n = (size_t)(stop - line);
        long rc = 0;
        if (first && !request_line(line, n, &post, &http11))
            return -400;
        if (!first)
            rc = take_header(&h, line, n);
        if (rc < 0)
            return rc;
        first = false;
        line = stop + 2;
    }
    if (h.chunked)
        return -411;
    if (len - head_len < h.length) {
        *ret_expects = h.expects;
        return 0;
    }
    *ret = (struct hook_request){
        .body = data + head_len,
        .body_len = (size_t)h.length,
        .post = post,
        .keep_alive = http11 ? !h.close : h.keep,
        .cause_ms = h.cause_ms,
    };
    return (long)(head_len + (size_t)h.length);
}
