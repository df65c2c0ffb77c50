// SPDX-License-Identifier: Apache-2.0
/*
 * What the ui port answers: texts, JSON errors as Prometheus's clients expect them, bodies made by
 * the shard, the embedded page. Every answer carries the same security headers. Call these in a
 * call of the handler after its first one. MHD_NO: out of memory, the connection is closed.
 */
#pragma once
#include "base/buf.h"
#include <microhttpd.h>

#define JSON_TYPE "application/json"
#define TEXT_TYPE "text/plain; charset=utf-8"
#define HTML_TYPE "text/html; charset=utf-8"

// Takes r over (NULL allowed: MHD_NO) and adds what every answer carries.
enum MHD_Result answer_with(
    struct MHD_Connection *c, int status, const char *type, struct MHD_Response *r);
struct MHD_Response *answer_copied(const char *text);
enum MHD_Result answer_text(struct MHD_Connection *c, int status, const char *text);
enum MHD_Result answer_api_error(
    struct MHD_Connection *c, int status, const char *type, const char *why);
// The body's memory passes to MHD; b is empty afterwards.
enum MHD_Result answer_body(
    struct MHD_Connection *c, int status, const char *type, struct buf *b);
enum MHD_Result answer_redirect(struct MHD_Connection *c, const char *to, const char *cookie);

// A file of the page, by path; NULL = there is none. gzip where the browser takes it.
struct asset;
const struct asset *asset_find(const char *path);
enum MHD_Result answer_asset(struct MHD_Connection *c, const struct asset *a);
