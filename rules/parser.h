// SPDX-License-Identifier: Apache-2.0
/*
 * What the parts of the PromQL parser share. Private to rules/parse*.c and rules/check.c.
 *
 * Every function that can fail returns NULL (or false) after parser_fail has filled the error or
 * after memory ran out; the first failure stays.
 */
#pragma once
#include "rules/lex.h"

struct parser {
    struct lexer lex;
    struct token tok; // the one looked at
    int last_end;     // end of the one before
    struct arena *arena;
    struct expr_root *root;
    struct parse_error *err;
    size_t cap_regexes;
    int depth;
    int rc; // 0 while all is well
};

void parser_fail(struct parser *p, const char *code, int start, int end, const char *hint,
    const char *fmt, ...) __attribute__((format(printf, 6, 7)));
// "unexpected X, expected Y" at the token looked at.
void parser_unexpected(struct parser *p, const char *expected);
bool parser_advance(struct parser *p);
bool parser_expect(struct parser *p, enum token_kind kind, const char *expected);
void *parser_alloc(struct parser *p, size_t size);
bool parser_word(const struct parser *p, const char *word);
struct expr *parser_node(struct parser *p, enum expr_kind kind, int start);

// parse_selector.c
struct expr *parse_selector(struct parser *p); // name and/or {...}
struct expr *parse_postfix(
    struct parser *p, struct expr *e); // [range], [range:step], offset, @
// (a, b, "c.d",): label names, sorted and unique when asked.
bool parse_names(struct parser *p, bool sorted, const char ***ret, size_t *ret_n);
// parse.c
struct expr *parse_expr(struct parser *p, int level);

// check.c: the type rules; sets e->type and e->height. Children are checked already.
bool check_node(struct parser *p, struct expr *e);
