// SPDX-License-Identifier: Apache-2.0
#include "collector/time_interval.h"
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define MINUTE_MS 60000LL
#define DAY_MS    86400000LL

static const char *const WEEKDAYS[] = {
    "sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", NULL};
static const char *const MONTHS[] = {"january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december", NULL};

static bool name_of(const char *const *names, const char *text, int first, int *ret)
{
    for (int i = 0; names[i]; i++)
        if (strcasecmp(names[i], text) == 0) {
            *ret = first + i;
            return true;
        }
    return false;
}

static bool whole(const char *text, int *ret)
{
    const char *digits = text + (*text == '-' || *text == '+');
    if (!isdigit((unsigned char)*digits) || strlen(digits) > 9 ||
        strspn(digits, "0123456789") != strlen(digits))
        return false;
    *ret = atoi(text);
    return true;
}

static int one(enum time_field field, const char *text, int *ret, struct err *err)
{
    bool ok = false;
    const char *what = "";
    switch (field) {
    case TIME_WEEKDAYS:
        ok = name_of(WEEKDAYS, text, 0, ret);
        what = "a weekday, e.g. monday";
        break;
    case TIME_DAYS:
        ok = whole(text, ret) && *ret >= -31 && *ret <= 31 && *ret != 0;
        what = "a day of the month: 1 to 31, or -1 (the last) to -31";
        break;
    case TIME_MONTHS:
        ok = name_of(MONTHS, text, 1, ret) || (whole(text, ret) && *ret >= 1 && *ret <= 12);
        what = "a month: 1 to 12, or its name";
        break;
    case TIME_YEARS:
        ok = whole(text, ret);
        what = "a year";
        break;
    case TIME_FIELDS: break;
    }
    if (ok)
        return 0;
    err_set(err, "`%.40s` is not %s", text, what);
    return -EINVAL;
}

// In the shortest month; what never holds there may hold in none.
static int shortest(int day)
{
    return day < 0 ? 28 + day : day;
}

int time_range_parse(
    enum time_field field, const char *text, struct time_range *ret, struct err *err)
{
    char from[64];
    const char *colon = strchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : strlen(text);
    if (len >= sizeof(from) || (colon && strchr(colon + 1, ':'))) {
        err_set(err, "`%.40s` is not a range, e.g. 1:5", text);
        return -EINVAL;
    }
    memcpy(from, text, len);
    from[len] = '\0';
    int rc = one(field, from, &ret->begin, err);
    ret->end = ret->begin;
    if (rc == 0 && colon)
        rc = one(field, colon + 1, &ret->end, err);
    if (rc < 0)
        return rc;
    bool falls = ret->begin > ret->end;
    if (field == TIME_DAYS) {
        falls = shortest(ret->begin) > shortest(ret->end);
        if (ret->begin < 0 && ret->end > 0) {
            err_set(err, "`%.40s` begins at the end of the month and ends at its start", text);
            return -EINVAL;
        }
    }
    if (!falls)
        return 0;
    err_set(err, "`%.40s` ends before it begins", text);
    return -EINVAL;
}

bool time_minutes_parse(const char *text, int *ret)
{
    if (strlen(text) != 5 || text[2] != ':')
        return false;
    for (int i = 0; i < 5; i++)
        if (i != 2 && !isdigit((unsigned char)text[i]))
            return false;
    int h = (text[0] - '0') * 10 + text[1] - '0', m = (text[3] - '0') * 10 + text[4] - '0';
    *ret = h * 60 + m;
    return m < 60 && *ret <= 24 * 60;
}

static bool in_ranges(const struct time_ranges *t, int value)
{
    for (size_t i = 0; i < t->n; i++)
        if (value >= t->r[i].begin && value <= t->r[i].end)
            return true;
    return !t->set;
}

static bool in_times(const struct time_ranges *t, int minute)
{
    for (size_t i = 0; i < t->n; i++)
        if (minute >= t->r[i].begin && minute < t->r[i].end)
            return true;
    return !t->set;
}

static int days_in_month(const struct tm *tm)
{
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int y = tm->tm_year + 1900;
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return DAYS[tm->tm_mon] + (tm->tm_mon == 1 && leap);
}

static int from_end(int day, int last)
{
    int d = day < 0 ? last + day + 1 : day;
    return d > last ? last : d;
}

static bool in_days(const struct time_ranges *t, const struct tm *tm)
{
    int last = days_in_month(tm);
    for (size_t i = 0; i < t->n; i++) {
        const struct time_range *r = &t->r[i];
        if (r->begin > last)
            continue; // 30:31 is no day of February
        if (tm->tm_mday >= from_end(r->begin, last) && tm->tm_mday <= from_end(r->end, last))
            return true;
    }
    return !t->set;
}

static bool spec_holds(const struct time_spec *s, int64_t wall_ms)
{
    int64_t utc_s = wall_ms / 1000;
    time_t local = (time_t)(utc_s + (s->zone ? zone_offset(s->zone, utc_s) : 0));
    struct tm tm;
    if (!gmtime_r(&local, &tm))
        return false;
    return in_times(&s->times, tm.tm_hour * 60 + tm.tm_min) &&
           in_days(&s->fields[TIME_DAYS], &tm) &&
           in_ranges(&s->fields[TIME_MONTHS], tm.tm_mon + 1) &&
           in_ranges(&s->fields[TIME_WEEKDAYS], tm.tm_wday) &&
           in_ranges(&s->fields[TIME_YEARS], tm.tm_year + 1900);
}

bool time_interval_holds(const struct time_interval *t, int64_t wall_ms)
{
    for (size_t i = 0; i < t->n; i++)
        if (spec_holds(&t->specs[i], wall_ms))
            return true;
    return false;
}

bool time_limits_muted(const struct time_limits *l, int64_t wall_ms)
{
    bool active = !l->n_active;
    for (size_t i = 0; i < l->n_active && !active; i++)
        active = time_interval_holds(l->active[i], wall_ms);
    for (size_t i = 0; i < l->n_mute && active; i++)
        active = !time_interval_holds(l->mute[i], wall_ms);
    return !active;
}

int64_t time_limits_next(const struct time_limits *l, int64_t wall_ms)
{
    if (!l->n_active && !l->n_mute)
        return INT64_MAX;
    // Everything changes at the full minute, in every zone of today.
    int64_t at = wall_ms - wall_ms % MINUTE_MS + MINUTE_MS, end = at + DAY_MS;
    bool now = time_limits_muted(l, wall_ms);
    while (at < end && time_limits_muted(l, at) == now)
        at += MINUTE_MS;
    return at;
}
