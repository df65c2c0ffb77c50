// SPDX-License-Identifier: Apache-2.0
/*
 * What a page may ask over its WebSocket, read from JSON and held to its bounds (wire/live.h shows
 * the texts). Pure: text in, values out.
 */
#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMMAND_WINDOW_MS     300000 // when the command names none
#define COMMAND_WINDOW_MAX_MS (24 * 3600 * 1000LL)
#define COMMAND_STEP_MAX_MS   (3600 * 1000LL)
#define COMMAND_TIME_MAX_MS   253402300799999LL // the end of the year 9999

struct command {
    bool subscribe; // else unsubscribe
    uint16_t id;
    char *expr; // heap, subscribe only
    int64_t window_ms, step_ms, since_ms;
};

// 0, with ret->expr the caller's; -EINVAL: ret->id says whom the mistake concerns (0: unknown) and
// err what it is; -EBADMSG: not a JSON object; -ENOMEM.
int command_parse(const char *text, size_t len, struct command *ret, struct err *err);
