// SPDX-License-Identifier: Apache-2.0
/*
 * Acknowledgements: somebody has taken an alert on, until then and then. One per episode, so what
 * resolves and fires again is not acknowledged.
 *
 *     set --> active --until_ms, or taken back--> ended --the episode ends--> forgotten
 *
 * While active the alert is not repeated and not paged anew; that it is over is told. An ended one stays
 * as long as its episode does: a receiver that heard of the alert last before the end is reminded,
 * also after a restart. Never edits an alert.
 *
 * Pure; owns its text. Belongs to the notify thread. Times are wall clock ms.
 */
#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACKS_MAX      20000
#define ACK_OWNER_MAX 256
#define ACK_NOTE_MAX  4096
#define ACK_FOR_MAX   (30 * 24 * 3600 * 1000LL) // whoever takes longer says so again

struct ack {
    uint64_t alert_id;        // the episode's
    const char *owner, *note; // note may be ""
    int64_t at_ms, until_ms;
};
bool ack_active(const struct ack *a, int64_t now_ms); // NULL allowed: false

struct acks;
struct acks *acks_new(void); // NULL: no memory
void acks_free(struct acks *s);
// Whether owner, note and end are acceptable. 0, -EINVAL with err.
int ack_check(const struct ack *a, int64_t now_ms, struct err *err);
// Takes one that was checked, or comes from the journal, in the place of the episode's last. Copies. 0,
// -ENOSPC, -ENOMEM.
int acks_put(struct acks *s, const struct ack *a);
// Ends it now. 0 and *ret; -ENOENT: it has none that is active.
int acks_end(struct acks *s, uint64_t alert_id, int64_t now_ms, const struct ack **ret);
// The episode is over. False: it had none.
bool acks_forget(struct acks *s, uint64_t alert_id);
const struct ack *acks_get(const struct acks *s, uint64_t alert_id); // NULL
// When one next ends; INT64_MAX: never.
int64_t acks_next(const struct acks *s, int64_t now_ms);
// In no order.
void acks_each(const struct acks *s, void (*fn)(void *ctx, const struct ack *a), void *ctx);
