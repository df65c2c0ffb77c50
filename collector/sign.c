// SPDX-License-Identifier: Apache-2.0
#include "collector/sign.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define PREFIX     "whsec_"
#define HASH_BYTES 32

// Base64 with or without its padding. False when it is none or not of the right length.
static bool decode(const char *text, size_t len, uint8_t *ret, size_t *ret_len)
{
    char padded[92];
    uint8_t bytes[72];
    while (len && text[len - 1] == '=')
        len--;
    size_t whole = (len + 3) / 4 * 4;
    if (len % 4 == 1 || whole > sizeof(padded))
        return false;
    memset(padded, '=', sizeof(padded));
    memcpy(padded, text, len);
    int n = EVP_DecodeBlock(bytes, (const unsigned char *)padded, (int)whole);
    *ret_len = n < 0 ? 0 : (size_t)n - (whole - len); // it counts padding as bytes
    bool ok = *ret_len >= SIGN_KEY_MIN && *ret_len <= SIGN_KEY_MAX;
    if (ok)
        memcpy(ret, bytes, *ret_len);
    OPENSSL_cleanse(padded, sizeof(padded));
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return ok;
}

int sign_keys_parse(const char *text, struct sign_keys *ret, struct err *err)
{
    memset(ret, 0, sizeof(*ret));
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, "\r\n"), prefix = sizeof(PREFIX) - 1;
        if (len && ret->n == SIGN_KEYS_MAX) {
            err_set(err, "there are more than %d secrets", SIGN_KEYS_MAX);
            goto bad;
        }
        if (len &&
            (len < prefix || memcmp(at, PREFIX, prefix) != 0 ||
                !decode(at + prefix, len - prefix, ret->key[ret->n], &ret->len[ret->n]))) {
            err_set(err, "a secret is " PREFIX " and the base64 of %d to %d bytes",
                SIGN_KEY_MIN, SIGN_KEY_MAX);
            goto bad;
        }
        ret->n += len > 0;
        at += len + strspn(at + len, "\r\n");
    }
    if (ret->n)
        return 0;
    err_set(err, "there is no secret");
bad:
    sign_keys_wipe(ret);
    return -EINVAL;
}

static bool hash(const uint8_t *key, size_t key_len, const char *head, const void *body,
    size_t len, uint8_t ret[static HASH_BYTES])
{
    size_t n = HASH_BYTES;
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_HMAC, NULL, key, key_len);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = pkey && ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pkey) == 1 &&
              EVP_DigestSignUpdate(ctx, head, strlen(head)) == 1 &&
              EVP_DigestSignUpdate(ctx, body, len) == 1 &&
              EVP_DigestSignFinal(ctx, ret, &n) == 1 && n == HASH_BYTES;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    return ok;
}

int sign_message(const struct sign_keys *k, const char *id, int64_t timestamp_s,
    const void *body, size_t len, char ret[static SIGN_TEXT_MAX])
{
    char head[160];
    size_t used = 0;
    ret[0] = '\0';
    snprintf(head, sizeof(head), "%.100s.%lld.", id, (long long)timestamp_s);
    for (size_t i = 0; i < k->n; i++) {
        uint8_t sum[HASH_BYTES];
        unsigned char text[HASH_BYTES / 3 * 4 + 8];
        if (!hash(k->key[i], k->len[i], head, body, len, sum))
            return -ENOMEM;
        EVP_EncodeBlock(text, sum, HASH_BYTES);
        used += (size_t)snprintf(
            ret + used, SIGN_TEXT_MAX - used, "%sv1,%s", i ? " " : "", (const char *)text);
    }
    return 0;
}

void sign_keys_wipe(struct sign_keys *k)
{
    OPENSSL_cleanse(k, sizeof(*k));
}
