// SPDX-License-Identifier: Apache-2.0
/*
 * What a person has a receiver sent beside its queue: tests, and dead letters once more. Pure: time and
 * the outcome of a try come in.
 *
 *     tests first, then replays, each in order --> one in flight --> done, again later, or failed
 *
 * One at a time, and only when the queue has nothing due (lane.h), so that a thousand letters delay no
 * page. A replay waits for the receiver's back-off and its Retry-After, is tried again when the receiver
 * is away, ERRAND_TRIES_MAX times, and then those behind it are not tried at all. A test is one try,
 * at once: its failure is the answer.
 *
 * now_ms never falls. Belongs to the notify thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ERRANDS_MAX      2000
#define ERRAND_TRIES_MAX 5
#define ERRAND_AGAIN_MS  1000 // after the first try, doubled after each

struct errand {
    uint64_t id;     // of its row in the log
    uint64_t letter; // to be sent again; 0 = a test
    bool anyway;     // also when what it says is not so any more
    bool resolved;   // a test's second message: the drill is over
    unsigned tries;
    int64_t first_ms, at_ms; // wall clock of the first try; of the order
};
struct errands { // all zero is empty
    struct errand *e;
    size_t n, cap;
    bool flying; // the first
    int64_t again_ms;
};
void errands_done(struct errands *s);
int errands_add(struct errands *s, const struct errand *e); // 0, -ENOBUFS, -ENOMEM
// When the next may go; ready_ms: when the receiver wants something. INT64_MAX = there is none.
int64_t errands_next(const struct errands *s, int64_t ready_ms);
struct errand *errands_take(struct errands *s); // in flight until errands_tried; there is one
enum errand_verdict { ERRAND_SENT, ERRAND_AGAIN, ERRAND_REFUSED, ERRAND_AWAY };
// How the try ended; *ret is the errand, which is out of the queue but for ERRAND_AGAIN. After
// ERRAND_AWAY of a replay the other replays are to be given up: errands_drop.
enum errand_verdict errands_tried(
    struct errands *s, int64_t now_ms, int status, int64_t retry_after_ms, struct errand *ret);
bool errands_drop(
    struct errands *s, struct errand *ret); // takes a replay that waits out; false: none
bool errands_has(const struct errands *s, uint64_t letter);
