// SPDX-License-Identifier: Apache-2.0
/*
 * A simulated agent over the real protocol: a session, its chain and one connection, one push in
 * flight at a time. Who uses it says when a frame is made and what it holds. Benches only: what an
 * agent must survive (no memory, a peer that breaks off in mid-reply) ends the program instead.
 */
#pragma once
#include "base/buf.h"
#include "wire/encode.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vagent {
    int fd; // -1: not connected
    struct chain_out *chain;
    struct wire_session session;
    char host[64];
    struct buf frame, body, request;
    char reply[2048];
    size_t reply_len;
    uint64_t seq;
    bool busy; // waits for the reply to a push
};

int64_t vagent_mono_ns(void);
int64_t vagent_wall_ms(void);
_Noreturn void vagent_die(const char *what); // with errno
// number makes its id; host is copied.
void vagent_init(struct vagent *a, const char *host, uint64_t number);
void vagent_done(struct vagent *a);
// From 127.0.0.(1 + spread), non-blocking afterwards. 0 or -errno.
int vagent_connect(struct vagent *a, int port, uint32_t spread);
void vagent_disconnect(struct vagent *a);
// Makes a frame of these samples and writes the whole request. 0; -errno: the connection is lost.
int vagent_push(struct vagent *a, struct batch_sample *samples, size_t n);

enum vagent_answer { VAGENT_WAITING, VAGENT_TAKEN, VAGENT_REFUSED, VAGENT_LOST };
// What there is to read. Refused: the next frame will be a key frame.
enum vagent_answer vagent_read(struct vagent *a);
