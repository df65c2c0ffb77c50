// SPDX-License-Identifier: Apache-2.0
#include "rules/site.h"
#include "rules/rule_text.h"
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TREE_ARENA_MAX (512u << 20)

// --- # tocsin:allow --------------------------------------------------------------------------
// Behind the last byte of what the node holds; the end of a block itself lies behind the comments
// that follow it.
static size_t last_byte(const struct yaml_node *n)
{
    size_t last = n->kind == YAML_SCALAR ? n->end : n->offset;
    for (size_t i = 0; i < n->n; i++) {
        size_t item = last_byte(n->items[i]);
        if (item > last)
            last = item;
    }
    return last;
}

// The start of the line before the one at `at`, which is a line's start; at itself at the top.
static size_t line_before(const char *text, size_t at)
{
    if (at == 0)
        return 0;
    const char *newline = memrchr(text, '\n', at - 1);
    return newline ? (size_t)(newline - text) + 1 : 0;
}

static bool comment_line(const char *text, size_t at, size_t end)
{
    while (at < end && (text[at] == ' ' || text[at] == '\t'))
        at++;
    return at < end && text[at] == '#';
}

static bool lists_code(const char *p, const char *end, const char *code)
{
    size_t len = strlen(code);
    // Codes up to the first word that is none: the reason.
    while (p < end) {
        while (p < end && (*p == ' ' || *p == ',' || *p == '\t'))
            p++;
        const char *word = p;
        while (p < end && isalnum((unsigned char)*p))
            p++;
        if ((size_t)(p - word) == len && !memcmp(word, code, len))
            return true;
        if (p - word != 4 || *word != 'T' || !isdigit((unsigned char)word[1]))
            return false;
    }
    return false;
}

// The rule's lines with the comment right above it: [from, to).
static void lines_of(const struct rule_site *s, size_t *ret_from, size_t *ret_to)
{
    const char *newline = s->node->offset ? memrchr(s->text, '\n', s->node->offset) : NULL;
    size_t from = newline ? (size_t)(newline - s->text) + 1 : 0, to = last_byte(s->node);

    if (to > s->len)
        to = s->len;
    while (to > from && isspace((unsigned char)s->text[to - 1]))
        to--;
    const char *end = memchr(s->text + to, '\n', s->len - to);
    *ret_to = end ? (size_t)(end - s->text) : s->len;
    for (size_t above = line_before(s->text, from);
         above < from && comment_line(s->text, above, from); above = line_before(s->text, from))
        from = above;
    *ret_from = from;
}

static bool allows(const char *from, const char *to, const char *code)
{
    static const char word[] = "tocsin:allow ";
    const size_t len = sizeof(word) - 1;
    for (const char *p = from; (p = memmem(p, (size_t)(to - p), word, len)); p += len) {
        const char *line = memrchr(from, '\n', (size_t)(p - from));
        const char *stop = memchr(p, '\n', (size_t)(to - p));
        line = line ? line + 1 : from;
        if (memchr(line, '#', (size_t)(p - line)) &&
            lists_code(p + len, stop ? stop : to, code))
            return true;
    }
    return false;
}

void site_forgive(const struct rule_site *s)
{
    size_t from, to, kept = 0;
    lines_of(s, &from, &to);
    if (!memmem(s->text + from, to - from, "tocsin:allow ", 13))
        return;
    int last = s->node->line;
    for (size_t i = s->node->offset; i < to; i++)
        last += s->text[i] == '\n';
    for (size_t i = 0; i < s->d->n; i++) {
        const struct diag *x = &s->d->items[i];
        if (x->severity == DIAG_WARNING && x->line >= s->node->line && x->line <= last &&
            allows(s->text + from, s->text + to, x->code))
            continue;
        s->d->items[kept++] = *x;
    }
    s->d->n = kept;
}

void site_warn(const struct rule_site *s, const char *code, const struct yaml_node *scalar,
    size_t start, size_t end, const char *hint, const char *fmt, ...)
{
    struct reading r = {.text = s->text, .len = s->len, .d = s->d};
    char msg[256];
    va_list args;

    va_start(args, fmt);
    vsnprintf(msg, sizeof(msg), fmt, args);
    va_end(args);
    reading_warn_span(&r, scalar, start, end, code, hint, msg);
}

// --- the walk --------------------------------------------------------------------------------
static const struct rule_group *next_group(
    const struct ruleset *s, const char *file, size_t *at)
{
    for (; *at < s->n_groups; (*at)++)
        if (!strcmp(s->groups[*at].file, file))
            return &s->groups[(*at)++];
    return NULL;
}

int ruleset_sites(const struct ruleset *s, const char *file, const char *text, size_t len,
    struct diags *d, int (*visit)(void *ctx, const struct rule_site *site), void *ctx)
{
    struct arena tree;
    struct diags ignored;
    size_t at = 0;
    int rc = 0;

    arena_init(&tree, TREE_ARENA_MAX);
    diags_init(&ignored);
    const struct yaml_node *root = yaml_parse_all(text, len, &tree, &ignored);
    const struct yaml_node *groups =
        root && root->kind == YAML_MAP ? yaml_get(root, "groups") : NULL;
    for (size_t i = 0; groups && groups->kind == YAML_SEQ && i < groups->n && rc == 0; i++) {
        const struct rule_group *g = next_group(s, file, &at);
        const struct yaml_node *node = groups->items[i];
        const struct yaml_node *rules = node->kind == YAML_MAP ? yaml_get(node, "rules") : NULL;
        if (!g)
            break;
        for (size_t k = 0; rules && k < g->n_rules && rc == 0; k++) {
            struct rule_site site = {.set = s,
                .group = g,
                .rule = &g->rules[k],
                .text = text,
                .len = len,
                .node = rules->items[k],
                .d = d};
            if (!site.rule->expr.root)
                continue;
            site.expr = yaml_get(site.node, "expr");
            rc = visit(ctx, &site);
        }
    }
    // It was read before: that it cannot be now is for want of memory.
    if (!root && next_group(s, file, &at))
        rc = -ENOMEM;
    diags_done(&ignored);
    arena_done(&tree);
    return rc;
}
