// SPDX-License-Identifier: Apache-2.0
#include "base/when.h"
#include "base/clock.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t when_now_ms(void)
{
    struct clock c = clock_system();
    return clock_wall_ms(&c);
}

// Exactly n digits at *p.
static bool digits(const char **p, int n, int *ret)
{
    int v = 0;
    for (int i = 0; i < n; i++, (*p)++) {
        if (**p < '0' || **p > '9')
            return false;
        v = v * 10 + (**p - '0');
    }
    *ret = v;
    return true;
}

static bool mark(const char **p, const char *any)
{
    return **p && strchr(any, **p) && (*p)++;
}

// ".123456789" to milliseconds, the rest dropped.
static bool fraction(const char **p, int *ret_ms)
{
    int ms = 0, n = 0;
    if (**p != '.')
        return true;
    for ((*p)++; **p >= '0' && **p <= '9'; (*p)++, n++)
        if (n < 3)
            ms = ms * 10 + (**p - '0');
    for (int i = n; i < 3; i++)
        ms *= 10;
    *ret_ms = ms;
    return n > 0;
}

static bool zone(const char **p, int *ret_minutes)
{
    int hour, minute;
    *ret_minutes = 0;
    if (mark(p, "Zz"))
        return true;
    int sign = **p == '-' ? -1 : 1;
    if (!mark(p, "+-") || !digits(p, 2, &hour) || !mark(p, ":") || !digits(p, 2, &minute))
        return false;
    *ret_minutes = sign * (hour * 60 + minute);
    return hour < 24 && minute < 60;
}

bool when_parse(const char *text, int64_t *ret_ms)
{
    struct tm tm = {0};
    const char *p = text;
    int ms = 0, offset = 0;
    if (!digits(&p, 4, &tm.tm_year) || !mark(&p, "-") || !digits(&p, 2, &tm.tm_mon) ||
        !mark(&p, "-") || !digits(&p, 2, &tm.tm_mday) || !mark(&p, "Tt ") ||
        !digits(&p, 2, &tm.tm_hour) || !mark(&p, ":") || !digits(&p, 2, &tm.tm_min) ||
        !mark(&p, ":") || !digits(&p, 2, &tm.tm_sec) || !fraction(&p, &ms) ||
        !zone(&p, &offset) || *p)
        return false;
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 ||
        tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
        return false;
    if (tm.tm_year == 1) {
        *ret_ms = 0;
        return true;
    }
    tm.tm_year -= 1900;
    tm.tm_mon--;
    *ret_ms = ((int64_t)timegm(&tm) - offset * 60) * 1000 + ms;
    return true;
}

const char *when_clock(int64_t ms, char ret[static WHEN_TEXT_MAX])
{
    time_t s = ms / 1000;
    struct tm tm;
    size_t n = localtime_r(&s, &tm) ? strftime(ret, WHEN_TEXT_MAX, "%H:%M:%S", &tm) : 0;
    snprintf(ret + n, WHEN_TEXT_MAX - n, ".%03d", (int)(ms % 1000 < 0 ? 0 : ms % 1000));
    return ret;
}
