// SPDX-License-Identifier: Apache-2.0
#include "agent/secure.h"
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PIECE 16384 // the longest TLS record

struct secure_trust {
    SSL_CTX *ctx;
};

struct secure {
    SSL *ssl;
    BIO *in, *out; // of ssl
    bool ended;
    double expiry;
};

// --- trust ---------------------------------------------------------------------------------------

int secure_trust_new(const char *ca_file, struct secure_trust **ret, struct err *err)
{
    struct secure_trust *t = calloc(1, sizeof(*t));
    ERR_clear_error();
    if (t)
        t->ctx = SSL_CTX_new(TLS_client_method());
    if (!t || !t->ctx) {
        secure_trust_free(t);
        err_set(err, "out of memory");
        return -ENOMEM;
    }
    SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(t->ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
    // A resumed session would not show its certificate.
    SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
    // The system's are looked up by name when they are needed, not read as a whole.
    int ok = ca_file ? SSL_CTX_load_verify_file(t->ctx, ca_file)
                     : SSL_CTX_set_default_verify_paths(t->ctx);
    if (!ok) {
        const char *why = ERR_reason_error_string(ERR_peek_last_error());
        err_set(err, "%s: %s", ca_file ? ca_file : "the system's certificates",
            why ? why : "no certificate in it");
        ERR_clear_error();
        secure_trust_free(t);
        return -EINVAL;
    }
    *ret = t;
    return 0;
}

void secure_trust_free(struct secure_trust *t)
{
    if (t)
        SSL_CTX_free(t->ctx);
    free(t);
}

// --- a session -----------------------------------------------------------------------------------

static bool expect_name(SSL *ssl, const char *name)
{
    struct in6_addr room;
    bool address =
        inet_pton(AF_INET, name, &room) == 1 || inet_pton(AF_INET6, name, &room) == 1;
    if (address)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name);
    return SSL_set1_host(ssl, name) && SSL_set_tlsext_host_name(ssl, name);
}

struct secure *secure_new(struct secure_trust *t, const char *name)
{
    struct secure *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->ssl = SSL_new(t->ctx);
    s->in = BIO_new(BIO_s_mem());
    s->out = BIO_new(BIO_s_mem());
    if (!s->ssl || !s->in || !s->out) {
        BIO_free(s->in);
        BIO_free(s->out);
        SSL_free(s->ssl);
        free(s);
        return NULL;
    }
    SSL_set_bio(s->ssl, s->in, s->out); // theirs from here on
    SSL_set_connect_state(s->ssl);
    if (expect_name(s->ssl, name))
        return s;
    secure_free(s);
    return NULL;
}

void secure_free(struct secure *s)
{
    if (s)
        SSL_free(s->ssl);
    free(s);
}

bool secure_open(const struct secure *s)
{
    return SSL_is_init_finished(s->ssl);
}

bool secure_ended(const struct secure *s)
{
    return s->ended;
}

double secure_expiry(const struct secure *s)
{
    return s->expiry;
}

static void note_expiry(struct secure *s)
{
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(s->ssl);
    for (int i = 0; chain && i < sk_X509_num(chain); i++) {
        struct tm tm;
        if (!ASN1_TIME_to_tm(X509_get0_notAfter(sk_X509_value(chain, i)), &tm))
            continue;
        double at = (double)timegm(&tm);
        if (s->expiry == 0 || at < s->expiry)
            s->expiry = at;
    }
}

static int fail(struct secure *s, struct secure_fault *fault)
{
    long verdict = SSL_get_verify_result(s->ssl);
    const char *why = ERR_reason_error_string(ERR_peek_error());
    if (verdict != X509_V_OK) {
        fault->class = CLASS_CERTIFICATE;
        snprintf(fault->text, sizeof(fault->text), "certificate: %s",
            X509_verify_cert_error_string(verdict));
    } else {
        fault->class = CLASS_TLS;
        snprintf(fault->text, sizeof(fault->text), "no TLS: %s", why ? why : "unknown error");
    }
    ERR_clear_error();
    return -EPROTO;
}

static int no_memory(struct secure_fault *fault)
{
    *fault = (struct secure_fault){.class = CLASS_LOCAL, .text = "out of memory"};
    return -ENOMEM;
}

static int drain(struct secure *s, struct buf *out, struct secure_fault *fault)
{
    char *data;
    long n = BIO_get_mem_data(s->out, &data);
    if (n > 0 && buf_add(out, data, (size_t)n) < 0)
        return no_memory(fault);
    (void)BIO_reset(s->out);
    return 0;
}

// An alert that says why leaves with what failed.
static int shake(struct secure *s, struct buf *out, struct secure_fault *fault)
{
    ERR_clear_error();
    int rc = SSL_do_handshake(s->ssl);
    int error = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(s->ssl, rc);
    if (s->expiry == 0)
        note_expiry(s);
    if (error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ) {
        rc = fail(s, fault);
        (void)drain(s, out, &(struct secure_fault){0});
        return rc;
    }
    return drain(s, out, fault);
}

int secure_begin(struct secure *s, struct buf *out, struct secure_fault *fault)
{
    return shake(s, out, fault);
}

// What is in the records that are whole.
static int read_on(struct secure *s, struct buf *plain, struct secure_fault *fault)
{
    for (;;) {
        uint8_t data[PIECE];
        ERR_clear_error();
        int n = SSL_read(s->ssl, data, sizeof(data));
        if (n > 0) {
            if (buf_add(plain, data, (size_t)n) == -ENOMEM)
                return no_memory(fault);
            continue; // too long is the dialogue's to tell: plain->failed
        }
        int error = SSL_get_error(s->ssl, n);
        if (error == SSL_ERROR_ZERO_RETURN)
            s->ended = true;
        if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_ZERO_RETURN)
            return 0;
        return fail(s, fault);
    }
}

int secure_hear(struct secure *s, const uint8_t *data, size_t len, struct buf *plain,
    struct buf *out, struct secure_fault *fault)
{
    if (len && BIO_write(s->in, data, (int)len) != (int)len)
        return no_memory(fault);
    if (!secure_open(s)) {
        int rc = shake(s, out, fault);
        if (rc < 0 || !secure_open(s))
            return rc;
    }
    int rc = read_on(s, plain, fault);
    return rc < 0 ? rc : drain(s, out, fault);
}

int secure_say(struct secure *s, struct buf *plain, struct buf *out, struct secure_fault *fault)
{
    while (plain->len) {
        ERR_clear_error();
        int n = SSL_write(s->ssl, plain->data, (int)plain->len);
        if (n <= 0)
            return fail(s, fault);
        buf_drop(plain, (size_t)n);
    }
    return drain(s, out, fault);
}

void secure_goodbye(struct secure *s, struct buf *out)
{
    if (!secure_open(s))
        return;
    ERR_clear_error();
    SSL_shutdown(s->ssl);
    ERR_clear_error();
    (void)drain(s, out, &(struct secure_fault){0});
}
