// SPDX-License-Identifier: Apache-2.0
/*
 * A place in one line of a text page, and the names that stand there. Private to exposition_text.c and
 * exposition_labels.c.
 */
#pragma once
#include "agent/exposition_state.h"

struct line {
    const char *at, *end;
};

static inline bool letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static inline bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool blank(char c)
{
    return c == ' ' || c == '\t';
}

static inline void skip_blanks(struct line *l)
{
    while (l->at < l->end && blank(*l->at))
        l->at++;
}

static inline struct span take_name(struct line *l, bool colons)
{
    const char *s = l->at;
    if (s < l->end && (letter(*s) || (colons && *s == ':')))
        while (++s < l->end && (letter(*s) || digit(*s) || (colons && *s == ':')))
            ;
    struct span name = {l->at, (size_t)(s - l->at)};
    l->at = s;
    return name;
}

static inline bool take(struct line *l, char c)
{
    if (l->at == l->end || *l->at != c)
        return false;
    l->at++;
    return true;
}

static inline struct span rest_of(const struct line *l)
{
    return (struct span){l->at, (size_t)(l->end - l->at)};
}

static inline struct span take_word(struct line *l)
{
    const char *s = l->at;
    while (s < l->end && !blank(*s))
        s++;
    struct span word = {l->at, (size_t)(s - l->at)};
    l->at = s;
    return word;
}

// The name of a sample and, in braces, its labels, which are only looked through. key: both, as written.
int exposition_key(
    struct exposition *x, struct line *l, struct span *name, struct span *key, struct err *err);
// Behind the brace that opens labels, to that which closes them. keep: into the labels of x.
int exposition_read_labels(struct exposition *x, struct line *l, bool keep, struct err *err);
