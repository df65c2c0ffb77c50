// SPDX-License-Identifier: Apache-2.0
#include "collector/params.h"
#include "base/num.h"
#include "rules/parse.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TIME_MAX_S    253402300799.0 // the year 9999
#define FORM_NAME_MAX 64

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int params_decode(char *text)
{
    char *out = text;
    for (const char *in = text; *in; in++) {
        if (*in == '+') {
            *out++ = ' ';
        } else if (*in == '%') {
            int high = hex(in[1]), low = high < 0 ? -1 : hex(in[2]);
            // A zero byte would end the text early: refused.
            if (low < 0 || (high | low) == 0)
                return -EINVAL;
            *out++ = (char)(high << 4 | low);
            in += 2;
        } else {
            *out++ = *in;
        }
    }
    *out = '\0';
    return (int)(out - text);
}

static int rfc3339(const char *text, int64_t *ret_ms)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!rest)
        return -EINVAL;
    double fraction = 0;
    if (*rest == '.') {
        size_t n = 1 + strspn(rest + 1, "0123456789");
        if (n == 1 || n > 12 || !num_parse(rest, n, &fraction))
            return -EINVAL;
        rest += n;
    }
    int offset_min = 0;
    if (*rest == '+' || *rest == '-') {
        int h, m, used = 0;
        if (sscanf(rest + 1, "%2d:%2d%n", &h, &m, &used) != 2 || used != 5 || h > 23 || m > 59)
            return -EINVAL;
        offset_min = (*rest == '-' ? -1 : 1) * (h * 60 + m);
        rest += 6;
    } else if (*rest++ != 'Z') {
        return -EINVAL;
    }
    if (*rest)
        return -EINVAL;
    *ret_ms = ((int64_t)timegm(&tm) - offset_min * 60) * 1000 + llround(fraction * 1000);
    return 0;
}

int params_time(const char *text, int64_t *ret_ms)
{
    double s;
    if (!num_parse(text, strlen(text), &s))
        return rfc3339(text, ret_ms);
    if (!(fabs(s) <= TIME_MAX_S))
        return -EINVAL;
    *ret_ms = llround(s * 1000);
    return 0;
}

static int set_expr(struct request *r, const char *value, bool append)
{
    size_t old = r->expr ? strlen(r->expr) : 0, len = strlen(value);
    if (old + len > EXPR_TEXT_MAX)
        return -E2BIG;
    char *text = malloc(old + len + 2);
    if (!text)
        return -ENOMEM;
    size_t at = 0;
    if (append && old) {
        memcpy(text, r->expr, old);
        text[old] = '\n';
        at = old + 1;
    }
    memcpy(text + at, value, len + 1);
    free(r->expr);
    r->expr = text;
    return 0;
}

static int set_time(const char *name, const char *value, int64_t *ret, struct err *err)
{
    if (params_time(value, ret) == 0)
        return 0;
    err_set(err, "invalid parameter \"%s\": cannot parse \"%.100s\" to a valid timestamp", name,
        value);
    return -EINVAL;
}

static int set_step(const char *value, int64_t *ret, struct err *err)
{
    double s;
    if (num_parse(value, strlen(value), &s)
            ? s > 0 && s <= TIME_MAX_S
            : duration_parse(value, strlen(value), ret) && *ret > 0) {
        if (num_parse(value, strlen(value), &s))
            *ret = llround(s * 1000);
        if (*ret > 0)
            return 0;
    }
    err_set(err, "invalid parameter \"step\": \"%.100s\" is not a positive duration", value);
    return -EINVAL;
}

int params_add(struct request *r, const char *name, const char *value, struct err *err)
{
    int rc = 0;
    if (strcmp(name, "query") == 0 && r->kind != REQUEST_SERIES)
        rc = set_expr(r, value, false);
    else if (strcmp(name, "match[]") == 0 && r->kind == REQUEST_SERIES) {
        // One selector per line; inside a selector a line break is only white space.
        char *line = strdup(value);
        for (char *c = line; c && *c; c++)
            if (*c == '\n' || *c == '\r')
                *c = ' ';
        rc = line ? set_expr(r, line, true) : -ENOMEM;
        free(line);
    } else if (strcmp(name, "time") == 0)
        rc = set_time(name, value, &r->time_ms, err);
    else if (strcmp(name, "start") == 0)
        rc = set_time(name, value, &r->start_ms, err);
    else if (strcmp(name, "end") == 0)
        rc = set_time(name, value, &r->end_ms, err);
    else if (strcmp(name, "step") == 0)
        rc = set_step(value, &r->step_ms, err);
    else if (strcmp(name, "limit") == 0) {
        uint64_t n;
        if (!num_parse_u64(value, strlen(value), &n)) {
            err_set(err, "invalid parameter \"limit\": \"%.100s\" is not a number", value);
            rc = -EINVAL;
        } else {
            r->limit = n;
        }
    }
    if (rc == -E2BIG)
        err_set(err, "parameter \"%s\" is longer than %d bytes", name, EXPR_TEXT_MAX);
    return rc;
}

int params_form(struct request *r, const char *text, size_t len, struct err *err)
{
    int rc = 0;
    for (size_t at = 0; at < len && rc == 0;) {
        const char *amp = memchr(text + at, '&', len - at);
        size_t n = amp ? (size_t)(amp - text) - at : len - at;
        char *pair = strndup(text + at, n);
        if (!pair)
            return -ENOMEM;
        char *value = strchr(pair, '=');
        char empty[1] = "";
        if (value)
            *value++ = '\0';
        else
            value = empty;
        if (params_decode(pair) < 0 || params_decode(value) < 0) {
            err_set(err, "the form is not well encoded");
            rc = -EINVAL;
        } else if (strlen(pair) <= FORM_NAME_MAX) {
            rc = params_add(r, pair, value, err);
        }
        free(pair);
        at += n + 1;
    }
    return rc;
}

int params_check(const struct request *r, struct err *err)
{
    bool range = r->kind == REQUEST_QUERY_RANGE;
    const char *missing = NULL;
    if ((range || r->kind == REQUEST_QUERY) && (!r->expr || !*r->expr))
        missing = "query";
    else if (range && !r->start_ms)
        missing = "start";
    else if (range && !r->end_ms)
        missing = "end";
    else if (range && !r->step_ms)
        missing = "step";
    if (!missing)
        return 0;
    err_set(err, "parameter \"%s\" is missing", missing);
    return -EINVAL;
}
