// SPDX-License-Identifier: Apache-2.0
/*
 * What a `load` command puts into a source: its series, and with load_with_nhcb also the native
 * histogram with custom bounds that each classic one (_bucket, _count, _sum) would be.
 */
#pragma once
#include "rules/memory_source.h"
#include "tests/promqltest/script.h"

// 0, -EINVAL with err, -ENOMEM.
int load_series(const struct command *c, struct memory_source *into, struct err *err);
