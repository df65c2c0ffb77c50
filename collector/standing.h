// SPDX-License-Identifier: Apache-2.0
/*
 * Which alerts fire now, to be compared with what a dead letter says: a letter that says that one fires
 * which is over, or that one is over which fires again, would tell the receiver what is not so.
 *
 * A picture of one moment. Belongs to the notify thread; the ledger is borrowed.
 */
#pragma once
#include "base/map.h"
#include "collector/ledger.h"
#include "collector/letters.h"

struct standing {
    const struct ledger *ledger;
    struct map firing; // fingerprints
};
// Without memory some are missing: a letter seems out of date then, and is not sent on its own.
void standing_init(struct standing *s, const struct ledger *ledger);
void standing_done(struct standing *s);
bool standing_fires(const struct standing *s, const struct letter_alert *a);
// How many of the letter's alerts are not as it says.
size_t standing_differs(const struct standing *s, const struct letter *l);
