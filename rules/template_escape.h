// SPDX-License-Identifier: Apache-2.0
/*
 * What a value becomes where a template prints it. Which characters have to be escaped depends on
 * what stands around the action, so the text of the template is followed as it comes out, and each
 * value is written as its place wants it:
 *
 *     html   <p>{{ x }}</p>       &lt; &amp; ...            <a href="{{ x }}"> an http URL or #ZgotmplZ
 *            style="{{ x }}"      a plain word or ZgotmplZ  <script>{{ x }}    refused
 *     json   "text": "{{ x }}"    as inside a string        "list": {{ x }}    as a value, quotes and all
 *
 * Only values are escaped; what the template's author wrote is kept, but inside a JSON string text of
 * a template that is called is escaped too, since it was not written for that place.
 * Pure; part of a struct tmpl_run.
 */
#pragma once
#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>

enum template_escape { TEMPLATE_PLAIN, TEMPLATE_HTML, TEMPLATE_JSON };

enum tmpl_html {
    HTML_TEXT,
    HTML_OPEN, // behind <
    HTML_NAME, // of an element
    HTML_TAG,  // between attributes
    HTML_ATTRIBUTE,
    HTML_BEFORE_VALUE,
    HTML_VALUE,
    HTML_COMMENT,
    HTML_MARKUP, // <!DOCTYPE ...>
    HTML_RAW,    // of script, style, title, textarea
};
struct tmpl_escape {
    enum template_escape mode;
    enum tmpl_html html;
    char quote;    // around the attribute's value; 0 = none
    char word[16]; // the element or the attribute, or the end of what stands in HTML_RAW
    size_t word_len;
    char element[16];
    enum { ATTRIBUTE_PLAIN, ATTRIBUTE_URL, ATTRIBUTE_STYLE, ATTRIBUTE_CODE } attribute;
    enum { URL_START, URL_PATH, URL_QUERY } url;
    bool in_string, backslash; // of JSON
    int string_depth;          // of the template that opened the string
};

struct tmpl_run;
struct tmpl_value;
// Text of a template at this depth of calls.
void tmpl_escape_text(
    struct tmpl_escape *e, int depth, const char *s, size_t len, struct buf *out);
// False: a value cannot stand here, which is a failure of r.
bool tmpl_escape_value(struct tmpl_run *r, const struct tmpl_value *v, struct buf *out);
