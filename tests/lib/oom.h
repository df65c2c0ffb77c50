// SPDX-License-Identifier: Apache-2.0
/*
 * Makes one allocation of the code under test fail. Test programs are linked with
 * --wrap=malloc,calloc,realloc,strdup, so only our own objects are counted, not libc or other
 * libraries, and only on the thread that armed it, between oom_fail_at and oom_stop.
 *
 *     for (int nth = 1;; nth++) {
 *         oom_fail_at(nth);
 *         int rc = thing_parse(TEXT, &thing);
 *         bool hit = oom_stop();
 *         thing_done(&thing);
 *         if (!hit) { CU_ASSERT_EQUAL(rc, 0); break; }
 *         CU_ASSERT_EQUAL(rc, -ENOMEM);
 *     }
 *
 * The sanitizers see every other allocation as usual, so the same loop finds leaks.
 */
#pragma once
#include <stdbool.h>

void oom_fail_at(int nth); // 1 = the next allocation; only that one fails
bool oom_stop(void);       // true if it was reached
