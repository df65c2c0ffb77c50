// SPDX-License-Identifier: Apache-2.0
#include "collector/receiver_wire.h"
#include "base/auth.h"
#include "base/secret.h"
#include "collector/mask.h"
#include "collector/message_text.h"
#include "collector/sign.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define URL_MAX     2048
#define ADDRESS_MAX 320
#define SMTPS_PORT  ":465"

struct receiver_wire {
    const struct integration *i;
    char *url, *key, *password, *credentials;
    char *header;   // Authorization, or NULL
    char *key_json; // the key as a JSON text has it, without quotes
    char *to;       // the URL as it may be shown
    struct sign_keys sign;
    struct curl_slist *headers, *recipients;
    char from[ADDRESS_MAX];
    const struct buf *body;
    size_t sent; // of a mail
    int64_t now_ms;
    struct message_trouble trouble;
};

// The text of the secret, malloc'ed; *ret stays NULL when there is none.
static int read_secret(const struct receiver_secret *s, char **ret, struct err *err)
{
    if (s->file)
        return secret_read(s->file, ret, err);
    *ret = s->text ? strdup(s->text) : NULL;
    if (!s->text || *ret)
        return 0;
    err_set(err, "out of memory");
    return -ENOMEM;
}

static char *joined(const char *a, const char *b, const char *c)
{
    char *s = NULL;
    return asprintf(&s, "%s%s%s", a, b, c) < 0 ? NULL : s;
}

// http://user:secret@host is left to curl; what matters is where it goes.
static int read_url(struct receiver_wire *w, struct err *err)
{
    const struct integration *i = w->i;
    char host[300];
    if (i->kind->mail) {
        const char *at = i->mail.smarthost, *colon = strrchr(at, ':');
        bool tls = colon && strcmp(colon, SMTPS_PORT) == 0;
        w->url = joined(tls ? "smtps://" : "smtp://", at, "/");
        if (w->url && i->mail.hello) {
            char *named = joined(w->url, i->mail.hello, "");
            free(w->url);
            w->url = named;
        }
        return w->url ? 0 : -ENOMEM;
    }
    int rc = read_secret(&i->url, &w->url, err);
    if (rc == 0 && !w->url && !(w->url = strdup(i->kind->url)))
        rc = -ENOMEM;
    if (rc < 0)
        return rc;
    bool tls = strncmp(w->url, "https://", 8) == 0;
    if (strlen(w->url) >= URL_MAX || (!tls && strncmp(w->url, "http://", 7) != 0) ||
        !auth_url_host(w->url, host, sizeof(host))) {
        err_set(err, "%s does not hold an http URL", i->url.file ? i->url.file : "`url`");
        return -EINVAL;
    }
    if (tls || i->insecure || auth_host_loopback(host))
        return 0;
    err_set(err,
        "%s: beyond this machine a URL is https, or `insecure: true` says it need not be",
        i->url.file ? i->url.file : "`url`");
    return -EPERM;
}

static int read_signing(struct receiver_wire *w, struct err *err)
{
    char *text = NULL;
    if (!w->i->secret_file)
        return 0;
    int rc = secret_read(w->i->secret_file, &text, err);
    if (rc == 0 && (rc = sign_keys_parse(text, &w->sign, err)) < 0)
        err_prefix(err, "%s", w->i->secret_file);
    secret_free(text);
    return rc;
}

// "Name <a@b>, c@d": the next address as SMTP wants it, <a@b>. False: none is left.
static bool next_address(const char **list, char ret[static ADDRESS_MAX])
{
    for (const char *at = *list; *(at += strspn(at, ", "));) {
        size_t len = strcspn(at, ",");
        const char *open = memchr(at, '<', len), *from = open ? open + 1 : at;
        size_t n = len - (size_t)(from - at);
        const char *close = memchr(from, '>', n);
        n = close ? (size_t)(close - from) : n;
        while (n && from[n - 1] == ' ')
            n--;
        *list = at += len;
        snprintf(ret, ADDRESS_MAX, "<%.*s>", (int)n, from);
        if (n)
            return true;
    }
    return false;
}

static int read_addresses(struct receiver_wire *w, struct err *err)
{
    const char *to = w->i->mail.to, *from = w->i->mail.from;
    char one[ADDRESS_MAX];
    while (next_address(&to, one)) {
        struct curl_slist *more = curl_slist_append(w->recipients, one);
        if (!more)
            return -ENOMEM;
        w->recipients = more;
    }
    if (w->recipients && next_address(&from, w->from))
        return 0;
    err_set(err, "`to` or `from` has no address");
    return -EINVAL;
}

// What stands between scheme and path, without a user's name and password.
static char *shown_url(const char *url)
{
    const char *host = strstr(url, "://"), *at;
    host = host ? host + 3 : url;
    size_t len = strcspn(host, "/?#");
    at = memrchr(host, '@', len);
    int skip = at ? (int)(at + 1 - host) : 0;
    char *shown = NULL;
    if (asprintf(&shown, "%.*s%.*s/%s", (int)(host - url), url, (int)len - skip, host + skip,
            host[len] && host[len + 1] ? "***" : "") < 0)
        return NULL;
    return shown;
}

// As a JSON text has it, without the quotes.
static char *escaped(const char *text)
{
    struct buf b;
    char *s = NULL;
    buf_init(&b, SECRET_MAX * 6 + 2);
    buf_add_json(&b, text, strlen(text));
    if (!b.failed && b.data) {
        s = strndup((const char *)b.data + 1, b.len - 2);
        explicit_bzero(b.data, b.len);
    }
    buf_done(&b);
    return s;
}

int receiver_wire_open(const struct integration *i, struct receiver_wire **ret, struct err *err)
{
    struct receiver_wire *w = calloc(1, sizeof(*w));
    err_set(err, "out of memory"); // until something better is known
    if (!w)
        return -ENOMEM;
    w->i = i;
    int rc = read_url(w, err);
    if (rc == 0)
        rc = read_secret(&i->key, &w->key, err);
    if (rc == 0)
        rc = read_secret(&i->http.password, &w->password, err);
    if (rc == 0)
        rc = read_secret(&i->http.credentials, &w->credentials, err);
    if (rc == 0)
        rc = read_signing(w, err);
    if (rc == 0 && i->kind->mail)
        rc = read_addresses(w, err);
    const char *scheme = i->http.scheme ? i->http.scheme : "Bearer", *secret = w->credentials;
    if (i->kind->auth && w->key) {
        scheme = i->kind->auth;
        secret = w->key;
    }
    if (rc == 0 && secret) {
        char *start = joined("Authorization: ", scheme, " ");
        w->header = start ? joined(start, secret, "") : NULL;
        free(start);
        rc = w->header ? 0 : -ENOMEM;
    }
    if (rc == 0 &&
        (!(w->to = shown_url(w->url)) || (w->key && !(w->key_json = escaped(w->key)))))
        rc = -ENOMEM;
    if (rc < 0) {
        receiver_wire_close(w);
        return rc;
    }
    *ret = w;
    return 0;
}

void receiver_wire_close(struct receiver_wire *w)
{
    if (!w)
        return;
    secret_free(w->url);
    secret_free(w->key);
    secret_free(w->password);
    secret_free(w->credentials);
    secret_free(w->header);
    secret_free(w->key_json);
    free(w->to);
    sign_keys_wipe(&w->sign);
    curl_slist_free_all(w->headers);
    curl_slist_free_all(w->recipients);
    free(w);
}

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_http(const struct receiver_http *a, const struct receiver_http *b)
{
    return same(a->user, b->user) && same(a->ca_file, b->ca_file) &&
           same(a->cert_file, b->cert_file) && same(a->key_file, b->key_file) &&
           a->insecure_skip_verify == b->insecure_skip_verify;
}

bool receiver_wire_same(const struct receiver_wire *a, const struct receiver_wire *b)
{
    const struct integration *i = a->i, *k = b->i;
    const struct curl_slist *to = a->recipients, *other = b->recipients;
    while (to && other && same(to->data, other->data)) {
        to = to->next;
        other = other->next;
    }
    return i->kind == k->kind && i->get == k->get && !to && !other && same(a->url, b->url) &&
           same(a->key, b->key) && same(a->password, b->password) &&
           same(a->header, b->header) && strcmp(a->from, b->from) == 0 &&
           a->sign.n == b->sign.n && memcmp(&a->sign, &b->sign, sizeof(a->sign)) == 0 &&
           same_http(&i->http, &k->http) && i->timeout_ms == k->timeout_ms &&
           same(i->mail.user, k->mail.user) && i->mail.require_tls == k->mail.require_tls;
}

void receiver_wire_move(struct receiver_wire *w, const struct integration *i)
{
    w->i = i;
}

int receiver_wire_make(
    void *ctx, const struct webhook_message *m, struct buf *body, struct buf *path)
{
    struct receiver_wire *w = ctx;
    struct integration filled;
    struct arena arena;
    arena_init(&arena, 0);
    int rc = message_texts(w->i, m, w->now_ms, &arena, &filled, &w->trouble);
    if (rc == 0)
        rc = w->i->kind->make(&filled, w->key ? w->key : "", m, body, path);
    arena_done(&arena);
    return rc;
}

void receiver_wire_now(struct receiver_wire *w, int64_t wall_ms)
{
    w->now_ms = wall_ms;
    w->trouble = (struct message_trouble){0};
}

const char *receiver_wire_trouble(const struct receiver_wire *w)
{
    return w->trouble.text;
}

// --- what may be kept and shown --------------------------------------------------------------------

int receiver_wire_mask(
    const struct receiver_wire *w, const void *data, size_t len, bool json, struct buf *out)
{
    return mask_put(data, len, json ? w->key_json : w->key, out);
}

int receiver_wire_unmask(
    const struct receiver_wire *w, const void *data, size_t len, bool json, struct buf *out)
{
    return mask_take(data, len, json ? w->key_json : w->key, out);
}

bool receiver_wire_has_key(const struct receiver_wire *w)
{
    return w->key != NULL;
}

void receiver_wire_hide(const struct receiver_wire *w, char *text)
{
    const char *path = strstr(w->url, "://");
    path = path ? strchr(path + 3, '/') : NULL;
    mask_hide(text, w->url);
    // A path of a word is nobody's secret, and an answer may well name it.
    mask_hide(text, path && strlen(path) > 8 ? path : NULL);
    mask_hide(text, w->key);
    mask_hide(text, w->key_json);
    mask_hide(text, w->password);
    mask_hide(text, w->credentials);
}

const char *receiver_wire_to(const struct receiver_wire *w)
{
    return w->to ? w->to : "";
}

// --- what curl is told -----------------------------------------------------------------------------

static size_t read_mail(char *to, size_t size, size_t n, void *ctx)
{
    struct receiver_wire *w = ctx;
    size_t left = w->body->len - w->sent, take = size * n < left ? size * n : left;
    if (take)
        memcpy(to, w->body->data + w->sent, take);
    w->sent += take;
    return take;
}

static void setup_mail(struct receiver_wire *w, CURL *easy)
{
    const struct integration *i = w->i;
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(easy, CURLOPT_URL, w->url);
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, read_mail);
    curl_easy_setopt(easy, CURLOPT_READDATA, w);
    curl_easy_setopt(easy, CURLOPT_MAIL_FROM, w->from);
    curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, w->recipients);
    curl_easy_setopt(
        easy, CURLOPT_USE_SSL, (long)(i->mail.require_tls ? CURLUSESSL_ALL : CURLUSESSL_TRY));
    if (i->mail.user) {
        curl_easy_setopt(easy, CURLOPT_USERNAME, i->mail.user);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, w->key ? w->key : "");
    }
}

static void setup_http(struct receiver_wire *w, CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, w->i->get ? CURLOPT_HTTPGET : CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    if (w->i->http.user) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(easy, CURLOPT_USERNAME, w->i->http.user);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, w->password ? w->password : "");
    }
}

int receiver_wire_setup(struct receiver_wire *w, CURL *easy, struct err *err)
{
    const struct receiver_http *h = &w->i->http;
    CURLcode code = curl_easy_setopt(easy, CURLOPT_URL, w->url);
    if (code != CURLE_OK) {
        err_set(err, "%s", curl_easy_strerror(code));
        return -EINVAL;
    }
    if (w->i->kind->mail)
        setup_mail(w, easy);
    else
        setup_http(w, easy);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)w->i->timeout_ms);
    if (h->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, h->ca_file);
    if (h->cert_file)
        curl_easy_setopt(easy, CURLOPT_SSLCERT, h->cert_file);
    if (h->key_file)
        curl_easy_setopt(easy, CURLOPT_SSLKEY, h->key_file);
    if (h->insecure_skip_verify) {
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    return 0;
}

static bool header(struct receiver_wire *w, const char *line)
{
    struct curl_slist *more = curl_slist_append(w->headers, line);
    if (more)
        w->headers = more;
    return more != NULL;
}

static bool number(struct receiver_wire *w, const char *name, int64_t value)
{
    char line[96];
    snprintf(line, sizeof(line), "%s: %lld", name, (long long)value);
    return header(w, line);
}

static bool named(struct receiver_wire *w, const char *name, const char *value)
{
    char line[SIGN_TEXT_MAX + 64];
    snprintf(line, sizeof(line), "%s: %s", name, value);
    return header(w, line);
}

static bool sign(struct receiver_wire *w, const struct deliver_message *m, int64_t wall_ms)
{
    char text[SIGN_TEXT_MAX];
    if (!named(w, "webhook-id", m->key) || !number(w, "webhook-timestamp", wall_ms / 1000))
        return false;
    return !w->sign.n || (sign_message(&w->sign, m->key, wall_ms / 1000, m->body->data,
                              m->body->len, text) == 0 &&
                             named(w, "webhook-signature", text));
}

static bool try_url(struct receiver_wire *w, CURL *easy, const char *path)
{
    size_t n = strlen(w->url);
    bool slashes = n && w->url[n - 1] == '/' && *path == '/';
    bool none = n && w->url[n - 1] != '/' && *path != '/';
    if (!*path)
        return true;
    char *whole = joined(w->url, none ? "/" : "", path + slashes);
    bool ok = whole && curl_easy_setopt(easy, CURLOPT_URL, whole) == CURLE_OK; // copied
    secret_free(whole);
    return ok;
}

bool receiver_wire_try(struct receiver_wire *w, CURL *easy, const struct deliver_message *m,
    int64_t wall_ms, bool durable)
{
    curl_slist_free_all(w->headers);
    w->headers = NULL;
    w->body = m->body;
    w->sent = 0;
    if (w->i->kind->mail)
        return true;
    if (w->i->get) {
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
        if (w->header && !header(w, w->header))
            return false;
        return curl_easy_setopt(easy, CURLOPT_HTTPHEADER, w->headers) == CURLE_OK;
    }
    // An empty Expect saves the round trip curl would wait for with a larger body.
    bool ok = header(w, "Content-Type: application/json") && header(w, "Expect:");
    ok = ok && named(w, "Idempotency-Key", m->key) && sign(w, m, wall_ms);
    ok = ok && (!w->header || header(w, w->header));
    ok = ok && (durable || header(w, "Tocsin-Durable: false"));
    ok = ok && (!m->fallback_for || named(w, "Tocsin-Fallback-For", m->fallback_for));
    if (m->cause_ms)
        ok = ok && number(w, "Tocsin-Cause-Ms", m->cause_ms) &&
             number(w, "Tocsin-Decided-Ms", m->decided_ms);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, w->headers);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, (const char *)m->body->data);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)m->body->len);
    return ok && try_url(w, easy, m->path);
}

int receiver_wire_status(const struct receiver_wire *w, CURL *easy, CURLcode code)
{
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (!w->i->kind->mail)
        return code == CURLE_OK ? (int)status : 0;
    if (code == CURLE_OK)
        return 200;
    // 5yz is for good, 4yz may pass; a refused login too may pass, once the server is well again.
    return status >= 550 && status < 560 ? 400 : 0;
}
