// SPDX-License-Identifier: Apache-2.0
#include "agent/relabel.h"
#include "base/buf.h"
#include "base/rune.h"
#include <ctype.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SEPARATOR   ";"
#define REPLACEMENT "$1"
#define PATTERN     "(.*)"

// --- sets ----------------------------------------------------------------------------------------

void relabel_set_init(struct relabel_set *s, struct arena *text)
{
    s->text = text;
    s->n = 0;
    s->failed = false;
}

const char *relabel_get(const struct relabel_set *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->l[i].name, name) == 0)
            return s->l[i].value;
    return "";
}

void relabel_put(struct relabel_set *s, const char *name, const char *value)
{
    size_t at = 0;
    while (at < s->n && strcmp(s->l[at].name, name) != 0)
        at++;
    if (!value || !*value) {
        if (at < s->n)
            s->l[at] = s->l[--s->n];
    } else if (at < s->n) {
        s->l[at].value = value;
    } else if (s->n < RELABEL_LABELS_MAX) {
        s->l[s->n++] = (struct wire_label){name, value};
    } else {
        s->failed = true;
    }
}

void relabel_sort(struct relabel_set *s)
{
    for (size_t i = 1; i < s->n; i++) {
        struct wire_label one = s->l[i];
        size_t at = i;
        for (; at > 0 && strcmp(s->l[at - 1].name, one.name) > 0; at--)
            s->l[at] = s->l[at - 1];
        s->l[at] = one;
    }
}

// --- rules ---------------------------------------------------------------------------------------

static const char *const ACTIONS[RELABEL_ACTIONS] = {
    [RELABEL_REPLACE] = "replace",
    [RELABEL_KEEP] = "keep",
    [RELABEL_DROP] = "drop",
    [RELABEL_KEEPEQUAL] = "keepequal",
    [RELABEL_DROPEQUAL] = "dropequal",
    [RELABEL_HASHMOD] = "hashmod",
    [RELABEL_LABELMAP] = "labelmap",
    [RELABEL_LABELDROP] = "labeldrop",
    [RELABEL_LABELKEEP] = "labelkeep",
    [RELABEL_LOWERCASE] = "lowercase",
    [RELABEL_UPPERCASE] = "uppercase",
};

const char *relabel_action_name(enum relabel_action a)
{
    return ACTIONS[a];
}

bool relabel_action_parse(const char *text, enum relabel_action *ret)
{
    for (size_t i = 0; i < RELABEL_ACTIONS; i++)
        if (strcasecmp(text, ACTIONS[i]) == 0) {
            *ret = (enum relabel_action)i;
            return true;
        }
    return false;
}

static bool name_ok(const char *s)
{
    if (!isalpha((uint8_t)*s) && *s != '_')
        return false;
    while (isalnum((uint8_t)*s) || *s == '_')
        s++;
    return !*s;
}

// A label's name in which groups of the match may stand: `a_$1`, `${kind}_x`.
static bool template_ok(const char *s)
{
    if (!*s || isdigit((uint8_t)*s))
        return false;
    while (*s) {
        if (*s != '$') {
            if (!isalnum((uint8_t)*s) && *s != '_')
                return false;
            s++;
            continue;
        }
        bool braced = *++s == '{';
        const char *begun = s += braced;
        while (isalnum((uint8_t)*s) || *s == '_')
            s++;
        if (s == begun || (braced && *s++ != '}'))
            return false;
    }
    return true;
}

static int wrong(const char **ret_key, const char *key)
{
    *ret_key = key;
    return -EINVAL;
}

static int check_target(const struct relabel_rule *r, const char **ret_key, struct err *err)
{
    bool writes = r->action == RELABEL_REPLACE || r->action == RELABEL_HASHMOD ||
                  r->action == RELABEL_LOWERCASE || r->action == RELABEL_UPPERCASE ||
                  r->action == RELABEL_KEEPEQUAL || r->action == RELABEL_DROPEQUAL;
    if (!writes)
        return 0;
    if (!r->target || !*r->target) {
        err_set(err, "`%s` needs a target_label", ACTIONS[r->action]);
        return wrong(ret_key, "target_label");
    }
    if (r->action == RELABEL_REPLACE ? !template_ok(r->target) : !name_ok(r->target)) {
        err_set(err, "`%.100s` is not the name of a label", r->target);
        return wrong(ret_key, "target_label");
    }
    return 0;
}

// Fields that say nothing to an action are mistakes, as in Prometheus.
static int check_strangers(const struct relabel_rule *r, const char **ret_key, struct err *err)
{
    enum relabel_action a = r->action;
    bool cases = a == RELABEL_LOWERCASE || a == RELABEL_UPPERCASE;
    bool equal = a == RELABEL_KEEPEQUAL || a == RELABEL_DROPEQUAL;
    bool names = a == RELABEL_LABELDROP || a == RELABEL_LABELKEEP;
    const char *key = NULL;
    if ((cases || equal || names) && strcmp(r->replacement, REPLACEMENT) != 0)
        key = "replacement";
    else if ((equal || names) && r->modulus)
        key = "modulus";
    else if ((equal || names) && strcmp(r->separator, SEPARATOR) != 0)
        key = "separator";
    else if (equal && strcmp(r->pattern, PATTERN) != 0)
        key = "regex";
    else if (names && r->n_source)
        key = "source_labels";
    else if (names && r->target && *r->target)
        key = "target_label";
    if (!key)
        return 0;
    err_set(err, "`%s` takes no %s", ACTIONS[a], key);
    return wrong(ret_key, key);
}

int relabel_rule_ready(struct relabel_rule *r, const char **ret_key, struct err *err)
{
    if (!r->separator)
        r->separator = SEPARATOR;
    if (!r->replacement)
        r->replacement = REPLACEMENT;
    if (!r->pattern)
        r->pattern = PATTERN;
    if (r->action == RELABEL_HASHMOD && r->modulus == 0) {
        err_set(err, "`hashmod` needs a modulus above 0");
        return wrong(ret_key, "modulus");
    }
    int rc = check_target(r, ret_key, err);
    if (rc == 0 && r->action == RELABEL_LABELMAP && !template_ok(r->replacement)) {
        err_set(err, "`%.100s` is not the name of a label", r->replacement);
        rc = wrong(ret_key, "replacement");
    }
    if (rc == 0)
        rc = check_strangers(r, ret_key, err);
    if (rc < 0)
        return rc;
    r->regex = regex_new(r->pattern, strlen(r->pattern), err);
    return r->regex ? 0 : wrong(ret_key, "regex");
}

void relabel_rule_done(struct relabel_rule *r)
{
    regex_free(r->regex);
    r->regex = NULL;
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool same_rule(const struct relabel_rule *a, const struct relabel_rule *b)
{
    if (a->action != b->action || a->modulus != b->modulus || a->n_source != b->n_source ||
        !same_text(a->separator, b->separator) || !same_text(a->pattern, b->pattern) ||
        !same_text(a->target, b->target) || !same_text(a->replacement, b->replacement))
        return false;
    for (size_t i = 0; i < a->n_source; i++)
        if (strcmp(a->source[i], b->source[i]) != 0)
            return false;
    return true;
}

bool relabel_equal(const struct relabel *a, const struct relabel *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!same_rule(&a->rules[i], &b->rules[i]))
            return false;
    return true;
}

// --- running -------------------------------------------------------------------------------------

static const char *keep(struct relabel_set *s, const char *text, size_t len)
{
    const char *copy = arena_strndup(s->text, text, len);
    if (!copy)
        s->failed = true;
    return copy;
}

// The values of the source labels, joined; a single one is not copied.
static const char *source_of(const struct relabel_rule *r, struct relabel_set *s)
{
    struct buf joined;
    if (r->n_source == 0)
        return "";
    if (r->n_source == 1)
        return relabel_get(s, r->source[0]);
    buf_init(&joined, RELABEL_TEXT_MAX);
    for (size_t i = 0; i < r->n_source; i++) {
        if (i)
            buf_adds(&joined, r->separator);
        buf_adds(&joined, relabel_get(s, r->source[i]));
    }
    const char *text = joined.failed ? NULL : keep(s, buf_cstr(&joined), joined.len);
    s->failed |= joined.failed != 0;
    buf_done(&joined);
    return text ? text : "";
}

static const char *expand(const struct relabel_rule *r, struct relabel_set *s,
    const char *template, const char *text, const struct regex_span *spans, size_t n)
{
    struct buf out;
    if (!strchr(template, '$'))
        return template;
    buf_init(&out, RELABEL_TEXT_MAX);
    regex_expand(r->regex, template, strlen(template), text, spans, n, &out);
    const char *made = out.failed ? NULL : keep(s, buf_cstr(&out), out.len);
    s->failed |= out.failed != 0;
    buf_done(&out);
    return made ? made : "";
}

static void replace(const struct relabel_rule *r, struct relabel_set *s, const char *text)
{
    struct regex_span spans[REGEX_GROUPS_MAX];
    size_t n = regex_captures(r->regex, text, strlen(text), spans, REGEX_GROUPS_MAX);
    if (n == 0)
        return;
    const char *target = expand(r, s, r->target, text, spans, n);
    const char *value = expand(r, s, r->replacement, text, spans, n);
    if (name_ok(target) && *value)
        relabel_put(s, target, value);
    else
        relabel_put(s, r->target, NULL);
}

// Go's ToLower and ToUpper, for the scripts that rune_lower and rune_upper know.
static void change_case(const struct relabel_rule *r, struct relabel_set *s, const char *text)
{
    size_t len = strlen(text), at = 0, to = 0;
    char *out = arena_alloc(s->text, len * 4 + 1);
    if (!out) {
        s->failed = true;
        return;
    }
    while (at < len) {
        uint32_t rune = rune_decode(text, len, &at);
        rune = r->action == RELABEL_LOWERCASE ? rune_lower(rune) : rune_upper(rune);
        to += rune_encode(rune, out + to);
    }
    out[to] = '\0';
    relabel_put(s, r->target, out);
}

// The last 8 bytes of the MD5, big-endian.
static void hashmod(const struct relabel_rule *r, struct relabel_set *s, const char *text)
{
    uint8_t sum[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    char number[24];
    uint64_t hash = 0;
    if (!EVP_Digest(text, strlen(text), sum, &len, EVP_md5(), NULL) || len != 16) {
        s->failed = true;
        return;
    }
    for (int i = 8; i < 16; i++)
        hash = hash << 8 | sum[i];
    int n = snprintf(number, sizeof(number), "%llu", (unsigned long long)(hash % r->modulus));
    relabel_put(s, r->target, keep(s, number, (size_t)n));
}

// By names, in their order: where two labels get one name, the later one stands.
static void labelmap(const struct relabel_rule *r, struct relabel_set *s)
{
    struct regex_span spans[REGEX_GROUPS_MAX];
    relabel_sort(s);
    struct wire_label before[RELABEL_LABELS_MAX];
    size_t n_before = s->n;
    memcpy(before, s->l, n_before * sizeof(before[0]));
    for (size_t i = 0; i < n_before; i++) {
        const char *name = before[i].name;
        size_t n = regex_captures(r->regex, name, strlen(name), spans, REGEX_GROUPS_MAX);
        if (n)
            relabel_put(s, expand(r, s, r->replacement, name, spans, n), before[i].value);
    }
}

static void filter_names(const struct relabel_rule *r, struct relabel_set *s)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->n; i++) {
        bool match = regex_full_match(r->regex, s->l[i].name, strlen(s->l[i].name));
        if (match == (r->action == RELABEL_LABELKEEP))
            s->l[kept++] = s->l[i];
    }
    s->n = kept;
}

static bool apply(const struct relabel_rule *r, struct relabel_set *s)
{
    const char *text = source_of(r, s);
    switch (r->action) {
    case RELABEL_KEEP: return regex_full_match(r->regex, text, strlen(text));
    case RELABEL_DROP: return !regex_full_match(r->regex, text, strlen(text));
    case RELABEL_KEEPEQUAL: return strcmp(relabel_get(s, r->target), text) == 0;
    case RELABEL_DROPEQUAL: return strcmp(relabel_get(s, r->target), text) != 0;
    case RELABEL_REPLACE: replace(r, s, text); return true;
    case RELABEL_HASHMOD: hashmod(r, s, text); return true;
    case RELABEL_LOWERCASE:
    case RELABEL_UPPERCASE: change_case(r, s, text); return true;
    case RELABEL_LABELMAP: labelmap(r, s); return true;
    case RELABEL_LABELDROP:
    case RELABEL_LABELKEEP: filter_names(r, s); return true;
    case RELABEL_ACTIONS: break;
    }
    return true;
}

bool relabel_apply(const struct relabel *r, struct relabel_set *s)
{
    for (size_t i = 0; i < r->n && !s->failed; i++)
        if (!apply(&r->rules[i], s))
            return false;
    return true;
}
