// SPDX-License-Identifier: Apache-2.0
#include "cli/client.h"
#include "base/secret.h"
#include "cli/text.h"
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    return buf_add(ctx, data, size * n) == 0 ? size * n : 0;
}

int client_token(const struct cli *c, char **ret, struct err *err)
{
    *ret = NULL;
    if (!c->token_file || !c->token_file[0])
        return CLI_YES;
    return secret_read(c->token_file, ret, err) < 0 ? CLI_USAGE : CLI_YES;
}

void client_param(struct buf *path, const char *name, const char *value)
{
    bool first = !path->data || !memchr(path->data, '?', path->len);
    buf_addf(path, "%c%s=", first ? '?' : '&', name);
    for (const unsigned char *p = (const unsigned char *)value; *p; p++) {
        bool plain = (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') ||
                     (*p >= 'A' && *p <= 'Z') || strchr("-_.~", *p);
        if (plain)
            buf_addc(path, (char)*p);
        else
            buf_addf(path, "%%%02X", *p);
    }
}

// What a status other than 2xx means.
static int refused(const struct cli *c, long status, const struct buf *body, struct err *err)
{
    cJSON *doc = cJSON_ParseWithLength((const char *)body->data, body->len);
    struct buf text;
    buf_init(&text, sizeof(err->msg));
    text_clean(cJSON_IsString(doc) ? doc->valuestring : json_text(doc, "error"), &text);
    int rc = CLI_NO;
    if (status == 401 || status == 403) {
        err_set(err, "%s: not allowed (HTTP %ld)%s%s%s", c->url, status, text.len ? ": " : "",
            buf_cstr(&text),
            c->token_file ? "" : "; give a token with --token-file or TOCSIN_TOKEN_FILE");
        rc = CLI_DENIED;
    } else if (text.len) {
        err_set(err, "%s", buf_cstr(&text));
        // Busy or starting: asking again later is right, the question was not wrong.
        rc = status == 503 ? CLI_UNREACHABLE : CLI_NO;
    } else {
        err_set(err, "%s: HTTP %ld; is this a collector's address?", c->url, status);
        rc = CLI_UNREACHABLE;
    }
    buf_done(&text);
    cJSON_Delete(doc);
    return rc;
}

struct question {
    const char *method, *path, *body; // body NULL: none
};

static int perform(CURL *h, const struct cli *c, const struct question *q, const char *token,
    struct buf *body, struct err *err)
{
    char why[CURL_ERROR_SIZE] = "";
    struct buf url, header;
    struct curl_slist *headers = NULL;
    buf_init(&url, 1u << 20);
    buf_init(&header, 2 * SECRET_MAX);
    buf_addf(&url, "%s%s", c->url, q->path);
    if (token) {
        buf_addf(&header, "Authorization: Bearer %s", token);
        headers = curl_slist_append(NULL, buf_cstr(&header));
    }
    if (q->body) {
        headers = curl_slist_append(headers, "Content-Type: application/json");
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, q->body);
    }
    if (strcmp(q->method, "GET") != 0)
        curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, q->method);
    curl_easy_setopt(h, CURLOPT_URL, buf_cstr(&url));
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    // A collector is asked directly: a proxy from the environment is for the web.
    curl_easy_setopt(h, CURLOPT_PROXY, "");
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)CLIENT_CONNECT_MS);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)CLIENT_TOTAL_MS);
    curl_easy_setopt(h, CURLOPT_USERAGENT, "tocsin/" TOCSIN_VERSION);
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, body);
    CURLcode code = curl_easy_perform(h);
    long status = 0;
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    buf_done(&url);
    if (header.data)
        explicit_bzero(header.data, header.len);
    buf_done(&header);
    if (body->failed) {
        err_set(
            err, "%s: the answer is over %u MiB: select less", c->url, CLIENT_BODY_MAX >> 20);
        return CLI_NO;
    }
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL) {
        err_set(err, "--url %s: not an http:// or https:// address", c->url);
        return CLI_USAGE;
    }
    if (code != CURLE_OK) {
        err_set(err, "%s: the collector is not reachable: %s", c->url,
            why[0] ? why : curl_easy_strerror(code));
        return CLI_UNREACHABLE;
    }
    return status >= 200 && status < 300 ? CLI_YES : refused(c, status, body, err);
}

// The answer, which is valid until buf_done.
static int ask(const struct cli *c, const struct question *q, struct buf *body, struct err *err)
{
    char *token = NULL;
    buf_init(body, CLIENT_BODY_MAX);
    int rc = client_token(c, &token, err);
    if (rc != CLI_YES)
        return rc;
    CURL *h = curl_easy_init();
    if (h) {
        rc = perform(h, c, q, token, body, err);
    } else {
        err_set(err, "out of memory");
        rc = CLI_UNREACHABLE;
    }
    curl_easy_cleanup(h);
    secret_free(token);
    return rc;
}

static int not_json(const struct cli *c, const char *path, struct err *err)
{
    err_set(err, "%s%s: the answer is not JSON; is this a collector's address?", c->url, path);
    return CLI_UNREACHABLE;
}

int client_send(const struct cli *c, const char *method, const char *path, const char *body,
    cJSON **ret_doc, struct err *err)
{
    struct question q = {method, path, body};
    struct buf answer;
    int rc = ask(c, &q, &answer, err);
    *ret_doc = NULL;
    if (rc == CLI_YES && answer.len) {
        *ret_doc = cJSON_ParseWithLength((const char *)answer.data, answer.len);
        if (!*ret_doc)
            rc = not_json(c, path, err);
    }
    buf_done(&answer);
    return rc;
}

int client_get(
    const struct cli *c, const char *path, cJSON **ret_doc, const cJSON **ret, struct err *err)
{
    cJSON *doc;
    int rc = client_send(c, "GET", path, NULL, &doc, err);
    if (rc != CLI_YES)
        return rc;
    if (!cJSON_IsObject(doc)) {
        cJSON_Delete(doc);
        return not_json(c, path, err);
    }
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(doc, "data");
    *ret_doc = doc;
    *ret = data ? data : doc;
    return CLI_YES;
}

const char *json_text(const cJSON *o, const char *name)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);
    return cJSON_IsString(v) ? v->valuestring : "";
}

double json_number(const cJSON *o, const char *name)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);
    return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

static bool skipped(const char *name, const char *const *skip)
{
    for (; skip && *skip; skip++)
        if (strcmp(*skip, name) == 0)
            return true;
    return false;
}

// The smallest name after `after`: label sets are short, and the order must not be the sender's.
static const cJSON *next_label(const cJSON *labels, const char *after)
{
    const cJSON *best = NULL, *l;
    cJSON_ArrayForEach(l, labels)
    {
        if (!l->string || !cJSON_IsString(l) || (after && strcmp(l->string, after) <= 0))
            continue;
        if (!best || strcmp(l->string, best->string) < 0)
            best = l;
    }
    return best;
}

void json_labels(const cJSON *labels, const char *const *skip, struct buf *out)
{
    bool first = true;
    buf_addc(out, '{');
    for (const cJSON *l = next_label(labels, NULL); l; l = next_label(labels, l->string)) {
        if (skipped(l->string, skip))
            continue;
        buf_addf(out, "%s%s=", first ? "" : ", ", l->string);
        buf_add_json(out, l->valuestring, strlen(l->valuestring));
        first = false;
    }
    buf_addc(out, '}');
}
