// SPDX-License-Identifier: Apache-2.0
/*
 * The rules the collector brings itself: AgentDown and what watches the collector. Plain rule
 * text, parsed like any file and shown like any rule, so that an overrides document can change or
 * disable each of them. They go into every set of the collector first. Whoever checks files without being
 * one adds them before the overrides, which may name them, and takes them out again.
 */
#pragma once
#include "rules/file.h"

#define BUILTIN_FILE "built-in"
// Adds the group `tocsin` and marks its rules; d gets mistakes, of which there are none. 0, -ENOMEM.
int builtin_add(struct ruleset *set, struct diags *d);
void builtin_remove(struct ruleset *set);
