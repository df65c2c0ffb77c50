// SPDX-License-Identifier: Apache-2.0
/*
 * A dialogue over a connection of its own: connects, says, hears, closes. Never blocks.
 *
 *     talk_start --> connected [--> TLS] --> dialogue --> done(talk), once, never from within talk_start
 *
 * To a service of this host the first words are said within talk_start (dial.h), and its answer is what we
 * wake for.
 *
 * A dialogue that rests is told as one that ended, and its connection kept: the next round is asked by
 * talk_resume, and the peer's hanging up is told.
 *
 * TLS (secure.h) is a layer that any dialogue may have, from the start or when its protocol asks for it.
 *
 * Loop thread. Whoever keeps it sets the time limit and calls talk_stop.
 */
#pragma once
#include "agent/dialogue.h"
#include "agent/secure.h"
#include "base/loop.h"
#include <sys/socket.h>

// Where to, borrowed until it is over.
struct talk_to {
    const struct sockaddr *address;
    socklen_t len;
    struct secure_trust *trust; // where the words say TLS
    const char *name;           // whose certificate it must be
    struct pulse *pulse;        // dial.h
};
struct talk {
    struct dialogue dialogue;         // with the verdict
    int64_t answered_ns;              // monotonic; 0 = it was not
    double cert_expiry;               // unix time; 0: no certificate was shown
    void (*answered)(struct talk *t); // with answered_ns set; more may be said
    void (*done)(struct talk *t);
    // Its own:
    struct loop *loop;
    struct loop_io *io;
    struct loop_timer *now; // what was known at once is told from here
    struct talk_to to;
    struct buf heard;
    struct secure *secure; // NULL: in the clear
    struct buf out;        // enciphered, to be sent
    int fd;
    uint32_t watched; // epoll events
    bool open, connected, resting;
    bool starting; // within talk_start: an end is told later
};
// 0, -ENOMEM. The talk's owner is told.
int talk_init(struct talk *t, struct loop *loop, void (*answered)(struct talk *t),
    void (*done)(struct talk *t));
void talk_free(struct talk *t); // stops; all zero is fine
void talk_start(struct talk *t, const struct talk_to *to, const struct dialogue_kind *kind,
    const struct dialogue_words *words, bool wants_values);
void talk_stop(struct talk *t); // without done
// The next round of one that rests, which was told by done as an end is. May tell from within.
void talk_resume(struct talk *t);
// Why a connection did not come about, by errno.
enum probe_class talk_class(int error);
const char *talk_reason(int error);
