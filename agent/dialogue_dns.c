// SPDX-License-Identifier: Apache-2.0
// DNS: one question, by datagram; by stream when the answer does not fit, or over TLS. Values have
// blackbox_exporter's names. Source: RFC 1035, RFC 7766.
#include "agent/dialogue.h"
#include <string.h>

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

enum { DNS_ANSWERS, DNS_AUTHORITIES, DNS_ADDITIONALS, DNS_SERIAL };

static uint16_t id_of(const struct dialogue *d)
{
    return (uint16_t)(d->nonce[0] << 8 | d->nonce[1]);
}

static void dns_begin(struct dialogue *d)
{
    struct buf *b = &d->say;
    size_t at = b->len;
    if (d->streamed)
        buf_add(b, "\0\0", 2);
    if (!dns_ask(&d->words.dns, id_of(d), b) || b->failed) {
        dialogue_fail(d, CLASS_LOCAL, "the question cannot be asked");
        return;
    }
    size_t n = b->len - at - 2;
    if (d->streamed) {
        b->data[at] = (uint8_t)(n >> 8);
        b->data[at + 1] = (uint8_t)n;
    }
}

static void judge(struct dialogue *d, const struct dns_reply *r)
{
    const struct dns_words *w = &d->words.dns;
    const char *got = dns_rcode_name(r->rcode), *wanted = dns_rcode_name(w->rcode);
    if (r->rcode != w->rcode) {
        if (got)
            dialogue_fail(d, CLASS_STATUS, "%s instead of %s", got, wanted);
        else
            dialogue_fail(d, CLASS_STATUS, "rcode %u instead of %s", r->rcode, wanted);
    } else if (r->rcode == 0 && !r->of_type) {
        dialogue_fail(d, CLASS_CONTENT, "no record of type %s", dns_type_name(w->type));
    } else if (r->rcode == 0 && !r->matched) {
        dialogue_fail(d, CLASS_CONTENT, "\"%s\" instead of \"%.60s\"", r->first, w->answer);
    } else {
        d->answered = true;
        d->state = DIALOGUE_DONE;
        d->values[DNS_ANSWERS] = r->answers;
        d->values[DNS_AUTHORITIES] = r->authorities;
        d->values[DNS_ADDITIONALS] = r->additionals;
        d->values[DNS_SERIAL] = r->serial;
    }
}

static void take(struct dialogue *d, const uint8_t *data, size_t len)
{
    struct dns_reply r;
    switch (dns_read(&d->words.dns, id_of(d), data, len, &r)) {
    case DNS_NOT_OURS:
        // Whoever guesses our port can send this; over a stream it is the server itself.
        if (d->streamed)
            dialogue_refused(d, CLASS_PROTOCOL, "not DNS", data, len);
        return;
    case DNS_BROKEN: dialogue_fail(d, CLASS_PROTOCOL, "a broken answer"); return;
    case DNS_OURS: break;
    }
    if (r.truncated && !d->streamed)
        d->wants_stream = true;
    else if (r.truncated)
        dialogue_fail(d, CLASS_PROTOCOL, "an answer cut short over a stream");
    else
        judge(d, &r);
}

static size_t dns_hear(struct dialogue *d, const uint8_t *data, size_t len)
{
    if (!d->streamed) {
        take(d, data, len);
        return len;
    }
    size_t n = len < 2 ? 0 : (size_t)data[0] << 8 | data[1];
    if (len < 2 || len < n + 2)
        return 0;
    take(d, data + 2, n);
    return n + 2;
}

static const struct dialogue_value DNS[] = {
    [DNS_ANSWERS] = {"answers", "probe_dns_answer_rrs", "1", SERIES_GAUGE, 1},
    [DNS_AUTHORITIES] = {"authorities", "probe_dns_authority_rrs", "1", SERIES_GAUGE, 1},
    [DNS_ADDITIONALS] = {"additionals", "probe_dns_additional_rrs", "1", SERIES_GAUGE, 1},
    [DNS_SERIAL] = {"serial", "probe_dns_serial", "1", SERIES_GAUGE, 1},
};
const struct dialogue_kind DIALOGUE_DNS = {.name = "dns",
    .port = 53,
    .tls = DIALOGUE_TLS_FIRST,
    .datagrams = true,
    .wants_nonce = true,
    .begin = dns_begin,
    .hear = dns_hear,
    .values = DNS,
    .n_values = COUNT(DNS)};
