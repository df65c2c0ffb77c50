// SPDX-License-Identifier: Apache-2.0
#include "base/post_head.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static enum MHD_Result one(
    void *ctx, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct post_head *h = ctx;
    (void)kind;
    if (strcasecmp(key, "Host") == 0)
        h->host = value;
    else if (strcasecmp(key, "Origin") == 0)
        h->origin = value;
    else if (strcasecmp(key, "Authorization") == 0)
        h->authorization = value;
    else if (strcasecmp(key, "Cookie") == 0)
        h->cookie = value;
    else if (strcasecmp(key, "Content-Type") == 0)
        h->type = value;
    else if (strcasecmp(key, "Content-Encoding") == 0)
        h->encoding = value;
    else if (strcasecmp(key, "Transfer-Encoding") == 0)
        h->codings++;
    else if (strcasecmp(key, "Content-Length") == 0) {
        h->lengths++;
        h->length = value;
    }
    return MHD_YES;
}

void post_head_read(struct MHD_Connection *c, struct post_head *ret)
{
    *ret = (struct post_head){0};
    MHD_get_connection_values(c, MHD_HEADER_KIND, one, ret);
}

int post_head_fault(const struct post_head *h, const struct auth *auth, const char **why)
{
    // Two opinions on where the body ends are how a request is smuggled past a proxy; MHD takes both.
    if (h->lengths > 1 || (h->lengths && h->codings) || h->codings > 1) {
        *why = "the length of the body is stated twice";
        return 400;
    }
    struct auth_request a = {h->host, h->origin, h->authorization, h->cookie};
    enum auth_verdict v = auth_check(auth, &a);
    if (v == AUTH_OK)
        return 0;
    *why = auth_reason(v);
    return auth_status(v);
}

bool post_head_type_is(const struct post_head *h, const char *type)
{
    size_t n = strlen(type);
    return h->type && strncasecmp(h->type, type, n) == 0 &&
           (h->type[n] == '\0' || h->type[n] == ';' || h->type[n] == ' ');
}

bool post_head_over(const struct post_head *h, size_t max)
{
    return h->length && strtoull(h->length, NULL, 10) > max;
}
