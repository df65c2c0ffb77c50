// SPDX-License-Identifier: Apache-2.0
// Mail, as RFC 5322 wants it: a head, and text in base64, plain, with HTML beside it if asked for. libcurl speaks SMTP (receiver_wire.c).
#include "collector/receiver.h"
#include "collector/receiver_text.h"
#include <cjson/cJSON.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define SUBJECT_MAX 200
#define TEXT_MAX    200000
#define LINE_BYTES  57 // 76 characters of base64
#define WORD_BYTES  42 // of an encoded word, which is at most 75 characters

static bool ascii(const char *s)
{
    for (; *s; s++)
        if (*s < ' ' || *s > '~')
            return false;
    return true;
}

static void add_base64(const void *data, size_t len, struct buf *out)
{
    unsigned char text[LINE_BYTES / 3 * 4 + 4];
    EVP_EncodeBlock(text, data, (int)len);
    buf_adds(out, (const char *)text);
}

// Letters beyond ASCII as encoded words of RFC 2047, none of which cuts a character.
static void add_subject(const char *s, struct buf *out)
{
    buf_adds(out, "Subject: ");
    if (ascii(s) && strlen(s) <= SUBJECT_MAX) {
        buf_adds(out, s);
    } else {
        for (size_t len = strlen(s), at = 0; at < len;) {
            size_t n = len - at < WORD_BYTES ? len - at : WORD_BYTES;
            while (n > 1 && at + n < len && ((unsigned char)s[at + n] & 0xC0) == 0x80)
                n--;
            buf_adds(out, at ? "\r\n =?utf-8?B?" : "=?utf-8?B?");
            add_base64(s + at, n, out);
            buf_adds(out, "?=");
            at += n;
        }
    }
    buf_adds(out, "\r\n");
}

// As configured; a line break would begin another header.
static void add_addresses(const char *name, const char *list, struct buf *out)
{
    buf_addf(out, "%s: ", name);
    for (const char *c = list; *c; c++)
        buf_addc(out, (unsigned char)*c < ' ' ? ' ' : *c);
    buf_adds(out, "\r\n");
}

static void add_date(int64_t ms, struct buf *out)
{
    static const char *const DAYS[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const MONTHS[] = {
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t t = (time_t)(ms / 1000);
    struct tm tm;
    if (gmtime_r(&t, &tm))
        buf_addf(out, "Date: %s, %02d %s %04d %02d:%02d:%02d +0000\r\n", DAYS[tm.tm_wday],
            tm.tm_mday, MONTHS[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

// --- what the configuration says of headers ----------------------------------------------------
static bool ours(const char *name)
{
    static const char *const NAMES[] = {"Date", "Message-ID", "MIME-Version", "Content-Type",
        "Content-Transfer-Encoding", "Bcc"};
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
        if (strcasecmp(NAMES[i], name) == 0)
            return true;
    return false;
}

static bool header_name(const char *s)
{
    return *s && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") ==
                     strlen(s);
}

static const char *header(const cJSON *headers, const char *name)
{
    for (const cJSON *x = headers ? headers->child : NULL; x; x = x->next)
        if (strcasecmp(x->string, name) == 0)
            return cJSON_GetStringValue(x);
    return NULL;
}

// Those that stand nowhere else.
static void add_headers(const cJSON *headers, struct buf *body)
{
    for (const cJSON *x = headers ? headers->child : NULL; x; x = x->next) {
        const char *value = cJSON_GetStringValue(x);
        if (value && header_name(x->string) && !ours(x->string) &&
            strcasecmp(x->string, "From") != 0 && strcasecmp(x->string, "To") != 0 &&
            strcasecmp(x->string, "Subject") != 0)
            add_addresses(x->string, value, body);
    }
}

// --- bodies --------------------------------------------------------------------------------------
static void add_part(const char *type, const struct buf *text, struct buf *body)
{
    buf_addf(body,
        "Content-Type: text/%s; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n",
        type);
    for (size_t at = 0; at < text->len; at += LINE_BYTES) {
        add_base64(
            text->data + at, text->len - at < LINE_BYTES ? text->len - at : LINE_BYTES, body);
        buf_adds(body, "\r\n");
    }
}

// What a reader without HTML sees, and the HTML if there is any.
static void add_bodies(
    const struct integration *i, const struct webhook_message *m, struct buf *body)
{
    struct buf text;
    bool html = i->mail.html && *i->mail.html;
    buf_init(&text, 1u << 20);
    if (i->text && *i->text) {
        buf_adds(&text, i->text);
    } else {
        text_alerts(m, TEXT_PLAIN, TEXT_MAX, &text);
        buf_addf(&text, "\n\n%s\n", m->external_url);
    }
    if (html)
        buf_addf(body,
            "Content-Type: multipart/alternative; boundary=\"=_%s\"\r\n\r\n--=_%s\r\n",
            m->delivery_key, m->delivery_key);
    add_part("plain", &text, body);
    if (html) {
        buf_reset(&text);
        buf_adds(&text, i->mail.html);
        buf_addf(body, "--=_%s\r\n", m->delivery_key);
        add_part("html", &text, body);
        buf_addf(body, "--=_%s--\r\n", m->delivery_key);
    }
    body->failed = body->failed ? body->failed : text.failed;
    buf_done(&text);
}

static int make(const struct integration *i, const char *key, const struct webhook_message *m,
    struct buf *body, struct buf *path)
{
    struct buf text;
    int64_t newest = 0;
    (void)key;
    (void)path;
    cJSON *headers = i->mail.headers ? cJSON_Parse(i->mail.headers) : NULL;
    const char *from = header(headers, "From"), *to = header(headers, "To"),
               *subject = i->mail.subject ? i->mail.subject : header(headers, "Subject");
    buf_init(&text, 1u << 20);
    for (size_t k = 0; k < m->n; k++)
        newest = m->alerts[k].decided_ms > newest ? m->alerts[k].decided_ms : newest;
    add_addresses("From", from ? from : i->mail.from, body);
    add_addresses("To", to ? to : i->mail.to, body);
    if (subject)
        text_add(subject, TEXT_PLAIN, SUBJECT_MAX, &text);
    else
        text_title(m, SUBJECT_MAX, &text);
    for (size_t k = 0; k < text.len; k++) // a label must not write a header
        if (text.data[k] < ' ' || text.data[k] == 0x7F)
            text.data[k] = ' ';
    add_subject(buf_cstr(&text), body);
    add_headers(headers, body);
    if (newest)
        add_date(newest, body);
    buf_addf(body,
        "Message-ID: <%s@tocsin>\r\nMIME-Version: 1.0\r\nAuto-Submitted: auto-generated\r\n",
        m->delivery_key);
    add_bodies(i, m, body);
    int rc = text.failed ? text.failed : body->failed;
    buf_done(&text);
    cJSON_Delete(headers);
    return rc;
}

static const struct receiver_field FIELDS[] = {
    {"to", NULL, RECEIVER_FIXED, offsetof(struct integration, mail.to), true, NULL, NULL},
    {"from", "smtp_from", RECEIVER_FIXED, offsetof(struct integration, mail.from), true, NULL,
        NULL},
    {"smarthost", "smtp_smarthost", RECEIVER_FIXED,
        offsetof(struct integration, mail.smarthost), true, NULL, NULL},
    {"hello", "smtp_hello", RECEIVER_FIXED, offsetof(struct integration, mail.hello), false,
        NULL, NULL},
    {"auth_username", "smtp_auth_username", RECEIVER_FIXED,
        offsetof(struct integration, mail.user), false, NULL, NULL},
    {"auth_password", "smtp_auth_password", RECEIVER_SECRET, offsetof(struct integration, key),
        false, NULL, NULL},
    {"require_tls", "smtp_require_tls", RECEIVER_BOOL,
        offsetof(struct integration, mail.require_tls), false, NULL, NULL},
    {"subject", NULL, RECEIVER_TEXT, offsetof(struct integration, mail.subject), false,
        "email.default.subject", NULL},
    {"headers", NULL, RECEIVER_MAP, offsetof(struct integration, mail.headers), false, NULL,
        NULL},
    {"html", NULL, RECEIVER_HTML, offsetof(struct integration, mail.html), false,
        "email.default.html", NULL},
    {"text", NULL, RECEIVER_TEXT, offsetof(struct integration, text), false, NULL, NULL},
    {0},
};
static const char *const NOT_YET[] = {"auth_secret", "auth_secret_file", "auth_identity", NULL};

const struct receiver_kind RECEIVER_EMAIL = {.name = "email",
    .key = "email_configs",
    .mail = true,
    .fields = FIELDS,
    .not_yet = NOT_YET,
    .make = make};
