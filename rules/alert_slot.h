// SPDX-License-Identifier: Apache-2.0
/* What the step of the state machine (alert.c) and the place alerts are kept (alert_set.c) share. */
#pragma once
#include "rules/alert_set.h"

void alert_slot_free(struct alert_slot *s); // NULL allowed
void alert_index_put(const struct alert_set *s, struct slot_index *x, size_t i);
void alert_index_rebuild(struct alert_set *s, struct slot_index *x);
struct alert_slot *alert_find_labels(
    const struct alert_set *s, uint64_t fingerprint, const struct labels *l);
struct alert_slot *alert_find_element(const struct alert_set *s, uint64_t hash);
// Room for `more` alerts, and for all of them to end. 0, -ENOMEM.
int alert_set_reserve(struct alert_set *s, size_t more);
