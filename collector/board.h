// SPDX-License-Identifier: Apache-2.0
/*
 * What other threads want the page and the status to show: results of deliveries, and the banner
 * of a rejected configuration. The only thing in the collector behind a mutex, because it has two
 * writers (notify and main thread) and one reader (shard), is far from the sample path, and a
 * reader that is a little late does no harm.
 *
 * Bounded: deliveries are remembered by (alert, receiver) in a table of fixed size; a collision
 * forgets the older one. Times are collector wall ms. Every function may be called by any thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOARD_TEXT_MAX      512
#define BOARD_NAME_MAX      128
#define BOARD_RECEIVERS_MAX 256

struct board;
struct board *board_new(void); // NULL: no memory
void board_free(struct board *b);
// Rises with every change: a reader that saw this number need not look again.
uint64_t board_generation(const struct board *b);
void board_touch(struct board *b); // something beside it changed that the page shows too

// NULL or "" takes the banner away.
void board_banner(struct board *b, const char *text);
void board_banner_read(struct board *b, char ret[static BOARD_TEXT_MAX]);

struct board_receiver {
    char name[BOARD_NAME_MAX];
    size_t queued;                  // alert changes waiting
    uint64_t sent, failed, dropped; // messages delivered; tries that failed; given up
    uint64_t alerts_dropped;        // changes lost to a full queue or a message given up
    size_t letters;                 // dead letters that are kept
    bool gone;                      // it answered 410: nothing is sent to it
    uint64_t template_failures; // messages that went out without a text of the configuration
    char template_error[BOARD_TEXT_MAX];    // of the last one
    uint64_t fallback_alerts;               // told to others, because this one was not reached
    int64_t last_sent_ms, failing_since_ms; // 0 = never, not failing
    int last_status;                        // HTTP, 0 = no answer
    char last_error[BOARD_TEXT_MAX];        // "" = none since the last success
};
// index < BOARD_RECEIVERS_MAX; the first write makes it exist.
void board_receiver_set(struct board *b, size_t index, const struct board_receiver *r);
// Takes it and its deliveries away; what comes at its index is another one.
void board_receiver_remove(struct board *b, size_t index);
// By index; the name of one that was taken away is "".
size_t board_receivers(struct board *b, struct board_receiver *ret, size_t max);
// One row for each name: a receiver that several routes lead to has a lane for each. Counts are summed, what
// fails longest counts; of texts and times the newest. In the order of the first of a name.
size_t board_receivers_by_name(struct board *b, struct board_receiver *ret, size_t max);

struct board_heartbeat {
    char name[BOARD_NAME_MAX], to[BOARD_NAME_MAX]; // to: without secrets
    uint64_t sent, failed;
    int64_t last_sent_ms, failing_since_ms; // 0 = never, not failing
    int last_status;                        // HTTP, 0 = no answer
    char last_error[BOARD_TEXT_MAX];        // "" = none since the last success
    char held[BOARD_NAME_MAX];              // why none is sent; "" = they are
};
#define BOARD_HEARTBEATS_MAX 16
// All there are.
void board_heartbeats_set(struct board *b, const struct board_heartbeat *h, size_t n);
size_t board_heartbeats(
    struct board *b, struct board_heartbeat ret[static BOARD_HEARTBEATS_MAX]);

enum board_outcome { BOARD_WAITING, BOARD_RETRYING, BOARD_SENT, BOARD_DROPPED };
struct board_delivery {
    uint64_t fingerprint;
    size_t receiver;
    enum board_outcome outcome;
    bool resolved; // of the resolved message, not the firing one
    int status;
    int64_t at_ms;
    unsigned tries;
};
void board_delivery_set(struct board *b, const struct board_delivery *d);
// The latest for this alert at each receiver. Returns how many were written.
size_t board_deliveries(
    struct board *b, uint64_t fingerprint, struct board_delivery *ret, size_t max);
const char *board_outcome_name(enum board_outcome o);
