// SPDX-License-Identifier: Apache-2.0
/*
 * Who is told when a receiver is not reached. A lane's firing changes that are late (deliver_late: older
 * than the fallback's `after`, or given up before that) are said on other lanes too:
 *
 *     queue of X --late--> still firing, not muted now, not known there? --> joins the lane of Y, is said
 *
 * X hears all it has to as before. Y hears the end of what it was told, because from then on the ledger
 * counts it among the alert's lanes; that and its row in the journal are all that is kept, so a crash at
 * any moment means at worst that X is tried anew first.
 *
 * Nothing is said where the alert goes anyway: a lane of the same destination. What is silenced,
 * inhibited or acknowledged then is looked at again later. Belongs to the notify thread.
 */
#pragma once
#include "collector/deliver.h"
#include "collector/ledger.h"

#define FALLBACK_LANES_MAX 64
#define FALLBACK_LOOK_MS   10000 // until what is muted is looked at again

struct fallback {
    struct ledger *ledger;
    void *ctx;
    // The lanes that are told what this one is not, into ret. Returns how many.
    size_t (*lanes)(void *ctx, uint32_t from, uint32_t *ret, size_t max);
    bool (*same)(void *ctx, uint32_t a, uint32_t b); // the same people
    unsigned (*muted)(void *ctx, const struct notice *n, uint32_t lane);
    void (*say)(void *ctx, uint32_t lane, const struct notice *n);
    // One lane more has to be through with the alert when it is over.
    void (*joined)(void *ctx, uint64_t alert_id);
};
// Looks after the queue of one lane. Returns how many times an alert was said elsewhere.
size_t fallback_look(
    const struct fallback *f, uint32_t from, struct deliver *queue, int64_t now_ms);
