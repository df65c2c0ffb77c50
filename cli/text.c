// SPDX-License-Identifier: Apache-2.0
#include "cli/text.h"
#include "base/num.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_BYTES_MAX (64u << 20)
#define ELLIPSIS        "…"

static const char *const ESCAPE[] = {
    [TEXT_PLAIN] = "",
    [TEXT_BAD] = "\033[1;31m",
    [TEXT_WARN] = "\033[33m",
    [TEXT_GOOD] = "\033[32m",
    [TEXT_DIM] = "\033[2m",
    [TEXT_BOLD] = "\033[1m",
};

void text_clean(const char *s, struct buf *out)
{
    for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
        // U+0080 to U+009F are control characters too, and some terminals obey them.
        bool c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f;
        if (*p < 0x20 || *p == 0x7f || c1) {
            buf_adds(out, "\xef\xbf\xbd");
            p += c1;
        } else {
            buf_addc(out, (char)*p);
        }
    }
}

size_t text_width(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

void text_paint(FILE *out, bool color, enum text_color c, const char *text)
{
    bool on = color && c != TEXT_PLAIN;
    fprintf(out, "%s%s%s", on ? ESCAPE[c] : "", text, on ? "\033[0m" : "");
}

void table_init(struct table *t, const char *const *headings, size_t n)
{
    *t = (struct table){.n_columns = n};
    buf_init(&t->cells, TABLE_BYTES_MAX);
    buf_init(&t->colors, TABLE_BYTES_MAX);
    for (size_t i = 0; i < n; i++) {
        t->right[i] = headings[i][0] == '>';
        table_cell(t, TEXT_DIM, headings[i] + t->right[i]);
    }
}

void table_done(struct table *t)
{
    buf_done(&t->cells);
    buf_done(&t->colors);
}

void table_cell(struct table *t, enum text_color color, const char *text)
{
    text_clean(text, &t->cells);
    buf_addc(&t->cells, '\0');
    buf_addc(&t->colors, (char)color);
    t->n_cells++;
}

// At most max code points of text; what is cut ends in an ellipsis. Returns how many were written.
static size_t print_cut(const char *text, size_t max, FILE *out)
{
    size_t width = text_width(text), n = 0;
    if (width <= max) {
        fputs(text, out);
        return width;
    }
    for (const char *p = text; *p; p++) {
        bool starts = ((unsigned char)*p & 0xc0) != 0x80;
        if (starts && ++n >= max)
            break;
        fputc(*p, out);
    }
    if (max > 0)
        fputs(ELLIPSIS, out);
    return max;
}

static void print_row(const struct table *t, const char *text, const char *colors,
    const size_t *wide, size_t width, bool color, FILE *out)
{
    size_t left = width ? width : SIZE_MAX;
    for (size_t c = 0; c < t->n_columns; c++) {
        size_t pad = wide[c] - text_width(text);
        bool last = c + 1 == t->n_columns;
        size_t gap = (c ? 2 : 0) + (t->right[c] ? pad : 0);
        if (gap >= left)
            break;
        fprintf(out, "%*s", (int)gap, "");
        left -= gap;
        bool paint = color && colors[c] != TEXT_PLAIN;
        if (paint)
            fputs(ESCAPE[(unsigned char)colors[c]], out);
        left -= print_cut(text, left, out);
        if (paint)
            fputs("\033[0m", out);
        if (!t->right[c] && !last) {
            size_t after = pad < left ? pad : left;
            fprintf(out, "%*s", (int)after, "");
            left -= after;
        }
        text += strlen(text) + 1;
    }
    fputc('\n', out);
}

bool table_print(const struct table *t, size_t width, bool color, FILE *out)
{
    size_t wide[TEXT_COLUMNS_MAX] = {0};
    if (t->cells.failed || t->colors.failed)
        return false;
    const char *text = (const char *)t->cells.data;
    for (size_t i = 0; i < t->n_cells; i++, text += strlen(text) + 1) {
        size_t w = text_width(text);
        if (w > wide[i % t->n_columns])
            wide[i % t->n_columns] = w;
    }
    text = (const char *)t->cells.data;
    for (size_t i = 0; i + t->n_columns <= t->n_cells; i += t->n_columns) {
        print_row(t, text, (const char *)t->colors.data + i, wide, width, color, out);
        for (size_t c = 0; c < t->n_columns; c++)
            text += strlen(text) + 1;
    }
    return true;
}

// Three digits: 0.25, 12.3, 456.
static void digits(double v, const char *unit, char ret[static TEXT_NUMBER_MAX])
{
    double a = fabs(v);
    int places = a >= 100 || v == floor(v) ? 0 : a >= 10 ? 1 : 2;
    snprintf(ret, TEXT_NUMBER_MAX, "%.*f%s", places, v, unit);
}

static void scaled(double v, double step, const char *const *units, size_t n, char *ret)
{
    size_t i = 0;
    for (; i + 1 < n && fabs(v) >= step; i++)
        v /= step;
    digits(v, units[i], ret);
}

const char *text_number(double v, enum text_unit unit, char ret[static TEXT_NUMBER_MAX])
{
    static const char *const BYTES[] = {" B/s", " KiB/s", " MiB/s", " GiB/s", " TiB/s"};
    static const char *const RATE[] = {"/s", "k/s", "M/s", "G/s", "T/s"};
    static const char *const COUNT[] = {"", "k", "M", "G", "T"};
    if (!isfinite(v)) {
        snprintf(ret, TEXT_NUMBER_MAX, "–");
        return ret;
    }
    switch (unit) {
    case TEXT_COUNT:
        if (fabs(v) >= 1e5)
            scaled(v, 1000, COUNT, 5, ret);
        else
            digits(v, "", ret);
        break;
    case TEXT_PER_SECOND:
        if (fabs(v) >= 1e5)
            scaled(v, 1000, RATE, 5, ret);
        else
            digits(v, "/s", ret);
        break;
    case TEXT_BYTES_PER_SECOND: scaled(v, 1024, BYTES, 5, ret); break;
    case TEXT_SECONDS:
        if (v != 0 && fabs(v) < 0.001)
            digits(v * 1e6, " µs", ret);
        else if (fabs(v) < 1)
            digits(v * 1e3, " ms", ret);
        else if (fabs(v) < 60)
            digits(v, " s", ret);
        else
            return text_age((int64_t)(fmin(fmax(v, -1e15), 1e15) * 1000), ret);
        break;
    }
    return ret;
}

const char *text_age(int64_t ms, char ret[static TEXT_NUMBER_MAX])
{
    const char *sign = ms < 0 ? "-" : "";
    int64_t a = ms < 0 ? -ms : ms;
    if (a < 1000)
        snprintf(ret, TEXT_NUMBER_MAX, "%s%" PRId64 " ms", sign, a);
    else if (a < 60000)
        snprintf(ret, TEXT_NUMBER_MAX, "%s%.1f s", sign, (double)a / 1000);
    else if (a < 3600000)
        snprintf(ret, TEXT_NUMBER_MAX, "%s%" PRId64 " min", sign, a / 60000);
    else if (a < 86400000)
        snprintf(ret, TEXT_NUMBER_MAX, "%s%" PRId64 " h", sign, a / 3600000);
    else
        snprintf(ret, TEXT_NUMBER_MAX, "%s%" PRId64 " d", sign, a / 86400000);
    return ret;
}

void text_spark(const double *v, size_t n, struct buf *out)
{
    static const char *const BAR[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        if (isfinite(v[i])) {
            low = fmin(low, v[i]);
            high = fmax(high, v[i]);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(v[i]))
            buf_addc(out, ' ');
        else if (high > low)
            buf_adds(out, BAR[(int)((v[i] / 2 - low / 2) / (high / 2 - low / 2) * 7.999)]);
        else
            buf_adds(out, BAR[0]);
    }
}
