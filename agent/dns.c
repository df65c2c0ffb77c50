// SPDX-License-Identifier: Apache-2.0
#include "agent/dns.h"
#include <ares.h>
#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define UDP_SIZE 1232 // what passes everywhere in one piece
#define CLASS_IN 1

enum { A = 1, NS = 2, CNAME = 5, SOA = 6, PTR = 12, MX = 15, TXT = 16, AAAA = 28, SRV = 33 };

static const struct {
    const char *name;
    uint16_t type;
} TYPES[] = {{"A", A}, {"AAAA", AAAA}, {"CNAME", CNAME}, {"MX", MX}, {"NS", NS}, {"PTR", PTR},
    {"SOA", SOA}, {"SRV", SRV}, {"TXT", TXT}};
static const char *const RCODES[] = {
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"};
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

uint16_t dns_type(const char *name)
{
    for (size_t i = 0; i < COUNT(TYPES); i++)
        if (strcasecmp(TYPES[i].name, name) == 0)
            return TYPES[i].type;
    return 0;
}

const char *dns_type_name(uint16_t type)
{
    for (size_t i = 0; i < COUNT(TYPES); i++)
        if (TYPES[i].type == type)
            return TYPES[i].name;
    return NULL;
}

int dns_rcode(const char *name)
{
    for (size_t i = 0; i < COUNT(RCODES); i++)
        if (strcasecmp(RCODES[i], name) == 0)
            return (int)i;
    return -1;
}

const char *dns_rcode_name(unsigned rcode)
{
    return rcode < COUNT(RCODES) ? RCODES[rcode] : NULL;
}

bool dns_ask(const struct dns_words *w, uint16_t id, struct buf *out)
{
    unsigned char *packed = NULL;
    int len = 0;
    if (ares_create_query(w->name, CLASS_IN, w->type, id, 1, &packed, &len, UDP_SIZE) !=
        ARES_SUCCESS)
        return false;
    int rc = buf_add(out, packed, (size_t)len);
    ares_free_string(packed);
    return rc == 0;
}

// --- an answer -----------------------------------------------------------------------------------

static unsigned u16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static uint32_t u32(const uint8_t *p)
{
    return (uint32_t)u16(p) << 16 | u16(p + 2);
}

// A name at `at`, which compression may have pointing anywhere before it. Its length there; 0: broken.
static size_t name_at(
    const uint8_t *data, size_t len, size_t at, char text[static DNS_ANSWER_MAX])
{
    char *name = NULL;
    long taken = 0;
    if (at >= len || ares_expand_name(data + at, data, (int)len, &name, &taken) != ARES_SUCCESS)
        return 0;
    snprintf(text, DNS_ANSWER_MAX, "%s", name);
    ares_free_string(name);
    return (size_t)taken;
}

static bool name_text(const uint8_t *data, size_t len, size_t at, size_t end,
    const char *before, char text[static DNS_ANSWER_MAX])
{
    char name[DNS_ANSWER_MAX];
    size_t taken = name_at(data, len, at, name);
    if (!taken || at + taken > end)
        return false;
    return snprintf(text, DNS_ANSWER_MAX, "%s%s", before, name) < DNS_ANSWER_MAX;
}

static bool txt_text(const uint8_t *p, size_t n, char text[static DNS_ANSWER_MAX])
{
    size_t at = 0;
    while (n) {
        size_t piece = *p;
        if (piece + 1 > n || at + piece >= DNS_ANSWER_MAX)
            return false;
        memcpy(text + at, p + 1, piece);
        at += piece;
        p += piece + 1;
        n -= piece + 1;
    }
    text[at] = '\0';
    return true;
}

static bool soa_serial(const uint8_t *data, size_t len, size_t at, size_t end, uint32_t *ret)
{
    char name[DNS_ANSWER_MAX];
    for (int i = 0; i < 2; i++) { // the server, who answers for it
        size_t taken = name_at(data, len, at, name);
        if (!taken)
            return false;
        at += taken;
    }
    if (at + 20 > end)
        return false;
    *ret = u32(data + at);
    return true;
}

// The record's data from at to end as text. False: it is broken, or no text of ours.
static bool record_text(const uint8_t *data, size_t len, unsigned type, size_t at, size_t end,
    char text[static DNS_ANSWER_MAX])
{
    const uint8_t *p = data + at;
    size_t n = end - at;
    char before[32] = "";
    uint32_t serial;
    switch (type) {
    case A: return n == 4 && inet_ntop(AF_INET, p, text, DNS_ANSWER_MAX);
    case AAAA: return n == 16 && inet_ntop(AF_INET6, p, text, DNS_ANSWER_MAX);
    case NS:
    case CNAME:
    case PTR: return name_text(data, len, at, end, "", text);
    case MX:
        if (n < 3)
            return false;
        snprintf(before, sizeof(before), "%u ", u16(p));
        return name_text(data, len, at + 2, end, before, text);
    case SRV:
        if (n < 7)
            return false;
        snprintf(before, sizeof(before), "%u %u %u ", u16(p), u16(p + 2), u16(p + 4));
        return name_text(data, len, at + 6, end, before, text);
    case TXT: return txt_text(p, n, text);
    case SOA:
        if (!soa_serial(data, len, at, end, &serial))
            return false;
        snprintf(text, DNS_ANSWER_MAX, "%u", serial);
        return true;
    default: return false;
    }
}

static void note(const struct dns_words *w, const char *text, struct dns_reply *ret)
{
    ret->matched = ret->matched || !w->answer || strcasecmp(w->answer, text) == 0;
    if (ret->of_type++)
        return;
    snprintf(ret->first, sizeof(ret->first), "%.63s", text);
    for (char *c = ret->first; *c; c++)
        *c = *c >= ' ' && *c < 127 ? *c : '.';
}

static bool same_question(
    const struct dns_words *w, const uint8_t *data, size_t len, size_t *at)
{
    char name[DNS_ANSWER_MAX];
    size_t wanted = strlen(w->name);
    size_t taken = name_at(data, len, *at, name);
    if (!taken || *at + taken + 4 > len)
        return false;
    if (wanted && w->name[wanted - 1] == '.')
        wanted--;
    bool same = strlen(name) == wanted && strncasecmp(name, w->name, wanted) == 0 &&
                u16(data + *at + taken) == w->type;
    *at += taken + 4;
    return same;
}

static enum dns_sense read_answers(const struct dns_words *w, const uint8_t *data, size_t len,
    size_t at, struct dns_reply *ret)
{
    char text[DNS_ANSWER_MAX];
    for (unsigned i = 0; i < ret->answers; i++) {
        size_t taken = name_at(data, len, at, text);
        if (!taken || at + taken + 10 > len)
            return DNS_BROKEN;
        at += taken;
        unsigned type = u16(data + at);
        size_t n = u16(data + at + 8), end = at + 10 + n;
        if (end > len)
            return DNS_BROKEN;
        if (type == w->type) {
            bool known = record_text(data, len, type, at + 10, end, text);
            if (!known && type != TXT)
                return DNS_BROKEN;
            note(w, known ? text : "", ret);
            if (type == SOA)
                ret->serial = strtod(text, NULL);
        }
        at = end;
    }
    return DNS_OURS;
}

enum dns_sense dns_read(const struct dns_words *w, uint16_t id, const uint8_t *data, size_t len,
    struct dns_reply *ret)
{
    size_t at = DNS_HEADER;
    *ret = (struct dns_reply){.serial = NAN};
    if (len < DNS_HEADER || u16(data) != id || !(data[2] & 0x80))
        return DNS_NOT_OURS;
    ret->truncated = data[2] & 2;
    ret->rcode = data[3] & 15;
    unsigned questions = u16(data + 4);
    ret->answers = u16(data + 6);
    ret->authorities = u16(data + 8);
    ret->additionals = u16(data + 10);
    if (questions > 1 || (questions == 0 && ret->rcode == 0))
        return DNS_BROKEN;
    if (questions && !same_question(w, data, len, &at))
        return DNS_BROKEN;
    if (ret->truncated)
        return DNS_OURS; // what is cut is not looked at
    return read_answers(w, data, len, at, ret);
}
