// SPDX-License-Identifier: Apache-2.0
/*
 * A time zone: how far local time is ahead of UTC at an instant. Read from the system's zone files
 * (TZif, RFC 8536) by code of our own, because the C library knows one zone per process and setting
 * another one races with every thread that looks at a clock.
 *
 *     transitions  ... 2036-10-26 +1h ] then the rule of the footer: CET-1CEST,M3.5.0,M10.5.0/3
 *
 * Pure but for zone_read. Memory is the arena's; unchanging once made, so any thread may read it.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZONE_FILE_MAX (64u << 10)

// When the clocks change in a year, as POSIX writes it in TZ.
struct zone_change {
    enum {
        ZONE_JULIAN,
        ZONE_DAY,
        ZONE_WEEKDAY
    } kind; // J1..365 without 29 February; 0..365; Mm.w.d
    int month, week, day;
    int32_t at_s; // of local time, on that day; may be negative or above 24 h
};
struct zone {
    int64_t *at; // rising; from at[i] on, offset_s[i] holds
    int32_t *offset_s;
    size_t n;
    int32_t first_s; // before at[0]
    bool ruled;      // after the last transition: the rule below
    bool has_dst;
    int32_t std_s, dst_s; // seconds east of Greenwich
    struct zone_change to_dst, to_std;
};

// The bytes of a zone file. 0; -EINVAL with err; -ENOMEM.
int zone_parse(
    const void *data, size_t len, struct arena *a, struct zone *ret, struct err *err);
// Seconds to add to UTC to have local time.
int32_t zone_offset(const struct zone *z, int64_t utc_s);
// "Europe/Berlin" of the system's zones; "UTC"; "Local" is this machine's. 0 or -errno with err.
int zone_read(const char *name, struct arena *a, struct zone *ret, struct err *err);
