// SPDX-License-Identifier: Apache-2.0
// Templates of messages in the configuration: the files of `templates`, and the texts of receivers. Each
// is tried on alerts with odd characters in them, firing, resolved and both, so that what cannot
// work is known now and not with the first page.
#include "collector/config_read.h"
#include "collector/message_text.h"
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>

#define GLOBS_MAX  64
#define TREE_DEPTH 8
#define TREE_ITEMS 200
#define N_SAMPLES  3
#define SAMPLE_MS  1764044401123LL

static struct template_set *set_of(struct config_reader *r)
{
    if (!r->c->templates)
        r->c->templates = template_set_new(&r->c->arena);
    r->oom |= !r->c->templates;
    return r->c->templates;
}

// --- files -----------------------------------------------------------------------------------
static void read_template(struct config_reader *r, const struct yaml_node *v, const char *path)
{
    struct template_fault fault;
    struct buf text;
    buf_init(&text, CONFIG_FILE_MAX);
    int rc = buf_add_path(&text, path);
    if (rc < 0) {
        config_bad(r, v, "C001", NULL, "%.150s: %s", path,
            rc == -EMSGSIZE ? "the file is larger than 1 MiB" : strerror(-rc));
    } else {
        rc = template_set_add(r->c->templates, path, buf_cstr(&text), text.len, &fault);
        r->oom |= rc == -ENOMEM;
        if (rc == -EINVAL)
            config_bad(r, v, "C009", NULL, "%.100s:%d:%d: %.120s", path, fault.line, fault.col,
                fault.msg);
    }
    buf_done(&text);
}

static void read_glob(struct config_reader *r, const struct yaml_node *v)
{
    const char *pattern = config_path(r, v, "templates");
    glob_t found = {0};
    if (!pattern)
        return;
    int rc = glob(pattern, 0, NULL, &found);
    if (rc == GLOB_NOSPACE)
        r->oom = true;
    else if (rc == GLOB_NOMATCH)
        config_warn(r, v, "C009", NULL, "there is no file %.150s", pattern);
    else if (rc != 0)
        config_bad(r, v, "C001", NULL, "%.150s cannot be read", pattern);
    for (size_t i = 0; i < found.gl_pathc && rc == 0 && !r->oom; i++)
        read_template(r, v, found.gl_pathv[i]);
    globfree(&found);
}

void config_templates(struct config_reader *r, const struct yaml_node *n)
{
    struct template_fault fault;
    if (n->kind == YAML_NULL || !set_of(r))
        return;
    if (n->kind != YAML_SEQ || n->n > GLOBS_MAX) {
        config_bad(r, n, "C001", NULL, "`templates` is a list of at most %d", GLOBS_MAX);
        return;
    }
    for (size_t i = 0; i < n->n && !r->oom; i++)
        read_glob(r, n->items[i]);
    if (!r->oom && !r->d->errors && template_set_check(r->c->templates, &fault) < 0)
        config_bad(r, n, "C009", NULL, "%.100s:%d:%d: %.120s", fault.file ? fault.file : "",
            fault.line, fault.col, fault.msg);
}

// --- trying ----------------------------------------------------------------------------------
struct samples {
    struct arena arena;
    const struct message_view *view[N_SAMPLES]; // both, firing, resolved
};

static bool samples_make(struct samples *s)
{
    static const struct label one[] = {{"alertname", "ServiceDown"}, {"instance", "web-1:9100"},
        {"job", "service"}, {"service", "api \"<&>\""}, {"severity", "page"}},
                              two[] = {{"alertname", "ServiceDown"}, {"instance", "web-2:9100"},
                                  {"job", "service"}, {"service", "api \"<&>\""},
                                  {"severity", "page"}},
                              said[] = {{"description", "line one\nline \"two\"\t\\ é 🔥"},
                                  {"runbook_url", "https://example.org/r?a=b&c=%20"},
                                  {"summary", "api's \"latency\" is <bad> & odd"}};
    static const struct labels L[] = {{one, 5}, {two, 5}}, A = {said, 3}, G = {one, 1};
    static const struct webhook_alert alerts[] = {
        {.labels = &L[0],
            .annotations = &A,
            .firing = true,
            .starts_at_ms = SAMPLE_MS - 90000,
            .generator_url = "http://localhost:7311/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
            .fingerprint = 0x1f2e3d4c5b6a7988},
        {.labels = &L[1],
            .annotations = &A,
            .starts_at_ms = SAMPLE_MS - 90000,
            .ends_at_ms = SAMPLE_MS,
            .generator_url = "http://localhost:7311/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
            .fingerprint = 0x2f2e3d4c5b6a7988}};
    static const struct webhook_message m[N_SAMPLES] = {
        {"receiver", "http://localhost:7311", "{}:{}", "", &G, alerts, 2, 0, NULL},
        {"receiver", "http://localhost:7311", "{}:{}", "", &G, alerts, 1, 0, NULL},
        {"receiver", "http://localhost:7311", "{}:{}", "", &G, alerts + 1, 1, 0, NULL}};
    arena_init(&s->arena, 0);
    for (size_t i = 0; i < N_SAMPLES; i++)
        if (!(s->view[i] = message_view(&m[i], SAMPLE_MS, &s->arena)))
            return false;
    return true;
}

// A mistake where it stands: in this scalar, or in a file that it calls.
static void tell(struct config_reader *r, const struct yaml_node *v, const char *key,
    const struct template_fault *f, bool error, const char *hint)
{
    enum diag_severity severity = error ? DIAG_ERROR : DIAG_WARNING;
    int line = v->line, col = v->col;
    if (!f->file && r->text && v->kind == YAML_SCALAR)
        yaml_place(r->text, r->len, v, f->at, &line, &col);
    if (f->file)
        diags_add(r->d, severity, "C009", line, col, 1, hint, "`%s`: %.80s:%d:%d: %.100s", key,
            f->file, f->line, f->col, f->msg);
    else
        diags_add(r->d, severity, "C009", line, col, 1, hint, "`%s`: %.200s", key, f->msg);
}

static void try_samples(struct config_reader *r, const struct yaml_node *v, const char *key,
    const struct template *t, enum template_escape escape, const struct samples *s)
{
    static const char *const WHEN[] = {
        "it fails while some alerts fire and others are resolved",
        "it fails while all alerts fire", "it fails when all alerts are resolved"};
    struct template_fault fault = {0}, first = {0};
    size_t failed = 0, which = 0;
    int rc = message_text_explore(t, escape, s->view[0], &fault);
    r->oom |= rc == -ENOMEM;
    if (rc == -EINVAL)
        tell(r, v, key, &fault, true, NULL);
    if (rc < 0)
        return;
    for (size_t i = 0; i < N_SAMPLES && !r->oom; i++) {
        struct buf out;
        buf_init(&out, CONFIG_FILE_MAX);
        rc = message_text_render(t, escape, s->view[i], &out, &fault);
        r->oom |= rc == -ENOMEM;
        if (rc < 0 && !failed++) {
            first = fault;
            which = i;
        }
        buf_done(&out);
    }
    // What always fails is a mistake, and a body that sometimes is no JSON.
    bool error = failed == N_SAMPLES || escape == TEMPLATE_JSON;
    if (failed && !r->oom)
        tell(r, v, key, &first, error,
            strncmp(first.msg, "this is no JSON", 15) == 0
                ? "values are escaped by themselves: \"{{ .Status }}\" in quotes, {{ .Alerts }} "
                  "or {{ toJson .Alerts }} outside"
            : error ? NULL
                    : WHEN[which]);
}

// NULL after a mistake.
static struct template *compile(struct config_reader *r, const struct yaml_node *v,
    const char *key, const char *text, enum template_escape escape)
{
    struct template_fault fault;
    struct samples s = {0};
    struct template_set *set = set_of(r);
    if (!set)
        return NULL;
    struct template *t = template_set_parse(set, text, strlen(text), &fault);
    r->oom |= !t && !fault.line;
    if (r->oom)
        return NULL;
    if (!t) {
        tell(r, v, key, &fault, true, NULL);
        return NULL;
    }
    if (samples_make(&s))
        try_samples(r, v, key, t, escape, &s);
    else
        r->oom = true;
    arena_done(&s.arena);
    // cppcheck-suppress CastIntegerToAddressAtReturn ; `struct template` is no C++ here
    return t;
}

static struct message_text *add(struct config_reader *r, const char *key, size_t offset,
    enum template_escape escape, struct integration *to)
{
    struct message_text *x = arena_alloc(&r->c->arena, sizeof(*x));
    const char *name = x ? config_keep(r, key) : NULL;
    if (!name) {
        r->oom = true;
        return NULL;
    }
    *x = (struct message_text){
        .key = name, .offset = offset, .escape = escape, .next = to->texts};
    to->texts = x;
    return x;
}

void config_text(struct config_reader *r, const struct yaml_node *v, const char *key,
    size_t offset, enum template_escape escape, struct integration *to)
{
    const char *s = config_scalar(r, v, key);
    if (!s)
        return;
    if (!strstr(s, "{{") && escape != TEMPLATE_JSON) {
        *(const char **)(void *)((char *)to + offset) = config_keep(r, s);
        return;
    }
    const struct template *t = compile(r, v, key, s, escape);
    struct message_text *x = t ? add(r, key, offset, escape, to) : NULL;
    if (x)
        x->t = t;
}

void config_standard_text(struct config_reader *r, const struct yaml_node *n,
    const struct receiver_field *f, enum template_escape escape, struct integration *to)
{
    char text[128];
    if (!f->standard || !r->c->templates || !template_set_has(r->c->templates, f->standard))
        return;
    snprintf(text, sizeof(text), "{{ template \"%s\" . }}", f->standard);
    struct yaml_node at = {.kind = YAML_NULL, .line = n->line, .col = n->col};
    const struct template *t = compile(r, &at, f->name, text, escape);
    struct message_text *x = t ? add(r, f->name, f->offset, escape, to) : NULL;
    if (x)
        x->t = t;
}

// --- maps and lists --------------------------------------------------------------------------
static bool known(const char *const *keys, const char *name)
{
    for (; keys && *keys; keys++)
        if (strcmp(*keys, name) == 0)
            return true;
    return !keys;
}

static bool is_bool(const struct yaml_node *v)
{
    return v->style == YAML_PLAIN &&
           (strcmp(v->text, "true") == 0 || strcmp(v->text, "false") == 0);
}

// keys: which ones a map may have, NULL = any. NULL after a mistake.
static struct text_tree *tree_of(struct config_reader *r, const struct yaml_node *v,
    const char *key, const char *const *keys, int depth)
{
    struct text_tree *t = arena_alloc(&r->c->arena, sizeof(*t));
    struct text_tree **tail = t ? &t->items : NULL;
    r->oom |= !t;
    if (!t)
        return NULL;
    if (v->kind == YAML_SCALAR || v->kind == YAML_NULL) {
        const char *s = v->kind == YAML_NULL ? "" : config_scalar(r, v, key);
        t->kind = v->kind == YAML_SCALAR && is_bool(v) ? TEXT_TREE_RAW : TEXT_TREE_TEXT;
        t->text = s ? config_keep(r, s) : "";
        if (s && strstr(s, "{{"))
            t->t = compile(r, v, key, s, TEMPLATE_PLAIN);
        return t;
    }
    t->kind = v->kind == YAML_MAP ? TEXT_TREE_MAP : TEXT_TREE_LIST;
    if (depth == TREE_DEPTH || v->n > TREE_ITEMS) {
        config_bad(r, v, "C001", NULL, "`%s` is nested too deeply or has more than %d items",
            key, TREE_ITEMS);
        return NULL;
    }
    for (size_t i = 0; i < v->n && !r->oom; i++) {
        const char *name = v->kind == YAML_MAP ? v->keys[i]->text : NULL;
        if (name && depth == 1 && !known(keys, name))
            config_bad(r, v->keys[i], "C001", NULL, "unknown key `%.60s` in `%s`", name, key);
        struct text_tree *item = tree_of(r, v->items[i], key, keys, depth + 1);
        if (!item)
            continue;
        item->key = name ? config_keep(r, name) : NULL;
        *tail = item;
        tail = &item->next;
    }
    return t;
}

void config_tree(struct config_reader *r, const struct yaml_node *v,
    const struct receiver_field *f, struct integration *to)
{
    bool map = f->type == RECEIVER_MAP;
    if (v->kind != (map ? YAML_MAP : YAML_SEQ)) {
        config_bad(r, v, "C001", NULL, "`%s` is a %s", f->name, map ? "map" : "list of maps");
        return;
    }
    for (size_t i = 0; !map && i < v->n; i++)
        if (v->items[i]->kind != YAML_MAP)
            config_bad(r, v->items[i], "C001", NULL, "`%s` is a list of maps", f->name);
    struct text_tree *t = tree_of(r, v, f->name, map ? NULL : f->keys, 0);
    struct message_text *x =
        t && !r->oom ? add(r, f->name, f->offset, TEMPLATE_PLAIN, to) : NULL;
    if (x)
        x->tree = t;
}
