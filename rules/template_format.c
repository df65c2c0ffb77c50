// SPDX-License-Identifier: Apache-2.0
// printf of templates: Go's Sprintf, its complaints about wrong arguments included.
#include "base/num.h"
#include "base/rune.h"
#include "rules/template_node.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

struct spec {
    bool minus, plus, sharp, space, zero, has_width, has_precision;
    int width, precision;
    char verb;
};

#define WIDTH_MAX 1000

static size_t rune_count(const char *s, size_t len)
{
    size_t n = 0;
    for (size_t at = 0; at < len; n++)
        rune_decode(s, len, &at);
    return n;
}

static void pad(const struct spec *f, const char *s, size_t len, struct buf *out)
{
    size_t have = rune_count(s, len), want = f->has_width ? (size_t)f->width : 0;
    size_t gap = want > have ? want - have : 0;
    if (f->minus)
        buf_add(out, s, len);
    for (size_t i = 0; i < gap; i++)
        buf_addc(out, f->zero && !f->minus ? '0' : ' ');
    if (!f->minus)
        buf_add(out, s, len);
}

// %!d(string=abc)
static void wrong(
    const struct tmpl_run *r, const struct spec *f, const struct tmpl_value *v, struct buf *out)
{
    buf_addf(out, "%%!%c(%s=", f->verb, tmpl_type(v));
    tmpl_print(r, v, out);
    buf_addc(out, ')');
}

static void format_string(const struct spec *f, const char *s, size_t len, struct buf *out)
{
    if (f->has_precision) {
        size_t at = 0;
        for (int i = 0; i < f->precision && at < len; i++)
            rune_decode(s, len, &at);
        len = at;
    }
    pad(f, s, len, out);
}

// The C format of a number with the flags that mean the same in Go.
static void c_format(
    const struct spec *f, const char *size, char verb, bool precision, char out[32])
{
    snprintf(out, 32, "%%%s%s%s%s%s%s%s%c", f->minus ? "-" : "", f->plus ? "+" : "",
        f->sharp ? "#" : "", f->space ? " " : "", f->zero && !f->minus ? "0" : "",
        f->has_width ? "*" : "", precision ? ".*" : "", verb);
    if (size[0]) {
        size_t n = strlen(out);
        snprintf(out + n - 1, 32 - n + 1, "%s%c", size, verb);
    }
}

#pragma GCC diagnostic push
// The format is put together above from a fixed set of flags.
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void format_float(const struct spec *f, double v, struct buf *out)
{
    char text[1600], format[32];
    char verb = f->verb == 'v' ? 'g' : f->verb == 'F' ? 'f' : f->verb;
    bool precision = f->has_precision;

    if (isnan(v) || isinf(v)) {
        struct spec plain = *f;
        plain.zero = false;
        const char *s = isinf(v) ? (v > 0 ? "+Inf" : "-Inf") : f->plus ? "+NaN" : "NaN";
        pad(&plain, s, strlen(s), out);
        return;
    }
    if ((verb == 'g' || verb == 'G') && !precision) {
        // Shortest digits, which C cannot print; zeros go behind the sign.
        size_t n = num_short(v, text + 1);
        const char *s = text + 1;
        if (f->plus && v >= 0) {
            text[0] = '+';
            s = text;
            n++;
        }
        size_t sign = s[0] == '-' || s[0] == '+';
        if (f->zero && !f->minus && sign) {
            struct spec rest = *f;
            rest.width = f->width > 0 ? f->width - 1 : 0;
            buf_addc(out, s[0]);
            pad(&rest, s + 1, n - 1, out);
        } else {
            pad(f, s, n, out);
        }
        return;
    }
    c_format(f, "", verb, precision, format);
    int n = f->has_width && precision
                ? snprintf(text, sizeof(text), format, f->width, f->precision, v)
            : f->has_width ? snprintf(text, sizeof(text), format, f->width, v)
            : precision    ? snprintf(text, sizeof(text), format, f->precision, v)
                           : snprintf(text, sizeof(text), format, v);
    buf_add(out, text, n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

static void format_int(const struct spec *f, int64_t v, struct buf *out)
{
    char text[1200], format[32];
    if (f->verb == 'c' || f->verb == 'q') {
        size_t n = rune_encode(v < 0 || v > 0x10ffff ? RUNE_BROKEN : (uint32_t)v, text + 1);
        text[0] = text[n + 1] = '\'';
        if (f->verb == 'c')
            pad(f, text + 1, n, out);
        else
            pad(f, text, n + 2, out);
        return;
    }
    // A negative number in hexadecimal has a sign in Go.
    bool hex = f->verb == 'x' || f->verb == 'X' || f->verb == 'o';
    c_format(f, "ll", f->verb == 'v' ? 'd' : f->verb, false, format);
    long long value = hex && v < 0 ? -v : v;
    int n = f->has_width ? snprintf(text + 1, sizeof(text) - 1, format, f->width, value)
                         : snprintf(text + 1, sizeof(text) - 1, format, value);
    text[0] = '-';
    bool sign = hex && v < 0;
    buf_add(out, text + !sign, n < 0 ? 0 : (size_t)n + sign);
}
#pragma GCC diagnostic pop

static void format_one(
    const struct tmpl_run *r, const struct spec *f, const struct tmpl_value *v, struct buf *out)
{
    char verb = f->verb;
    struct buf text;

    if (verb == 'T') {
        const char *type = v->kind == TV_NIL ? "<nil>" : tmpl_type(v);
        pad(f, type, strlen(type), out);
    } else if (v->kind == TV_FLOAT && strchr("vfFeEgG", verb)) {
        format_float(f, v->f, out);
    } else if (v->kind == TV_INT && strchr("vdxXocq", verb)) {
        format_int(f, v->i, out);
    } else if (v->kind == TV_STRING && (verb == 's' || verb == 'v')) {
        format_string(f, v->s, v->len, out);
    } else if (v->kind == TV_STRING && (verb == 'q' || verb == 'x' || verb == 'X')) {
        buf_init(&text, TMPL_RESULT_MAX);
        if (verb == 'q')
            label_quote(v->s, v->len, &text);
        for (size_t i = 0; verb != 'q' && i < v->len; i++)
            buf_addf(&text, verb == 'x' ? "%02x" : "%02X", (unsigned char)v->s[i]);
        pad(f, buf_cstr(&text), text.len, out);
        out->failed |= text.failed;
        buf_done(&text);
    } else if ((v->kind == TV_BOOL && (verb == 't' || verb == 'v')) ||
               (v->kind >= TV_LABELS && (verb == 'v' || verb == 's'))) {
        if (v->kind == TV_SAMPLE) // Go has a pointer there
            buf_addc(out, '&');
        buf_init(&text, TMPL_RESULT_MAX);
        tmpl_print(r, v, &text);
        pad(f, buf_cstr(&text), text.len, out);
        out->failed |= text.failed;
        buf_done(&text);
    } else if (v->kind == TV_NIL) {
        if (verb == 'v')
            buf_adds(out, "<nil>");
        else
            buf_addf(out, "%%!%c(<nil>)", verb);
    } else {
        wrong(r, f, v, out);
    }
}

static int digits(const char *s, size_t len, size_t *at, bool *given)
{
    int v = 0;
    while (*at < len && s[*at] >= '0' && s[*at] <= '9') {
        v = v < WIDTH_MAX ? v * 10 + (s[*at] - '0') : v;
        *given = true;
        (*at)++;
    }
    return v < WIDTH_MAX ? v : WIDTH_MAX;
}

static void flags(struct spec *f, const char *s, size_t len, size_t *at)
{
    for (; *at < len; (*at)++) {
        switch (s[*at]) {
        case '-': f->minus = true; break;
        case '+': f->plus = true; break;
        case '#': f->sharp = true; break;
        case ' ': f->space = true; break;
        case '0': f->zero = true; break;
        default: return;
        }
    }
}

void tmpl_sprintf(const struct tmpl_run *r, const struct tmpl_value *format,
    const struct tmpl_value *args, size_t n, struct buf *out)
{
    const char *s = format->s;
    size_t len = format->len, at = 0, used = 0;

    while (at < len) {
        const char *percent = memchr(s + at, '%', len - at);
        size_t plain = percent ? (size_t)(percent - s) : len;
        buf_add(out, s + at, plain - at);
        at = plain + 1;
        if (!percent)
            break;
        struct spec f = {0};
        flags(&f, s, len, &at);
        if (at < len && s[at] == '*' && used < n && args[used].kind == TV_INT) {
            int64_t w = args[used++].i;
            f.has_width = true;
            f.minus |= w < 0;
            f.width = (int)(w > WIDTH_MAX || w < -WIDTH_MAX ? WIDTH_MAX : w < 0 ? -w : w);
            at++;
        } else {
            f.width = digits(s, len, &at, &f.has_width);
        }
        if (at < len && s[at] == '.') {
            at++;
            f.has_precision = true;
            bool given = false;
            f.precision = digits(s, len, &at, &given);
        }
        if (at >= len) {
            buf_adds(out, "%!(NOVERB)");
            break;
        }
        size_t verb_at = at;
        rune_decode(s, len, &at);
        f.verb = s[verb_at];
        if (f.verb == '%') {
            buf_addc(out, '%');
        } else if (used >= n) {
            buf_adds(out, "%!");
            buf_add(out, s + verb_at, at - verb_at);
            buf_adds(out, "(MISSING)");
        } else {
            format_one(r, &f, &args[used++], out);
        }
    }
    if (used >= n)
        return;
    buf_adds(out, "%!(EXTRA ");
    for (size_t i = used; i < n; i++) {
        buf_addf(out, "%s%s", i > used ? ", " : "",
            args[i].kind == TV_NIL ? "" : tmpl_type(&args[i]));
        if (args[i].kind != TV_NIL)
            buf_addc(out, '=');
        tmpl_print(r, &args[i], out);
    }
    buf_addc(out, ')');
}
