// SPDX-License-Identifier: Apache-2.0
#include "base/zone.h"
#include "base/buf.h"
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#define HEADER      44
#define FOLDER      "/usr/share/zoneinfo/"
#define LOCAL_FILE  "/etc/localtime"
#define CHANGES_MAX 4096
#define DAY_S       86400

// --- the footer: POSIX TZ ------------------------------------------------------------------------

static bool read_name(const char **at)
{
    const char *s = *at, *end = s;
    if (*s == '<') {
        end = strchr(s, '>');
        if (!end)
            return false;
        *at = end + 1;
        return end - s >= 4;
    }
    while (isalpha((unsigned char)*end))
        end++;
    *at = end;
    return end - s >= 3;
}

static bool read_number(const char **at, int low, int high, int *ret)
{
    const char *s = *at;
    int v = 0;
    if (!isdigit((unsigned char)*s))
        return false;
    for (; isdigit((unsigned char)*s) && v <= high; s++)
        v = v * 10 + (*s - '0');
    *at = s;
    *ret = v;
    return v >= low && v <= high;
}

// [+-]hh[:mm[:ss]]; hours up to 167, as RFC 8536 extends it.
static bool read_time(const char **at, int32_t *ret_s)
{
    int h = 0, m = 0, s = 0;
    bool minus = **at == '-';
    if (**at == '-' || **at == '+')
        (*at)++;
    if (!read_number(at, 0, 167, &h))
        return false;
    if (**at == ':') {
        (*at)++;
        if (!read_number(at, 0, 59, &m))
            return false;
        if (**at == ':') {
            (*at)++;
            if (!read_number(at, 0, 59, &s))
                return false;
        }
    }
    *ret_s = (h * 60 + m) * 60 + s;
    if (minus)
        *ret_s = -*ret_s;
    return true;
}

static bool read_dot(const char **at)
{
    if (**at != '.')
        return false;
    (*at)++;
    return true;
}

static bool read_change(const char **at, struct zone_change *c)
{
    c->at_s = 2 * 3600;
    if (**at != ',')
        return false;
    (*at)++;
    if (**at == 'J') {
        (*at)++;
        c->kind = ZONE_JULIAN;
        if (!read_number(at, 1, 365, &c->day))
            return false;
    } else if (**at == 'M') {
        (*at)++;
        c->kind = ZONE_WEEKDAY;
        if (!read_number(at, 1, 12, &c->month) || !read_dot(at) ||
            !read_number(at, 1, 5, &c->week) || !read_dot(at) ||
            !read_number(at, 0, 6, &c->day))
            return false;
    } else {
        c->kind = ZONE_DAY;
        if (!read_number(at, 0, 365, &c->day))
            return false;
    }
    if (**at != '/')
        return true;
    (*at)++;
    return read_time(at, &c->at_s);
}

static bool read_rule(const char *s, struct zone *z)
{
    if (!*s)
        return true; // nothing is known of the time after the last transition: it goes on as it is
    if (!read_name(&s) || !read_time(&s, &z->std_s))
        return false;
    z->std_s = -z->std_s; // POSIX counts west
    z->dst_s = z->std_s;
    z->ruled = true;
    if (!*s)
        return true;
    z->has_dst = true;
    if (!read_name(&s))
        return false;
    z->dst_s = z->std_s + 3600;
    if (*s != ',') {
        if (!read_time(&s, &z->dst_s))
            return false;
        z->dst_s = -z->dst_s;
    }
    return read_change(&s, &z->to_dst) && read_change(&s, &z->to_std) && !*s;
}

static int64_t day_of(int year, int month, int day)
{
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    return timegm(&tm) / DAY_S;
}

// Seconds since 1970 in the local time that holds until the change.
static int64_t change_at(const struct zone_change *c, int year)
{
    int64_t day = 0, first;
    switch (c->kind) {
    case ZONE_JULIAN: // 1 March is 60 in every year
        day = c->day < 60 ? day_of(year, 1, 1) + c->day - 1 : day_of(year, 3, 1) + c->day - 60;
        break;
    case ZONE_DAY: day = day_of(year, 1, 1) + c->day; break;
    case ZONE_WEEKDAY:
        first = day_of(year, c->month, 1);
        // 1970-01-01 was a Thursday.
        day = first + (c->day - (first + 4) % 7 + 7) % 7 + (c->week - 1) * 7;
        if (day >= day_of(year, c->month + 1, 1)) // the fifth is the last
            day -= 7;
        break;
    }
    return day * DAY_S + c->at_s;
}

static int32_t ruled(const struct zone *z, int64_t utc_s)
{
    if (!z->has_dst)
        return z->std_s;
    time_t local = (time_t)(utc_s + z->std_s);
    struct tm tm;
    if (!gmtime_r(&local, &tm))
        return z->std_s;
    int year = tm.tm_year + 1900;
    int64_t dst = change_at(&z->to_dst, year) - z->std_s;
    int64_t std = change_at(&z->to_std, year) - z->dst_s;
    bool on = dst < std ? utc_s >= dst && utc_s < std : !(utc_s >= std && utc_s < dst);
    return on ? z->dst_s : z->std_s;
}

// --- the file ------------------------------------------------------------------------------------

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t be64(const uint8_t *p)
{
    return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

struct counts {
    size_t isut, isstd, leap, time, type, chars,
        size; // size of the block, with times of `width`
};

static bool read_header(const uint8_t *p, size_t len, size_t width, struct counts *c)
{
    if (len < HEADER || memcmp(p, "TZif", 4) != 0)
        return false;
    c->isut = be32(p + 20);
    c->isstd = be32(p + 24);
    c->leap = be32(p + 28);
    c->time = be32(p + 32);
    c->type = be32(p + 36);
    c->chars = be32(p + 40);
    size_t most = ZONE_FILE_MAX;
    if (c->isut > most || c->isstd > most || c->leap > most || c->time > CHANGES_MAX ||
        c->type > 256 || c->chars > most)
        return false;
    c->size = c->time * (width + 1) + c->type * 6 + c->chars + c->leap * (width + 4) +
              c->isstd + c->isut;
    return c->size <= len - HEADER;
}

static bool read_block(const uint8_t *p, const struct counts *c, struct zone *z)
{
    const uint8_t *index = p + c->time * 8, *types = index + c->time;
    z->n = c->time;
    z->first_s = (int32_t)be32(types);
    for (size_t i = 0; i < c->time; i++) {
        if (index[i] >= c->type)
            return false;
        z->at[i] = be64(p + i * 8);
        z->offset_s[i] = (int32_t)be32(types + (size_t)index[i] * 6);
        if (i && z->at[i] <= z->at[i - 1])
            return false;
    }
    return true;
}

int zone_parse(const void *data, size_t len, struct arena *a, struct zone *ret, struct err *err)
{
    const uint8_t *p = data;
    struct counts c;
    char rule[128];
    memset(ret, 0, sizeof(*ret));
    // The first block has 32-bit times, for readers of 1990; the second one is whole.
    if (!read_header(p, len, 4, &c) || p[4] < '2')
        goto broken;
    p += HEADER + c.size;
    len -= HEADER + c.size;
    if (!read_header(p, len, 8, &c) || !c.type || c.leap)
        goto broken;
    ret->at = arena_alloc(a, (c.time + 1) * sizeof(*ret->at));
    ret->offset_s = arena_alloc(a, (c.time + 1) * sizeof(*ret->offset_s));
    if (!ret->at || !ret->offset_s) {
        err_set(err, "out of memory");
        return -ENOMEM;
    }
    if (!read_block(p + HEADER, &c, ret))
        goto broken;
    p += HEADER + c.size;
    len -= HEADER + c.size;
    const uint8_t *end = len > 1 ? memchr(p + 1, '\n', len - 1) : NULL;
    if (!end || p[0] != '\n' || (size_t)(end - p) > sizeof(rule))
        goto broken;
    memcpy(rule, p + 1, (size_t)(end - p) - 1);
    rule[end - p - 1] = '\0';
    if (read_rule(rule, ret))
        return 0;
broken:
    err_set(err, "this is no zone file we can read");
    return -EINVAL;
}

int32_t zone_offset(const struct zone *z, int64_t utc_s)
{
    size_t lo = 0, hi = z->n; // lo: how many transitions are not after utc_s
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (z->at[mid] <= utc_s)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == z->n && z->ruled)
        return ruled(z, utc_s);
    return lo ? z->offset_s[lo - 1] : z->first_s;
}

int zone_read(const char *name, struct arena *a, struct zone *ret, struct err *err)
{
    char path[256];
    struct buf b;
    memset(ret, 0, sizeof(*ret));
    if (!*name || strcmp(name, "UTC") == 0)
        return 0;
    size_t known =
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/");
    if (name[known] || name[0] == '/' || strlen(name) > 100) {
        err_set(err, "`%.60s` is no time zone; e.g. Europe/Berlin", name);
        return -EINVAL;
    }
    snprintf(path, sizeof(path), "%s%s", FOLDER, name);
    if (strcmp(name, "Local") == 0)
        strcpy(path, LOCAL_FILE);
    buf_init(&b, ZONE_FILE_MAX);
    int rc = buf_add_path(&b, path);
    if (rc == -ENOENT && strcmp(name, "Local") == 0)
        rc = 1; // a machine without the file is on UTC
    if (rc == -ENOENT || rc == -EISDIR)
        err_set(err, "there is no time zone `%.60s` in %s", name, FOLDER);
    else if (rc < 0)
        err_set(err, "%s: %s", path, strerror(-rc));
    else if (rc == 0)
        rc = zone_parse(b.data, b.len, a, ret, err);
    buf_done(&b);
    return rc < 0 ? rc : 0;
}
