// SPDX-License-Identifier: Apache-2.0
/*
 * A dialogue over a TCP connection of its own: connects, says, hears, closes. Never blocks.
 *
 *     talk_start --> connected --> dialogue --> done(talk), once, never from within talk_start
 *
 * Loop thread. Whoever keeps it sets the time limit and calls talk_stop.
 */
#pragma once
#include "agent/dialogue.h"
#include "base/loop.h"
#include <sys/socket.h>

struct talk {
    struct dialogue dialogue;         // with the verdict
    int64_t answered_ns;              // monotonic; 0 = it was not
    void (*answered)(struct talk *t); // with answered_ns set; more may be said
    void (*done)(struct talk *t);
    // Its own:
    struct loop *loop;
    struct loop_io *io;
    struct loop_timer *now; // what was known at once is told from here
    struct buf heard;
    int fd;
    bool open, connected;
};
// 0, -ENOMEM. The talk's owner is told.
int talk_init(struct talk *t, struct loop *loop, void (*answered)(struct talk *t),
    void (*done)(struct talk *t));
void talk_free(struct talk *t); // stops; all zero is fine
void talk_start(struct talk *t, const struct sockaddr *to, socklen_t len,
    const struct dialogue_kind *kind, const struct dialogue_words *words, bool wants_values);
void talk_stop(struct talk *t); // without done
// Why a connection did not come about, by errno.
enum probe_class talk_class(int error);
const char *talk_reason(int error);
