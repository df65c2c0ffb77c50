// SPDX-License-Identifier: Apache-2.0
/*
 * One question to a collector's HTTP API. The answer is bounded in size and time; what comes back
 * is an exit code, because that is what every verb does with a failure.
 */
#pragma once
#include "base/buf.h"
#include "cli/verb.h"
#include <cjson/cJSON.h>

#define CLIENT_BODY_MAX   (64u << 20)
#define CLIENT_CONNECT_MS 3000
#define CLIENT_TOTAL_MS   15000 // the collector itself answers or gives up within 10 s

// GET url+path and parse. CLI_YES: *ret is the "data" of a success, or the whole answer when it
// is not wrapped; *ret_doc owns it (cJSON_Delete). Otherwise err says why: CLI_UNREACHABLE (no
// answer, or not an answer of a collector), CLI_DENIED (401, 403), CLI_NO (the collector refused
// the question, e.g. a query with a mistake).
int client_get(
    const struct cli *c, const char *path, cJSON **ret_doc, const cJSON **ret, struct err *err);
// Any method, with a JSON body or none; whatever JSON comes back, NULL when nothing does.
int client_send(const struct cli *c, const char *method, const char *path, const char *body,
    cJSON **ret_doc, struct err *err);
// "?name=" or "&name=" and the value, percent-encoded.
void client_param(struct buf *path, const char *name, const char *value);

// The token of --token-file, NULL when there is none. CLI_USAGE and err when it cannot be read.
int client_token(const struct cli *c, char **ret, struct err *err); // secret_free
// "" and 0 for what is missing or of another type.
const char *json_text(const cJSON *o, const char *name);
double json_number(const cJSON *o, const char *name);
// {a="b", c="d"}, leaving out the names in skip (NULL-ended; NULL = none), sorted by name.
void json_labels(const cJSON *labels, const char *const *skip, struct buf *out);
