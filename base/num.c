// SPDX-License-Identifier: Apache-2.0
/*
 * printf and strtod use the locale's decimal point; no program of ours calls setlocale, so that
 * is always the dot.
 */
#include "base/num.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// d1.d2d3... * 10^exp
struct decimal {
    char digits[20];
    int n;   // at least 1
    int exp; // of the first digit
    bool negative;
};

// Fills d with `precision` significant digits, correctly rounded, without trailing zeros.
static void round_to(double v, int precision, struct decimal *d)
{
    char text[40];
    snprintf(text, sizeof(text), "%.*e", precision - 1, fabs(v));
    const char *e = strchr(text, 'e');
    d->n = 0;
    for (const char *p = text; p < e; p++)
        if (*p != '.')
            d->digits[d->n++] = *p;
    while (d->n > 1 && d->digits[d->n - 1] == '0')
        d->n--;
    d->exp = (int)strtol(e + 1, NULL, 10);
}

static double value_of(const struct decimal *d)
{
    char text[40];
    snprintf(text, sizeof(text), "%c.%.*se%d", d->digits[0], d->n - 1, d->digits + 1, d->exp);
    return strtod(text, NULL);
}

// The next larger decimal of 16 digits. At a power of two the gap below is half the gap above,
// so the nearest 16 digits may read back as another double while these do not.
static bool next_up(struct decimal *d)
{
    while (d->n < 16)
        d->digits[d->n++] = '0';
    int i = d->n - 1;
    while (i >= 0 && d->digits[i] == '9')
        i--;
    if (i < 0)
        return false;
    d->digits[i]++;
    d->n = i + 1;
    return true;
}

static void shortest(double v, struct decimal *d)
{
    double a = fabs(v);
    d->negative = signbit(v);
    // Any 15 digits survive the way through a normal double and back, so the shortest answer
    // of at most 15 digits is the one with its zeros cut; subnormals have fewer digits.
    int precision = fpclassify(a) == FP_SUBNORMAL ? 1 : 15;
    for (; precision < 17; precision++) {
        round_to(a, precision, d);
        if (value_of(d) == a)
            return;
        if (precision == 16 && next_up(d) && value_of(d) == a)
            return;
    }
    round_to(a, 17, d);
}

static size_t special(double v, char *buf)
{
    const char *s = isnan(v) ? "NaN" : isinf(v) ? (v > 0 ? "+Inf" : "-Inf") : NULL;
    if (!s)
        return 0;
    strcpy(buf, s);
    return strlen(s);
}

static size_t put_plain(const struct decimal *d, char *buf)
{
    char *p = buf;
    if (d->negative)
        *p++ = '-';
    if (d->exp < 0) {
        *p++ = '0';
        *p++ = '.';
        for (int i = -1; i > d->exp; i--)
            *p++ = '0';
    }
    int i = 0;
    for (; i < d->n; i++) {
        if (d->exp >= 0 && i == d->exp + 1)
            *p++ = '.';
        *p++ = d->digits[i];
    }
    for (; i <= d->exp; i++)
        *p++ = '0';
    *p = '\0';
    return (size_t)(p - buf);
}

// Whole numbers below 2^53, most of what is printed, need no search.
static size_t put_integer(double v, double below, char *buf)
{
    if (!(fabs(v) < below) || v != trunc(v))
        return 0;
    return (size_t)sprintf(buf, "%s%lld", v == 0 && signbit(v) ? "-" : "", (long long)v);
}

size_t num_fixed(double v, char buf[static NUM_FIXED_MAX])
{
    size_t n = special(v, buf);
    if (n == 0)
        n = put_integer(v, 9007199254740992.0, buf);
    if (n > 0)
        return n;
    struct decimal d;
    shortest(v, &d);
    return put_plain(&d, buf);
}

size_t num_short(double v, char buf[static NUM_TEXT_MAX])
{
    size_t n = special(v, buf);
    // Go decides by six digits when it prints the shortest text: 1000000 is 1e+06.
    if (n == 0)
        n = put_integer(v, 1000000.0, buf);
    if (n > 0)
        return n;
    struct decimal d;
    shortest(v, &d);
    if (d.exp >= -4 && d.exp < 6)
        return put_plain(&d, buf);
    return (size_t)sprintf(buf, "%s%c%s%.*se%c%02d", d.negative ? "-" : "", d.digits[0],
        d.n > 1 ? "." : "", d.n - 1, d.digits + 1, d.exp < 0 ? '-' : '+', abs(d.exp));
}

static bool equals_nocase(const char *s, size_t len, const char *word)
{
    return len == strlen(word) && strncasecmp(s, word, len) == 0;
}

static bool is_digit(char c, bool hex)
{
    return hex ? isxdigit((unsigned char)c) != 0 : c >= '0' && c <= '9';
}

// Copies digits, an underscore allowed between two of them. Returns how many digits, -1 if an
// underscore stands elsewhere.
static int take_digits(const char **s, const char *end, bool hex, char **out)
{
    int n = 0;
    while (*s < end) {
        char c = **s;
        if (is_digit(c, hex)) {
            *(*out)++ = c;
            n++;
        } else if (c == '_') {
            if (n == 0 || *s + 1 == end || !is_digit((*s)[1], hex))
                return -1;
        } else {
            break;
        }
        (*s)++;
    }
    return n;
}

static bool take_exponent(const char **s, const char *end, char **out)
{
    *(*out)++ = *(*s)++;
    if (*s < end && (**s == '+' || **s == '-'))
        *(*out)++ = *(*s)++;
    return take_digits(s, end, false, out) > 0;
}

#define NUMBER_TEXT_MAX 400

// A sign, up to 15 digits and a point: what pages and datagrams are full of. The digits and the power of
// ten they are divided by are exact doubles, so the quotient is the nearest one, as strtod's.
static bool parse_short(const char *s, size_t len, double *ret)
{
    static const double POWERS[] = {
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    uint64_t n = 0;
    int digits = 0, behind = 0;
    bool point = false;
    for (size_t i = len && (*s == '-' || *s == '+'); i < len; i++) {
        if (s[i] == '.' && !point) {
            point = true;
            continue;
        }
        if (s[i] < '0' || s[i] > '9' || digits == 15)
            return false;
        n = n * 10 + (uint64_t)(s[i] - '0');
        digits++;
        behind += point;
    }
    if (digits == 0)
        return false;
    double v = (double)n / POWERS[behind];
    *ret = *s == '-' ? -v : v;
    return true;
}

bool num_parse(const char *s, size_t len, double *ret)
{
    char text[NUMBER_TEXT_MAX + 1], *out = text;
    const char *end = s + len;
    if (parse_short(s, len, ret))
        return true;
    if (len == 0 || len > NUMBER_TEXT_MAX)
        return false;
    if (*s == '+' || *s == '-')
        *out++ = *s++;
    size_t left = (size_t)(end - s);
    if (equals_nocase(s, left, "inf") || equals_nocase(s, left, "infinity")) {
        *ret = out > text && text[0] == '-' ? -INFINITY : INFINITY;
        return true;
    }
    if (equals_nocase(s, left, "nan")) {
        *ret = NAN;
        return true;
    }
    bool hex = left > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
    if (hex) {
        *out++ = *s++;
        *out++ = *s++;
    }
    int whole = take_digits(&s, end, hex, &out), fraction = 0;
    if (whole >= 0 && s < end && *s == '.') {
        *out++ = *s++;
        fraction = take_digits(&s, end, hex, &out);
    }
    if (whole < 0 || fraction < 0 || whole + fraction == 0)
        return false;
    if (s < end && (hex ? *s == 'p' || *s == 'P' : *s == 'e' || *s == 'E'))
        if (!take_exponent(&s, end, &out))
            return false;
    if (s != end)
        return false;
    *out = '\0';
    double v = strtod(text, NULL);
    if (isinf(v))
        return false; // out of range, as in Go
    *ret = v;
    return true;
}

bool num_parse_u64(const char *s, size_t len, uint64_t *ret)
{
    uint64_t v = 0;
    if (len == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s[i] - '0'), &v))
            return false;
    }
    *ret = v;
    return true;
}

static const struct duration_unit {
    const char *name;
    int64_t ms;
    bool exact; // printed only when nothing remains: 90d reads better than 12w6d
} UNITS[] = {
    {"y", 365LL * 24 * 3600 * 1000, true},
    {"w", 7LL * 24 * 3600 * 1000, true},
    {"d", 24LL * 3600 * 1000, false},
    {"h", 3600LL * 1000, false},
    {"m", 60LL * 1000, false},
    {"s", 1000, false},
    {"ms", 1, false},
};
#define N_UNITS (sizeof(UNITS) / sizeof(UNITS[0]))
// Prometheus holds durations in int64 nanoseconds and refuses what does not fit.
#define DURATION_MAX_MS (INT64_MAX / 1000000)

// The unit at s among UNITS[from..], N_UNITS if none.
static size_t find_unit(const char *s, size_t len, size_t from)
{
    for (size_t i = from; i < N_UNITS; i++)
        if (strlen(UNITS[i].name) == len && memcmp(UNITS[i].name, s, len) == 0)
            return i;
    return N_UNITS;
}

bool duration_parse(const char *s, size_t len, int64_t *ret_ms)
{
    int64_t total = 0;
    size_t i = 0, from = 0;
    if (len == 1 && s[0] == '0') {
        *ret_ms = 0;
        return true;
    }
    if (len == 0)
        return false;
    while (i < len) {
        size_t digits = i;
        while (i < len && s[i] >= '0' && s[i] <= '9')
            i++;
        uint64_t v;
        if (!num_parse_u64(s + digits, i - digits, &v) || v > INT64_MAX)
            return false;
        size_t unit_start = i;
        while (i < len && s[i] >= 'a' && s[i] <= 'z')
            i++;
        size_t unit = find_unit(s + unit_start, i - unit_start, from);
        int64_t ms;
        if (unit == N_UNITS || __builtin_mul_overflow((int64_t)v, UNITS[unit].ms, &ms) ||
            __builtin_add_overflow(total, ms, &total) || total > DURATION_MAX_MS)
            return false;
        from = unit + 1;
    }
    *ret_ms = total;
    return true;
}

size_t duration_print(int64_t ms, char buf[static NUM_TEXT_MAX])
{
    // The longest, "-106751d23h47m16s854ms" and the like, is well below NUM_TEXT_MAX.
    char *p = buf;
    if (ms == 0)
        return (size_t)sprintf(buf, "0s");
    uint64_t left = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
    if (ms < 0)
        *p++ = '-';
    for (size_t i = 0; i < N_UNITS; i++) {
        uint64_t unit = (uint64_t)UNITS[i].ms, v = left / unit;
        if (v == 0 || (UNITS[i].exact && left % unit != 0))
            continue;
        p += sprintf(p, "%llu%s", (unsigned long long)v, UNITS[i].name);
        left -= v * unit;
    }
    return (size_t)(p - buf);
}

bool size_parse(const char *s, size_t len, uint64_t *ret_bytes)
{
    static const struct {
        const char *name;
        unsigned shift;
    } SUFFIX[] = {{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};
    size_t digits = 0;
    uint64_t v;
    while (digits < len && s[digits] >= '0' && s[digits] <= '9')
        digits++;
    if (!num_parse_u64(s, digits, &v))
        return false;
    for (size_t i = 0; i < sizeof(SUFFIX) / sizeof(SUFFIX[0]); i++) {
        if (strlen(SUFFIX[i].name) != len - digits ||
            memcmp(SUFFIX[i].name, s + digits, len - digits) != 0)
            continue;
        if (v > UINT64_MAX >> SUFFIX[i].shift)
            return false;
        *ret_bytes = v << SUFFIX[i].shift;
        return true;
    }
    return false;
}
