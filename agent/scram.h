// SPDX-License-Identifier: Apache-2.0
/*
 * SCRAM-SHA-256, the client's side: each proves to the other that it knows the password, and neither says
 * it. Pure; without channel binding. Source: RFC 5802, RFC 7677.
 *
 *     scram_first --> server-first: nonce, salt, iterations --> scram_final --> server-final: its proof
 *
 * The iterations are the server's to choose and cost us 0.4 us each on the loop, so they have a ceiling.
 */
#pragma once
#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCRAM_ITERATIONS_MAX 50000 // PostgreSQL's default is 4096
#define SCRAM_SIGNATURE      32

// Adds "n,,n=USER,r=NONCE". user must hold no comma and no equals sign; PostgreSQL wants it empty.
void scram_first(const char *user, const char *nonce, struct buf *out);
// Adds the answer to server-first; the signature is what server-final has to hold. NULL, or what is wrong.
const char *scram_final(const char *user, const char *nonce, const char *password,
    const uint8_t *said, size_t len, struct buf *out,
    uint8_t signature[static SCRAM_SIGNATURE]);
// Whether server-final, "v=...", is by somebody who knows the password.
bool scram_proven(
    const uint8_t *said, size_t len, const uint8_t signature[static SCRAM_SIGNATURE]);
