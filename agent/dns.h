// SPDX-License-Identifier: Apache-2.0
/*
 * A DNS question and what came back, as bytes: packed and names unpacked by c-ares, the rest read here.
 * Pure; nothing is kept of an answer. An answer is compared as text: an address, a name, "10 mail.example"
 * of MX, "0 5 5060 sip.example" of SRV, the strings of TXT put together, the serial of SOA.
 * Sources: RFC 1035, RFC 2782.
 */
#pragma once
#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_HEADER     12
#define DNS_ANSWER_MAX 512 // of a text; a longer one is cut and matches nothing

struct dns_words {      // what is asked and expected; text borrowed
    const char *name;   // NULL: no question
    const char *answer; // NULL: any of that type
    uint16_t type;
    uint8_t rcode;
};
// Names as people write them; 0 and -1 are of no name, NULL of no number we know.
uint16_t dns_type(const char *name);
const char *dns_type_name(uint16_t type);
int dns_rcode(const char *name);
const char *dns_rcode_name(unsigned rcode);

// Adds the question. False: the name cannot be one, or memory.
bool dns_ask(const struct dns_words *w, uint16_t id, struct buf *out);

struct dns_reply {
    bool truncated;
    unsigned rcode, answers, authorities, additionals;
    unsigned of_type; // answers of the type that was asked for
    bool matched;     // one of them is the one expected
    double serial;    // of an SOA; NaN: none
    char first[64];   // of those of the type, printable
};
enum dns_sense { DNS_OURS, DNS_NOT_OURS, DNS_BROKEN }; // not ours: to be passed over
enum dns_sense dns_read(const struct dns_words *w, uint16_t id, const uint8_t *data, size_t len,
    struct dns_reply *ret);
