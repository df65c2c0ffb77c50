// SPDX-License-Identifier: Apache-2.0
/* Instants as text: wall milliseconds since 1970 and RFC 3339. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

int64_t when_now_ms(void);
// "2026-11-25T04:20:01.123456789Z", with an offset in place of Z too. Go's zero time is 0. False
// for anything else.
bool when_parse(const char *text, int64_t *ret_ms);
#define WHEN_TEXT_MAX 16
// Local "04:20:01.123".
const char *when_clock(int64_t ms, char ret[static WHEN_TEXT_MAX]);
