// SPDX-License-Identifier: Apache-2.0
/* Seconds since 1970 as a UTC date, proleptic Gregorian, without the C library's idea of time. */
#pragma once
#include <stdint.h>

struct date {
    int64_t year;
    int month, day, weekday, yearday, hour, minute;
};
struct date date_of(double seconds); // of what no date has, 1970
int days_in_month(int64_t year, int month);
