// SPDX-License-Identifier: Apache-2.0
/*
 * TLS as a layer between a connection and who speaks over it. Pure but for the clock by which OpenSSL
 * judges a certificate: bytes that came go in, plain text and bytes to send come out, so that it blocks
 * nobody and needs no socket to be tested (memory BIOs; SSL_set_fd would raise SIGPIPE).
 *
 *     socket -> secure_hear -> plain text -> dialogue -> secure_say -> out -> socket
 *
 * A certificate is verified as a browser does it: chain to somebody trusted, not expired, of the name
 * that was asked for. The earliest end of its chain is known as soon as it was shown, also of one that
 * was refused: an expired certificate says since when.
 *
 * A session exists only while it is spoken over (about 40 KiB of OpenSSL's), a trust as long as a
 * probe that needs it. Loop thread.
 */
#pragma once
#include "agent/probe_class.h"
#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Whom a certificate must come from: the system's authorities, or those of a file alone.
struct secure_trust;
// ca_file NULL: the system's. 0; -ENOMEM, or -EINVAL with a file that holds no certificate, both told.
int secure_trust_new(const char *ca_file, struct secure_trust **ret, struct err *err);
void secure_trust_free(struct secure_trust *t); // NULL allowed; its sessions may live on

struct secure;
// name: whose certificate it must be, a host name or an address as text. NULL: memory.
struct secure *secure_new(struct secure_trust *t, const char *name);
void secure_free(struct secure *s); // NULL allowed

struct secure_fault {
    enum probe_class class;
    char text[128];
};
// The first words are in out afterwards. 0, or -errno with the fault, of all three.
int secure_begin(struct secure *s, struct buf *out, struct secure_fault *fault);
// What came from the peer; what it means is added to plain. An answer may be due in out.
int secure_hear(struct secure *s, const uint8_t *data, size_t len, struct buf *plain,
    struct buf *out, struct secure_fault *fault);
// Once it is open: takes everything out of plain.
int secure_say(
    struct secure *s, struct buf *plain, struct buf *out, struct secure_fault *fault);
void secure_goodbye(struct secure *s, struct buf *out);

bool secure_open(const struct secure *s);  // the handshake is through
bool secure_ended(const struct secure *s); // the peer said that nothing more comes
double secure_expiry(
    const struct secure *s); // unix time, the earliest of the chain; 0: none was shown
