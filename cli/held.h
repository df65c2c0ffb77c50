// SPDX-License-Identifier: Apache-2.0
/*
 * Why alerts that fire are not told now, as the collector's /api/v2/alerts says: silences, inhibition, times
 * of routes, overrides. Prometheus's list knows nothing of it and has no fingerprints, so an alert is
 * found by its labels.
 */
#pragma once
#include "cli/client.h"

struct held;
// Asks the collector. NULL: it has no such list (a Prometheus has none), or no memory.
struct held *held_read(const struct cli *c);
void held_free(struct held *h); // NULL allowed
// The reasons as words with commas between, by the labels as json_labels prints them; "" = it is told, or
// not known. Lives as long as h.
const char *held_why(const struct held *h, const char *labels);
