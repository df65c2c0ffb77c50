// SPDX-License-Identifier: Apache-2.0
/*
 * What is remembered of each server-side connection between two looks: its counters by cookie, so
 * that what was added since can be booked to its service, once, whatever comes again or is missed.
 *
 * Pure. A walk over 100,000 sockets looks each one up, and most of an agent's memory is this on a host
 * with many, so the rows stand close and only their numbers are hashed:
 *
 *     slots  | 2 |   | 1 |   | 3 |   |   |    open addressing, 4 bytes each, 1/3 to 2/3 full
 *     rows   [ 1 ][ 2 ][ 3 ]                  40 bytes each; who goes is replaced by the last
 *
 * The counters of a service are the sums of what its connections added:
 *
 *     dump        sees a connection while it lives: books the growth since the last look
 *     final       the destroy multicast's last tcp_info: books the rest and forgets the row
 *     sweep       rows that a whole walk did not see: their multicast was lost
 *
 * A FIN takes one number of the byte sequence, in either direction: it is subtracted where the state
 * says it has passed. An aborted connection's final counters read 0, because the kernel has cleared
 * them: what was seen before stays.
 *
 * How long sending was held up comes in the kernel's ticks, 1 to 10 ms.
 */
#pragma once
#include "agent/sockdiag.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONNECTIONS_MAX 262144

enum closed_how {
    CLOSED_FIN,
    CLOSED_RESET,
    CLOSED_TIMEOUT,
    CLOSED_UNKNOWN
}; // timeout: only the kernel tells (turnover.h)
#define CLOSED_HOWS 4

// What held sending up while there was something to send.
enum limited_by {
    LIMITED_RECEIVER_WINDOW, // the peer did not read
    LIMITED_SEND_BUFFER,     // ours is too small for the way
    LIMITED_BUSY             // neither: data under way, as fast as the network takes it
};
#define LIMITED_BYS 3

// Counters of one service and what the walk under way has added up.
struct traffic {
    uint64_t opened, closed[CLOSED_HOWS], received, sent, retransmitted, segments;
    uint64_t limited_ms[LIMITED_BYS];
    uint32_t live[SOCKDIAG_STATES]; // by state, this walk
    uint64_t rtt_sum_us;
    uint32_t rtt_n, rtt_top_us, rtt_least_us; // 0 = none
    uint64_t rate_sum;                        // of those that were not short of data to send
    uint32_t rate_n;
    uint16_t number; // rows know it by this; given by connections_dump or _final, 0 = none yet
};

// Counters are kept modulo their width: what is counted is what they grew by, and what seems to have
// grown by more than half the width went back.
#define CONNECTION_BYTE_BITS    48 // 140 TB between two looks
#define CONNECTION_LIMITED_BITS 21 // 17 min
struct connection {
    uint64_t cookie;
    uint64_t received : CONNECTION_BYTE_BITS;
    uint64_t
        traffic : 16; // 0: closed while a walk was under way; kept so that an answer the kernel
                      // had written before does not open it again
    uint64_t sent : CONNECTION_BYTE_BITS, walk : 8, state : 6;
    uint64_t orphan : 1; // when seen last: closed first, and its process has let go of it
    uint64_t missed : 1; // by the last whole walk
    uint64_t window_ms : CONNECTION_LIMITED_BITS,
                         buffer_ms : CONNECTION_LIMITED_BITS,
                                     busy_ms : CONNECTION_LIMITED_BITS;
    uint32_t retransmitted, segments;
};

struct connections {
    struct connection *rows;
    size_t n, cap;
    uint32_t *slots; // index of a row + 1; 0 = free
    size_t n_slots;
    struct traffic **traffics; // by number - 1; NULL = free
    size_t n_traffics;
    uint8_t walk;
    bool walking;
    uint64_t seed;
    size_t refused; // beyond CONNECTIONS_MAX: counted as live, their bytes are not
};

// What a walk adds up begins at nothing.
void traffic_round(struct traffic *t);

void connections_init(struct connections *c, uint64_t seed);
void connections_done(struct connections *c);

void connections_begin(struct connections *c); // a walk
// NULL: not known. Lives until the next change.
struct connection *connections_get(const struct connections *c, uint64_t cookie);
// One socket of a dump. `opened` = the connection began after we looked first: counted as opened.
// Seen twice in a walk, it counts once.
void connections_dump(
    struct connections *c, struct traffic *t, const struct sockdiag *s, bool opened);
// Its end. t is where it belongs if no dump has seen it (then it counts as opened too).
void connections_final(struct connections *c, struct traffic *t, const struct sockdiag *s);
// After a walk: what two whole ones in a row did not see has closed unheard. One is not enough: the
// kernel tells of a close a little after the socket has left its table.
void connections_sweep(struct connections *c, bool whole);
// The service ends: its rows go.
void connections_forget(struct connections *c, struct traffic *t);
