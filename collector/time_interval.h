// SPDX-License-Identifier: Apache-2.0
/*
 * Alertmanager's time intervals: named sets of weekly, monthly and yearly times in which a route is
 * muted, or outside of which it is.
 *
 *     time_intervals:
 *       - name: offhours
 *         time_intervals:
 *           - weekdays: ['saturday', 'sunday']
 *           - times: [{start_time: '18:00', end_time: '24:00'}]
 *             location: Europe/Berlin
 *
 * An interval holds if one of its specs does; a spec holds if each field it has does; a field if one of
 * its ranges does. Ranges include both ends, times do not include their end. Days of the month
 * below zero count from its end. Without a location times are UTC. Source: Alertmanager's
 * configuration documentation and behaviour of 0.25.
 *
 * Pure. All memory is the configuration's.
 */
#pragma once
#include "base/err.h"
#include "base/zone.h"

enum time_field { TIME_WEEKDAYS, TIME_DAYS, TIME_MONTHS, TIME_YEARS, TIME_FIELDS };

struct time_range {
    int begin, end; // minutes of the day; weekday, Sunday 0; day; month; year
};
struct time_ranges {
    const struct time_range *r;
    size_t n;
    bool set; // an empty list is one that never holds
};
struct time_spec {
    struct time_ranges times, fields[TIME_FIELDS];
    const struct zone *zone; // NULL = UTC
};
struct time_interval {
    const char *name;
    const struct time_spec *specs;
    size_t n;
};

// "monday:friday", "-3:-1", "2024". 0; -EINVAL with err.
int time_range_parse(
    enum time_field field, const char *text, struct time_range *ret, struct err *err);
// "00:00" to "24:00" as minutes.
bool time_minutes_parse(const char *text, int *ret);
bool time_interval_holds(const struct time_interval *t, int64_t wall_ms);

// What a route says of time. Nothing named: never muted.
struct time_limits {
    const struct time_interval **mute, **active;
    size_t n_mute, n_active;
};
bool time_limits_muted(const struct time_limits *l, int64_t wall_ms);
// When that may be different, at most a day ahead; INT64_MAX = never.
int64_t time_limits_next(const struct time_limits *l, int64_t wall_ms);
