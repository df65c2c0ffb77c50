// SPDX-License-Identifier: Apache-2.0
// TLS against OpenSSL's own server side, without a socket: bytes are carried by hand, in pieces.
#include "agent/secure.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY (24L * 3600)

static struct world {
    EVP_PKEY *key;
    X509 *cert;
    char ca_file[256];
    SSL_CTX *ctx; // of the server
    SSL *ssl;
    BIO *in, *out;
    struct secure_trust *trust;
    struct secure *secure;
    struct buf plain, say;
    struct secure_fault fault;
} w;

// Of itself, for `name`, from and to in seconds from now.
static void make_certificate(const char *name, long from, long to)
{
    char alt[128];
    w.key = EVP_EC_gen("P-256");
    w.cert = X509_new();
    snprintf(alt, sizeof(alt), "%s", name);
    X509_set_version(w.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(w.cert), 7);
    X509_gmtime_adj(X509_getm_notBefore(w.cert), from);
    X509_gmtime_adj(X509_getm_notAfter(w.cert), to);
    X509_set_pubkey(w.cert, w.key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(w.cert), "CN", MBSTRING_ASC,
        (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(w.cert, X509_get_subject_name(w.cert));
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alt);
    X509_add_ext(w.cert, e, -1);
    X509_EXTENSION_free(e);
    CU_ASSERT_TRUE(X509_sign(w.cert, w.key, EVP_sha256()) > 0);
    snprintf(w.ca_file, sizeof(w.ca_file), "%s/ca.pem", test_tmpdir());
    FILE *f = fopen(w.ca_file, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    PEM_write_X509(f, w.cert);
    fclose(f);
}

static void open_world(const char *alt, long from, long to, const char *name, bool trusted)
{
    memset(&w, 0, sizeof(w));
    buf_init(&w.plain, 1u << 20);
    buf_init(&w.say, 1u << 20);
    make_certificate(alt, from, to);
    w.ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(w.ctx, w.cert);
    SSL_CTX_use_PrivateKey(w.ctx, w.key);
    w.ssl = SSL_new(w.ctx);
    w.in = BIO_new(BIO_s_mem());
    w.out = BIO_new(BIO_s_mem());
    SSL_set_bio(w.ssl, w.in, w.out);
    SSL_set_accept_state(w.ssl);
    struct err err;
    CU_ASSERT_EQUAL_FATAL(secure_trust_new(trusted ? w.ca_file : NULL, &w.trust, &err), 0);
    w.secure = secure_new(w.trust, name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w.secure);
}

static void close_world(void)
{
    secure_free(w.secure);
    secure_trust_free(w.trust);
    SSL_free(w.ssl);
    SSL_CTX_free(w.ctx);
    X509_free(w.cert);
    EVP_PKEY_free(w.key);
    buf_done(&w.plain);
    buf_done(&w.say);
    ERR_clear_error();
}

// What each says is carried to the other, ours in pieces; until neither says any more. -errno of ours.
static int carry(size_t piece)
{
    for (;;) {
        char data[65536];
        if (w.say.len) {
            BIO_write(w.in, w.say.data, (int)w.say.len);
            buf_reset(&w.say);
        }
        if (!SSL_is_init_finished(w.ssl))
            SSL_do_handshake(w.ssl);
        int n = BIO_read(w.out, data, sizeof(data));
        if (n <= 0 && !w.say.len)
            return 0;
        for (int at = 0; at < n; at += (int)piece) {
            size_t len = (size_t)(n - at) < piece ? (size_t)(n - at) : piece;
            int rc =
                secure_hear(w.secure, (uint8_t *)data + at, len, &w.plain, &w.say, &w.fault);
            if (rc < 0)
                return rc;
        }
    }
}

static int shake(size_t piece)
{
    int rc = secure_begin(w.secure, &w.say, &w.fault);
    return rc < 0 ? rc : carry(piece);
}

static void speaks_both_ways_in_any_pieces(void)
{
    for (size_t piece = 1; piece < 5000; piece = piece * 7 + 1) {
        char heard[32] = "";
        struct buf words;
        open_world("DNS:shop.test", -DAY, DAY, "shop.test", true);
        CU_ASSERT_EQUAL(shake(piece), 0);
        CU_ASSERT_TRUE(secure_open(w.secure));
        CU_ASSERT_DOUBLE_EQUAL(secure_expiry(w.secure), (double)(time(NULL) + DAY), 5);
        buf_init(&words, 100);
        buf_adds(&words, "PING\r\n");
        CU_ASSERT_EQUAL(secure_say(w.secure, &words, &w.say, &w.fault), 0);
        CU_ASSERT_EQUAL(words.len, 0);
        buf_done(&words);
        CU_ASSERT_EQUAL(carry(piece), 0);
        CU_ASSERT_EQUAL(SSL_read(w.ssl, heard, sizeof(heard)), 6);
        CU_ASSERT_STRING_EQUAL(heard, "PING\r\n");
        SSL_write(w.ssl, "+PONG\r\n", 7);
        CU_ASSERT_EQUAL(carry(piece), 0);
        CU_ASSERT_STRING_EQUAL(buf_cstr(&w.plain), "+PONG\r\n");
        CU_ASSERT_FALSE(secure_ended(w.secure));
        SSL_shutdown(w.ssl);
        CU_ASSERT_EQUAL(carry(piece), 0);
        CU_ASSERT_TRUE(secure_ended(w.secure));
        close_world();
    }
}

static void a_certificate_is_judged(void)
{
    static const struct {
        const char *alt, *name;
        long from, to;
        bool trusted;
        const char *fault; // NULL: none
    } CASES[] = {
        {"DNS:shop.test", "shop.test", -DAY, DAY, true, NULL},
        {"DNS:*.shop.test", "a.shop.test", -DAY, DAY, true, NULL},
        {"IP:127.0.0.1", "127.0.0.1", -DAY, DAY, true, NULL},
        {"IP:0:0:0:0:0:0:0:1", "::1", -DAY, DAY, true, NULL},
        {"DNS:shop.test", "shop.test", -2 * DAY, -DAY, true, "expired"},
        {"DNS:shop.test", "shop.test", DAY, 2 * DAY, true, "not yet valid"},
        {"DNS:shop.test", "other.test", -DAY, DAY, true, "hostname mismatch"},
        {"DNS:shop.test", "127.0.0.1", -DAY, DAY, true, "IP address mismatch"},
        {"DNS:shop.test", "shop.test", -DAY, DAY, false, "self-signed"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        open_world(CASES[i].alt, CASES[i].from, CASES[i].to, CASES[i].name, CASES[i].trusted);
        int rc = shake(1000);
        CU_ASSERT_EQUAL(rc == 0, !CASES[i].fault);
        CU_ASSERT_EQUAL(secure_open(w.secure), !CASES[i].fault);
        CU_ASSERT_DOUBLE_EQUAL(secure_expiry(w.secure), (double)(time(NULL) + CASES[i].to), 5);
        if (CASES[i].fault) {
            CU_ASSERT_EQUAL(w.fault.class, CLASS_CERTIFICATE);
            if (!strcasestr(w.fault.text, CASES[i].fault))
                printf("%s: %s\n", CASES[i].fault, w.fault.text);
            CU_ASSERT_PTR_NOT_NULL(strcasestr(w.fault.text, CASES[i].fault));
            CU_ASSERT_TRUE(w.say.len > 0); // the alert that says why
        }
        close_world();
    }
}

static void what_is_no_tls_is_told_so(void)
{
    open_world("DNS:shop.test", -DAY, DAY, "shop.test", true);
    CU_ASSERT_EQUAL(secure_begin(w.secure, &w.say, &w.fault), 0);
    CU_ASSERT_TRUE(w.say.len > 100);
    CU_ASSERT_TRUE(secure_hear(w.secure, (const uint8_t *)"220 mail ready\r\n", 16, &w.plain,
                       &w.say, &w.fault) < 0);
    CU_ASSERT_EQUAL(w.fault.class, CLASS_TLS);
    CU_ASSERT_EQUAL(secure_expiry(w.secure), 0);
    close_world();
}

static void a_flood_stops_at_the_buffers_ceiling(void)
{
    char block[8192] = {0};
    open_world("DNS:shop.test", -DAY, DAY, "shop.test", true);
    CU_ASSERT_EQUAL(shake(5000), 0);
    buf_done(&w.plain);
    buf_init(&w.plain, 10000);
    SSL_write(w.ssl, block, sizeof(block));
    SSL_write(w.ssl, block, sizeof(block));
    CU_ASSERT_EQUAL(carry(100000), 0);
    CU_ASSERT_EQUAL(w.plain.failed, -EMSGSIZE);
    CU_ASSERT_EQUAL(w.plain.len, sizeof(block));
    close_world();
}

static void a_file_without_certificates_is_refused(void)
{
    struct secure_trust *trust = NULL;
    struct err err = {0};
    CU_ASSERT_EQUAL(secure_trust_new("/dev/null", &trust, &err), -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, "/dev/null: "));
    CU_ASSERT_EQUAL(secure_trust_new("/nowhere/ca.pem", &trust, &err), -EINVAL);
    CU_ASSERT_PTR_NULL(trust);
}

static const struct test TESTS[] = {
    {"speaks both ways, in any pieces", speaks_both_ways_in_any_pieces},
    {"a certificate is judged: chain, dates, name", a_certificate_is_judged},
    {"what is no TLS is told so", what_is_no_tls_is_told_so},
    {"a flood stops at the buffer's ceiling", a_flood_stops_at_the_buffers_ceiling},
    {"a file without certificates is refused", a_file_without_certificates_is_refused},
};

int main(void)
{
    return test_main("secure", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
