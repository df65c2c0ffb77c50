// SPDX-License-Identifier: Apache-2.0
#include "agent/exposition_state.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct exposition *exposition_new(exposition_fn *sample, void *ctx)
{
    struct exposition *x = calloc(1, sizeof(*x));
    if (!x)
        return NULL;
    x->sample = sample;
    x->ctx = ctx;
    buf_init(&x->carry, EXPOSITION_LINE_MAX);
    buf_init(&x->key, EXPOSITION_LINE_MAX);
    arena_init(&x->text, 4 * EXPOSITION_LINE_MAX);
    return x;
}

void exposition_free(struct exposition *x)
{
    if (!x)
        return;
    buf_done(&x->carry);
    buf_done(&x->key);
    arena_done(&x->text);
    expo_done(&x->native);
    free(x);
}

void exposition_begin(struct exposition *x, enum exposition_format format)
{
    x->format = format;
    buf_reset(&x->carry);
    x->line = 0;
    x->ended = x->in_family = false;
    x->family.len = 0;
    x->family.type = FAMILY_UNKNOWN;
}

int exposition_bad(struct exposition *x, struct err *err, const char *fmt, ...)
{
    char msg[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    if (x->format == EXPOSITION_PROTOBUF)
        err_set(err, "%s", msg);
    else
        err_at(err, x->line, 1, "line %d: %s", x->line, msg);
    return -EBADMSG;
}

static int carry_add(struct exposition *x, const void *data, size_t len, struct err *err)
{
    int rc = len ? buf_add(&x->carry, data, len) : 0;
    if (rc == -EMSGSIZE) {
        exposition_bad(x, err, "%s has more than %u bytes",
            x->format == EXPOSITION_PROTOBUF ? "a metric" : "the line", EXPOSITION_LINE_MAX);
        return rc;
    }
    if (rc < 0)
        err_set(err, "out of memory");
    return rc;
}

static int feed_lines(struct exposition *x, const char *data, size_t len, struct err *err)
{
    const char *end = data + len, *lf;
    int rc = 0;
    if (x->carry.len) {
        lf = memchr(data, '\n', len);
        x->line += lf != NULL;
        rc = carry_add(x, data, lf ? (size_t)(lf - data) : len, err);
        if (rc < 0 || !lf)
            return rc;
        rc = exposition_line(x, (const char *)x->carry.data, x->carry.len, err);
        buf_reset(&x->carry);
        data = lf + 1;
    }
    while (rc == 0 && data < end && (lf = memchr(data, '\n', (size_t)(end - data)))) {
        x->line++;
        rc = exposition_line(x, data, (size_t)(lf - data), err);
        data = lf + 1;
    }
    return rc < 0 ? rc : carry_add(x, data, (size_t)(end - data), err);
}

static int feed_messages(struct exposition *x, const uint8_t *data, size_t len, struct err *err)
{
    size_t used = 0;
    int rc;
    if (x->carry.len == 0) {
        rc = exposition_messages(x, data, len, &used, err);
        return rc < 0 ? rc : carry_add(x, data + used, len - used, err);
    }
    // A field that is not whole: its rest is asked for by what is missing at most, so that no byte is
    // looked at often.
    rc = carry_add(x, data, len, err);
    if (rc == 0)
        rc = exposition_messages(x, x->carry.data, x->carry.len, &used, err);
    if (rc == 0)
        buf_drop(&x->carry, used);
    return rc;
}

int exposition_feed(struct exposition *x, const void *data, size_t len, struct err *err)
{
    if (len == 0)
        return 0;
    return x->format == EXPOSITION_PROTOBUF ? feed_messages(x, data, len, err)
                                            : feed_lines(x, data, len, err);
}

int exposition_end(struct exposition *x, struct err *err)
{
    int rc = 0;
    if (x->format == EXPOSITION_PROTOBUF)
        return x->carry.len || x->in_family ? exposition_bad(x, err, "the last message is cut")
                                            : 0;
    if (x->carry.len) {
        x->line++;
        rc = exposition_line(x, (const char *)x->carry.data, x->carry.len, err);
        buf_reset(&x->carry);
    }
    if (rc == 0 && x->format == EXPOSITION_OPENMETRICS && !x->ended)
        rc = exposition_bad(x, err, "the page does not end with # EOF");
    return rc;
}

bool exposition_add_label(struct exposition *x, const char *name, size_t name_len,
    const char *value, size_t value_len, struct err *err)
{
    if (x->n_labels == EXPOSITION_LABELS_MAX) {
        exposition_bad(x, err, "more than %d labels", EXPOSITION_LABELS_MAX);
        return false;
    }
    struct wire_label l = {
        arena_strndup(&x->text, name, name_len), arena_strndup(&x->text, value, value_len)};
    if (!l.name || !l.value) {
        err_set(err, "out of memory");
        return false;
    }
    x->labels[x->n_labels++] = l;
    return true;
}

bool exposition_labels(struct exposition *x, const char **ret_name,
    const struct wire_label **ret_labels, size_t *ret_n, struct err *err)
{
    arena_reset(&x->text);
    x->n_labels = 0;
    bool good = x->format == EXPOSITION_PROTOBUF
                    ? exposition_message_labels(x, ret_name, err)
                    : exposition_text_labels(x, x->at.at, x->at.len, ret_name, err);
    *ret_labels = x->labels;
    *ret_n = x->n_labels;
    return good;
}

// --- what names tell -------------------------------------------------------------------------------

static bool ends_with(const char *name, size_t *len, const char *tail)
{
    size_t n = strlen(tail);
    if (*len <= n || memcmp(name + *len - n, tail, n) != 0)
        return false;
    *len -= n;
    return true;
}

const char *exposition_unit(const char *name, size_t len)
{
    static const struct {
        const char *tail, *unit;
    } UNITS[] = {{"_seconds", "s"}, {"_bytes", "By"}, {"_ratio", "1"}, {"_celsius", "Cel"},
        {"_meters", "m"}, {"_volts", "V"}, {"_amperes", "A"}, {"_joules", "J"},
        {"_hertz", "Hz"}};
    if (ends_with(name, &len, "_count") || ends_with(name, &len, "_bucket"))
        return "1";
    if (!ends_with(name, &len, "_total"))
        ends_with(name, &len, "_sum");
    for (size_t i = 0; i < sizeof(UNITS) / sizeof(UNITS[0]); i++)
        if (ends_with(name, &len, UNITS[i].tail))
            return UNITS[i].unit;
    return "";
}

enum series_kind exposition_kind(const struct family *f, const char *name, size_t len)
{
    bool same = len >= f->len && memcmp(name, f->name, f->len) == 0;
    size_t left = len;
    switch (same ? f->type : FAMILY_UNKNOWN) {
    case FAMILY_COUNTER: return SERIES_COUNTER;
    case FAMILY_GAUGE:
    case FAMILY_GAUGE_HISTOGRAM:
    case FAMILY_INFO:
    case FAMILY_STATESET: return SERIES_GAUGE;
    case FAMILY_HISTOGRAM: return SERIES_COUNTER;
    case FAMILY_SUMMARY: return len == f->len ? SERIES_GAUGE : SERIES_COUNTER;
    case FAMILY_UNKNOWN:
        return ends_with(name, &left, "_total") ? SERIES_COUNTER : SERIES_GAUGE;
    }
    return SERIES_GAUGE;
}

bool exposition_format_of(const char *content_type, enum exposition_format *ret)
{
    char type[64];
    size_t n = strcspn(content_type, "; \t");
    if (n >= sizeof(type))
        return false;
    memcpy(type, content_type, n);
    type[n] = '\0';
    *ret = EXPOSITION_TEXT;
    if (strcasecmp(type, "application/openmetrics-text") == 0)
        *ret = EXPOSITION_OPENMETRICS;
    else if (strcasecmp(type, "application/vnd.google.protobuf") == 0)
        *ret = EXPOSITION_PROTOBUF;
    return true;
}
