// SPDX-License-Identifier: Apache-2.0
#include "rules/labels.h"
#include "base/map.h"
#include "base/rune.h"
#include <stdlib.h>
#include <string.h>

#define HASH_SEED 0x9e3779b97f4a7c15ULL

const char *labels_get(const struct labels *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (!strcmp(s->l[i].name, name))
            return s->l[i].value;
    return "";
}

// The terminating NUL is hashed too: it keeps "ab","c" and "a","bc" apart.
static uint64_t hash_pair(const struct label *l, uint64_t h)
{
    h = hash_bytes(l->name, strlen(l->name) + 1, h);
    return hash_bytes(l->value, strlen(l->value) + 1, h);
}

uint64_t labels_hash(const struct labels *s)
{
    uint64_t h = HASH_SEED;
    for (size_t i = 0; i < s->n; i++)
        h = hash_pair(&s->l[i], h);
    return h;
}

uint64_t labels_hash_on(const struct labels *s, const char *const *names, size_t n)
{
    uint64_t h = HASH_SEED;
    size_t i = 0, j = 0;
    while (i < s->n && j < n) {
        int c = strcmp(s->l[i].name, names[j]);
        if (c == 0)
            h = hash_pair(&s->l[i], h);
        i += c <= 0;
        j += c >= 0;
    }
    return h;
}

uint64_t labels_hash_without(const struct labels *s, const char *const *names, size_t n)
{
    uint64_t h = HASH_SEED;
    size_t j = 0;
    for (size_t i = 0; i < s->n; i++) {
        const char *name = s->l[i].name;
        while (j < n && strcmp(names[j], name) < 0)
            j++;
        if ((j < n && !strcmp(names[j], name)) || !strcmp(name, LABEL_NAME))
            continue;
        h = hash_pair(&s->l[i], h);
    }
    return h;
}

bool labels_equal(const struct labels *a, const struct labels *b)
{
    return a->n == b->n && labels_compare(a, b) == 0;
}

int labels_compare(const struct labels *a, const struct labels *b)
{
    size_t n = a->n < b->n ? a->n : b->n;
    for (size_t i = 0; i < n; i++) {
        int c = strcmp(a->l[i].name, b->l[i].name);
        if (c == 0)
            c = strcmp(a->l[i].value, b->l[i].value);
        if (c)
            return c;
    }
    return (a->n > b->n) - (a->n < b->n);
}

uint64_t labels_fingerprint(const struct labels *s)
{
    uint64_t h = 14695981039346656037ULL;
    for (size_t i = 0; i < s->n; i++) {
        const char *part[2] = {s->l[i].name, s->l[i].value};
        for (int k = 0; k < 2; k++) {
            for (const unsigned char *p = (const unsigned char *)part[k]; *p; p++)
                h = (h ^ *p) * 1099511628211ULL;
            h = (h ^ 0xff) * 1099511628211ULL;
        }
    }
    return h;
}

// Where name stands in a sorted array, or where it would be inserted.
static size_t position(const struct label *l, size_t n, const char *name, bool *ret_found)
{
    size_t lo = 0, hi = n;
    *ret_found = false;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(l[mid].name, name);
        if (c == 0) {
            *ret_found = true;
            return mid;
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool labels_make(struct arena *a, const struct label *pairs, size_t n, struct labels *ret)
{
    struct label *l = arena_alloc(a, (n ? n : 1) * sizeof(*l));
    size_t used = 0;

    if (!l)
        return false;
    for (size_t i = 0; i < n; i++) {
        bool found;
        size_t at = position(l, used, pairs[i].name, &found);
        if (!pairs[i].value[0]) {
            if (found)
                memmove(&l[at], &l[at + 1], (--used - at) * sizeof(*l));
            continue;
        }
        if (!found) {
            memmove(&l[at + 1], &l[at], (used++ - at) * sizeof(*l));
            l[at].name = arena_strndup(a, pairs[i].name, strlen(pairs[i].name));
        }
        l[at].value = arena_strndup(a, pairs[i].value, strlen(pairs[i].value));
        if (!l[at].name || !l[at].value)
            return false;
    }
    *ret = (struct labels){l, used};
    return true;
}

bool labels_with(struct arena *a, const struct labels *s, const char *name, const char *value,
    struct labels *ret)
{
    struct label *l = arena_alloc(a, (s->n + 1) * sizeof(*l));
    bool found;

    if (!l)
        return false;
    size_t at = position(s->l, s->n, name, &found);
    size_t rest = found ? at + 1 : at, n = at;
    if (at)
        memcpy(l, s->l, at * sizeof(*l));
    if (value[0]) {
        l[n].name = found ? s->l[at].name : arena_strndup(a, name, strlen(name));
        l[n].value = arena_strndup(a, value, strlen(value));
        if (!l[n].name || !l[n].value)
            return false;
        n++;
    }
    if (s->n > rest)
        memcpy(&l[n], &s->l[rest], (s->n - rest) * sizeof(*l));
    *ret = (struct labels){l, n + s->n - rest};
    return true;
}

// Keeps the labels for which (named among names) == keep.
static bool filtered(struct arena *a, const struct labels *s, const char *const *names,
    size_t n, bool keep, bool drop_name, struct labels *ret)
{
    struct label *l = arena_alloc(a, (s->n ? s->n : 1) * sizeof(*l));
    size_t used = 0, j = 0;

    if (!l)
        return false;
    for (size_t i = 0; i < s->n; i++) {
        const char *name = s->l[i].name;
        while (j < n && strcmp(names[j], name) < 0)
            j++;
        bool named = j < n && !strcmp(names[j], name);
        if (named == keep && !(drop_name && !strcmp(name, LABEL_NAME)))
            l[used++] = s->l[i];
    }
    *ret = (struct labels){l, used};
    return true;
}

bool labels_keep(struct arena *a, const struct labels *s, const char *const *names, size_t n,
    struct labels *ret)
{
    return filtered(a, s, names, n, true, false, ret);
}

bool labels_drop(struct arena *a, const struct labels *s, const char *const *names, size_t n,
    bool drop_name, struct labels *ret)
{
    return filtered(a, s, names, n, false, drop_name, ret);
}

struct labels *labels_dup(const struct labels *s)
{
    size_t size = sizeof(struct labels) + s->n * sizeof(struct label);
    for (size_t i = 0; i < s->n; i++)
        size += strlen(s->l[i].name) + strlen(s->l[i].value) + 2;
    struct labels *copy = malloc(size);
    if (!copy)
        return NULL;
    struct label *l = (struct label *)(copy + 1);
    char *text = (char *)(l + s->n);
    for (size_t i = 0; i < s->n; i++) {
        size_t name = strlen(s->l[i].name) + 1, value = strlen(s->l[i].value) + 1;
        l[i].name = memcpy(text, s->l[i].name, name);
        l[i].value = memcpy(text + name, s->l[i].value, value);
        text += name + value;
    }
    *copy = (struct labels){l, s->n};
    return copy;
}

void label_quote(const char *s, size_t len, struct buf *out)
{
    buf_addc(out, '"');
    for (size_t at = 0; at < len;) {
        size_t from = at;
        unsigned char c = (unsigned char)s[from];
        bool broken = rune_decode(s, len, &at) == RUNE_BROKEN && at == from + 1;
        if (c == '"' || c == '\\') {
            buf_addc(out, '\\');
            buf_addc(out, (char)c);
        } else if (c == '\n') {
            buf_adds(out, "\\n");
        } else if (c == '\t') {
            buf_adds(out, "\\t");
        } else if (c == '\r') {
            buf_adds(out, "\\r");
        } else if (c < 0x20 || c == 0x7f || broken) {
            buf_addf(out, "\\x%02x", c);
        } else {
            buf_add(out, s + from, at - from);
        }
    }
    buf_addc(out, '"');
}

static bool word(const char *s, bool colon)
{
    for (size_t i = 0; s[i]; i++) {
        char c = s[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        bool digit = c >= '0' && c <= '9';
        if (!letter && !(digit && i > 0) && !(colon && c == ':'))
            return false;
    }
    return s[0] != '\0';
}

bool label_name_plain(const char *name)
{
    return word(name, false);
}

bool metric_name_plain(const char *name)
{
    return word(name, true);
}

void labels_print(const struct labels *s, struct buf *out)
{
    const char *name = labels_get(s, LABEL_NAME);
    bool plain = metric_name_plain(name), comma = false;

    if (plain)
        buf_adds(out, name);
    if (plain && s->n == 1)
        return;
    buf_addc(out, '{');
    if (name[0] && !plain) {
        label_quote(name, strlen(name), out);
        comma = true;
    }
    for (size_t i = 0; i < s->n; i++) {
        if (!strcmp(s->l[i].name, LABEL_NAME))
            continue;
        if (comma)
            buf_adds(out, ", ");
        comma = true;
        if (label_name_plain(s->l[i].name))
            buf_adds(out, s->l[i].name);
        else
            label_quote(s->l[i].name, strlen(s->l[i].name), out);
        buf_addc(out, '=');
        label_quote(s->l[i].value, strlen(s->l[i].value), out);
    }
    buf_addc(out, '}');
}

void labels_json(const struct labels *s, struct buf *out)
{
    buf_addc(out, '{');
    for (size_t i = 0; i < s->n; i++) {
        if (i)
            buf_addc(out, ',');
        buf_add_json(out, s->l[i].name, strlen(s->l[i].name));
        buf_addc(out, ':');
        buf_add_json(out, s->l[i].value, strlen(s->l[i].value));
    }
    buf_addc(out, '}');
}

bool label_name_valid(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && rune_text_ok(name, len);
}

bool label_describes_metric(const char *name)
{
    return name[0] == '_' && name[1] == '_' &&
           (!strcmp(name, LABEL_NAME) || !strcmp(name, "__type__") ||
               !strcmp(name, "__unit__"));
}
