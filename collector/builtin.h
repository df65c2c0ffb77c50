// SPDX-License-Identifier: Apache-2.0
/*
 * The rules the collector brings itself: AgentDown and what watches the collector. Plain rule
 * text, parsed like any file and shown like any rule, so that an overrides document can change or
 * disable each of them. They go into every set first.
 */
#pragma once
#include "rules/file.h"

#define BUILTIN_FILE "built-in"
// Adds the group `tocsin` and marks its rules; d gets mistakes, of which there are none.
void builtin_add(struct ruleset *set, struct diags *d);
