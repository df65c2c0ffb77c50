// SPDX-License-Identifier: Apache-2.0
#include "cli/codes.h"
#include "base/buf.h"
#include <string.h>
#include <strings.h>

static const struct code *const TABLES[] = {
    CODES_FILE, CODES_EXPR, CODES_LINT, CODES_LATER, CODES_CONFIG};

const struct code *code_at(size_t i)
{
    for (size_t t = 0; t < sizeof(TABLES) / sizeof(TABLES[0]); t++)
        for (const struct code *c = TABLES[t]; c->code; c++)
            if (i-- == 0)
                return c;
    return NULL;
}

const struct code *code_find(const char *code, size_t *ret_index)
{
    const struct code *c;
    for (size_t i = 0; (c = code_at(i)); i++) {
        if (strcasecmp(c->code, code) != 0 && strcasecmp(c->name, code) != 0)
            continue;
        if (ret_index)
            *ret_index = i;
        return c;
    }
    return NULL;
}

static const char *severity(const struct code *c)
{
    return c->severity == DIAG_ERROR ? "error" : "warning";
}

static void print_block(const char *title, const char *text, FILE *out)
{
    fprintf(out, "\n%s\n", title);
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, "\n");
        fprintf(out, "    %.*s\n", (int)len, p);
        p += len + (p[len] == '\n');
    }
}

static void print_json(const struct code *c, FILE *out)
{
    const char *const field[] = {"code", c->code, "name", c->name, "severity", severity(c),
        "summary", c->summary, "text", c->text, "example", c->example ? c->example : "", "fix",
        c->fix ? c->fix : ""};
    struct buf b;
    buf_init(&b, 1u << 20);
    for (size_t i = 0; i < sizeof(field) / sizeof(field[0]); i += 2) {
        buf_addf(&b, "%c\"%s\":", i ? ',' : '{', field[i]);
        buf_add_json(&b, field[i + 1], strlen(field[i + 1]));
    }
    fprintf(out, "%s}", buf_cstr(&b));
    buf_done(&b);
}

static void list(const struct cli *c)
{
    const struct code *x;
    if (c->json)
        fputc('[', c->out);
    for (size_t i = 0; (x = code_at(i)); i++) {
        if (!c->json) {
            fprintf(c->out, "%s  %-7s  %s\n", x->code, severity(x), x->summary);
            continue;
        }
        fputs(i ? ",\n" : "\n", c->out);
        print_json(x, c->out);
    }
    if (c->json)
        fputs("\n]\n", c->out);
}

int explain_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    if (a->n_words == 0) {
        list(c);
        return CLI_YES;
    }
    const struct code *x = code_find(a->words[0], NULL);
    if (!x) {
        err_set(err, "there is no code %.60s; without one, all are listed", a->words[0]);
        return CLI_USAGE;
    }
    if (c->json) {
        print_json(x, c->out);
        fputc('\n', c->out);
        return CLI_YES;
    }
    fprintf(c->out, "%s[%s] %s: %s\n\n%s", severity(x), x->code, x->name, x->summary, x->text);
    if (x->example)
        print_block("Wrong:", x->example, c->out);
    if (x->fix)
        print_block("Right:", x->fix, c->out);
    if (x->severity == DIAG_WARNING)
        fprintf(c->out,
            "\nWhere it is meant so, a comment at the rule says so: # tocsin:allow %s REASON\n",
            x->code);
    return CLI_YES;
}
