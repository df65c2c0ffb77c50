// SPDX-License-Identifier: Apache-2.0
#include "cli/rules_report.h"
#include "cli/codes.h"
#include <string.h>

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void add_text(struct buf *out, const char *name, const char *text)
{
    buf_addf(out, "\"%s\":", name);
    buf_add_json(out, text, strlen(text));
}

static const char *severity(const struct diag *x)
{
    return x->severity == DIAG_ERROR ? "error" : "warning";
}

// Calls for every problem, those without a file last with f NULL.
static void each(const struct rules_report *r,
    void (*tell)(
        const struct checked_file *f, const struct diag *x, bool first, struct buf *out),
    struct buf *out)
{
    bool first = true;
    for (size_t i = 0; i <= r->n; i++) {
        const struct diags *d = i < r->n ? &r->files[i].d : &r->whole;
        for (size_t k = 0; k < d->n; k++, first = false)
            tell(i < r->n ? &r->files[i] : NULL, &d->items[k], first, out);
    }
}

// --- text ------------------------------------------------------------------------------------
static void print_selectors(const struct rules_report *r, struct buf *out)
{
    if (!r->url)
        return;
    buf_addf(out, "%zu selector%s at %s:\n", r->n_selectors, plural(r->n_selectors), r->url);
    for (size_t i = 0; i < r->n_selectors; i++) {
        const struct checked_selector *s = &r->selectors[i];
        buf_addf(out, "%8zu  %s  %s:%d\n", s->series, s->text, s->path, s->line);
    }
}

static const char *first_code(const struct rules_report *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->files[i].d.n)
            return r->files[i].d.items[0].code;
    return r->whole.n ? r->whole.items[0].code : "CODE";
}

static void print_text(const struct rules_report *r, struct buf *out)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct checked_file *f = &r->files[i];
        if (f->d.n && out->len)
            buf_addc(out, '\n');
        diags_print(&f->d, f->path, (const char *)f->text.data, f->text.len, out);
    }
    if (r->whole.n && out->len)
        buf_addc(out, '\n');
    diags_print(&r->whole, "all files", NULL, 0, out);
    if (out->len)
        buf_addc(out, '\n');
    print_selectors(r, out);
    size_t problems = r->errors + r->warnings;
    if (problems)
        buf_addf(out, "%zu problem%s: %zu error%s, %zu warning%s (tocsin explain %s)\n",
            problems, plural(problems), r->errors, plural(r->errors), r->warnings,
            plural(r->warnings), first_code(r));
    if (r->errors == 0)
        buf_addf(out, "%zu file%s, %zu group%s, %zu rule%s: ok\n", r->n, plural(r->n),
            r->groups, plural(r->groups), r->rules, plural(r->rules));
}

// --- JSON ------------------------------------------------------------------------------------
static void tell_json(
    const struct checked_file *f, const struct diag *x, bool first, struct buf *out)
{
    buf_adds(out, first ? "\n  {" : ",\n  {");
    add_text(out, "file", f ? f->path : "");
    buf_addf(out, ",\"line\":%d,\"col\":%d,\"len\":%d,\"severity\":\"%s\",\"code\":\"%s\",",
        x->line, x->col, x->len, severity(x), x->code);
    add_text(out, "message", x->msg);
    buf_addc(out, ',');
    add_text(out, "hint", x->hint);
    buf_addc(out, '}');
}

static void print_json(const struct rules_report *r, struct buf *out)
{
    buf_addf(out,
        "{\"files\":%zu,\"groups\":%zu,\"rules\":%zu,\"errors\":%zu,\"warnings\":%zu,\"problems\":[",
        r->n, r->groups, r->rules, r->errors, r->warnings);
    size_t before = out->len;
    each(r, tell_json, out);
    buf_adds(out, out->len > before ? "\n]" : "]");
    for (size_t i = 0; r->url && i < r->n_selectors; i++) {
        const struct checked_selector *s = &r->selectors[i];
        buf_adds(out, i ? ",\n  {" : ",\"selectors\":[\n  {");
        add_text(out, "selector", s->text);
        buf_addc(out, ',');
        add_text(out, "file", s->path);
        buf_addf(out, ",\"line\":%d,\"col\":%d,\"series\":%zu}", s->line, s->col, s->series);
    }
    if (r->url)
        buf_adds(out, r->n_selectors ? "\n]" : ",\"selectors\":[]");
    buf_adds(out, "}\n");
}

// --- SARIF -----------------------------------------------------------------------------------
// A path as a relative or file: URI.
static void add_uri(const char *path, struct buf *out)
{
    buf_adds(out, path[0] == '/' ? "\"file://" : "\"");
    for (const unsigned char *p = (const unsigned char *)path; *p; p++) {
        bool plain = (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') ||
                     (*p >= 'A' && *p <= 'Z') || strchr("-_.~/", *p);
        if (plain)
            buf_addc(out, (char)*p);
        else
            buf_addf(out, "%%%02X", *p);
    }
    buf_addc(out, '"');
}

// The column in characters, 1-based, of byte column `col` of a line.
static int character_column(const struct checked_file *f, int line, int col)
{
    const char *p = (const char *)f->text.data, *end = p ? p + f->text.len : p;
    for (int i = 1; p && i < line; i++) {
        p = memchr(p, '\n', (size_t)(end - p));
        p = p ? p + 1 : NULL;
    }
    int chars = 1;
    for (int i = 1; i < col; i++)
        chars += !p || p + i - 1 >= end || (p[i - 1] & 0xC0) != 0x80;
    return chars;
}

static void tell_sarif(
    const struct checked_file *f, const struct diag *x, bool first, struct buf *out)
{
    size_t rule = 0;
    buf_adds(out, first ? "\n    {" : ",\n    {");
    add_text(out, "ruleId", x->code);
    if (code_find(x->code, &rule))
        buf_addf(out, ",\"ruleIndex\":%zu", rule);
    buf_addf(out, ",\"level\":\"%s\",\"message\":{", severity(x));
    struct buf text;
    buf_init(&text, sizeof(x->msg) + sizeof(x->hint) + 2);
    buf_addf(&text, "%s%s%s", x->msg, x->hint[0] ? "; " : "", x->hint);
    add_text(out, "text", buf_cstr(&text));
    buf_done(&text);
    buf_addc(out, '}');
    if (f) {
        buf_adds(out, ",\"locations\":[{\"physicalLocation\":{\"artifactLocation\":{\"uri\":");
        add_uri(f->path, out);
        buf_addc(out, '}');
        if (x->line > 0)
            buf_addf(out,
                ",\"region\":{\"startLine\":%d,\"startColumn\":%d,\"endLine\":%d,\"endColumn\":%d}",
                x->line, character_column(f, x->line, x->col), x->line,
                character_column(f, x->line, x->col + x->len));
        buf_adds(out, "}}]");
    }
    buf_addc(out, '}');
}

static void print_sarif(const struct rules_report *r, struct buf *out)
{
    const struct code *c;
    buf_adds(out, "{\"$schema\":\"https://json.schemastore.org/sarif-2.1.0.json\","
                  "\"version\":\"2.1.0\",\"runs\":[{\"tool\":{\"driver\":{\"name\":\"tocsin\","
                  "\"version\":\"" TOCSIN_VERSION "\",\"rules\":[");
    for (size_t i = 0; (c = code_at(i)); i++) {
        buf_adds(out, i ? ",\n    {" : "\n    {");
        add_text(out, "id", c->code);
        buf_addc(out, ',');
        add_text(out, "name", c->name);
        buf_adds(out, ",\"shortDescription\":{");
        add_text(out, "text", c->summary);
        buf_adds(out, "},\"fullDescription\":{");
        add_text(out, "text", c->text);
        buf_addf(out, "},\"defaultConfiguration\":{\"level\":\"%s\"}}",
            c->severity == DIAG_ERROR ? "error" : "warning");
    }
    buf_adds(out, "\n  ]}},\"columnKind\":\"unicodeCodePoints\",\"results\":[");
    size_t before = out->len;
    each(r, tell_sarif, out);
    buf_adds(out, out->len > before ? "\n  ]}]}\n" : "]}]}\n");
}

void rules_report_print(const struct rules_report *r, enum rules_format format, struct buf *out)
{
    switch (format) {
    case RULES_TEXT: print_text(r, out); break;
    case RULES_JSON: print_json(r, out); break;
    case RULES_SARIF: print_sarif(r, out); break;
    }
}
