// SPDX-License-Identifier: Apache-2.0
#include "collector/message_text.h"
#include "base/zone.h"
#include "collector/receiver_text.h"
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX (1u << 20)

struct message_view {
    struct template_message m;
    struct labels common_labels, common_annotations;
    struct template_data data;
    struct arena *arena;
    struct zone zone; // the last one asked for
    const char *zone_name;
};

// --- the message as templates see it ---------------------------------------------------------
// What all of them have alike, of the labels or of the annotations.
static bool common(const struct webhook_message *m, size_t n, bool annotations, struct arena *a,
    struct labels *ret)
{
    const struct labels *first = annotations ? m->alerts[0].annotations : m->alerts[0].labels;
    struct label *l = arena_alloc(a, (first->n + 1) * sizeof(*l));
    *ret = (struct labels){.l = l};
    for (size_t i = 0; l && i < first->n; i++) {
        bool all = true;
        for (size_t k = 1; k < n && all; k++) {
            const struct webhook_alert *x = &m->alerts[k];
            const struct labels *of = annotations ? x->annotations : x->labels;
            all = strcmp(labels_get(of, first->l[i].name), first->l[i].value) == 0;
        }
        if (all)
            l[ret->n++] = first->l[i];
    }
    return l != NULL;
}

// Zones are files, and a message asks for the same one again and again.
static bool zone_of(void *ctx, const char *name, int64_t at_ms, int32_t *ret_offset_s)
{
    struct message_view *v = ctx;
    struct err err;
    if (!v->zone_name || strcmp(v->zone_name, name) != 0) {
        v->zone_name = NULL;
        if (zone_read(name, v->arena, &v->zone, &err) < 0)
            return false;
        v->zone_name = arena_strndup(v->arena, name, strlen(name));
    }
    *ret_offset_s = zone_offset(&v->zone, at_ms / 1000);
    return true;
}

static bool alert(const struct webhook_alert *from, struct arena *a, struct template_alert *to)
{
    char fingerprint[17];
    snprintf(fingerprint, sizeof(fingerprint), "%016" PRIx64, from->fingerprint);
    *to = (struct template_alert){.status = from->firing ? "firing" : "resolved",
        .labels = from->labels,
        .annotations = from->annotations,
        .starts_at_ms = from->starts_at_ms,
        .ends_at_ms = from->firing ? TEMPLATE_NO_TIME : from->ends_at_ms,
        .generator_url = from->generator_url,
        .fingerprint = arena_strndup(a, fingerprint, 16)};
    return to->fingerprint != NULL;
}

struct message_view *message_view(
    const struct webhook_message *m, int64_t now_ms, struct arena *a)
{
    struct message_view *v = arena_alloc(a, sizeof(*v));
    size_t n = m->max_alerts && m->n > m->max_alerts ? m->max_alerts : m->n;
    struct template_alert *alerts = v ? arena_alloc(a, (n + 1) * sizeof(*alerts)) : NULL;
    if (!alerts)
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (!alert(&m->alerts[i], a, &alerts[i]))
            return NULL;
    if (n && (!common(m, n, false, a, &v->common_labels) ||
                 !common(m, n, true, a, &v->common_annotations)))
        return NULL;
    v->m = (struct template_message){.receiver = m->receiver,
        .status = text_fires(m) ? "firing" : "resolved",
        .external_url = m->external_url,
        .alerts = alerts,
        .n = n,
        .group_labels = m->group_labels,
        .common_labels = &v->common_labels,
        .common_annotations = &v->common_annotations};
    v->data = (struct template_data){
        .message = &v->m, .now_ms = now_ms, .zone = zone_of, .zone_ctx = v};
    v->arena = a;
    return v;
}

// --- one text --------------------------------------------------------------------------------
// Where the JSON stops being any: a byte of out.
static int judge_json(const struct buf *out, size_t from, struct template_fault *fault)
{
    const char *end = NULL, *s = (const char *)out->data + from;
    size_t len = out->len - from;
    cJSON *j = cJSON_ParseWithLengthOpts(s, len, &end, false);
    size_t stop = j && end ? (size_t)(end - s) : 0;
    bool ok = j != NULL;
    for (; ok && stop < len; stop++)
        ok = strchr(" \t\r\n", s[stop]) != NULL;
    cJSON_Delete(j);
    if (ok)
        return 0;
    size_t at = end ? (size_t)(end - s) : 0, left = at < len ? len - at : 0;
    *fault = (struct template_fault){.line = 1, .col = 1};
    snprintf(fault->msg, sizeof(fault->msg), "this is no JSON: it goes wrong at `%.*s`",
        left > 40 ? 40 : (int)left, left ? s + at : "");
    return -EINVAL;
}

int message_text_render(const struct template *t, enum template_escape escape,
    const struct message_view *v, struct buf *out, struct template_fault *fault)
{
    size_t before = out->len;
    int rc = template_render(t, &v->data, escape, out, fault);
    if (rc == 0 && escape == TEMPLATE_JSON && (rc = judge_json(out, before, fault)) < 0)
        out->len = before;
    return rc;
}

int message_text_explore(const struct template *t, enum template_escape escape,
    const struct message_view *v, struct template_fault *fault)
{
    return template_explore(t, &v->data, escape, fault);
}

// --- all of them -----------------------------------------------------------------------------
static int add_tree(const struct text_tree *tree, const struct message_view *v, struct buf *out,
    struct template_fault *fault)
{
    struct buf text;
    int rc = 0;
    bool map = tree->kind == TEXT_TREE_MAP;
    switch (tree->kind) {
    case TEXT_TREE_RAW: buf_adds(out, tree->text); break;
    case TEXT_TREE_TEXT:
        buf_init(&text, TEXT_MAX);
        rc = tree->t ? message_text_render(tree->t, TEMPLATE_PLAIN, v, &text, fault)
                     : buf_adds(&text, tree->text);
        if (rc == 0)
            buf_add_json(out, (const char *)text.data, text.len);
        buf_done(&text);
        break;
    case TEXT_TREE_MAP:
    case TEXT_TREE_LIST:
        buf_addc(out, map ? '{' : '[');
        for (const struct text_tree *x = tree->items; x && rc == 0; x = x->next) {
            if (x != tree->items)
                buf_addc(out, ',');
            if (map) {
                buf_add_json(out, x->key, strlen(x->key));
                buf_addc(out, ':');
            }
            rc = add_tree(x, v, out, fault);
        }
        buf_addc(out, map ? '}' : ']');
        break;
    }
    return rc;
}

static void note(struct message_trouble *trouble, const struct message_text *x,
    const struct template_fault *f)
{
    trouble->count++;
    if (trouble->text[0])
        return;
    snprintf(trouble->text, sizeof(trouble->text), "`%s`%s%s:%d:%d: %.200s", x->key,
        f->file ? " in " : "", f->file ? f->file : "", f->line, f->col, f->msg);
}

int message_texts(const struct integration *i, const struct webhook_message *m, int64_t now_ms,
    struct arena *a, struct integration *ret, struct message_trouble *trouble)
{
    struct buf out;
    int rc = 0;
    *ret = *i;
    *trouble = (struct message_trouble){0};
    struct message_view *v = i->texts ? message_view(m, now_ms, a) : NULL;
    if (i->texts && !v)
        return -ENOMEM;
    buf_init(&out, TEXT_MAX);
    for (const struct message_text *x = i->texts; x && rc == 0; x = x->next) {
        struct template_fault fault = {0};
        const char **to = (const char **)(void *)((char *)ret + x->offset);
        *to = NULL;
        buf_reset(&out);
        int one = x->t ? message_text_render(x->t, x->escape, v, &out, &fault)
                       : add_tree(x->tree, v, &out, &fault);
        if (one == 0 && out.failed) {
            one = out.failed;
            fault.large = true;
            snprintf(fault.msg, sizeof(fault.msg), "the text is too long");
        }
        if (one == -ENOMEM)
            rc = one;
        else if (one < 0 && fault.large && v->m.n > 1)
            rc = -EMSGSIZE;
        else if (one < 0)
            note(trouble, x, &fault);
        else if (!(*to = arena_strndup(a, buf_cstr(&out), out.len)))
            rc = -ENOMEM;
    }
    buf_done(&out);
    return rc;
}
