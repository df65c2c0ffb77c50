// SPDX-License-Identifier: Apache-2.0
#include "rules/template_escape.h"
#include "rules/template_node.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

// What html/template puts where a value would be dangerous, and users search for.
#define REFUSED "ZgotmplZ"

// --- following HTML --------------------------------------------------------------------------
static bool space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static void add_to_word(struct tmpl_escape *e, char c)
{
    if (e->word_len + 1 < sizeof(e->word))
        e->word[e->word_len++] = (char)tolower((unsigned char)c);
    e->word[e->word_len] = '\0';
}

static void clear_word(struct tmpl_escape *e)
{
    e->word_len = 0;
    e->word[0] = '\0';
}

static bool one_of(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (!strcmp(word, *words))
            return true;
    return false;
}

// The name of the attribute is in e->word.
static void attribute_kind(struct tmpl_escape *e)
{
    static const char *const URLS[] = {"href", "src", "action", "formaction", "cite",
        "background", "poster", "longdesc", "data", "codebase", "icon", "manifest", "usemap",
        NULL};
    static const char *const CODE[] = {"srcdoc", "srcset", "archive", NULL};
    bool on = e->word_len > 2 && e->word[0] == 'o' && e->word[1] == 'n';
    e->attribute = one_of(e->word, URLS)         ? ATTRIBUTE_URL
                   : !strcmp(e->word, "style")   ? ATTRIBUTE_STYLE
                   : on || one_of(e->word, CODE) ? ATTRIBUTE_CODE
                                                 : ATTRIBUTE_PLAIN;
    e->url = URL_START;
}

// Behind the > of an element's beginning.
static void element_open(struct tmpl_escape *e)
{
    static const char *const RAW[] = {"script", "style", "title", "textarea", NULL};
    e->html = one_of(e->element, RAW) ? HTML_RAW : HTML_TEXT;
    clear_word(e);
}

static void html_value(struct tmpl_escape *e, char c)
{
    if (e->quote ? c == e->quote : space(c)) {
        e->html = HTML_TAG;
        clear_word(e);
    } else if (!e->quote && c == '>') {
        element_open(e);
    } else if (c == '?' || c == '#') {
        e->url = URL_QUERY;
    } else if (e->url == URL_START && !space(c)) {
        e->url = URL_PATH;
    }
}

static void html_tag(struct tmpl_escape *e, char c)
{
    if (c == '>') {
        element_open(e);
    } else if (c == '=' && e->word_len) {
        attribute_kind(e);
        e->html = HTML_BEFORE_VALUE;
    } else if (!space(c) && c != '/') {
        if (e->html == HTML_TAG)
            clear_word(e);
        add_to_word(e, c);
        e->html = HTML_ATTRIBUTE;
    } else if (e->html == HTML_ATTRIBUTE) {
        e->html = HTML_TAG; // a = may still come
    }
}

static void html_byte(struct tmpl_escape *e, char c)
{
    switch (e->html) {
    case HTML_TEXT:
        if (c == '<')
            e->html = HTML_OPEN;
        clear_word(e);
        break;
    case HTML_OPEN:
        if (isalpha((unsigned char)c) || c == '/') {
            if (c != '/')
                add_to_word(e, c);
            e->html = HTML_NAME;
        } else {
            e->html = c == '!' ? HTML_MARKUP : HTML_TEXT;
        }
        break;
    case HTML_NAME:
        if (!space(c) && c != '>' && c != '/') {
            add_to_word(e, c);
            break;
        }
        memcpy(e->element, e->word, sizeof(e->element));
        clear_word(e);
        if (c == '>')
            element_open(e);
        else
            e->html = HTML_TAG;
        break;
    case HTML_TAG:
    case HTML_ATTRIBUTE: html_tag(e, c); break;
    case HTML_BEFORE_VALUE:
        if (space(c))
            break;
        e->html = HTML_VALUE;
        e->quote = c == '"' || c == '\'' ? c : '\0';
        if (!e->quote)
            html_value(e, c);
        break;
    case HTML_VALUE: html_value(e, c); break;
    case HTML_MARKUP:
        add_to_word(e, c);
        if (!strcmp(e->word, "--"))
            e->html = HTML_COMMENT;
        else if (c == '>')
            e->html = HTML_TEXT;
        if (e->html != HTML_MARKUP)
            clear_word(e);
        break;
    case HTML_COMMENT:
        if (c == '>' && e->word_len >= 2) {
            e->html = HTML_TEXT;
            clear_word(e);
        } else if (c == '-') {
            add_to_word(e, c);
        } else {
            clear_word(e);
        }
        break;
    case HTML_RAW:
        // Up to </script.
        if (c == '<')
            clear_word(e);
        if (c == '>' && e->word_len >= 2 && !strncmp(e->word, "</", 2) &&
            !strncmp(e->word + 2, e->element, strlen(e->element))) {
            e->html = HTML_TEXT;
            clear_word(e);
        } else if (c == '<' || e->word_len) {
            add_to_word(e, c);
        }
        break;
    }
}

// --- following JSON --------------------------------------------------------------------------
// Without the quotes.
static void add_inside(const char *s, size_t len, struct buf *out)
{
    struct buf text;
    buf_init(&text, TMPL_RESULT_MAX * 8);
    if (buf_add_json(&text, s, len) == 0)
        buf_add(out, text.data + 1, text.len - 2);
    out->failed = out->failed ? out->failed : text.failed;
    buf_done(&text);
}

static void json_text(
    struct tmpl_escape *e, int depth, const char *s, size_t len, struct buf *out)
{
    // Of a template that is called from inside a string.
    if (e->in_string && depth > e->string_depth) {
        add_inside(s, len, out);
        return;
    }
    buf_add(out, s, len);
    for (size_t i = 0; i < len; i++) {
        if (e->backslash) {
            e->backslash = false;
        } else if (s[i] == '\\' && e->in_string) {
            e->backslash = true;
        } else if (s[i] == '"') {
            e->in_string = !e->in_string;
            e->string_depth = depth;
        }
    }
}

void tmpl_escape_text(
    struct tmpl_escape *e, int depth, const char *s, size_t len, struct buf *out)
{
    if (e->mode == TEMPLATE_JSON) {
        json_text(e, depth, s, len, out);
        return;
    }
    buf_add(out, s, len);
    for (size_t i = 0; e->mode == TEMPLATE_HTML && i < len; i++)
        html_byte(e, s[i]);
}

// --- values ----------------------------------------------------------------------------------
static void add_html(const char *s, size_t len, bool bare, struct buf *out)
{
    for (size_t i = 0; i < len; i++) {
        switch (s[i]) {
        case '&': buf_adds(out, "&amp;"); break;
        case '<': buf_adds(out, "&lt;"); break;
        case '>': buf_adds(out, "&gt;"); break;
        case '"': buf_adds(out, "&#34;"); break;
        case '\'': buf_adds(out, "&#39;"); break;
        case '+': buf_adds(out, "&#43;"); break;
        case '\0': buf_adds(out, "\xEF\xBF\xBD"); break;
        default:
            if (bare && (space(s[i]) || s[i] == '=' || s[i] == '`' || s[i] == '\v'))
                buf_addf(out, "&#%d;", s[i]);
            else
                buf_addc(out, s[i]);
        }
    }
}

// Before the first : only these; what has none is relative.
static bool harmless(const char *s, size_t len)
{
    static const char *const SCHEMES[] = {"http", "https", "mailto", NULL};
    const char *colon = memchr(s, ':', len), *slash = memchr(s, '/', len);
    if (!colon || (slash && slash < colon))
        return true;
    for (const char *const *p = SCHEMES; *p; p++)
        if (strlen(*p) == (size_t)(colon - s) && !strncasecmp(s, *p, strlen(*p)))
            return true;
    return false;
}

// A part of a query is escaped whole, of the rest what a URL cannot hold.
static void add_url(const char *s, size_t len, bool whole, struct buf *out)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        bool plain = isalnum(c) || (c && strchr("-._~", c));
        bool escaped = c == '%' && len - i > 2 && isxdigit((unsigned char)s[i + 1]) &&
                       isxdigit((unsigned char)s[i + 2]);
        if (plain || (!whole && (escaped || (c && strchr("!#$&*+,/:;=?@[]", c)))))
            buf_addc(out, (char)c);
        else
            buf_addf(out, "%%%02x", c);
    }
}

// A word of CSS that can do no harm.
static bool tame(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)s[i]) && !strchr("# .,%_-", s[i]))
            return false;
    return !memmem(s, len, "expression", 10) && !memmem(s, len, "--", 2);
}

static bool html_add(
    struct tmpl_run *r, const struct tmpl_value *v, const char *s, size_t len, struct buf *out)
{
    struct tmpl_escape *e = &r->escape;
    bool safe = v->kind == TV_STRING && v->b;
    switch (e->html) {
    case HTML_TEXT:
        if (safe)
            buf_add(out, s, len);
        else
            add_html(s, len, false, out);
        return true;
    case HTML_COMMENT: return true; // as html/template: nobody is to see it
    case HTML_RAW:
        if (!strcmp(e->element, "script"))
            return tmpl_fail_sure(r, "a value cannot stand in a script");
        if (!strcmp(e->element, "style"))
            buf_add(out, tame(s, len) ? s : REFUSED, tame(s, len) ? len : strlen(REFUSED));
        else
            add_html(s, len, false, out);
        return true;
    case HTML_OPEN:
    case HTML_NAME:
    case HTML_TAG:
    case HTML_ATTRIBUTE:
    case HTML_MARKUP:
        return tmpl_fail_sure(r, "a value cannot stand inside of a tag, only in quotes");
    case HTML_BEFORE_VALUE:
        e->html = HTML_VALUE;
        e->quote = '\0';
        break;
    case HTML_VALUE: break;
    }
    struct buf url;
    switch (e->attribute) {
    case ATTRIBUTE_CODE: return tmpl_fail_sure(r, "a value cannot stand in a script");
    case ATTRIBUTE_STYLE:
        buf_add(out, tame(s, len) ? s : REFUSED, tame(s, len) ? len : strlen(REFUSED));
        return true;
    case ATTRIBUTE_PLAIN: add_html(s, len, !e->quote, out); return true;
    case ATTRIBUTE_URL: break;
    }
    if (e->url == URL_START && !safe && !harmless(s, len)) {
        buf_adds(out, "#" REFUSED);
        return true;
    }
    buf_init(&url, TMPL_RESULT_MAX * 4);
    add_url(s, len, e->url == URL_QUERY && !safe, &url);
    add_html(buf_cstr(&url), url.len, !e->quote, out);
    out->failed = out->failed ? out->failed : url.failed;
    buf_done(&url);
    return true;
}

bool tmpl_escape_value(struct tmpl_run *r, const struct tmpl_value *v, struct buf *out)
{
    struct buf text;
    bool json = r->escape.mode == TEMPLATE_JSON, ok = true;
    if (json && !r->escape.in_string) {
        if (v->kind == TV_STRING && v->b)
            buf_add(out, v->s, v->len); // of toJson
        else
            tmpl_json(r, v, out);
        return true;
    }
    if (v->kind == TV_NIL)
        return true;
    buf_init(&text, TMPL_RESULT_MAX);
    tmpl_print(r, v, &text);
    if (json)
        add_inside((const char *)text.data, text.len, out);
    else if (text.len)
        ok = html_add(r, v, (const char *)text.data, text.len, out);
    out->failed = out->failed ? out->failed : text.failed;
    buf_done(&text);
    return ok;
}
