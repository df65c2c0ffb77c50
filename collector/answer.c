// SPDX-License-Identifier: Apache-2.0
#include "collector/answer.h"
#include "collector/assets.h"
#include <stdbool.h>
#include <string.h>

#define CSP                                                                                    \
    "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; "      \
    "form-action 'self'"

// --- answers -----------------------------------------------------------------------------------

// Takes r over; adds what every answer carries.
enum MHD_Result answer_with(
    struct MHD_Connection *c, int status, const char *type, struct MHD_Response *r)
{
    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(r, "Content-Security-Policy", CSP);
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
    if (status == 401)
        MHD_add_response_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer realm=\"tocsin\"");
    enum MHD_Result rc = MHD_queue_response(c, (unsigned)status, r);
    MHD_destroy_response(r);
    return rc;
}

struct MHD_Response *answer_copied(const char *text)
{
    // MHD copies; it never writes to what it is given.
    union {
        const char *in;
        void *out;
    } bytes = {.in = text};
    return MHD_create_response_from_buffer(strlen(text), bytes.out, MHD_RESPMEM_MUST_COPY);
}

enum MHD_Result answer_text(struct MHD_Connection *c, int status, const char *text)
{
    return answer_with(c, status, TEXT_TYPE, answer_copied(text));
}

enum MHD_Result answer_api_error(
    struct MHD_Connection *c, int status, const char *type, const char *why)
{
    struct buf b;
    buf_init(&b, 4096);
    buf_adds(&b, "{\"status\":\"error\",\"errorType\":\"");
    buf_adds(&b, type);
    buf_adds(&b, "\",\"error\":");
    buf_add_json(&b, why, strlen(why));
    buf_adds(&b, "}");
    enum MHD_Result rc = answer_with(c, status, JSON_TYPE, answer_copied(buf_cstr(&b)));
    buf_done(&b);
    return rc;
}

// The body's memory passes to MHD, which frees it when it is sent.
enum MHD_Result answer_body(
    struct MHD_Connection *c, int status, const char *type, struct buf *b)
{
    if (b->failed || !b->data)
        return answer_text(c, 500, "the answer could not be made\n");
    struct MHD_Response *r =
        MHD_create_response_from_buffer(b->len, b->data, MHD_RESPMEM_MUST_FREE);
    if (!r)
        return MHD_NO;
    buf_init(b, 0);
    return answer_with(c, status, type, r);
}

// --- the page ----------------------------------------------------------------------------------

struct asset {
    const char *path, *type;
    const unsigned char *plain, *plain_end, *gz, *gz_end;
};
static const struct asset assets[] = {
    {"/", HTML_TYPE, asset_index_html, asset_index_html_end, asset_index_html_gz,
        asset_index_html_gz_end},
    {"/app.js", "text/javascript; charset=utf-8", asset_app_js, asset_app_js_end,
        asset_app_js_gz, asset_app_js_gz_end},
    {"/app.css", "text/css; charset=utf-8", asset_app_css, asset_app_css_end, asset_app_css_gz,
        asset_app_css_gz_end},
};

const struct asset *asset_find(const char *path)
{
    for (size_t i = 0; i < sizeof(assets) / sizeof(*assets); i++)
        if (strcmp(path, assets[i].path) == 0)
            return &assets[i];
    return NULL;
}

enum MHD_Result answer_asset(struct MHD_Connection *c, const struct asset *a)
{
    const char *takes =
        MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT_ENCODING);
    bool gzip = takes && strstr(takes, "gzip");
    union {
        const unsigned char *in;
        void *out;
    } bytes = {.in = gzip ? a->gz : a->plain};
    size_t len = (size_t)(gzip ? a->gz_end - a->gz : a->plain_end - a->plain);
    struct MHD_Response *r =
        MHD_create_response_from_buffer(len, bytes.out, MHD_RESPMEM_PERSISTENT);
    if (!r)
        return MHD_NO;
    if (gzip)
        MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
    MHD_add_response_header(r, MHD_HTTP_HEADER_VARY, "Accept-Encoding");
    // index.html names the others with a hash of their content.
    bool hashed = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "v");
    MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL,
        hashed ? "public, max-age=31536000, immutable" : "no-cache");
    return answer_with(c, 200, a->type, r);
}

enum MHD_Result answer_redirect(struct MHD_Connection *c, const char *to, const char *cookie)
{
    struct MHD_Response *r = answer_copied("");
    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, MHD_HTTP_HEADER_LOCATION, to);
    if (cookie)
        MHD_add_response_header(r, MHD_HTTP_HEADER_SET_COOKIE, cookie);
    return answer_with(c, 303, TEXT_TYPE, r);
}
