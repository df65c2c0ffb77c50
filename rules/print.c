// SPDX-License-Identifier: Apache-2.0
#include "rules/print.h"
#include "rules/lex.h"
#include <ctype.h>
#include <errno.h>
#include <string.h>

#define INDENT 2

// What stands between two tokens besides blanks.
struct comment {
    int start, end;
    int token;     // the one behind it; n_tokens at the end
    bool trailing; // on the line of what stands before it
    bool printed;
};

struct printer {
    const char *text;
    struct token *tokens;
    int n_tokens;
    struct comment *comments;
    int n_comments;
    struct arena arena;
    struct buf *out;
    size_t line;    // where the current line begins in out
    int last;       // token printed last, -1 = none
    bool at_start;  // of a line: comments may be printed
    int comment_at; // their indentation then
    bool flat;      // one line, come what may
    bool measuring; // only to see how long it is
    bool stuck;     // a comment that has no place
    int stuck_at;
};

// --- tokens and comments -------------------------------------------------------------------------

static bool note_comments(struct printer *p, int from, int to, int token)
{
    const char *s = p->text;
    bool trailing = token > 0;
    for (int i = from; i < to; i++) {
        if (s[i] == '\n')
            trailing = false;
        if (s[i] != '#')
            continue;
        int end = i;
        while (end < to && s[end] != '\n')
            end++;
        int next = end;
        while (end > i && isspace((unsigned char)s[end - 1]))
            end--;
        if ((p->n_comments & (p->n_comments - 1)) == 0) {
            size_t cap = p->n_comments ? (size_t)p->n_comments * 2 : 1;
            struct comment *grown = arena_alloc(&p->arena, cap * sizeof(*grown));
            if (!grown)
                return false;
            if (p->n_comments)
                memcpy(grown, p->comments, (size_t)p->n_comments * sizeof(*grown));
            p->comments = grown;
        }
        p->comments[p->n_comments++] = (struct comment){i, end, token, trailing, false};
        trailing = false;
        i = next - 1;
    }
    return true;
}

static int read_tokens(struct printer *p, size_t len)
{
    struct parse_error ignored;
    struct lexer lex = {.text = p->text, .len = len, .arena = &p->arena, .err = &ignored};
    int depth = 0, before = 0;
    p->tokens = arena_alloc(&p->arena, (len + 1) * sizeof(*p->tokens));
    if (!p->tokens)
        return -ENOMEM;
    for (;;) {
        struct token *t = &p->tokens[p->n_tokens];
        int rc = lex_next(&lex, t);
        if (rc < 0)
            return rc;
        if (!note_comments(p, before, t->start, p->n_tokens))
            return -ENOMEM;
        if (t->kind == TOK_END)
            return 0;
        before = t->end;
        p->n_tokens++;
        depth += t->kind == TOK_LBRACKET;
        depth -= t->kind == TOK_RBRACKET;
        lex.brackets = depth > 0;
    }
}

// The first token at or behind a byte.
static int token_at(const struct printer *p, int at)
{
    int low = 0, high = p->n_tokens;
    while (low < high) {
        int mid = (low + high) / 2;
        if (p->tokens[mid].start < at)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static int first_of(const struct printer *p, const struct expr *e)
{
    return token_at(p, e->start);
}

static int end_of(const struct printer *p, const struct expr *e)
{
    return token_at(p, e->end);
}

// Comments before tokens from..to-1.
static bool commented(const struct printer *p, int from, int to)
{
    for (int i = 0; i < p->n_comments; i++)
        if (p->comments[i].token >= from && p->comments[i].token < to)
            return true;
    return false;
}

// --- putting out -----------------------------------------------------------------------------------

static void put(struct printer *p, const char *s)
{
    buf_adds(p->out, s);
    p->at_start = false;
}

static void break_line(struct printer *p, int indent)
{
    // What stood behind the last token on its line stays there.
    for (int i = 0; i < p->n_comments; i++) {
        struct comment *c = &p->comments[i];
        if (!c->printed && c->trailing && c->token == p->last + 1 && !p->at_start) {
            buf_addf(p->out, " %.*s", c->end - c->start, p->text + c->start);
            c->printed = true;
        }
    }
    buf_addc(p->out, '\n');
    p->line = p->out->len;
    buf_addf(p->out, "%*s", indent, "");
    p->at_start = true;
    p->comment_at = indent;
}

static void lead_comments(struct printer *p, int token)
{
    for (int i = 0; i < p->n_comments && !p->measuring; i++) {
        struct comment *c = &p->comments[i];
        if (c->token != token || c->printed)
            continue;
        if (!p->at_start) {
            if (!p->stuck)
                p->stuck_at = c->start;
            p->stuck = true;
            return;
        }
        // The line has the indentation of the token; the comment may stand deeper.
        size_t own = p->out->len - p->line;
        p->out->len = p->line;
        buf_addf(p->out, "%*s%.*s\n%*s", p->comment_at, "", c->end - c->start,
            p->text + c->start, (int)own, "");
        p->line = p->out->len - own;
        c->printed = true;
    }
}

static void print_token(struct printer *p, int i)
{
    const struct token *t = &p->tokens[i];
    lead_comments(p, i);
    buf_add(p->out, p->text + t->start, (size_t)(t->end - t->start));
    p->last = i;
    p->at_start = false;
}

static void print_keyword(struct printer *p, int i)
{
    print_token(p, i);
    size_t len = (size_t)(p->tokens[i].end - p->tokens[i].start);
    for (size_t k = 0; k < len && !p->out->failed; k++) {
        uint8_t *c = &p->out->data[p->out->len - len + k];
        *c = (uint8_t)tolower(*c);
    }
}

static bool is(const struct printer *p, int i, const char *word)
{
    size_t len = strlen(word);
    const struct token *t = &p->tokens[i];
    return i < p->n_tokens && t->kind == TOK_WORD && (size_t)(t->end - t->start) == len &&
           strncasecmp(p->text + t->start, word, len) == 0;
}

// --- what stands on one line ---------------------------------------------------------------------

// (a, b) from the parenthesis on; the token behind it.
static int print_names(struct printer *p, int i)
{
    bool any = false;
    print_token(p, i++);
    for (; i < p->n_tokens && p->tokens[i].kind != TOK_RPAREN; i++) {
        if (p->tokens[i].kind == TOK_COMMA)
            continue;
        if (any)
            put(p, ", ");
        print_token(p, i);
        any = true;
    }
    print_token(p, i);
    return i + 1;
}

static int end_of_modifier(const struct printer *p, int i, int end)
{
    for (i++; i < end && !is(p, i, "offset") && p->tokens[i].kind != TOK_AT; i++)
        ;
    return i;
}

static void print_modifier(struct printer *p, int i, int end)
{
    put(p, " ");
    print_keyword(p, i++);
    put(p, " ");
    for (; i < end; i++)
        print_keyword(p, i);
}

// offset and @, @ first as Prometheus prints them.
static void print_modifiers(struct printer *p, int from, int end)
{
    for (int pass = 0; pass < 2; pass++)
        for (int i = from; i < end;) {
            int next = end_of_modifier(p, i, end);
            if ((p->tokens[i].kind == TOK_AT) == (pass == 0))
                print_modifier(p, i, next);
            i = next;
        }
}

// [5m] or [5m:1m] and what follows.
static void print_range(struct printer *p, int i, int end)
{
    for (; i < end && p->tokens[i].kind != TOK_RBRACKET; i++)
        print_token(p, i);
    if (i < end)
        print_token(p, i++);
    print_modifiers(p, i, end);
}

static int print_braces(struct printer *p, int i, bool named)
{
    bool any = false;
    if (named && p->tokens[i + 1].kind == TOK_RBRACE)
        return i + 2;
    print_token(p, i++);
    for (; i < p->n_tokens && p->tokens[i].kind != TOK_RBRACE; i++) {
        if (p->tokens[i].kind == TOK_COMMA) {
            any = true;
            continue;
        }
        if (any)
            put(p, ",");
        any = false;
        print_token(p, i);
    }
    print_token(p, i);
    return i + 1;
}

static void print_selector(struct printer *p, const struct expr *e)
{
    int i = first_of(p, e), end = end_of(p, e);
    bool named = p->tokens[i].kind != TOK_LBRACE;
    if (named)
        print_token(p, i++);
    if (i < end && p->tokens[i].kind == TOK_LBRACE)
        i = print_braces(p, i, named);
    if (i < end && p->tokens[i].kind == TOK_LBRACKET)
        print_range(p, i, end);
    else
        print_modifiers(p, i, end);
}

// --- what may be broken ----------------------------------------------------------------------------

static void print_expr(
    struct printer *p, const struct expr *e, int base, int operators, bool split);

// One line is enough for it, begun where we are. What stands in front of it is not asked.
static bool fits(struct printer *p, const struct expr *e)
{
    if (p->flat)
        return true;
    if (commented(p, first_of(p, e) + 1, end_of(p, e)))
        return false;
    struct printer flat = *p;
    struct buf line;
    buf_init(&line, p->out->max);
    flat.out = &line;
    flat.flat = flat.measuring = true;
    print_expr(&flat, e, 0, 0, false);
    if (line.failed && !p->out->failed)
        p->out->failed = line.failed;
    bool ok = p->out->len - p->line + line.len <= PRETTY_WIDTH;
    buf_done(&line);
    return ok;
}

// At a level inside parentheses, on a line of its own.
static void print_inner(struct printer *p, const struct expr *e, int base)
{
    if (!p->flat)
        break_line(p, base + INDENT);
    print_expr(p, e, base + INDENT, base + INDENT, false);
}

static void close_inner(struct printer *p, int token, int base)
{
    if (!p->flat) {
        break_line(p, base);
        p->comment_at = base + INDENT;
    }
    print_token(p, token);
}

// ( ... ) with a list in it; the first token is the parenthesis.
static void print_args(
    struct printer *p, struct expr *const *args, size_t n, int open, int close, int base)
{
    print_token(p, open);
    for (size_t i = 0; i < n; i++) {
        if (i) {
            print_token(p, end_of(p, args[i - 1])); // the comma
            if (p->flat)
                put(p, " ");
        }
        print_inner(p, args[i], base);
    }
    if (n)
        close_inner(p, close, base);
    else
        print_token(p, close);
}

static void print_call(struct printer *p, const struct expr *e, int base)
{
    int i = first_of(p, e);
    print_token(p, i);
    print_args(p, e->args, e->n_args, i + 1, end_of(p, e) - 1, base);
}

static void print_aggregate(struct printer *p, const struct expr *e, int base)
{
    struct expr *args[2] = {e->param ? e->param : e->lhs, e->lhs};
    int i = first_of(p, e), end = end_of(p, e), open = i + 1;
    int close = end_of(p, e->lhs);
    int clause = close + 1 < end ? close + 1 : -1; // by or without, wherever it stands
    print_keyword(p, i);
    if (is(p, open, "by") || is(p, open, "without")) {
        clause = open++;
        while (p->tokens[open].kind != TOK_RPAREN)
            open++;
        open++;
    }
    // by () is what no clause at all is.
    if (clause >= 0 && (e->without || e->n_names)) {
        put(p, " ");
        print_keyword(p, clause);
        put(p, " ");
        print_names(p, clause + 1);
        put(p, " ");
    }
    print_args(p, args, e->param ? 2 : 1, open, close, base);
}

static int precedence(const struct expr *e)
{
    switch (e->op) {
    case OP_OR: return 1;
    case OP_AND:
    case OP_UNLESS: return 2;
    case OP_EQ:
    case OP_NE:
    case OP_GT:
    case OP_LT:
    case OP_GE:
    case OP_LE:
    case OP_TRIM_UPPER:
    case OP_TRIM_LOWER: return 3;
    case OP_ADD:
    case OP_SUB: return 4;
    case OP_MUL:
    case OP_DIV:
    case OP_MOD:
    case OP_ATAN2: return 5;
    case OP_POW: return 6;
    }
    return 0;
}

// The operator with bool, on(...) and group_left(...).
static void print_operator(struct printer *p, int i, int end)
{
    print_keyword(p, i++);
    while (i < end) {
        put(p, " ");
        bool group = is(p, i, "group_left") || is(p, i, "group_right");
        print_keyword(p, i++);
        if (i < end && p->tokens[i].kind == TOK_LPAREN) {
            put(p, " ");
            i = print_names(p, i);
        } else if (group) {
            put(p, " ()");
        }
    }
}

static void print_binary(
    struct printer *p, const struct expr *e, int base, int operators, bool split)
{
    bool chain = e->lhs->kind == EXPR_BINARY && precedence(e->lhs) == precedence(e);
    int op = end_of(p, e->lhs), rhs = first_of(p, e->rhs);
    print_expr(p, e->lhs, base, chain ? operators : operators + INDENT, split && chain);
    if (!split) {
        put(p, " ");
        print_operator(p, op, rhs);
        put(p, " ");
        print_expr(p, e->rhs, base, operators + INDENT, false);
        return;
    }
    break_line(p, operators);
    print_operator(p, op, rhs);
    // Two conditions side by side read best each from the start of a line.
    if (precedence(e) <= 2 || commented(p, rhs, rhs + 1))
        break_line(p, operators);
    else
        put(p, " ");
    print_expr(p, e->rhs, operators, operators + INDENT, false);
}

// base: indentation of the line it begins on. operators: where its own operators begin a line.
static void print_expr(
    struct printer *p, const struct expr *e, int base, int operators, bool split)
{
    bool flat = p->flat;
    // What does not fit is split; of what fits nothing is.
    if (!split && !flat)
        p->flat = fits(p, e);
    switch (e->kind) {
    case EXPR_NUMBER:
    case EXPR_STRING:
        for (int i = first_of(p, e), end = end_of(p, e); i < end; i++)
            print_token(p, i);
        break;
    case EXPR_SELECTOR:
    case EXPR_MATRIX: print_selector(p, e); break;
    case EXPR_SUBQUERY:
        print_expr(p, e->lhs, base, operators, false);
        print_range(p, end_of(p, e->lhs), end_of(p, e));
        break;
    case EXPR_CALL: print_call(p, e, base); break;
    case EXPR_AGGREGATE: print_aggregate(p, e, base); break;
    case EXPR_BINARY: print_binary(p, e, base, operators, !p->flat); break;
    case EXPR_UNARY:
        print_token(p, first_of(p, e));
        print_expr(p, e->lhs, base, operators, false);
        break;
    case EXPR_PAREN: print_args(p, &e->lhs, 1, first_of(p, e), end_of(p, e) - 1, base); break;
    }
    p->flat = flat;
}

int expr_pretty(const struct expr_root *x, struct buf *out, struct err *err)
{
    struct printer p = {.text = x->text, .out = out, .line = out->len, .last = -1};
    p.at_start = true;
    arena_init(&p.arena, 0);
    int rc = read_tokens(&p, x->len);
    if (rc == 0) {
        print_expr(&p, x->root, 0, 0, false);
        // What follows the last token: behind it, or on lines of its own.
        if (commented(&p, p.n_tokens, p.n_tokens + 1)) {
            break_line(&p, 0);
            lead_comments(&p, p.n_tokens);
            if (out->len && out->data[out->len - 1] == '\n')
                out->len--;
        }
        for (int i = 0; i < p.n_comments && !p.stuck; i++)
            if (!p.comments[i].printed) {
                p.stuck = true;
                p.stuck_at = p.comments[i].start;
            }
    }
    if (rc == 0 && p.stuck) {
        err_at(err, 1, p.stuck_at + 1, "there is no place for the comment here");
        rc = -EINVAL;
    }
    if (rc == 0 && out->failed)
        rc = out->failed;
    arena_done(&p.arena);
    return rc < 0 ? rc : p.n_comments;
}

// --- equality --------------------------------------------------------------------------------------

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_names(const char **a, size_t n, const char **b, size_t m)
{
    for (size_t i = 0; n == m && i < n; i++)
        if (strcmp(a[i], b[i]) != 0)
            return false;
    return n == m;
}

static bool same_matchers(const struct expr *a, const struct expr *b)
{
    for (size_t i = 0; a->n_matchers == b->n_matchers && i < a->n_matchers; i++) {
        const struct matcher *x = &a->matchers[i], *y = &b->matchers[i];
        if (x->op != y->op || strcmp(x->name, y->name) || strcmp(x->value, y->value))
            return false;
    }
    return a->n_matchers == b->n_matchers;
}

static bool same_number(double a, double b)
{
    return memcmp(&a, &b, sizeof(a)) == 0;
}

static bool both_equal(const struct expr *a, const struct expr *b)
{
    return a && b ? expr_equal(a, b) : a == b;
}

bool expr_equal(const struct expr *a, const struct expr *b)
{
    bool own = a->kind == b->kind && a->type == b->type && same_number(a->number, b->number) &&
               a->string_len == b->string_len && same_text(a->string, b->string) &&
               same_text(a->name, b->name) && same_matchers(a, b) &&
               a->offset_ms == b->offset_ms && a->at == b->at && a->at_ms == b->at_ms &&
               a->range_ms == b->range_ms && a->step_ms == b->step_ms && a->fn == b->fn &&
               a->agg == b->agg && a->without == b->without && a->op == b->op &&
               a->return_bool == b->return_bool && a->on == b->on &&
               a->matching_given == b->matching_given && a->card == b->card &&
               same_names(a->include, a->n_include, b->include, b->n_include) &&
               same_names(a->names, a->n_names, b->names, b->n_names) &&
               a->negative == b->negative && a->n_args == b->n_args;
    if (!own || !both_equal(a->lhs, b->lhs) || !both_equal(a->rhs, b->rhs) ||
        !both_equal(a->param, b->param))
        return false;
    for (size_t i = 0; i < a->n_args; i++)
        if (!expr_equal(a->args[i], b->args[i]))
            return false;
    return true;
}
