// SPDX-License-Identifier: Apache-2.0
#include "agent/otlp_name.h"
#include <stdio.h>
#include <string.h>

#define UNIT_MAX 64

struct word {
    const char *unit, *word;
};
static const struct word UNITS[] = {{"d", "days"}, {"h", "hours"}, {"min", "minutes"},
    {"s", "seconds"}, {"ms", "milliseconds"}, {"us", "microseconds"}, {"ns", "nanoseconds"},
    {"By", "bytes"}, {"KiBy", "kibibytes"}, {"MiBy", "mebibytes"}, {"GiBy", "gibibytes"},
    {"TiBy", "tibibytes"}, {"KBy", "kilobytes"}, {"MBy", "megabytes"}, {"GBy", "gigabytes"},
    {"TBy", "terabytes"}, {"m", "meters"}, {"V", "volts"}, {"A", "amperes"}, {"J", "joules"},
    {"W", "watts"}, {"g", "grams"}, {"Cel", "celsius"}, {"Hz", "hertz"}, {"1", ""},
    {"%", "percent"}, {NULL, NULL}};
static const struct word PER[] = {{"s", "second"}, {"m", "minute"}, {"h", "hour"}, {"d", "day"},
    {"w", "week"}, {"mo", "month"}, {"y", "year"}, {NULL, NULL}};

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// Of a metric's name; `_` is what separates.
static bool in_word(char c)
{
    return is_letter(c) || is_digit(c) || c == ':';
}

// One half of a unit, as a word of a name: "" where there is none, or it is an annotation like {packets}.
static void unit_word(const char *unit, size_t len, const struct word *words, char *to)
{
    char plain[UNIT_MAX];
    size_t n = 0;
    to[0] = '\0';
    while (len && (unit[0] == ' ' || unit[0] == '\t')) {
        unit++;
        len--;
    }
    while (len && (unit[len - 1] == ' ' || unit[len - 1] == '\t'))
        len--;
    if (!len || len >= UNIT_MAX || memchr(unit, '{', len) || memchr(unit, '}', len))
        return;
    memcpy(plain, unit, len);
    plain[len] = '\0';
    const char *word = plain;
    for (; words->unit; words++)
        if (strcmp(words->unit, plain) == 0)
            word = words->word;
    for (; *word; word++) {
        if (in_word(*word))
            to[n++] = *word;
        else if (n && to[n - 1] != '_')
            to[n++] = '_';
    }
    while (n && to[n - 1] == '_')
        n--;
    to[n] = '\0';
}

struct out {
    char *at;
    size_t n, size;
    bool full;
};

static void put_word(struct out *o, const char *word, size_t len)
{
    if (o->n + len + 2 > o->size) {
        o->full = true;
        return;
    }
    if (o->n)
        o->at[o->n++] = '_';
    memcpy(o->at + o->n, word, len);
    o->n += len;
    o->at[o->n] = '\0';
}

// The next word of a name; NULL: none.
static const char *next_word(const char **at, size_t *ret_len)
{
    while (**at && !in_word(**at))
        (*at)++;
    const char *from = *at;
    while (**at && in_word(**at))
        (*at)++;
    *ret_len = (size_t)(*at - from);
    return *ret_len ? from : NULL;
}

static bool has_word(const char *name, const char *word)
{
    size_t len;
    for (const char *w; (w = next_word(&name, &len));)
        if (strlen(word) == len && memcmp(w, word, len) == 0)
            return true;
    return false;
}

bool otlp_metric_name(
    const char *name, const char *unit, enum otlp_kind kind, char *to, size_t size)
{
    char main[UNIT_MAX * 2] = "", per[UNIT_MAX * 2 + 4] = "";
    struct out o = {.at = to, .size = size};
    const char *slash = strchr(unit, '/'), *at = name, *w;
    const char *suffix = kind == OTLP_COUNTER                           ? "total"
                         : kind == OTLP_GAUGE && strcmp(unit, "1") == 0 ? "ratio"
                                                                        : NULL;
    size_t len;
    unit_word(unit, slash ? (size_t)(slash - unit) : strlen(unit), UNITS, main);
    if (slash) {
        unit_word(slash + 1, strlen(slash + 1), PER, per + 4);
        if (per[4])
            memcpy(per, "per_", 4);
    }
    // The suffix stands at the end, once.
    while ((w = next_word(&at, &len)))
        if (!suffix || strlen(suffix) != len || memcmp(w, suffix, len) != 0)
            put_word(&o, w, len);
    if (main[0] && !has_word(name, main))
        put_word(&o, main, strlen(main));
    if (per[0] && !has_word(name, per))
        put_word(&o, per, strlen(per));
    bool empty = o.n == 0;
    if (suffix)
        put_word(&o, suffix, strlen(suffix));
    if (!o.full && o.n && is_digit(to[0])) {
        if (o.n + 2 > size)
            return false;
        memmove(to + 1, to, o.n + 1);
        to[0] = '_';
    }
    return !o.full && !empty;
}

bool otlp_label_name(const char *name, char *to, size_t size)
{
    const char *prefix = is_digit(name[0])                  ? "key_"
                         : name[0] == '_' && name[1] != '_' ? "key"
                                                            : "";
    size_t n = strlen(prefix);
    bool letter = false;
    if (n + strlen(name) + 4 > size)
        return false;
    memcpy(to, prefix, n);
    for (; *name; name++) {
        char c = *name;
        if (((unsigned char)c & 0xc0) == 0x80)
            continue; // the rest of a character
        bool ok = is_letter(c) || is_digit(c);
        letter = letter || ok;
        to[n++] = ok ? c : '_';
    }
    to[n] = '\0';
    return letter;
}
