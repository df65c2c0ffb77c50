// SPDX-License-Identifier: Apache-2.0
// PostgreSQL: asked to log in it says how, and what else it says tells whether it is well; that is all a
// probe needs. With a login a connection beside it is kept (probe_session.h) and asked for numbers.
// Source: the protocol's own document.
#include "agent/dialogue.h"
#include "agent/postgres_rows.h"
#include "agent/scram.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

enum { PG_TLS, PG_LOGIN, PG_SCRAM, PG_PROVEN, PG_IN, PG_ROWS };

#define MECHANISM "SCRAM-SHA-256"

static void put_u32(struct buf *b, size_t at, uint32_t v)
{
    for (int i = 0; i < 4 && !b->failed; i++)
        b->data[at + (size_t)i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint32_t u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static const char *user_of(const struct dialogue *d)
{
    return d->words.user ? d->words.user : "tocsin";
}

// A message: its type, its length with itself, what is added until its end.
static size_t message_begin(struct dialogue *d, char type)
{
    size_t at = d->say.len + 1;
    buf_addc(&d->say, type);
    buf_add(&d->say, "\0\0\0\0", 4);
    return at;
}

static void message_end(struct dialogue *d, size_t at)
{
    if (d->say.failed)
        dialogue_fail(d, CLASS_LOCAL, "the login is too long");
    else
        put_u32(&d->say, at, (uint32_t)(d->say.len - at));
}

static void postgres_begin(struct dialogue *d)
{
    static const char MORE[] = "database\0postgres\0application_name\0tocsin\0";
    struct buf *b = &d->say;
    if (d->words.tls && !d->secured) {
        d->step = PG_TLS;
        buf_add(b, "\0\0\0\x08\x04\xd2\x16\x2f", 8); // SSLRequest
        return;
    }
    d->step = PG_LOGIN;
    buf_add(b, "\0\0\0\0\0\3\0\0", 8); // length, version 3.0
    buf_add(b, "user", 5);
    buf_add(b, user_of(d), strlen(user_of(d)) + 1);
    buf_add(b, MORE, sizeof(MORE));
    if (b->failed)
        dialogue_fail(d, CLASS_LOCAL, "the user is too long");
    else
        put_u32(b, 0, (uint32_t)b->len);
}

// --- errors --------------------------------------------------------------------------------------

// Fields of an ErrorResponse: a byte that says which, a text.
static void postgres_error(struct dialogue *d, const uint8_t *data, size_t len)
{
    char state[6] = "";
    const uint8_t *message = NULL;
    size_t message_len = 0;
    while (len && *data) {
        const uint8_t *end = memchr(data, 0, len);
        if (!end)
            break;
        size_t n = (size_t)(end - data);
        if (*data == 'C' && n == 6)
            memcpy(state, data + 1, 5);
        if (*data == 'M') {
            message = data + 1;
            message_len = n - 1;
        }
        data += n + 1;
        len -= n + 1;
    }
    bool login = strncmp(state, "28", 2) == 0 || strncmp(state, "3D", 2) == 0;
    if (strncmp(state, "57P", 3) == 0)
        dialogue_refused(d, CLASS_STARTING, "not ready", message, message_len);
    else if (strncmp(state, "53", 2) == 0)
        dialogue_refused(d, CLASS_OVERLOADED, "full", message, message_len);
    else if (login && !d->kind->resume) {
        d->answered = true; // no such user, no such database: it has looked
        d->state = DIALOGUE_DONE;
    } else if (login || strcmp(state, "42501") == 0)
        dialogue_refused(d, CLASS_LOGIN, "login refused", message, message_len);
    else
        dialogue_refused(d, CLASS_PROTOCOL, "an error", message, message_len);
}

// --- login ---------------------------------------------------------------------------------------

static void nonce_text(const struct dialogue *d, char ret[static 32])
{
    EVP_EncodeBlock((uint8_t *)ret, d->nonce, DIALOGUE_NONCE); // 24 characters
}

static void password_text(struct dialogue *d, const char *text)
{
    size_t at = message_begin(d, 'p');
    buf_add(&d->say, text, strlen(text) + 1);
    message_end(d, at);
}

static bool md5_hex(const char *a, const void *b, size_t b_len, char ret[static 33])
{
    uint8_t digest[16];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestInit_ex(md, EVP_md5(), NULL) &&
              EVP_DigestUpdate(md, a, strlen(a)) && EVP_DigestUpdate(md, b, b_len) &&
              EVP_DigestFinal_ex(md, digest, NULL);
    EVP_MD_CTX_free(md);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(ret + 2 * i, 3, "%02x", digest[i]);
    return ok;
}

// md5(md5(password + user) + salt)
static void say_md5(struct dialogue *d, const char *password, const uint8_t *salt)
{
    char inner[33], text[3 + 33] = "md5";
    const char *user = user_of(d);
    if (md5_hex(password, user, strlen(user), inner) && md5_hex(inner, salt, 4, text + 3))
        password_text(d, text);
    else
        dialogue_fail(d, CLASS_LOCAL, "no MD5 here, which this login needs");
}

static bool offers_scram(const uint8_t *list, size_t len)
{
    for (const uint8_t *end; len && (end = memchr(list, 0, len));
         len -= (size_t)(end - list) + 1, list = end + 1)
        if (strcmp((const char *)list, MECHANISM) == 0)
            return true;
    return false;
}

static void say_scram_first(struct dialogue *d)
{
    char nonce[32];
    nonce_text(d, nonce);
    size_t at = message_begin(d, 'p');
    buf_add(&d->say, MECHANISM, sizeof(MECHANISM));
    size_t len_at = d->say.len;
    buf_add(&d->say, "\0\0\0\0", 4);
    scram_first("", nonce, &d->say);
    put_u32(&d->say, len_at, (uint32_t)(d->say.len - len_at - 4));
    message_end(d, at);
    d->step = PG_SCRAM;
}

static void say_scram_final(
    struct dialogue *d, const char *password, const uint8_t *said, size_t len)
{
    char nonce[32];
    nonce_text(d, nonce);
    size_t at = message_begin(d, 'p');
    const char *fault = scram_final("", nonce, password, said, len, &d->say, d->signature);
    if (fault)
        dialogue_fail(d, CLASS_LOGIN, "%s", fault);
    else
        message_end(d, at);
}

// How it wants to be logged in to; and the steps of that.
static void login(struct dialogue *d, const uint8_t *body, size_t len)
{
    const char *password = d->words.password ? d->words.password : "";
    uint32_t how = len < 4 ? UINT32_MAX : u32(body);
    bool in_scram = d->step == PG_SCRAM;
    if (how == 0 && !in_scram) {
        d->step = PG_IN;
    } else if (how == 3 && !in_scram && (d->secured || d->on_host)) {
        password_text(d, password);
    } else if (how == 3) {
        dialogue_fail(d, CLASS_LOGIN,
            "it wants the password in the clear: that is said over TLS or on this host only");
    } else if (how == 5 && len == 8 && !in_scram) {
        say_md5(d, password, body + 4);
    } else if (how == 10 && !in_scram && offers_scram(body + 4, len - 4)) {
        say_scram_first(d);
    } else if (how == 11 && in_scram) {
        say_scram_final(d, password, body + 4, len - 4);
    } else if (how == 12 && in_scram && scram_proven(body + 4, len - 4, d->signature)) {
        d->step = PG_PROVEN;
    } else if (in_scram) {
        dialogue_fail(d, CLASS_LOGIN, "the server does not prove that it knows the password");
    } else {
        dialogue_fail(d, CLASS_LOGIN, "it wants a way to log in that is not done here");
    }
}

// --- what comes ----------------------------------------------------------------------------------

static void ask(struct dialogue *d)
{
    d->step = PG_ROWS;
    size_t at = message_begin(d, 'Q');
    buf_add(&d->say, POSTGRES_QUESTION, strlen(POSTGRES_QUESTION) + 1);
    message_end(d, at);
}

static void ready(struct dialogue *d)
{
    d->answered = true;
    if (d->step == PG_ROWS)
        d->state = DIALOGUE_RESTS;
    else
        ask(d);
}

static void message(struct dialogue *d, char type, const uint8_t *body, size_t len)
{
    if (type == 'E') {
        postgres_error(d, body, len);
    } else if (type == 'R' && !d->kind->resume) {
        d->answered = true;
        d->state = DIALOGUE_DONE;
        // It is let go without a word when it waits for a password: it would log any other.
        if (len >= 4 && u32(body) == 0)
            dialogue_say(d, "X\0\0\0\4", 5);
    } else if (type == 'R') {
        login(d, body, len);
    } else if (type == 'D' && d->sink) {
        postgres_row(d->sink, body, len);
    } else if (type == 'Z') {
        ready(d);
    }
}

static size_t tls_answer(struct dialogue *d, const uint8_t *data, size_t len)
{
    if (data[0] == 'S')
        d->turns_secure = true;
    else if (data[0] == 'N')
        dialogue_fail(d, CLASS_TLS, "it does not speak TLS");
    else
        dialogue_refused(d, CLASS_PROTOCOL, "not PostgreSQL", data, len);
    return 1;
}

static size_t postgres_hear(struct dialogue *d, const uint8_t *data, size_t len)
{
    // Before the login is through nothing but how to log in, errors and notices.
    bool known = d->step < PG_IN ? memchr("RENv", data[0], 4) != NULL
                                 : memchr("RENSKZTDCIA", data[0], 11) != NULL;
    if (d->turns_secure)
        return 0; // what follows is not of the server: see talk.c
    if (d->step == PG_TLS)
        return tls_answer(d, data, len);
    if (!known) {
        dialogue_refused(d, CLASS_PROTOCOL, "not PostgreSQL", data, len);
        return len;
    }
    if (len < 5)
        return 0;
    uint32_t size = u32(data + 1);
    if (size < 4 || size > DIALOGUE_HEARD_MAX / 2) {
        dialogue_refused(d, CLASS_PROTOCOL, "not PostgreSQL", data, len);
        return len;
    }
    if (len < size + 1)
        return 0;
    message(d, (char)data[0], data + 5, size - 4);
    return size + 1;
}

const struct dialogue_kind DIALOGUE_POSTGRES = {.name = "postgresql",
    .port = 5432,
    .has_login = true,
    .tls = DIALOGUE_TLS_ASKED,
    .begin = postgres_begin,
    .hear = postgres_hear,
    .kept = &DIALOGUE_POSTGRES_KEPT};
const struct dialogue_kind DIALOGUE_POSTGRES_KEPT = {.name = "postgresql",
    .port = 5432,
    .has_login = true,
    .tls = DIALOGUE_TLS_ASKED,
    .wants_nonce = true,
    .begin = postgres_begin,
    .resume = ask,
    .hear = postgres_hear};
