// SPDX-License-Identifier: Apache-2.0
#include "agent/statsd_key.h"
#include "base/rune.h"
#include "wire/batch.h"
#include <string.h>

void statsd_key_init(struct statsd_key *k)
{
    k->n_tags = k->len = k->made_of = 0;
    k->too_many = false;
}

void statsd_key_tag(struct statsd_key *k, struct span name, struct span value)
{
    if (k->n_tags == STATSD_TAGS_MAX)
        k->too_many = true;
    else
        k->tags[k->n_tags++] = (struct statsd_tag){name, value};
}

// Copies made Prometheus's: one `_` for each character that may not be in a name. False: no room, or
// not UTF-8.
static bool put_name(struct statsd_key *k, struct span t, bool first)
{
    if (k->len + t.len + 2 > STATSD_KEY_MAX)
        return false;
    char *to = k->text + k->len, *from = to;
    if (first && t.len && t.at[0] >= '0' && t.at[0] <= '9')
        *to++ = '_';
    bool high = false;
    for (size_t i = 0; i < t.len; i++) {
        char c = t.at[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        high = high || c & 0x80;
        if (((unsigned char)c & 0xc0) != 0x80) // the rest of a character is none of its own
            *to++ = ok ? c : '_';
    }
    k->len += (size_t)(to - from);
    return !high || (!memchr(t.at, '\0', t.len) && rune_text_ok(t.at, t.len));
}

static bool put_value(struct statsd_key *k, struct span t)
{
    if (k->len + t.len + 1 > STATSD_KEY_MAX)
        return false;
    char *to = k->text + k->len;
    memcpy(to, t.at, t.len);
    to[t.len] = '\0';
    k->len += t.len + 1;
    return t.len && !memchr(t.at, '\0', t.len) && rune_text_ok(t.at, t.len);
}

// By the name it has in Prometheus; of two the later one counts.
static int compare_tags(const struct statsd_tag *a, const struct statsd_tag *b)
{
    size_t n = a->name.len < b->name.len ? a->name.len : b->name.len;
    int d = memcmp(a->name.at, b->name.at, n);
    return d ? d : (a->name.len > b->name.len) - (a->name.len < b->name.len);
}

// Tags with their names as they will be, in room, sorted; STATSD_FAULTS when all went well.
static enum statsd_fault sort_tags(struct statsd_key *k, char room[static STATSD_KEY_MAX],
    struct statsd_tag sorted[static STATSD_TAGS_MAX], size_t *ret_n)
{
    size_t used = 0, kept = 0;
    for (size_t i = 0; i < k->n_tags; i++) {
        k->len = 0;
        if (!put_name(k, k->tags[i].name, true))
            return k->tags[i].name.len + 2 > STATSD_KEY_MAX ? STATSD_TOO_LONG
                                                            : STATSD_MALFORMED_LINE;
        if (used + k->len > STATSD_KEY_MAX)
            return STATSD_TOO_LONG;
        memcpy(room + used, k->text, k->len);
        struct statsd_tag t = {{room + used, k->len}, k->tags[i].value};
        used += k->len;
        size_t at = kept;
        while (at > 0 && compare_tags(&sorted[at - 1], &t) > 0)
            at--;
        if (at > 0 && compare_tags(&sorted[at - 1], &t) == 0) {
            sorted[at - 1] = t;
            continue;
        }
        memmove(sorted + at + 1, sorted + at, (kept++ - at) * sizeof(*sorted));
        sorted[at] = t;
    }
    *ret_n = kept;
    return STATSD_FAULTS;
}

static enum statsd_fault write_text(
    struct statsd_key *k, const struct statsd_tag *sorted, size_t n)
{
    k->len = 0;
    for (int i = 0; i < 2; i++)
        if (!put_name(k, k->name[i], k->len == 0))
            return k->name[i].len + k->len + 2 > STATSD_KEY_MAX ? STATSD_TOO_LONG
                                                                : STATSD_MALFORMED_LINE;
    if (!k->len)
        return STATSD_MALFORMED_LINE;
    if (k->len > WIRE_NAME_MAX)
        return STATSD_TOO_LONG;
    k->text[k->len++] = '\0';
    for (size_t i = 0; i < n; i++) {
        if (k->len + sorted[i].name.len + sorted[i].value.len + 2 > STATSD_KEY_MAX)
            return STATSD_TOO_LONG;
        memcpy(k->text + k->len, sorted[i].name.at, sorted[i].name.len);
        k->len += sorted[i].name.len;
        k->text[k->len++] = '\0';
        if (!put_value(k, sorted[i].value))
            return STATSD_MALFORMED_LINE;
    }
    return STATSD_FAULTS;
}

enum statsd_fault statsd_key_make(struct statsd_key *k)
{
    char room[STATSD_KEY_MAX];
    struct statsd_tag sorted[STATSD_TAGS_MAX];
    size_t n;
    if (k->len && k->made_of == k->n_tags)
        return STATSD_FAULTS;
    enum statsd_fault fault = k->too_many ? STATSD_TOO_LONG : sort_tags(k, room, sorted, &n);
    if (fault == STATSD_FAULTS)
        fault = write_text(k, sorted, n);
    if (fault != STATSD_FAULTS)
        k->len = 0;
    k->made_of = k->n_tags;
    return fault;
}
