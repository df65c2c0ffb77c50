// SPDX-License-Identifier: Apache-2.0
// What a function takes and a pipe begins with: literals, variables, fields, parentheses.
#include "base/num.h"
#include "base/rune.h"
#include "rules/lex.h"
#include "rules/template_parser.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool quoted(struct tmpl_parser *p, struct tmpl_operand *o)
{
    // The strings of templates are Go's, and so are those of PromQL.
    struct parse_error e = {0};
    struct lexer lex = {.text = p->s, .len = p->end, .at = p->at, .arena = p->arena, .err = &e};
    struct token tok;
    int rc = lex_next(&lex, &tok);
    if (rc == 0) {
        p->at = lex.at;
        o->value =
            (struct tmpl_value){.kind = TV_STRING, .s = tok.string, .len = tok.string_len};
        return true;
    }
    if (e.code[0])
        tparse_fail(p, (size_t)e.start, "%s", e.msg);
    else
        tparse_alloc(p, SIZE_MAX);
    return false;
}

// 'a' is the number of the character.
static bool character(struct tmpl_parser *p, struct tmpl_operand *o)
{
    size_t start = p->at, at;
    if (!quoted(p, o))
        return false;
    at = 0;
    uint32_t rune = o->value.len ? rune_decode(o->value.s, o->value.len, &at) : 0;
    if (!o->value.len || at != o->value.len) {
        tparse_fail(p, start, "single quotes hold one character; text goes in double quotes");
        return false;
    }
    o->value = (struct tmpl_value){.kind = TV_INT, .i = rune};
    return true;
}

// Where an underscore may stand; the 0x in front counts as one.
static bool between_digits(const char *s, size_t len, size_t i, bool hex)
{
    if (i == 0 || i + 1 == len)
        return false;
    char before = s[i - 1], after = s[i + 1];
    return hex ? isalnum((unsigned char)before) && isxdigit((unsigned char)after)
               : isdigit((unsigned char)before) && isdigit((unsigned char)after);
}

static bool number(struct tmpl_parser *p, struct tmpl_operand *o)
{
    size_t start = p->at;
    bool sign = tparse_here(p) == '-' || tparse_here(p) == '+', dotted = false, hex;
    char text[64];

    p->at += sign;
    hex = p->end - p->at > 1 && p->s[p->at] == '0' && (p->s[p->at + 1] | 32) == 'x';
    for (; p->at < p->end; p->at++) {
        char c = p->s[p->at];
        bool exponent = !hex && p->at > start && (p->s[p->at - 1] | 32) == 'e';
        if (!tparse_letter(c) && c != '.' && !((c == '-' || c == '+') && exponent))
            break;
        dotted |= c == '.' || (!hex && (c | 32) == 'e');
    }
    size_t len = p->at - start;
    if (len >= sizeof(text))
        goto bad;
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (p->s[start + i] != '_')
            text[n++] = p->s[start + i];
        else if (!between_digits(p->s + start, len, i, hex))
            goto bad;
    }
    text[n] = '\0';
    if (!dotted) {
        char *end;
        // Base 0 is Go's: 0x1f, 017.
        long long v = strtoll(text, &end, 0);
        if (*end || end == text || v == INT64_MAX || v == INT64_MIN)
            goto bad;
        o->value = (struct tmpl_value){.kind = TV_INT, .i = v};
        return true;
    }
    double v;
    if (!num_parse(text, n, &v))
        goto bad;
    // What is written with a dot or an exponent is a float, whole or not.
    o->value = (struct tmpl_value){.kind = TV_FLOAT, .f = v};
    return true;
bad:
    tparse_fail(p, start, "bad number");
    return false;
}

static bool variable(struct tmpl_parser *p, struct tmpl_operand *o)
{
    static const struct {
        const char *name;
        enum tmpl_operand_kind kind;
    } variables[] = {{"labels", TO_LABELS}, {"value", TO_VALUE_VAR}, {"externalURL", TO_URL},
        {"externalLabels", TO_EXTERNAL_LABELS}, {"", TO_ROOT}};
    size_t start = p->at++;
    const char *name = tparse_name(p);
    if (!name)
        return false;
    int slot = tparse_variable(p, name);
    if (slot >= 0) {
        o->kind = TO_VAR;
        o->slot = slot;
        return true;
    }
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        // A template that is called knows nothing but its argument: $ is that.
        if (strcmp(name, variables[i].name) || ((p->in_define || p->messages) && name[0]))
            continue;
        o->kind = variables[i].kind;
        p->t->uses_value |= o->kind == TO_VALUE_VAR;
        return true;
    }
    tparse_fail(p, start, "undefined variable `$%.60s`", name);
    return false;
}

// Remembers that the template reads this label, for those who know which labels there will be.
static bool note_label(struct tmpl_parser *p, const char *name, size_t at)
{
    struct template_label *l = tparse_alloc(p, sizeof(*l));
    if (!l)
        return false;
    *l = (struct template_label){.name = name, .at = at, .next = p->t->labels};
    p->t->labels = l;
    return true;
}

// What is known of these fields as they stand there: of the alert's own data, in a rule.
static void judge_fields(struct tmpl_parser *p, struct tmpl_operand *o, size_t start, size_t n)
{
    const char *name = o->fields->name;
    bool root = (o->kind == TO_ROOT && !p->in_define) || (o->kind == TO_DOT && !p->in_with);
    if (root && !strcmp(name, "Value"))
        p->t->uses_value = true;
    if (o->kind == TO_DOT && p->in_with && !strcmp(name, "Value"))
        p->t->uses_value = true;
    bool map = o->kind == TO_LABELS || o->kind == TO_EXTERNAL_LABELS;
    bool scalar = o->kind == TO_VALUE_VAR || o->kind == TO_URL || o->kind == TO_PIPE;
    bool data_map = root && (!strcmp(name, "Labels") || !strcmp(name, "ExternalLabels"));
    bool data_leaf = root && (!strcmp(name, "Value") || !strcmp(name, "ExternalURL"));
    // Only what stands there as written is known here; the others fail when they are expanded.
    if (root && !data_map && !data_leaf)
        tparse_doubt(p, start,
            "there is no field `%.60s`: .Labels, .Value, .ExternalURL, .ExternalLabels exist",
            name);
    else if (scalar)
        tparse_doubt(p, start, "this value has no fields");
    else if ((map && n == 2) || (data_leaf && n == 2))
        tparse_doubt(p, start, "a label is text, it has no fields");
    bool of_labels = root && !strcmp(name, "Labels") && n == 2;
    const struct tmpl_name *last = of_labels ? o->fields->next : o->fields;
    if (!p->failed && (o->kind == TO_LABELS || of_labels))
        note_label(p, last->name, last->at);
}

bool tparse_fields(struct tmpl_parser *p, struct tmpl_operand *o)
{
    struct tmpl_name **tail = &o->fields;
    size_t start = p->at, n = 0;

    while (tparse_here(p) == '.') {
        size_t at = ++p->at;
        const char *name = tparse_name(p);
        if (!name)
            return false;
        if (!name[0] || (name[0] >= '0' && name[0] <= '9')) {
            tparse_fail(p, at,
                name[0] ? "a field name begins with a letter" : "a field name is missing");
            return false;
        }
        if (n == 2 && !p->messages) {
            o->doom = tparse_doubt(p, at, "a label is text, it has no fields");
            continue;
        }
        struct tmpl_name *field = tparse_alloc(p, sizeof(*field));
        if (!field)
            return false;
        *field = (struct tmpl_name){.name = name, .at = at};
        *tail = field;
        tail = &field->next;
        n++;
    }
    if (n == 0)
        return true;
    if (o->kind == TO_VALUE)
        tparse_fail(p, start, "this value has no fields");
    else if (!p->messages)
        judge_fields(p, o, start, n);
    return !p->failed;
}

struct tmpl_operand *tparse_operand(struct tmpl_parser *p)
{
    struct tmpl_operand *o = tparse_alloc(p, sizeof(*o));
    char c = tparse_here(p);
    bool ok = false;

    if (!o)
        return NULL;
    if (c == '"' || c == '`') {
        ok = quoted(p, o);
    } else if (c == '\'') {
        ok = character(p, o);
    } else if (c == '$') {
        ok = variable(p, o);
    } else if (c == '(') {
        size_t open = p->at++;
        if (++p->depth > TEMPLATE_NEST_MAX)
            tparse_fail(p, open, "nested too deeply");
        o->kind = TO_PIPE;
        o->pipe = p->failed ? NULL : tparse_pipeline(p, TMPL_IN_PAREN);
        p->depth--;
        if (o->pipe && tparse_here(p) != ')')
            tparse_fail(p, open, "this parenthesis is never closed");
        p->at++;
        ok = o->pipe && !p->failed;
    } else if (c == '.' &&
               !(p->at + 1 < p->end && p->s[p->at + 1] >= '0' && p->s[p->at + 1] <= '9')) {
        o->kind = TO_DOT;
        ok = true;
        // A lone dot is the value itself; a dot with a name a field of it.
        if (p->at + 1 < p->end && tparse_letter(p->s[p->at + 1]))
            return tparse_fields(p, o) ? o : NULL;
        p->at++;
        if (tparse_here(p) == '.')
            tparse_fail(p, p->at, "unexpected `.`");
    } else if ((c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+') {
        ok = number(p, o);
    } else {
        tparse_fail(p, p->at, c ? "unexpected `%c`" : "unexpected end of the action", c);
    }
    if (!ok || !tparse_fields(p, o))
        return NULL;
    c = tparse_here(p);
    if (c && !tparse_space(c) && c != '|' && c != ')') {
        tparse_fail(p, p->at, "unexpected `%c` behind a value", c);
        return NULL;
    }
    return o;
}
