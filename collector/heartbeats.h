// SPDX-License-Identifier: Apache-2.0
/*
 * The heartbeats of the configuration (heartbeat.h), each on a connection of its own beside those of
 * the lanes: neither waits for the other. The notify thread turns them in its loop, so one that hangs
 * sends none.
 *
 * With each the journal is written to, for a dead disk shows only when somebody writes.
 *
 * A reload opens what may fail, then takes over: a heartbeat of the same name keeps its counters, and
 * one that goes to the same place in the same way its connection and its beat too. A changed one
 * goes at once.
 *
 * Belongs to the notify thread.
 */
#pragma once
#include "base/clock.h"
#include "base/err.h"
#include "base/transfer.h"
#include "collector/board.h"
#include "collector/config.h"
#include "collector/heartbeat.h"

struct journal;
struct heartbeats_options {
    struct config *config;                         // a reference is taken
    const char *version, *instance, *external_url; // borrowed, as all below
    const struct vitals *vitals;
    struct journal *journal; // NULL: nothing is kept
    struct board *board;     // NULL allowed
    struct transfers *transfers;
    struct clock clock;
    int64_t started_ms; // wall
    // Fills in transitions and queued.
    void (*facts)(void *ctx, struct heartbeat_facts *ret);
    void *ctx;
};
struct heartbeats;
struct heartbeats *heartbeats_open(
    const struct heartbeats_options *o, struct err *err); // NULL: err
void heartbeats_close(struct heartbeats *h);              // NULL allowed
// Those of another configuration, not turned yet. NULL with err.
struct heartbeats *heartbeats_anew(
    const struct heartbeats *h, struct config *config, struct err *err);
void heartbeats_replace(struct heartbeats **h, struct heartbeats *anew); // owns anew
// Sends what is due. Returns when to be called again, INT64_MAX = when something has landed.
int64_t heartbeats_run(struct heartbeats *h, int64_t now_ms);
