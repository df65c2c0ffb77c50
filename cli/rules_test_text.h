// SPDX-License-Identifier: Apache-2.0
/*
 * A failed case of a rule test for people: what differs, expected beside found, and for an alert what
 * became of it during the test.
 *
 *     alert QueueFull at 7s  (api.test.yaml:12:20)
 *       {host="a"}
 *                   expected  got
 *         severity  page      ticket
 *       expected, not firing: {host="b", severity="page"}
 *       timeline, one column is 1s: . inactive, p pending, F firing, ^ this check
 *         {host="a"}  .....FFF
 *                            ^
 */
#pragma once
#include "rules/rule_test.h"
#include <stdio.h>

// file is the test file's name. False: out of memory.
bool rules_test_print(const struct rule_test_result *r, const struct rule_test_case *c,
    const char *file, bool color, FILE *out);
