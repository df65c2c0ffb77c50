// SPDX-License-Identifier: Apache-2.0
#include "rules/date.h"
#include <stdbool.h>

static bool leap(int64_t y)
{
    return y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
}

int days_in_month(int64_t year, int month)
{
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return DAYS[month - 1] + (month == 2 && leap(year));
}

// UTC from seconds since 1970, proleptic Gregorian. Years are counted from a March, so that the
// leap day comes last.
struct date date_of(double seconds)
{
    struct date d;
    int64_t s = seconds >= -9e15 && seconds <= 9e15 ? (int64_t)seconds : 0;
    int64_t day = s >= 0 ? s / 86400 : -((-s + 86399) / 86400);
    int64_t rest = s - day * 86400;
    d.hour = (int)(rest / 3600);
    d.minute = (int)(rest % 3600 / 60);
    d.weekday = (int)(((day + 4) % 7 + 7) % 7);
    int64_t z = day + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t in_era = z - era * 146097;
    int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * in_year + 2) / 153;
    d.day = (int)(in_year - (153 * month + 2) / 5 + 1);
    d.month = (int)(month < 10 ? month + 3 : month - 9);
    d.year = year + era * 400 + (d.month <= 2);
    d.yearday = d.day;
    for (int m = 1; m < d.month; m++)
        d.yearday += days_in_month(d.year, m);
    return d;
}
