// SPDX-License-Identifier: Apache-2.0
#include "agent/scram.h"
#include "base/num.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#define SALT_MAX    64
#define MESSAGE_MAX 1024

void scram_first(const char *user, const char *nonce, struct buf *out)
{
    buf_addf(out, "n,,n=%s,r=%s", user, nonce);
}

// The value of attribute `name` of "a=...,b=...". NULL: it is not there.
static const uint8_t *attribute(const uint8_t *said, size_t len, char name, size_t *ret_len)
{
    while (len) {
        const uint8_t *comma = memchr(said, ',', len);
        size_t n = comma ? (size_t)(comma - said) : len;
        if (n >= 2 && said[0] == name && said[1] == '=') {
            *ret_len = n - 2;
            return said + 2;
        }
        if (!comma)
            break;
        said += n + 1;
        len -= n + 1;
    }
    return NULL;
}

// Bytes of a base64 text; 0: it is none, or too long.
static size_t unbase64(const uint8_t *text, size_t len, uint8_t *ret, size_t size)
{
    uint8_t room[SALT_MAX + 3];
    if (!len || len % 4 || len / 4 * 3 > sizeof(room) ||
        EVP_DecodeBlock(room, text, (int)len) == -1)
        return 0;
    size_t n = len / 4 * 3 - (text[len - 1] == '=') - (text[len - 2] == '=');
    if (n > size)
        return 0;
    memcpy(ret, room, n);
    return n;
}

static bool hmac(const uint8_t key[static 32], const void *data, size_t len, uint8_t ret[32])
{
    unsigned n = 32;
    return HMAC(EVP_sha256(), key, 32, data, len, ret, &n) != NULL;
}

static bool prove(const uint8_t salted[static 32], const struct buf *message,
    uint8_t proof[static 32], uint8_t signature[static 32])
{
    uint8_t client[32], stored[32], server[32], mask[32];
    bool ok = hmac(salted, "Client Key", 10, client) &&
              EVP_Digest(client, 32, stored, NULL, EVP_sha256(), NULL) &&
              hmac(stored, message->data, message->len, mask) &&
              hmac(salted, "Server Key", 10, server) &&
              hmac(server, message->data, message->len, signature);
    for (size_t i = 0; i < 32; i++)
        proof[i] = client[i] ^ mask[i];
    OPENSSL_cleanse(client, sizeof(client));
    OPENSSL_cleanse(server, sizeof(server));
    return ok;
}

const char *scram_final(const char *user, const char *nonce, const char *password,
    const uint8_t *said, size_t len, struct buf *out, uint8_t signature[static SCRAM_SIGNATURE])
{
    size_t nonce_len, salt_len, count_len, ours = strlen(nonce);
    const uint8_t *both = attribute(said, len, 'r', &nonce_len);
    const uint8_t *salt_text = attribute(said, len, 's', &salt_len);
    const uint8_t *count = attribute(said, len, 'i', &count_len);
    uint8_t salt[SALT_MAX], salted[32], proof[32], text[48];
    uint64_t iterations;
    struct buf message;
    if (!both || nonce_len <= ours || memcmp(both, nonce, ours) != 0 || !salt_text || !count ||
        !num_parse_u64((const char *)count, count_len, &iterations) || !iterations)
        return "it does not speak SCRAM";
    if (iterations > SCRAM_ITERATIONS_MAX)
        return "it wants more iterations than we spend";
    salt_len = unbase64(salt_text, salt_len, salt, sizeof(salt));
    if (!salt_len)
        return "its salt is not base64";
    buf_init(&message, MESSAGE_MAX);
    buf_addf(&message, "n=%s,r=%s,", user, nonce);
    buf_add(&message, said, len);
    buf_addf(&message, ",c=biws,r=%.*s", (int)nonce_len, (const char *)both);
    bool ok = !message.failed &&
              PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt, (int)salt_len,
                  (int)iterations, EVP_sha256(), sizeof(salted), salted) &&
              prove(salted, &message, proof, signature);
    buf_done(&message);
    OPENSSL_cleanse(salted, sizeof(salted));
    if (!ok)
        return "no SCRAM could be computed";
    EVP_EncodeBlock(text, proof, sizeof(proof));
    buf_addf(out, "c=biws,r=%.*s,p=%s", (int)nonce_len, (const char *)both, (char *)text);
    return NULL;
}

bool scram_proven(
    const uint8_t *said, size_t len, const uint8_t signature[static SCRAM_SIGNATURE])
{
    uint8_t proof[SCRAM_SIGNATURE];
    size_t n;
    const uint8_t *text = attribute(said, len, 'v', &n);
    return text && unbase64(text, n, proof, sizeof(proof)) == sizeof(proof) &&
           CRYPTO_memcmp(proof, signature, sizeof(proof)) == 0;
}
