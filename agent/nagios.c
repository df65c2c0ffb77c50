// SPDX-License-Identifier: Apache-2.0
#include "agent/nagios.h"
#include "base/num.h"
#include "wire/name.h"
#include <math.h>
#include <string.h>

const char *nagios_status_name(enum nagios_status s)
{
    switch (s) {
    case NAGIOS_OK: return "OK";
    case NAGIOS_WARNING: return "WARNING";
    case NAGIOS_CRITICAL: return "CRITICAL";
    case NAGIOS_UNKNOWN: return "UNKNOWN";
    }
    return "UNKNOWN";
}

static const struct unit {
    const char *name;
    enum nagios_kind kind;
    double factor, divisor; // two, so that 250 ms is 0.25 and not 0.25000000000000006
} UNITS[] = {
    {"s", NAGIOS_SECONDS, 1, 1},
    {"ms", NAGIOS_SECONDS, 1, 1e3},
    {"us", NAGIOS_SECONDS, 1, 1e6},
    {"ns", NAGIOS_SECONDS, 1, 1e9},
    {"%", NAGIOS_RATIO, 1, 100},
    {"c", NAGIOS_COUNTER, 1, 1},
    {"B", NAGIOS_BYTES, 1, 1},
    {"KB", NAGIOS_BYTES, 0x1p10, 1},
    {"kB", NAGIOS_BYTES, 0x1p10, 1},
    {"KiB", NAGIOS_BYTES, 0x1p10, 1},
    {"MB", NAGIOS_BYTES, 0x1p20, 1},
    {"MiB", NAGIOS_BYTES, 0x1p20, 1},
    {"GB", NAGIOS_BYTES, 0x1p30, 1},
    {"GiB", NAGIOS_BYTES, 0x1p30, 1},
    {"TB", NAGIOS_BYTES, 0x1p40, 1},
    {"TiB", NAGIOS_BYTES, 0x1p40, 1},
    {"PB", NAGIOS_BYTES, 0x1p50, 1},
    {"PiB", NAGIOS_BYTES, 0x1p50, 1},
};

struct cursor {
    const char *at, *end;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// 'it''s' or plain up to the `=`, which is taken too.
static bool take_label(struct cursor *c, char *ret)
{
    size_t n = 0;
    bool quoted = c->at < c->end && *c->at == '\'';
    for (c->at += quoted; c->at < c->end; c->at++) {
        if (quoted && *c->at == '\'') {
            c->at++;
            if (c->at == c->end || *c->at != '\'')
                break;
        } else if (!quoted && (*c->at == '=' || is_space(*c->at))) {
            break;
        }
        if (n == NAGIOS_LABEL_MAX)
            return false;
        ret[n++] = *c->at;
    }
    ret[n] = '\0';
    if (c->at == c->end || *c->at != '=' || strlen(ret) != n ||
        !wire_text_ok(ret, 1, NAGIOS_LABEL_MAX))
        return false;
    c->at++;
    return true;
}

// The digits of a number, as far as they go.
static bool take_number(struct cursor *c, double *ret)
{
    const char *from = c->at;
    if (c->at < c->end && (*c->at == '-' || *c->at == '+'))
        c->at++;
    const char *digits = c->at;
    while (c->at < c->end && ((*c->at >= '0' && *c->at <= '9') || *c->at == '.'))
        c->at++;
    if (c->at == digits)
        return false;
    // An exponent only where digits follow: a unit may begin with e.
    const char *e = c->at;
    if (e < c->end && (*e == 'e' || *e == 'E')) {
        e++;
        e += e < c->end && (*e == '-' || *e == '+');
        if (e < c->end && *e >= '0' && *e <= '9') {
            while (e < c->end && *e >= '0' && *e <= '9')
                e++;
            c->at = e;
        }
    }
    return num_parse(from, (size_t)(c->at - from), ret) && isfinite(*ret);
}

static bool take_unit(struct cursor *c, struct nagios_value *v, struct unit *ret)
{
    size_t n = 0;
    while (c->at < c->end && *c->at != ';' && !is_space(*c->at)) {
        if (n == NAGIOS_UNIT_MAX)
            return false;
        v->unit[n++] = *c->at++;
    }
    v->unit[n] = '\0';
    *ret = (struct unit){"", NAGIOS_PLAIN, 1, 1};
    for (size_t i = 0; i < sizeof(UNITS) / sizeof(UNITS[0]); i++)
        if (strcmp(UNITS[i].name, v->unit) == 0) {
            *ret = UNITS[i];
            v->unit[0] = '\0';
        }
    v->kind = ret->kind;
    return strlen(v->unit) == 0 || wire_text_ok(v->unit, 1, NAGIOS_UNIT_MAX);
}

static double scaled(double v, const struct unit *u)
{
    return v * u->factor / u->divisor;
}

// What stands up to the next `;` or the end of the piece.
static struct cursor take_field(struct cursor *c)
{
    struct cursor f = {c->at, c->at};
    if (c->at < c->end && *c->at == ';') {
        f.at = ++c->at;
        while (c->at < c->end && *c->at != ';' && !is_space(*c->at))
            c->at++;
        f.end = c->at;
    }
    return f;
}

static bool read_limit(struct cursor f, const struct unit *u, double *ret)
{
    double v;
    *ret = NAN;
    if (f.at == f.end)
        return true;
    if (!take_number(&f, &v))
        return false;
    v = scaled(v, u); // a unit behind it is that of the value
    if (isinf(v))
        return false;
    *ret = v;
    return true;
}

// "10", "10:", "~:10", "10:20", each with @ for the inside.
static bool read_range(struct cursor f, const struct unit *u, struct nagios_range *ret)
{
    struct nagios_range r = {.given = true, .low = 0, .high = INFINITY};
    if (f.at == f.end)
        return true;
    if (*f.at == '@') {
        r.inside = true;
        f.at++;
    }
    const char *colon = memchr(f.at, ':', (size_t)(f.end - f.at));
    if (colon) {
        struct cursor low = {f.at, colon};
        double v = -INFINITY;
        bool open = colon - f.at == 1 && *f.at == '~';
        if (!open && (!take_number(&low, &v) || low.at != low.end))
            return false;
        r.low = open ? v : scaled(v, u);
        f.at = colon + 1;
    }
    if (f.at < f.end) {
        double v;
        if (!take_number(&f, &v))
            return false;
        r.high = scaled(v, u);
    } else if (!colon) {
        return false;
    }
    *ret = r;
    return r.low <= r.high;
}

static bool read_piece(struct cursor *c, struct nagios_value *v)
{
    struct unit u;
    double n = NAN;
    *v = (struct nagios_value){.min = NAN, .max = NAN};
    if (!take_label(c, v->label))
        return false;
    if (c->at < c->end && *c->at == 'U')
        c->at++;
    else if (!take_number(c, &n))
        return false;
    if (!take_unit(c, v, &u))
        return false;
    v->value = scaled(n, &u);
    if (isinf(v->value))
        return false;
    // A bad limit says nothing about the value.
    if (!read_range(take_field(c), &u, &v->warning))
        v->warning.given = false;
    if (!read_range(take_field(c), &u, &v->critical))
        v->critical.given = false;
    (void)read_limit(take_field(c), &u, &v->min);
    (void)read_limit(take_field(c), &u, &v->max);
    return true;
}

static size_t read_data(struct cursor c, nagios_fn *fn, void *ctx)
{
    size_t bad = 0;
    struct nagios_value v;
    for (;;) {
        while (c.at < c.end && is_space(*c.at))
            c.at++;
        if (c.at == c.end)
            return bad;
        if (read_piece(&c, &v))
            fn(ctx, &v);
        else
            bad++;
        while (c.at < c.end && !is_space(*c.at))
            c.at++;
    }
}

static void first_line(const char *output, const char *end, char *text)
{
    size_t n = 0;
    while (n < NAGIOS_TEXT_MAX && output + n < end && output[n] != '\n' && output[n] != '|') {
        text[n] = output[n] >= ' ' && output[n] < 0x7f ? output[n] : '?';
        n++;
    }
    while (n && is_space(text[n - 1]))
        n--;
    text[n] = '\0';
}

size_t nagios_read(const char *output, size_t len, char text[static NAGIOS_TEXT_MAX + 1],
    nagios_fn *fn, void *ctx)
{
    const char *end = output + len, *line = output;
    size_t bad = 0;
    first_line(output, end, text);
    for (bool first = true; line < end; first = false) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop)
            stop = end;
        const char *bar = memchr(line, '|', (size_t)(stop - line));
        // After a bar in the long text all that follows is data.
        if (bar && !first)
            return bad + read_data((struct cursor){bar + 1, end}, fn, ctx);
        if (bar)
            bad += read_data((struct cursor){bar + 1, stop}, fn, ctx);
        line = stop + (stop < end);
    }
    return bad;
}
