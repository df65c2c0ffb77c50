// SPDX-License-Identifier: Apache-2.0
/*
 * What a probe says to a service and what it makes of the answer, for protocols that are a few messages
 * over one connection. Pure: bytes in, bytes to say and a verdict out, so each is tested byte by byte;
 * talk.c moves the bytes.
 *
 *     connected --> kind->begin: first words --> what came --> hear --> more words, or a verdict
 *                                                          \-> answered: it is alive, the latency stands
 *
 * Without a login most services still answer in their protocol, which is the proof that they are alive: a
 * refused login is a failure only when one was configured. With a login, and where the protocol gives
 * them away without one, numbers of the service come after the answer; they are not part of the
 * latency, and are asked for only when `wants_values` is set.
 *
 * Over what it is spoken is the mover's: TCP, UDP (a whole message each time), TLS. A kind may ask for TLS
 * in the middle (`turns_secure`) and for a stream in place of datagrams (`wants_stream`).
 *
 * A peer is not trusted: what it sends is bounded (DIALOGUE_HEARD_MAX), and nothing of it is kept but
 * numbers and up to 100 printable characters of a refusal.
 */
#pragma once
#include "agent/dns.h"
#include "agent/probe_class.h"
#include "base/buf.h"
#include "wire/batch.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIALOGUE_VALUES_MAX 40
#define DIALOGUE_HEARD_MAX  (256u << 10)
#define DIALOGUE_DETAIL_MAX 160
#define DIALOGUE_NONCE      18

struct dialogue_value {
    const char *field; // what the service calls it
    const char *name, *unit;
    enum series_kind kind;
    double factor; // to the unit
};
struct dialogue_words {          // what the configuration says; text borrowed
    const char *user, *password; // NULL = none
    const char *send, *expect;   // of the kind `tcp`
    const char *host, *path;     // of `websocket`; host with its port
    struct dns_words dns;        // of `dns`
    bool tls;                    // not in the clear
};
struct page_sink;
// RESTS: a round is over, and the connection is kept for the next.
enum dialogue_state { DIALOGUE_GOES_ON, DIALOGUE_RESTS, DIALOGUE_DONE, DIALOGUE_FAILED };
// How a protocol comes to TLS: it does not, before the first word, or by asking for it in the clear.
enum dialogue_tls { DIALOGUE_TLS_NEVER, DIALOGUE_TLS_FIRST, DIALOGUE_TLS_ASKED };

struct dialogue {
    const struct dialogue_kind *kind;
    struct dialogue_words words;
    bool wants_values;
    const struct page_sink
        *sink;      // takes the values of a kind that has pages or rows; NULL: not now
    struct buf say; // to be sent; whoever sends it takes it out
    unsigned step;
    bool answered;
    bool turns_secure;             // said by the kind: TLS from here on, then begin once more
    bool wants_stream;             // said by the kind: once more from the start, over TCP
    bool secured, streamed;        // told to the kind: what it speaks over
    bool on_host;                  // told too: both ends are on this host
    uint8_t version;               // of the protocol, as agreed on
    uint8_t signature[32];         // of a login under way
    uint8_t nonce[DIALOGUE_NONCE]; // random, told to a kind that wants it
    enum dialogue_state state;
    enum probe_class class; // of a failure
    char detail[DIALOGUE_DETAIL_MAX];
    double values[DIALOGUE_VALUES_MAX]; // NaN: was not there
};
struct dialogue_kind {
    const char *name; // key of the configuration
    uint16_t port;    // where none is named
    bool has_login;
    enum dialogue_tls tls;
    bool datagrams; // begins over UDP, a message each
    bool wants_nonce;
    uint32_t
        rows_ms; // it gives rows to the sink, and is asked for them so often; 0: it has none
    void (*begin)(struct dialogue *d);
    void (*resume)(
        struct dialogue *d);          // the next round on a kept connection; NULL: none is kept
    const struct dialogue_kind *kept; // with a login numbers are asked so, beside it; NULL: not
    // Everything that came and was not taken yet. Returns how much it takes.
    size_t (*hear)(struct dialogue *d, const uint8_t *data, size_t len);
    const struct dialogue_value *values;
    const struct wire_label
        *value_labels; // one each, where a name is said of several; NULL: none
    size_t n_values;
};

// Ready for a new round; its memory is kept from round to round. kind->begin says the first words.
void dialogue_set(struct dialogue *d, const struct dialogue_kind *kind,
    const struct dialogue_words *words, bool wants_values);
// As the kind's hear, again and again until nothing more is taken or it is over.
size_t dialogue_hear(struct dialogue *d, const uint8_t *data, size_t len);
void dialogue_closed(struct dialogue *d); // by the peer: a failure, unless it was over
void dialogue_done(struct dialogue *d);   // frees; all zero is fine too

extern const struct dialogue_kind DIALOGUE_LINE, DIALOGUE_TLS, DIALOGUE_REDIS,
    DIALOGUE_MEMCACHED, DIALOGUE_POSTGRES, DIALOGUE_MYSQL, DIALOGUE_AMQP, DIALOGUE_NATS,
    DIALOGUE_MQTT, DIALOGUE_WEBSOCKET, DIALOGUE_DNS, DIALOGUE_ICMP, DIALOGUE_HAPROXY,
    DIALOGUE_POSTGRES_KEPT, DIALOGUE_KAFKA;
#define DIALOGUE_KINDS 11
extern const struct dialogue_kind
    *const DIALOGUES[DIALOGUE_KINDS]; // those with a key of their own

// --- for the kinds -------------------------------------------------------------------------------

void dialogue_say(struct dialogue *d, const void *data, size_t len);
void dialogue_fail(struct dialogue *d, enum probe_class class, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
// It failed by what the peer said: that is shown, cut and without what is not printable.
void dialogue_refused(struct dialogue *d, enum probe_class class, const char *what,
    const uint8_t *said, size_t len);
bool dialogue_begins(const uint8_t *data, size_t len, const char *with);
// Length of the line at data without its end; *ret_taken with it. False: there is none yet.
bool dialogue_line(const uint8_t *data, size_t len, size_t *ret_len, size_t *ret_taken);
// A field of the service's own, if it is among the kind's values and a number.
void dialogue_note(struct dialogue *d, const char *field, size_t field_len, const char *value,
    size_t value_len);
