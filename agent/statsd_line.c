// SPDX-License-Identifier: Apache-2.0
#include "agent/statsd_line.h"
#include "agent/statsd_key.h"
#include "base/num.h"
#include <math.h>
#include <string.h>

#define SECTIONS_MAX 8
#define TIMES_MAX    1000000 // of a timer whose rate is next to nothing

const char *statsd_fault_name(enum statsd_fault f)
{
    static const char *const NAMES[] = {
        [STATSD_MALFORMED_LINE] = "malformed_line",
        [STATSD_MIXED_TAGS] = "mixed_tagging_styles",
        [STATSD_NO_TYPE] = "no_type",
        [STATSD_BAD_VALUE] = "malformed_value",
        [STATSD_BAD_TYPE] = "unknown_type",
        [STATSD_BAD_RATE] = "invalid_sample_rate",
        [STATSD_BAD_SECTION] = "malformed_section",
        [STATSD_BAD_TAG] = "malformed_tag",
        [STATSD_NEGATIVE] = "negative",
        [STATSD_TOO_LONG] = "too_long",
        [STATSD_UNSUPPORTED] = "unsupported",
        [STATSD_CONFLICT] = "type_conflict",
        [STATSD_LIMIT] = "limit",
    };
    return f < STATSD_FAULTS ? NAMES[f] : "";
}

// One line while it is read.
struct reading {
    uint64_t *faults;
    statsd_fn *fn;
    void *ctx;
    size_t told;
    struct statsd_key key;
};

static const struct span NONE = {"", 0};

static struct span cut(struct span *rest, char at)
{
    const char *end = memchr(rest->at, at, rest->len);
    struct span piece = {rest->at, end ? (size_t)(end - rest->at) : rest->len};
    *rest = end ? (struct span){end + 1, rest->len - piece.len - 1} : NONE;
    return piece;
}

// --- tags ----------------------------------------------------------------------------------------

static void read_tags(struct reading *r, struct span list, char separator)
{
    while (list.len) {
        struct span tag = cut(&list, ',');
        if (separator == ':' && tag.len && tag.at[0] == '#')
            tag = (struct span){tag.at + 1, tag.len - 1};
        struct span name = cut(&tag, separator);
        if (!name.len || !tag.len)
            r->faults[STATSD_BAD_TAG]++;
        else
            statsd_key_tag(&r->key, name, tag);
    }
}

// What stands before the first colon: the name, with tags in three dialects.
static void read_name(struct reading *r, struct span whole)
{
    const char *open = memchr(whole.at, '[', whole.len),
               *close = memchr(whole.at, ']', whole.len), *end = whole.at + whole.len;
    r->key.name[0] = whole;
    r->key.name[1] = NONE;
    if (open && close && open < close) {
        read_tags(r, (struct span){open + 1, (size_t)(close - open) - 1}, '=');
        r->key.name[0].len = (size_t)(open - whole.at);
        r->key.name[1] = (struct span){close + 1, (size_t)(end - close) - 1};
        return;
    }
    r->faults[STATSD_BAD_TAG] += open || close;
    for (size_t i = 0; i < whole.len && !open && !close; i++)
        if (whole.at[i] == '#' || whole.at[i] == ',') {
            r->key.name[0].len = i;
            read_tags(r, (struct span){whole.at + i + 1, whole.len - i - 1}, '=');
            return;
        }
}

// --- samples -------------------------------------------------------------------------------------

static bool read_number(struct span t, double *ret)
{
    return num_parse(t.at, t.len, ret) && isfinite(*ret);
}

static bool type_of(struct span t, enum statsd_type *ret, double *divisor)
{
    *divisor = 1;
    if (span_is(t, "c")) {
        *ret = STATSD_COUNTER;
    } else if (span_is(t, "g")) {
        *ret = STATSD_GAUGE;
    } else if (span_is(t, "h") || span_is(t, "d")) {
        *ret = STATSD_TIMER;
    } else if (span_is(t, "ms")) {
        *ret = STATSD_TIMER;
        *divisor = 1000;
    } else if (span_is(t, "s")) {
        *ret = STATSD_SET;
    } else {
        return false;
    }
    return true;
}

static bool is_time(struct span t)
{
    size_t i = t.len && t.at[0] == '-';
    size_t digits = t.len - i;
    for (; i < t.len && t.at[i] >= '0' && t.at[i] <= '9'; i++)
        ;
    return i == t.len && digits;
}

// Everything behind the type. False: the sample does not count.
static bool read_sections(struct reading *r, struct span sections, double *rate)
{
    struct span rest = sections;
    size_t n = 2;
    // All are looked at before one is believed.
    for (bool more = true; more; n++) {
        more = memchr(rest.at, '|', rest.len) != NULL;
        if (!cut(&rest, '|').len || n >= SECTIONS_MAX) {
            r->faults[STATSD_BAD_SECTION]++;
            return false;
        }
    }
    while (sections.len) {
        struct span s = cut(&sections, '|'), body = {s.at + 1, s.len - 1};
        switch (s.at[0]) {
        case '@':
            if (!read_number(body, rate) || *rate < 0) {
                r->faults[STATSD_BAD_RATE]++;
                *rate = 1;
            }
            if (*rate == 0)
                *rate = 1;
            break;
        case '#': read_tags(r, body, ':'); break;
        case 'T':
            if (!is_time(body)) {
                r->faults[STATSD_BAD_SECTION]++;
                return false;
            }
            break; // when it was counted is not when it arrives, and here arrival counts
        case 'c':
            if (body.len < 2 || body.at[0] != ':') {
                r->faults[STATSD_BAD_SECTION]++;
                return false;
            }
            statsd_key_tag(&r->key, (struct span){"container_id", 12},
                (struct span){body.at + 1, body.len - 1});
            break;
        default: r->faults[STATSD_BAD_SECTION]++; return false;
        }
    }
    return true;
}

static enum statsd_fault read_value(
    struct statsd_sample *s, struct span value, double divisor, double rate)
{
    if (s->type == STATSD_SET) {
        s->member = value.at;
        s->member_len = value.len;
        return value.len ? STATSD_FAULTS : STATSD_BAD_VALUE;
    }
    if (!read_number(value, &s->value))
        return STATSD_BAD_VALUE;
    s->relative = s->type == STATSD_GAUGE && (value.at[0] == '+' || value.at[0] == '-');
    if (s->type != STATSD_GAUGE && s->value < 0)
        return STATSD_NEGATIVE;
    s->value /= s->type == STATSD_COUNTER ? rate : divisor;
    // As the peer has it: a rate of 0.3 is three times.
    double times = s->type == STATSD_TIMER ? 1 / rate : 1;
    s->times = times > TIMES_MAX ? TIMES_MAX : (uint64_t)times;
    return isfinite(s->value) ? STATSD_FAULTS : STATSD_BAD_VALUE;
}

// "VALUES|TYPE|SECTIONS": values is one, or several with a colon between them.
static void read_sample(struct reading *r, struct span sample)
{
    double divisor, rate = 1;
    struct statsd_sample s = {.times = 1};
    struct span values = cut(&sample, '|');
    bool sections = memchr(sample.at, '|', sample.len) != NULL;
    struct span type = cut(&sample, '|');
    if (!type_of(type, &s.type, &divisor)) {
        r->faults[type.len ? STATSD_BAD_TYPE : STATSD_NO_TYPE]++;
        return;
    }
    if (sections && !read_sections(r, sample, &rate))
        return;
    enum statsd_fault fault = statsd_key_make(&r->key);
    if (fault != STATSD_FAULTS) {
        r->faults[fault]++;
        return;
    }
    s.key = r->key.text;
    s.key_len = r->key.len;
    for (bool more = true; more;) {
        more = s.type != STATSD_SET && memchr(values.at, ':', values.len) != NULL;
        struct span value = s.type == STATSD_SET ? values : cut(&values, ':');
        enum statsd_fault f = read_value(&s, value, divisor, rate);
        if (f != STATSD_FAULTS) {
            r->faults[f]++;
        } else {
            r->fn(r->ctx, &s);
            r->told++;
        }
    }
}

static bool has_tags(struct span t)
{
    for (size_t i = 0; i + 1 < t.len; i++)
        if (t.at[i] == '|' && t.at[i + 1] == '#')
            return true;
    return false;
}

size_t statsd_line(const char *line, size_t len, uint64_t faults[static STATSD_FAULTS],
    statsd_fn *fn, void *ctx)
{
    struct reading r;
    struct span rest = {line, len};
    if (!len)
        return 0;
    r.faults = faults;
    r.fn = fn;
    r.ctx = ctx;
    r.told = 0;
    statsd_key_init(&r.key);
    if (len > 3 && (memcmp(line, "_e{", 3) == 0 || memcmp(line, "_sc|", 4) == 0)) {
        faults[STATSD_UNSUPPORTED]++;
        return 0;
    }
    bool colon = memchr(line, ':', len) != NULL;
    struct span whole = cut(&rest, ':');
    if (!colon || !whole.len) {
        faults[STATSD_MALFORMED_LINE]++;
        return 0;
    }
    read_name(&r, whole);
    bool tagged = has_tags(rest);
    const char *bar = memchr(rest.at, '|', rest.len);
    if (tagged && r.key.n_tags) {
        faults[STATSD_MIXED_TAGS]++;
    } else if (!bar) {
        faults[STATSD_NO_TYPE]++;
    } else if (tagged || memchr(rest.at, ':', (size_t)(bar - rest.at))) {
        read_sample(&r, rest); // colons are in values or tags
    } else {
        while (rest.len)
            read_sample(&r, cut(&rest, ':'));
    }
    return r.told;
}
