// SPDX-License-Identifier: Apache-2.0
#include "collector/receiver_text.h"
#include <string.h>
#include <time.h>

#define ELLIPSIS  "…"
#define LINE_MAX_ 1000 // of one alert, so that one of many does not push out the others
#define MORE_MAX  24   // "… and 1000000 more"

// Bytes of the character at s: what is not UTF-8 is one byte, as buf_add_json shows it.
static size_t character(const char *s, size_t left, size_t *ret_units)
{
    unsigned char c = (unsigned char)*s;
    size_t n = c < 0xC2 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF5 ? 4 : 1;
    *ret_units = n == 4 ? 2 : 1;
    if (n > left)
        n = 1;
    for (size_t i = 1; i < n; i++)
        if (((unsigned char)s[i] & 0xC0) != 0x80)
            n = 1;
    return n;
}

size_t text_units(const char *s, size_t len)
{
    size_t units = 0, one;
    for (size_t i = 0; i < len; units += one)
        i += character(s + i, len - i, &one);
    return units;
}

// What stands for the character, or NULL: itself.
static const char *escaped(char c, enum text_style style)
{
    if (style == TEXT_ENTITIES)
        return c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : NULL;
    if (style == TEXT_MARKDOWN)
        switch (c) {
        case '\\': return "\\\\";
        case '*': return "\\*";
        case '_': return "\\_";
        case '~': return "\\~";
        case '`': return "\\`";
        case '|': return "\\|";
        case '>': return "\\>";
        case '<': return "\\<";
        case '[': return "\\[";
        case '@': return "\\@";
        default: return NULL;
        }
    return NULL;
}

int text_add(const char *s, enum text_style style, size_t max, struct buf *out)
{
    size_t len = strlen(s), start = out->len, used = 0, cut = start;
    for (size_t i = 0, n; i < len; i += n) {
        size_t units;
        n = character(s + i, len - i, &units);
        const char *as = n == 1 ? escaped(s[i], style) : NULL;
        if (as)
            units = strlen(as);
        if (used + units > max) {
            out->len = cut;
            return max ? buf_adds(out, ELLIPSIS) : 0;
        }
        used += units;
        if (as)
            buf_adds(out, as);
        else
            buf_add(out, s + i, n);
        if (used + 1 <= max)
            cut = out->len; // here the ellipsis still fits
    }
    return out->failed;
}

bool text_fires(const struct webhook_message *m)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->alerts[i].firing)
            return true;
    return false;
}

const char *text_summary(const struct webhook_alert *a)
{
    static const char *const NAMES[] = {"summary", "description", "message"};
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        const char *s = labels_get(a->annotations, NAMES[i]);
        if (*s)
            return s;
    }
    return "";
}

// The value that all alerts have, or "".
static const char *common(const struct webhook_message *m, const char *name)
{
    const char *value = m->n ? labels_get(m->alerts[0].labels, name) : "";
    for (size_t i = 1; i < m->n; i++)
        if (strcmp(labels_get(m->alerts[i].labels, name), value) != 0)
            return "";
    return value;
}

int text_title(const struct webhook_message *m, size_t max, struct buf *out)
{
    static const char *const NAMES[] = {"alertname", "service", "instance"};
    struct buf line;
    size_t firing = 0;
    bool named = false;
    for (size_t i = 0; i < m->n; i++)
        firing += m->alerts[i].firing;
    buf_init(&line, 1u << 20);
    if (firing == m->n)
        buf_addf(&line, "[FIRING:%zu]", firing);
    else if (firing)
        buf_addf(&line, "[FIRING:%zu, RESOLVED:%zu]", firing, m->n - firing);
    else
        buf_addf(&line, "[RESOLVED:%zu]", m->n);
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        const char *value = common(m, NAMES[i]);
        if (*value)
            buf_addf(&line, " %s", value);
        named |= *value != '\0';
    }
    for (size_t i = 0; i < m->group_labels->n && !named; i++)
        buf_addf(&line, " %s", m->group_labels->l[i].value);
    text_add(buf_cstr(&line), TEXT_PLAIN, max, out);
    int rc = line.failed ? line.failed : out->failed;
    buf_done(&line);
    return rc;
}

static void add_time(int64_t ms, struct buf *out)
{
    time_t t = (time_t)(ms / 1000);
    struct tm tm;
    if (gmtime_r(&t, &tm))
        buf_addf(out, "%04d-%02d-%02d %02d:%02d:%02d UTC", tm.tm_year + 1900, tm.tm_mon + 1,
            tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void add_line(const struct webhook_alert *a, struct buf *line)
{
    buf_addf(
        line, "%s %s", a->firing ? "FIRING" : "RESOLVED", labels_get(a->labels, "alertname"));
    for (size_t i = 0; i < a->labels->n; i++)
        if (strcmp(a->labels->l[i].name, "alertname") != 0)
            buf_addf(line, " %s=%s", a->labels->l[i].name, a->labels->l[i].value);
    const char *summary = text_summary(a);
    if (*summary)
        buf_addf(line, ": %s", summary);
    buf_adds(line, a->firing ? " (since " : " (until ");
    add_time(a->firing ? a->starts_at_ms : a->ends_at_ms, line);
    buf_addc(line, ')');
}

int text_alerts(
    const struct webhook_message *m, enum text_style style, size_t max, struct buf *out)
{
    struct buf line, shown;
    size_t used = 0, told = 0;
    bool full = false;
    buf_init(&line, 1u << 20);
    buf_init(&shown, 1u << 20);
    for (int pass = 0; pass < 2 && !full; pass++)
        for (size_t i = 0; i < m->n && !full; i++) {
            if (m->alerts[i].firing != (pass == 0))
                continue;
            buf_reset(&line);
            buf_reset(&shown);
            add_line(&m->alerts[i], &line);
            size_t room = max > used + MORE_MAX ? max - used - MORE_MAX : 0;
            size_t most = room < LINE_MAX_ ? room : LINE_MAX_;
            text_add(buf_cstr(&line), style, most, &shown);
            size_t units = text_units((const char *)shown.data, shown.len) + 1;
            // Half a line is worth showing only if nothing else is.
            full = told && (units > room || (room < LINE_MAX_ && units >= most));
            if (full)
                break;
            if (told)
                buf_addc(out, '\n');
            buf_add(out, shown.data, shown.len);
            used += units;
            told++;
        }
    if (told < m->n)
        buf_addf(out, "\n" ELLIPSIS " and %zu more", m->n - told);
    int rc = line.failed ? line.failed : shown.failed ? shown.failed : out->failed;
    buf_done(&line);
    buf_done(&shown);
    return rc;
}

int text_pair(const char *name, const char *text, struct buf *out)
{
    if (out->len && out->data[out->len - 1] != '{' && out->data[out->len - 1] != '[')
        buf_addc(out, ',');
    buf_addf(out, "\"%s\":", name);
    return buf_add_json(out, text, strlen(text));
}
