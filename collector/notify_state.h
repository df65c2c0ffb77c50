// SPDX-License-Identifier: Apache-2.0
/*
 * What the notify*.c share: the thread with its turns (notify.c), what the ledger asks and the journal is
 * given (notify_ledger.c), a configuration that takes the place of another (notify_reload.c), what people
 * ask (notify_requests.c), opening and what the journal left (notify_start.c). Notify thread.
 */
#pragma once
#include "base/loop.h"
#include "collector/deliveries.h"
#include "collector/heartbeats.h"
#include "collector/lanes.h"
#include "collector/ledger.h"
#include "collector/mutes.h"
#include "collector/notify.h"
#include "collector/repairs.h"
#include <semaphore.h>
#include <stdatomic.h>

#define NOTIFY_REQUESTS_MAX 256

// A configuration on its way in. Two hold it: main, which may give up waiting, and the notify thread.
enum handover_state { HANDOVER_WAITS, HANDOVER_TAKEN, HANDOVER_GIVEN_UP };
struct handover {
    struct config *config;
    int rc;
    struct err err;
    sem_t done;
    atomic_int state, refs;
};

// Decided together and not told to anybody yet: the journal has it on its way to the disk.
struct held {
    struct held *next;
    struct notice **n;
    size_t count;
    uint64_t tag;
    int64_t due_ms; // then it goes out whatever the disk does
    bool written;
};

struct notify {
    struct notify_options o;
    struct ring *notices;
    struct loop *loop;
    struct loop_io *ring_io;
    struct held *held, **held_end;
    uint64_t tag;
    bool acks_changed; // the board shows older ones
    bool anew;         // the journal lost its file, and has to be told what it held
    bool
        overtaken; // something went out before it was on disk, and the disk still owes an answer
    struct loop_timer *due_timer;
    struct transfers *transfers;
    struct lanes *lanes;
    struct heartbeats *heartbeats; // NULL: nobody says whether the rules turn
    uint64_t transitions;
    struct mutes *mutes;
    struct ledger *ledger;
    struct repairs *repairs; // NULL: nobody is asked for any
    struct deliveries *deliveries;
    struct ring *requests, *answers, *handovers;
    struct handover *handover; // to be taken when nothing is held
    struct ring *policies;     // of struct policies *
    int64_t started_ms;
    struct journal_write *writing; // what was learned in this turn
    pthread_t thread;
    atomic_int_fast64_t grace_ms; // set before loop_stop
};

static inline int64_t notify_now_ms(const struct notify *n)
{
    return clock_mono_ns(&n->o.clock) / NS_PER_MS;
}

static inline int64_t notify_wall_ms(const struct notify *n)
{
    return clock_wall_ms(&n->o.clock);
}

// --- notify.c
void notify_held_free(struct held *h);
void notify_use_policies(struct notify *n, struct policies *p);
void notify_recheck(struct notify *n);
void notify_pump(void *ctx);
void notify_on_policies(void *ctx, int fd, uint32_t events);
void notify_on_due(void *ctx, int64_t due_ns, int64_t at_ns);
bool notify_drain(struct notify *n);
void notify_on_written(void *ctx, int fd, uint32_t events);
void notify_on_notices(void *ctx, int fd, uint32_t events);
void *notify_run(void *ctx);

// --- notify_ledger.c
size_t notify_route_of(void *ctx, const struct labels *l, uint32_t *ret, size_t max);
void notify_take(void *ctx, const struct notice *notice);
unsigned notify_muted(void *ctx, const struct notice *notice, uint32_t lane);
void notify_say(void *ctx, uint32_t number, const struct notice *notice);
void notify_say_again(void *ctx, uint32_t number, const struct notice *notice);
struct journal_write *notify_writing(void *ctx);
void notify_learned(void *ctx, const struct lane *lane, uint64_t alert_id, enum told told);
void notify_nothing(void *ctx, uint32_t lane, uint64_t alert_id);
void notify_write_told(struct notify *n);
int notify_write_alert(struct notify *n, struct journal_write *w, const struct notice *notice);
void notify_write_anew(struct notify *n);
const char *notify_receiver_of(void *ctx, uint32_t lane);
int64_t notify_fall_back(struct notify *n, int64_t now);
void notify_owed(void *ctx, uint64_t alert_id, size_t lanes);

// --- notify_reload.c
void notify_handover_unref(struct handover *h);
void notify_take_over(struct notify *n);
void notify_on_handovers(void *ctx, int fd, uint32_t events);

// --- notify_requests.c
void notify_keep_silence(struct notify *n, const struct silence *s, bool gone);
void notify_show_acks(struct notify *n);
void notify_keep_ack(struct notify *n, const struct ack *a, bool gone);
void notify_silence_changed(void *ctx, const struct silence *s);
void notify_on_requests(void *ctx, int fd, uint32_t events);

// --- notify_start.c
void notify_free(struct notify *n);
