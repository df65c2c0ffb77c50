// SPDX-License-Identifier: Apache-2.0
/*
 * One connection to the collector that is kept, and the bodies that go over it by HTTP POST, one at a time.
 *
 *     body filled in --> lane_send --> in flight --> over(status, error) --> reply read by the owner
 *     lane_wait, lane_back_off --> waiting --> wake()
 *
 * After a failure the owner has it wait by decorrelated jitter, LANE_BACKOFF_MIN_MS to _MAX_MS, so that
 * no two hosts knock in step; a Retry-After (at most an hour) is obeyed. Connections live ten minutes, so
 * that a change of DNS or of a balancer takes effect.
 *
 * Loop thread. Owned by the pusher, must not move; borrows transfers, clock and the texts of its options.
 * Knows nothing of frames.
 */
#pragma once
#include "base/buf.h"
#include "base/clock.h"
#include "base/transfer.h"

#define LANE_BACKOFF_MIN_MS 200
#define LANE_BACKOFF_MAX_MS 15000

struct lane_options {
    size_t body_max;
    long timeout_ms;     // of a whole exchange
    const char *token;   // NULL: none
    const char *ca_file; // NULL: the system's
};

struct lane {
    struct transfer transfer; // first: a transfer is its lane
    struct transfers *transfers;
    const struct clock *clock;
    CURL *easy;
    struct curl_slist *headers;
    struct loop_timer *timer;
    struct buf body, reply;
    char error[CURL_ERROR_SIZE];
    bool in_flight, waiting;
    int64_t backoff_ms;
    int64_t retry_after_ms; // the last answer said so; 0: it did not
    int64_t sent_ns;
    // The body is through: with an HTTP status, or status 0 and why there is none. May send the next.
    void (*over)(struct lane *l, long status, const char *error);
    void (*wake)(struct lane *l); // it has waited
    void *ctx;
};

// over, wake and ctx stand already. 0, -ENOMEM, -EINVAL; lane_done either way.
int lane_init(struct lane *l, struct loop *loop, struct transfers *m, const struct clock *clock,
    const struct lane_options *o);
void lane_done(struct lane *l);                // what is in flight is not heard of any more
int lane_url(struct lane *l, const char *url); // copies; of the next body. 0, -ENOMEM
bool lane_ready(const struct lane *l);         // neither in flight nor waiting
int lane_send(struct lane *l); // l->body, which stays as it is until it is over. 0, -ENOMEM
void lane_wait(struct lane *l, int64_t ms);
void lane_back_off(struct lane *l, int64_t at_least_ms); // longer each time, until lane_well
void lane_well(struct lane *l);
