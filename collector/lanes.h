// SPDX-License-Identifier: Apache-2.0
/*
 * All lanes: for each node of the routing tree one lane per integration of its receiver. A lane's
 * number is its place here. Belongs to the notify thread.
 */
#pragma once
#include "collector/lane.h"

struct lanes_options {
    const struct config *config; // borrowed, as everything here
    const char *external_url;
    struct board *board; // NULL allowed
    struct clock clock;
    struct transfers *transfers;
    bool (*quiet)(void *ctx, const struct notice *n); // see deliver.h
    void *quiet_ctx;
    struct deliveries *deliveries; // see lane.h, NULL allowed
    const struct ledger *ledger;
};
struct lanes;
struct lanes *lanes_open(const struct lanes_options *o, struct err *err); // NULL with err
void lanes_close(struct lanes *l);                                        // NULL allowed
size_t lanes_count(const struct lanes *l);
struct lane *lanes_at(const struct lanes *l, size_t number);
// Those an alert with these labels goes to, in the order of the configuration. Returns how many.
size_t lanes_of(const struct lanes *l, const struct labels *labels, uint32_t *ret, size_t max);
// Has each lane repeat nothing while its route's times mute it. Returns when that or what is muted by
// time may be different (wall ms); INT64_MAX = never.
int64_t lanes_times(struct lanes *l, int64_t wall_ms);
