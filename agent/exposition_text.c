// SPDX-License-Identifier: Apache-2.0
/*
 * Lines of Prometheus's text 0.0.4 and of OpenMetrics 1.0. The two differ in what may stand between the
 * parts of a line: blanks and tabs at will, or exactly one blank.
 */
#include "agent/exposition_line.h"
#include "agent/exposition_state.h"
#include "base/num.h"
#include "base/rune.h"
#include <errno.h>
#include <math.h>
#include <string.h>

#define NORMAL_NAN 0x7ff8000000000001ULL // any other would be one of Prometheus's own signs

// --- numbers ---------------------------------------------------------------------------------------

// As Go reads it, without hex and underscores.
static bool read_number(struct span word, double *ret)
{
    double v;
    if (!num_parse(word.at, word.len, &v))
        return false;
    for (size_t i = 0; i < word.len; i++)
        if (word.at[i] == 'x' || word.at[i] == 'X' || word.at[i] == '_')
            return false;
    if (isnan(v)) {
        if (*word.at == '+' || *word.at == '-')
            return false;
        uint64_t bits = NORMAL_NAN;
        memcpy(&v, &bits, sizeof(v));
    }
    *ret = v;
    return true;
}

// --- samples ---------------------------------------------------------------------------------------

static int give(struct exposition *x, struct span key, struct span name, double value,
    bool has_stamp, int64_t stamp_ms, struct err *err)
{
    // When a series began is of no use here.
    if (x->format == EXPOSITION_OPENMETRICS && name.len == x->family.len + strlen("_created") &&
        x->family.type != FAMILY_GAUGE && x->family.type != FAMILY_UNKNOWN &&
        memcmp(name.at, x->family.name, x->family.len) == 0 &&
        memcmp(name.at + x->family.len, "_created", strlen("_created")) == 0)
        return 0;
    x->at = key;
    struct exposition_sample s = {.key = key.at,
        .key_len = key.len,
        .value = value,
        .has_stamp = has_stamp,
        .stamp_ms = stamp_ms,
        .kind = exposition_kind(&x->family, name.at, name.len),
        .unit = exposition_unit(name.at, name.len)};
    return x->sample(x->ctx, x, &s, err) ? 0 : -EBADMSG;
}

static int bad_number(struct exposition *x, const char *what, struct span word, struct err *err)
{
    return exposition_bad(
        x, err, "%s `%.*s` is no number", what, (int)(word.len < 40 ? word.len : 40), word.at);
}

static int text_sample(struct exposition *x, struct line *l, struct err *err)
{
    struct span name, key;
    double value;
    uint64_t stamp = 0;
    int rc = exposition_key(x, l, &name, &key, err);
    if (rc < 0)
        return rc;
    skip_blanks(l);
    struct span word = take_word(l);
    if (!read_number(word, &value))
        return bad_number(x, "value", word, err);
    skip_blanks(l);
    bool stamped = l->at < l->end;
    if (stamped) {
        word = take_word(l);
        if (!num_parse_u64(word.at, word.len, &stamp) || stamp > INT64_MAX)
            return bad_number(x, "timestamp", word, err);
        skip_blanks(l);
        if (l->at < l->end)
            return exposition_bad(x, err, "something is left behind the timestamp");
    }
    return give(x, key, name, value, stamped, (int64_t)stamp, err);
}

static int seconds(struct exposition *x, struct span word, int64_t *ret_ms, struct err *err)
{
    double s;
    if (!read_number(word, &s) || !(fabs(s) < 1e15))
        return bad_number(x, "timestamp", word, err);
    *ret_ms = (int64_t)(s * 1000);
    return 0;
}

// Behind " # ": looked at and passed over.
static int pass_exemplar(struct exposition *x, struct line *l, struct err *err)
{
    double value;
    int64_t stamp;
    if (!take(l, '{'))
        return exposition_bad(x, err, "an exemplar begins with its labels");
    int rc = exposition_read_labels(x, l, false, err);
    if (rc < 0)
        return rc;
    struct span word = {l->at, 0};
    if (take(l, ' '))
        word = take_word(l);
    if (!read_number(word, &value))
        return bad_number(x, "value of an exemplar", word, err);
    if (take(l, ' '))
        rc = seconds(x, take_word(l), &stamp, err);
    if (rc == 0 && l->at < l->end)
        rc = exposition_bad(x, err, "something is left behind the exemplar");
    return rc;
}

static int openmetrics_sample(struct exposition *x, struct line *l, struct err *err)
{
    struct span name, key, word = {l->at, 0};
    double value;
    int64_t stamp = 0;
    bool stamped = false;
    int rc = exposition_key(x, l, &name, &key, err);
    if (rc < 0)
        return rc;
    if (take(l, ' '))
        word = take_word(l);
    if (!read_number(word, &value))
        return bad_number(x, "value", word, err);
    if (l->at < l->end && l->end - l->at > 1 && l->at[0] == ' ' && l->at[1] != '#') {
        l->at++;
        stamped = true;
        rc = seconds(x, take_word(l), &stamp, err);
    }
    if (rc == 0 && l->at < l->end) {
        if (l->end - l->at < 3 || memcmp(l->at, " # ", 3) != 0)
            return exposition_bad(x, err, "something is left behind the value");
        l->at += 3;
        rc = pass_exemplar(x, l, err);
    }
    return rc < 0 ? rc : give(x, key, name, value, stamped, stamp, err);
}

// --- what is said of families ------------------------------------------------------------------------

static bool type_of(const struct exposition *x, struct span word, enum family_type *ret)
{
    static const struct {
        const char *name;
        enum family_type type;
        bool text, openmetrics;
    } TYPES[] = {{"counter", FAMILY_COUNTER, true, true}, {"gauge", FAMILY_GAUGE, true, true},
        {"histogram", FAMILY_HISTOGRAM, true, true}, {"summary", FAMILY_SUMMARY, true, true},
        {"untyped", FAMILY_UNKNOWN, true, false}, {"unknown", FAMILY_UNKNOWN, false, true},
        {"gaugehistogram", FAMILY_GAUGE_HISTOGRAM, false, true},
        {"info", FAMILY_INFO, false, true}, {"stateset", FAMILY_STATESET, false, true}};
    for (size_t i = 0; i < sizeof(TYPES) / sizeof(TYPES[0]); i++)
        if (span_is(word, TYPES[i].name) &&
            (x->format == EXPOSITION_TEXT ? TYPES[i].text : TYPES[i].openmetrics)) {
            *ret = TYPES[i].type;
            return true;
        }
    return false;
}

static int set_type(struct exposition *x, struct span name, struct span word, struct err *err)
{
    enum family_type type;
    if (!type_of(x, word, &type))
        return exposition_bad(x, err, "`%.*s` is no type of metrics",
            (int)(word.len < 40 ? word.len : 40), word.at);
    x->family.len = 0;
    x->family.type = FAMILY_UNKNOWN;
    if (name.len <= EXPOSITION_NAME_MAX) {
        memcpy(x->family.name, name.at, name.len);
        x->family.len = name.len;
        x->family.type = type;
    }
    return 0;
}

static bool unit_ends(struct span name, struct span unit)
{
    return name.len > unit.len && name.at[name.len - unit.len - 1] == '_' &&
           memcmp(name.at + name.len - unit.len, unit.at, unit.len) == 0;
}

// Behind the word HELP, TYPE or UNIT and its blank.
static int metadata(struct exposition *x, struct line *l, char what, struct err *err)
{
    struct span name = take_name(l, true);
    if (!name.len)
        return exposition_bad(x, err, "the name of a metric is wanted behind `# %s`",
            what == 'H'   ? "HELP"
            : what == 'T' ? "TYPE"
                          : "UNIT");
    if (x->format == EXPOSITION_OPENMETRICS && (l->at == l->end || *l->at != ' '))
        return exposition_bad(x, err, "a blank is wanted behind the name of the metric");
    l->at += l->at < l->end;
    struct span text = rest_of(l);
    if (what == 'T')
        return set_type(x, name, text, err);
    if (what == 'U' && text.len && !unit_ends(name, text))
        return exposition_bad(x, err, "unit `%.*s` is not how the name ends",
            (int)(text.len < 40 ? text.len : 40), text.at);
    if (what == 'H' && !rune_text_ok(text.at, text.len))
        return exposition_bad(x, err, "the help text is not UTF-8");
    return 0;
}

static int text_comment(struct exposition *x, struct line *l, struct err *err)
{
    if (l->at == l->end || !blank(*l->at))
        return 0;
    skip_blanks(l);
    if ((!span_begins(rest_of(l), "HELP") && !span_begins(rest_of(l), "TYPE")) ||
        l->end - l->at < 5 || !blank(l->at[4]))
        return 0;
    char what = *l->at;
    l->at += 4;
    skip_blanks(l);
    return metadata(x, l, what, err);
}

static int openmetrics_comment(struct exposition *x, struct line *l, struct err *err)
{
    if (span_is(rest_of(l), " EOF")) {
        x->ended = true;
        return 0;
    }
    if (!span_begins(rest_of(l), " HELP ") && !span_begins(rest_of(l), " TYPE ") &&
        !span_begins(rest_of(l), " UNIT "))
        return exposition_bad(x, err, "OpenMetrics knows no such comment");
    char what = l->at[1];
    l->at += 6;
    return metadata(x, l, what, err);
}

int exposition_line(struct exposition *x, const char *line, size_t len, struct err *err)
{
    struct line l = {line, line + len};
    if (x->format == EXPOSITION_OPENMETRICS) {
        if (x->ended)
            return exposition_bad(x, err, "something is left behind # EOF");
        return take(&l, '#') ? openmetrics_comment(x, &l, err) : openmetrics_sample(x, &l, err);
    }
    skip_blanks(&l);
    if (l.at == l.end)
        return 0;
    return take(&l, '#') ? text_comment(x, &l, err) : text_sample(x, &l, err);
}
