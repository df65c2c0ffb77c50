// SPDX-License-Identifier: Apache-2.0
/*
 * The newest notice of each of some alerts, sorted by fingerprint. Holds references.
 */
#pragma once
#include "collector/notice.h"
#include <stddef.h>

struct notice_set { // all zero is empty
    const struct notice **n;
    size_t count, cap;
};
void notice_set_done(struct notice_set *s);
const struct notice *notice_set_find(const struct notice_set *s, uint64_t fingerprint); // NULL
// Keeps it, in place of an older one of the same alert. 0, -ENOMEM: the set is as it was.
int notice_set_put(struct notice_set *s, const struct notice *n);
void notice_set_remove(struct notice_set *s, uint64_t fingerprint);
