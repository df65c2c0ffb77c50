// SPDX-License-Identifier: Apache-2.0
// Go's time.Time and time.Duration in templates: layouts, methods, how they print.
#include "rules/date.h"
#include "rules/template_node.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const MONTHS[] = {"January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December"};
static const char *const DAYS[] = {
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};

struct moment {
    struct date d;
    int second, ms;
    int32_t offset_s;
    const char *zone;
    size_t zone_len;
};

static struct moment moment_of(const struct tmpl_value *v)
{
    int64_t local = v->i + v->offset_s * 1000LL;
    int64_t s = local / 1000 - (local % 1000 < 0);
    struct moment m = {.d = date_of((double)s),
        .second = (int)(((s % 60) + 60) % 60),
        .ms = (int)(local - s * 1000),
        .offset_s = v->offset_s,
        .zone = v->s,
        .zone_len = v->len};
    return m;
}

// -07, -0700, -07:00, with seconds when asked for; Z stands for none with a Z layout.
static void add_offset(
    int32_t offset_s, bool zulu, const char *colon, int parts, struct buf *out)
{
    int32_t a = offset_s < 0 ? -offset_s : offset_s;
    if (zulu && !offset_s) {
        buf_addc(out, 'Z');
        return;
    }
    buf_addf(out, "%c%02d", offset_s < 0 ? '-' : '+', a / 3600);
    if (parts > 1)
        buf_addf(out, "%s%02d", colon, a / 60 % 60);
    if (parts > 2)
        buf_addf(out, "%s%02d", colon, a % 60);
}

// A zone without a name shows how far it is ahead.
static void add_zone(const struct moment *m, struct buf *out)
{
    if (m->zone_len)
        buf_add(out, m->zone, m->zone_len);
    else
        add_offset(m->offset_s, false, "", m->offset_s % 3600 ? 2 : 1, out);
}

// .000 as many digits as there are, .999 without zeros at the end.
static size_t add_fraction(const char *s, size_t len, int ms, struct buf *out)
{
    size_t n = 1;
    char digits[16];
    if (len < 2 || (s[1] != '0' && s[1] != '9'))
        return 0;
    while (n < len && s[n] == s[1] && n < 10)
        n++;
    if (n < len && isdigit((unsigned char)s[n]))
        return 0;
    snprintf(digits, sizeof(digits), "%03d000000", ms);
    size_t show = n - 1 > 9 ? 9 : n - 1;
    while (s[1] == '9' && show && digits[show - 1] == '0')
        show--;
    if (show || s[1] == '0') {
        buf_addc(out, s[0]);
        buf_add(out, digits, show);
    }
    return n;
}

enum element {
    LONG_MONTH,
    MONTH,
    LONG_DAY,
    DAY,
    ZONE,
    YEAR_DAY,
    PADDED_YEAR_DAY,
    ZERO_MONTH,
    ZERO_DATE,
    ZERO_HOUR12,
    ZERO_MINUTE,
    ZERO_SECOND,
    SHORT_YEAR,
    YEAR,
    HOUR,
    DATE_PADDED,
    UPPER_PM,
    LOWER_PM,
    OFFSET_SECONDS_COLON,
    OFFSET_SECONDS,
    OFFSET_COLON,
    OFFSET,
    OFFSET_HOURS,
    Z_SECONDS_COLON,
    Z_SECONDS,
    Z_COLON,
    Z_OFFSET,
    Z_HOURS,
    NUMBER_MONTH,
    NUMBER_DATE,
    HOUR12,
    MINUTE,
    SECOND,
};
// Longer ones stand before those they begin with.
static const struct {
    const char *text;
    enum element e;
} ELEMENTS[] = {{"January", LONG_MONTH}, {"Jan", MONTH}, {"Monday", LONG_DAY}, {"Mon", DAY},
    {"MST", ZONE}, {"002", YEAR_DAY}, {"__2", PADDED_YEAR_DAY}, {"01", ZERO_MONTH},
    {"02", ZERO_DATE}, {"03", ZERO_HOUR12}, {"04", ZERO_MINUTE}, {"05", ZERO_SECOND},
    {"06", SHORT_YEAR}, {"2006", YEAR}, {"15", HOUR}, {"_2", DATE_PADDED}, {"PM", UPPER_PM},
    {"pm", LOWER_PM}, {"-07:00:00", OFFSET_SECONDS_COLON}, {"-070000", OFFSET_SECONDS},
    {"-07:00", OFFSET_COLON}, {"-0700", OFFSET}, {"-07", OFFSET_HOURS},
    {"Z07:00:00", Z_SECONDS_COLON}, {"Z070000", Z_SECONDS}, {"Z07:00", Z_COLON},
    {"Z0700", Z_OFFSET}, {"Z07", Z_HOURS}, {"1", NUMBER_MONTH}, {"2", NUMBER_DATE},
    {"3", HOUR12}, {"4", MINUTE}, {"5", SECOND}};
#define N_ELEMENTS (sizeof(ELEMENTS) / sizeof(ELEMENTS[0]))

static void add_element(enum element e, const struct moment *m, struct buf *out)
{
    int hour12 = m->d.hour % 12 ? m->d.hour % 12 : 12;
    switch (e) {
    case LONG_MONTH: buf_adds(out, MONTHS[m->d.month - 1]); break;
    case MONTH: buf_add(out, MONTHS[m->d.month - 1], 3); break;
    case LONG_DAY: buf_adds(out, DAYS[m->d.weekday]); break;
    case DAY: buf_add(out, DAYS[m->d.weekday], 3); break;
    case ZONE: add_zone(m, out); break;
    case YEAR_DAY: buf_addf(out, "%03d", m->d.yearday); break;
    case PADDED_YEAR_DAY: buf_addf(out, "%3d", m->d.yearday); break;
    case ZERO_MONTH: buf_addf(out, "%02d", m->d.month); break;
    case ZERO_DATE: buf_addf(out, "%02d", m->d.day); break;
    case ZERO_HOUR12: buf_addf(out, "%02d", hour12); break;
    case ZERO_MINUTE: buf_addf(out, "%02d", m->d.minute); break;
    case ZERO_SECOND: buf_addf(out, "%02d", m->second); break;
    case SHORT_YEAR: buf_addf(out, "%02d", (int)(m->d.year % 100)); break;
    case YEAR: buf_addf(out, "%04lld", (long long)m->d.year); break;
    case HOUR: buf_addf(out, "%02d", m->d.hour); break;
    case DATE_PADDED: buf_addf(out, "%2d", m->d.day); break;
    case UPPER_PM: buf_adds(out, m->d.hour >= 12 ? "PM" : "AM"); break;
    case LOWER_PM: buf_adds(out, m->d.hour >= 12 ? "pm" : "am"); break;
    case OFFSET_SECONDS_COLON: add_offset(m->offset_s, false, ":", 3, out); break;
    case OFFSET_SECONDS: add_offset(m->offset_s, false, "", 3, out); break;
    case OFFSET_COLON: add_offset(m->offset_s, false, ":", 2, out); break;
    case OFFSET: add_offset(m->offset_s, false, "", 2, out); break;
    case OFFSET_HOURS: add_offset(m->offset_s, false, "", 1, out); break;
    case Z_SECONDS_COLON: add_offset(m->offset_s, true, ":", 3, out); break;
    case Z_SECONDS: add_offset(m->offset_s, true, "", 3, out); break;
    case Z_COLON: add_offset(m->offset_s, true, ":", 2, out); break;
    case Z_OFFSET: add_offset(m->offset_s, true, "", 2, out); break;
    case Z_HOURS: add_offset(m->offset_s, true, "", 1, out); break;
    case NUMBER_MONTH: buf_addf(out, "%d", m->d.month); break;
    case NUMBER_DATE: buf_addf(out, "%d", m->d.day); break;
    case HOUR12: buf_addf(out, "%d", hour12); break;
    case MINUTE: buf_addf(out, "%d", m->d.minute); break;
    case SECOND: buf_addf(out, "%d", m->second); break;
    }
}

void tmpl_time_format(
    const struct tmpl_value *v, const char *layout, size_t len, struct buf *out)
{
    struct moment m = moment_of(v);
    for (size_t at = 0; at < len;) {
        size_t n = layout[at] == '.' || layout[at] == ','
                       ? add_fraction(layout + at, len - at, m.ms, out)
                       : 0;
        for (size_t i = 0; n == 0 && i < N_ELEMENTS; i++) {
            size_t size = strlen(ELEMENTS[i].text);
            bool here = size <= len - at && !memcmp(layout + at, ELEMENTS[i].text, size);
            // Jan is none in January's likes: Janet.
            bool word = (ELEMENTS[i].e == MONTH || ELEMENTS[i].e == DAY) && size < len - at &&
                        islower((unsigned char)layout[at + size]);
            // _2006 is an underscore and a year.
            bool year = ELEMENTS[i].e == DATE_PADDED && len - at >= 5 &&
                        !memcmp(layout + at, "_2006", 5);
            if (!here || word || year)
                continue;
            add_element(ELEMENTS[i].e, &m, out);
            n = size;
        }
        if (n == 0) {
            buf_addc(out, layout[at]);
            n = 1;
        }
        at += n;
    }
}

void tmpl_time_print(const struct tmpl_value *v, struct buf *out)
{
    static const char LAYOUT[] = "2006-01-02 15:04:05.999999999 -0700 MST";
    tmpl_time_format(v, LAYOUT, sizeof(LAYOUT) - 1, out);
}

// 1h2m3.5s, 1.5ms, 0s.
void tmpl_duration_print(int64_t ns, struct buf *out)
{
    uint64_t u = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    const char *unit = u < 1000 ? "ns" : u < 1000000 ? "\xc2\xb5s" : "ms";
    uint64_t of = u < 1000 ? 1 : u < 1000000 ? 1000 : 1000000, whole = u / of, part = u % of;
    int digits = u < 1000 ? 0 : u < 1000000 ? 3 : 6;
    if (!u) {
        buf_adds(out, "0s");
        return;
    }
    buf_adds(out, ns < 0 ? "-" : "");
    if (u >= 1000000000) {
        uint64_t s = u / 1000000000;
        if (s >= 3600)
            buf_addf(out, "%lluh", (unsigned long long)(s / 3600));
        if (s >= 60)
            buf_addf(out, "%llum", (unsigned long long)(s / 60 % 60));
        whole = s % 60;
        part = u % 1000000000;
        digits = 9;
        unit = "s";
    }
    buf_addf(out, "%llu", (unsigned long long)whole);
    if (part) {
        char text[16];
        int n = snprintf(text, sizeof(text), "%0*llu", digits, (unsigned long long)part);
        while (n > 0 && text[n - 1] == '0')
            n--;
        buf_addf(out, ".%.*s", n, text);
    }
    buf_adds(out, unit);
}

// --- methods ---------------------------------------------------------------------------------
#define ARGS                                                                                   \
    struct tmpl_run *r, const struct tmpl_value *from, const char *name,                       \
        const struct tmpl_value *a, size_t n, struct tmpl_value *ret

static bool wrong_count(struct tmpl_run *r, const char *name, size_t want, size_t n)
{
    return tmpl_fail(
        r, "`%s` takes %zu argument%s, not %zu", name, want, want == 1 ? "" : "s", n);
}

static void whole(struct tmpl_value *ret, int64_t v)
{
    *ret = (struct tmpl_value){.kind = TV_INT, .i = v};
}

// A part of the time as a number; false: it is none of these.
static bool part(const struct moment *m, int64_t ms, const char *name, int64_t *ret)
{
    const struct {
        const char *name;
        int64_t value;
    } parts[] = {{"Year", m->d.year}, {"Day", m->d.day}, {"Hour", m->d.hour},
        {"Minute", m->d.minute}, {"Second", m->second}, {"YearDay", m->d.yearday},
        {"Nanosecond", m->ms * 1000000LL}, {"Unix", ms / 1000 - (ms % 1000 < 0)},
        {"UnixMilli", ms}, {"UnixMicro", ms * 1000},
        {"UnixNano", ms > INT64_MAX / 1000000 || ms < INT64_MIN / 1000000 ? 0 : ms * 1000000}};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (!strcmp(parts[i].name, name)) {
            *ret = parts[i].value;
            return true;
        }
    return false;
}

static bool finish(struct tmpl_run *r, struct buf *b, struct tmpl_value *ret)
{
    bool ok = b->failed ? tmpl_fail_large(r, "the text is too long")
                        : tmpl_string(r, b->data, b->len, ret);
    buf_done(b);
    return ok;
}

static bool time_text(ARGS)
{
    struct buf out;
    bool format = !strcmp(name, "Format");
    if (n != format)
        return wrong_count(r, name, format, n);
    if (format && !tmpl_want(r, &a[0], TV_STRING))
        return false;
    buf_init(&out, TMPL_RESULT_MAX);
    if (format)
        tmpl_time_format(from, a[0].s, a[0].len, &out);
    else
        tmpl_time_print(from, &out);
    return finish(r, &out, ret);
}

// Before, After, Equal, Sub: another time. Add: a duration.
static bool time_against(ARGS)
{
    bool add = !strcmp(name, "Add");
    if (n != 1)
        return wrong_count(r, name, 1, n);
    if (add && a[0].kind == TV_INT) {
        // A plain number is one of nanoseconds, as in Go.
    } else if (!tmpl_want(r, &a[0], add ? TV_DURATION : TV_TIME)) {
        return false;
    }
    if (add) {
        *ret = *from;
        ret->i += a[0].i / 1000000;
    } else if (!strcmp(name, "Sub")) {
        int64_t ms = from->i - a[0].i, most = INT64_MAX / 1000000;
        *ret = (struct tmpl_value){.kind = TV_DURATION,
            .i = ms > most    ? INT64_MAX
                 : ms < -most ? INT64_MIN
                              : ms * 1000000};
    } else {
        bool yes = name[0] == 'B'   ? from->i < a[0].i
                   : name[0] == 'A' ? from->i > a[0].i
                                    : from->i == a[0].i;
        *ret = (struct tmpl_value){.kind = TV_BOOL, .b = yes};
    }
    return true;
}

static bool duration_field(
    struct tmpl_run *r, const struct tmpl_value *from, const char *name, struct tmpl_value *ret)
{
    struct buf out;
    const double S = 1e9;
    if (!strcmp(name, "Seconds"))
        *ret = (struct tmpl_value){.kind = TV_FLOAT, .f = (double)from->i / S};
    else if (!strcmp(name, "Minutes"))
        *ret = (struct tmpl_value){.kind = TV_FLOAT, .f = (double)from->i / S / 60};
    else if (!strcmp(name, "Hours"))
        *ret = (struct tmpl_value){.kind = TV_FLOAT, .f = (double)from->i / S / 3600};
    else if (!strcmp(name, "Milliseconds"))
        whole(ret, from->i / 1000000);
    else if (!strcmp(name, "Nanoseconds"))
        whole(ret, from->i);
    else if (strcmp(name, "String") != 0)
        return tmpl_fail_sure(r, "no field %s in a value of type time.Duration", name);
    else {
        buf_init(&out, TMPL_RESULT_MAX);
        tmpl_duration_print(from->i, &out);
        return finish(r, &out, ret);
    }
    return true;
}

bool tmpl_time_field(ARGS)
{
    static const char *const AGAINST[] = {"Add", "Sub", "Before", "After", "Equal"};
    struct moment m;
    int64_t number;
    if (from->kind == TV_DURATION)
        return n ? wrong_count(r, name, 0, n) : duration_field(r, from, name, ret);
    if (!strcmp(name, "Format") || !strcmp(name, "String"))
        return time_text(r, from, name, a, n, ret);
    for (size_t i = 0; i < sizeof(AGAINST) / sizeof(AGAINST[0]); i++)
        if (!strcmp(name, AGAINST[i]))
            return time_against(r, from, name, a, n, ret);
    m = moment_of(from);
    if (n)
        return wrong_count(r, name, 0, n);
    if (part(&m, from->i, name, &number))
        whole(ret, number);
    else if (!strcmp(name, "Month"))
        *ret = tmpl_text(MONTHS[m.d.month - 1]);
    else if (!strcmp(name, "Weekday"))
        *ret = tmpl_text(DAYS[m.d.weekday]);
    else if (!strcmp(name, "IsZero"))
        *ret = (struct tmpl_value){.kind = TV_BOOL, .b = from->i == TEMPLATE_NO_TIME};
    else if (!strcmp(name, "UTC") || !strcmp(name, "Local"))
        *ret = tmpl_time(from->i); // of this program local time is UTC
    else
        return tmpl_fail_sure(r, "no field %s in a value of type time.Time", name);
    return true;
}
