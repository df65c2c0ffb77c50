// SPDX-License-Identifier: Apache-2.0
/*
 * name{label="value",...} of a text page: first only looked through, for the key of a sample; taken apart
 * when somebody asks for the labels of a key.
 */
#include "agent/exposition_line.h"
#include "base/rune.h"
#include <errno.h>
#include <string.h>

// Behind the closing brace of labels that were looked at before, or that are looked at later. False:
// there is none.
static bool skip_labels(struct line *l)
{
    for (const char *s = l->at; s < l->end; s++) {
        if (*s == '}') {
            l->at = s + 1;
            return true;
        }
        if (*s != '"')
            continue;
        for (s++; s < l->end && *s != '"'; s++)
            s += *s == '\\';
    }
    return false;
}

// Behind the quote of a value that began.
static bool take_value(struct line *l, struct span *ret)
{
    const char *s = l->at;
    while (s < l->end && *s != '"')
        s += *s == '\\' ? 2 : 1;
    if (s >= l->end)
        return false;
    *ret = (struct span){l->at, (size_t)(s - l->at)};
    l->at = s + 1;
    return true;
}

// \" \\ and \n; anything else that is escaped stays as it is.
static bool keep_label(
    struct exposition *x, struct span name, struct span value, struct err *err)
{
    char *text = NULL;
    if (memchr(value.at, '\\', value.len)) {
        size_t n = 0;
        text = arena_alloc(&x->text, value.len);
        for (size_t i = 0; text && i < value.len; i++) {
            char c = value.at[i], then = i + 1 < value.len ? value.at[i + 1] : '\0';
            bool escape = c == '\\' && (then == '\\' || then == '"' || then == 'n');
            text[n++] = !escape ? c : then == 'n' ? '\n' : then;
            i += escape;
        }
        if (!text) {
            err_set(err, "out of memory");
            return false;
        }
        value = (struct span){text, n};
    }
    return exposition_add_label(x, name.at, name.len, value.at, value.len, err);
}

// One name="value". keep: into the labels of x.
static int one_label(struct exposition *x, struct line *l, bool keep, struct err *err)
{
    bool om = x->format == EXPOSITION_OPENMETRICS;
    struct span name = take_name(l, false), value;
    if (!name.len)
        return exposition_bad(x, err, "a label's name is wanted at `%.*s`",
            (int)(l->end - l->at < 20 ? l->end - l->at : 20), l->at);
    if (!om)
        skip_blanks(l);
    if (!take(l, '='))
        return exposition_bad(x, err, "= is wanted behind label `%.*s`",
            (int)(name.len < 60 ? name.len : 60), name.at);
    if (!om)
        skip_blanks(l);
    if (!take(l, '"') || !take_value(l, &value))
        return exposition_bad(x, err, "label `%.*s` has no value in quotes",
            (int)(name.len < 60 ? name.len : 60), name.at);
    if (!rune_text_ok(value.at, value.len) || memchr(value.at, '\0', value.len))
        return exposition_bad(
            x, err, "label `%.*s` is not UTF-8", (int)(name.len < 60 ? name.len : 60), name.at);
    return keep && !keep_label(x, name, value, err) ? -EBADMSG : 0;
}

int exposition_read_labels(struct exposition *x, struct line *l, bool keep, struct err *err)
{
    bool om = x->format == EXPOSITION_OPENMETRICS;
    for (bool first = true;; first = false) {
        if (!om)
            skip_blanks(l);
        if (take(l, '}'))
            return 0;
        if (om && !first && !take(l, ','))
            return exposition_bad(x, err, "a comma is wanted between labels");
        int rc = one_label(x, l, keep, err);
        if (rc < 0)
            return rc;
        if (om)
            continue;
        skip_blanks(l);
        take(l, ','); // Prometheus does not insist on it
    }
}

bool exposition_text_labels(
    struct exposition *x, const char *key, size_t len, const char **ret_name, struct err *err)
{
    struct line l = {key, key + len};
    struct span name = take_name(&l, true);
    *ret_name = arena_strndup(&x->text, name.at, name.len);
    if (!*ret_name) {
        err_set(err, "out of memory");
        return false;
    }
    if (x->format == EXPOSITION_TEXT)
        skip_blanks(&l);
    return !take(&l, '{') || exposition_read_labels(x, &l, true, err) == 0;
}

int exposition_key(
    struct exposition *x, struct line *l, struct span *name, struct span *key, struct err *err)
{
    const char *begun = l->at;
    *name = take_name(l, true);
    if (!name->len)
        return exposition_bad(x, err, "the name of a metric is wanted at `%.*s`",
            (int)(l->end - begun < 20 ? l->end - begun : 20), begun);
    *key = *name;
    if (x->format == EXPOSITION_TEXT)
        skip_blanks(l);
    if (!take(l, '{'))
        return 0;
    struct line whole = *l;
    if (!skip_labels(l)) {
        int rc = exposition_read_labels(x, &whole, false, err); // says what is wrong
        return rc < 0 ? rc : exposition_bad(x, err, "the braces are not closed");
    }
    key->len = (size_t)(l->at - begun);
    return 0;
}
